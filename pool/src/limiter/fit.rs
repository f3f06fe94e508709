//! One model of how a limiter refills: its ratio of what the provider counts for what we count, what
//! is ours of the limit, and how far its predictions are off.

use serde::{Deserialize, Serialize};

/// How much the newest answer counts where only answers tell.
const USED_GAIN: f64 = 0.05;
/// A ratio before a response has told.
pub(super) const RATIO_START: f64 = 1.0;
/// Ratios below and above are not believed: it may be that only the question is charged, not the room
/// for the answer, and hardly anything counts twice of what we count.
const RATIO_MIN: f64 = 0.25;
const RATIO_MAX: f64 = 3.0;
/// A ratio is held against what is used of a limit where we counted at least this part of it: of less,
/// one call more or fewer says too much.
const COUNTED_MIN: f64 = 0.5;
/// The weight of the start in the fit, and the most weight that the past has: squares of parts of the
/// limit.
const FIT_START: f64 = 0.08 * 0.08;
const FIT_MAX: f64 = 0.5 * 0.5;
/// A model is out when its error is so much larger than that of the best.
pub(super) const ERROR_OUT: f64 = 25.0;
/// The most that one observation counts against a model, and what is forgotten with each.
const ERROR_MAX: f64 = 25.0;
pub(super) const ERROR_KEPT: f64 = 0.97;
/// What a rejection or response that would bring the limit down is believed at once, and how fast it
/// is believed to have risen.
const OWN_DOWN: f64 = 0.5;
const OWN_UP: f64 = 0.15;
/// A part of the limit that it may seem to fall by chance.
const OWN_CHANCE: f64 = 0.03;
/// The least of the limit that we take to be ours, whatever others use.
const OWN_MIN: f64 = 0.1;

/// How the tokens of a limiter come back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Refill {
    /// Each entry 60 s after it was admitted.
    Sliding,
    /// All at once, every 60 s.
    Fixed,
    /// The same in every moment, up to a minute's quota.
    Continuous,
}

impl Refill {
    pub(super) const ALL: [Self; 3] = [Self::Sliding, Self::Fixed, Self::Continuous];
}

/// One model, and how well it does.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Fit {
    /// The squared errors of late, in standard deviations.
    error: f64,
    /// Whether it was much worse than another, and has not been the best since. Where tokens are sent
    /// evenly the ways hardly differ, and the errors that told them apart are forgotten.
    #[serde(default)]
    is_out: bool,
    /// Least squares of what was used over what we counted, in parts of the limit.
    xx: f64,
    xy: f64,
    /// The provider's tokens of the limit that are ours, as responses tell; all before the first.
    own: Option<f64>,
}

impl Default for Fit {
    fn default() -> Self {
        Self { error: 0.0, is_out: false, xx: FIT_START, xy: RATIO_START * FIT_START, own: None }
    }
}

impl Fit {
    /// What the provider counts for what we count.
    pub(super) fn ratio(&self) -> f64 {
        (self.xy / self.xx).clamp(RATIO_MIN, RATIO_MAX)
    }

    /// The part of this limit that is ours: less where others use it, or where it has fallen
    /// without a word.
    pub(super) fn own(&self, limit: f64) -> f64 {
        self.own.map_or(limit, |own| own.clamp(OWN_MIN * limit, limit))
    }

    /// The squared errors of late, in standard deviations.
    pub(super) fn error(&self) -> f64 {
        self.error
    }

    /// Whether it is still one of those that may be right.
    pub(super) fn is_likely(&self) -> bool {
        !self.is_out
    }

    /// Holds it against the error of the best: it is out when it is so much worse (a likelihood ratio
    /// of e^-12), until it is the best itself.
    pub(super) fn compare(&mut self, best: f64) {
        self.is_out = self.error > if self.is_out { best } else { best + ERROR_OUT };
    }

    /// It is at least this wrong.
    pub(super) fn raise_error(&mut self, least: f64) {
        self.error = self.error.max(least);
    }

    /// A call for which we counted one was counted as this part of it: the ratio follows slowly.
    pub(super) fn follow(&mut self, part: f64) {
        self.xy += USED_GAIN * (part.clamp(RATIO_MIN, RATIO_MAX) * self.xx - self.xy);
    }

    /// It predicted that so much would be left more than is, where it may be off by so much.
    pub(super) fn judge(&mut self, off: f64, may_be_off: f64) {
        let error = (off / may_be_off).powi(2).min(ERROR_MAX);
        self.error = self.error * ERROR_KEPT + error;
    }

    /// So much was used while we counted this, in parts of the limit.
    pub(super) fn learn(&mut self, counted: f64, used: f64) {
        self.xx += counted * counted;
        self.xy += counted * used;
        if self.xx > FIT_MAX {
            self.xy *= FIT_MAX / self.xx;
            self.xx = FIT_MAX;
        }
    }

    /// At most so much of the limit is used by what we counted as this: others can only have added
    /// to it. Differences tell little where as much comes back as is sent, and calls change.
    pub(super) fn limit_ratio(&mut self, counted: f64, used: f64, limit: f64) {
        if counted >= COUNTED_MIN * limit && used < limit && used < self.ratio() * counted {
            self.follow(used / counted);
        }
    }

    pub(super) fn observe_own(&mut self, seen: f64, cost: f64, limit: f64) {
        let own = self.own(limit);
        // Whether the oldest call has left may be off by that call.
        let gain = if seen < own - f64::max(cost, OWN_CHANCE * limit) { OWN_DOWN } else { OWN_UP };
        self.own = Some(own + gain * (seen - own));
    }

    pub(super) fn lower_own(&mut self, most: f64, limit: f64) {
        self.own = Some(self.own(limit).min(most.max(OWN_MIN * limit)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_that_is_out_comes_back_only_as_the_best() {
        let (mut fit, mut other) = (Fit::default(), Fit::default());
        fit.raise_error(ERROR_OUT + 1.0);
        fit.compare(other.error());
        assert!(!fit.is_likely());
        // What told them apart is forgotten.
        for _ in 0..100 {
            fit.judge(0.1, 1.0);
            other.judge(0.0, 1.0);
            fit.compare(other.error());
        }
        assert!(fit.error() < 2.0 && !fit.is_likely());
        other.raise_error(ERROR_OUT);
        fit.compare(fit.error());
        assert!(fit.is_likely());
    }
}
