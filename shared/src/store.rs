//! The truth: documents, their leases, the ledger of calls, schemas, and the outbox.
//!
//! Every verb is one statement or one transaction, on the database's own clock. It must know
//! nothing of files, brokers or models.

mod error;
pub mod sqlite;
pub mod postgres;

pub use error::StoreError;

use crate::{
    document::{Attempt, Document, DocumentId, DocumentState, Failure, Format, Priority, Waiting},
    fleet::WorkerReport,
    job::Claim,
    message::Traceparent,
    schema::{ExtractionSchema, SchemaName, SchemaRef},
};
use jiff::Timestamp;
use postgres::PostgresStore;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sqlite::SqliteStore;
use std::time::Duration;

type Result<T, E = StoreError> = std::result::Result<T, E>;

/// A document whose bytes are in storage and that is to be accepted. Also kept beside them, so that
/// the database can be made again from storage.
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
    pub format: Format,
    /// The size of the file.
    pub size_bytes: u64,
    /// SHA-256 of the file, in hexadecimal digits.
    pub sha256: String,
    /// What the client attached.
    pub metadata: Map<String, Value>,
    /// The trace that began with its upload.
    #[serde(default, deserialize_with = "crate::message::lenient")]
    pub traceparent: Option<Traceparent>,
}

/// "The same call gives the same documents."
#[derive(Clone, Debug)]
pub struct IdempotencyKey {
    /// The key as the client gave it.
    pub key: String,
    /// A hash of everything that the call asked for.
    pub fingerprint: String,
}

/// What became of an upload.
#[derive(Clone, Debug, PartialEq)]
pub enum Accepted {
    /// These documents are in the database and will ring.
    New(Vec<Document>),
    /// The same call was accepted before; these are its documents.
    Replayed(Vec<Document>),
    /// The key was used for another call.
    Conflict,
}

/// Which documents to list, newest first.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// In this state.
    pub state: Option<DocumentState>,
    /// For this schema, any version.
    pub schema: Option<SchemaName>,
    /// With this failure code.
    pub code: Option<String>,
    /// Accepted before this.
    pub before: Option<Timestamp>,
    /// With these entries in their metadata.
    pub metadata: Vec<(String, String)>,
    /// Older than this one.
    pub after: Option<DocumentId>,
    /// At most so many.
    pub limit: u32,
}

/// What there is under an id.
#[derive(Clone, Debug, PartialEq)]
pub enum Found {
    /// A document.
    Document(Box<Document>),
    /// There was one, and it was deleted.
    Deleted,
    /// Nothing.
    Nothing,
}

/// What became of a request to change a document.
#[derive(Clone, Debug, PartialEq)]
pub enum Changed {
    /// It is as asked now.
    Done(Box<Document>),
    /// Its state does not allow it.
    WrongState(DocumentState),
    /// There was one, and it was deleted.
    Deleted,
    /// Nothing has this id.
    Nothing,
}

/// Where the result of a document is.
#[derive(Clone, Debug, PartialEq)]
pub struct Place {
    /// The run whose result is the visible one.
    pub run: u32,
    /// The engine whose text was used, once there is text.
    pub text_engine: Option<String>,
}

/// The answer to "may I call a model for this question now?"
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Intent {
    /// Yes: this call is in the ledger.
    Call(i64),
    /// No: there is a reply already. Read it from storage.
    Replay,
    /// No: another document asks the same question right now. Look again later.
    Busy,
    /// No: the model may have been paid so often already.
    Capped(u32),
    /// No: the claim is not ours any more.
    Lost,
}

/// How a call ended, for the ledger.
#[derive(Clone, Debug)]
pub enum CallEnd {
    /// The reply is in storage.
    Answered {
        /// Tokens of the question.
        tokens_input: u64,
        /// Tokens of the answer.
        tokens_output: u64,
    },
    /// It is certain that nothing was paid: the count is given back, once.
    Unbilled {
        /// The HTTP status, when there was one.
        status: Option<u16>,
        /// What happened.
        error: String,
    },
    /// Nobody knows whether it was paid: it stays counted.
    Unknown {
        /// The HTTP status, when there was one.
        status: Option<u16>,
        /// What happened.
        error: String,
    },
}

/// What was spent at one deployment on one run of a document.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Spent {
    /// Where.
    pub deployment: String,
    /// Calls that may have been paid.
    pub calls: u32,
    /// Tokens of the questions.
    pub tokens_input: u64,
    /// Tokens of the answers.
    pub tokens_output: u64,
}

/// A ring that is due: a row of the outbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ring {
    /// The row.
    pub id: i64,
    /// The document to look at.
    pub document: DocumentId,
    /// Who is served first.
    pub priority: Priority,
    /// The trace of the document.
    pub traceparent: Option<Traceparent>,
}

/// A document came to another state, which is still to be told to whoever listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateChange {
    /// The row.
    pub id: i64,
    /// The document.
    pub document: DocumentId,
    /// What was asked of it.
    pub schema: SchemaRef,
    /// The state that it came to.
    pub state: DocumentState,
    /// When.
    pub at: Timestamp,
    /// The trace of the document.
    pub traceparent: Option<Traceparent>,
}

/// Queued documents of which the same is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backlog {
    /// What is asked.
    pub schema: SchemaRef,
    /// How many there are.
    pub documents: u64,
    /// When the last of those that were put back is to be taken up again.
    pub due: Option<Timestamp>,
}

/// A document that was deleted and whose bytes are still to be removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Purge {
    /// The document.
    pub document: DocumentId,
    /// Questions that no other document of the tenant asks: their replies go too.
    pub questions: Vec<String>,
}

/// Where the truth is kept, chosen by the configuration.
#[derive(Clone, Debug)]
pub enum Store {
    /// A file.
    Sqlite(SqliteStore),
    /// A server.
    Postgres(PostgresStore),
}

/// Hands each verb to the database that was chosen.
macro_rules! verbs {
    ($($(#[$doc:meta])* fn $name:ident(&self $(, $arg:ident: $type:ty)* $(,)?) -> $out:ty;)*) => {
        impl Store {
            $(
                $(#[$doc])*
                ///
                /// # Errors
                /// When the database does not answer; nothing was changed then, or the change is
                /// found when asked again.
                pub async fn $name(&self $(, $arg: $type)*) -> Result<$out> {
                    match self {
                        Self::Sqlite(sqlite) => sqlite.$name($($arg),*).await,
                        Self::Postgres(postgres) => postgres.$name($($arg),*).await,
                    }
                }
            )*
        }
    };
}

verbs! {
    /// Brings the tables up to date. Safe to run from several processes at once.
    fn migrate(&self) -> ();

    /// Whether the database answers.
    fn ready(&self) -> ();

    // ---- intake

    /// Accepts documents: their rows and their rings, in one transaction.
    fn accept(&self, documents: Vec<NewDocument>, key: Option<IdempotencyKey>) -> Accepted;

    /// What there is under an id.
    fn find(&self, id: &DocumentId) -> Found;

    /// Documents that match, newest first.
    fn list(&self, filter: Filter) -> Vec<Document>;

    /// How many documents are in each state; deleted ones are not counted.
    fn count(&self) -> Vec<(DocumentState, u64)>;

    /// How many documents are served before this one: the interactive ones first, each in the order
    /// of asking. A queued one waits behind those that are queued, one in work behind those that
    /// wait for the same deployment. Counts no further than `most` of each priority; none when the
    /// document does not wait.
    fn ahead(&self, id: &DocumentId, most: u32) -> Option<u32>;

    /// The documents that are queued, by what is asked of them. Looks at no more than the first
    /// `most` of them.
    fn backlog(&self, most: u32) -> Vec<Backlog>;

    /// Where the visible result and the text of a document are.
    fn place(&self, id: &DocumentId) -> Option<Place>;

    /// The calls that were made for a document, oldest first.
    fn attempts(&self, id: &DocumentId) -> Vec<Attempt>;

    /// Stops a document that has not ended.
    fn cancel(&self, id: &DocumentId) -> Changed;

    /// Runs a failed or cancelled document again. Its unanswered questions may be paid again.
    fn retry(&self, id: &DocumentId) -> Changed;

    /// Runs a document that has ended again, with another schema where one is given.
    fn reprocess(&self, id: &DocumentId, schema: Option<SchemaRef>) -> Changed;

    /// Makes a tombstone of a document and says what is to be removed from storage.
    fn delete(&self, id: &DocumentId) -> Changed;

    /// Deleted documents whose bytes are to be removed now, at most 100. Each is given out again
    /// until [`Store::purged`].
    fn purges(&self) -> Vec<Purge>;

    /// The bytes of this document are gone. `again` asks for another purge later, for whatever a
    /// worker was still writing.
    fn purged(&self, id: &DocumentId, again: Option<Duration>) -> ();

    /// Puts back a document that a lost database knew: with the result of this run, or to be
    /// processed where there is none. False when there is a row of this id already.
    fn restore(&self, document: NewDocument, ended: Option<(u32, DocumentState)>) -> bool;

    /// The keys of the questions that were asked for a document.
    fn questions(&self, id: &DocumentId) -> Vec<String>;

    // ---- schemas

    /// Puts back a schema under the version that it had. False when that version is there already.
    fn restore_schema(&self, schema: ExtractionSchema) -> bool;

    /// Keeps a schema: a changed body makes a new version, an unchanged one none.
    fn put_schema(&self, name: &SchemaName, body: Value) -> ExtractionSchema;

    /// Keeps a schema that comes with the program unless any version of that name has its body.
    fn seed_schema(&self, name: &SchemaName, body: Value) -> ();

    /// A schema, the newest version when none is given.
    fn schema(&self, name: &SchemaName, version: Option<u32>) -> Option<ExtractionSchema>;

    /// The newest version of every schema, by name.
    fn schemas(&self) -> Vec<ExtractionSchema>;

    /// Every version of a schema with the time it was given, oldest first.
    fn schema_versions(&self, name: &SchemaName) -> Vec<(ExtractionSchema, Timestamp)>;

    // ---- outbox

    /// Rings that are due, at most `limit`. Each is given to one caller, and to another after
    /// `lease` unless it was confirmed by then.
    fn rings(&self, limit: u32, lease: Duration) -> Vec<Ring>;

    /// Rings for a document that has not ended, when it is due, unless a ring is on its way.
    /// False when there was nothing to do.
    fn ring(&self, id: &DocumentId) -> bool;

    /// These rings were confirmed by the queue.
    fn rung(&self, rings: Vec<i64>) -> ();

    /// Changes of state that are to be told, at most `limit`. Each is given to one caller, and to
    /// another after `lease` unless it was told by then. Those of one document come in their order,
    /// and a later one not before the earlier ones were told or are in the same answer.
    fn changes(&self, limit: u32, lease: Duration) -> Vec<StateChange>;

    /// These changes were told.
    fn told(&self, changes: Vec<i64>) -> ();

    // ---- work

    /// Takes a document for `lease`, unless it has ended, is not due, or somebody holds it.
    fn claim(&self, id: &DocumentId, worker: &str, lease: Duration) -> Option<Claim>;

    /// Prolongs the lease. False when the claim is not ours any more: stop.
    fn heartbeat(&self, claim: &Claim, lease: Duration) -> bool;

    /// Tells those who ask why the document waits while it is held.
    fn waiting(&self, claim: &Claim, why: Option<Waiting>) -> ();

    /// The text was read.
    fn text_read(&self, claim: &Claim, engine: &str, pages: u32) -> ();

    /// Asks whether a model may be called for `question` now, and if so writes the call into the
    /// ledger. `label` says for people what is asked.
    fn intent(
        &self,
        claim: &Claim,
        question: &str,
        label: &str,
        deployment: &str,
        calls_max: u32,
    ) -> Intent;

    /// Closes a call in the ledger. The first end counts, a later one changes nothing.
    fn call_ended(&self, call: i64, question: &str, end: CallEnd, took: Duration) -> ();

    /// A reply was found in storage for a question that the ledger does not know as answered.
    fn adopt_reply(&self, question: &str) -> ();

    /// The ledger knows a reply to this question, but it is not in storage: it went with the last
    /// document that asked. The question may be paid for again.
    fn forget_reply(&self, question: &str) -> ();

    /// What was spent on this run so far, by deployment.
    fn spent(&self, claim: &Claim) -> Vec<Spent>;

    /// Makes the result of this run visible, unless the document has ended. The lease is not
    /// asked for: whoever holds the saved reply may finish. False when it had ended already.
    fn finish(&self, claim: &Claim, state: DocumentState) -> bool;

    /// Ends the document without a result, if the claim is still ours.
    fn fail(&self, claim: &Claim, failure: Failure) -> bool;

    /// Gives the document back, to be rung for after `pause`, if the claim is still ours. With
    /// `attempt_counts` false the attempt is taken back.
    fn release(
        &self,
        claim: &Claim,
        pause: Duration,
        why: Option<Waiting>,
        attempt_counts: bool,
    ) -> bool;

    // ---- upkeep

    /// Rings again for documents whose lease ran out and for those that nobody rang for in
    /// `silence`. Gives how many.
    fn sweep(&self, silence: Duration) -> u64;

    /// This worker is alive, and says this of itself until it says something else, or nothing for
    /// `within`. Gives how many were alive within `within`.
    fn worker_alive(&self, worker: &str, report: WorkerReport, within: Duration) -> u32;

    /// What the workers that live say of themselves.
    fn workers(&self) -> Vec<WorkerReport>;

    /// This worker has stopped.
    fn worker_gone(&self, worker: &str) -> ();
}
