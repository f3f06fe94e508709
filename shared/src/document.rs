//! A document as users see it: its identity, its state, and why it waits or failed.
//!
//! Plain data. It must know nothing of how a document is stored, carried or processed.

mod failure;
mod family;

pub use failure::{Failure, FailureCode, Stage};
pub use family::{PageRange, Parent, Part, SplitMode};
pub use reader::{FileType, Format};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::{fmt, str::FromStr};
use utoipa::ToSchema;
use uuid::{NoContext, Uuid};

/// The id of a document: `doc_` and the 32 hexadecimal digits of a UUIDv7, so that ids sort by
/// the time at which they were given.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(try_from = "String", into = "String")]
#[schema(value_type = String, example = "doc_0193a1c2f0b47d3e9a51c0ffee123456")]
pub struct DocumentId(String);

impl DocumentId {
    /// A new id for a document that arrives `now`.
    pub fn new(now: Timestamp) -> Self {
        let seconds = u64::try_from(now.as_second()).unwrap_or_default();
        let nanoseconds = u32::try_from(now.subsec_nanosecond()).unwrap_or_default();
        let time = uuid::Timestamp::from_unix(NoContext, seconds, nanoseconds);
        Self(format!("doc_{}", Uuid::new_v7(time).simple()))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The text was not a document id.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is not a document id: one looks like doc_0193a1c2f0b47d3e9a51c0ffee123456")]
pub struct NotADocumentId(String);

impl FromStr for DocumentId {
    type Err = NotADocumentId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digits = text.strip_prefix("doc_").unwrap_or_default();
        let hexadecimal = |c: u8| c.is_ascii_digit() || (b'a'..=b'f').contains(&c);
        if digits.len() == 32 && digits.bytes().all(hexadecimal) {
            Ok(Self(text.to_owned()))
        } else {
            Err(NotADocumentId(text.chars().take(64).collect()))
        }
    }
}

impl TryFrom<String> for DocumentId {
    type Error = NotADocumentId;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<DocumentId> for String {
    fn from(id: DocumentId) -> Self {
        id.0
    }
}

impl fmt::Display for DocumentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Where a document is on its way. The last five are ends: they never change by themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum DocumentState {
    /// Accepted; no worker has it now.
    Queued,
    /// A worker holds a lease on it.
    Processing,
    /// Everything was read, and the extraction validates against its schema.
    Succeeded,
    /// There is an extraction, but some pages or fields could not be read.
    Partial,
    /// There is no extraction, and `failure` says why.
    Failed,
    /// A client stopped it.
    Cancelled,
    /// It was only a cover, or held several documents: `children` lists what was made of it, each
    /// with a result of its own. It has no extraction itself.
    Split,
}

impl DocumentState {
    /// Every state, in the order of a document's life.
    pub const ALL: [Self; 7] = [
        Self::Queued,
        Self::Processing,
        Self::Succeeded,
        Self::Partial,
        Self::Failed,
        Self::Cancelled,
        Self::Split,
    ];

    /// Whether nothing more happens to the document without a request.
    pub fn is_end(self) -> bool {
        !matches!(self, Self::Queued | Self::Processing)
    }

    /// Whether there is an extraction.
    pub fn has_result(self) -> bool {
        matches!(self, Self::Succeeded | Self::Partial)
    }

    /// The name in JSON, in the database and in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Processing => "processing",
            Self::Succeeded => "succeeded",
            Self::Partial => "partial",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Split => "split",
        }
    }
}

impl fmt::Display for DocumentState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The text was not the name of a state.
#[derive(Debug, thiserror::Error)]
#[error(
    "{0:?} is not a state: use queued, processing, succeeded, partial, failed, cancelled or split"
)]
pub struct NotAState(String);

impl FromStr for DocumentState {
    type Err = NotAState;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.into_iter().find(|state| state.as_str() == text);
        found.ok_or_else(|| NotAState(text.chars().take(64).collect()))
    }
}

/// Who is served first when work waits.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Priority {
    /// A person waits for the answer.
    Interactive,
    /// Everything else.
    #[default]
    Bulk,
}

impl Priority {
    /// The name in JSON and in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Interactive => "interactive",
            Self::Bulk => "bulk",
        }
    }
}

impl FromStr for Priority {
    type Err = NotAPriority;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "interactive" => Ok(Self::Interactive),
            "bulk" => Ok(Self::Bulk),
            other => Err(NotAPriority(other.chars().take(64).collect())),
        }
    }
}

/// The text was not the name of a priority.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is not a priority: use interactive or bulk")]
pub struct NotAPriority(String);

/// What a document waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum WaitReason {
    /// The deployments' token or request quota.
    Quota,
    /// The money or tokens that the team may spend.
    Budget,
    /// A service or every deployment is down.
    Outage,
    /// Other documents are before it.
    Backlog,
}

impl WaitReason {
    /// The name in JSON and in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Quota => "quota",
            Self::Budget => "budget",
            Self::Outage => "outage",
            Self::Backlog => "backlog",
        }
    }
}

/// Why a document waits, and until when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Waiting {
    /// What it waits for.
    pub reason: WaitReason,
    /// The deployment whose turn it waits for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deployment: Option<String>,
    /// What is wrong, in an outage: what a deployment said when it last refused or failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// When it goes on, as far as is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub until: Option<Timestamp>,
    /// How many are served before it, where that is known: those of a higher priority and those of
    /// its own that were accepted before, each counted up to 10,000. A queued document waits behind
    /// those that are queued, one in work behind those that wait for the same deployment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position: Option<u32>,
}

/// A document as `GET /v1/documents/{id}` shows it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Document {
    /// Its id.
    pub id: DocumentId,
    /// Where it is on its way.
    pub state: DocumentState,
    /// The schema and its version, as `name@version`.
    #[schema(value_type = String, example = "invoice@1")]
    pub schema: crate::schema::SchemaRef,
    /// Who is served first.
    pub priority: Priority,
    /// The name of the file, as the client gave it.
    pub filename: String,
    /// The media type, found from the content.
    pub content_type: String,
    /// The size of the file.
    pub size_bytes: u64,
    /// SHA-256 of the file, in hexadecimal digits.
    pub sha256: String,
    /// What the client attached.
    #[schema(value_type = Object)]
    pub metadata: Map<String, Value>,
    /// How many pages were found.
    pub pages: Option<u32>,
    /// How far it is, while a long one is in work.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<Progress>,
    /// The document that it was made of, if it was made of one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<Parent>,
    /// The documents that were made of it: of the files that it carries, or of ranges of its pages.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub children: Vec<DocumentId>,
    /// How often a worker has taken it up.
    pub attempts: u32,
    /// When it was accepted.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// When its row changed last.
    #[schema(value_type = String, format = DateTime)]
    pub updated_at: Timestamp,
    /// When it reached its end.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub finished_at: Option<Timestamp>,
    /// Why it waits, while it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting: Option<Waiting>,
    /// Why it failed, when it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    /// What a reader should know, when it was split. (An extraction has its own.)
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

/// How far the work on a document is that is longer than one question.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Progress {
    /// Pages about which there is an answer.
    pub pages_done: u32,
    /// Pages of the document.
    pub pages_total: u32,
}

/// One call of a model for a document, as `GET /v1/documents/{id}/attempts` shows it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Attempt {
    /// What the model was asked: which part of the document, and in which round.
    pub question: String,
    /// The deployment that was asked.
    pub deployment: String,
    /// How it ended: `open`, `answered`, `unbilled`, or `unknown` when the model may have been
    /// paid although no answer arrived.
    pub outcome: String,
    /// The HTTP status, when there was one.
    pub status: Option<u16>,
    /// What went wrong, or why the answer is none.
    pub error: Option<String>,
    /// Tokens of the question, as the provider counted them.
    pub tokens_input: Option<u64>,
    /// Those of them that the provider's cache had.
    pub tokens_cached: Option<u64>,
    /// Tokens of the answer, as the provider counted them.
    pub tokens_output: Option<u64>,
    /// When the call was about to be made.
    #[schema(value_type = String, format = DateTime)]
    pub started_at: Timestamp,
    /// When its outcome was written down.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub ended_at: Option<Timestamp>,
    /// How long the call took.
    pub duration_ms: Option<u64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_sort_by_time_and_survive_text() {
        let early = DocumentId::new(Timestamp::from_second(1_700_000_000).unwrap());
        let late = DocumentId::new(Timestamp::from_second(1_700_000_001).unwrap());
        assert!(early < late);
        assert_eq!(early.as_str().parse::<DocumentId>().unwrap(), early);
        for bad in ["", "doc_", "doc_../../etc/passwd", "x", "doc_0193A1C2F0B47D3E9A51C0FFEE123456"]
        {
            assert!(bad.parse::<DocumentId>().is_err(), "{bad}");
        }
    }
}
