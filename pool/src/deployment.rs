//! One deployment as this member of the fleet sees it: its health and its running calls. What all
//! members know of it is in the shared state.
//!
//! It must know nothing of the network, the clock or the wait queue: every change carries its time.

mod status;

pub use status::{DeploymentState, DeploymentStatus};

use crate::config::DeploymentConfig;
use crate::health::Health;
use crate::limiter::{Charge, Feedback, Limiter, LimiterHints, LimiterKind, Outcome, Terms};
use crate::provider::family;
use crate::provider::image_tokens::image_tokens;
use crate::state::DeploymentView;
use crate::typed::chat::{CallError, Shortage};
use crate::typed::dialect::SharedDialect;
use crate::typed::usage::Usage;
use sha2::{Digest, Sha256};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// How a call ended.
pub(super) struct End<'a> {
    /// Tokens of input and of output, or what went wrong.
    pub(super) result: Result<(u64, u64), &'a CallError>,
    /// What the response said of the limiter.
    pub(super) hints: LimiterHints,
    /// The model as the provider names it, where it did.
    pub(super) model: Option<&'a str>,
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

/// A deployment and what only this member of the fleet knows of it.
pub(super) struct Deployment {
    pub(super) config: DeploymentConfig,
    /// Identifies it in the shared state: endpoint and the provider's name of it. Two fleets may
    /// configure it under different names.
    pub(super) address: Arc<str>,
    /// What it does not take of requests, and its name in the shared state: the address, and what is
    /// configured, for another configuration may be another deployment.
    pub(super) dialect: SharedDialect,
    pub(super) dialect_key: String,
    /// Its virtual time among the deployments of its model, for strategies that take turns.
    pub(super) turn: f64,
    /// The model as the provider named it last.
    provider_model: Option<String>,
    health: Health,
    in_flight: u32,
    counts: Counts,
}

impl Deployment {
    pub(super) fn new(config: DeploymentConfig) -> Self {
        let endpoint = config.endpoint().map_or(&*config.endpoint, |endpoint| endpoint.base);
        let address = format!("{} {}", endpoint.to_ascii_lowercase(), config.provider_model());
        // Secrets are not in it.
        let configured = serde_json::to_vec(&config).unwrap_or_default();
        let fingerprint = Sha256::digest(&configured);
        let start = fingerprint.iter().take(8).map(|byte| format!("{byte:02x}"));
        Self {
            dialect_key: format!("{address} {}", start.collect::<String>()),
            dialect: SharedDialect::default(),
            config,
            address: address.into(),
            turn: 0.0,
            provider_model: None,
            health: Health::default(),
            in_flight: 0,
            counts: Counts::default(),
        }
    }

    /// What is configured of its quota.
    pub(super) fn terms(&self) -> Terms {
        let config = &self.config;
        Terms {
            output_weight: family::output_weight(config, self.provider_model.as_deref()),
            charge: Charge {
                output: config.charge_output,
                input: 4.0 / config.charge_characters_per_token.unwrap_or(4.0),
                settled: config.charge_settled,
            },
            ..Terms::of_quota(config.limiter, config.tokens_per_minute, config.requests())
        }
    }

    /// What the state needs to know of it; `at` is the same time as `now` on the state's clock.
    pub(super) fn view(&self, limiter: Option<&Limiter>, now: Instant, at: f64) -> DeploymentView {
        let config = &self.config;
        let terms = self.terms();
        let is_limited = limiter.map_or(terms.is_limited(), Limiter::is_limited);
        let room = match self.health.is_denied() {
            // One call at a time tries it.
            true => 1_u32.saturating_sub(self.in_flight),
            false => config.concurrency(is_limited).saturating_sub(self.in_flight),
        };
        let closed = self.health.denied_until(now);
        let closed = closed.map(|until| at + (until - now).as_secs_f64() * 1_000.0);
        let price = |per_million: Option<f64>| Some(per_million? / 1e6);
        let prices =
            price(config.input_price_per_million).zip(price(config.output_price_per_million));
        let answer = self.health.latency_p95().or(self.health.latency()).unwrap_or_default();
        DeploymentView {
            address: Arc::clone(&self.address),
            terms,
            room,
            in_flight: self.in_flight,
            // Failures are in the limiter, where all members see them.
            closed_until: closed,
            tier: config.tier,
            provisioned: config.limiter == LimiterKind::Ptu,
            prices,
            latency: self.health.latency_peak(now),
            health: self.health.score(),
            weight: config.weight,
            turn: self.turn,
            answer_ms: answer.as_secs_f64() * 1_000.0,
            sees: self.sees(),
        }
    }

    /// Whether it takes images, as far as is known.
    pub(super) fn sees(&self) -> bool {
        self.config.vision && !self.dialect.get().refuses_images
    }

    /// The tokens that an image of this width and height counts as here.
    pub(super) fn image_tokens(&self, size: (u32, u32)) -> u64 {
        image_tokens(&self.config, self.provider_model.as_deref(), size)
    }

    /// What these tokens cost here, where both prices are configured.
    pub(super) fn price(&self, usage: &Usage) -> Option<f64> {
        let config = &self.config;
        let (input, output) = (config.input_price_per_million?, config.output_price_per_million?);
        let cached = config.cached_input_price_per_million.unwrap_or(input);
        let tokens_cached = usage.tokens_cached.min(usage.tokens_input);
        let tokens_new = usage.tokens_input - tokens_cached;
        let priced = tokens_new as f64 * input
            + tokens_cached as f64 * cached
            + usage.tokens_output as f64 * output;
        Some(priced / 1e6)
    }

    /// The time within which 95 of 100 answers come, once there were enough.
    pub(super) fn answers_within(&self) -> Option<Duration> {
        self.health.latency_p95()
    }

    /// A call has a reservation.
    pub(super) fn enter(&mut self, now: Instant) {
        self.in_flight += 1;
        self.health.started(now);
    }

    /// A call is sent.
    pub(super) fn sent(&mut self) {
        self.counts.calls += 1;
    }

    /// A call ended, or was never made.
    pub(super) fn release(&mut self) {
        self.in_flight = self.in_flight.saturating_sub(1);
    }

    /// Learns from the end of a call, and returns what the state learns from it.
    pub(super) fn settle(&mut self, end: &End<'_>, now: Instant) -> Outcome {
        let took = now.saturating_duration_since(end.started);
        let hints = end.hints;
        if let Some(model) = end.model
            && self.provider_model.as_deref() != Some(model)
        {
            self.provider_model = Some(model.to_owned());
        }
        let error = match end.result {
            Ok((tokens_input, tokens_output)) => {
                self.counts.answered += 1;
                if self.health.is_denied() {
                    let deployment = &self.config.name;
                    tracing::info!(deployment, "the deployment takes calls again");
                }
                self.health.succeeded(took, now);
                let (tokens_input, tokens_output) = (tokens_input as f64, tokens_output as f64);
                return Outcome::Answered { tokens_input, tokens_output, hints };
            }
            Err(error) => error,
        };
        if let CallError::Throttled { retry_after, why, .. } = error {
            self.counts.throttled += 1;
            self.health.admitted();
            let no_capacity = *why == Shortage::Capacity;
            let wait_ms = retry_after.as_secs_f64() * 1_000.0;
            return Outcome::Throttled { wait_ms, no_capacity, hints };
        }
        self.counts.failed += 1;
        let took_ms = took.as_secs_f64() * 1_000.0;
        let (jitter, wait_ms) = (end.jitter, hints.wait_ms);
        let failed = |charged| Outcome::Failed { charged, took_ms, jitter, wait_ms };
        match error {
            CallError::Denied { .. } => {
                let wait = wait_ms.map(milliseconds);
                if self.health.denied(end.started, now, wait, error.to_string()) {
                    tracing::error!(
                        deployment = self.config.name,
                        error = %error,
                        "the deployment refuses calls: documents wait; correct its key, credential or address"
                    );
                }
                Outcome::Returned
            }
            // The fault is in the question.
            CallError::Refused { .. } => {
                self.health.admitted();
                Outcome::Refused { hints }
            }
            CallError::Unreachable { .. } | CallError::Unavailable { .. } => {
                self.health.failed(now, error.to_string());
                failed(false)
            }
            CallError::Unknown { .. } | CallError::Throttled { .. } => {
                self.health.failed(now, error.to_string());
                failed(true)
            }
        }
    }

    /// Since when it refuses, unless a call may try it now.
    pub(super) fn denied_since(&self, now: Instant) -> Option<Instant> {
        self.health.denied_since(now)
    }

    /// What it said when it last refused or failed.
    pub(super) fn trouble(&self) -> Option<&str> {
        self.health.trouble()
    }

    /// Whether calls have failed here since the last answer.
    pub(super) fn is_failing(&self) -> bool {
        self.health.is_failing()
    }

    /// Its status now; `at` is the same time on the clock of its limiter.
    pub(super) fn status(&self, limiter: &Limiter, now: Instant, at: f64) -> DeploymentStatus {
        let blocked = limiter.blocked(at).map(|until| milliseconds(until - at));
        let state = match (self.health.is_denied(), blocked) {
            (true, _) => DeploymentState::Denied,
            (false, Some(_)) if limiter.is_failing() => DeploymentState::Cooling,
            (false, Some(_)) => DeploymentState::Throttled,
            (false, None) => DeploymentState::Ok,
        };
        let denied = self.health.denied_until(now).map(|until| until - now);
        let (tokens_available, requests_available) = limiter.available(at);
        let (tokens_per_minute, requests_per_minute) = limiter.per_minute();
        // Casting saturates: below zero is zero.
        let whole = |limit: Option<f64>| limit.map(|limit| limit as u64);
        let Feedback { ratio, external_load, trim, level, ceiling_ms } = limiter.feedback(at);
        DeploymentStatus {
            name: self.config.name.clone(),
            model: self.config.model.clone(),
            tier: self.config.tier,
            limiter: limiter.kind(),
            shared: false,
            mode: self.config.mode,
            state,
            resumes_in: denied.or(blocked),
            message: self.health.trouble().map(str::to_owned),
            dialect: self.dialect.get(),
            in_flight: self.in_flight,
            concurrency_max: self.config.concurrency(limiter.is_limited()),
            tokens_available: tokens_per_minute.map(|_| tokens_available as u64),
            requests_available: requests_per_minute.map(|_| requests_available as u64),
            tokens_per_minute: whole(tokens_per_minute),
            requests_per_minute: whole(requests_per_minute),
            utilisation: limiter.utilisation(at),
            ratio,
            external_load: external_load as u64,
            trim,
            level,
            ceiling: milliseconds(ceiling_ms),
            latency_ms: self.health.latency().and_then(|mean| mean.as_millis().try_into().ok()),
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
