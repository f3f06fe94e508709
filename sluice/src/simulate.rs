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
            let name = file.display().to_string();
            let text = std::fs::read_to_string(&file)
                .map_err(|error| End::Usage(format!("{name}: {error}")))?;
            toml::from_str(&text).map_err(|error| End::Usage(format!("{name}: {error}")))?
        }
    };
    if let Some(listen) = simulate.listen {
        config.listen = listen;
    }
    let running = simulator::start(config).await.map_err(End::usage)?;
    writeln!(std::io::stdout(), "simulating deployments on {}", running.url())?;
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! { _ = terminate.recv() => {}, ended = tokio::signal::ctrl_c() => ended? }
    running.stop().await;
    Ok(())
}
