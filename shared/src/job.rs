//! A document in the hands of a worker: what it claimed, and how the work ended.
//!
//! Plain data. It must know nothing of brokers: only the worker's consumer turns a verdict into
//! what the queue understands.

use crate::{
    blob::BlobKey,
    document::{DocumentId, Failure, FileType, Parent, Priority, SplitMode, Waiting},
    schema::SchemaRef,
};
use jiff::Timestamp;
use std::time::Duration;

/// Who a document belongs to. There is one tenant, `default`, until keys are configured.
pub const TENANT_DEFAULT: &str = "default";

/// A document that this worker holds, until its lease runs out.
#[derive(Clone, Debug, PartialEq)]
pub struct Claim {
    /// The document.
    pub document: DocumentId,
    /// Who it belongs to.
    pub tenant: String,
    /// Grows with every claim; writes of an older fence are refused.
    pub fence: i64,
    /// Counted from 1; grows with each retry or reprocess.
    pub run: u32,
    /// How often a worker has taken it up in this run, this time included, waits excluded.
    pub attempts: u32,
    /// What to extract.
    pub schema: SchemaRef,
    /// What the file is.
    pub file_type: FileType,
    /// The name of its file.
    pub filename: String,
    /// The size of its file.
    pub size_bytes: u64,
    /// SHA-256 of the file, in hexadecimal digits.
    pub sha256: String,
    /// Where its file is.
    pub source: BlobKey,
    /// Where its text is, where that is not to be read from the file: the document under whose id it
    /// is kept, and the engine.
    pub saved_text: Option<(DocumentId, String)>,
    /// What it was made of, if of another document.
    pub parent: Option<Parent>,
    /// How many documents it was made of, one out of the other.
    pub depth: u32,
    /// What the upload asks for where its file holds several documents.
    pub split: Option<SplitMode>,
    /// Who is served first.
    pub priority: Priority,
    /// When it was accepted, or asked for again.
    pub queued_at: Timestamp,
    /// When it was claimed, on the database's clock.
    pub claimed_at: Timestamp,
}

/// How a step of work on a document ended.
#[derive(Debug)]
pub enum Verdict {
    /// The result is visible, or another worker has taken over: nothing is left to do.
    Done,
    /// It cannot go on now and it is not its fault. Costs no attempt.
    Wait {
        /// From now on.
        pause: Duration,
        /// Shown to clients; `None` when it was merely put back.
        why: Option<Waiting>,
    },
    /// Something went wrong that may go right next time. Costs an attempt.
    Retry {
        /// What went wrong.
        error: String,
    },
    /// It will never succeed as it is.
    Reject(Failure),
}

/// The pause before attempt `attempts + 1`: 1, 2, 4 ... at most 60 seconds.
pub fn retry_pause(attempts: u32) -> Duration {
    Duration::from_secs(1 << attempts.saturating_sub(1).min(6)).min(Duration::from_secs(60))
}
