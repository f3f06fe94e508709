//! Whether a schema is acceptable, and what would be sent to the model.

use crate::{
    client::{Api, Server},
    end::End,
    infer,
};
use clap::{Args, Subcommand};
use serde_json::Value;
use shared::{
    config::Config,
    schema::{ExtractionSchema, SchemaRef},
};
use std::{
    io::Write,
    path::{Path, PathBuf},
};
use worker::extract::explain;

#[derive(Debug, Args)]
pub(crate) struct Schema {
    #[command(subcommand)]
    action: SchemaCommand,
}

#[derive(Debug, Subcommand)]
enum SchemaCommand {
    /// Say whether a JSON Schema can be used and what becomes of each property, and print what would be
    /// sent to the model
    Check {
        /// A file with a JSON Schema
        file: PathBuf,
    },
    /// Propose a schema from samples, by one question to a model; JSON Schema to stdout
    #[command(
        after_help = "Example:\n  sluice schema infer a.pdf b.pdf --name bill > schemas/bill.json"
    )]
    Infer(infer::Infer),
    /// List the schemas of a running uploader
    List {
        #[command(flatten)]
        server: Server,
    },
}

pub(crate) async fn run(
    schema: Schema,
    load: impl FnOnce() -> Result<Config, End>,
) -> Result<(), End> {
    match schema.action {
        SchemaCommand::Check { file } => {
            let body = read(&file)?;
            usable(&file.display().to_string(), &body)?;
            let strict = shared::schema::strict::convert(&body)
                .map_err(|faults| End::Usage(said(&file.display().to_string(), &faults)))?;
            explain(&file.display().to_string(), body)?;
            let text = serde_json::to_string_pretty(&strict).map_err(anyhow::Error::from)?;
            Ok(writeln!(std::io::stdout(), "{text}")?)
        }
        SchemaCommand::Infer(infer) => infer::run(infer, &load()?).await,
        SchemaCommand::List { server } => {
            let page = Api::new(&server.url)?.get("/v1/schemas").await?;
            for schema in page["data"].as_array().map(Vec::as_slice).unwrap_or_default() {
                writeln!(std::io::stdout(), "{}", schema["ref"].as_str().unwrap_or_default())?;
            }
            Ok(())
        }
    }
}

/// Says on the standard error what becomes of each property.
fn explain(file: &str, body: Value) -> Result<(), End> {
    let reference = SchemaRef { name: "checked".parse().map_err(anyhow::Error::from)?, version: 1 };
    let schema = ExtractionSchema { reference, body };
    let explained = explain::explain(&schema).map_err(|faults| End::Usage(said(file, &faults)))?;
    let mut output = std::io::stderr().lock();
    for property in explained {
        let concept = property.concept.map(|concept| format!("   concept {concept}"));
        let concept = concept.unwrap_or_default();
        writeln!(output, "{}   {}{concept}", property.path, property.types.join(" or "))?;
        for check in property.checks {
            writeln!(output, "    check {check}")?;
        }
        for change in property.changes {
            writeln!(output, "    {change}")?;
        }
    }
    Ok(())
}

/// Reads a file with a JSON Schema.
pub(crate) fn read(file: &Path) -> Result<Value, End> {
    let text = std::fs::read_to_string(file)
        .map_err(|error| End::Usage(format!("{}: {error}", file.display())))?;
    serde_json::from_str(&text)
        .map_err(|error| End::Usage(format!("{}: this is not JSON: {error}", file.display())))
}

/// Refuses a schema that cannot be used, and names every fault.
pub(crate) fn usable(file: &str, body: &Value) -> Result<(), End> {
    let faults = shared::schema::faults(body);
    if faults.is_empty() { Ok(()) } else { Err(End::Usage(said(file, &faults))) }
}

fn said(file: &str, faults: &[shared::schema::SchemaFault]) -> String {
    let lines = faults.iter().map(|fault| {
        let path = if fault.path.is_empty() { "/" } else { &fault.path };
        format!("\n  {path}: {}", fault.message)
    });
    format!("{file} cannot be used as a schema:{}", lines.collect::<String>())
}
