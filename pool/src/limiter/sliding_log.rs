//! What was sent of late, in steps: enough to know what a window of the provider still holds, and
//! small enough to be shared. Times are milliseconds of any clock; amounts are whole.

use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// Entries count this much longer than at the provider: two calls may come closer than they left.
const MARGIN_MS: f64 = 100.0;

/// A log, oldest first. An entry stands for all that was sent in one step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(into = "Compact", from = "Compact")]
pub(super) struct SlidingLog {
    step_ms: f64,
    entries: VecDeque<(i64, f64)>,
}

/// As it is written: for each entry the steps since the one before, and the amount.
#[derive(Serialize, Deserialize)]
struct Compact {
    step_ms: u32,
    first: i64,
    entries: Vec<u32>,
}

impl From<SlidingLog> for Compact {
    fn from(log: SlidingLog) -> Self {
        let first = log.entries.front().map_or(0, |(step, _)| *step);
        let mut last = first;
        let mut entries = Vec::with_capacity(2 * log.entries.len());
        for (step, amount) in log.entries {
            entries.push(u32::try_from(step - last).unwrap_or(u32::MAX));
            // Casting saturates.
            entries.push(amount as u32);
            last = step;
        }
        Self { step_ms: log.step_ms as u32, first, entries }
    }
}

impl From<Compact> for SlidingLog {
    fn from(compact: Compact) -> Self {
        let mut step = compact.first;
        let entry = |pair: &[u32; 2]| {
            step = step.saturating_add(i64::from(pair[0]));
            (step, f64::from(pair[1]))
        };
        let (pairs, _) = compact.entries.as_chunks::<2>();
        let entries = pairs.iter().map(entry).collect();
        Self { step_ms: f64::from(compact.step_ms.max(1)), entries }
    }
}

impl SlidingLog {
    /// An empty log with steps of this length.
    pub(super) fn new(step_ms: f64) -> Self {
        Self { step_ms, entries: VecDeque::new() }
    }

    /// Writes down what is sent at this time.
    pub(super) fn add(&mut self, at: f64, amount: f64) {
        let (step, amount) = (self.step_of(at), amount.max(0.0).round());
        let index = self.entries.partition_point(|(other, _)| *other < step);
        match self.entries.get_mut(index) {
            Some((other, held)) if *other == step => *held += amount,
            _ => self.entries.insert(index, (step, amount)),
        }
    }

    /// Takes back what was written down for this time, as far as it is still there; says how much.
    /// The clocks of members differ a little, so it may stand in the step before or after.
    pub(super) fn take(&mut self, at: f64, amount: f64) -> f64 {
        let (step, amount) = (self.step_of(at), amount.max(0.0).round());
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
        taken
    }

    /// Forgets what was sent before this time.
    pub(super) fn forget(&mut self, before: f64) {
        while let Some(&(step, _)) = self.entries.front()
            && step as f64 * self.step_ms < before
        {
            self.entries.pop_front();
        }
    }

    /// What a window of this length may still hold at this time or later, what is to come included.
    pub(super) fn held(&self, now: f64, span_ms: f64) -> f64 {
        let newest = self.entries.iter().rev();
        newest
            .take_while(|(step, _)| self.gone_at(*step, span_ms) > now)
            .map(|(_, held)| held)
            .sum()
    }

    /// From when on a window of this length holds no more than this; never before `now`.
    pub(super) fn falls_to(&self, most: f64, now: f64, span_ms: f64) -> f64 {
        let mut over = self.held(now, span_ms) - most;
        let mut at = now;
        // What is left over by rounding is nothing.
        for &(step, held) in &self.entries {
            if over <= 1e-6 {
                break;
            }
            let gone = self.gone_at(step, span_ms);
            if gone > now && held > 0.0 {
                over -= held;
                at = gone;
            }
        }
        at
    }

    /// When the first of what was sent from this time on was sent.
    pub(super) fn first_from(&self, from: f64) -> Option<f64> {
        let sent = self.entries.iter().filter(|(_, held)| *held > 0.0);
        sent.map(|(step, _)| *step as f64 * self.step_ms).find(|at| *at >= from)
    }

    /// What was sent in the steps after that of `from`, up to that of `to`.
    pub(super) fn between(&self, from: f64, to: f64) -> f64 {
        self.steps(self.step_of(from), self.step_of(to))
    }

    fn steps(&self, after: i64, until: i64) -> f64 {
        let skipped = self.entries.partition_point(|(step, _)| *step <= after);
        let sent = self.entries.iter().skip(skipped);
        sent.take_while(|(step, _)| *step <= until).map(|(_, held)| held).sum()
    }

    /// What was sent in the step of this time and in those beside it.
    pub(super) fn near(&self, at: f64) -> f64 {
        let step = self.step_of(at);
        self.steps(step - 2, step + 1)
    }

    /// What was sent in the steps after that of this time: the end of the step, and how much.
    pub(super) fn after(&self, from: f64) -> impl Iterator<Item = (f64, f64)> {
        let first = self.step_of(from);
        let skipped = self.entries.partition_point(|(step, _)| *step <= first);
        let sent = self.entries.iter().skip(skipped);
        sent.map(|(step, held)| (*step as f64 * self.step_ms, *held))
    }

    /// What was sent up to this time, the newest first: the end of its step, and how much.
    pub(super) fn backwards(&self, to: f64) -> impl Iterator<Item = (f64, f64)> {
        let last = self.step_of(to);
        let until = self.entries.partition_point(|(step, _)| *step <= last);
        let sent = self.entries.iter().take(until).rev();
        sent.map(|(step, held)| (*step as f64 * self.step_ms, *held))
    }

    /// Moves all times.
    pub(super) fn shift(&mut self, by_ms: f64) {
        let steps = (by_ms / self.step_ms).ceil() as i64;
        for (step, _) in &mut self.entries {
            *step = step.saturating_add(steps);
        }
    }

    /// Counts all that it holds for this part of it.
    pub(super) fn scale(&mut self, part: f64) {
        self.entries.iter_mut().for_each(|(_, held)| *held = (*held * part).round());
    }

    /// The end of the step in which a time lies, in steps.
    fn step_of(&self, at: f64) -> i64 {
        // Casting saturates: nonsense is the end of time.
        ((at / self.step_ms).floor() as i64).saturating_add(1)
    }

    fn gone_at(&self, step: i64, span_ms: f64) -> f64 {
        step as f64 * self.step_ms + span_ms + MARGIN_MS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(sent: &[(f64, f64)]) -> SlidingLog {
        let mut log = SlidingLog::new(100.0);
        sent.iter().for_each(|(at, amount)| log.add(*at, *amount));
        log
    }

    #[test]
    fn what_was_sent_leaves_a_window_in_its_order() {
        let log = log(&[(0.0, 10.0), (50.0, 5.0), (950.0, 7.0)]);
        assert_eq!(log.held(60_000.0, 60_000.0), 22.0);
        assert_eq!(log.held(60_200.0, 60_000.0), 7.0);
        assert_eq!(log.falls_to(22.0, 0.0, 60_000.0), 0.0);
        assert_eq!(log.falls_to(21.0, 0.0, 60_000.0), 60_200.0);
        assert_eq!(log.falls_to(6.0, 0.0, 60_000.0), 61_100.0);
        assert_eq!(log.falls_to(0.0, 61_100.0, 60_000.0), 61_100.0);
    }

    #[test]
    fn what_lies_between_two_times_is_told_by_steps() {
        let log = log(&[(0.0, 10.0), (500.0, 5.0), (1_000.0, 7.0)]);
        assert_eq!(log.between(0.0, 1_000.0), 12.0);
        assert_eq!(log.between(-1_000.0, 500.0), 15.0);
        assert_eq!(log.between(99.0, 2_000.0), 12.0);
        assert_eq!(log.near(560.0), 5.0);
        let back: Vec<_> = log.backwards(599.0).collect();
        assert_eq!(back, [(600.0, 5.0), (100.0, 10.0)]);
    }

    #[test]
    fn what_is_taken_back_was_there() {
        let mut log = log(&[(0.0, 10.0), (100.0, 5.0)]);
        assert_eq!(log.take(99.0, 12.0), 12.0);
        assert_eq!(log.take(1_000.0, 12.0), 0.0);
        log.forget(150.0);
        assert_eq!(log.held(0.0, 60_000.0), 3.0);
        log.scale(0.5);
        log.shift(1_000.0);
        assert_eq!((log.held(0.0, 60_000.0), log.between(1_050.0, 1_150.0)), (2.0, 2.0));
    }

    #[test]
    fn it_is_written_in_little_space() {
        let log = log(&[(0.0, 10.0), (100.0, 5.0), (60_000.0, 7.0)]);
        let text = serde_json::to_string(&log).unwrap();
        assert_eq!(text, r#"{"step_ms":100,"first":1,"entries":[0,10,1,5,599,7]}"#);
        assert_eq!(serde_json::from_str::<SlidingLog>(&text).unwrap(), log);
    }
}
