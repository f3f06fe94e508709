//! `POST /v1/documents`: from a form or a raw body to rows in the database, or to nothing at all.

mod answer;
mod asked;

use super::{
    app::{App, Serving},
    request::{Parameters, preferred_wait},
};
use crate::{
    error::{ApiError, Code},
    ingest::{Intake, Pieces, Stored, discard, too_large, unstalled},
};
use answer::Documents;
use asked::Asked;
use axum::{
    body::Body,
    extract::{
        DefaultBodyLimit, Extension, FromRequest, Multipart, Request, State, multipart::Field,
    },
    http::{HeaderMap, Uri, header},
    response::Response,
};
use shared::{
    blob::BlobKey,
    clock,
    document::{Document, DocumentId},
    fault,
    job::TENANT_DEFAULT,
    message::Traceparent,
    schema::SchemaRef,
    store::{Accepted, NewDocument},
};
use std::sync::Arc;
use tracing::Instrument;

/// What boundaries, headers and fields may add to the files of a form, in bytes.
const FORM_OVERHEAD_BYTES_MAX: u64 = 1024 * 1024;

/// The longest text of a form field other than `metadata`, in bytes.
const FIELD_BYTES_MAX: u64 = 1024;

/// The name of a file whose name nobody told.
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
        ("Idempotency-Key" = Option<String>, Header, description = "The same call with the same key gives the same documents"),
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
        (status = 200, description = "With `Prefer: wait`: it has ended; `extraction` is null when it failed", body = answer::EndedDocument),
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
    let pieces = Pieces::new(body);
    let trace = trace.map(|Extension(trace)| trace);
    let taken = take(&app, &serving, &uri, &headers, &pieces, trace).await;
    let documents = match taken {
        Ok(documents) => documents,
        Err(error) => {
            let waits_for_100 = headers.contains_key(header::EXPECT);
            serving.tasks.spawn(pieces.drain(waits_for_100));
            return Err(error);
        }
    };
    answer::answer(&app, &serving, documents, preferred_wait(&headers)).await
}

async fn take(
    app: &Arc<App>,
    serving: &Serving,
    uri: &Uri,
    headers: &HeaderMap,
    pieces: &Pieces,
    trace: Option<Traceparent>,
) -> Result<Documents, ApiError> {
    let key = asked::idempotency_key(headers)?;
    let mut asked = Asked::within(trace);
    let legal = ["schema", "priority", "metadata", "filename"];
    let parameters = Parameters::read(uri, &legal)?;
    for name in legal {
        if let Some(value) = parameters.text(name) {
            asked.set(app, name, value).await?;
        }
    }
    let form = form(headers, pieces).await?;
    let files = if form.is_some() { u64::from(app.limits.files_max) } else { 1 };
    let overhead = if form.is_some() { FORM_OVERHEAD_BYTES_MAX } else { 0 };
    let most = app.limits.size_bytes_max.saturating_mul(files).saturating_add(overhead);
    if content_length(headers).is_some_and(|length| length > most) {
        let name = asked.filename.as_deref().unwrap_or("the body");
        return Err(too_large(name, app.limits.size_bytes_max));
    }
    if form.is_some() && asked.filename.is_some() {
        let why = "names a raw body; in a form every file brings its own name";
        return Err(ApiError::parameter("filename", why));
    }
    app.has_room().await?;
    // A task of its own runs to its end although the client may go away and take the handler
    // with it: so either the documents are accepted or their bytes are removed.
    let (app, pieces) = (app.clone(), pieces.clone());
    let work = async move {
        let mut files = Vec::new();
        let received = receive(&app, &mut asked, form, pieces, &mut files).await;
        match received {
            Ok(schema) => accept(&app, &asked, schema, key, files).await,
            Err(error) => {
                discard(&app.services.blobs, &files).await;
                Err(error)
            }
        }
    };
    let done = serving.tasks.spawn(work.in_current_span()).await;
    done.unwrap_or_else(|error| Err(ApiError::internal(error)))
}

/// The form, when the body is one.
async fn form(headers: &HeaderMap, pieces: &Pieces) -> Result<Option<Multipart>, ApiError> {
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
    let mut request = Request::new(Body::from_stream(pieces.clone()));
    request.headers_mut().insert(header::CONTENT_TYPE, kind.clone());
    // The limits here are our own: they know where a file begins.
    DefaultBodyLimit::disable().apply(&mut request);
    let form = Multipart::from_request(request, &()).await;
    form.map(Some).map_err(|error| malformed(error.body_text()))
}

fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Streams everything to storage, and says which schema is meant.
async fn receive(
    app: &App,
    asked: &mut Asked,
    form: Option<Multipart>,
    mut pieces: Pieces,
    files: &mut Vec<Stored>,
) -> Result<SchemaRef, ApiError> {
    match form {
        Some(form) => fields(app, asked, form, &pieces, files).await?,
        None => {
            // What is wrong with the parameters is said before the bytes are taken.
            asked.schema(app).await?;
            let name = asked.filename.clone().unwrap_or_else(|| FILENAME_DEFAULT.to_owned());
            let mut intake = intake(app, name);
            while let Some(piece) = pieces.piece().await? {
                intake.piece(piece).await?;
            }
            if intake.is_empty() && asked.filename.is_none() {
                return Err(no_file());
            }
            files.push(intake.finish().await?);
        }
    }
    if files.is_empty() {
        return Err(no_file());
    }
    asked.schema(app).await
}

async fn fields(
    app: &App,
    asked: &mut Asked,
    mut form: Multipart,
    pieces: &Pieces,
    files: &mut Vec<Stored>,
) -> Result<(), ApiError> {
    loop {
        let field = unstalled(form.next_field()).await?;
        let field = field.map_err(|error| pieces.error(error.body_text()))?;
        pieces.progress();
        let Some(field) = field else { return Ok(()) };
        let name = field.name().unwrap_or_default().to_owned();
        match name.as_str() {
            "file" => files.extend(file(app, field, pieces, files.len()).await?),
            "schema" | "priority" => {
                let text = text(field, pieces, FIELD_BYTES_MAX).await?;
                let text = text.ok_or_else(|| ApiError::parameter(&name, "is not a short text"))?;
                asked.set(app, &name, text.trim()).await?;
            }
            "metadata" => {
                let most = app.limits.metadata_bytes_max;
                let text = text(field, pieces, most).await?;
                let text = text.ok_or_else(|| {
                    let detail = format!("metadata is not a text of at most {most} bytes");
                    ApiError::new(Code::InvalidMetadata, detail)
                })?;
                asked.set(app, "metadata", &text).await?;
            }
            other => {
                let other: String = other.chars().take(80).collect();
                let detail = format!("{other:?} is not a field of this form");
                let hint = "fields of this form: file, schema, metadata, priority";
                return Err(ApiError::new(Code::UnknownField, detail).hint(hint));
            }
        }
    }
}

/// One file of a form; `None` for the empty one that browsers send when nobody chose a file.
async fn file(
    app: &App,
    mut field: Field<'_>,
    pieces: &Pieces,
    before: usize,
) -> Result<Option<Stored>, ApiError> {
    let most = app.limits.files_max;
    if before as u64 >= u64::from(most) {
        let detail = format!("a request carries at most {most} files");
        return Err(ApiError::new(Code::TooManyFiles, detail));
    }
    let nameless = field.file_name() == Some("");
    let name = field.file_name().map(asked::filename).filter(|name| !name.is_empty());
    let mut intake = intake(app, name.unwrap_or_else(|| FILENAME_DEFAULT.to_owned()));
    while let Some(piece) = chunk(&mut field, pieces).await? {
        intake.piece(piece).await?;
    }
    if nameless && intake.is_empty() {
        return Ok(None);
    }
    intake.finish().await.map(Some)
}

/// The text of a field, or `None` when it is too long or no text.
async fn text(
    mut field: Field<'_>,
    pieces: &Pieces,
    bytes_max: u64,
) -> Result<Option<String>, ApiError> {
    let mut bytes = Vec::new();
    while let Some(piece) = chunk(&mut field, pieces).await? {
        bytes.extend_from_slice(&piece);
        if bytes.len() as u64 > bytes_max {
            return Ok(None);
        }
    }
    Ok(String::from_utf8(bytes).ok())
}

async fn chunk(field: &mut Field<'_>, pieces: &Pieces) -> Result<Option<bytes::Bytes>, ApiError> {
    let chunk = unstalled(field.chunk()).await?;
    pieces.progress();
    chunk.map_err(|error| pieces.error(error.body_text()))
}

fn intake(app: &App, filename: String) -> Intake {
    let id = DocumentId::new(clock::now());
    Intake::new(app.services.blobs.clone(), app.limits.size_bytes_max, id, filename)
}

fn no_file() -> ApiError {
    let hint = "send the file as the body, or as the field `file` of multipart/form-data";
    ApiError::new(Code::NoFile, "the request carries no file").hint(hint)
}

/// Accepts what is in storage, or removes it.
async fn accept(
    app: &App,
    asked: &Asked,
    schema: SchemaRef,
    key: Option<String>,
    files: Vec<Stored>,
) -> Result<Documents, ApiError> {
    fault::point("stored");
    let new = |file: &Stored| NewDocument {
        id: file.id.clone(),
        tenant: TENANT_DEFAULT.to_owned(),
        schema: schema.clone(),
        priority: asked.priority.unwrap_or_default(),
        filename: file.filename.clone(),
        format: file.format,
        size_bytes: file.size_bytes,
        sha256: file.sha256.clone(),
        metadata: asked.metadata.clone().unwrap_or_default(),
        traceparent: asked.trace.clone(),
    };
    let documents: Vec<NewDocument> = files.iter().map(new).collect();
    for document in &documents {
        // Strings and JSON values always serialise.
        let about = serde_json::to_vec(document).unwrap_or_default();
        app.services.blobs.put_if_absent(&BlobKey::about(&document.id), about.into()).await?;
    }
    let key = key.map(|key| asked.idempotency(key, &files));
    let (services, blobs) = (&app.services, &app.services.blobs);
    match services.store.documents().accept(documents, key).await {
        Ok(Accepted::New(documents)) => {
            fault::point("accepted");
            services.relay.nudge();
            app.accepted(documents.len());
            for document in &documents {
                tracing::info!(document = %document.id, "accepted");
            }
            Ok(Documents { documents, replayed: false })
        }
        Ok(Accepted::Replayed(documents)) => {
            discard(blobs, &files).await;
            Ok(Documents { documents, replayed: true })
        }
        Ok(Accepted::Conflict) => {
            discard(blobs, &files).await;
            let detail = "this Idempotency-Key was used for a request with other content";
            let hint = "use a new key for every request that is not a repetition";
            Err(ApiError::new(Code::IdempotencyConflict, detail).hint(hint))
        }
        Err(error) => {
            // Nobody knows whether it was accepted: a commit may still arrive, so the bytes stay.
            // `sluice reconcile` finds those that nobody accepted.
            services.relay.nudge();
            Err(error.into())
        }
    }
}
