//! What a deployment turns out to be: whether it answers as it is configured, what its limiter is
//! and what that charges. Each takes a few calls beside the pool.
//!
//! How that is printed, and where it is written, is the caller's.

mod plan;
mod caller;
mod problem;
mod fit;
mod check;
mod session;
mod burst;
mod run;

pub use burst::Burst;
pub use check::{Checked, check};
pub use fit::{Findings, Unit};
pub use problem::{Problem, ProblemKind};
pub use run::{Cost, Probed, cost};
pub use session::Probe;
