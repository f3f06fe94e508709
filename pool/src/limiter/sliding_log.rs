//! What was used of late, in steps of a tenth of a second: enough to know what a sliding window
//! still holds, and small enough to be shared.
//!
//! It must know nothing of the clock: every question carries its time, in milliseconds.

use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// The length of a step.
const STEP_MS: f64 = 100.0;
/// Entries count this much longer than at the provider: two calls may come closer than they left.
const MARGIN_MS: f64 = 100.0;

/// The log of one window, oldest first. An entry stands for all that was used in one step.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct SlidingLog {
    entries: VecDeque<(i64, f64)>,
    sum: f64,
}

impl SlidingLog {
    /// All that it holds.
    pub(super) fn sum(&self) -> f64 {
        self.sum
    }

    /// Writes down what is used at this time.
    pub(super) fn add(&mut self, at: f64, amount: f64) {
        let step = step_of(at);
        self.sum += amount;
        let index = self.entries.partition_point(|(other, _)| *other < step);
        match self.entries.get_mut(index) {
            Some((other, held)) if *other == step => *held += amount,
            _ => self.entries.insert(index, (step, amount)),
        }
    }

    /// Takes back what was written down for this time, as far as it is still there. The clocks of
    /// workers differ by a hair, so it may stand in the step before or after.
    pub(super) fn take(&mut self, at: f64, amount: f64) -> f64 {
        let step = step_of(at);
        let mut taken = 0.0;
        for near in [step, step - 1, step + 1] {
            let index = self.entries.partition_point(|(other, _)| *other < near);
            if let Some((other, held)) = self.entries.get_mut(index)
                && *other == near
            {
                let part = (amount - taken).min(*held);
                *held -= part;
                taken += part;
            }
        }
        self.sum -= taken;
        taken
    }

    /// Forgets what has left a window of this length.
    pub(super) fn expire(&mut self, now: f64, span_ms: f64) {
        while let Some(&(step, amount)) = self.entries.front()
            && gone_at(step, span_ms) <= now
        {
            self.entries.pop_front();
            self.sum -= amount;
        }
        if self.entries.is_empty() {
            self.sum = 0.0;
        }
    }

    /// When so much has left a window of this length; when all has, where it holds less.
    pub(super) fn frees(&self, amount: f64, span_ms: f64) -> f64 {
        let mut freed = 0.0;
        let mut at = 0.0;
        for &(step, held) in self.entries.iter().filter(|(_, held)| *held > 0.0) {
            freed += held;
            at = gone_at(step, span_ms);
            // The hair makes up for rounding.
            if freed >= amount - 1e-6 {
                break;
            }
        }
        at
    }

    /// What a provider's window of this length probably holds at this time.
    pub(super) fn within(&self, at: f64, span_ms: f64) -> f64 {
        let middle = |step: i64| (step as f64 - 0.5) * STEP_MS;
        let old = self.entries.iter().take_while(|(step, _)| middle(*step) <= at - span_ms);
        let ahead = self.entries.iter().rev().take_while(|(step, _)| middle(*step) > at + STEP_MS);
        self.sum - old.chain(ahead).map(|(_, held)| held).sum::<f64>()
    }

    /// What it holds of this step and those beside it.
    pub(super) fn near(&self, at: f64) -> f64 {
        let step = step_of(at);
        let from = self.entries.partition_point(|(other, _)| *other < step - 1);
        let near = self.entries.iter().skip(from).take_while(|(other, _)| *other <= step + 1);
        near.map(|(_, held)| held).sum()
    }

    /// Moves all times.
    pub(super) fn shift(&mut self, by_ms: f64) {
        let steps = (by_ms / STEP_MS).ceil() as i64;
        for (step, _) in &mut self.entries {
            *step = step.saturating_add(steps);
        }
    }

    /// Counts all that it holds for this part of it.
    pub(super) fn scale(&mut self, part: f64) {
        self.entries.iter_mut().for_each(|(_, held)| *held *= part);
        self.sum *= part;
    }
}

/// The end of the step in which a time lies, in steps.
fn step_of(at: f64) -> i64 {
    // Casting saturates: nonsense is the end of time.
    (at / STEP_MS).floor() as i64 + 1
}

fn gone_at(step: i64, span_ms: f64) -> f64 {
    step as f64 * STEP_MS + span_ms + MARGIN_MS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_leave_a_hair_after_the_provider_forgets_them() {
        let mut ring = SlidingLog::default();
        ring.add(1_000.0, 10.0);
        ring.add(1_050.0, 5.0);
        ring.add(2_000.0, 7.0);
        assert_eq!((ring.sum(), ring.entries.len()), (22.0, 2));
        assert_eq!(ring.frees(15.0, 60_000.0), 61_200.0);
        assert_eq!(ring.frees(16.0, 60_000.0), 62_200.0);
        assert_eq!(ring.frees(99.0, 60_000.0), 62_200.0);
        ring.expire(61_199.0, 60_000.0);
        assert_eq!(ring.sum(), 22.0);
        ring.expire(61_200.0, 60_000.0);
        assert_eq!(ring.sum(), 7.0);
        ring.expire(70_000.0, 60_000.0);
        assert_eq!(ring, SlidingLog::default());
    }

    #[test]
    fn what_is_taken_back_was_there() {
        let mut ring = SlidingLog::default();
        ring.add(500.0, 10.0);
        assert_eq!(ring.take(510.0, 4.0), 4.0);
        assert_eq!(ring.take(510.0, 40.0), 6.0);
        assert_eq!(ring.frees(1.0, 60_000.0), 0.0, "nothing is waited for");
        assert_eq!(ring.take(900.0, 1.0), 0.0);
        ring.add(100.0, 3.0);
        assert_eq!((ring.sum(), ring.within(90_000.0, 60_000.0)), (3.0, 0.0));
        ring.shift(1_000.0);
        assert_eq!(ring.frees(1.0, 0.0), 1_300.0);
    }
}
