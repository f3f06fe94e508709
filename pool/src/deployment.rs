//! One deployment as this worker sees it: its health, and what is under way. What all workers know
//! of it is in the state.
//!
//! It must know nothing of the network, the clock or who waits: every change carries its time.

use crate::config::{DeploymentConfig, Provider};
use crate::health::Health;
use crate::limiter::{Charge, Feedback, Limiter, LimiterHints, LimiterKind, Outcome, Terms};
use crate::state::DeploymentView;
use crate::typed::chat::{CallError, Shortage};
use crate::typed::mode::Mode;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// How a deployment fares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeploymentState {
    /// It takes calls.
    Ok,
    /// It rests after failures.
    Cooling,
    /// Its provider rejected for want of room; nothing is sent for a while.
    Throttled,
    /// It refuses calls until its configuration, or its key, changes.
    Denied,
}

impl DeploymentState {
    /// The name used outside.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Cooling => "cooling",
            Self::Throttled => "throttled",
            Self::Denied => "denied",
        }
    }
}

/// A deployment at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct DeploymentStatus {
    /// Its name.
    pub name: String,
    /// The model that it serves.
    pub model: String,
    /// Its tier.
    pub tier: u32,
    /// How its quota is enforced, as far as is known.
    pub kind: LimiterKind,
    /// Whether all workers write into one state.
    pub shared: bool,
    /// How it is asked for JSON; filled in by [`super::Pool::snapshot`].
    pub mode: Mode,
    /// How it fares.
    pub state: DeploymentState,
    /// Until when nothing is sent, unless that is now.
    pub resumes_in: Option<Duration>,
    /// What it said when it refused.
    pub message: Option<String>,
    /// The calls that have a slot, sent or about to be.
    pub in_flight: u32,
    /// The most calls at the same time.
    pub concurrency_max: u32,
    /// The tokens that could be sent now.
    pub tokens_available: u64,
    /// The requests that could be sent now.
    pub requests_available: u64,
    /// The quota in force: tokens a minute.
    pub tokens_per_minute: u64,
    /// The quota in force: requests a minute.
    pub requests_per_minute: u64,
    /// The part of the last minute's quota that was used.
    pub utilisation: f64,
    /// What the provider counts for a token that we count.
    pub ratio: f64,
    /// Tokens a minute that external_load use, or by which the limit has fallen without a word.
    pub external_load: u64,
    /// The part of the quota that is used since the last rejections.
    pub trim: f64,
    /// The part of a bucket that is left, as responses say.
    pub level: f64,
    /// What provisioned throughput is taken to let through at once, in time at its rate.
    pub ceiling: Duration,
    /// The mean time of an answer.
    pub latency: Option<Duration>,
    /// The calls sent since the start.
    pub calls: u64,
    /// Those that brought an answer.
    pub answered: u64,
    /// Those that found no room.
    pub throttled: u64,
    /// Those that failed in any other way.
    pub failed: u64,
}

/// How a call ended.
pub(super) struct End<'a> {
    /// Tokens of input and of output, or what went wrong.
    pub(super) result: Result<(u64, u64), &'a CallError>,
    /// What the response said of the limiter.
    pub(super) hints: LimiterHints,
    /// When it was sent.
    pub(super) started: Instant,
    /// From 0 to 1, by chance.
    pub(super) jitter: f64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    calls: u64,
    answered: u64,
    throttled: u64,
    failed: u64,
}

/// A deployment and all that only this worker knows of it.
pub(super) struct Deployment {
    pub(super) config: DeploymentConfig,
    /// What tells it from all others: two fleets that use it may name it differently.
    pub(super) address: Arc<str>,
    /// Where its turn stands among the others of its model.
    pub(super) turn: f64,
    health: Health,
    in_flight: u32,
    counts: Counts,
}

impl Deployment {
    pub(super) fn new(config: DeploymentConfig) -> Self {
        let endpoint = config.endpoint.trim().trim_end_matches('/').to_ascii_lowercase();
        let name = match &config.provider {
            Provider::Azure { deployment, .. } => deployment,
            Provider::OpenAi | Provider::Compatible => &config.model,
        };
        let address = format!("{endpoint} {name}").into();
        let (health, counts) = (Health::default(), Counts::default());
        Self { config, address, turn: 0.0, health, in_flight: 0, counts }
    }

    /// Itself as the state wants to know it.
    pub(super) fn view(&self, now: Instant) -> DeploymentView {
        let config = &self.config;
        let terms = Terms {
            kind: config.limiter,
            tokens_per_minute: config.tokens_per_minute as f64,
            requests_per_minute: config.requests_per_minute as f64,
            output_weight: output_weight(&config.model),
            charge: Charge {
                output: config.charge.output,
                input: 4.0 / config.charge.characters_per_token.unwrap_or(4.0),
                settled: config.charge.settled,
            },
        };
        let price = |per_million: Option<f64>| Some(per_million? / 1e6);
        let prices =
            price(config.input_price_per_million).zip(price(config.output_price_per_million));
        let answer = self.health.latency_p95().or(self.health.latency()).unwrap_or_default();
        DeploymentView {
            address: Arc::clone(&self.address),
            terms,
            room: config.concurrency_max.saturating_sub(self.in_flight),
            in_flight: self.in_flight,
            // Failures are the limiter's: there they are known to all workers.
            shut: self.health.denied_until(now).is_some(),
            tier: config.tier,
            provisioned: config.limiter == LimiterKind::Ptu,
            prices,
            latency: self.health.latency_peak(now),
            health: self.health.score(),
            weight: config.weight,
            turn: self.turn,
            answer_ms: answer.as_secs_f64() * 1_000.0,
        }
    }

    /// What these tokens cost here, where both prices are configured.
    pub(super) fn price(&self, tokens_input: u64, tokens_output: u64) -> Option<f64> {
        let (input, output) =
            (self.config.input_price_per_million?, self.config.output_price_per_million?);
        Some((tokens_input as f64 * input + tokens_output as f64 * output) / 1e6)
    }

    /// The time within which 95 of 100 answers come, once there were enough.
    pub(super) fn answers_within(&self) -> Option<Duration> {
        self.health.latency_p95()
    }

    /// A call has its place.
    pub(super) fn enter(&mut self, now: Instant) {
        self.in_flight += 1;
        self.health.started(now);
    }

    /// A call is sent.
    pub(super) fn sent(&mut self) {
        self.counts.calls += 1;
    }

    /// A call is over, or was never made.
    pub(super) fn release(&mut self) {
        self.in_flight = self.in_flight.saturating_sub(1);
    }

    /// Learns from how a call ended, and says what the state learns from it.
    pub(super) fn settle(&mut self, end: &End<'_>, now: Instant) -> Outcome {
        let took = now.saturating_duration_since(end.started);
        let hints = end.hints;
        let error = match end.result {
            Ok((tokens_input, tokens_output)) => {
                self.counts.answered += 1;
                self.health.succeeded(took, now);
                let (tokens_input, tokens_output) = (tokens_input as f64, tokens_output as f64);
                return Outcome::Answered { tokens_input, tokens_output, hints };
            }
            Err(error) => error,
        };
        if let CallError::Throttled { retry_after, why, .. } = error {
            self.counts.throttled += 1;
            let no_capacity = *why == Shortage::Capacity;
            let wait_ms = retry_after.as_secs_f64() * 1_000.0;
            return Outcome::Throttled { wait_ms, no_capacity, hints };
        }
        self.counts.failed += 1;
        let took_ms = took.as_secs_f64() * 1_000.0;
        let failed = |charged| Outcome::Failed { charged, took_ms, jitter: end.jitter };
        match error {
            CallError::Denied { .. } => {
                self.health.denied(now, error.to_string());
                Outcome::Returned
            }
            // The question is at fault, not the deployment.
            CallError::Refused { .. } => Outcome::Refused { hints },
            CallError::Unreachable { .. } | CallError::Unavailable { .. } => {
                self.health.failed(now);
                failed(false)
            }
            CallError::Unknown { .. } | CallError::Throttled { .. } => {
                self.health.failed(now);
                failed(true)
            }
        }
    }

    /// Since when it refuses, unless a call may try it now.
    pub(super) fn denied_since(&self, now: Instant) -> Option<Instant> {
        self.health.denied_since(now)
    }

    /// What it said when it refused.
    pub(super) fn denial(&self) -> Option<&str> {
        self.health.denial()
    }

    /// Itself at this moment; `at` is the same time on the clock of its limiter.
    pub(super) fn status(&self, limiter: &Limiter, now: Instant, at: f64) -> DeploymentStatus {
        let blocked = limiter.blocked(at).map(|until| milliseconds(until - at));
        let state = match (self.health.denial(), blocked) {
            (Some(_), _) => DeploymentState::Denied,
            (None, Some(_)) if limiter.is_open() => DeploymentState::Cooling,
            (None, Some(_)) => DeploymentState::Throttled,
            (None, None) => DeploymentState::Ok,
        };
        let denied = self.health.denied_until(now).map(|until| until - now);
        let (tokens_available, requests_available) = limiter.available(at);
        let (tokens_per_minute, requests_per_minute) = limiter.per_minute();
        let Feedback { ratio, external_load, trim, level, ceiling_ms } = limiter.feedback(at);
        // Casting saturates: below zero is zero.
        DeploymentStatus {
            name: self.config.name.clone(),
            model: self.config.model.clone(),
            tier: self.config.tier,
            kind: limiter.kind(),
            shared: false,
            mode: self.config.mode.unwrap_or_default(),
            state,
            resumes_in: denied.or(blocked),
            message: self.health.denial().map(str::to_owned),
            in_flight: self.in_flight,
            concurrency_max: self.config.concurrency_max,
            tokens_available: tokens_available as u64,
            requests_available: requests_available as u64,
            tokens_per_minute: tokens_per_minute as u64,
            requests_per_minute: requests_per_minute as u64,
            utilisation: limiter.utilisation(at),
            ratio,
            external_load: external_load as u64,
            trim,
            level,
            ceiling: milliseconds(ceiling_ms),
            latency: self.health.latency(),
            calls: self.counts.calls,
            answered: self.counts.answered,
            throttled: self.counts.throttled,
            failed: self.counts.failed,
        }
    }
}

/// So many milliseconds; none where they are below zero.
pub(super) fn milliseconds(milliseconds: f64) -> Duration {
    Duration::from_secs_f64((milliseconds / 1_000.0).clamp(0.0, 86_400.0))
}

/// How many input tokens one output token of this model weighs on provisioned throughput.
fn output_weight(model: &str) -> f64 {
    if model.starts_with("gpt-4") || model.starts_with("gpt-3") { 4.0 } else { 8.0 }
}
