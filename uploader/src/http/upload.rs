//! `POST /v1/documents`: reads a form or a raw body, and hands its files to acceptance.

mod response;
mod disposition;
mod options;

use super::{
    app::{App, Serving},
    body::{BodyChunks, unstalled},
    request::{Parameters, preferred_wait},
};
use crate::{
    accept::AcceptedDocuments,
    error::{ApiError, Code},
    ingest::{IngestError, Intake, StoredFile, discard},
};
use axum::{
    body::Body,
    extract::{
        DefaultBodyLimit, Extension, FromRequest, Multipart, Request, State, multipart::Field,
    },
    http::{HeaderMap, Uri, header},
    response::Response,
};
use disposition::Disposition;
use options::UploadOptions;
use shared::{
    clock,
    document::{Document, DocumentId},
    message::Traceparent,
};
use std::sync::Arc;
use tracing::Instrument;

/// What boundaries, headers and fields may add to the files of a form, in bytes.
const FORM_OVERHEAD_BYTES_MAX: u64 = 1024 * 1024;

/// The longest text of a form field other than `metadata`, in bytes.
const FIELD_BYTES_MAX: u64 = 1024;

/// The name of a file that brings none.
const FILENAME_DEFAULT: &str = "document";

/// A form, for the documentation.
#[derive(utoipa::ToSchema)]
#[expect(dead_code, reason = "describes the form, which is read as a stream")]
pub(super) struct UploadForm {
    /// The file; repeat it for several documents.
    #[schema(value_type = Vec<String>, format = Binary)]
    file: Vec<String>,
    /// What to extract: `name` for the newest version, `name@2` for version 2. Default `generic`.
    #[schema(example = "invoice")]
    schema: Option<String>,
    /// A JSON object of plain values to keep with the documents.
    #[schema(example = "{\"customer\": \"4711\"}")]
    metadata: Option<String>,
    /// Who is served first.
    priority: Option<shared::document::Priority>,
    /// What to do where a file holds several documents. Default: `members.split` of the configuration.
    split: Option<shared::document::SplitMode>,
    /// What the PDFs open with, if they need a password. It is used at once and never kept; the header
    /// `Document-Password` does the same for a raw body.
    #[schema(format = Password)]
    password: Option<String>,
}

/// Upload documents
///
/// As `multipart/form-data` (fields in any order) or as a raw body of any other content type. The
/// body is streamed to storage. Either all files of a request are accepted or none.
#[utoipa::path(
    post, path = "/v1/documents", tag = "documents",
    params(
        ("schema" = Option<String>, Query, description = "What to extract: `name` or `name@2`. Default `generic`"),
        ("priority" = Option<shared::document::Priority>, Query, description = "Who is served first. Default `bulk`"),
        ("filename" = Option<String>, Query, description = "The name of a raw body"),
        ("metadata" = Option<String>, Query, description = "A JSON object of plain values"),
        ("split" = Option<shared::document::SplitMode>, Query, description = "What to do where a file holds several documents. Default: `members.split` of the configuration"),
        ("Idempotency-Key" = Option<String>, Header, description = "The same call with the same key gives the same documents"),
        ("Document-Password" = Option<String>, Header, description = "What a PDF opens with that needs a password; of a raw body. Used at once, never kept"),
        ("traceparent" = Option<String>, Header, description = "The W3C trace that the documents belong to. Default: a new one"),
        ("Prefer" = Option<String>, Header, description = "`wait=30` waits for the end, at most 60 seconds", example = "wait=30"),
    ),
    request_body(content(
        (UploadForm = "multipart/form-data"),
        (String = "application/octet-stream"),
    )),
    responses(
        (status = 202, description = "Accepted: never lost from here on. Several files: `{data: [document, …]}`", body = Document,
            headers(
                ("Location" = String, description = "The document"),
                ("Retry-After" = u32, description = "When to look, in seconds"),
                ("Idempotent-Replayed" = Option<bool>, description = "`true` when an earlier call with this key was accepted"),
            )),
        (status = 200, description = "With `Prefer: wait`: it has ended; `extraction` is null when it failed", body = response::EndedDocument),
        (status = "default", description = "A problem", body = crate::error::Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn upload(
    State(app): State<Arc<App>>,
    serving: Serving,
    trace: Option<Extension<Traceparent>>,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let chunks = BodyChunks::new(body);
    let trace = trace.map(|Extension(trace)| trace);
    let accepted = match take(&app, &serving, &uri, &headers, &chunks, trace).await {
        Ok(accepted) => accepted,
        Err(error) => {
            let waits_for_100 = headers.contains_key(header::EXPECT);
            serving.tasks.spawn(chunks.drain(waits_for_100));
            return Err(error);
        }
    };
    response::respond(&app, &serving, accepted, preferred_wait(&headers)).await
}

async fn take(
    app: &Arc<App>,
    serving: &Serving,
    uri: &Uri,
    headers: &HeaderMap,
    chunks: &BodyChunks,
    trace: Option<Traceparent>,
) -> Result<AcceptedDocuments, ApiError> {
    let key = options::idempotency_key(headers)?;
    let mut options = UploadOptions::within(trace);
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    options.content_type = content_type.map(str::to_owned);
    let legal = ["schema", "priority", "split", "metadata", "filename"];
    let parameters = Parameters::read(uri, &legal)?;
    for name in legal {
        if let Some(value) = parameters.text(name) {
            options.set(app, name, value).await?;
        }
    }
    if let Some(password) = options::password(headers)? {
        options.set(app, "password", password).await?;
    }
    let form = form(headers, chunks).await?;
    check_length(app, headers, form.is_some(), options.filename.as_deref())?;
    if form.is_some() && options.filename.is_some() {
        let why = "names a raw body; in a form every file brings its own name";
        return Err(ApiError::parameter("filename", why));
    }
    app.acceptance.check_backlog().await?;
    // A task of its own runs to its end although the client may go away and take the handler
    // with it: either the documents are accepted or their bytes are removed.
    let (app, chunks) = (app.clone(), chunks.clone());
    let work = async move {
        let mut files = Vec::new();
        let received = receive(&app, &mut options, form, chunks, &mut files).await;
        let submission = match unlocked(&app, &options, &mut files, received).await {
            Ok(()) => options.submission(&app, key).await,
            Err(error) => Err(error),
        };
        match submission {
            Ok(submission) => Ok(app.acceptance.accept(&submission, &files).await?),
            Err(error) => {
                discard(&app.services.blobs, &files).await;
                Err(error)
            }
        }
    };
    let done = serving.tasks.spawn(work.in_current_span()).await;
    done.unwrap_or_else(|error| Err(ApiError::internal(error)))
}

/// Refuses a body whose announced length is over the limit.
fn check_length(
    app: &App,
    headers: &HeaderMap,
    is_form: bool,
    filename: Option<&str>,
) -> Result<(), ApiError> {
    let size_bytes_max = app.limits.size_bytes_max;
    let files = if is_form { u64::from(app.limits.files_max) } else { 1 };
    let overhead = if is_form { FORM_OVERHEAD_BYTES_MAX } else { 0 };
    let most = size_bytes_max.saturating_mul(files).saturating_add(overhead);
    if content_length(headers).is_none_or(|length| length <= most) {
        return Ok(());
    }
    let filename = filename.unwrap_or("the body").to_owned();
    Err(IngestError::TooLarge { filename, size_bytes_max }.into())
}

/// The form, when the body is one.
async fn form(headers: &HeaderMap, chunks: &BodyChunks) -> Result<Option<Multipart>, ApiError> {
    let Some(kind) = headers.get(header::CONTENT_TYPE) else { return Ok(None) };
    let text = kind.to_str().unwrap_or_default().trim_start().to_ascii_lowercase();
    if !text.starts_with("multipart/") {
        return Ok(None);
    }
    let malformed = |detail: String| {
        let hint = "let the HTTP client make the form: curl -F file=@invoice.pdf";
        ApiError::new(Code::MalformedMultipart, detail).hint(hint)
    };
    if !text.starts_with("multipart/form-data") {
        return Err(malformed(
            "of the multipart types only multipart/form-data is read".to_owned(),
        ));
    }
    let mut request = Request::new(Body::from_stream(chunks.clone()));
    request.headers_mut().insert(header::CONTENT_TYPE, kind.clone());
    // The limits here are our own: they know where a file begins.
    DefaultBodyLimit::disable().apply(&mut request);
    let form = Multipart::from_request(request, &()).await;
    form.map(Some).map_err(|error| malformed(error.body_text()))
}

fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Opens what was received with its password, if there is one.
async fn unlocked(
    app: &App,
    options: &UploadOptions,
    files: &mut [StoredFile],
    received: Result<(), ApiError>,
) -> Result<(), ApiError> {
    received?;
    match (&options.password, &app.unlocking) {
        (Some(password), Some(unlocking)) => {
            Ok(unlocking.unlock(&app.services.blobs, files, password).await?)
        }
        _ => Ok(()),
    }
}

/// Streams everything to storage.
async fn receive(
    app: &App,
    options: &mut UploadOptions,
    form: Option<Multipart>,
    mut chunks: BodyChunks,
    files: &mut Vec<StoredFile>,
) -> Result<(), ApiError> {
    match form {
        Some(form) => fields(app, options, form, &chunks, files).await?,
        None => {
            // Faults of the parameters are reported before the bytes are taken.
            options.resolve_schema(app).await?;
            let name = options.filename.clone().unwrap_or_else(|| FILENAME_DEFAULT.to_owned());
            let mut intake = intake(app, name, options.content_type.clone());
            while let Some(chunk) = chunks.chunk().await? {
                intake.write(chunk).await?;
            }
            if intake.is_empty() && options.filename.is_none() {
                return Err(no_file());
            }
            files.push(intake.finish().await?);
        }
    }
    if files.is_empty() { Err(no_file()) } else { Ok(()) }
}

async fn fields(
    app: &App,
    options: &mut UploadOptions,
    mut form: Multipart,
    chunks: &BodyChunks,
    files: &mut Vec<StoredFile>,
) -> Result<(), ApiError> {
    loop {
        let field = unstalled(form.next_field()).await?;
        let field = field.map_err(|error| chunks.error(error.body_text()))?;
        chunks.progress();
        let Some(field) = field else { return Ok(()) };
        let Disposition { name, filename } = disposition(&field);
        let name = name.unwrap_or_default();
        match name.as_str() {
            "file" => files.extend(file(app, field, filename, chunks, files.len()).await?),
            "schema" | "priority" | "split" => {
                let text = text(field, chunks, FIELD_BYTES_MAX).await?;
                let text = text.ok_or_else(|| ApiError::parameter(&name, "is not a short text"))?;
                options.set(app, &name, text.trim()).await?;
            }
            // Blanks at its ends may belong to it.
            "password" => {
                let text = text(field, chunks, FIELD_BYTES_MAX).await?;
                let text = text.ok_or_else(|| ApiError::parameter(&name, "is not a short text"))?;
                options.set(app, "password", &text).await?;
            }
            "metadata" => {
                let most = app.limits.metadata_bytes_max;
                let text = text(field, chunks, most).await?;
                let text = text.ok_or_else(|| {
                    let detail = format!("metadata is not a text of at most {most} bytes");
                    ApiError::new(Code::InvalidMetadata, detail)
                })?;
                options.set(app, "metadata", &text).await?;
            }
            other => {
                let other: String = other.chars().take(80).collect();
                let detail = format!("{other:?} is not a field of this form");
                let hint = "fields of this form: file, schema, metadata, priority, split, password";
                return Err(ApiError::new(Code::UnknownField, detail).hint(hint));
            }
        }
    }
}

fn disposition(field: &Field<'_>) -> Disposition {
    let header = field.headers().get(header::CONTENT_DISPOSITION);
    header.map(|header| Disposition::read(header.as_bytes())).unwrap_or_default()
}

/// One file of a form; `None` for the empty one that browsers send when none was chosen.
async fn file(
    app: &App,
    mut field: Field<'_>,
    filename: Option<String>,
    chunks: &BodyChunks,
    before: usize,
) -> Result<Option<StoredFile>, ApiError> {
    let most = app.limits.files_max;
    if before as u64 >= u64::from(most) {
        let detail = format!("a request carries at most {most} files");
        return Err(ApiError::new(Code::TooManyFiles, detail));
    }
    let nameless = filename.as_deref() == Some("");
    let name = filename.as_deref().map(options::filename).filter(|name| !name.is_empty());
    let content_type = field.content_type().map(str::to_owned);
    let name = name.unwrap_or_else(|| FILENAME_DEFAULT.to_owned());
    let mut intake = intake(app, name, content_type);
    while let Some(chunk) = chunk(&mut field, chunks).await? {
        intake.write(chunk).await?;
    }
    if nameless && intake.is_empty() {
        return Ok(None);
    }
    Ok(Some(intake.finish().await?))
}

/// The text of a field, or `None` when it is too long or no text.
async fn text(
    mut field: Field<'_>,
    chunks: &BodyChunks,
    bytes_max: u64,
) -> Result<Option<String>, ApiError> {
    let mut bytes = Vec::new();
    while let Some(chunk) = chunk(&mut field, chunks).await? {
        bytes.extend_from_slice(&chunk);
        if bytes.len() as u64 > bytes_max {
            return Ok(None);
        }
    }
    Ok(String::from_utf8(bytes).ok())
}

async fn chunk(
    field: &mut Field<'_>,
    chunks: &BodyChunks,
) -> Result<Option<bytes::Bytes>, ApiError> {
    let chunk = unstalled(field.chunk()).await?;
    chunks.progress();
    chunk.map_err(|error| chunks.error(error.body_text()))
}

fn intake(app: &App, filename: String, content_type: Option<String>) -> Intake {
    let id = DocumentId::new(clock::now());
    Intake::new(app.services.blobs.clone(), app.limits.size_bytes_max, id, filename, content_type)
}

fn no_file() -> ApiError {
    let hint = "send the file as the body, or as the field `file` of multipart/form-data";
    ApiError::new(Code::NoFile, "the request carries no file").hint(hint)
}
