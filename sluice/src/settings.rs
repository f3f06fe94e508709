//! The configuration as it was understood, and the database that it names.

use crate::end::End;
use clap::{Args, Subcommand};
use shared::{config::Config, services::Services};
use std::io::Write;

#[derive(Debug, Args)]
pub(crate) struct Settings {
    #[command(subcommand)]
    action: SettingsCommand,
}

#[derive(Debug, Subcommand)]
enum SettingsCommand {
    /// Validate the configuration and print it as it was understood, without secrets
    Check,
}

pub(crate) fn run(settings: &Settings, config: &Config) -> Result<(), End> {
    match settings.action {
        SettingsCommand::Check => {
            for warning in &config.warnings {
                writeln!(std::io::stderr(), "warning: {warning}")?;
            }
            let shown = serde_json::to_string_pretty(&config.redacted());
            writeln!(std::io::stdout(), "{}", shown.map_err(anyhow::Error::from)?)?;
            Ok(())
        }
    }
}

pub(crate) async fn migrate(config: &Config) -> Result<(), End> {
    // Whoever may change tables need not reach the queue and the storage.
    let store = Services::store(config).map_err(End::usage)?;
    store.migrate().await.map_err(End::unreachable)?;
    Ok(writeln!(std::io::stdout(), "the database is up to date")?)
}
