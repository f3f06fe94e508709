//! A worker's part of a deployment's quota, in whole millionths so that parts add up exactly.
//!
//! It must know nothing of who hands parts out, nor of the clock.

use super::headers::Limits;
use std::time::Duration;
use tokio::time::Instant;

const MILLION: u32 = 1_000_000;

/// A part of a quota, from none to the whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Share(u32);

impl Share {
    /// Nothing.
    pub const NONE: Self = Self(0);
    /// All of it.
    pub const WHOLE: Self = Self(MILLION);

    /// So many millionths, at most the whole.
    pub fn from_millionths(millionths: u32) -> Self {
        Self(millionths.min(MILLION))
    }

    /// Itself in millionths.
    pub fn millionths(self) -> u32 {
        self.0
    }

    /// The largest share that is not above this fraction.
    pub fn of(fraction: f64) -> Self {
        // Casting saturates: nonsense is nothing.
        Self::from_millionths((fraction * f64::from(MILLION) + 1e-6) as u32)
    }

    /// The smallest share of `whole` that holds `amount`, or the whole where none does.
    pub(super) fn needed(amount: f64, whole: f64) -> Self {
        let millionths = (amount / whole * f64::from(MILLION) - 1e-6).ceil();
        Self::from_millionths(millionths.max(0.0) as u32)
    }

    /// Itself as a fraction.
    pub fn fraction(self) -> f64 {
        f64::from(self.0) / f64::from(MILLION)
    }

    /// The units of an indivisible quantity that it gives.
    pub(super) fn units(self, whole: u64) -> u64 {
        let units = u128::from(whole) * u128::from(self.0) / u128::from(MILLION);
        u64::try_from(units).unwrap_or(u64::MAX)
    }
}

/// What a worker may use of a deployment, agreed with all others who use it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    /// What nobody else may use.
    pub share: Share,
    /// What it should come down to where that is less: calls are started only within it, and the
    /// difference is given back as what was used of it stops counting.
    pub target: Share,
    /// What it may hope for in the long run: only forecasts rest on it.
    pub prospect: Share,
    /// Nothing is started after this time.
    pub until: Instant,
}

/// What the workers tell each other of a deployment, so that it is learned once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct News {
    /// For how long the deployment wants no calls.
    pub blocked: Duration,
    /// The tokens a minute that its responses name; 0 when they name none.
    pub tokens: u64,
    /// The requests a minute that its responses name; 0 when they name none.
    pub requests: u64,
}

impl News {
    pub(super) fn limits(&self) -> Limits {
        let named = |limit: u64| Some(limit).filter(|&limit| limit > 0);
        Limits { tokens: named(self.tokens), requests: named(self.requests) }
    }
}

/// What a worker has and wants of a deployment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Demand {
    /// What it claims: never less than what it has used and still counts.
    pub share: Share,
    /// What it has used and still counts.
    pub held: Share,
    /// What it could use now: that, and the calls that wait.
    pub want: Share,
    /// The least with which the first of the waiting calls can ever start; none when none waits.
    pub unit: Share,
    /// One request: shares that are multiples of it waste nothing.
    pub grain: Share,
    /// What it has learned and not yet told.
    pub news: News,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_needed_is_given() {
        for whole in 1..500_u64 {
            for amount in 0..=whole {
                let share = Share::needed(amount as f64, whole as f64);
                assert!(share.units(whole) >= amount, "{amount} of {whole}: {share:?}");
            }
        }
        assert_eq!(Share::needed(10.0, 40.0), Share::from_millionths(250_000));
        assert_eq!(Share::needed(80.0, 40.0), Share::WHOLE);
        assert_eq!(Share::of(0.25).units(40), 10);
        assert_eq!(Share::of(f64::NAN), Share::NONE);
        assert_eq!(Share::of(-1.0), Share::NONE);
    }

    proptest! {
        #[test]
        fn shares_that_sum_to_one_never_give_more_than_the_whole(
            cuts in prop::collection::vec(0..=MILLION, 0..20),
            whole in 0..10_000_000_u64,
        ) {
            let mut cuts = cuts;
            cuts.extend([0, MILLION]);
            cuts.sort_unstable();
            let given = cuts.windows(2).map(|pair| Share(pair[1] - pair[0]).units(whole));
            prop_assert!(given.sum::<u64>() <= whole);
        }
    }
}
