//! The leaky bucket by which provisioned throughput is limited: it rises with each call, drains all
//! the time, and never goes below nothing.
//!
//! It must know nothing of the clock or of what the calls are: every question carries its time, in
//! milliseconds, and the tokens that drain in one.

use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// The clocks of workers differ by less.
const SAME_MS: f64 = 20.0;

/// What is in it, and what will be poured in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct LeakyBucket {
    level: f64,
    at: f64,
    /// When how much is to come, the soonest first. It is not there yet: were it counted now, more
    /// would seem to drain than does.
    ahead: VecDeque<(f64, f64)>,
}

impl LeakyBucket {
    /// Empty at this time.
    pub(super) fn new(at: f64) -> Self {
        Self { level: 0.0, at, ahead: VecDeque::new() }
    }

    /// What is in it at this time.
    pub(super) fn level(&self, at: f64, drains: f64) -> f64 {
        let mut then = (self.level, self.at);
        for &(next, amount) in self.ahead.iter().take_while(|(next, _)| *next <= at) {
            then = (drained(then, next, drains) + amount, next);
        }
        drained(then, at, drains)
    }

    /// From this time on, when there is no more in it than this, and all that is ahead has come; at
    /// once where even all together is no more.
    pub(super) fn falls_to(&self, most: f64, now: f64, drains: f64) -> f64 {
        let all = self.level(now, drains) + self.coming(now);
        if all <= most {
            return now;
        }
        let last = self.ahead.back().map_or(now, |(last, _)| now.max(*last));
        last + (self.level(last, drains) - most).max(0.0) / drains
    }

    /// Pours in so much at this time.
    pub(super) fn add(&mut self, at: f64, amount: f64) {
        if at <= self.at {
            self.level += amount;
            return;
        }
        let index = self.ahead.partition_point(|(other, _)| *other <= at);
        self.ahead.insert(index, (at, amount));
    }

    /// Takes out what did not come, or less than was thought, of what was poured in at `at`.
    pub(super) fn take(&mut self, at: f64, amount: f64) {
        let mut left = amount;
        for (_, held) in self.ahead.iter_mut().filter(|(other, _)| (other - at).abs() < SAME_MS) {
            let part = left.min(*held);
            (*held, left) = (*held - part, left - part);
        }
        self.level = (self.level - left).max(0.0);
    }

    /// Up to when it has gone on.
    pub(super) fn passed(&self) -> f64 {
        self.at
    }

    /// Goes on to this time.
    pub(super) fn pass(&mut self, now: f64, drains: f64) {
        if now > self.at {
            self.level = self.level(now, drains);
            self.at = now;
            self.ahead.retain(|(at, _)| *at > now);
        }
    }

    /// Counts all that it holds for this part of it.
    pub(super) fn scale(&mut self, part: f64) {
        self.level *= part;
        self.ahead.iter_mut().for_each(|(_, amount)| *amount *= part);
    }

    /// Moves all times.
    pub(super) fn shift(&mut self, by_ms: f64) {
        self.at += by_ms;
        self.ahead.iter_mut().for_each(|(at, _)| *at += by_ms);
    }

    fn coming(&self, now: f64) -> f64 {
        self.ahead.iter().filter(|(at, _)| *at > now).map(|(_, amount)| amount).sum()
    }
}

fn drained((level, from): (f64, f64), to: f64, drains: f64) -> f64 {
    (level - (to - from).max(0.0) * drains).max(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_to_come_does_not_drain_before() {
        let mut bucket = LeakyBucket::new(0.0);
        bucket.add(0.0, 100.0);
        bucket.add(500.0, 100.0);
        assert_eq!([0.0, 60.0, 400.0].map(|at| bucket.level(at, 1.0)), [100.0, 40.0, 0.0]);
        assert_eq!([500.0, 540.0].map(|at| bucket.level(at, 1.0)), [100.0, 60.0]);
        bucket.pass(520.0, 1.0);
        assert_eq!((bucket.level(540.0, 1.0), bucket.ahead.len()), (60.0, 0));
    }

    #[test]
    fn it_falls_when_all_has_come() {
        let mut bucket = LeakyBucket::new(0.0);
        bucket.add(0.0, 100.0);
        assert_eq!(bucket.falls_to(100.0, 0.0, 1.0), 0.0);
        assert_eq!(bucket.falls_to(70.0, 10.0, 1.0), 30.0);
        bucket.add(500.0, 100.0);
        assert_eq!(bucket.falls_to(200.0, 0.0, 1.0), 0.0);
        assert_eq!(bucket.falls_to(70.0, 0.0, 1.0), 530.0);
        assert_eq!(bucket.falls_to(150.0, 0.0, 1.0), 500.0);
    }

    #[test]
    fn what_is_taken_out_was_there() {
        let mut bucket = LeakyBucket::new(0.0);
        bucket.add(0.0, 100.0);
        bucket.add(500.0, 100.0);
        bucket.take(500.1, 80.0);
        bucket.take(0.0, 150.0);
        assert_eq!((bucket.level(0.0, 1.0), bucket.level(500.0, 1.0)), (0.0, 20.0));
        bucket.scale(0.5);
        bucket.shift(1_000.0);
        assert_eq!((bucket.level(1_500.0, 1.0), bucket.level(1_504.0, 1.0)), (10.0, 6.0));
    }
}
