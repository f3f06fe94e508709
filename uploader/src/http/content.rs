//! What belongs to a document: its extraction, its text, and the file as it was uploaded.

use super::{
    app::{App, Serving, deleted},
    request::{Id, Parameters, is_known},
    wait,
};
use crate::error::{ApiError, Code};
use axum::{
    Json,
    body::{Body, Bytes},
    extract::State,
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header},
    response::{IntoResponse, Response},
};
use serde_json::Value;
use shared::{
    blob::BlobKey,
    document::{Document, DocumentId, DocumentState},
    extraction::{Extraction, Pages},
};
use std::{sync::Arc, time::Duration};

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const PLAIN: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
const NOSNIFF: (HeaderName, HeaderValue) =
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));

/// How long a link to a file in storage is good for.
const LINK_AGE_MAX: Duration = Duration::from_secs(300);

/// The extraction of a document
#[utoipa::path(
    get, path = "/v1/documents/{id}/result", tag = "documents",
    params(
        ("id" = String, Path, description = "The document"),
        ("wait" = Option<u64>, Query, description = "How long to wait for the end, in seconds, at most 60"),
        ("If-None-Match" = Option<String>, Header, description = "An ETag of an earlier answer"),
    ),
    responses(
        (status = 200, description = "The extraction", body = Extraction),
        (status = 304, description = "As known"),
        (status = 409, description = "`not_finished` (with Retry-After), `document_failed`, `document_cancelled` or `document_split`", body = crate::error::Problem, content_type = "application/problem+json"),
        (status = "default", description = "A problem", body = crate::error::Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn result(
    State(app): State<Arc<App>>,
    serving: Serving,
    Id(id): Id,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let wait_max = Parameters::read(&uri, &["wait"])?.wait()?;
    let is_end = |document: &Document| document.state.is_end();
    let document = wait::until(&app, &serving, &id, wait_max, is_end).await?;
    has_result(document)?;
    let Some((run, bytes)) = result_bytes(&app, &id).await? else {
        // It was queued again, or deleted, in between.
        has_result(app.document(&id).await?)?;
        return Err(ApiError::internal(format!("the result of {id} is not in storage")));
    };
    let etag = format!("\"{id}-{run}\"");
    let known = is_known(&headers, &etag);
    let mut response = match known {
        true => StatusCode::NOT_MODIFIED.into_response(),
        false => ([(header::CONTENT_TYPE, JSON)], bytes).into_response(),
    };
    if let Ok(etag) = HeaderValue::from_str(&etag) {
        response.headers_mut().insert(header::ETAG, etag);
    }
    Ok(response)
}

/// The error when there is no extraction.
fn has_result(document: Document) -> Result<(), ApiError> {
    let id = &document.id;
    match (document.state, document.failure) {
        (DocumentState::Succeeded | DocumentState::Partial, _) => Ok(()),
        (DocumentState::Queued | DocumentState::Processing, _) => Err(not_finished(id)),
        (DocumentState::Failed, Some(failure)) => Err(ApiError::failed(failure)),
        (DocumentState::Failed, None) => {
            Err(ApiError::new(Code::DocumentFailed, format!("{id} failed")))
        }
        (DocumentState::Cancelled, _) => {
            let error = ApiError::new(Code::DocumentCancelled, format!("{id} was cancelled"));
            Err(error.hint("POST …/retry runs it again"))
        }
        (DocumentState::Split, _) => {
            let detail = format!("{id} was split: it has no extraction of its own");
            let error = ApiError::new(Code::DocumentSplit, detail);
            let children: Vec<_> = document.children.iter().map(DocumentId::as_str).collect();
            Err(error.hint(format!("the extractions are those of {}", children.join(", "))))
        }
    }
}

/// A document that has not ended.
pub(super) fn not_finished(id: &DocumentId) -> ApiError {
    let error = ApiError::new(Code::NotFinished, format!("{id} has not ended yet"));
    error.retry_after(1).hint("GET /v1/documents/{id}?wait=20 says when and why it waits")
}

/// The bytes of the visible result, and its run.
async fn result_bytes(app: &App, id: &DocumentId) -> Result<Option<(u32, Bytes)>, ApiError> {
    let Some(location) = app.services.store.documents().result_location(id).await? else {
        return Ok(None);
    };
    let bytes = app.services.blobs.get(&BlobKey::result(id, location.run)).await?;
    Ok(bytes.map(|bytes| (location.run, bytes)))
}

/// The extraction of a document as JSON, when there is one.
pub(super) async fn extraction(app: &App, id: &DocumentId) -> Result<Option<Value>, ApiError> {
    let Some((_, bytes)) = result_bytes(app, id).await? else { return Ok(None) };
    serde_json::from_slice(&bytes).map(Some).map_err(|error| {
        ApiError::internal(format!("the result of {id} in storage is no JSON: {error}"))
    })
}

/// The text of a document, page by page
#[utoipa::path(
    get, path = "/v1/documents/{id}/text", tag = "documents",
    params(
        ("id" = String, Path, description = "The document"),
        ("page" = Option<u32>, Query, description = "Only this page, counted from 1, as plain text"),
        ("Accept" = Option<String>, Header, description = "`text/plain` gives plain text, a form feed between pages"),
    ),
    responses(
        (status = 200, description = "The text", content((Pages = "application/json"), (String = "text/plain"))),
        (status = 409, description = "`no_text_yet`", body = crate::error::Problem, content_type = "application/problem+json"),
        (status = "default", description = "A problem", body = crate::error::Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn text(
    State(app): State<Arc<App>>,
    Id(id): Id,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let parameters = Parameters::read(&uri, &["page"])?;
    let page: Option<u32> = parameters.value("page")?;
    let pages = saved_pages(&app, &id).await?;
    if page.is_none() && !prefers_plain(&headers) {
        return Ok(Json(pages.without_words()).into_response());
    }
    let text = match page {
        None => {
            let texts: Vec<String> = pages.pages.into_iter().map(|page| page.text).collect();
            texts.join("\n\u{c}")
        }
        Some(number) => {
            let count = pages.pages.len();
            let page = pages.pages.into_iter().find(|page| page.number == number);
            let none = || {
                let detail = format!("{id} has {count} pages and no page {number}");
                ApiError::new(Code::UnknownPage, detail)
            };
            page.ok_or_else(none)?.text
        }
    };
    Ok(([(header::CONTENT_TYPE, PLAIN), NOSNIFF], text).into_response())
}

/// The text of a document, with the places of its words.
///
/// # Errors
/// `no_text_yet`.
pub(super) async fn saved_pages(app: &App, id: &DocumentId) -> Result<Pages, ApiError> {
    let document = app.document(id).await?;
    let location = app.services.store.documents().result_location(id).await?;
    let Some(engine) = location.and_then(|location| location.text_engine) else {
        return Err(no_text(&document));
    };
    let Some(bytes) = app.services.blobs.get(&BlobKey::text(id, &engine)).await? else {
        return Err(no_text(&app.document(id).await?));
    };
    serde_json::from_slice(&bytes).map_err(|error| {
        ApiError::internal(format!("the text of {id} in storage cannot be read: {error}"))
    })
}

fn prefers_plain(headers: &HeaderMap) -> bool {
    let accept = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok());
    let accept = accept.unwrap_or_default();
    let index = |kind: &str| accept.find(kind).unwrap_or(usize::MAX);
    index("text/plain") < index("json")
}

fn no_text(document: &Document) -> ApiError {
    let id = &document.id;
    let error = ApiError::new(Code::NoTextYet, format!("the text of {id} has not been read"));
    match (document.state.is_end(), &document.failure) {
        (false, _) => error.retry_after(1),
        (true, Some(failure)) => error.for_good().hint(failure.message.clone()),
        (true, None) => error.for_good(),
    }
}

/// The file as it was uploaded
#[utoipa::path(
    get, path = "/v1/documents/{id}/source", tag = "documents",
    params(("id" = String, Path, description = "The document")),
    responses(
        (status = 200, description = "The file", body = String, content_type = "application/octet-stream"),
        (status = 307, description = "Where the file can be had for the next minutes, when it is kept in S3"),
        (status = "default", description = "A problem", body = crate::error::Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn source(
    State(app): State<Arc<App>>,
    Id(id): Id,
    method: Method,
    uri: Uri,
) -> Result<Response, ApiError> {
    Parameters::read(&uri, &[])?;
    let document = app.document(&id).await?;
    let mut kind = document.content_type;
    // What markup says of its own character set counts.
    if kind.starts_with("text/") && !kind.contains("charset=") && kind != "text/html" {
        kind.push_str("; charset=utf-8");
    }
    let Some(location) = app.services.store.documents().result_location(&id).await? else {
        return Err(deleted(&id));
    };
    let (blobs, key) = (&app.services.blobs, location.source);
    let disposition = disposition(&document.filename);
    // A link is signed for one method: a request for the headers alone is answered here.
    if method == Method::GET
        && let Some(link) = blobs.presigned(&key, &disposition, &kind, LINK_AGE_MAX).await?
    {
        let no_store = HeaderValue::from_static("private, no-store");
        let link = HeaderValue::from_str(&link).map_err(ApiError::internal)?;
        let headers = [(header::LOCATION, link), (header::CACHE_CONTROL, no_store)];
        return Ok((StatusCode::TEMPORARY_REDIRECT, headers).into_response());
    }
    let Some(stream) = blobs.stream(&key).await? else {
        // Deleted in between, or lost.
        app.document(&id).await?;
        return Err(ApiError::internal(format!("the file of {id} is not in storage")));
    };
    let text = |text: &str| HeaderValue::from_str(text);
    let attachment = HeaderValue::from_static("attachment");
    let headers = [
        (
            header::CONTENT_TYPE,
            text(&kind).unwrap_or(HeaderValue::from_static("application/octet-stream")),
        ),
        (header::CONTENT_LENGTH, HeaderValue::from(document.size_bytes)),
        (header::CONTENT_DISPOSITION, text(&disposition).unwrap_or(attachment)),
        NOSNIFF,
    ];
    Ok((headers, Body::from_stream(stream)).into_response())
}

/// `Content-Disposition` for a name in any script (RFC 6266, RFC 8187): an ASCII likeness for old
/// clients, and the name itself. Folders in the name are left away.
fn disposition(filename: &str) -> String {
    let name = filename.rsplit(['/', '\\']).next().unwrap_or_default();
    let name = if name.is_empty() { "document" } else { name };
    let plain =
        |c: char| if c.is_ascii_graphic() && c != '"' && c != '%' || c == ' ' { c } else { '_' };
    let likeness: String = name.chars().map(plain).collect();
    let mut encoded = String::with_capacity(name.len());
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"!#$&+-.^_`|~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    format!("attachment; filename=\"{likeness}\"; filename*=UTF-8''{encoded}")
}

#[cfg(test)]
mod tests {
    use super::disposition;

    #[test]
    fn names_survive_the_header() {
        let check = |name: &str, expected: &str| assert_eq!(disposition(name), expected);
        check("a.pdf", "attachment; filename=\"a.pdf\"; filename*=UTF-8''a.pdf");
        check(
            "Größe \"1\".pdf",
            "attachment; filename=\"Gr__e _1_.pdf\"; filename*=UTF-8''Gr%C3%B6%C3%9Fe%20%221%22.pdf",
        );
        check("../../etc/passwd", "attachment; filename=\"passwd\"; filename*=UTF-8''passwd");
        check("", "attachment; filename=\"document\"; filename*=UTF-8''document");
    }
}
