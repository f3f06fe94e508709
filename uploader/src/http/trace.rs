//! A span and a log line for each request, and problems in place of bare errors.

use crate::error::{ApiError, Code};
use axum::{
    extract::{MatchedPath, Request},
    http::{HeaderMap, HeaderName, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use shared::message::Traceparent;
use tokio::time::Instant;
use tracing::Instrument;

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The W3C trace context of a caller.
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// Around every request. Handlers find its step of the trace, a [`Traceparent`], among the
/// extensions.
pub(super) async fn request(mut request: Request, next: Next) -> Response {
    let trace = trace(request.headers());
    let matched = request.extensions().get::<MatchedPath>();
    let route = matched.map_or_else(|| "none".to_owned(), |path| path.as_str().to_owned());
    let id = request.headers().get(X_REQUEST_ID).and_then(|id| id.to_str().ok());
    let span = tracing::info_span!(
        "request",
        id = id.unwrap_or_default(),
        method = %request.method(),
        path = request.uri().path(),
        trace_id = trace.trace_id(),
        span_id = trace.span_id(),
    );
    request.extensions_mut().insert(trace);
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
        metrics::histogram!("sluice_http_request_seconds", "route" => route.clone())
            .record(begun.elapsed().as_secs_f64());
        let labels = [("route", route), ("status", status.as_u16().to_string())];
        metrics::counter!("sluice_http_requests_total", &labels).increment(1);
        response
    };
    work.instrument(span).await
}

/// The caller's trace, when it sends exactly one that can be read, or a new one.
fn trace(headers: &HeaderMap) -> Traceparent {
    let mut sent = headers.get_all(TRACEPARENT).iter();
    let only = sent.next().filter(|_| sent.next().is_none());
    let received = only.and_then(|header| Traceparent::received(header.to_str().ok()?));
    received.map_or_else(Traceparent::random, |received| received.child())
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
