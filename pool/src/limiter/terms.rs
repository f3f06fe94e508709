//! What is configured of a quota, and what decides the admission of a call.
//!
//! It must know nothing of how either is used.

use serde::{Deserialize, Serialize};

/// How a provider enforces its quota (docs/limiters.md).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LimiterKind {
    /// Not known: it is identified from what responses say, and until then nothing is sent that one
    /// of the kinds that are still likely would reject.
    #[default]
    Auto,
    /// A sliding window: 60 s of tokens, with the room for the answer, and 10 s of requests.
    Window,
    /// A counter that starts anew every 60 s, at a moment of its own.
    FixedWindow,
    /// A token bucket that refills all the time and holds a minute's quota.
    Bucket,
    /// Provisioned throughput: a leaky bucket of utilisation; `tokens_per_minute` are input-token
    /// equivalents.
    Ptu,
}

impl LimiterKind {
    /// The name used outside; `unknown` while it is not identified.
    pub fn name(self) -> &'static str {
        match self {
            Self::Auto => "unknown",
            Self::Window => "window",
            Self::FixedWindow => "fixed_window",
            Self::Bucket => "bucket",
            Self::Ptu => "ptu",
        }
    }
}

/// Stands for no limit of tokens and of requests a minute. Whatever is counted fits into it, and what
/// is left of it is still exact.
const UNLIMITED: f64 = 1e9;

/// What is configured of a deployment's quota.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Terms {
    /// How it is enforced.
    pub kind: LimiterKind,
    /// Tokens a minute; of provisioned throughput, input-token equivalents.
    pub tokens_per_minute: f64,
    /// Requests a minute.
    pub requests_per_minute: f64,
    /// How many input tokens one output token weighs on provisioned throughput.
    pub output_weight: f64,
    /// What is known to be charged, where that is not as its kind does.
    #[serde(default)]
    pub charge: Charge,
}

impl Terms {
    /// Terms of these tokens and requests a minute; without a limit where there is none.
    pub(crate) fn of_quota(kind: LimiterKind, tokens: Option<u64>, requests: Option<u64>) -> Self {
        let limit = |limit: Option<u64>| limit.map_or(UNLIMITED, |limit| limit as f64);
        Self {
            kind,
            tokens_per_minute: limit(tokens),
            requests_per_minute: limit(requests),
            output_weight: 1.0,
            charge: Charge::default(),
        }
    }

    /// Whether a limit of tokens is configured.
    pub(crate) fn is_limited(&self) -> bool {
        self.tokens_per_minute < UNLIMITED
    }

    /// Whether a limit of requests is configured.
    pub(super) fn has_requests(&self) -> bool {
        self.requests_per_minute < UNLIMITED
    }
}

/// What a provider charges, where that was found out (POOL: calibration) or configured.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Charge {
    /// Whether the room for the answer is charged at admission.
    pub output: Option<bool>,
    /// Tokens charged for one that is counted as four characters.
    pub input: f64,
    /// Whether the real use replaces the charge when an answer is complete.
    pub settled: Option<bool>,
}

impl Default for Charge {
    fn default() -> Self {
        Self { output: None, input: 1.0, settled: None }
    }
}

/// What decides the admission of a call, in tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Size {
    /// What providers count of the question at admission: characters / 4.
    pub input: f64,
    /// What the question really has: provisioned throughput and prices go by it.
    pub input_real: f64,
    /// The most that the answer may have.
    pub output_max: f64,
}
