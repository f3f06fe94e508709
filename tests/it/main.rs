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
mod servers;
mod certificates;
mod tidy;
mod contracts;
mod contracts_blobs;
mod postgres;
mod broker;
mod contracts_queue;
mod broker_dies;
mod through_rabbit;
mod proxy;
mod engines;
mod fleet;
mod chaos;
mod tls;
mod start;
mod trace;
mod rights;

mod journey;
mod text;
mod members;
mod gained;
mod long;
mod password;
mod answers;
mod numbers;
mod fallback;
mod hedge;
mod interactive;
mod modes;
mod double;
mod dialects;
mod outages;
mod paid_once;
mod asked_anew;
mod invalid_fields;
mod model;
mod kill;
mod processes;
mod metrics;
mod memory;
mod pacing;
mod windows;
mod scans;
mod secrets;
mod reconcile;
mod pool_runs;
mod uploads;
mod bucket;
mod deployments;
mod entra;
mod command_line;
mod e_invoices;
mod real_documents;
