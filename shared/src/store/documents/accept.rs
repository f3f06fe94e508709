//! Documents come in: from an upload, or back from storage after the database was lost.

use super::{Documents, Found, document, document_columns, find, find_locked};
use crate::{
    blob::BlobKey,
    document::{Document, DocumentId, DocumentState, FileType, Parent, Priority, SplitMode},
    message::Traceparent,
    schema::SchemaRef,
    store::{
        DbError, Result,
        db::{Access, Db},
        sql::{Change, Sql},
        value::{to_json, to_searchable_json, values},
    },
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A document whose bytes are in storage and that is to be accepted. A copy is kept beside them,
/// so that a lost database can be rebuilt from storage.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct NewDocument {
    /// Its id.
    pub id: DocumentId,
    /// Who it belongs to.
    pub tenant: String,
    /// What to extract.
    pub schema: SchemaRef,
    /// Who is served first.
    pub priority: Priority,
    /// The name of the file as the client gave it.
    pub filename: String,
    /// Found from the content.
    pub file_type: FileType,
    /// The size of the file.
    pub size_bytes: u64,
    /// SHA-256 of the file, in hexadecimal digits.
    pub sha256: String,
    /// What the client attached.
    pub metadata: Map<String, Value>,
    /// The trace that began with its upload.
    #[serde(default, deserialize_with = "crate::message::lenient")]
    pub traceparent: Option<Traceparent>,
    /// What it is made of, if of another document.
    #[serde(default)]
    pub parent: Option<Parent>,
    /// How many documents it is made of, one out of the other.
    #[serde(default)]
    pub depth: u32,
    /// Where its file is, if not under its own id.
    #[serde(default)]
    pub source: Option<BlobKey>,
    /// What to do where the file holds several documents; the configuration decides without.
    #[serde(default)]
    pub split: Option<SplitMode>,
    /// Its text, where that was saved already: the file opens only with a password, which is not
    /// kept.
    #[serde(default)]
    pub text: Option<SavedText>,
}

/// A text that is in storage.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedText {
    /// The engine that read it.
    pub engine: String,
    /// How many pages it has.
    pub pages: u32,
}

/// The same key gives the same documents.
#[derive(Clone, Debug)]
pub struct IdempotencyKey {
    /// The key as the client gave it.
    pub key: String,
    /// A hash of everything that the request asked for.
    pub fingerprint: String,
}

/// The outcome of an upload.
#[derive(Clone, Debug, PartialEq)]
pub enum Accepted {
    /// These documents are in the database, each with an outbox entry.
    New(Vec<Document>),
    /// The same request was accepted before; these are its documents.
    Replayed(Vec<Document>),
    /// The key was used for another request.
    Conflict,
}

impl Documents<'_> {
    /// Accepts documents: their rows and their outbox entries, in one transaction.
    ///
    /// # Errors
    /// When the database does not answer; the same key shows whether they were accepted.
    pub async fn accept(
        self,
        documents: Vec<NewDocument>,
        key: Option<IdempotencyKey>,
    ) -> Result<Accepted> {
        let arguments = (documents, key);
        let accepted = self.0.run(Access::Transaction, arguments, |db, (documents, key)| {
            Box::pin(accept(db, documents, key.as_ref()))
        });
        accepted.await
    }

    /// Puts back a document of a lost database: with the result of this run, or to be processed
    /// where there is none. False when the id has a row already.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn restore(
        self,
        document: NewDocument,
        ended: Option<(u32, DocumentState)>,
    ) -> Result<bool> {
        let arguments = (document, ended);
        let restored = self.0.run(Access::Transaction, arguments, |db, (document, ended)| {
            Box::pin(restore(db, document, *ended))
        });
        restored.await
    }
}

async fn accept(
    db: &Db<'_>,
    documents: &[NewDocument],
    key: Option<&IdempotencyKey>,
) -> Result<Accepted, DbError> {
    // Changing nothing locks the row and returns it, whether it is new or old: this waits for a
    // request with the same key that runs at the same moment.
    static KEEP: Sql = Sql::new(
        "INSERT INTO idempotency (tenant, key, fingerprint, documents, created_ms)
         VALUES ($1, $2, $3, $4, {now})
         ON CONFLICT (tenant, key) DO UPDATE SET key = excluded.key
         RETURNING fingerprint, documents",
    );
    if let Some(key) = key {
        let tenant = documents.first().map(|first| first.tenant.as_str()).unwrap_or_default();
        let ids: Vec<&DocumentId> = documents.iter().map(|new| &new.id).collect();
        let ids = to_json(&ids)?;
        let values = values![tenant, &key.key, &key.fingerprint, &ids];
        let kept = db.one(&KEEP, values).await?;
        if kept.text(0)? != key.fingerprint {
            return Ok(Accepted::Conflict);
        }
        if kept.text(1)? != ids {
            let known: Vec<DocumentId> = kept.json(1)?.unwrap_or_default();
            return Ok(Accepted::Replayed(all(db, &known).await?));
        }
    }
    let mut accepted = Vec::with_capacity(documents.len());
    for new in documents {
        let inserted = insert(db, new, key).await?;
        accepted.push(inserted.ok_or_else(|| DbError::row("a document was not inserted"))?);
    }
    Ok(Accepted::New(accepted))
}

/// The documents with these ids that are still there.
async fn all(db: &Db<'_>, ids: &[DocumentId]) -> Result<Vec<Document>, DbError> {
    let mut documents = Vec::with_capacity(ids.len());
    for id in ids {
        if let Found::Document(document) = find(db, id).await? {
            documents.push(*document);
        }
    }
    Ok(documents)
}

/// Inserts a document with its event and its outbox entry, unless there is one with this id.
pub(in crate::store) async fn insert(
    db: &Db<'_>,
    new: &NewDocument,
    key: Option<&IdempotencyKey>,
) -> Result<Option<Document>, DbError> {
    static INSERT: Change = Change::new(
        "INSERT INTO documents (id, tenant, state, schema_name, schema_version, priority,
           filename, content_type, size_bytes, sha256, metadata, traceparent, idempotency_key,
           parent, part, depth, source, split, text_engine, pages, locked,
           enqueued_ms, created_ms, queued_ms, updated_ms)
         SELECT $1, $2, 'queued', $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16,
           $17, $18, $19, $20, now, now, now, now
         FROM (SELECT {now} AS now) AS clock WHERE true ON CONFLICT (id) DO NOTHING",
        document_columns!(),
    )
    .with_event()
    .with_entry();
    let part = new.parent.as_ref().map(|parent| to_json(&parent.part)).transpose()?;
    let values = values![
        &new.id,
        &new.tenant,
        &new.schema.name,
        new.schema.version,
        new.priority,
        &new.filename,
        new.file_type.media_type(),
        new.size_bytes,
        &new.sha256,
        to_searchable_json(&new.metadata)?,
        new.traceparent.as_ref().map(ToString::to_string),
        key.map(|key| &key.key),
        new.parent.as_ref().map(|parent| &parent.id),
        part,
        new.depth,
        new.source.as_ref().map(BlobKey::as_str),
        new.split.map(SplitMode::as_str),
        new.text.as_ref().map(|text| &text.engine),
        new.text.as_ref().map(|text| text.pages),
        u32::from(new.text.is_some()),
    ];
    db.change(&INSERT, values).await?.first().map(document).transpose()
}

async fn restore(
    db: &Db<'_>,
    document: &NewDocument,
    ended: Option<(u32, DocumentState)>,
) -> Result<bool, DbError> {
    static END: Sql =
        Sql::new("UPDATE documents SET run = $2, state = $3, finished_ms = {now} WHERE id = $1");
    static FORGET_ENTRY: Sql = Sql::new("DELETE FROM outbox WHERE document = $1");
    static FORGET_EVENT: Sql = Sql::new("DELETE FROM events WHERE document = $1");
    if find_locked(db, &document.id).await? != Found::Nothing {
        return Ok(false);
    }
    insert(db, document, None).await?;
    if let Some((run, state)) = ended {
        db.execute(&END, values![&document.id, run, state]).await?;
        db.execute(&FORGET_ENTRY, values![&document.id]).await?;
        // It came to this state long ago, and that was published.
        db.execute(&FORGET_EVENT, values![&document.id]).await?;
    }
    Ok(true)
}
