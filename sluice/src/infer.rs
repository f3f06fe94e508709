//! A schema proposed from samples, by one question to a model.

use crate::end::End;
use clap::Args;
use pool::{
    Need, Pool, PoolConfig,
    typed::{
        chat::{CallError, Request},
        json,
    },
};
use reader::{FileType, Format, Pages, TextReader};
use serde_json::Value;
use shared::{config::Config, schema::SchemaName};
use std::{
    io::Write,
    path::{Path, PathBuf},
    time::Duration,
};
use worker::extract::propose;

/// How long somebody waits at a terminal for quota.
const WAIT_MAX: Duration = Duration::from_secs(120);

/// A call that was certainly not paid is made again so often.
const CALLS_MAX: u32 = 3;

#[derive(Debug, Args)]
pub(crate) struct Infer {
    /// Samples of one kind of document; a few say more than one
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// The name of the schema, which becomes its title
    #[arg(long, default_value = "proposed")]
    name: String,
    /// The model to ask [default: that of the first deployment]
    #[arg(long)]
    model: Option<String>,
}

pub(crate) async fn run(infer: Infer, config: &Config) -> Result<(), End> {
    config.deployments_required().map_err(End::usage)?;
    let name: SchemaName = infer.name.parse().map_err(End::usage)?;
    let reader = worker::text_reader(config)?;
    let mut samples = Vec::new();
    for file in &infer.files {
        samples.push(read(&reader, file).await?);
    }
    let first = config.deployments.first().map(|first| first.model.clone());
    let model = infer.model.or(first).unwrap_or_default();
    let request = propose::request(&samples, &model, config.worker.tokens_output_max);
    let strategies = config.models.iter().map(|one| (one.name.clone(), one.strategy)).collect();
    let call_timeout = Duration::from_secs(config.worker.call_timeout_seconds);
    let deployments = config.deployments.clone();
    let pool =
        Pool::new(PoolConfig { deployments, strategies, call_timeout }).map_err(End::usage)?;
    let answer = ask(&pool, &request).await?;
    let schema = propose::schema(&answer, name.as_str()).map_err(End::Failed)?;
    let faults = shared::schema::faults(&schema);
    if let Some(fault) = faults.first() {
        return Err(End::Failed(format!("{}: {}", fault.path, fault.message)));
    }
    let text = serde_json::to_string_pretty(&schema).map_err(anyhow::Error::from)?;
    writeln!(std::io::stdout(), "{text}")?;
    writeln!(
        std::io::stderr(),
        "read it, change it, and use it: sluice extract FILE --schema {name}.json"
    )?;
    Ok(())
}

/// The text of a sample.
async fn read(reader: &TextReader, file: &Path) -> Result<Pages, End> {
    let name = file.display();
    let bytes = std::fs::read(file).map_err(|error| End::Usage(format!("{name}: {error}")))?;
    let head = bytes.get(..Format::SNIFF_BYTES).unwrap_or(&bytes);
    let unknown = || End::Usage(format!("{name}: it is of no format that is read"));
    let file_type = FileType::sniff(head, &name.to_string(), None).ok_or_else(unknown)?;
    let pages = reader.read(&bytes.into(), file_type).await;
    let pages = pages.map_err(|error| End::Failed(format!("{name}: {error}")))?;
    if pages.without_text().len() == pages.pages.len() {
        return Err(End::Failed(format!("{name}: it has no text: is this a scan?")));
    }
    Ok(pages)
}

/// What a model answers.
async fn ask(pool: &Pool, request: &Request) -> Result<Value, End> {
    let need = Need::of(request, true, WAIT_MAX);
    let mut call = 1;
    let reply = loop {
        let reservation = pool.reserve(&need).await.map_err(End::usage)?;
        match reservation.send(request).await {
            Ok(reply) => break reply,
            // Whoever refuses does so again.
            Err(error @ (CallError::Denied { .. } | CallError::Refused { .. })) => {
                return Err(End::unreachable(error));
            }
            Err(error) if error.is_unbilled() && call < CALLS_MAX => call += 1,
            Err(error) => return Err(End::unreachable(error)),
        }
    };
    let answer = reply.answer().map_err(|fault| End::Failed(fault.to_string()))?;
    json::read(&answer.content)
        .map_err(|error| End::Failed(format!("the model's answer is no JSON: {error}")))
}
