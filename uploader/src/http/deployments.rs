//! What the deployments of models are doing, over all workers, and why work waits: from the
//! workers' reports.

use super::{app::App, request::Parameters};
use crate::error::ApiError;
use axum::{Json, extract::State, http::Uri};
use jiff::Timestamp;
use serde::Serialize;
use shared::{
    fleet::{DeploymentReport, DeploymentState, WorkerReport, WorkersWanted},
    store::SchemaBacklog,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};
use utoipa::ToSchema;

/// The most queued documents that are looked at.
const BACKLOG_MAX: u32 = 10_000;

/// A deployment as all live workers together see it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, ToSchema)]
pub(super) struct Deployment {
    /// Its name.
    name: String,
    /// The model that it serves.
    model: String,
    /// Its tier: the lowest is used first.
    tier: u32,
    /// Its state: the best that any worker reports, because that worker can use it.
    state: DeploymentState,
    /// When it is sent to again, unless that is now.
    #[schema(value_type = Option<String>, format = DateTime)]
    resumes_at: Option<Timestamp>,
    /// Its message when it last refused or failed; none since it answered.
    message: Option<String>,
    /// Its mode of structured output, once that is known.
    mode: Option<String>,
    /// What it does not take of requests, such as `temperature`, as its refusals have shown.
    refuses: Vec<String>,
    /// The most tokens of an answer, where it has named them.
    tokens_output_max: Option<u32>,
    /// How its quota is enforced: `window`, `bucket`, `ptu`, or `unknown` until responses tell.
    limiter: String,
    /// How many live workers use it.
    workers: u32,
    /// The calls under way.
    in_flight: u64,
    /// The most calls at the same time, all workers together.
    concurrency_max: u64,
    /// The quota in force, in tokens a minute; none where no limit is known.
    tokens_per_minute: Option<u64>,
    /// The quota in force, in requests a minute; none where no limit is known.
    requests_per_minute: Option<u64>,
    /// The tokens that could be sent now.
    tokens_available: Option<u64>,
    /// The requests that could be sent now.
    requests_available: Option<u64>,
    /// The mean time of an answer, in milliseconds.
    latency_ms: Option<u64>,
    /// The calls that the live workers have sent since they started.
    calls: u64,
    /// Those that brought an answer.
    answered: u64,
    /// Those that found no room.
    throttled: u64,
    /// Those that failed in any other way.
    failed: u64,
}

/// What waits for the deployments of one model.
#[derive(Clone, Debug, Default, PartialEq, Serialize, ToSchema)]
pub(super) struct ModelWaits {
    /// The model.
    model: String,
    /// The documents that no worker has taken up, or that one has put back; of a long backlog the
    /// first 10,000 of all models are counted.
    documents: u64,
    /// The calls that wait for room in the hands of workers.
    calls: u64,
    /// When a new call would start, as far as is known; none where at once.
    #[schema(value_type = Option<String>, format = DateTime)]
    until: Option<Timestamp>,
}

/// The deployments that live workers use, by model and tier.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct DeploymentList {
    data: Vec<Deployment>,
    has_more: bool,
    next: Option<String>,
    /// What waits, by model.
    waiting: Vec<ModelWaits>,
    /// How many workers live.
    workers: u32,
    /// How many workers are of use now, and what limits that; some seconds old. A cluster may follow
    /// it by the metric `sluice_workers_wanted`.
    workers_wanted: Option<WorkersWanted>,
}

/// What each deployment is doing, and what waits for it
///
/// The figures are those of the workers' last reports, some seconds old. The report of a dead worker
/// expires.
#[utoipa::path(
    get, path = "/v1/deployments", tag = "operation",
    responses(
        (status = 200, description = "The deployments that live workers use", body = DeploymentList),
        (status = "default", description = "A problem", body = crate::error::Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn list(
    State(app): State<Arc<App>>,
    uri: Uri,
) -> Result<Json<DeploymentList>, ApiError> {
    Parameters::read(&uri, &[])?;
    let store = &app.services.store;
    let reports = store.fleet().reports().await?;
    let mut queued = Vec::new();
    for backlog in store.backlog().by_schema(BACKLOG_MAX).await? {
        let schema = &backlog.schema;
        let found = store.schemas().get(&schema.name, Some(schema.version)).await?;
        let model = found.and_then(|schema| schema.model().map(str::to_owned));
        queued.push((model, backlog));
    }
    let workers = u32::try_from(reports.len()).unwrap_or(u32::MAX);
    let (data, waiting) = (deployments(&reports), waits(&reports, &queued));
    let workers_wanted = match &app.overview {
        Some(overview) => Some(overview.get(&app.services).await?.wanted),
        None => None,
    };
    let list =
        DeploymentList { data, has_more: false, next: None, waiting, workers, workers_wanted };
    Ok(Json(list))
}

/// Each deployment once, with the sums over all workers.
fn deployments(reports: &[WorkerReport]) -> Vec<Deployment> {
    let mut all: BTreeMap<(&str, u32, &str), Deployment> = BTreeMap::new();
    for report in reports.iter().flat_map(|report| &report.deployments) {
        let status = &report.status;
        let key = (status.model.as_str(), status.tier, status.name.as_str());
        add(all.entry(key).or_default(), report);
    }
    all.into_values().collect()
}

fn add(sum: &mut Deployment, report: &DeploymentReport) {
    let DeploymentReport { status, resumes_at, .. } = report;
    let is_first = sum.workers == 0;
    if is_first || status.state < sum.state {
        sum.state = status.state;
        sum.resumes_at = *resumes_at;
        sum.message.clone_from(&status.message);
    } else if status.state == sum.state {
        sum.resumes_at = sum.resumes_at.min(*resumes_at);
    }
    sum.name.clone_from(&status.name);
    sum.model.clone_from(&status.model);
    sum.tier = status.tier;
    if sum.limiter.is_empty() || sum.limiter == "unknown" {
        sum.limiter = status.limiter.name().to_owned();
    }
    sum.mode = status.mode.map(|mode| mode.name().to_owned()).or(sum.mode.take());
    for name in status.dialect.names() {
        if !sum.refuses.contains(&name) {
            sum.refuses.push(name);
        }
    }
    let both = [sum.tokens_output_max, status.dialect.tokens_output_max];
    sum.tokens_output_max = both.into_iter().flatten().min();
    // The mean of those who have seen an answer, each counted by its answers.
    sum.latency_ms = match (sum.latency_ms, status.latency_ms) {
        (Some(one), Some(other)) => {
            let (a, b) = (u128::from(sum.answered.max(1)), u128::from(status.answered.max(1)));
            let mean = (u128::from(one) * a + u128::from(other) * b) / (a + b);
            u64::try_from(mean).ok()
        }
        (one, other) => one.or(other),
    };
    sum.workers += 1;
    sum.in_flight += u64::from(status.in_flight);
    sum.concurrency_max += u64::from(status.concurrency_max);
    // The quota is one, and all see it; where they share nothing, each may use a part of it.
    sum.tokens_per_minute = sum.tokens_per_minute.max(status.tokens_per_minute);
    sum.requests_per_minute = sum.requests_per_minute.max(status.requests_per_minute);
    let together = |one: Option<u64>, other: Option<u64>| {
        let both = if status.shared { u64::max } else { u64::saturating_add };
        [one, other].into_iter().flatten().reduce(both)
    };
    sum.tokens_available = together(sum.tokens_available, status.tokens_available);
    sum.requests_available = together(sum.requests_available, status.requests_available);
    sum.calls = sum.calls.saturating_add(status.calls);
    sum.answered = sum.answered.saturating_add(status.answered);
    sum.throttled = sum.throttled.saturating_add(status.throttled);
    sum.failed = sum.failed.saturating_add(status.failed);
}

/// What waits, by model: calls by the workers' reports, documents by their schemas. A schema that
/// names no model belongs to the workers' default.
fn waits(reports: &[WorkerReport], queued: &[(Option<String>, SchemaBacklog)]) -> Vec<ModelWaits> {
    let default =
        reports.iter().map(|report| report.model.as_str()).find(|model| !model.is_empty());
    let default = default.unwrap_or(shared::schema::MODEL_DEFAULT);
    let mut all: BTreeMap<&str, ModelWaits> = BTreeMap::new();
    for wait in reports.iter().flat_map(|report| &report.waits) {
        let sum = all.entry(&wait.model).or_default();
        sum.calls += u64::from(wait.calls);
        sum.until = sum.until.max(wait.until);
    }
    for (model, backlog) in queued {
        let sum = all.entry(model.as_deref().unwrap_or(default)).or_default();
        sum.documents += backlog.documents;
        sum.until = sum.until.or(backlog.due);
    }
    let served: BTreeSet<&str> = reports
        .iter()
        .flat_map(|report| &report.deployments)
        .map(|one| &*one.status.model)
        .collect();
    let named = all.into_iter().map(|(model, wait)| ModelWaits { model: model.to_owned(), ..wait });
    // Models without waiting documents are shown while a deployment serves them.
    named.filter(|wait| wait.documents > 0 || served.contains(&*wait.model)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use shared::fleet::{DeploymentStatus, ModelWait};

    fn at(second: i64) -> Option<Timestamp> {
        Timestamp::from_second(second).ok()
    }

    fn report(state: DeploymentState, resumes_at: Option<Timestamp>, n: u64) -> WorkerReport {
        let status = DeploymentStatus {
            name: "sweden".into(),
            model: "gpt-4o".into(),
            state,
            message: (state == DeploymentState::Denied).then(|| "401".into()),
            in_flight: 2,
            concurrency_max: 64,
            tokens_per_minute: Some(1000),
            tokens_available: Some(10),
            latency_ms: Some(100 * n),
            calls: n,
            answered: n,
            ..DeploymentStatus::default()
        };
        let deployment = DeploymentReport { status, resumes_at, ..DeploymentReport::default() };
        let waits = vec![ModelWait { model: "gpt-4o".into(), calls: 1, until: resumes_at }];
        WorkerReport {
            model: "gpt-4o".into(),
            deployments: vec![deployment],
            waits,
            ..WorkerReport::default()
        }
    }

    #[test]
    fn the_sums_of_all_workers_are_shown() {
        use DeploymentState::{Cooling, Denied};
        let reports =
            [report(Denied, at(9), 1), report(Cooling, at(7), 3), report(Cooling, at(5), 0)];
        let all = deployments(&reports);
        assert_eq!(all.len(), 1);
        let one = &all[0];
        assert_eq!((one.state, one.resumes_at, &one.message), (Cooling, at(5), &None));
        assert_eq!((one.workers, one.in_flight, one.concurrency_max), (3, 6, 192));
        assert_eq!((one.tokens_per_minute, one.tokens_available), (Some(1000), Some(30)));
        assert_eq!((one.calls, one.answered, one.latency_ms), (4, 4, Some(200)));
    }

    #[test]
    fn what_waits_is_counted_by_model() {
        let reports = [report(DeploymentState::Ok, at(5), 1), report(DeploymentState::Ok, None, 1)];
        let backlog =
            |documents, due| SchemaBacklog { schema: "s@1".parse().unwrap(), documents, due };
        let queued = [
            (None, backlog(3, None)),
            (Some("gpt-4o".to_owned()), backlog(4, None)),
            (Some("other".to_owned()), backlog(1, at(8))),
        ];
        let all = waits(&reports, &queued);
        let wait = |model: &str, documents, calls, until| ModelWaits {
            model: model.into(),
            documents,
            calls,
            until,
        };
        assert_eq!(all, [wait("gpt-4o", 7, 2, at(5)), wait("other", 1, 0, at(8))]);
        assert!(waits(&[], &[]).is_empty());
    }
}
