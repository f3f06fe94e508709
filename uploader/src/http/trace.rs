//! A span and a log line for each request, and problems in place of bare errors.

use crate::error::{ApiError, Code};
use axum::{
    extract::{MatchedPath, Request},
    http::{HeaderName, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use tokio::time::Instant;
use tracing::Instrument;

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Around every request.
pub(super) async fn request(request: Request, next: Next) -> Response {
    let matched = request.extensions().get::<MatchedPath>();
    let route = matched.map_or_else(|| "none".to_owned(), |path| path.as_str().to_owned());
    let id = request.headers().get(X_REQUEST_ID).and_then(|id| id.to_str().ok());
    let span = tracing::info_span!(
        "request",
        id = id.unwrap_or_default(),
        method = %request.method(),
        path = request.uri().path(),
    );
    let work = async move {
        let begun = Instant::now();
        let response = next.run(request).await;
        let response = explained(response);
        let status = response.status();
        let ms = begun.elapsed().as_millis();
        if status.is_client_error() || status.is_server_error() {
            tracing::info!(status = status.as_u16(), ms, "answered");
        } else {
            tracing::debug!(status = status.as_u16(), ms, "answered");
        }
        let labels = [("route", route), ("status", status.as_u16().to_string())];
        metrics::counter!("sluice_http_requests_total", &labels).increment(1);
        response
    };
    work.instrument(span).await
}

/// Turns an error that is not ours (without a body, or with plain text) into a problem.
fn explained(response: Response) -> Response {
    let status = response.status();
    if !status.is_client_error() && !status.is_server_error() {
        return response;
    }
    let kind = response.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    if kind.is_some_and(|kind| kind.contains("json")) {
        return response;
    }
    let code = match status {
        StatusCode::NOT_FOUND => Code::UnknownRoute,
        StatusCode::METHOD_NOT_ALLOWED => Code::MethodNotAllowed,
        status if status.is_client_error() => Code::InvalidParameter,
        _ => Code::Internal,
    };
    let mut problem = ApiError::new(code, code.about().title).into_response();
    if let Some(allow) = response.headers().get(header::ALLOW) {
        problem.headers_mut().insert(header::ALLOW, allow.clone());
    }
    problem
}
