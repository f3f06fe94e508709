//! The report of a worker, sent with its heartbeat: the state of its deployments, and how many of its
//! calls wait for them.
//!
//! Plain data, kept in the database as JSON for as long as the worker lives. It must know nothing
//! of how a deployment is called, and it holds no address and no key.

mod wanted;

pub use pool::{DeploymentState, DeploymentStatus};
pub use wanted::{Demand, WantedLimit, WorkersWanted, workers_wanted};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The report of one worker. Fields that an older program leaves out have their defaults, and those
/// that a newer one adds are passed over, so that a fleet may be of several versions.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct WorkerReport {
    /// The model of schemas that name none.
    pub model: String,
    /// Its deployments, in the order of its configuration within each model.
    pub deployments: Vec<DeploymentReport>,
    /// Its calls that wait, by model.
    pub waits: Vec<ModelWait>,
    /// The most documents that it works on at once; 0 where it does not say.
    pub concurrency: u32,
    /// The processors that it may use; 0 where it does not say.
    pub processors: u32,
    /// The mean time that a child process took to read a file, in seconds, once one has.
    pub reading_seconds: Option<f64>,
}

/// One deployment as one worker sees it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct DeploymentReport {
    /// What the worker's pool says of it.
    #[serde(flatten)]
    pub status: DeploymentStatus,
    /// When it is sent to again.
    pub resumes_at: Option<Timestamp>,
    /// The last documents that it answered.
    pub recent: Recent,
}

/// Sums over documents that ended lately, from which means are made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Recent {
    /// How many.
    pub documents: u32,
    /// The tokens that were charged for them.
    pub tokens: u64,
    /// The calls that were made for them.
    pub calls: u64,
    /// Their time in work, waits for quota excluded, in seconds.
    pub seconds: f64,
}

impl Recent {
    /// Both together.
    pub fn and(self, other: &Self) -> Self {
        Self {
            documents: self.documents.saturating_add(other.documents),
            tokens: self.tokens.saturating_add(other.tokens),
            calls: self.calls.saturating_add(other.calls),
            seconds: self.seconds + other.seconds,
        }
    }
}

/// The calls of one worker that wait for room at the deployments of one model.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ModelWait {
    /// The model.
    pub model: String,
    /// How many wait.
    pub calls: u32,
    /// When a new call would start, as far as is known; none where at once.
    pub until: Option<Timestamp>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use pool::{LimiterKind, Mode};
    use serde_json::json;

    #[test]
    fn reports_of_other_versions_are_read() {
        let read =
            |json| serde_json::from_value::<WorkerReport>(json).unwrap().deployments.remove(0);
        let full = json!({
            "name": "a", "model": "m", "tier": 1, "state": "cooling", "message": "busy",
            "resumes_at": "2026-03-01T12:00:00Z", "mode": "tool", "limiter": "bucket",
            "dialect": { "refuses": ["temperature"], "efforts_refused": [], "tokens_output_max": 9,
                "schema_properties_max": 100, "schema_levels_max": null },
            "shared": true, "in_flight": 1, "concurrency_max": 2, "tokens_per_minute": 3,
            "requests_per_minute": 4, "tokens_available": 5, "requests_available": 6,
            "latency_ms": 7, "calls": 8, "answered": 9, "throttled": 10, "failed": 11,
            "recent": { "documents": 12, "tokens": 13, "calls": 14, "seconds": 1.5 },
        });
        let report = read(json!({ "deployments": [full] }));
        assert_eq!(report.status.limiter, LimiterKind::Bucket);
        assert_eq!(serde_json::to_value(&report).unwrap(), full);
        // What an older program leaves out, and what a newer one says.
        let other = json!({ "name": "a", "limiter": "cone", "mode": "telepathy", "new": [1],
            "dialect": { "refuses": ["spelling"] } });
        let report = read(json!({ "deployments": [other] }));
        assert_eq!((report.status.limiter, report.status.mode), (LimiterKind::Auto, None));
        let shown = serde_json::to_value(&report).unwrap();
        assert_eq!((&shown["limiter"], &shown["state"]), (&json!("unknown"), &json!("ok")));
        let report = read(json!({ "deployments": [{ "mode": "json_schema" }] }));
        assert_eq!(report.status.mode, Some(Mode::JsonSchema));
    }
}
