//! The rate limiters that providers and gateways use, as far as observation goes. Pure: time is an
//! argument, and nothing is known of requests but what they are charged.

mod bucket;
mod counter;
mod ptu;
mod window;

use crate::config::{Charge, DeploymentConfig, Kind, PromptCharge};
use crate::fault::Terms;
use std::time::Duration;

use bucket::Bucket;
use counter::{Counter, Counting};
use ptu::Ptu;
use window::Window;

/// The wait that is named when no wait would help: the call is larger than a whole minute.
const HOPELESS: Duration = Duration::from_secs(60);

/// Whether a call is let in.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Verdict {
    /// It is; this is what is left.
    Admitted(Standing),
    /// It is not.
    Rejected(Rejection),
}

/// What the limiter would say about itself in headers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Standing {
    /// The limit of requests in force.
    pub requests_limit: i64,
    /// Requests left; a bucket can owe some.
    pub requests_left: i64,
    /// How long until no request is owed or missing.
    pub requests_reset: Duration,
    /// The limit of tokens in force.
    pub tokens_limit: i64,
    /// Tokens left.
    pub tokens_left: i64,
    /// How long until no token is missing.
    pub tokens_reset: Duration,
}

/// Why a call was not let in, and when it would be if nobody else called.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rejection {
    /// Which limit it met.
    pub limit: Limit,
    /// The wait after which the same call passes.
    pub wait: Duration,
    /// What is left.
    pub standing: Standing,
}

/// The limits a call can meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// Requests a minute (or ten seconds).
    Requests,
    /// Tokens a minute.
    Tokens,
    /// The utilisation of provisioned throughput.
    Utilisation,
}

/// What a call is charged, before it is made.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cost {
    /// The tokens charged by `window` and `bucket`, and shown in the statistics.
    pub tokens: u64,
    /// The input-token equivalents charged by `ptu`.
    pub weighted: f64,
}

impl Cost {
    /// Weighs a call by the rules of its deployment.
    pub fn new(charge: Charge, output_weight: f64, prompt: u64, max_out: Option<u64>) -> Self {
        let prompt = match charge.prompt {
            PromptCharge::None => 0,
            PromptCharge::Chars4 => prompt,
        };
        let out = if charge.max_out { max_out.unwrap_or(charge.default_max_out) } else { 0 };
        Self {
            tokens: prompt.saturating_add(out),
            weighted: prompt as f64 + output_weight * out as f64,
        }
    }
}

/// The limiter of one deployment.
#[derive(Debug)]
pub enum Limiter {
    /// Two sliding logs.
    Window(Window),
    /// Two buckets.
    Bucket(Bucket),
    /// Two counters that start anew.
    Counter(Counter),
    /// One leaky bucket.
    Ptu(Ptu),
}

impl Limiter {
    /// A limiter that has been idle for long.
    pub fn new(config: &DeploymentConfig) -> Self {
        let (tpm, rpm) = (config.tokens_per_minute, config.requests_per_minute);
        match config.kind {
            Kind::Window => Self::Window(Window::new(tpm, rpm)),
            Kind::Bucket | Kind::TokenBucket => Self::Bucket(Bucket::new(tpm, rpm, 60.0)),
            Kind::BurstBucket => Self::Bucket(Bucket::new(tpm, rpm, config.burst_seconds)),
            Kind::FixedWindow | Kind::SlidingCounter | Kind::AnswerCounter => {
                let counting = match config.kind {
                    Kind::SlidingCounter => Counting::Weighted,
                    Kind::AnswerCounter => Counting::Answer,
                    _ => Counting::Admission,
                };
                Self::Counter(Counter::new(tpm, rpm, config.phase_seconds, counting))
            }
            Kind::Ptu => Self::Ptu(Ptu::new(tpm, config.burst_seconds)),
        }
    }

    /// Lets a call in or not, and charges it. `now` must not run backwards.
    pub fn admit(&mut self, now: Duration, cost: Cost, terms: Terms) -> Verdict {
        match self {
            Self::Window(window) => window.admit(now, cost.tokens, terms),
            Self::Bucket(bucket) => bucket.admit(now, cost.tokens, terms),
            Self::Counter(counter) => counter.admit(now, cost.tokens, terms),
            Self::Ptu(ptu) => ptu.admit(now, cost.weighted, terms),
        }
    }

    /// Replaces the estimate of an admitted call by what it really used.
    pub fn settle(&mut self, now: Duration, estimated: Cost, actual: Cost, terms: Terms) {
        let tokens = actual.tokens as f64 - estimated.tokens as f64;
        match self {
            // The log of a window keeps the estimate for its whole minute whatever happens.
            Self::Window(_) => {}
            Self::Bucket(bucket) => bucket.settle(now, tokens, terms),
            Self::Counter(counter) => counter.complete(now, actual.tokens),
            Self::Ptu(ptu) => ptu.settle(now, actual.weighted - estimated.weighted, terms),
        }
    }
}

/// Rounds a wait up so that whoever waits that long is not a hair too early.
fn wait_of(seconds: f64) -> Duration {
    let millis = (seconds.max(0.0) * 1_000.0 + 1e-6).ceil();
    Duration::from_millis(millis as u64)
}

#[cfg(test)]
mod tests;
