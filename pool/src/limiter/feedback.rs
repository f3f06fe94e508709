//! What a limiter is told: what responses say of it, and how calls ended.

use super::ptu::Ptu;
use super::readings::Readings;

/// What a response says of its deployment's limiter; none where it says nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct LimiterHints {
    /// The limit of tokens in force.
    pub tokens_limit: Option<f64>,
    /// The limit of requests in force.
    pub requests_limit: Option<f64>,
    /// The tokens left.
    pub tokens_left: Option<f64>,
    /// The requests left.
    pub requests_left: Option<f64>,
    /// Whether it named a renewal period, as only token buckets do.
    pub renews: bool,
    /// Whether it named the wait in milliseconds and no limits, as provisioned throughput does.
    pub exact: bool,
    /// The wait that it asked for, in milliseconds.
    pub wait_ms: Option<f64>,
}

/// How a reserved call ended.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Outcome {
    /// It was never sent.
    Returned,
    /// An answer came.
    Answered {
        /// The tokens of the question as the provider counts them; 0 where it does not say.
        tokens_input: f64,
        /// The tokens of the answer.
        tokens_output: f64,
        /// What else was said.
        hints: LimiterHints,
    },
    /// The question was refused: the deployment works.
    Refused {
        /// What else was said.
        hints: LimiterHints,
    },
    /// The provider had no room.
    Throttled {
        /// For how long it wants nothing, in milliseconds: twice what it says where it is
        /// capacity that is short.
        wait_ms: f64,
        /// Whether it is the provider that has too little, rather than the quota.
        no_capacity: bool,
        /// What else was said.
        hints: LimiterHints,
    },
    /// No answer came.
    Failed {
        /// Whether it may have been taken up, and so charged.
        charged: bool,
        /// How long it took, in milliseconds.
        took_ms: f64,
        /// From 0 to 1, by chance.
        jitter: f64,
        /// The wait that it asked for, in milliseconds.
        wait_ms: Option<f64>,
    },
}

/// What was learned from responses, as it is shown.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Feedback {
    /// What the provider counts for what we count.
    pub ratio: f64,
    /// Tokens of a window that others use, or by which its limit has fallen without a word.
    pub external_load: f64,
    /// The part of the limit that is used since the last rejections.
    pub trim: f64,
    /// The part of a minute's quota that is left.
    pub level: f64,
    /// What provisioned throughput is taken to let through at once, in milliseconds at its rate.
    pub ceiling_ms: f64,
}

/// All that responses have taught of a deployment, whoever sent what.
#[derive(Clone, Debug, PartialEq)]
pub struct Knowledge {
    pub(super) is_ptu: bool,
    pub(super) named_tokens: Option<f64>,
    pub(super) named_requests: Option<f64>,
    pub(super) found_tokens: Option<f64>,
    pub(super) readings: Readings,
    pub(super) ptu: Ptu,
    pub(super) trim: f64,
    pub(super) output: Option<f64>,
}
