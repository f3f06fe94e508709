//! What has happened since the start or the last reset, as tests and people read it.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What has happened, deployment by deployment.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Stats {
    /// By name of the deployment.
    pub deployments: BTreeMap<String, DeploymentStats>,
    /// Of those who issue tokens.
    #[serde(default)]
    pub tokens: TokenStats,
    /// Seconds since the start or the last reset.
    pub seconds: f64,
}

/// What has happened to tokens.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenStats {
    /// Tokens that were issued.
    pub issued: u64,
    /// Of these the ones that came while the one before of the same scope was still accepted.
    pub early: u64,
    /// Requests for a token that were refused, or met a fault.
    pub refused: u64,
    /// Calls of deployments that had no valid token.
    pub denied_calls: u64,
}

/// What has happened at one deployment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeploymentStats {
    /// Calls that are or may be billed.
    pub accepted: u64,
    /// Calls turned away with 429.
    pub rejected: RejectedStats,
    /// Faults that were triggered, by kind.
    pub faults: BTreeMap<String, u64>,
    /// Answers fully produced, whether or not anybody was left to read them.
    pub answered: u64,
    /// Tokens charged by the limiter.
    pub tokens_charged: u64,
    /// Tokens of the prompts of accepted calls, about as a tokenizer would count.
    pub tokens_input: u64,
    /// Tokens of the answers.
    pub tokens_output: u64,
    /// Accepted calls that are not answered yet.
    pub in_flight: u64,
    /// The most there have been at once.
    pub in_flight_max: u64,
    /// Accepted calls by SHA-256 of messages and schema: a question above 1 was paid for twice.
    pub calls_by_prompt: BTreeMap<String, u64>,
}

/// Why calls were turned away.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RejectedStats {
    /// By the limit of tokens.
    pub tokens: u64,
    /// By the limit of requests.
    pub requests: u64,
    /// By the fault `no_capacity`.
    pub capacity: u64,
    /// By the utilisation of provisioned throughput.
    pub ptu: u64,
}
