//! One deployment at work: faults, limiter and statistics. Time is an argument; the network is
//! unknown here.

use crate::config::{DeploymentConfig, Latency};
use crate::fault::{Call, Fault, FaultKind, FaultPlan, Stage};
use crate::limiter::{Cost, Limit, Limiter, Rejection, Standing, Verdict};
use crate::request::{Bounds, Format, Request};
use crate::stats::DeploymentStats;
use sha2::{Digest as _, Sha256};
use std::collections::HashSet;
use std::time::Duration;

/// How long the first call with a new schema takes longer, unless set.
const FIRST_SCHEMA_SECONDS: f64 = 5.0;
const DAY_SECONDS: f64 = 86_400.0;

/// One deployment at work.
#[derive(Debug)]
pub(crate) struct Deployment {
    config: DeploymentConfig,
    limiter: Limiter,
    fault_plan: FaultPlan,
    stats: DeploymentStats,
    schemas: HashSet<String>,
    rng: Rng,
}

/// What becomes of a call.
#[derive(Debug)]
pub(crate) enum Admission {
    /// A fault is triggered before the limiter looks.
    Fault { kind: FaultKind, retry_after: Option<f64>, delay: Duration },
    /// The limiter says no.
    Rejected { rejection: Rejection, retry_after: RetryAfter, delay: Duration },
    /// It is answered, perhaps badly.
    Accepted(Accepted),
}

/// What a rejection says about when to come back.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum RetryAfter {
    /// The truth.
    True,
    /// Nothing.
    Missing,
    /// This many seconds, whatever the truth.
    Seconds(f64),
}

/// A call that is or may be billed.
#[derive(Debug)]
pub(crate) struct Accepted {
    pub(crate) standing: Standing,
    pub(crate) fault: Option<Fault>,
    pub(crate) number: u64,
    cost: Cost,
    first_token: Duration,
    seconds_per_token: f64,
}

impl Accepted {
    /// How long an answer of so many tokens takes.
    pub(crate) fn delay(&self, tokens: u64) -> Duration {
        self.first_token + Duration::from_secs_f64(self.seconds_per_token * tokens as f64)
    }
}

impl Deployment {
    pub(crate) fn new(config: DeploymentConfig, seed: u64) -> Self {
        Self {
            limiter: Limiter::new(&config),
            fault_plan: FaultPlan::new(&config.faults),
            stats: DeploymentStats::default(),
            schemas: HashSet::new(),
            rng: Rng::new(seed, &config.name),
            config,
        }
    }

    pub(crate) fn config(&self) -> &DeploymentConfig {
        &self.config
    }

    pub(crate) fn stats(&self) -> &DeploymentStats {
        &self.stats
    }

    pub(crate) fn bounds(&self) -> Bounds {
        Bounds {
            context_tokens_max: self.config.context_tokens_max,
            output_tokens_max: self.config.output_tokens_max,
            modes: self.config.modes.clone(),
            vision: self.config.vision,
        }
    }

    /// Decides what becomes of a call and counts it.
    pub(crate) fn admit(&mut self, now: Duration, request: &Request) -> Admission {
        let charged = request.tokens_charged();
        let charge = self.config.charge();
        let cost = Cost::new(charge, self.config.output_weight, charged, request.max_out);
        let text = request.text();
        let is_repair = request.is_repair();
        let mode = request.format.mode();
        let call = Call { at: now, text: &text, tokens: cost.tokens, mode, is_repair };
        let triggered = self
            .fault_plan
            .trigger(Stage::BeforeLimiter, &call)
            .map(|fault| (fault.kind, fault.seconds));
        if let Some((kind, retry_after)) = triggered {
            self.count_fault(kind);
            self.stats.rejected.capacity += u64::from(kind == FaultKind::NoCapacity);
            return Admission::Fault { kind, retry_after, delay: self.rejection_delay() };
        }
        match self.limiter.admit(now, cost, self.fault_plan.terms(now)) {
            Verdict::Rejected(rejection) => self.reject(rejection, &call),
            Verdict::Admitted(standing) => {
                Admission::Accepted(self.accept(standing, cost, request, &call))
            }
        }
    }

    fn reject(&mut self, rejection: Rejection, call: &Call<'_>) -> Admission {
        let rejected = &mut self.stats.rejected;
        match rejection.limit {
            Limit::Requests => rejected.requests += 1,
            Limit::Tokens => rejected.tokens += 1,
            Limit::Utilisation => rejected.ptu += 1,
        }
        let fault = self.fault_plan.trigger(Stage::Rejection, call).cloned();
        let retry_after = match &fault {
            None => RetryAfter::True,
            Some(fault) if fault.kind == FaultKind::RetryAfterMissing => RetryAfter::Missing,
            Some(fault) => RetryAfter::Seconds(fault.seconds.unwrap_or(DAY_SECONDS)),
        };
        if let Some(fault) = fault {
            self.count_fault(fault.kind);
        }
        Admission::Rejected { rejection, retry_after, delay: self.rejection_delay() }
    }

    fn accept(
        &mut self,
        standing: Standing,
        cost: Cost,
        request: &Request,
        call: &Call<'_>,
    ) -> Accepted {
        let fault = self.fault_plan.trigger(Stage::Answer, call).cloned();
        let mut first_token = self.draw_ms(self.config.latency.ttft_ms);
        if let Format::Schema(schema) | Format::ObjectSchema(schema) | Format::Tool { schema, .. } =
            &request.format
            && self.schemas.insert(schema.to_string())
            && let Some(slow) = self.fault_plan.trigger(Stage::Delay, call).cloned()
        {
            first_token += Duration::from_secs_f64(slow.seconds.unwrap_or(FIRST_SCHEMA_SECONDS));
            self.count_fault(slow.kind);
        }
        if let Some(fault) = &fault {
            self.count_fault(fault.kind);
        }
        let stats = &mut self.stats;
        stats.accepted += 1;
        stats.tokens_charged += cost.tokens;
        stats.tokens_input += request.prompt_tokens();
        stats.in_flight += 1;
        stats.in_flight_max = stats.in_flight_max.max(stats.in_flight);
        *stats.calls_by_prompt.entry(request.hash.clone()).or_default() += 1;
        let number = stats.accepted;
        let seconds_per_token = self.seconds_per_token();
        Accepted { standing, fault, number, cost, first_token, seconds_per_token }
    }

    /// Counts a finished answer, and charges what it really used where that is the custom.
    pub(crate) fn finish(&mut self, now: Duration, call: &Accepted, input: u64, output: u64) {
        self.stats.answered += 1;
        self.stats.tokens_output += output;
        if !self.config.settles() {
            return;
        }
        let actual = Cost {
            tokens: input + output,
            weighted: input as f64 + self.config.output_weight * output as f64,
        };
        self.limiter.settle(now, call.cost, actual, self.fault_plan.terms(now));
        let charged = self.stats.tokens_charged + actual.tokens;
        self.stats.tokens_charged = charged.saturating_sub(call.cost.tokens);
    }

    /// Ends a call, answered or not.
    pub(crate) fn leave(&mut self) {
        self.stats.in_flight = self.stats.in_flight.saturating_sub(1);
    }

    fn count_fault(&mut self, kind: FaultKind) {
        *self.stats.faults.entry(kind.name().to_owned()).or_default() += 1;
    }

    fn rejection_delay(&mut self) -> Duration {
        self.draw_ms(self.config.latency.rejection_ms)
    }

    fn draw_ms(&mut self, range: [f64; 2]) -> Duration {
        Duration::from_secs_f64(self.rng.in_range(range) / 1_000.0)
    }

    fn seconds_per_token(&mut self) -> f64 {
        let Latency { tokens_per_second, .. } = self.config.latency;
        let rate = self.rng.in_range(tokens_per_second);
        if rate > 0.0 { 1.0 / rate } else { 0.0 }
    }
}

/// Numbers that look random and are the same for the same seed and name.
#[derive(Debug)]
struct Rng {
    state: u64,
}

impl Rng {
    fn new(seed: u64, name: &str) -> Self {
        let digest = Sha256::digest(name.as_bytes());
        let of_name = digest.iter().take(8).fold(0u64, |sum, byte| (sum << 8) | u64::from(*byte));
        Self { state: seed ^ of_name }
    }

    fn in_range(&mut self, [low, high]: [f64; 2]) -> f64 {
        // SplitMix64: small, and good enough for latencies.
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^= z >> 31;
        let unit = (z >> 11) as f64 / (1u64 << 53) as f64;
        low + (high - low) * unit
    }
}
