//! Acceptance: from files in storage and a submission to documents in the database, or to nothing at
//! all.
//!
//! It must know nothing of HTTP: batches and mail use it, too.

use crate::ingest::{StoredFile, discard};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use shared::{
    blob::{BlobError, BlobKey},
    document::{Document, DocumentState, Priority, SplitMode},
    fault,
    message::Traceparent,
    schema::{SchemaRef, hexadecimal},
    services::Services,
    store::{Accepted, IdempotencyKey, NewDocument, Store, StoreError},
};
use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};
use tokio::time::Instant;

/// How long a count of the queue is used.
const COUNT_AGE_MAX: Duration = Duration::from_secs(1);

/// A request for documents: everything but the files.
#[derive(Clone, Debug)]
pub(crate) struct Submission {
    /// Who the documents belong to.
    pub(crate) tenant: String,
    /// What to extract.
    pub(crate) schema: SchemaRef,
    /// The schema as the client named it. A new version in between must not make a repeated request
    /// another one.
    pub(crate) schema_requested: String,
    /// Who is served first.
    pub(crate) priority: Priority,
    /// What the client attached.
    pub(crate) metadata: Map<String, Value>,
    /// What to do where a file holds several documents, if the client says so.
    pub(crate) split: Option<SplitMode>,
    /// The trace that the documents belong to.
    pub(crate) trace: Option<Traceparent>,
    /// The same key gives the same documents.
    pub(crate) idempotency_key: Option<String>,
}

/// The documents of an accepted request.
#[derive(Debug)]
pub(crate) struct AcceptedDocuments {
    pub(crate) documents: Vec<Document>,
    /// Whether an earlier request with this key was the one that was accepted.
    pub(crate) is_replayed: bool,
}

/// Why documents were not accepted.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AcceptError {
    /// The queue is full: try again later.
    #[error("{queued} documents are waiting, and {queued_max} are the limit")]
    BacklogFull { queued: u64, queued_max: u64 },
    /// The key was used for another request.
    #[error("this Idempotency-Key was used for a request with other content")]
    KeyConflict,
    /// Storage does not answer. Nothing was accepted.
    #[error(transparent)]
    Storage(#[from] BlobError),
    /// The database does not answer. The documents may have been accepted; the same key tells.
    #[error(transparent)]
    Database(#[from] StoreError),
}

/// Accepts documents while the queue has room.
#[derive(Debug)]
pub(crate) struct Acceptance {
    services: Services,
    queued_max: u64,
    /// When the queue was counted last, and its length with what was accepted since.
    queued: Mutex<Option<(Instant, u64)>>,
}

impl Acceptance {
    pub(crate) fn new(services: Services, queued_max: u64) -> Self {
        Self { services, queued_max, queued: Mutex::new(None) }
    }

    /// Whether the queue has room. Checked once for a request, before bytes are taken: what is
    /// accepted meanwhile may pass the limit by a little.
    ///
    /// # Errors
    /// When it is full, or the database does not answer.
    pub(crate) async fn check_backlog(&self) -> Result<(), AcceptError> {
        let (queued, queued_max) = (self.queued().await?, self.queued_max);
        if queued < queued_max {
            return Ok(());
        }
        Err(AcceptError::BacklogFull { queued, queued_max })
    }

    /// Accepts all files, or none: then it removes them from storage, unless a transaction may
    /// still accept them.
    ///
    /// # Errors
    /// When they were not accepted, or that is uncertain.
    pub(crate) async fn accept(
        &self,
        submission: &Submission,
        files: &[StoredFile],
    ) -> Result<AcceptedDocuments, AcceptError> {
        fault::point("stored");
        let services = &self.services;
        let documents: Vec<_> = files.iter().map(|file| document(submission, file)).collect();
        if let Err(error) = self.describe(&documents).await {
            discard(&services.blobs, files).await;
            return Err(error.into());
        }
        let key = idempotency_key(submission, files);
        match services.store.documents().accept(documents, key).await {
            Ok(Accepted::New(documents)) => {
                fault::point("accepted");
                services.relay.nudge();
                self.note(documents.len());
                for document in &documents {
                    tracing::info!(document = %document.id, "accepted");
                }
                Ok(AcceptedDocuments { documents, is_replayed: false })
            }
            Ok(Accepted::Replayed(documents)) => {
                discard(&services.blobs, files).await;
                Ok(AcceptedDocuments { documents, is_replayed: true })
            }
            Ok(Accepted::Conflict) => {
                discard(&services.blobs, files).await;
                Err(AcceptError::KeyConflict)
            }
            Err(error) => {
                // The commit may still arrive, so the bytes stay. `sluice reconcile` finds those
                // that no document owns.
                services.relay.nudge();
                Err(error.into())
            }
        }
    }

    /// Keeps beside the files what their rows will say, for the day on which the database is lost.
    async fn describe(&self, documents: &[NewDocument]) -> Result<(), BlobError> {
        for document in documents {
            // Strings and JSON values always serialise.
            let about = serde_json::to_vec(document).unwrap_or_default();
            let key = BlobKey::about(&document.id);
            self.services.blobs.put_if_absent(&key, about.into()).await?;
        }
        Ok(())
    }

    /// Counts documents that were accepted since the queue was counted.
    fn note(&self, documents: usize) {
        let mut queued = self.queued.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, queued)) = queued.as_mut() {
            *queued = queued.saturating_add(documents as u64);
        }
    }

    async fn queued(&self) -> Result<u64, StoreError> {
        let known = *self.queued.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, queued)) = known.filter(|(at, _)| at.elapsed() < COUNT_AGE_MAX) {
            return Ok(queued);
        }
        let queued = count(&self.services.store, DocumentState::Queued).await?;
        *self.queued.lock().unwrap_or_else(PoisonError::into_inner) =
            Some((Instant::now(), queued));
        Ok(queued)
    }
}

/// How many documents are in this state.
pub(crate) async fn count(store: &Store, state: DocumentState) -> Result<u64, StoreError> {
    let counts = store.documents().count().await?;
    Ok(counts.iter().filter(|(of, _)| *of == state).map(|(_, count)| count).sum())
}

fn document(submission: &Submission, file: &StoredFile) -> NewDocument {
    NewDocument {
        id: file.id.clone(),
        tenant: submission.tenant.clone(),
        schema: submission.schema.clone(),
        priority: submission.priority,
        filename: file.filename.clone(),
        file_type: file.file_type,
        size_bytes: file.size_bytes,
        sha256: file.sha256.clone(),
        metadata: submission.metadata.clone(),
        traceparent: submission.trace.clone(),
        parent: None,
        depth: 0,
        source: None,
        split: submission.split,
        text: file.text.clone(),
    }
}

/// The key with a hash of the whole request.
fn idempotency_key(submission: &Submission, files: &[StoredFile]) -> Option<IdempotencyKey> {
    let key = submission.idempotency_key.clone()?;
    let metadata: BTreeMap<_, _> = submission.metadata.iter().collect();
    let is_unlocked = files.iter().any(|file| file.text.is_some());
    let files: Vec<_> = files.iter().map(|file| (&file.filename, &file.sha256)).collect();
    let mut everything = json!([submission.schema_requested, submission.priority, metadata, files]);
    // Left out where it is not given, so that keys of older programs stay good.
    if let (Some(split), Some(list)) = (submission.split, everything.as_array_mut()) {
        list.push(split.as_str().into());
    }
    if let (true, Some(list)) = (is_unlocked, everything.as_array_mut()) {
        list.push("unlocked".into());
    }
    let fingerprint = hexadecimal(&Sha256::digest(everything.to_string()));
    Some(IdempotencyKey { key, fingerprint })
}
