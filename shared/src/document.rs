//! A document as users see it: its identity, its state, and why it waits or failed.
//!
//! Plain data. It must know nothing of how a document is stored, carried or processed.

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

/// Where a document is on its way. The last four are ends: they never change by themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum DocumentState {
    /// Accepted; no worker has it now.
    Queued,
    /// A worker holds a lease on it.
    Processing,
    /// Everything was read, and the extraction validates against its schema.
    Succeeded,
    /// There is an extraction, but some pages or parts could not be read.
    Partial,
    /// There is no extraction, and `failure` says why.
    Failed,
    /// Somebody asked to stop it.
    Cancelled,
}

impl DocumentState {
    /// Every state, in the order of a document's life.
    pub const ALL: [Self; 6] = [
        Self::Queued,
        Self::Processing,
        Self::Succeeded,
        Self::Partial,
        Self::Failed,
        Self::Cancelled,
    ];

    /// Whether nothing more happens to the document unless somebody asks.
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
#[error("{0:?} is not a state: use queued, processing, succeeded, partial, failed or cancelled")]
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
    /// Somebody is waiting for the answer.
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

/// The formats that are read. Found from the content, never from the name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// `application/pdf`
    Pdf,
    /// `text/html`
    Html,
    /// `text/markdown`
    Markdown,
    /// `text/plain`
    Text,
}

impl Format {
    /// How many leading bytes of a file [`Format::sniff`] wants to see.
    pub const SNIFF_BYTES: usize = 4096;

    /// The media type.
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Pdf => "application/pdf",
            Self::Html => "text/html",
            Self::Markdown => "text/markdown",
            Self::Text => "text/plain",
        }
    }

    /// The format of a media type that [`Format::media_type`] gave.
    pub fn from_media_type(media_type: &str) -> Option<Self> {
        let all = [Self::Pdf, Self::Html, Self::Markdown, Self::Text];
        all.into_iter().find(|format| format.media_type() == media_type)
    }

    /// The format of a file that starts with `head`, or `None` when it is not one that is read.
    /// The name only tells Markdown from plain text.
    pub fn sniff(head: &[u8], name: &str) -> Option<Self> {
        let head = head.get(..Self::SNIFF_BYTES).unwrap_or(head);
        // PDF readers accept a header anywhere in the first 1024 bytes (ISO 32000-2, annex I).
        let start = head.get(..1024 + 5).unwrap_or(head);
        if start.windows(5).any(|window| window == b"%PDF-") {
            return Some(Self::Pdf);
        }
        let text = match std::str::from_utf8(head) {
            Ok(text) => text,
            // The cut may have gone through a character.
            Err(error) if error.error_len().is_none() && error.valid_up_to() > 0 => {
                std::str::from_utf8(head.get(..error.valid_up_to())?).ok()?
            }
            Err(_) => return None,
        };
        let allowed = |c: char| !c.is_control() || matches!(c, '\n' | '\r' | '\t' | '\u{c}');
        if text.trim_start_matches('\u{feff}').trim().is_empty() || !text.chars().all(allowed) {
            return None;
        }
        let lower = text.trim_start_matches('\u{feff}').trim_start().to_ascii_lowercase();
        let html = lower.starts_with("<!doctype html")
            || ["<html", "<head", "<body"].iter().any(|tag| lower.contains(tag));
        let name = name.to_ascii_lowercase();
        Some(if html {
            Self::Html
        } else if name.ends_with(".md") || name.ends_with(".markdown") {
            Self::Markdown
        } else {
            Self::Text
        })
    }
}

/// Why a document has no extraction, in words that a program can rely on. Stable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum FailureCode {
    /// The file is damaged beyond reading, or reading it broke the reader.
    UnreadableDocument,
    /// The file is encrypted and opens only with a password.
    PasswordRequired,
    /// No page has any text: a scan, or an empty document.
    NoText,
    /// The document has more pages than `limits.pages_max`.
    TooManyPages,
    /// Reading the file took more time, memory or output than the limits of `[worker]` allow.
    TextLimitExceeded,
    /// The document is too long for every deployment that serves its model.
    ContextTooLong,
    /// The model's output was cut off twice, the second time with double the room.
    OutputTruncated,
    /// The model refused to answer.
    ModelRefused,
    /// The provider's content filter stopped the question or the answer.
    ContentFiltered,
    /// The reply did not fit the schema, nor did the one after it was asked again.
    InvalidReply,
    /// No deployment serves the model that the schema asks for.
    NoDeployment,
    /// Every deployment refuses calls for a reason that only a change of configuration can mend.
    DeploymentRejected,
    /// The deployment does not accept the schema.
    SchemaRejected,
    /// The model was paid `worker.calls_max` times without an answer that arrived.
    CallsExhausted,
    /// The document was tried `worker.attempts_max` times.
    AttemptsExhausted,
}

impl FailureCode {
    /// Every code.
    pub const ALL: [Self; 15] = [
        Self::UnreadableDocument,
        Self::PasswordRequired,
        Self::NoText,
        Self::TooManyPages,
        Self::TextLimitExceeded,
        Self::ContextTooLong,
        Self::OutputTruncated,
        Self::ModelRefused,
        Self::ContentFiltered,
        Self::InvalidReply,
        Self::NoDeployment,
        Self::DeploymentRejected,
        Self::SchemaRejected,
        Self::CallsExhausted,
        Self::AttemptsExhausted,
    ];

    /// Whether the same document may end otherwise when it is retried as it is.
    pub fn is_retryable(self) -> bool {
        matches!(
            self,
            Self::NoDeployment
                | Self::DeploymentRejected
                | Self::SchemaRejected
                | Self::CallsExhausted
                | Self::AttemptsExhausted
                | Self::TextLimitExceeded
        )
    }
}

/// The part of the work in which something happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Reading the text of the file.
    Text,
    /// Asking the model.
    Model,
    /// Checking the reply.
    Validation,
    /// Anything around these.
    Worker,
}

/// Why a document failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Failure {
    /// For programs.
    pub code: FailureCode,
    /// Where it happened.
    pub stage: Stage,
    /// For people: what happened and what to do.
    pub message: String,
    /// Whether the same document may end otherwise when it is retried as it is.
    pub retryable: bool,
    /// The page concerned, counted from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub page: Option<u32>,
}

impl Failure {
    /// A failure with this code; `retryable` follows from the code.
    pub fn new(code: FailureCode, stage: Stage, message: impl Into<String>) -> Self {
        Self { code, stage, message: message.into(), retryable: code.is_retryable(), page: None }
    }
}

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

/// Why a document waits, and until when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Waiting {
    /// What it waits for.
    pub reason: WaitReason,
    /// The deployment whose turn it waits for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deployment: Option<String>,
    /// When it goes on, as far as is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub until: Option<Timestamp>,
    /// How many are served before it.
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
    /// What went wrong.
    pub error: Option<String>,
    /// Tokens of the question, as the provider counted them.
    pub tokens_input: Option<u64>,
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

    #[test]
    fn formats_are_found_by_content() {
        let check = |head: &[u8], name: &str, expected: Option<Format>| {
            assert_eq!(Format::sniff(head, name), expected, "{name}");
        };
        check(b"%PDF-1.7\n%\xe2\xe3", "a.txt", Some(Format::Pdf));
        check(b"junk first\n%PDF-1.4", "a.pdf", Some(Format::Pdf));
        check(b"<!DOCTYPE html><p>x", "a.pdf", Some(Format::Html));
        check(b"\xef\xbb\xbf  <html>", "a", Some(Format::Html));
        check(b"# Invoice", "a.md", Some(Format::Markdown));
        check("Größe".as_bytes(), "a.pdf", Some(Format::Text));
        check(b"PK\x03\x04\x14\x00", "a.pdf", None);
        check(b"\x89PNG\r\n\x1a\n\x00", "a.txt", None);
        check(b"", "a.txt", None);
        check(b" \n\t", "a.txt", None);
        let mut cut = "x".repeat(Format::SNIFF_BYTES - 1).into_bytes();
        cut.extend("ü".as_bytes());
        check(&cut, "a.txt", Some(Format::Text));
    }
}
