//! Every way in which a request can be answered with an error, as RFC 9457 problems. The one
//! place that knows status codes of errors; it must know nothing of routes.

use crate::{accept::AcceptError, ingest::IngestError, unlock::UnlockError};
use axum::{
    body::Body,
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use serde_json::json;
use shared::{
    blob::BlobError,
    document::{Failure, Stage},
    schema::SchemaFault,
    store::StoreError,
};
use utoipa::ToSchema;

/// How soon to come again when a service does not answer, in seconds.
const OUTAGE_RETRY_SECONDS: u32 = 5;

/// How soon to come again when the queue is full, in seconds.
const BACKLOG_RETRY_SECONDS: u32 = 30;

/// What went wrong, in words that a program can rely on. Stable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Code {
    NoFile,
    EmptyFile,
    TooManyFiles,
    MalformedMultipart,
    IncompleteBody,
    UnknownField,
    InvalidMetadata,
    InvalidParameter,
    InvalidIdempotencyKey,
    MalformedJson,
    UnknownSchema,
    UnknownDocument,
    UnknownPage,
    UnknownRoute,
    MethodNotAllowed,
    UploadStalled,
    IdempotencyConflict,
    NotFinished,
    DocumentFailed,
    DocumentCancelled,
    DocumentSplit,
    NoTextYet,
    NotFailed,
    AlreadyFinished,
    Deleted,
    TooLarge,
    UnsupportedFormat,
    InvalidSchema,
    WrongPassword,
    UnreadableFile,
    Internal,
    ReaderUnavailable,
    BacklogFull,
    StorageUnavailable,
    DatabaseUnavailable,
}

/// What is always the same about a code.
#[derive(Clone, Copy, Debug)]
pub(crate) struct About {
    /// The name in JSON.
    pub(crate) name: &'static str,
    /// The status of the answer.
    pub(crate) status: StatusCode,
    /// Whether the same request may go right later.
    pub(crate) retryable: bool,
    /// What it means.
    pub(crate) title: &'static str,
}

impl Code {
    /// Every code, by status.
    pub(crate) const ALL: [Self; 35] = [
        Self::NoFile,
        Self::EmptyFile,
        Self::TooManyFiles,
        Self::MalformedMultipart,
        Self::IncompleteBody,
        Self::UnknownField,
        Self::InvalidMetadata,
        Self::InvalidParameter,
        Self::InvalidIdempotencyKey,
        Self::MalformedJson,
        Self::UnknownSchema,
        Self::UnknownDocument,
        Self::UnknownPage,
        Self::UnknownRoute,
        Self::MethodNotAllowed,
        Self::UploadStalled,
        Self::IdempotencyConflict,
        Self::NotFinished,
        Self::DocumentFailed,
        Self::DocumentCancelled,
        Self::DocumentSplit,
        Self::NoTextYet,
        Self::NotFailed,
        Self::AlreadyFinished,
        Self::Deleted,
        Self::TooLarge,
        Self::UnsupportedFormat,
        Self::InvalidSchema,
        Self::WrongPassword,
        Self::UnreadableFile,
        Self::Internal,
        Self::ReaderUnavailable,
        Self::BacklogFull,
        Self::StorageUnavailable,
        Self::DatabaseUnavailable,
    ];

    /// The one place from codes to statuses.
    #[rustfmt::skip]
    pub(crate) fn about(self) -> About {
        let (name, status, retryable, title) = match self {
            Self::NoFile => ("no_file", 400, false, "The request carries no file"),
            Self::EmptyFile => ("empty_file", 400, false, "The file has no bytes"),
            Self::TooManyFiles => ("too_many_files", 400, false, "The request carries too many files"),
            Self::MalformedMultipart => ("malformed_multipart", 400, false, "The multipart body cannot be read"),
            Self::IncompleteBody => ("incomplete_body", 400, true, "The body ended too early or broke off"),
            Self::UnknownField => ("unknown_field", 400, false, "A form field is not one of those that are known"),
            Self::InvalidMetadata => ("invalid_metadata", 400, false, "The metadata is not a small JSON object of plain values"),
            Self::InvalidParameter => ("invalid_parameter", 400, false, "A parameter is unknown or has an impossible value"),
            Self::InvalidIdempotencyKey => ("invalid_idempotency_key", 400, false, "The Idempotency-Key is not 1 to 255 visible ASCII characters"),
            Self::MalformedJson => ("malformed_json", 400, false, "The body is not the JSON that is expected"),
            Self::UnknownSchema => ("unknown_schema", 404, false, "There is no such schema"),
            Self::UnknownDocument => ("unknown_document", 404, false, "There is no such document"),
            Self::UnknownPage => ("unknown_page", 404, false, "The document has no such page"),
            Self::UnknownRoute => ("unknown_route", 404, false, "There is nothing at this address"),
            Self::MethodNotAllowed => ("method_not_allowed", 405, false, "This address does not take this method"),
            Self::UploadStalled => ("upload_stalled", 408, true, "The body stopped arriving"),
            Self::IdempotencyConflict => ("idempotency_conflict", 409, false, "The Idempotency-Key was used for another request"),
            Self::NotFinished => ("not_finished", 409, true, "The document has not ended yet"),
            Self::DocumentFailed => ("document_failed", 409, false, "The document failed: it has no extraction"),
            Self::DocumentCancelled => ("document_cancelled", 409, false, "The document was cancelled: it has no extraction"),
            Self::DocumentSplit => ("document_split", 409, false, "The document was split: its children have the extractions"),
            Self::NoTextYet => ("no_text_yet", 409, true, "The text of the document has not been read"),
            Self::NotFailed => ("not_failed", 409, false, "Only a failed or cancelled document can be retried"),
            Self::AlreadyFinished => ("already_finished", 409, false, "The document has ended: there is nothing to cancel"),
            Self::Deleted => ("deleted", 410, false, "The document was deleted"),
            Self::TooLarge => ("too_large", 413, false, "The body is larger than the limit"),
            Self::UnsupportedFormat => ("unsupported_format", 415, false, "The content is not of a format that is read"),
            Self::InvalidSchema => ("invalid_schema", 422, false, "The schema cannot be used"),
            Self::WrongPassword => ("wrong_password", 422, false, "The file does not open with this password"),
            Self::UnreadableFile => ("unreadable_file", 422, false, "The file opens with its password and cannot be read"),
            Self::Internal => ("internal", 500, true, "Something broke on our side"),
            Self::ReaderUnavailable => ("reader_unavailable", 503, true, "No process can be started to read the file"),
            Self::BacklogFull => ("backlog_full", 503, true, "Too many documents are waiting"),
            Self::StorageUnavailable => ("storage_unavailable", 503, true, "Storage does not answer"),
            Self::DatabaseUnavailable => ("database_unavailable", 503, true, "The database does not answer"),
        };
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        About { name, status, retryable, title }
    }
}

/// An error as the client sees it: `application/problem+json` (RFC 9457).
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(example = json!({
    "type": "/problems/too_large", "title": "The body is larger than the limit", "status": 413,
    "detail": "scan.pdf is larger than 104857600 bytes", "code": "too_large", "retryable": false,
}))]
pub(crate) struct Problem {
    /// Identifies the kind of problem; it can be opened.
    #[serde(rename = "type")]
    kind: String,
    /// What the code means.
    title: &'static str,
    /// The status of the answer.
    status: u16,
    /// What happened this time.
    detail: String,
    /// For programs. Stable.
    code: &'static str,
    /// Whether the same request may go right later.
    retryable: bool,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
    /// The code of the document's failure.
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<shared::document::FailureCode>,
    /// The part of the work in which the document failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    stage: Option<Stage>,
    /// The page concerned, counted from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    page: Option<u32>,
    /// Every fault of a schema.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<SchemaFault>,
}

/// An error on its way to the client. A code with details rather than one variant a detail: the
/// codes are also listed in the documentation, where there is no detail.
#[derive(Debug)]
pub(crate) struct ApiError(Box<Parts>);

#[derive(Debug)]
struct Parts {
    code: Code,
    problem: Problem,
    retry_after: Option<u32>,
    /// For the log only.
    cause: Option<String>,
}

impl ApiError {
    /// An error that says what happened this time.
    pub(crate) fn new(code: Code, detail: impl Into<String>) -> Self {
        let about = code.about();
        let problem = Problem {
            kind: format!("/problems/{}", about.name),
            title: about.title,
            status: about.status.as_u16(),
            detail: detail.into(),
            code: about.name,
            retryable: about.retryable,
            hint: None,
            failure: None,
            stage: None,
            page: None,
            errors: Vec::new(),
        };
        Self(Box::new(Parts { code, problem, retry_after: None, cause: None }))
    }

    /// Adds what to do about it.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.0.problem.hint = Some(hint.into());
        self
    }

    /// Adds when to come again, in seconds.
    pub(crate) fn retry_after(mut self, seconds: u32) -> Self {
        self.0.retry_after = Some(seconds);
        self
    }

    /// Says that coming again is in vain although the code allows it.
    pub(crate) fn for_good(mut self) -> Self {
        self.0.problem.retryable = false;
        self.0.retry_after = None;
        self
    }

    /// Adds what is for the log and not for the client.
    pub(crate) fn cause(mut self, cause: impl ToString) -> Self {
        self.0.cause = Some(cause.to_string());
        self
    }

    /// A parameter that is unknown or has an impossible value.
    pub(crate) fn parameter(name: &str, why: impl std::fmt::Display) -> Self {
        Self::new(Code::InvalidParameter, format!("{name}: {why}"))
    }

    /// A schema that cannot be used.
    pub(crate) fn faults(errors: Vec<SchemaFault>) -> Self {
        let detail = match errors.as_slice() {
            [one] => {
                format!("{}: {}", if one.path.is_empty() { "/" } else { &one.path }, one.message)
            }
            many => format!("{} faults: see errors", many.len()),
        };
        let mut error = Self::new(Code::InvalidSchema, detail);
        error.0.problem.errors = errors;
        error
    }

    /// A document that has no extraction because it failed.
    pub(crate) fn failed(failure: Failure) -> Self {
        let mut error = Self::new(Code::DocumentFailed, failure.message);
        error.0.problem.failure = Some(failure.code);
        error.0.problem.stage = Some(failure.stage);
        error.0.problem.page = failure.page;
        error.0.problem.retryable = failure.retryable;
        if failure.retryable {
            error = error.hint("POST …/retry runs it again");
        }
        error
    }

    /// Something that cannot happen.
    pub(crate) fn internal(cause: impl ToString) -> Self {
        let detail = "something broke on our side; the log names this request by its X-Request-Id";
        Self::new(Code::Internal, detail).cause(cause)
    }

    #[cfg(test)]
    pub(crate) fn code(&self) -> Code {
        self.0.code
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        let detail = "the database does not answer; nothing was changed, or asking again shows it";
        Self::new(Code::DatabaseUnavailable, detail).retry_after(OUTAGE_RETRY_SECONDS).cause(error)
    }
}

impl From<BlobError> for ApiError {
    fn from(error: BlobError) -> Self {
        Self::new(
            Code::StorageUnavailable,
            "storage does not answer; nothing was accepted or changed",
        )
        .retry_after(OUTAGE_RETRY_SECONDS)
        .cause(error)
    }
}

impl From<IngestError> for ApiError {
    fn from(error: IngestError) -> Self {
        let detail = error.to_string();
        match error {
            IngestError::Empty { .. } => Self::new(Code::EmptyFile, detail),
            IngestError::TooLarge { .. } => {
                Self::new(Code::TooLarge, detail).hint("limits.size_bytes_max sets the limit")
            }
            IngestError::UnsupportedFormat { .. } => Self::new(Code::UnsupportedFormat, detail)
                .hint(
                    "PDF, Word, Excel, PowerPoint and OpenDocument text files, e-mails, RTF, HTML, XML, \
                     CSV, Markdown, plain text, and images as JPEG, PNG, TIFF and WebP are read; the content decides, not the name",
                ),
            IngestError::Storage(error) => error.into(),
            IngestError::Internal(cause) => Self::internal(cause),
        }
    }
}

impl From<UnlockError> for ApiError {
    fn from(error: UnlockError) -> Self {
        let detail = error.to_string();
        match error {
            UnlockError::WrongPassword { .. } => Self::new(Code::WrongPassword, detail)
                .hint("nothing was accepted, and the password was not kept"),
            UnlockError::Unreadable { .. } => Self::new(Code::UnreadableFile, detail),
            UnlockError::Unavailable(cause) => {
                let detail = "no process can be started to read the file; nothing was accepted";
                Self::new(Code::ReaderUnavailable, detail)
                    .retry_after(OUTAGE_RETRY_SECONDS)
                    .cause(cause)
            }
            UnlockError::Storage(error) => error.into(),
        }
    }
}

impl From<AcceptError> for ApiError {
    fn from(error: AcceptError) -> Self {
        let detail = error.to_string();
        match error {
            AcceptError::BacklogFull { .. } => {
                Self::new(Code::BacklogFull, detail).retry_after(BACKLOG_RETRY_SECONDS)
            }
            AcceptError::KeyConflict => Self::new(Code::IdempotencyConflict, detail)
                .hint("use a new key for every request that is not a repetition"),
            AcceptError::Storage(error) => error.into(),
            AcceptError::Database(error) => error.into(),
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let Parts { code, problem, retry_after, cause } = *self.0;
        let status = code.about().status;
        if status.is_server_error() {
            let cause = cause.as_deref().unwrap_or_default();
            tracing::error!(code = problem.code, cause, "cannot answer: {}", problem.detail);
        }
        // A problem is made of strings and numbers; it can always be written.
        let body = serde_json::to_vec(&problem).unwrap_or_else(|_| json!({}).to_string().into());
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, PROBLEM_JSON);
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(seconds) = retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

/// The media type of every error.
pub(crate) const PROBLEM_JSON: HeaderValue = HeaderValue::from_static("application/problem+json");

const RETRY_AFTER: HeaderName = header::RETRY_AFTER;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_listed_once() {
        let names: std::collections::BTreeSet<_> =
            Code::ALL.iter().map(|code| code.about().name).collect();
        assert_eq!(names.len(), Code::ALL.len());
        // The last variant is the last one listed.
        assert_eq!(Code::ALL.len(), Code::DatabaseUnavailable as usize + 1);
    }
}
