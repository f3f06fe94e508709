//! Sluice: documents in, typed JSON out, at exactly the rate that your model quota allows.

mod end;
mod password;
mod telemetry;
mod client;
mod health;
mod infer;
mod schema;
mod text;
mod start;
mod membership;
mod roles;
mod upload;
mod documents;
mod deployments;
mod settings;
mod reconcile;
mod simulate;
mod expected;
mod extract;
mod demo;
mod cli;

use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    allocator::limit_arenas();
    let cli = cli::Cli::parse();
    if let cli::Command::TextChild = cli.command {
        // Before anything else is set up: this process reads hostile files.
        return reader::child_main();
    }
    match cli::run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(end) => end.report(),
    }
}
