//! Provisioned throughput: utilisation rises with each call and drains all the time.

use super::{Limit, Rejection, Standing, Verdict, wait_of};
use crate::fault::Terms;
use std::time::Duration;

/// One leaky bucket of input-token equivalents; full is 100 % utilisation.
#[derive(Debug)]
pub struct Ptu {
    rate: f64,
    burst_seconds: f64,
    used: f64,
    updated: Duration,
}

impl Ptu {
    pub(super) fn new(tokens_per_minute: u64, burst_seconds: f64) -> Self {
        let rate = tokens_per_minute as f64 / 60.0;
        Self { rate, burst_seconds, used: 0.0, updated: Duration::ZERO }
    }

    pub(super) fn admit(&mut self, now: Duration, weighted: f64, terms: Terms) -> Verdict {
        self.drain(now, terms);
        let full = self.full(terms);
        let over = self.used - full;
        if over > 0.0 {
            let wait = wait_of(over / self.drained_a_second(terms));
            let standing = self.standing(terms);
            return Verdict::Rejected(Rejection { limit: Limit::Utilisation, wait, standing });
        }
        // The last call before 100 % is let in whole, so bursts end just above it.
        self.used += weighted;
        Verdict::Admitted(self.standing(terms))
    }

    pub(super) fn settle(&mut self, now: Duration, more: f64, terms: Terms) {
        self.drain(now, terms);
        self.used = (self.used + more).max(0.0);
    }

    fn drain(&mut self, now: Duration, terms: Terms) {
        let seconds = now.saturating_sub(self.updated).as_secs_f64();
        self.updated = self.updated.max(now);
        self.used = (self.used - seconds * self.drained_a_second(terms)).max(0.0);
    }

    fn drained_a_second(&self, terms: Terms) -> f64 {
        self.rate * terms.limit * terms.share
    }

    fn full(&self, terms: Terms) -> f64 {
        self.rate * terms.limit * self.burst_seconds
    }

    fn standing(&self, terms: Terms) -> Standing {
        let full = self.full(terms);
        Standing {
            requests_limit: 0,
            requests_left: 0,
            requests_reset: Duration::ZERO,
            tokens_limit: full as i64,
            tokens_left: (full - self.used) as i64,
            tokens_reset: wait_of(self.used / self.drained_a_second(terms)),
        }
    }
}
