//! The HTTP API as a client sees it: a real server, a real database, no worker.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "a test fails by panicking and reports on standard error"
)]

mod harness;
mod bad_input;
mod uploads;
mod documents;
mod content;
mod schemas;
mod operation;
mod deployments;
