//! Which deployment takes a call.
//!
//! All candidates may send: a strategy is a preference, no reason to wait. It must know nothing but
//! what each candidate says of itself.

use serde::{Deserialize, Serialize};
use std::cmp::Ordering;

/// Latencies below this count as equal where the strategy is not latency alone: differences there are
/// noise, and following them would send everything to one deployment.
const LATENCY_SECONDS_MIN: f64 = 1.0;

/// From this health on a deployment counts as healthy.
const HEALTH_WELL: f64 = 0.75;

/// The least health and weight that are used: prevents a division by zero.
const LEAST: f64 = 0.001;

/// What is preferred among the deployments that may send now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Strategy {
    /// The lowest tier and provisioned throughput first, then the cheaper one, then the one that
    /// answers soonest for its load and health.
    #[default]
    Balanced,
    /// The one with the fewest calls under way.
    LeastBusy,
    /// The one at which this call costs least; one without a price comes last.
    Cheapest,
    /// The one that answered fastest lately; one that has not answered yet is tried first.
    LowestLatency,
    /// Each in turn.
    RoundRobin,
    /// Each in proportion to its weight.
    Weighted,
}

impl Strategy {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Balanced,
        Self::LeastBusy,
        Self::Cheapest,
        Self::LowestLatency,
        Self::RoundRobin,
        Self::Weighted,
    ];

    /// The name used in configurations.
    pub fn name(self) -> &'static str {
        match self {
            Self::Balanced => "balanced",
            Self::LeastBusy => "least-busy",
            Self::Cheapest => "cheapest",
            Self::LowestLatency => "lowest-latency",
            Self::RoundRobin => "round-robin",
            Self::Weighted => "weighted",
        }
    }
}

/// A deployment that may take the call.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Candidate {
    /// Which one it is.
    pub(super) index: usize,
    /// Lower tiers go first.
    pub(super) tier: u32,
    /// Whether its quota is paid for whether it is used or not.
    pub(super) provisioned: bool,
    /// How much of it is in use: 0 is idle.
    pub(super) load: f64,
    /// Its calls under way.
    pub(super) in_flight: u32,
    /// What this call costs there, where that is known.
    pub(super) price: Option<f64>,
    /// How long it took lately, failures included, in seconds; none before the first call.
    pub(super) latency: Option<f64>,
    /// From 0, which is broken, to 1.
    pub(super) health: f64,
    /// How much it should get beside the others.
    pub(super) weight: f64,
    /// How far its turn is: see [`turn`].
    pub(super) turn: f64,
}

impl Candidate {
    /// An idle one of which nothing is known.
    pub(super) fn new(index: usize, tier: u32) -> Self {
        Self {
            index,
            tier,
            provisioned: false,
            load: 0.0,
            in_flight: 0,
            price: None,
            latency: None,
            health: 1.0,
            weight: 1.0,
            turn: 0.0,
        }
    }

    /// The expected time of an answer: it grows with load and falls with health. A deployment that has
    /// not answered yet counts as fast, so that it is tried.
    fn expected_seconds(&self) -> f64 {
        let latency = self.latency.unwrap_or_default().max(LATENCY_SECONDS_MIN);
        latency * (1.0 + self.load) / self.health.max(LEAST)
    }

    /// What the call costs; provisioned throughput is paid for already.
    fn price(&self) -> f64 {
        let price = if self.provisioned { Some(0.0) } else { self.price };
        price.unwrap_or(f64::INFINITY)
    }
}

/// The one that the strategy prefers; none where there is no candidate.
pub(super) fn pick(strategy: Strategy, candidates: &[Candidate]) -> Option<usize> {
    // Prices are compared only where all candidates have one.
    let priced = candidates.iter().all(|candidate| candidate.price().is_finite());
    let order =
        |a: &&Candidate, b: &&Candidate| prefer(strategy, priced, a, b).then(a.index.cmp(&b.index));
    candidates.iter().min_by(order).map(|best| best.index)
}

/// Which of two goes first. What decides equals is the same for all strategies.
fn prefer(strategy: Strategy, priced: bool, a: &Candidate, b: &Candidate) -> Ordering {
    let soonest = || a.expected_seconds().total_cmp(&b.expected_seconds());
    let tier = || a.tier.cmp(&b.tier).then(b.provisioned.cmp(&a.provisioned));
    // A deployment whose last call failed comes last: a question must not meet the same fault twice.
    // Its next answer clears it.
    let suspect = (a.health < HEALTH_WELL).cmp(&(b.health < HEALTH_WELL));
    suspect.then_with(|| match strategy {
        Strategy::Balanced => {
            let price = if priced { a.price().total_cmp(&b.price()) } else { Ordering::Equal };
            tier().then(price).then_with(soonest)
        }
        Strategy::LeastBusy => a.in_flight.cmp(&b.in_flight).then_with(tier).then_with(soonest),
        Strategy::Cheapest => a.price().total_cmp(&b.price()).then_with(tier).then_with(soonest),
        Strategy::LowestLatency => {
            let seen = |candidate: &Candidate| candidate.latency.unwrap_or_default();
            seen(a).total_cmp(&seen(b)).then_with(tier).then_with(soonest)
        }
        Strategy::RoundRobin | Strategy::Weighted => a.turn.total_cmp(&b.turn).then_with(tier),
    })
}

/// The virtual time of the chosen deployment after this call. A deployment that could not send for a
/// while does not catch up on what it missed.
pub(super) fn turn(strategy: Strategy, candidates: &[Candidate], chosen: usize) -> f64 {
    let others = candidates.iter().filter(|one| one.index != chosen);
    let others = others.map(|one| one.turn).min_by(f64::total_cmp);
    let Some(chosen) = candidates.iter().find(|one| one.index == chosen) else { return 0.0 };
    let weight = if strategy == Strategy::Weighted { chosen.weight.max(LEAST) } else { 1.0 };
    // It may lag behind the others by the one call that it gets now.
    let from = others.map_or(chosen.turn, |others| chosen.turn.max(others - 1.0 / weight));
    from + 1.0 / weight
}

#[cfg(test)]
#[path = "strategy_tests.rs"]
mod tests;
