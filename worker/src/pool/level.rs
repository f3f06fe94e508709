//! A level that refills at a steady rate up to its capacity: the newer limiter's buckets, and
//! provisioned throughput, whose utilisation drains in the same way.
//!
//! It must know nothing of the clock: every question carries its time.

use std::time::Duration;
use tokio::time::Instant;

/// What is left of a refilling quota. May be below zero: charges after the fact are not refused.
#[derive(Clone, Debug)]
pub(super) struct Level {
    left: f64,
    at: Instant,
    per_second: f64,
    capacity: f64,
}

impl Level {
    /// A full level.
    pub(super) fn new(now: Instant, per_second: f64, capacity: f64) -> Self {
        Self { left: capacity, at: now, per_second, capacity }
    }

    /// What is left at this time.
    pub(super) fn left(&self, now: Instant) -> f64 {
        let seconds = now.saturating_duration_since(self.at).as_secs_f64();
        (self.left + seconds * self.per_second).min(self.capacity)
    }

    /// What is used at this time.
    pub(super) fn used(&self, now: Instant) -> f64 {
        self.capacity - self.left(now)
    }

    /// The first time from `now` on at which at least this much is left, or the level is full.
    pub(super) fn earliest(&self, now: Instant, amount: f64) -> Instant {
        let missing = amount.min(self.capacity) - self.left(now);
        if missing <= 0.0 {
            return now;
        }
        // A day is more than any quota needs; the microsecond makes up for rounding.
        let seconds = (missing / self.per_second).min(86_400.0);
        now + Duration::from_secs_f64(seconds) + Duration::from_micros(1)
    }

    /// Takes this much, or gives it back when negative.
    pub(super) fn take(&mut self, now: Instant, amount: f64) {
        self.left = (self.left(now) - amount).min(self.capacity);
        self.at = self.at.max(now);
    }

    /// Changes rate and capacity; what was used stays used.
    pub(super) fn resize(&mut self, now: Instant, per_second: f64, capacity: f64) {
        let used = self.used(now);
        *self = Self { left: capacity - used, at: self.at.max(now), per_second, capacity };
    }
}
