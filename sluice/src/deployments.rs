//! Model deployments from the shell: what the fleet sees of them, whether they answer as they are
//! configured, and what their limiters are.

mod key_source;
mod probe;
mod write;

use crate::{
    client::{Api, Server},
    end::End,
};
use clap::{Args, Subcommand, ValueEnum};
use futures::{StreamExt, stream};
use pool::DeploymentConfig;
use pool::probe::{Checked, Probe, Probed, Problem, ProblemKind, check};
use serde::Serialize;
use serde_json::Value;
use shared::config::Config;
use std::{
    collections::BTreeMap,
    io::Write,
    path::{Path, PathBuf},
    time::Duration,
};

/// How many deployments are checked at once.
const AT_ONCE: usize = 8;

/// No call of these commands may take longer.
const PATIENCE_MAX: Duration = Duration::from_secs(120);

#[derive(Debug, Args)]
pub(crate) struct Deployments {
    #[command(subcommand)]
    action: DeploymentsCommand,
    /// How to print
    #[arg(short, long, global = true, value_enum, default_value_t)]
    output: DeploymentsOutput,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum DeploymentsOutput {
    /// Columns, for people
    #[default]
    Table,
    /// JSON, for programs
    Json,
}

#[derive(Debug, Subcommand)]
enum DeploymentsCommand {
    /// What the running fleet's deployments are doing, and what waits for them
    #[command(after_help = "Example:\n  sluice deployments list")]
    List {
        #[command(flatten)]
        server: Server,
    },
    /// Ask every configured deployment for one tiny typed answer
    ///
    /// Says what each answers with: latency, the limits in its headers and whether they are the
    /// configured ones, what kind of limiter that looks like, and how it can be asked for
    /// structured answers. Ends with 0 when all answer, with 3 when one cannot be reached, with 2
    /// when one refuses because of the configuration, with 1 when one cannot be used for another
    /// reason.
    #[command(after_help = "Example:\n  sluice deployments check --config sluice.toml\n  \
                            sluice deployments check sweden -o json")]
    Check {
        /// Only these; all when none is named
        #[arg(value_name = "NAME")]
        names: Vec<String>,
    },
    /// Find out with a handful of calls what a deployment's limiter is and what it charges
    ///
    /// Nothing else should call the deployment meanwhile. Prints the settings that follow, or
    /// writes them into the configuration with --write.
    #[command(after_help = "Example:\n  sluice deployments probe sweden --yes --write")]
    Probe {
        /// The deployment
        name: String,
        /// Also make several calls at once, so that some find no room
        #[arg(long)]
        burst: bool,
        /// Begin without asking
        #[arg(long)]
        yes: bool,
        /// Write the findings into the configuration
        #[arg(long)]
        write: bool,
    },
}

/// Where the configuration came from.
pub(crate) struct Source<'a> {
    /// The file that was named.
    pub(crate) file: Option<PathBuf>,
    /// The environment.
    pub(crate) environment: &'a BTreeMap<String, String>,
}

impl Source<'_> {
    /// The file that was read, where one was.
    fn file(&self) -> Option<&Path> {
        let found = Path::new("sluice.toml");
        self.file.as_deref().or_else(|| found.exists().then_some(found))
    }

    fn key(&self, deployment: &DeploymentConfig, index: usize) -> String {
        key_source::key_source(self.file(), self.environment, deployment, index)
    }
}

pub(crate) async fn run(
    deployments: Deployments,
    source: &Source<'_>,
    load: impl FnOnce() -> Result<Config, End>,
) -> Result<(), End> {
    let output = deployments.output;
    let (names, is_list) = match &deployments.action {
        DeploymentsCommand::List { server } => return list(server, output).await,
        DeploymentsCommand::Check { names } => (names.clone(), true),
        DeploymentsCommand::Probe { name, .. } => (vec![name.clone()], false),
    };
    let config = load()?;
    config.deployments_required().map_err(End::usage)?;
    // A second installation of the TLS provider is refused and harmless.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let patience = Duration::from_secs(config.worker.call_timeout_seconds).min(PATIENCE_MAX);
    let named = |name: &String| {
        let mut all = config.deployments.iter().enumerate();
        let found = all.find(|(_, one)| one.name == *name);
        found.ok_or_else(|| unknown(name, &config))
    };
    let chosen: Vec<(usize, &DeploymentConfig)> = match names.is_empty() {
        true => config.deployments.iter().enumerate().collect(),
        false => names.iter().map(named).collect::<Result<_, _>>()?,
    };
    match (deployments.action, chosen.first()) {
        (DeploymentsCommand::Probe { burst, yes, write, .. }, Some((index, deployment)))
            if !is_list =>
        {
            probe::agree(deployment, burst, yes)?;
            let key = source.key(deployment, *index);
            let say = |what: &str| progress(&deployment.name, what);
            let probe = Probe::new(deployment, &key, patience, &say).map_err(End::usage)?;
            let probed = probe.run(burst).await.map_err(|problem| ended(&problem))?;
            show_probe(&probed, output, if write { source.file() } else { None }, write)
        }
        _ => check_all(&chosen, source, patience, output).await,
    }
}

fn unknown(name: &str, config: &Config) -> End {
    let names: Vec<&str> = config.deployments.iter().map(|one| one.name.as_str()).collect();
    End::Usage(format!("no deployment is named {name:?}; there are: {}", names.join(", ")))
}

fn ended(problem: &Problem) -> End {
    let message = format!("{}; {}", problem.problem, problem.remedy);
    match problem.kind {
        ProblemKind::Unusable => End::Failed(message),
        ProblemKind::Configuration => End::Usage(message),
        ProblemKind::Unreachable => End::Unreachable(message),
    }
}

fn show_probe(
    probed: &Probed,
    output: DeploymentsOutput,
    file: Option<&Path>,
    write: bool,
) -> Result<(), End> {
    match output {
        DeploymentsOutput::Json => print(probed)?,
        DeploymentsOutput::Table => write!(std::io::stdout(), "{}", probe::report(probed))?,
    }
    let settings = write::settings(&probed.found);
    if settings.is_empty() {
        return Err(End::Failed("nothing was found that could be configured".to_owned()));
    }
    let lines = write::lines(&settings);
    let mut out = std::io::stderr();
    match (write, file) {
        (true, Some(file)) => {
            write::write(file, &probed.deployment, &settings)?;
            writeln!(out, "written to {}:\n{lines}", file.display())?;
        }
        (true, None) => {
            return Err(End::Usage(format!(
                "there is no configuration file to write to; put this into one:\n{lines}"
            )));
        }
        (false, _) => {
            let name = &probed.deployment;
            writeln!(out, "for [[deployments]] {name:?} (or add --write):\n{lines}")?;
        }
    }
    Ok(())
}

async fn check_all(
    chosen: &[(usize, &DeploymentConfig)],
    source: &Source<'_>,
    patience: Duration,
    output: DeploymentsOutput,
) -> Result<(), End> {
    let one = async |(index, deployment): &(usize, &DeploymentConfig)| {
        let checked = check(deployment, &source.key(deployment, *index), patience).await;
        let how = if checked.ok { "answers" } else { "does not answer as it should" };
        progress(&checked.name, how);
        checked
    };
    let checked: Vec<Checked> = stream::iter(chosen).map(one).buffered(AT_ONCE).collect().await;
    match output {
        DeploymentsOutput::Json => print(&checked)?,
        DeploymentsOutput::Table => print_checked(&checked)?,
    }
    let has = |kind| checked.iter().filter_map(|one| one.problem.as_ref()).any(|p| p.kind == kind);
    // The lines have said it all.
    let message = String::new();
    match () {
        () if has(ProblemKind::Unreachable) => Err(End::Unreachable(message)),
        () if has(ProblemKind::Configuration) => Err(End::Usage(message)),
        () if has(ProblemKind::Unusable) => Err(End::Failed(message)),
        () => Ok(()),
    }
}

/// Says on stderr what is done with a deployment.
fn progress(deployment: &str, what: &str) {
    // Who closes stderr does not want to know.
    let _ = writeln!(std::io::stderr(), "{deployment}: {what}");
}

fn print_checked(all: &[Checked]) -> Result<(), End> {
    let mut rows = vec![
        ["NAME", "MODEL", "OK", "LATENCY", "TOKENS/MIN", "REQUESTS/MIN", "LIMITER", "MODE"]
            .map(str::to_owned),
    ];
    let number = |known: Option<u64>| known.map_or("-".to_owned(), |n| n.to_string());
    rows.extend(all.iter().map(|one| {
        [
            one.name.clone(),
            one.model.clone(),
            if one.ok { "yes" } else { "no" }.to_owned(),
            one.latency_ms.map_or("-".to_owned(), |ms| format!("{ms} ms")),
            number(one.tokens_per_minute),
            number(one.requests_per_minute),
            one.limiter.map_or("-", pool::LimiterKind::name).to_owned(),
            one.mode.map_or("-", pool::Mode::name).to_owned(),
        ]
    }));
    print_rows(&rows)?;
    let mut out = std::io::stdout();
    for one in all {
        if let Some(problem) = &one.problem {
            writeln!(out, "{}: {}\n    {}", one.name, problem.problem, problem.remedy)?;
        }
        if let Some(credential) = &one.credential {
            writeln!(out, "{}: credential: {credential}", one.name)?;
        }
        if !one.refuses.is_empty() {
            writeln!(out, "{}: it does not take {}", one.name, one.refuses.join(", "))?;
        }
        for warning in &one.warnings {
            writeln!(out, "{}: {warning}", one.name)?;
        }
    }
    Ok(())
}

async fn list(server: &Server, output: DeploymentsOutput) -> Result<(), End> {
    let list = Api::new(&server.url)?.get("/v1/deployments").await?;
    if output == DeploymentsOutput::Json {
        return print(&list);
    }
    let text = |one: &Value, name: &str| match &one[name] {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        value => value.to_string(),
    };
    let fields = [
        "name",
        "model",
        "tier",
        "state",
        "in_flight",
        "tokens_available",
        "calls",
        "throttled",
        "failed",
        "latency_ms",
    ];
    let heads = [
        "NAME",
        "MODEL",
        "TIER",
        "STATE",
        "IN FLIGHT",
        "TOKENS LEFT",
        "CALLS",
        "THROTTLED",
        "FAILED",
        "LATENCY MS",
    ];
    let all = |name: &str| list[name].as_array().map(Vec::as_slice).unwrap_or_default();
    let mut rows = vec![heads.map(str::to_owned)];
    rows.extend(all("data").iter().map(|one| fields.map(|field| text(one, field))));
    print_rows(&rows)?;
    let mut out = std::io::stdout();
    for one in all("data").iter().filter(|one| one["state"] != "ok") {
        let (name, message) = (text(one, "name"), text(one, "message"));
        writeln!(out, "{name}: until {}: {message}", text(one, "resumes_at"))?;
    }
    for wait in all("waiting") {
        let [model, documents, calls, until] =
            ["model", "documents", "calls", "until"].map(|field| text(wait, field));
        writeln!(out, "{model}: {documents} documents and {calls} calls wait, until {until}")?;
    }
    if list["workers"] == 0 {
        writeln!(out, "no worker runs: start `sluice worker`")?;
    }
    Ok(())
}

/// Columns as wide as what stands in them.
fn print_rows<const N: usize>(rows: &[[String; N]]) -> Result<(), End> {
    let mut widths = [0; N];
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut out = std::io::stdout();
    for row in rows {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}"));
        let line = cells.collect::<Vec<_>>().join("  ");
        writeln!(out, "{}", line.trim_end())?;
    }
    Ok(())
}

fn print(value: &impl Serialize) -> Result<(), End> {
    let text = serde_json::to_string_pretty(value).map_err(anyhow::Error::from)?;
    Ok(writeln!(std::io::stdout(), "{text}")?)
}
