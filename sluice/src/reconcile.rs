//! Finds where database and storage differ, and mends it: after a crash that nothing else mends,
//! a restored backup, or a lost database.

use crate::end::End;
use clap::Args;
use shared::{
    blob::{BlobKey, Blobs, Listed, STALE},
    clock,
    config::Config,
    document::{Document, DocumentId, DocumentState, FailureCode},
    extraction::Extraction,
    schema::ExtractionSchema,
    services::Services,
    store::{Filter, Found, NewDocument},
};
use std::{collections::BTreeSet, io::Write, time::Duration};

/// How many objects or rows are looked at in one go.
const PAGE: u32 = 200;

#[derive(Debug, Args)]
pub(crate) struct Reconcile {
    /// Only say what would be done
    #[arg(long)]
    dry_run: bool,
    /// Make the database's documents and schemas again from storage, where it does not have them
    #[arg(long)]
    from_storage: bool,
    /// Remove objects of documents that the database does not know
    #[arg(long, conflicts_with = "from_storage")]
    delete_unknown: bool,
    /// Leave younger objects alone: they may belong to an upload that is not accepted yet
    #[arg(long, value_name = "SECONDS", default_value_t = 3600)]
    older_than_seconds: u64,
}

/// What was found, and how much of it is left.
struct Report {
    dry_run: bool,
    mended: u64,
    left: u64,
}

impl Report {
    /// Says what is mended, and whether to do it.
    fn mend(&mut self, what: &str) -> std::io::Result<bool> {
        self.mended += 1;
        let verb = if self.dry_run { "to mend" } else { "mended" };
        writeln!(std::io::stdout(), "{verb}: {what}")?;
        Ok(!self.dry_run)
    }

    /// Says what cannot be mended from here.
    fn leave(&mut self, what: &str) -> std::io::Result<()> {
        self.left += 1;
        writeln!(std::io::stdout(), "left: {what}")
    }
}

pub(crate) async fn run(asked: &Reconcile, config: &Config) -> Result<(), End> {
    let services = Services::open(config).map_err(End::usage)?;
    if config.migrate {
        services.store.migrate().await.map_err(End::unreachable)?;
    }
    let mut report = Report { dry_run: asked.dry_run, mended: 0, left: 0 };
    if asked.from_storage {
        schemas(&services, &mut report).await?;
    }
    let objects = objects(asked, &services, &mut report).await?;
    let rows = rows(&services, &mut report).await?;
    if !asked.dry_run {
        let stale = services.blobs.abort_stale_uploads(STALE).await.map_err(End::unreachable)?;
        if stale > 0 {
            writeln!(std::io::stdout(), "mended: {stale} unfinished uploads are removed")?;
        }
        // The relay of any running process publishes what is to be processed again.
    }
    writeln!(
        std::io::stdout(),
        "{rows} documents and the objects of {objects} were looked at; {} differences mended, {} left",
        report.mended,
        report.left
    )?;
    match report.left {
        0 => Ok(()),
        left => {
            Err(End::Failed(format!("{left} differences are left: each line names its remedy")))
        }
    }
}

/// Puts back the schemas that the database does not have.
async fn schemas(services: &Services, report: &mut Report) -> Result<(), End> {
    let mut after = None;
    loop {
        let listed = page(&services.blobs, "schemas", after.as_deref()).await?;
        let Some(last) = listed.last() else { return Ok(()) };
        after = Some(last.key.as_str().to_owned());
        for object in &listed {
            let Some(schema) = read::<ExtractionSchema>(&services.blobs, &object.key).await? else {
                report.leave(&format!("{} is no schema that can be read", object.key))?;
                continue;
            };
            let reference = &schema.reference;
            let known =
                services.store.schemas().get(&reference.name, Some(reference.version)).await;
            match known.map_err(End::unreachable)? {
                Some(known) if known.fingerprint() == schema.fingerprint() => {}
                Some(_) => {
                    let what = "is another one in the database: restore before you start anything";
                    report.leave(&format!("the schema {reference} {what}"))?;
                }
                None => {
                    if report.mend(&format!("the schema {reference} is put back"))? {
                        let restored = services.store.schemas().restore(&schema).await;
                        restored.map_err(End::unreachable)?;
                    }
                }
            }
        }
    }
}

/// Looks at every document of which there are objects, and says how many those are.
async fn objects(asked: &Reconcile, services: &Services, report: &mut Report) -> Result<u64, End> {
    let (mut after, mut count): (Option<String>, u64) = (None, 0);
    let old =
        clock::now().checked_sub(Duration::from_secs(asked.older_than_seconds)).unwrap_or_default();
    let mut seen: Option<DocumentId> = None;
    loop {
        let listed = page(&services.blobs, "documents", after.as_deref()).await?;
        let Some(last) = listed.last() else { return Ok(count) };
        after = Some(last.key.as_str().to_owned());
        for object in listed {
            let id = object.key.as_str().split('/').nth(1).and_then(|id| id.parse().ok());
            let Some(id): Option<DocumentId> = id.filter(|id| seen.as_ref() != Some(id)) else {
                continue;
            };
            seen = Some(id.clone());
            count += 1;
            match services.store.documents().find(&id).await.map_err(End::unreachable)? {
                Found::Document(_) => {}
                Found::Deleted => {
                    if report.mend(&format!("{id} was deleted: its objects go too"))? {
                        remove(services, &id).await?;
                    }
                }
                Found::Nothing if asked.from_storage => restore(services, &id, report).await?,
                Found::Nothing if object.modified > old => {}
                Found::Nothing if asked.delete_unknown => {
                    if report.mend(&format!("the database does not know {id}: its objects go"))? {
                        remove(services, &id).await?;
                    }
                }
                Found::Nothing => report.leave(&format!(
                    "the database does not know {id}: --from-storage puts it back, \
                     --delete-unknown removes its objects"
                ))?,
            }
        }
    }
}

async fn remove(services: &Services, id: &DocumentId) -> Result<(), End> {
    services.blobs.delete_folder(&BlobKey::folder(id)).await.map_err(End::unreachable)
}

/// Puts a document back that is in storage alone: with its last result, or to be processed.
async fn restore(services: &Services, id: &DocumentId, report: &mut Report) -> Result<(), End> {
    let Some(about) = read::<NewDocument>(&services.blobs, &BlobKey::about(id)).await? else {
        return Ok(report.leave(&format!("nothing in storage says what {id} is: upload it again"))?);
    };
    let ended = last_result(&services.blobs, id).await?;
    let how = match &ended {
        Some((run, state)) => format!("{state}, with the result of run {run}"),
        None => "to be processed; questions that were answered are not paid again".to_owned(),
    };
    if report.mend(&format!("{id} is put back: {how}"))? {
        services.store.documents().restore(about, ended).await.map_err(End::unreachable)?;
    }
    Ok(())
}

/// The newest result of a document, by its run.
async fn last_result(blobs: &Blobs, id: &DocumentId) -> Result<Option<(u32, DocumentState)>, End> {
    let folder = BlobKey::folder(id);
    // Files that it carries may be many, and are listed before.
    let listed = page(blobs, folder.as_str(), Some(&format!("{folder}/result"))).await?;
    let run = |object: &Listed| object.key.as_str().rsplit_once("result-")?.1.parse().ok();
    let runs: BTreeSet<u32> = listed.iter().filter_map(run).collect();
    let Some(run) = runs.last().copied() else { return Ok(None) };
    let result = read::<Extraction>(blobs, &BlobKey::result(id, run)).await?;
    Ok(result.map(|result| (run, result.state)))
}

/// Looks at every row, and says how many there are.
async fn rows(services: &Services, report: &mut Report) -> Result<u64, End> {
    let mut filter = Filter { limit: PAGE, ..Filter::default() };
    let mut count = 0;
    loop {
        let documents =
            services.store.documents().list(filter.clone()).await.map_err(End::unreachable)?;
        let Some(last) = documents.last() else { return Ok(count) };
        filter.after = Some(last.id.clone());
        count += documents.len() as u64;
        for document in &documents {
            row(services, document, report).await?;
        }
    }
}

async fn row(services: &Services, document: &Document, report: &mut Report) -> Result<(), End> {
    let (blobs, store, id) = (&services.blobs, &services.store, &document.id);
    let location = store.documents().result_location(id).await.map_err(End::unreachable)?;
    // Deleted in between.
    let Some(location) = location else { return Ok(()) };
    let has_source = exists(blobs, &location.source).await?;
    if document.state.has_result() {
        let run = location.run;
        if exists(blobs, &BlobKey::result(id, run)).await? {
            return Ok(());
        }
        if !has_source {
            let what = "its result and its file are not in storage: delete it, and upload it again";
            return Ok(report.leave(&format!("{id}: {what}"))?);
        }
        let how = "its result is not in storage: it is processed again, from stored replies";
        if report.mend(&format!("{id}: {how}"))? {
            store.documents().reprocess(id, None).await.map_err(End::unreachable)?;
        }
    } else if !has_source && !document.state.is_end() {
        let what = "its file is not in storage: delete it, and upload it again";
        report.leave(&format!("{id}: {what}"))?;
    } else if has_source && is_unanswered(document) && is_answered(services, id).await? {
        let how = "a reply to it is in storage after all: it is processed again, at no cost";
        if report.mend(&format!("{id}: {how}"))? {
            store.documents().retry(id).await.map_err(End::unreachable)?;
        }
    }
    Ok(())
}

/// Whether the document failed because no answer arrived.
fn is_unanswered(document: &Document) -> bool {
    let codes = [FailureCode::CallsExhausted, FailureCode::AttemptsExhausted];
    document.failure.as_ref().is_some_and(|failure| codes.contains(&failure.code))
}

/// Whether a reply to one of its questions is in storage.
async fn is_answered(services: &Services, id: &DocumentId) -> Result<bool, End> {
    for question in services.store.ledger().questions(id).await.map_err(End::unreachable)? {
        if exists(&services.blobs, &BlobKey::reply(&question)).await? {
            return Ok(true);
        }
    }
    Ok(false)
}

async fn page(blobs: &Blobs, folder: &str, after: Option<&str>) -> Result<Vec<Listed>, End> {
    blobs.list(folder, after, PAGE as usize).await.map_err(End::unreachable)
}

/// Whether there is an object, without reading it: the listing that begins just before its name.
async fn exists(blobs: &Blobs, key: &BlobKey) -> Result<bool, End> {
    /// Names of one length differ from their neighbours in the last character at most.
    const NEIGHBOURS: usize = 40;
    let name = key.as_str();
    let folder = name.rsplit_once('/').map_or("", |(folder, _)| folder);
    let before = name.get(..name.len().saturating_sub(1));
    let listed = blobs.list(folder, before, NEIGHBOURS).await.map_err(End::unreachable)?;
    Ok(listed.iter().any(|object| object.key == *key))
}

/// The JSON of an object; `None` where there is none, or where it cannot be read.
async fn read<T: serde::de::DeserializeOwned>(
    blobs: &Blobs,
    key: &BlobKey,
) -> Result<Option<T>, End> {
    let bytes = blobs.get(key).await.map_err(End::unreachable)?;
    Ok(bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()))
}
