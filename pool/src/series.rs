//! What the metrics of this crate mean, and how many values their labels may have.

use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};
use std::{
    collections::BTreeSet,
    sync::{Mutex, PoisonError},
};

/// The most values of a label that callers choose, such as a schema or a tenant. A time series costs
/// memory in every process and in Prometheus for as long as both keep it.
const VALUES_MAX: usize = 200;

/// What stands for the values beyond [`VALUES_MAX`].
const OTHER: &str = "other";

/// Counters that may have a fraction. The recorder knows only whole ones and takes these for gauges.
pub const FRACTIONAL_COUNTERS: [&str; 1] = ["sluice_cost_total"];

/// The values that one label has had since the program started: the first 200 keep their names, and
/// all others are `other`.
#[derive(Debug, Default)]
pub struct LabelValues(Mutex<BTreeSet<String>>);

impl LabelValues {
    /// None yet.
    pub const fn new() -> Self {
        Self(Mutex::new(BTreeSet::new()))
    }

    /// The value as the label shows it.
    pub fn bounded(&self, value: &str) -> String {
        // Nothing panics while it is held.
        let mut values = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if values.contains(value) {
            return value.to_owned();
        }
        if values.len() >= VALUES_MAX {
            return OTHER.to_owned();
        }
        values.insert(value.to_owned());
        value.to_owned()
    }
}

/// Tells the recorder what each metric of this crate means. Call it once, when there is one.
pub fn describe_metrics() {
    describe_calls();
    describe_deployments();
    describe_counter!(
        "sluice_quota_exchanges_total",
        Unit::Count,
        "Exchanges of a model's state with Redis"
    );
    describe_counter!(
        "sluice_quota_conflicts_total",
        Unit::Count,
        "Exchanges with Redis that were made again because another worker was faster"
    );
    describe_gauge!(
        "sluice_quota_shared",
        Unit::Count,
        "1 while the quota is shared through Redis, 0 while each worker uses its part alone"
    );
    describe_counter!(
        "sluice_quota_degraded_seconds_total",
        Unit::Seconds,
        "Time for which Redis did not answer, in seconds"
    );
}

fn describe_calls() {
    describe_counter!(
        "sluice_calls_total",
        Unit::Count,
        "Calls of models that ended, by deployment and outcome; with the outcomes unknown and dropped \
         it is not known whether they were paid"
    );
    describe_histogram!(
        "sluice_call_seconds",
        Unit::Seconds,
        "Time from sending a call to its end, in seconds, by deployment"
    );
    describe_counter!(
        "sluice_throttled_calls_total",
        Unit::Count,
        "Calls that a provider rejected with 429, by deployment; why is quota or capacity"
    );
    describe_counter!(
        "sluice_tokens_total",
        Unit::Count,
        "Tokens of answered calls as the provider counted them, by deployment; kind is input or output"
    );
    describe_gauge!(
        "sluice_cost_total",
        Unit::Count,
        "Cost of answered calls in the currency of the configured prices, by deployment and tenant; \
         of deployments without prices there is none"
    );
    describe_histogram!(
        "sluice_quota_wait_seconds",
        Unit::Seconds,
        "Time that a call waited for room at a deployment, in seconds; class is interactive or bulk"
    );
    describe_histogram!(
        "sluice_pool_lateness_seconds",
        Unit::Seconds,
        "Time by which calls were sent after the time of their reservation, in seconds"
    );
}

fn describe_deployments() {
    describe_gauge!(
        "sluice_deployment_state",
        Unit::Count,
        "State of a deployment as this process sees it: 0 takes calls, 1 rests after failures, \
         2 throttled, 3 refuses the key or the deployment; over processes use min"
    );
    describe_gauge!(
        "sluice_deployment_mode",
        Unit::Count,
        "1 for the mode by which a deployment is asked for JSON, 0 for the others"
    );
    describe_gauge!(
        "sluice_deployment_tokens_per_minute",
        Unit::Count,
        "Quota of a deployment in force, in tokens a minute; every process sees the same: over \
         processes use max, never sum"
    );
    describe_gauge!(
        "sluice_quota_tokens_available",
        Unit::Count,
        "Tokens that could be sent to a deployment now; where quota is shared, every process sees \
         the same: over processes use max, never sum"
    );
    describe_gauge!(
        "sluice_pool_quota_utilisation",
        Unit::Count,
        "Part of a deployment's quota of the last minute that was used, from 0 to 1; where quota is \
         shared, every process sees the same: over processes use max, never sum"
    );
    describe_gauge!(
        "sluice_pool_ratio",
        Unit::Count,
        "Tokens that the provider counts for one token that was estimated, by deployment"
    );
    describe_gauge!(
        "sluice_pool_external_load_tokens",
        Unit::Count,
        "Tokens a minute of a deployment's quota that others use, or by which it has fallen; over \
         processes use max"
    );
    describe_gauge!(
        "sluice_pool_trim",
        Unit::Count,
        "Part of a deployment's quota that is used since its last rejections, from 0 to 1"
    );
    describe_gauge!(
        "sluice_pool_level",
        Unit::Count,
        "Part of a deployment's bucket that is left, from 0 to 1"
    );
    describe_gauge!(
        "sluice_pool_ceiling_seconds",
        Unit::Seconds,
        "What provisioned throughput is taken to let through at once, in seconds at its rate"
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_has_so_many_values_and_no_more() {
        let values = LabelValues::new();
        let names: Vec<String> = (0..VALUES_MAX + 5).map(|n| format!("schema-{n}")).collect();
        let first: BTreeSet<String> = names.iter().map(|name| values.bounded(name)).collect();
        assert_eq!(first.len(), VALUES_MAX + 1);
        assert_eq!(values.bounded("schema-204"), OTHER);
        assert_eq!(values.bounded("schema-3"), "schema-3", "a name that was shown stays");
    }
}
