//! One shot, without a server: everything runs in this process and in a temporary folder.

use crate::{
    client::{Api, segment},
    end::End,
    password::PasswordSource,
    roles::{self, Roles, Running},
    schema, upload,
};
use clap::Args;
use futures::{StreamExt, stream};
use reqwest::Method;
use serde_json::Value;
use shared::{
    config::{Config, DatabaseAddress, QueueAddress, Secret, StorageAddress},
    document::{Priority, SplitMode},
};
use std::{
    io::Write,
    path::{Path, PathBuf},
};

/// How long somebody waits at a terminal for deployments that cannot be used, in seconds.
const OUTAGE_SECONDS_MAX: u64 = 30;

/// How many documents are on their way at once.
const AT_ONCE: usize = 16;

#[derive(Debug, Args)]
pub(crate) struct Extract {
    /// Files
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// The schema: the name of one that is built in or configured, or a file with a JSON Schema
    #[arg(long, default_value = "generic")]
    schema: String,
    /// What to do where a file holds several documents: auto (each gets a result of its own), warn, or
    /// off. Default: as configured
    #[arg(long, value_name = "auto|warn|off")]
    split: Option<SplitMode>,
    #[command(flatten)]
    password: PasswordSource,
}

/// Uploader and worker in this process, keeping everything in `folder`.
pub(crate) async fn within(folder: &Path, mut config: Config) -> Result<(Running, Api), End> {
    config.listen = "127.0.0.1:0".to_owned();
    config.storage = StorageAddress::Dir(folder.join("blobs"));
    config.database = DatabaseAddress::Sqlite(folder.join("sluice.db"));
    config.queue = QueueAddress::Embedded;
    let running = roles::start(config, Roles { uploader: true, worker: true }).await?;
    let address = running.address.ok_or_else(|| End::Usage("nothing listens".to_owned()))?;
    let api = Api::new(&format!("http://{address}"))?;
    Ok((running, api))
}

pub(crate) async fn run(extract: Extract, mut config: Config) -> Result<(), End> {
    let outage = &mut config.worker.outage_seconds_max;
    *outage = (*outage).min(OUTAGE_SECONDS_MAX);
    config.members.split = extract.split.unwrap_or(config.members.split);
    for file in &extract.files {
        if !file.is_file() {
            return Err(End::Usage(format!("{}: there is no such file", file.display())));
        }
    }
    let folder = tempfile::tempdir()?;
    let (running, api) = within(folder.path(), config).await?;
    let printed = print_all(&extract, &api).await;
    running.stop().await;
    match printed? {
        0 => Ok(()),
        1 if extract.files.len() == 1 => Err(End::Failed(String::new())),
        n => Err(End::Failed(format!("{n} of the documents failed; their lines say why"))),
    }
}

async fn print_all(extract: &Extract, api: &Api) -> Result<u32, End> {
    let (name, password) = (name(extract, api).await?, extract.password.read()?);
    let one = |file: &PathBuf| one(api, file.clone(), name.clone(), password.clone());
    let mut outcomes = stream::iter(&extract.files).map(one).buffered(AT_ONCE);
    let single = extract.files.len() == 1;
    let mut failed = 0;
    while let Some(outcome) = outcomes.next().await {
        let outcome = outcome?;
        failed += u32::from(!upload::ended_well(&outcome));
        let line = if single {
            serde_json::to_string_pretty(&outcome).map_err(anyhow::Error::from)?
        } else {
            outcome.to_string()
        };
        writeln!(std::io::stdout(), "{line}")?;
    }
    Ok(failed)
}

/// The name of the schema; a file becomes one.
async fn name(extract: &Extract, api: &Api) -> Result<String, End> {
    let file = Path::new(&extract.schema);
    if !extract.schema.ends_with(".json") {
        return Ok(extract.schema.clone());
    }
    let body = schema::read(file)?;
    schema::usable(&extract.schema, &body)?;
    api.json(|| api.request(Method::PUT, "/v1/schemas/from-file").json(&body)).await?;
    Ok("from-file".to_owned())
}

async fn one(
    api: &Api,
    file: PathBuf,
    schema: String,
    password: Option<Secret>,
) -> Result<Value, End> {
    let name = upload::name(&file);
    let sha256 = upload::digest(&file).ok();
    let outcome = async {
        let document =
            send(api, &name, bytes(&file)?, &schema, Priority::Bulk, password.as_ref()).await?;
        upload::result(api, document, |_| {}).await
    };
    // One refused file does not stop the others.
    upload::line(&name, sha256, outcome.await)
}

fn bytes(file: &Path) -> Result<Vec<u8>, End> {
    std::fs::read(file).map_err(|error| End::Usage(format!("{}: {error}", file.display())))
}

/// Uploads bytes under a name.
pub(crate) async fn send(
    api: &Api,
    name: &str,
    bytes: Vec<u8>,
    schema: &str,
    priority: Priority,
    password: Option<&Secret>,
) -> Result<Value, End> {
    let (schema, name, priority) = (segment(schema), segment(name), priority.as_str());
    let path = format!("/v1/documents?schema={schema}&filename={name}&priority={priority}");
    let request = || api.request(Method::POST, &path).body(bytes.clone());
    api.json(|| upload::with_password(request(), password)).await
}
