//! Provisioned throughput: utilisation that rises with each call, by all the room for its answer,
//! drains all the time, and is corrected when answers end. How much it lets through at once is not
//! published; rejections tell.
//!
//! Source: Azure's documentation of provisioned throughput, 2025-09-03.

use super::leaky_bucket::LeakyBucket;
use super::{MINUTE_MS, Size};
use serde::{Deserialize, Serialize};

/// What is taken to be let through at once, in time at the rate (assumed: at 7, 8 and 9 s simulated
/// use was the same; less costs nothing).
pub(super) const CEILING_MS: f64 = 7_000.0;
/// A rejection lowers the ceiling to this part of what was in use; known to be safe is a little more.
const LOWERED: f64 = 0.93;
const KNOWN: f64 = 0.97;
/// So long without a rejection, and the ceiling rises by a part: faster up to what is known.
pub(super) const RAISE_MS: f64 = 15_000.0;
const RAISED_KNOWN: f64 = 1.0025;
const RAISED: f64 = 1.0003;

/// What is in use, and what it may come to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Ptu {
    used: LeakyBucket,
    ceiling_ms: f64,
    /// What it may come back to soon: just below what was rejected last.
    ceiling_known_ms: f64,
}

impl Ptu {
    /// Idle at this time.
    pub(super) fn new(now: f64) -> Self {
        let used = LeakyBucket::new(now);
        Self { used, ceiling_ms: CEILING_MS, ceiling_known_ms: CEILING_MS }
    }

    /// The first time from `now` on at which a call may be sent. The last one may pass the ceiling,
    /// unless others that cannot be asked do the same (`is_whole` is false then).
    pub(super) fn earliest(&self, full: f64, limit: f64, is_whole: bool, now: f64) -> f64 {
        let most = self.ceiling_ms * limit / MINUTE_MS;
        let most = if is_whole { most } else { (most - full).max(0.0) };
        self.used.falls_to(most, now, limit / MINUTE_MS)
    }

    /// A call is sent at this time, and charged in full.
    pub(super) fn add(&mut self, at: f64, full: f64) {
        self.used.add(at, full);
    }

    /// Adds a call of the past, unless it has drained since.
    pub(super) fn merge(&mut self, at: f64, full: f64) {
        if at >= self.used.passed() - CEILING_MS {
            self.used.add(at, full);
        }
    }

    /// Takes out what was not used of a call that was sent at this time.
    pub(super) fn take(&mut self, at: f64, unused: f64) {
        self.used.take(at, unused);
    }

    /// Time goes on.
    pub(super) fn pass(&mut self, now: f64, limit: f64) {
        self.used.pass(now, limit / MINUTE_MS);
    }

    /// A call of this size found no room: the ceiling is where utilisation stands without it.
    pub(super) fn rejected(&mut self, full: f64, limit: f64, now: f64) {
        let held = (self.used.level(now, limit / MINUTE_MS) - full) * MINUTE_MS / limit;
        let met = self.ceiling_ms.min(held.max(1_000.0));
        (self.ceiling_ms, self.ceiling_known_ms) = (met * LOWERED, met * KNOWN);
    }

    /// It went well for long.
    pub(super) fn raise(&mut self) {
        let is_known = self.ceiling_ms < self.ceiling_known_ms;
        let factor = if is_known { RAISED_KNOWN } else { RAISED };
        self.ceiling_ms = (self.ceiling_ms * factor).min(MINUTE_MS);
    }

    /// What it lets through at once, in milliseconds at its rate.
    pub(super) fn ceiling_ms(&self) -> f64 {
        self.ceiling_ms
    }

    /// Tokens that could be sent now.
    pub(super) fn available(&self, limit: f64, now: f64) -> f64 {
        let most = self.ceiling_ms * limit / MINUTE_MS;
        (most - self.used.level(now, limit / MINUTE_MS)).max(0.0)
    }

    /// Is as careful as the other.
    pub(super) fn lower_to(&mut self, other: &Self) {
        self.ceiling_ms = self.ceiling_ms.min(other.ceiling_ms);
        self.ceiling_known_ms = self.ceiling_known_ms.min(other.ceiling_known_ms);
    }

    /// Counts what is in use for this part of it.
    pub(super) fn scale(&mut self, part: f64) {
        self.used.scale(part);
    }

    /// Moves all times.
    pub(super) fn shift(&mut self, by_ms: f64) {
        self.used.shift(by_ms);
    }
}

/// What is charged at admission: the question, and the whole room for the answer.
pub(super) fn full(size: &Size, output_weight: f64) -> f64 {
    size.input_real + output_weight * size.output_max
}
