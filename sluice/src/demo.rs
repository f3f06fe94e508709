//! Everything in one process and a temporary folder: two simulated deployments, uploader, worker,
//! and the documents that we made.

use crate::{end::End, expected, extract, roles::Running, upload};
use clap::Args;
use futures::{StreamExt, stream};
use pool::{DeploymentConfig, Provider, Secret};
use serde_json::Value;
use shared::{
    config::{Config, Scans},
    document::Priority,
};
use simulator::Running as Simulation;
use std::{
    io::{self, Write},
    time::Instant,
};

/// How many documents are on their way at once.
const AT_ONCE: usize = 16;
/// The document whose extraction is printed.
const SHOWN: &str = "invoice-en-classic.pdf";

#[derive(Debug, Args)]
pub(crate) struct Demo {
    /// End after printing; status 0 only if every document ended as expected
    #[arg(long)]
    exit: bool,
}

/// How one bundled document ended.
struct Row {
    file: String,
    outcome: Value,
    seconds: f64,
    differences: Vec<String>,
}

pub(crate) async fn run(demo: Demo) -> Result<(), End> {
    let folder = tempfile::tempdir()?;
    let mut simulated = simulator::Config::demo();
    simulated.listen = "127.0.0.1:0".to_owned();
    let config = config(&simulated.deployments);
    let simulation = simulator::start(simulated).await.map_err(End::usage)?;
    let config = at(config, &simulation);
    let (running, api) = extract::within(folder.path(), config).await?;
    let rows = upload_all(&api).await;
    let rows = match rows {
        Ok(rows) => rows,
        Err(end) => {
            running.stop().await;
            return Err(end);
        }
    };
    show(&rows, &running)?;
    if !demo.exit {
        writeln!(io::stdout(), "Press Ctrl-C to end.")?;
        tokio::signal::ctrl_c().await?;
    }
    running.stop().await;
    simulation.stop().await;
    let wrong = rows.iter().filter(|row| !row.differences.is_empty()).count();
    match wrong {
        0 => Ok(()),
        n => Err(End::Failed(format!("{n} of {} documents did not end as expected", rows.len()))),
    }
}

async fn upload_all(api: &crate::client::Api) -> Result<Vec<Row>, End> {
    let mut files: Vec<_> = expected::DOCUMENTS.files().collect();
    files.sort_by_key(|file| file.path());
    let bar = upload::bar(files.len() as u64);
    let one = |file: &'static include_dir::File<'static>| {
        let bar = bar.clone();
        async move {
            let name = file.path().display().to_string();
            let expected = expected::of(&name).unwrap_or_default();
            let schema = expected["schema"].as_str().unwrap_or("generic");
            let started = Instant::now();
            let bytes = file.contents().to_vec();
            // Somebody looks on, and nobody else wants the quota.
            let document =
                extract::send(api, &name, bytes, schema, Priority::Interactive, None).await?;
            let outcome = upload::result(api, document, |_| {}).await?;
            bar.inc(1);
            let differences = expected::differences(&expected, &outcome);
            let seconds = started.elapsed().as_secs_f64();
            Ok(Row { file: name, outcome, seconds, differences })
        }
    };
    let rows = stream::iter(files).map(one).buffered(AT_ONCE).collect::<Vec<_>>().await;
    bar.finish_and_clear();
    rows.into_iter().collect()
}

fn show(rows: &[Row], running: &Running) -> io::Result<()> {
    let mut out = io::stdout();
    writeln!(
        out,
        "{:<32} {:<10} {:>7} {:>7} {:>9} {:>8}  DEPLOYMENT",
        "FILE", "STATE", "TIME", "TOKENS", "VERIFIED", "MISSING"
    )?;
    for row in rows {
        let outcome = &row.outcome;
        let tokens = |name: &str| outcome["usage"][name].as_u64().unwrap_or_default();
        let failed = outcome["failure"]["code"].as_str();
        let verified = match failed {
            Some(_) => "-".to_owned(),
            None => format!("{:.0} %", expected::verified(outcome) * 100.0),
        };
        let missing = failed.map_or_else(|| expected::missing(outcome).to_string(), |_| "-".into());
        writeln!(
            out,
            "{:<32} {:<10} {:>5.2} s {:>7} {:>9} {:>8}  {}",
            row.file,
            outcome["state"].as_str().unwrap_or("refused"),
            row.seconds,
            tokens("tokens_input") + tokens("tokens_output"),
            verified,
            missing,
            outcome["model"]["deployment"].as_str().or(failed).unwrap_or("-"),
        )?;
        for difference in &row.differences {
            writeln!(out, "    not as expected: {difference}")?;
        }
    }
    if let Some(first) = rows.iter().find(|row| row.file == SHOWN) {
        writeln!(out, "\nThe extraction of {}:", first.file)?;
        writeln!(
            out,
            "{}",
            serde_json::to_string_pretty(&first.outcome).map_err(io::Error::other)?
        )?;
    }
    if let Some(address) = running.address {
        writeln!(
            out,
            "\nThe answers are looked up by label, not by a model: see simulator/README.md.\n\
             Look around:  http://{address}/docs  and  http://{address}/v1/documents\n\
             With your own deployments:  OPENAI_API_KEY=... sluice up"
        )?;
    }
    Ok(())
}

/// The configuration that fits the simulated deployments.
fn config(simulated: &[simulator::DeploymentConfig]) -> Config {
    let deployment = |simulated: &simulator::DeploymentConfig| DeploymentConfig {
        name: simulated.name.clone(),
        model: simulated.model.clone().unwrap_or_else(|| simulated.name.clone()),
        provider: Provider::Azure,
        deployment: Some(simulated.name.clone()),
        api_key: Some(Secret::new("simulated")),
        tokens_per_minute: Some(simulated.tokens_per_minute),
        requests_per_minute: Some(simulated.requests_per_minute),
        input_price_per_million: Some(2.5),
        output_price_per_million: Some(10.0),
        ..DeploymentConfig::default()
    };
    let mut config =
        Config { deployments: simulated.iter().map(deployment).collect(), ..Config::default() };
    // The same end on every machine, whether it has OCR or not.
    config.text.scans = Scans::Fail;
    config
}

fn at(mut config: Config, simulation: &Simulation) -> Config {
    for deployment in &mut config.deployments {
        deployment.endpoint = simulation.url();
    }
    config
}
