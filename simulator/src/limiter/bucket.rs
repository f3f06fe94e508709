//! The newer limiter: a bucket of tokens and one of requests, both refilled all the time.

use super::{HOPELESS, Limit, Rejection, Standing, Verdict, wait_of};
use crate::fault::Terms;
use std::time::Duration;

/// Two buckets, each holding one minute of its limit, or less.
#[derive(Debug)]
pub struct Bucket {
    tokens: Level,
    requests: Level,
    updated: Duration,
}

#[derive(Debug)]
struct Level {
    per_minute: f64,
    /// The part of a minute that it holds.
    holds: f64,
    left: f64,
}

impl Level {
    fn new(per_minute: u64, holds: f64) -> Self {
        let per_minute = per_minute as f64;
        Self { per_minute, holds, left: holds * per_minute }
    }

    /// The most that it holds.
    fn most(&self, terms: Terms) -> f64 {
        self.limit(terms) * self.holds
    }

    fn limit(&self, terms: Terms) -> f64 {
        self.per_minute * terms.limit
    }

    /// What comes back in a second; external load takes from it as it comes.
    fn rate(&self, terms: Terms) -> f64 {
        self.limit(terms) * terms.share / 60.0
    }

    fn refill(&mut self, seconds: f64, terms: Terms) {
        let most = self.most(terms);
        self.left = (self.left + seconds * self.rate(terms)).min(most);
    }

    fn take(&mut self, amount: f64, terms: Terms) {
        self.left = (self.left - amount).max(-self.limit(terms));
    }

    /// The seconds until `amount` is there; none when it never will be.
    fn seconds_until(&self, amount: f64, terms: Terms) -> Option<f64> {
        (amount <= self.most(terms)).then(|| (amount - self.left).max(0.0) / self.rate(terms))
    }

    fn reset(&self, terms: Terms) -> Duration {
        wait_of(self.seconds_until(self.most(terms), terms).unwrap_or(0.0))
    }
}

impl Bucket {
    /// Full, and holding so many seconds of its rate.
    pub(super) fn new(tokens_per_minute: u64, requests_per_minute: u64, seconds: f64) -> Self {
        let holds = seconds / 60.0;
        Self {
            tokens: Level::new(tokens_per_minute, holds),
            requests: Level::new(requests_per_minute, holds),
            updated: Duration::ZERO,
        }
    }

    pub(super) fn admit(&mut self, now: Duration, charge: u64, terms: Terms) -> Verdict {
        self.refill(now, terms);
        let charge = charge as f64;
        let limit = if self.requests.left < 1.0 {
            Limit::Requests
        } else if self.tokens.left < charge {
            Limit::Tokens
        } else {
            self.requests.take(1.0, terms);
            self.tokens.take(charge, terms);
            return Verdict::Admitted(self.standing(terms));
        };
        // A rejection costs a request too, so those who hammer wait longer.
        self.requests.take(1.0, terms);
        let waits =
            (self.requests.seconds_until(1.0, terms), self.tokens.seconds_until(charge, terms));
        let wait = match waits {
            (Some(requests), Some(tokens)) => wait_of(requests.max(tokens)),
            _ => HOPELESS,
        };
        Verdict::Rejected(Rejection { limit, wait, standing: self.standing(terms) })
    }

    pub(super) fn settle(&mut self, now: Duration, more: f64, terms: Terms) {
        self.refill(now, terms);
        self.tokens.take(more, terms);
        self.tokens.left = self.tokens.left.min(self.tokens.most(terms));
    }

    fn refill(&mut self, now: Duration, terms: Terms) {
        let seconds = now.saturating_sub(self.updated).as_secs_f64();
        self.updated = self.updated.max(now);
        self.tokens.refill(seconds, terms);
        self.requests.refill(seconds, terms);
    }

    fn standing(&self, terms: Terms) -> Standing {
        Standing {
            requests_limit: self.requests.limit(terms) as i64,
            requests_left: self.requests.left.floor() as i64,
            requests_reset: self.requests.reset(terms),
            tokens_limit: self.tokens.limit(terms) as i64,
            tokens_left: self.tokens.left.floor() as i64,
            tokens_reset: self.tokens.reset(terms),
        }
    }
}
