//! The answer to an upload: at once, or when the documents have ended if the client prefers to
//! wait.

use super::super::{
    app::{App, Serving},
    content, wait,
};
use crate::{accept::AcceptedDocuments, error::ApiError};
use axum::{
    Json,
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use serde_json::{Value, json};
use shared::document::Document;
use std::time::Duration;
use tokio::time::Instant;

const IDEMPOTENT_REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");
const PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");

/// A document that has ended, with its extraction.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(in crate::http) struct EndedDocument {
    /// The document.
    #[serde(flatten)]
    document: Document,
    /// The extraction; null when there is none because it failed, was cancelled or was split.
    #[schema(value_type = Option<shared::extraction::Extraction>)]
    extraction: Option<Value>,
}

/// Answers with the documents, after at most `wait_max` if the client prefers to wait.
pub(super) async fn respond(
    app: &App,
    serving: &Serving,
    mut accepted: AcceptedDocuments,
    wait_max: Option<Duration>,
) -> Result<Response, ApiError> {
    let location = match accepted.documents.as_slice() {
        [one] => HeaderValue::from_str(&format!("/v1/documents/{}", one.id)).ok(),
        _ => None,
    };
    let ended = match wait_max {
        Some(wait_max) => ended(app, serving, &mut accepted.documents, wait_max).await?,
        None => None,
    };
    let mut response = match ended {
        Some(ended) => (StatusCode::OK, body(ended)).into_response(),
        None => {
            let mut response = (StatusCode::ACCEPTED, body(accepted.documents)).into_response();
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
            response
        }
    };
    let headers = response.headers_mut();
    if let Some(location) = location {
        headers.insert(header::LOCATION, location);
    }
    if accepted.is_replayed {
        headers.insert(IDEMPOTENT_REPLAYED, HeaderValue::from_static("true"));
    }
    let applied = wait_max.map(|wait_max| format!("wait={}", wait_max.as_secs()));
    if let Some(applied) = applied.and_then(|text| HeaderValue::from_str(&text).ok()) {
        headers.insert(PREFERENCE_APPLIED, applied);
    }
    Ok(response)
}

/// One file gives the plain document, several give a list.
fn body<T: Serialize>(mut documents: Vec<T>) -> Response {
    match documents.pop() {
        Some(one) if documents.is_empty() => Json(one).into_response(),
        last => {
            documents.extend(last);
            Json(json!({ "data": documents })).into_response()
        }
    }
}

/// Waits for all of them. `None` when one has not ended in time.
async fn ended(
    app: &App,
    serving: &Serving,
    documents: &mut [Document],
    wait_max: Duration,
) -> Result<Option<Vec<EndedDocument>>, ApiError> {
    let end = Instant::now() + wait_max;
    let mut ended = Vec::with_capacity(documents.len());
    let is_end = |document: &Document| document.state.is_end();
    for document in documents {
        let left = end.saturating_duration_since(Instant::now());
        *document = wait::until(app, serving, &document.id, left, is_end).await?;
        if !document.state.is_end() {
            return Ok(None);
        }
        let extraction = match document.state.has_result() {
            true => content::extraction(app, &document.id).await?,
            false => None,
        };
        ended.push(EndedDocument { document: document.clone(), extraction });
    }
    Ok(Some(ended))
}
