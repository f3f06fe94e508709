//! Documents from the shell: the HTTP API with a table for people.

use crate::{
    client::{Api, Server, segment},
    end::End,
};
use clap::{Args, Subcommand, ValueEnum};
use reqwest::Method;
use serde_json::{Map, Value, json};
use std::io::Write;

#[derive(Debug, Args)]
pub(crate) struct Documents {
    #[command(subcommand)]
    action: DocumentsCommand,
    /// How to print
    #[arg(short, long, global = true, value_enum, default_value_t)]
    output: Output,
    #[command(flatten)]
    server: Server,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Output {
    /// Columns, for people
    #[default]
    Table,
    /// JSON, for programs
    Json,
}

#[derive(Debug, Subcommand)]
enum DocumentsCommand {
    /// List documents, newest first
    List {
        /// Only in this state
        #[arg(long)]
        state: Option<String>,
        /// Only for this schema
        #[arg(long)]
        schema: Option<String>,
        /// Only those made of this document
        #[arg(long)]
        parent: Option<String>,
        /// Only with this metadata, as KEY=VALUE
        #[arg(long, value_name = "KEY=VALUE")]
        metadata: Vec<String>,
        /// At most so many
        #[arg(long, default_value_t = 20)]
        limit: u32,
        /// Those after this one
        #[arg(long)]
        after: Option<String>,
    },
    /// Show a document and the calls that were made for it
    Show { id: String },
    /// Print the extraction
    Result { id: String },
    /// Print the text by page
    Text { id: String },
    /// Run a failed document again, or all that match a filter
    #[command(
        after_help = "Example:\n  sluice documents retry --code no_deployment --schema invoice"
    )]
    Retry {
        /// The document
        id: Option<String>,
        #[command(flatten)]
        filter: RetryFilter,
    },
    /// Run a document again, with another schema where one is given
    Reprocess {
        id: String,
        #[arg(long)]
        schema: Option<String>,
    },
    /// Stop a document that has not ended
    Cancel { id: String },
    /// Delete a document with everything that belongs to it
    Delete { id: String },
}

/// Which failed documents are run again; all that are named must hold.
#[derive(Debug, Args)]
#[group(conflicts_with = "id")]
struct RetryFilter {
    /// Those that failed with this code
    #[arg(long)]
    code: Option<String>,
    /// Those of this schema
    #[arg(long)]
    schema: Option<String>,
    /// Those that were uploaded before this time, such as 2025-03-01T00:00:00Z
    #[arg(long, value_name = "TIME")]
    before: Option<String>,
    /// All that failed
    #[arg(long)]
    all: bool,
}

impl RetryFilter {
    fn body(self) -> Value {
        let given = [("code", self.code), ("schema", self.schema), ("before", self.before)];
        let given = given.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
        given.map(|(name, value)| (name, Value::from(value))).collect()
    }
}

pub(crate) async fn run(documents: Documents) -> Result<(), End> {
    let api = Api::new(&documents.server.url)?;
    let table = documents.output == Output::Table;
    let path = |id: &str, rest: &str| format!("/v1/documents/{}{rest}", segment(id));
    let post = async |id: &str, rest: &str, body: Value| {
        let path = path(id, rest);
        api.json(|| api.request(Method::POST, &path).json(&body)).await
    };
    match documents.action {
        DocumentsCommand::List { state, schema, parent, metadata, limit, after } => {
            let names =
                [("state", state), ("schema", schema), ("parent", parent), ("after", after)];
            let query = query(names, &metadata, limit)?;
            let page = api.get(&format!("/v1/documents?{query}")).await?;
            if table { print_table(&page) } else { print(&page) }
        }
        DocumentsCommand::Show { id } => {
            let mut document = api.get(&path(&id, "")).await?;
            let attempts = api.get(&path(&id, "/attempts")).await?;
            document["calls"] = attempts["data"].clone();
            print(&document)
        }
        DocumentsCommand::Result { id } => print(&api.get(&path(&id, "/result")).await?),
        DocumentsCommand::Text { id } if table => {
            let path = path(&id, "/text");
            let plain = || api.request(Method::GET, &path).header("accept", "text/plain");
            let text = api.text(plain).await?;
            Ok(writeln!(std::io::stdout(), "{text}")?)
        }
        DocumentsCommand::Text { id } => print(&api.get(&path(&id, "/text")).await?),
        DocumentsCommand::Retry { id: Some(id), .. } => {
            print(&post(&id, "/retry", json!({})).await?)
        }
        DocumentsCommand::Retry { id: None, filter } => {
            let is_all = filter.all;
            let body = filter.body();
            if !is_all && body.as_object().is_none_or(Map::is_empty) {
                let message = "say which: a document, or --code, --schema, --before or --all";
                return Err(End::usage(message));
            }
            let request = || api.request(Method::POST, "/v1/documents/retry").json(&body);
            print(&api.json(request).await?)
        }
        DocumentsCommand::Cancel { id } => print(&post(&id, "/cancel", json!({})).await?),
        DocumentsCommand::Reprocess { id, schema } => {
            let body = schema.map_or(json!({}), |schema| json!({ "schema": schema }));
            print(&post(&id, "/reprocess", body).await?)
        }
        DocumentsCommand::Delete { id } => {
            let path = path(&id, "");
            api.json(|| api.request(Method::DELETE, &path)).await?;
            Ok(())
        }
    }
}

fn query(
    names: [(&str, Option<String>); 4],
    metadata: &[String],
    limit: u32,
) -> Result<String, End> {
    let mut query = format!("limit={limit}");
    for (name, value) in names {
        if let Some(value) = value {
            query.push_str(&format!("&{name}={}", segment(&value)));
        }
    }
    for pair in metadata {
        let (key, value) = pair
            .split_once('=')
            .ok_or_else(|| End::Usage(format!("--metadata {pair:?}: write KEY=VALUE")))?;
        query.push_str(&format!("&metadata.{}={}", segment(key), segment(value)));
    }
    Ok(query)
}

fn print(value: &Value) -> Result<(), End> {
    let text = serde_json::to_string_pretty(value).map_err(anyhow::Error::from)?;
    Ok(writeln!(std::io::stdout(), "{text}")?)
}

fn print_table(page: &Value) -> Result<(), End> {
    let mut out = std::io::stdout();
    writeln!(out, "{:<36}  {:<10}  {:<14}  {:<20}  FILE", "ID", "STATE", "SCHEMA", "CREATED")?;
    let documents = page["data"].as_array().map(Vec::as_slice).unwrap_or_default();
    for document in documents {
        let text = |name: &str| document[name].as_str().unwrap_or_default();
        let created = text("created_at").get(..19).unwrap_or_default();
        let why = document["failure"]["code"].as_str().map(|code| format!("  ({code})"));
        writeln!(
            out,
            "{:<36}  {:<10}  {:<14}  {:<20}  {}{}",
            text("id"),
            text("state"),
            text("schema"),
            created,
            text("filename"),
            why.unwrap_or_default()
        )?;
    }
    if let Some(next) = page["next"].as_str() {
        writeln!(out, "more: --after {next}")?;
    }
    Ok(())
}
