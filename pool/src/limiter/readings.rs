//! Responses, read in two ways: some limiters say what was left when a call was let in, others what is
//! left when its answer is complete. Read in the wrong way a counter seems to start anew some seconds
//! too early, so both are tried, and the one whose predictions hold is believed.

use super::observation::{LimitSample, Observation, Observations};
use super::sliding_log::SlidingLog;
use serde::{Deserialize, Serialize};

/// The second way is believed after so many observations, if its mean error is less than this part of
/// the first's (assumed; what comes of it is simulated: docs/pool.md).
const OBSERVATIONS_MIN: f64 = 6.0;
const CLEARLY_BETTER: f64 = 0.7;

/// What responses have told, by when it was true.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Readings {
    at_admission: Observations,
    at_answer: Observations,
}

/// When a call was sent, and when its answer had come.
#[derive(Clone, Copy, Debug)]
pub(super) struct CallTimes {
    pub(super) sent: f64,
    pub(super) answered: f64,
}

impl Readings {
    /// Nothing yet: the deployment is taken to be idle.
    pub(super) fn new(now: f64, limit: f64) -> Self {
        let observations = Observations::new(now, limit);
        Self { at_admission: observations.clone(), at_answer: observations }
    }

    /// The reading that holds.
    pub(super) fn best(&self) -> &Observations {
        let (first, second) = (&self.at_admission, &self.at_answer);
        let is_second = second.weight() >= OBSERVATIONS_MIN
            && second.mean_error() < CLEARLY_BETTER * first.mean_error();
        if is_second { second } else { first }
    }

    /// A response says that so much is left.
    pub(super) fn observe(
        &mut self,
        times: CallTimes,
        left: f64,
        cost: f64,
        log: &SlidingLog,
        limit: f64,
    ) {
        let sample = |at, own| LimitSample { now: Observation { at, left }, cost, own, log, limit };
        self.at_admission.observe(&sample(times.sent, cost));
        self.at_answer.observe(&sample(times.answered, 0.0));
    }

    /// A call was rejected that was sent at this time, and told to wait.
    pub(super) fn rejected(
        &mut self,
        sent: f64,
        cost: f64,
        log: &SlidingLog,
        limit: f64,
        wait_ms: f64,
    ) {
        let now = Observation { at: sent, left: 0.0 };
        let sample = LimitSample { now, cost, own: 0.0, log, limit };
        self.both(|observations| observations.rejected(&sample, wait_ms));
    }

    /// The same for both.
    pub(super) fn both(&mut self, change: impl Fn(&mut Observations)) {
        change(&mut self.at_admission);
        change(&mut self.at_answer);
    }

    /// Is as careful as the other.
    pub(super) fn lower_to(&mut self, other: &Self, limit: f64) {
        self.at_admission.lower_to(&other.at_admission, limit);
        self.at_answer.lower_to(&other.at_answer, limit);
    }
}
