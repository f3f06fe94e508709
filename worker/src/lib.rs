//! Turns accepted documents into typed results. A module uses only modules listed above it.

pub mod extract;
mod series;
mod measured;
pub mod worker;
pub mod report;
mod ended;
mod question;
mod pay;
mod ask;
mod fallback;
mod assemble;
mod answer;
mod read;
mod plan;
mod members;
mod earlier;
pub mod process;
pub mod consume;
pub mod sweep;
mod build;

pub use build::{build, text_reader};
pub use series::describe_metrics;
