//! The report of a worker, sent with its heartbeat: the state of its deployments, and how many of its
//! calls wait for them.
//!
//! Plain data, kept in the database as JSON for as long as the worker lives. It must know nothing
//! of how a deployment is called, and it holds no address and no key.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

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
}

/// One deployment as one worker sees it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct DeploymentReport {
    /// Its name.
    pub name: String,
    /// The model that it serves.
    pub model: String,
    /// Its tier.
    pub tier: u32,
    /// Its state.
    pub state: DeploymentState,
    /// When it is sent to again.
    pub resumes_at: Option<Timestamp>,
    /// Its message when it refused.
    pub message: Option<String>,
    /// Its mode of structured output, once that is known.
    pub mode: Option<String>,
    /// How its quota is enforced, as far as is known.
    pub limiter: String,
    /// Whether all workers see one quota; otherwise each sees its part.
    pub shared: bool,
    /// The calls of this worker under way.
    pub in_flight: u32,
    /// The most calls of one worker at the same time.
    pub concurrency_max: u32,
    /// The quota in force: tokens a minute, by configuration or by what the provider says.
    pub tokens_per_minute: u64,
    /// The quota in force: requests a minute.
    pub requests_per_minute: u64,
    /// The tokens that this worker could send now.
    pub tokens_available: u64,
    /// The requests that this worker could send now.
    pub requests_available: u64,
    /// The mean time of an answer, in milliseconds.
    pub latency_ms: Option<u64>,
    /// The calls that this worker has sent.
    pub calls: u64,
    /// Those that brought an answer.
    pub answered: u64,
    /// Those that were rejected by a limit.
    pub throttled: u64,
    /// Those that failed in any other way.
    pub failed: u64,
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

/// The state of a deployment, from the best to the worst.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum DeploymentState {
    /// It takes calls.
    #[default]
    Ok,
    /// Its provider rejected for want of room; nothing is sent for a while.
    Throttled,
    /// It rests after failures.
    Cooling,
    /// It refuses calls until its configuration, or its key, changes.
    Denied,
}
