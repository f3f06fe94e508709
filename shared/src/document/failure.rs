//! Why a document has no extraction.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Why a document has no extraction, in words that a program can rely on. Stable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum FailureCode {
    /// The file is damaged beyond reading, or reading it broke the reader.
    UnreadableDocument,
    /// The file is encrypted and opens only with a password.
    PasswordRequired,
    /// What the file is about stands in nothing that is read: a dynamic XFA form, or a cover (a PDF
    /// portfolio, an e-mail without words) of whose attachments none can be read.
    UnsupportedDocument,
    /// No page has any text: a scan, or an empty document.
    NoText,
    /// The document has more pages than `limits.pages_max`.
    TooManyPages,
    /// Reading the file took more time, memory or output than the limits of `[worker]` allow.
    TextLimitExceeded,
    /// The document is too long for every deployment that serves its model.
    ContextTooLong,
    /// The question counts more than a whole minute's quota of every deployment, even with the least
    /// room for its answer.
    LargerThanQuota,
    /// The model's output was cut off again in the largest room that it could get.
    OutputTruncated,
    /// The model refused to answer.
    ModelRefused,
    /// The provider's content filter stopped the question or the answer.
    ContentFiltered,
    /// The reply was no answer that fits the schema, nor was the one after it was asked again. A
    /// retry asks anew.
    InvalidReply,
    /// No deployment serves the model that the schema asks for.
    NoDeployment,
    /// A deployment does not take the question in any form, or no deployment of the model could be
    /// used for `worker.outage_seconds_max`.
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
    pub const ALL: [Self; 17] = [
        Self::UnreadableDocument,
        Self::PasswordRequired,
        Self::UnsupportedDocument,
        Self::NoText,
        Self::TooManyPages,
        Self::TextLimitExceeded,
        Self::ContextTooLong,
        Self::LargerThanQuota,
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
            Self::InvalidReply
                | Self::LargerThanQuota
                | Self::NoDeployment
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
