//! The metrics of calls and of the deployments that they go to.

use crate::deployment::{DeploymentState, DeploymentStatus};
use crate::series::LabelValues;
use crate::typed::chat::{CallError, Shortage};
use crate::typed::usage::Usage;
use std::time::Duration;

/// The tenants that are shown by name.
static TENANTS: LabelValues = LabelValues::new();

/// A call was sent so long after the time of its reservation.
pub(super) fn lateness(late: Duration) {
    metrics::histogram!("sluice_pool_lateness_seconds").record(late.as_secs_f64());
}

/// A call was dropped under way.
pub(super) fn dropped(deployment: &str) {
    let labels = [("deployment", deployment.to_owned()), ("outcome", "dropped".into())];
    metrics::counter!("sluice_calls_total", &labels).increment(1);
}

/// A call ended.
pub(super) fn ended(deployment: &str, duration: Duration, result: Result<Usage, &CallError>) {
    let name = || ("deployment", deployment.to_owned());
    let labels = [name(), ("outcome", outcome(result).to_owned())];
    metrics::counter!("sluice_calls_total", &labels).increment(1);
    metrics::histogram!("sluice_call_seconds", &[name()]).record(duration.as_secs_f64());
    if let Err(CallError::Throttled { why, .. }) = result {
        let why = match why {
            Shortage::Quota => "quota",
            Shortage::Capacity => "capacity",
        };
        let labels = [name(), ("why", why.to_owned())];
        metrics::counter!("sluice_throttled_calls_total", &labels).increment(1);
    }
    let Ok(usage) = result else { return };
    for (kind, tokens) in [("input", usage.tokens_input), ("output", usage.tokens_output)] {
        let labels = [name(), ("kind", kind.to_owned())];
        metrics::counter!("sluice_tokens_total", &labels).increment(tokens);
    }
}

/// An answered call of this tenant cost so much. The recorder's counters are whole numbers, so this
/// one is a gauge to it that only grows; where metrics are rendered it is shown as a counter
/// ([`crate::FRACTIONAL_COUNTERS`]).
pub(super) fn paid(deployment: &str, tenant: &str, cost: f64) {
    let labels = [("deployment", deployment.to_owned()), ("tenant", TENANTS.bounded(tenant))];
    metrics::gauge!("sluice_cost_total", &labels).increment(cost);
}

fn outcome(result: Result<Usage, &CallError>) -> &'static str {
    match result {
        Ok(_) => "answered",
        Err(CallError::Throttled { .. }) => "throttled",
        Err(CallError::Unreachable { .. }) => "unreachable",
        Err(CallError::Unavailable { .. }) => "unavailable",
        Err(CallError::Denied { .. }) => "denied",
        Err(CallError::Refused { .. }) => "refused",
        Err(CallError::Unknown { .. }) => "unknown",
    }
}

/// Shows a deployment's state and quota.
pub(crate) fn gauge(status: &DeploymentStatus) {
    let labels = [("deployment", status.name.clone())];
    let state = match status.state {
        DeploymentState::Ok => 0.0,
        DeploymentState::Cooling => 1.0,
        DeploymentState::Throttled => 2.0,
        DeploymentState::Denied => 3.0,
    };
    let set = |name: &'static str, value: f64| metrics::gauge!(name, &labels).set(value);
    set("sluice_deployment_state", state);
    // Without a limit there is no such figure.
    if let Some(available) = status.tokens_available {
        set("sluice_quota_tokens_available", available as f64);
    }
    if let Some(quota) = status.tokens_per_minute {
        set("sluice_deployment_tokens_per_minute", quota as f64);
    }
    set("sluice_pool_quota_utilisation", status.utilisation);
    set("sluice_pool_ratio", status.ratio);
    set("sluice_pool_external_load_tokens", status.external_load as f64);
    set("sluice_pool_trim", status.trim);
    set("sluice_pool_level", status.level);
    set("sluice_pool_ceiling_seconds", status.ceiling.as_secs_f64());
}
