//! The command line: what there is, and which file does it.

use crate::{
    demo, deployments, documents, end::End, extract, health, reconcile, roles, schema, settings,
    simulate, telemetry, text, upload,
};
use clap::{Parser, Subcommand};
use shared::config::Config;
use std::{collections::BTreeMap, path::PathBuf};

/// Documents in, typed JSON out, at exactly the rate that your model quota allows.
#[derive(Debug, Parser)]
#[command(
    version,
    after_help = "Example:\n  sluice demo\n  sluice up\n  \
                  sluice upload invoices/ --schema invoice --wait --recursive"
)]
pub(crate) struct Cli {
    /// The configuration file [default: ./sluice.toml where there is one]
    #[arg(long, global = true, env = "SLUICE_CONFIG", value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show everything with bundled documents and simulated deployments: no keys, no services
    #[command(after_help = "Example:\n  sluice demo --exit")]
    Demo(demo::Demo),
    /// Uploader and worker in one process
    #[command(after_help = "Example:\n  OPENAI_API_KEY=sk-... sluice up")]
    Up,
    /// The HTTP side alone
    #[command(after_help = "Example:\n  sluice uploader --config sluice.toml")]
    Uploader,
    /// A consumer alone; start as many as you like
    #[command(after_help = "Example:\n  sluice worker --config sluice.toml")]
    Worker,
    /// Extract from files once, without a server; JSON to stdout
    #[command(after_help = "Example:\n  sluice extract invoice.pdf --schema invoice")]
    Extract(extract::Extract),
    /// Show the text of a file as models and evidence see it; no server, no model
    #[command(after_help = "Example:\n  sluice text invoice.pdf\n  \
                            sluice text invoice.pdf --page 2 --boxes\n  \
                            sluice text --image 1 page.png invoice.pdf")]
    Text(text::Text),
    /// Upload files or folders to a running uploader
    #[command(
        after_help = "Example:\n  sluice upload invoices/ --schema invoice --recursive --wait"
    )]
    Upload(upload::Upload),
    /// Look at and act on documents
    #[command(after_help = "Example:\n  sluice documents list --state failed\n  \
                            sluice documents result doc_0193a1c2f0b47d3e9a51c0ffee123456")]
    Documents(documents::Documents),
    /// Check, probe or list model deployments
    #[command(after_help = "Example:\n  sluice deployments check\n  \
                            sluice deployments probe sweden --yes")]
    Deployments(deployments::Deployments),
    /// Check, propose or list schemas
    #[command(after_help = "Example:\n  sluice schema check schemas/invoice.json")]
    Schema(schema::Schema),
    /// Check the configuration
    #[command(after_help = "Example:\n  sluice config check --config sluice.toml")]
    Config(settings::Settings),
    /// Stand in for model deployments, limits included
    #[command(after_help = "Example:\n  sluice simulate --config simulator.toml")]
    Simulate(simulate::Simulate),
    /// Ask a running uploader or worker whether it can serve; for the health checks of containers
    #[command(after_help = "Example:\n  sluice health http://127.0.0.1:8080\n  \
                            sluice health http://127.0.0.1:9090/healthz")]
    Health(health::Health),
    /// Bring the database up to date
    #[command(after_help = "Example:\n  sluice migrate --config sluice.toml")]
    Migrate,
    /// Find differences between database and storage, and mend them
    #[command(after_help = "Example:\n  sluice reconcile --dry-run\n  \
                            sluice reconcile --from-storage    # after a lost database")]
    Reconcile(reconcile::Reconcile),
    /// Read files in a process of its own (started by the worker)
    #[command(hide = true)]
    TextChild,
}

/// Does what the command line says.
pub(crate) fn run(cli: Cli) -> Result<(), End> {
    let environment = environment();
    let load = || shared::config::load(cli.config.as_deref(), &environment).map_err(End::usage);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    // Commands for people log warnings only, services log what they do.
    let quiet = |config: &Config| start_logging(config, Some("warn"));
    match cli.command {
        Command::Up | Command::Uploader | Command::Worker => {
            let config = load()?;
            start_logging(&config, None);
            let roles = match cli.command {
                Command::Uploader => roles::Roles { uploader: true, worker: false },
                Command::Worker => roles::Roles { uploader: false, worker: true },
                _ => roles::Roles { uploader: true, worker: true },
            };
            runtime.block_on(roles::run(config, roles))
        }
        Command::Demo(demo) => {
            quiet(&Config::default());
            runtime.block_on(demo::run(demo))
        }
        Command::Extract(extract) => {
            let config = load()?;
            quiet(&config);
            runtime.block_on(extract::run(extract, config))
        }
        Command::Text(text) => {
            let config = load()?;
            quiet(&config);
            runtime.block_on(text::run(text, &config))
        }
        Command::Migrate => {
            let config = load()?;
            quiet(&config);
            runtime.block_on(settings::migrate(&config))
        }
        Command::Reconcile(reconcile) => {
            let config = load()?;
            quiet(&config);
            runtime.block_on(reconcile::run(&reconcile, &config))
        }
        Command::Config(settings) => settings::run(&settings, &load()?),
        Command::Upload(upload) => runtime.block_on(upload::run(upload)),
        Command::Documents(documents) => runtime.block_on(documents::run(documents)),
        Command::Deployments(deployments) => {
            let source =
                deployments::Source { file: cli.config.clone(), environment: &environment };
            runtime.block_on(deployments::run(deployments, &source, load))
        }
        Command::Health(health) => runtime.block_on(health::run(health)),
        Command::Schema(schema) => runtime.block_on(schema::run(schema, load)),
        Command::Simulate(simulate) => {
            telemetry::init(&Config::default().log, None);
            // Its configuration is the simulator's own, not Sluice's.
            runtime.block_on(simulate::run(simulate, cli.config))
        }
        Command::TextChild => Ok(()),
    }
}

/// Starts to log, at first what is odd about the configuration.
fn start_logging(config: &Config, level: Option<&str>) {
    telemetry::init(&config.log, level);
    config.warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
}

fn environment() -> BTreeMap<String, String> {
    let text = |value: std::ffi::OsString| value.to_string_lossy().into_owned();
    std::env::vars_os().map(|(name, value)| (text(name), text(value))).collect()
}
