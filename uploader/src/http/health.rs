//! Whether the program is alive, whether it can serve, and what it counts.

use super::{app::App, overview::Overview, request::Parameters};
use crate::error::{ApiError, Code};
use axum::{
    Json,
    extract::State,
    http::{HeaderValue, StatusCode, Uri, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use shared::trust;
use std::{fmt::Display, sync::Arc, time::Duration};
use utoipa::ToSchema;

/// How long a service may take to say that it is there.
const READY_MAX: Duration = Duration::from_secs(2);

/// The media type of Prometheus' text format.
const PROMETHEUS: HeaderValue =
    HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");

/// How the program is.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Health {
    /// `ok`, `degraded` or `unavailable`.
    #[schema(example = "ok")]
    status: &'static str,
    /// Services without which nothing can be served, and why they do not answer.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    missing: Vec<String>,
    /// Services that do not answer although work goes on without them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    degraded: Vec<String>,
}

/// Whether the program is alive
#[utoipa::path(
    get, path = "/healthz", tag = "operation",
    responses((status = 200, description = "Alive", body = Health)),
)]
pub(super) async fn alive() -> Json<Health> {
    Json(Health { status: "ok", missing: Vec::new(), degraded: Vec::new() })
}

/// Whether the program can serve, and what is missing
#[utoipa::path(
    get, path = "/readyz", tag = "operation",
    responses(
        (status = 200, description = "It can; without the queue or the shared quota it still takes uploads (`degraded`)", body = Health),
        (status = 503, description = "It cannot", body = Health),
    ),
)]
pub(super) async fn ready(State(app): State<Arc<App>>) -> (StatusCode, Json<Health>) {
    let services = &app.services;
    let (database, storage, queue, quota) = tokio::join!(
        answers("database", services.store.ready()),
        answers("storage", services.blobs.ready()),
        answers("queue", services.queue.ready()),
        answers("quota", services.quota.ready()),
    );
    let missing: Vec<String> = database.into_iter().chain(storage).collect();
    let degraded: Vec<String> = queue.into_iter().chain(quota).collect();
    let (code, status) = match (missing.is_empty(), degraded.is_empty()) {
        (true, true) => (StatusCode::OK, "ok"),
        (true, false) => (StatusCode::OK, "degraded"),
        (false, _) => (StatusCode::SERVICE_UNAVAILABLE, "unavailable"),
    };
    (code, Json(Health { status, missing, degraded }))
}

/// Why a service does not answer, if it does not.
async fn answers<E: Display>(
    name: &str,
    ready: impl Future<Output = Result<(), E>>,
) -> Option<String> {
    let error = match tokio::time::timeout(READY_MAX, ready).await {
        Ok(Ok(())) => return None,
        Ok(Err(error)) => trust::explained(error),
        Err(_) => format!("no answer within {} seconds", READY_MAX.as_secs()),
    };
    // Most errors begin with the name of their service.
    let named = format!("{name}: ");
    Some(if error.starts_with(&named) { error } else { named + &error })
}

/// What is counted, for Prometheus
#[utoipa::path(
    get, path = "/metrics", tag = "operation",
    responses(
        (status = 200, description = "Prometheus' text format", body = String, content_type = "text/plain"),
        (status = "default", description = "A problem", body = crate::error::Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn metrics(State(app): State<Arc<App>>, uri: Uri) -> Result<Response, ApiError> {
    Parameters::read(&uri, &[])?;
    let Some(handle) = &app.metrics else {
        return Err(ApiError::new(Code::UnknownRoute, "this program keeps no metrics"));
    };
    if let Some(overview) = &app.overview {
        match overview.get(&app.services).await {
            Ok(overview) => show(&overview),
            // The other metrics matter most when a service is down.
            Err(error) => tracing::warn!(?error, "metrics of the fleet are not up to date"),
        }
    }
    if let Some(bytes) = resident_bytes() {
        metrics::gauge!("process_resident_memory_bytes").set(bytes as f64);
    }
    let text = pool::FRACTIONAL_COUNTERS.iter().fold(handle.render(), |text, name| {
        text.replacen(&format!("# TYPE {name} gauge"), &format!("# TYPE {name} counter"), 1)
    });
    Ok(([(header::CONTENT_TYPE, PROMETHEUS)], text).into_response())
}

/// Brings the gauges of the fleet up to date.
fn show(overview: &Overview) {
    let seconds = |age: Option<Duration>| age.unwrap_or_default().as_secs_f64();
    for (name, value) in [
        ("sluice_queue_depth", overview.queued as f64),
        ("sluice_in_flight", overview.processing as f64),
        ("sluice_workers", f64::from(overview.workers)),
        ("sluice_workers_wanted", f64::from(overview.wanted.workers)),
        ("sluice_outbox_oldest_seconds", seconds(overview.pending.outbox_oldest)),
        ("sluice_events_oldest_seconds", seconds(overview.pending.events_oldest)),
    ] {
        metrics::gauge!(name).set(value);
    }
    for (reason, documents) in &overview.waiting {
        metrics::gauge!("sluice_waiting", "reason" => *reason).set(*documents as f64);
    }
}

/// The memory that this process holds, as `proc_pid_statm(5)` has it: the second number, in pages.
fn resident_bytes() -> Option<u64> {
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = statm.split(' ').nth(1)?.parse().ok()?;
    pages.checked_mul(rustix::param::page_size() as u64)
}
