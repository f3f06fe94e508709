//! Runs the stand-in for model deployments.

use crate::end::End;
use clap::Args;
use std::{io::Write, path::PathBuf};
use tokio::signal::unix::{SignalKind, signal};

#[derive(Debug, Args)]
pub(crate) struct Simulate {
    /// Listen here instead of where the configuration says
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<String>,
}

pub(crate) async fn run(simulate: Simulate, file: Option<PathBuf>) -> Result<(), End> {
    let mut config = match file {
        None => simulator::Config::demo(),
        Some(file) => {
            simulator::Config::load(&file).map_err(|error| End::Usage(format!("{error:#}")))?
        }
    };
    if let Some(listen) = simulate.listen {
        config.listen = listen;
    }
    let running = simulator::start(config).await;
    let running = running.map_err(|error| End::Usage(format!("{error:#}")))?;
    writeln!(std::io::stdout(), "simulating deployments on {}", running.url())?;
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! { _ = terminate.recv() => {}, ended = tokio::signal::ctrl_c() => ended? }
    running.stop().await;
    Ok(())
}
