//! One deployment as the pool sees it: its limiter's model, its health, and what is under way.
//!
//! It must know nothing of the network, the clock or who waits: every change carries its time.

use super::config::DeploymentConfig;
use super::headers::Limits;
use super::health::{Fitness, Health};
use super::limiter::{Cost, Earliest, Limiter, Refund, Reservation, output_weight};
use super::mode::Mode;
use super::pick::{Candidate, Ready};
use super::share::{Demand, Lease, News};
use crate::chat::CallError;
use std::time::Duration;
use tokio::time::Instant;

/// How long a call is taken to last before one has been seen.
const LATENCY_GUESS: Duration = Duration::from_secs(2);

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
pub(super) struct Outcome<'a> {
    /// Tokens of input and of output, or what went wrong.
    pub(super) result: Result<(u64, u64), &'a CallError>,
    /// The limits that the response named.
    pub(super) limits: Limits,
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

/// A deployment and all that is known of it.
pub(super) struct Deployment {
    pub(super) config: DeploymentConfig,
    limiter: Limiter,
    health: Health,
    in_flight: u32,
    counts: Counts,
}

impl Deployment {
    pub(super) fn new(config: DeploymentConfig, now: Instant) -> Self {
        let limiter = Limiter::new(
            config.limiter,
            config.tokens_per_minute,
            config.requests_per_minute,
            output_weight(&config.model),
            now,
        );
        let (health, counts) = (Health::default(), Counts::default());
        Self { config, limiter, health, in_flight: 0, counts }
    }

    /// What it could do for such a call.
    pub(super) fn candidate(&self, index: usize, cost: &Cost, now: Instant) -> Candidate {
        let ready = match (self.limiter.earliest(now, cost), self.health.fitness(now)) {
            (Earliest::Never, _) => Ready::Never,
            (_, Fitness::DeniedUntil(until)) => Ready::Denied(until),
            (Earliest::At(at), Fitness::CoolingUntil(until)) => self.ready(at.max(until), now),
            (Earliest::At(at), Fitness::Well) => self.ready(at, now),
        };
        Candidate { index, tier: self.config.tier, ready, load: self.load(now) }
    }

    fn ready(&self, at: Instant, now: Instant) -> Ready {
        if self.in_flight >= self.config.concurrency_max {
            let latency = self.health.latency().unwrap_or(LATENCY_GUESS);
            // Of n calls under way, the first ends after about an n-th of their time.
            Ready::Full(at.max(now + latency / self.in_flight.max(1)))
        } else if at <= now {
            Ready::Now
        } else {
            Ready::At(at)
        }
    }

    fn load(&self, now: Instant) -> f64 {
        let ((tokens, requests), (tokens_max, requests_max)) =
            (self.limiter.available(now), self.limiter.per_minute());
        let used = |left: u64, whole: u64| 1.0 - left as f64 / whole.max(1) as f64;
        let quota = used(tokens, tokens_max).max(used(requests, requests_max));
        quota + f64::from(self.in_flight) / f64::from(self.config.concurrency_max)
    }

    /// Gives a call its place.
    pub(super) fn reserve(&mut self, cost: &Cost, now: Instant) -> Reservation {
        self.limiter.expire(now);
        self.in_flight += 1;
        self.health.started(now);
        self.limiter.reserve(now, cost)
    }

    /// The call is sent.
    pub(super) fn sent(&mut self, reservation: &mut Reservation, now: Instant) {
        self.counts.calls += 1;
        self.limiter.sent(reservation, now);
    }

    /// The call is over, or was never made; nothing is given back by this.
    pub(super) fn release(&mut self) {
        self.in_flight = self.in_flight.saturating_sub(1);
    }

    /// The call was never made.
    pub(super) fn refund(&mut self, reservation: &Reservation, now: Instant) {
        self.limiter.refund(reservation, Refund::All, now);
    }

    /// Learns from how a call ended.
    pub(super) fn settle(
        &mut self,
        reservation: &Reservation,
        outcome: &Outcome<'_>,
        now: Instant,
    ) {
        self.limiter.observe(outcome.limits, now);
        let error = match outcome.result {
            Ok((tokens_input, tokens_output)) => {
                self.counts.answered += 1;
                self.health.succeeded(now.saturating_duration_since(outcome.started));
                self.limiter.settle(reservation, tokens_input, tokens_output, now);
                return;
            }
            Err(error) => error,
        };
        match error {
            CallError::Throttled { retry_after, .. } => {
                self.counts.throttled += 1;
                self.limiter.refund(reservation, Refund::Tokens, now);
                self.limiter.block_until(now + *retry_after);
                return;
            }
            CallError::Unreachable { .. } | CallError::Unavailable { .. } => {
                self.limiter.refund(reservation, Refund::All, now);
                self.health.failed(outcome.started, now, outcome.jitter);
            }
            CallError::Denied { .. } => {
                self.limiter.refund(reservation, Refund::All, now);
                self.health.denied(now, error.to_string());
            }
            // The question is at fault, not the deployment.
            CallError::Refused { .. } => {}
            CallError::Unknown { .. } => {
                self.health.failed(outcome.started, now, outcome.jitter);
            }
        }
        self.counts.failed += 1;
    }

    /// Uses only this part of the quota.
    pub(super) fn set_share(&mut self, share: f64, now: Instant) {
        self.limiter.set_share(share, now);
    }

    /// Uses only what is leased, and knows what others have learned.
    pub(super) fn set_lease(&mut self, lease: Lease, news: &News, now: Instant) {
        self.limiter.set_lease(lease, news, now);
    }

    /// Gives back what it can, and says what it has and wants when these calls wait.
    pub(super) fn demand(&mut self, waiting: &[Cost], now: Instant) -> Demand {
        self.limiter.demand(waiting, now)
    }

    /// What the limiter charges for such a call, and the most that it may hold of it.
    pub(super) fn charge(&self, cost: &Cost) -> (u64, u64) {
        (self.limiter.charge(cost), self.config.tokens_per_minute)
    }

    /// Tokens and requests available now, and those that a second brings.
    pub(super) fn supply(&self, now: Instant) -> ((f64, f64), (f64, f64)) {
        let (tokens, requests) = self.limiter.available(now);
        let (tokens_minute, requests_minute) = self.limiter.prospect();
        let per_second = (tokens_minute / 60.0, requests_minute / 60.0);
        ((tokens as f64, requests as f64), per_second)
    }

    /// What it said when it refused.
    pub(super) fn denial(&self) -> Option<&str> {
        self.health.denial()
    }

    /// Itself at this moment.
    pub(super) fn status(&self, now: Instant) -> DeploymentStatus {
        let blocked = self.limiter.blocked(now);
        let (state, until) = match (self.health.denial(), self.health.fitness(now), blocked) {
            (Some(_), Fitness::DeniedUntil(until), _) => (DeploymentState::Denied, Some(until)),
            (Some(_), _, _) => (DeploymentState::Denied, None),
            (None, Fitness::CoolingUntil(until), _) => (DeploymentState::Cooling, Some(until)),
            (None, _, Some(until)) => (DeploymentState::Throttled, Some(until)),
            (None, _, None) => (DeploymentState::Ok, None),
        };
        let (tokens_available, requests_available) = self.limiter.available(now);
        let (tokens_per_minute, requests_per_minute) = self.limiter.per_minute();
        DeploymentStatus {
            name: self.config.name.clone(),
            model: self.config.model.clone(),
            tier: self.config.tier,
            mode: self.config.mode.unwrap_or_default(),
            state,
            resumes_in: until.map(|until| until.saturating_duration_since(now)),
            message: self.health.denial().map(str::to_owned),
            in_flight: self.in_flight,
            concurrency_max: self.config.concurrency_max,
            tokens_available,
            requests_available,
            tokens_per_minute,
            requests_per_minute,
            latency: self.health.latency(),
            calls: self.counts.calls,
            answered: self.counts.answered,
            throttled: self.counts.throttled,
            failed: self.counts.failed,
        }
    }
}
