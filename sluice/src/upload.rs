//! Uploads files and folders to a running uploader: many at once, with a progress bar. Run again
//! after an interruption it finds what is there: the idempotency key is made from the content.

use crate::{
    client::{Api, Server, segment},
    end::End,
    password::PasswordSource,
};
use clap::Args;
use futures::{StreamExt, stream};
use indicatif::{ProgressBar, ProgressStyle};
use reqwest::{Method, RequestBuilder, header::HeaderValue};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use shared::{config::Secret, document::SplitMode, schema::hexadecimal};
use std::{
    io::{Read, Write},
    path::{Path, PathBuf},
};
use tokio_util::io::ReaderStream;

/// How many files are on their way at once.
const AT_ONCE: usize = 8;

/// How often a document that is waited for is looked at, in seconds: its end is known at once.
const WAIT_SECONDS: u32 = 5;

#[derive(Debug, Args)]
pub(crate) struct Upload {
    /// Files or folders
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// The schema: NAME for its newest version, NAME@2 for version 2
    #[arg(long, default_value = "generic")]
    schema: String,
    /// Wait for every document and print its result as a line of JSON
    #[arg(long)]
    wait: bool,
    /// Go into folders within folders
    #[arg(long)]
    recursive: bool,
    /// Serve these before bulk work
    #[arg(long)]
    interactive: bool,
    /// What to do where a file holds several documents: auto (each gets a result of its own), warn, or
    /// off. Default: as the uploader is configured
    #[arg(long, value_name = "auto|warn|off")]
    split: Option<SplitMode>,
    /// What to attach, as KEY=VALUE; may be repeated
    #[arg(long, value_name = "KEY=VALUE")]
    metadata: Vec<String>,
    #[command(flatten)]
    password: PasswordSource,
    #[command(flatten)]
    server: Server,
}

pub(crate) async fn run(upload: Upload) -> Result<(), End> {
    let api = Api::new(&upload.server.url)?;
    let files = files(&upload.paths, upload.recursive)?;
    let metadata = metadata(&upload.metadata)?;
    let password = upload.password.read()?;
    let bar = bar(files.len() as u64);
    let send = |file: PathBuf| {
        let (api, upload, metadata, bar) = (&api, &upload, &metadata, &bar);
        let password = password.as_ref();
        async move {
            let sent = one(api, upload, metadata, password, bar, &file).await;
            bar.set_message("");
            bar.inc(1);
            (file, sent)
        }
    };
    let mut sent = stream::iter(files).map(send).buffer_unordered(AT_ONCE);
    let mut failed = 0_u32;
    while let Some((file, outcome)) = sent.next().await {
        let is_bad = match &outcome {
            Ok(value) => upload.wait && !ended_well(value),
            Err(_) => true,
        };
        failed += u32::from(is_bad);
        let mut line = line(&name(&file), digest(&file).ok(), outcome)?;
        if let Some(object) = line.as_object_mut().filter(|object| object.contains_key("error")) {
            object.insert("file".to_owned(), file.display().to_string().into());
        }
        bar.suspend(|| writeln!(std::io::stdout(), "{line}"))?;
    }
    bar.finish_and_clear();
    match failed {
        0 => Ok(()),
        n => Err(End::Failed(format!("{n} of the documents failed; their lines say why"))),
    }
}

async fn one(
    api: &Api,
    upload: &Upload,
    metadata: &Map<String, Value>,
    password: Option<&Secret>,
    bar: &ProgressBar,
    file: &Path,
) -> Result<Value, End> {
    let name = name(file);
    let priority = if upload.interactive { "interactive" } else { "bulk" };
    let metadata = Value::Object(metadata.clone()).to_string();
    let split = upload.split.map(SplitMode::as_str);
    // As it was before there was anything to split, where nothing is asked.
    let mut asked = vec![name.as_str(), &upload.schema, priority, &metadata];
    asked.extend(split);
    // One that was refused for want of a password is asked for again.
    asked.extend(password.map(|_| "with a password"));
    let key = key(file, &asked)?;
    let mut path = format!(
        "/v1/documents?schema={}&priority={priority}&filename={}&metadata={}",
        segment(&upload.schema),
        segment(&name),
        segment(&metadata)
    );
    path.extend(split.map(|split| format!("&split={split}")));
    let handle = std::fs::File::open(file).map_err(|error| unreadable(file, &error))?;
    let make = || {
        // Each try reads the file from its start.
        let body = handle.try_clone().and_then(|mut again| {
            std::io::Seek::rewind(&mut again)?;
            Ok(tokio::fs::File::from_std(again))
        });
        let request = api.request(Method::POST, &path).header("idempotency-key", &key);
        let request = with_password(request, password);
        match body {
            Ok(body) => request.body(reqwest::Body::wrap_stream(ReaderStream::new(body))),
            Err(_) => request,
        }
    };
    let document = api.json(make).await?;
    if !upload.wait {
        return Ok(document);
    }
    let show = |document: &Value| {
        let progress = &document["progress"];
        if let (Some(done), Some(total)) =
            (progress["pages_done"].as_u64(), progress["pages_total"].as_u64())
        {
            bar.set_message(format!("({name}: {done} of {total} pages)"));
        }
    };
    result(api, document, show).await
}

/// The request with the password of its file, as a header that is not logged.
pub(crate) fn with_password(request: RequestBuilder, password: Option<&Secret>) -> RequestBuilder {
    let Some(password) = password else { return request };
    match HeaderValue::from_bytes(password.expose().as_bytes()) {
        Ok(mut value) => {
            value.set_sensitive(true);
            request.header("document-password", value)
        }
        // Line ends and the like: the uploader says that it is none.
        Err(_) => request.header("document-password", ""),
    }
}

/// A line of output: what became of a file, with its name and the hash of its content. Where nothing
/// can be reached, nothing else would fare better.
pub(crate) fn line(
    filename: &str,
    sha256: Option<String>,
    outcome: Result<Value, End>,
) -> Result<Value, End> {
    let outcome = match outcome {
        Ok(outcome) => outcome,
        Err(End::Unreachable(message)) => return Err(End::Unreachable(message)),
        Err(End::Failed(message) | End::Usage(message)) => json!({ "error": message }),
    };
    let mut line = Map::new();
    line.insert("filename".to_owned(), filename.into());
    line.extend(sha256.map(|sha256| ("sha256".to_owned(), sha256.into())));
    // What the uploader says of them counts.
    line.extend(outcome.as_object().cloned().unwrap_or_default());
    Ok(Value::Object(line))
}

/// The name of a file, without its folder.
pub(crate) fn name(file: &Path) -> String {
    file.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// The result of an uploaded document, once there is one: its extraction, or the document as it
/// ended. The results of what was made of it stand in `children`.
/// `show` sees each document while it waits for it.
pub(crate) async fn result(
    api: &Api,
    document: Value,
    show: impl Fn(&Value),
) -> Result<Value, End> {
    let mut open = vec![document];
    // Each with the place of the one that it was made of.
    let mut ended: Vec<(Value, Option<usize>)> = Vec::new();
    let mut parents = vec![None];
    while let Some((document, parent)) = open.pop().zip(parents.pop()) {
        let (document, result) = end(api, document, &show).await?;
        for child in document["children"].as_array().into_iter().flatten().rev() {
            let id = child.as_str().unwrap_or_default();
            open.push(api.get(&format!("/v1/documents/{id}")).await?);
            parents.push(Some(ended.len()));
        }
        ended.push((result, parent));
    }
    // The last ones are within those before them.
    while let Some((result, parent)) = ended.pop() {
        let Some(parent) = parent else { return Ok(result) };
        let of = ended.get_mut(parent).and_then(|(of, _)| of.as_object_mut());
        if let Some(Value::Array(children)) = of.and_then(|of| of.get_mut("children")) {
            children.insert(0, result);
        }
    }
    Ok(Value::Null)
}

/// The document when it has ended, and its extraction if there is one, else the document: with room
/// for what was made of it.
async fn end(
    api: &Api,
    mut document: Value,
    show: &impl Fn(&Value),
) -> Result<(Value, Value), End> {
    let id = document["id"].as_str().unwrap_or_default().to_owned();
    while let Some("queued" | "processing") = document["state"].as_str() {
        document = api.get(&format!("/v1/documents/{id}?wait={WAIT_SECONDS}")).await?;
        show(&document);
    }
    let mut result = match document["state"].as_str() {
        Some("succeeded" | "partial") => api.get(&format!("/v1/documents/{id}/result")).await?,
        _ => document.clone(),
    };
    if let Some(result) = result.as_object_mut() {
        if document["children"].is_array() {
            result.insert("children".to_owned(), Value::Array(Vec::new()));
        }
        if !document["parent"].is_null() {
            result.insert("parent".to_owned(), document["parent"].clone());
        }
    }
    Ok((document, result))
}

/// Whether a result, as [`result`] gives it, is an extraction, or was split into some that are; and
/// so are those of all that was made of it.
pub(crate) fn ended_well(value: &Value) -> bool {
    let is_good = value.get("data").is_some() || value["state"] == "split";
    is_good && value["children"].as_array().into_iter().flatten().all(ended_well)
}

/// A progress bar on stderr; hidden where that is no terminal.
pub(crate) fn bar(length: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:32} {pos}/{len} documents, {elapsed} {msg}");
    ProgressBar::new(length).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

fn key(file: &Path, parts: &[&str]) -> Result<String, End> {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part.as_bytes());
    }
    read(file, &mut hash)?;
    Ok(format!("sluice-upload-{}", hexadecimal(&hash.finalize())))
}

/// SHA-256 of a file's content, in hexadecimal digits.
pub(crate) fn digest(file: &Path) -> Result<String, End> {
    let mut hash = Sha256::new();
    read(file, &mut hash)?;
    Ok(hexadecimal(&hash.finalize()))
}

fn read(file: &Path, hash: &mut Sha256) -> Result<(), End> {
    let mut handle = std::fs::File::open(file).map_err(|error| unreadable(file, &error))?;
    let mut buffer = vec![0; 128 * 1024];
    loop {
        let read = handle.read(&mut buffer).map_err(|error| unreadable(file, &error))?;
        match buffer.get(..read) {
            Some([]) | None => return Ok(()),
            Some(piece) => hash.update(piece),
        }
    }
}

fn metadata(pairs: &[String]) -> Result<Map<String, Value>, End> {
    let pair = |pair: &String| {
        let (key, value) = pair
            .split_once('=')
            .ok_or_else(|| End::Usage(format!("--metadata {pair:?}: write KEY=VALUE")))?;
        Ok((key.to_owned(), Value::from(value)))
    };
    pairs.iter().map(pair).collect()
}

fn files(paths: &[PathBuf], recursive: bool) -> Result<Vec<PathBuf>, End> {
    let mut files = Vec::new();
    for path in paths {
        if path.is_dir() {
            folder(path, recursive, &mut files)?;
        } else if path.exists() {
            files.push(path.clone());
        } else {
            return Err(End::Usage(format!("{}: there is no such file", path.display())));
        }
    }
    if files.is_empty() {
        let hint = if recursive { "" } else { "; --recursive goes into folders within" };
        return Err(End::Usage(format!("there is no file in these folders{hint}")));
    }
    Ok(files)
}

fn folder(path: &Path, recursive: bool, files: &mut Vec<PathBuf>) -> Result<(), End> {
    let entries = std::fs::read_dir(path).map_err(|error| unreadable(path, &error))?;
    let mut entries = entries.collect::<Result<Vec<_>, _>>()?;
    entries.sort_by_key(std::fs::DirEntry::path);
    for entry in entries {
        let (path, kind) = (entry.path(), entry.file_type()?);
        let hidden = entry.file_name().to_string_lossy().starts_with('.');
        if kind.is_file() && !hidden {
            files.push(path);
        } else if kind.is_dir() && recursive && !hidden {
            folder(&path, recursive, files)?;
        }
    }
    Ok(())
}

fn unreadable(path: &Path, error: &std::io::Error) -> End {
    End::Usage(format!("{}: {error}", path.display()))
}
