//! The HTTP API as a client sees it: a real server, a real database, no worker.

mod harness;
mod bad_input;
mod uploads;
mod documents;
mod content;
mod schemas;
mod operation;
