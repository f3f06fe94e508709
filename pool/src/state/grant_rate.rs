//! How many slots a state gives a second.
//!
//! It must know nothing of who gets them.

use serde::{Deserialize, Serialize};

/// The mean is taken over about so long.
const MEAN_OVER_MS: f64 = 5_000.0;

/// An exponentially weighted mean.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct GrantRate {
    /// The slots, each weighted by its age, at the time `at`.
    weighted: f64,
    at: f64,
}

impl GrantRate {
    /// So many slots were given.
    pub(super) fn add(&mut self, grants: usize, now: f64) {
        *self = Self { weighted: self.decayed(now) + grants as f64, at: now.max(self.at) };
    }

    /// Slots a second.
    pub(super) fn per_second(&self, now: f64) -> f64 {
        self.decayed(now) / (MEAN_OVER_MS / 1_000.0)
    }

    /// Moves all times.
    pub(super) fn shift(&mut self, by_ms: f64) {
        self.at += by_ms;
    }

    fn decayed(&self, now: f64) -> f64 {
        self.weighted * (-(now - self.at).max(0.0) / MEAN_OVER_MS).exp()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_follows_what_is_given() {
        let mut rate = GrantRate::default();
        for second in 0..60 {
            rate.add(7, f64::from(second) * 1_000.0);
        }
        assert!((rate.per_second(59_500.0) - 7.0).abs() < 0.2, "{}", rate.per_second(59_500.0));
        let before = rate.per_second(60_000.0);
        rate.shift(1e9);
        assert!((rate.per_second(1e9 + 60_000.0) - before).abs() < 1e-6);
        assert!(rate.per_second(1e9 + 120_000.0) < 0.001);
    }
}
