//! Turns accepted documents into typed results. A module uses only modules listed above it.

pub mod extract;
pub mod report;
pub mod worker;
mod ended;
mod question;
mod pay;
mod ask;
mod fallback;
mod assemble;
mod answer;
mod plan;
mod read;
mod members;
mod earlier;
pub mod process;
pub mod consume;
pub mod sweep;
mod build;

pub use build::{build, text_reader};
