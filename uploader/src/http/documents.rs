//! Documents as rows: list, look up, wait, cancel, run again, delete.

use super::{
    app::{App, Serving, deleted, explain_queued, unknown},
    content::not_finished,
    request::{Id, Parameters, json, small_body},
    wait,
};
use crate::error::{ApiError, Code};
use axum::{
    Json,
    body::Body,
    extract::State,
    http::{StatusCode, Uri},
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use shared::{
    blob::BlobKey,
    document::{Attempt, Document, DocumentId, DocumentState, FailureCode},
    schema::SchemaName,
    store::{Changed, Filter},
};
use std::{sync::Arc, time::Duration};
use utoipa::ToSchema;

/// The largest small body: filters and the like.
const BODY_BYTES_MAX: u64 = 64 * 1024;

/// How many documents a page has by default, and at most.
const LIMIT_DEFAULT: u32 = 20;
const LIMIT_MAX: u32 = 200;

/// When to look again for what a worker was still writing while its document was deleted.
const PURGE_AGAIN: Duration = Duration::from_secs(15 * 60);

/// A page of documents, newest first.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct DocumentList {
    data: Vec<Document>,
    /// Whether there are more.
    has_more: bool,
    /// What to give as `after` for the next page.
    next: Option<String>,
}

/// The calls that were made for a document, oldest first.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct AttemptList {
    data: Vec<Attempt>,
    has_more: bool,
    next: Option<String>,
}

/// What to extract this time.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Reprocess {
    /// `name` for the newest version, `name@2` for version 2; the same as before when not given.
    #[schema(example = "invoice@2")]
    schema: Option<String>,
}

/// Which failed documents to run again.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RetryFilter {
    /// With this failure.
    code: Option<FailureCode>,
    /// For this schema, any version.
    #[schema(value_type = Option<String>)]
    schema: Option<SchemaName>,
    /// Accepted before this.
    #[schema(value_type = Option<String>, format = DateTime)]
    before: Option<Timestamp>,
}

/// How many documents run again.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Retried {
    retried: u64,
}

/// List documents
#[utoipa::path(
    get, path = "/v1/documents", tag = "documents",
    params(
        ("state" = Option<DocumentState>, Query, description = "In this state"),
        ("schema" = Option<String>, Query, description = "For this schema, any version"),
        ("code" = Option<FailureCode>, Query, description = "With this failure"),
        ("before" = Option<String>, Query, description = "Accepted before this time (RFC 3339)"),
        ("parent" = Option<String>, Query, description = "Made of this document"),
        ("metadata.KEY" = Option<String>, Query, description = "With this value under KEY in the metadata; may be repeated with other keys"),
        ("limit" = Option<u32>, Query, description = "At most so many, 1 to 200; default 20"),
        ("after" = Option<String>, Query, description = "`next` of the page before"),
    ),
    responses(
        (status = 200, description = "Documents, newest first", body = DocumentList),
        (status = "default", description = "A problem", body = crate::error::Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn list(
    State(app): State<Arc<App>>,
    uri: Uri,
) -> Result<Json<DocumentList>, ApiError> {
    let legal = ["state", "schema", "code", "before", "parent", "metadata.", "limit", "after"];
    let parameters = Parameters::read(&uri, &legal)?;
    let limit = match parameters.text("limit").map(str::parse) {
        None => LIMIT_DEFAULT,
        Some(Ok(limit @ 1..=LIMIT_MAX)) => limit,
        Some(_) => {
            return Err(ApiError::parameter("limit", format!("is a number, 1 to {LIMIT_MAX}")));
        }
    };
    let filter = Filter {
        state: parameters.value("state")?,
        schema: parameters.value("schema")?,
        code: parameters.text("code").map(failure_code).transpose()?,
        before: parameters.value("before")?,
        parent: parameters.value("parent")?,
        metadata: parameters.starting_with("metadata."),
        after: parameters.value("after")?,
        // One more tells whether there are more.
        limit: limit + 1,
    };
    let mut data = app.services.store.documents().list(filter).await?;
    let has_more = data.len() > limit as usize;
    data.truncate(limit as usize);
    let next = data.last().filter(|_| has_more).map(|last| last.id.to_string());
    // Without its position, which is counted for one document at a time.
    data.iter_mut().filter(|document| document.state == DocumentState::Queued).for_each(
        |document| {
            explain_queued(document);
        },
    );
    Ok(Json(DocumentList { data, has_more, next }))
}

/// The name of a failure code, when it is one.
fn failure_code(text: &str) -> Result<String, ApiError> {
    let code: Result<FailureCode, _> = serde_json::from_value(Value::from(text));
    // The message lists the codes that there are.
    code.map(|_| text.to_owned()).map_err(|error| ApiError::parameter("code", error))
}

/// A document
///
/// With `wait` the answer comes when its state changes or the seconds have passed.
#[utoipa::path(
    get, path = "/v1/documents/{id}", tag = "documents",
    params(
        ("id" = String, Path, description = "The document"),
        ("wait" = Option<u64>, Query, description = "How long to wait for a change of its state, in seconds, at most 60"),
    ),
    responses(
        (status = 200, description = "The document", body = Document),
        (status = "default", description = "A problem", body = crate::error::Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn show(
    State(app): State<Arc<App>>,
    serving: Serving,
    Id(id): Id,
    uri: Uri,
) -> Result<Json<Document>, ApiError> {
    let wait_max = Parameters::read(&uri, &["wait"])?.wait()?;
    let document = app.document(&id).await?;
    if document.state.is_end() || wait_max.is_zero() {
        return Ok(Json(app.with_position(document).await?));
    }
    let before = document.state;
    let changed = |document: &Document| document.state != before;
    let document = wait::until(&app, &serving, &id, wait_max, changed).await?;
    Ok(Json(app.with_position(document).await?))
}

/// The calls of models that were made for a document
#[utoipa::path(
    get, path = "/v1/documents/{id}/attempts", tag = "documents",
    params(("id" = String, Path, description = "The document")),
    responses(
        (status = 200, description = "What was tried, where, how long, how many tokens", body = AttemptList),
        (status = "default", description = "A problem", body = crate::error::Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn attempts(
    State(app): State<Arc<App>>,
    Id(id): Id,
    uri: Uri,
) -> Result<Json<AttemptList>, ApiError> {
    Parameters::read(&uri, &[])?;
    app.document(&id).await?;
    let data = app.services.store.ledger().attempts(&id).await?;
    Ok(Json(AttemptList { data, has_more: false, next: None }))
}

/// Stop a document that has not ended
#[utoipa::path(
    post, path = "/v1/documents/{id}/cancel", tag = "documents",
    params(("id" = String, Path, description = "The document")),
    responses(
        (status = 200, description = "It is cancelled now, or was before", body = Document),
        (status = "default", description = "A problem", body = crate::error::Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn cancel(
    State(app): State<Arc<App>>,
    Id(id): Id,
) -> Result<Json<Document>, ApiError> {
    let changed = app.services.store.documents().cancel(&id).await?;
    // Cancelling twice is no error.
    if changed == Changed::WrongState(DocumentState::Cancelled) {
        return Ok(Json(app.document(&id).await?));
    }
    let wrong = |state| {
        let detail = format!("{id} has {state} already: there is nothing to cancel");
        ApiError::new(Code::AlreadyFinished, detail)
    };
    done(changed, &id, wrong).map(Json)
}

/// Run a failed or cancelled document again
#[utoipa::path(
    post, path = "/v1/documents/{id}/retry", tag = "documents",
    params(("id" = String, Path, description = "The document")),
    responses(
        (status = 202, description = "It is queued again", body = Document),
        (status = "default", description = "A problem", body = crate::error::Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn retry(
    State(app): State<Arc<App>>,
    Id(id): Id,
) -> Result<(StatusCode, Json<Document>), ApiError> {
    let wrong = |state| {
        let detail = format!("{id} is {state}: only failed and cancelled documents can be retried");
        ApiError::new(Code::NotFailed, detail).hint("POST …/reprocess runs any that has ended")
    };
    let document = done(app.services.store.documents().retry(&id).await?, &id, wrong)?;
    app.services.relay.nudge();
    Ok((StatusCode::ACCEPTED, Json(document)))
}

/// Run a document that has ended again, with another schema or version if one is given
///
/// Questions that did not change are answered from stored replies.
#[utoipa::path(
    post, path = "/v1/documents/{id}/reprocess", tag = "documents",
    params(("id" = String, Path, description = "The document")),
    request_body(content = Option<Reprocess>, description = "May be left away"),
    responses(
        (status = 202, description = "It is queued again", body = Document),
        (status = "default", description = "A problem", body = crate::error::Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn reprocess(
    State(app): State<Arc<App>>,
    serving: Serving,
    Id(id): Id,
    body: Body,
) -> Result<(StatusCode, Json<Document>), ApiError> {
    let body = small_body(&serving, body, BODY_BYTES_MAX).await?;
    let request: Option<Reprocess> = match body.trim_ascii() {
        [] => None,
        body => json(body)?,
    };
    app.document(&id).await?;
    let schema = match request.unwrap_or_default().schema {
        None => None,
        Some(requested) => Some(app.schema(&requested).await?),
    };
    let changed = app.services.store.documents().reprocess(&id, schema).await?;
    let document = done(changed, &id, |_| not_finished(&id))?;
    app.services.relay.nudge();
    Ok((StatusCode::ACCEPTED, Json(document)))
}

/// Run all failed documents again that match a filter
#[utoipa::path(
    post, path = "/v1/documents/retry", tag = "documents",
    request_body(content = RetryFilter, description = "`{}` matches every failed document", example = json!({ "code": "no_deployment", "schema": "invoice" })),
    responses(
        (status = 202, description = "How many are queued again", body = Retried),
        (status = "default", description = "A problem", body = crate::error::Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn retry_all(
    State(app): State<Arc<App>>,
    serving: Serving,
    body: Body,
) -> Result<(StatusCode, Json<Retried>), ApiError> {
    let body = small_body(&serving, body, BODY_BYTES_MAX).await?;
    let request: RetryFilter = json(&body)?;
    let code = request.code.and_then(|code| serde_json::to_value(code).ok());
    let mut filter = Filter {
        state: Some(DocumentState::Failed),
        schema: request.schema,
        code: code.as_ref().and_then(Value::as_str).map(str::to_owned),
        before: request.before,
        limit: LIMIT_MAX,
        ..Filter::default()
    };
    let mut retried = 0;
    loop {
        let page = app.services.store.documents().list(filter.clone()).await?;
        let Some(last) = page.last() else { break };
        filter.after = Some(last.id.clone());
        for document in &page {
            // One that was retried or deleted meanwhile is not counted.
            let changed = app.services.store.documents().retry(&document.id).await?;
            retried += u64::from(matches!(changed, Changed::Done(_)));
        }
        app.services.relay.nudge();
    }
    Ok((StatusCode::ACCEPTED, Json(Retried { retried })))
}

/// Delete a document with everything that belongs to it
///
/// A tombstone without content stays; afterwards every address of the document answers 410.
#[utoipa::path(
    delete, path = "/v1/documents/{id}", tag = "documents",
    params(("id" = String, Path, description = "The document")),
    responses(
        (status = 204, description = "Bytes, text, replies and result are gone"),
        (status = 202, description = "It is deleted; storage does not answer, and its bytes go as soon as it does"),
        (status = "default", description = "A problem", body = crate::error::Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn delete(
    State(app): State<Arc<App>>,
    Id(id): Id,
) -> Result<StatusCode, ApiError> {
    let changed = app.services.store.documents().delete(&id).await?;
    let before = done(changed, &id, |state| ApiError::internal(format!("{id} is {state}")))?;
    // What was made of it may be in work, too.
    let is_busy = before.state == DocumentState::Processing || !before.children.is_empty();
    let again = is_busy.then_some(PURGE_AGAIN);
    match purge(&app, &id, again).await {
        Ok(()) => Ok(StatusCode::NO_CONTENT),
        Err(error) => {
            tracing::warn!(%error, document = %id, "deleted; the workers' sweep will remove its bytes");
            Ok(StatusCode::ACCEPTED)
        }
    }
}

/// Removes the bytes of a deleted document and of all that were made of it.
async fn purge(
    app: &App,
    id: &DocumentId,
    again: Option<Duration>,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let (store, blobs) = (&app.services.store, &app.services.blobs);
    for id in store.documents().family(id).await? {
        blobs.delete_folder(&BlobKey::folder(&id)).await?;
        let purges = store.purges().due().await?;
        let Some(purge) = purges.into_iter().find(|purge| purge.document == id) else {
            return Err("other purges are due before this one".into());
        };
        for question in &purge.questions {
            blobs.delete(&BlobKey::reply(question)).await?;
        }
        store.purges().done(&id, again).await?;
    }
    Ok(())
}

/// The document as it is after a change, or why it could not be changed.
fn done(
    changed: Changed,
    id: &DocumentId,
    wrong: impl FnOnce(DocumentState) -> ApiError,
) -> Result<Document, ApiError> {
    match changed {
        Changed::Done(document) => Ok(*document),
        Changed::WrongState(state) => Err(wrong(state)),
        Changed::Deleted => Err(deleted(id)),
        Changed::Nothing => Err(unknown(id.as_str())),
    }
}
