//! What Sluice promises, tested from outside: the real binary, over HTTP, against the simulator.
//! One file a promise.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "a test fails by panicking and reports on standard error"
)]

mod harness;
mod tidy;
mod contracts;
mod journey;
mod text;
mod answers;
mod paid_once;
mod kill;
mod processes;
mod pacing;
mod quota;
mod uploads;
mod command_line;
mod real_documents;
