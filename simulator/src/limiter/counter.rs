//! Counters that start anew every minute, at a moment of their own, as gateways have: of tokens in
//! sixty seconds, and of requests in slices of ten. Some count what the minute before held, too, by
//! the part of it that lies within the last sixty seconds.

use super::{HOPELESS, Limit, Rejection, Standing, Verdict};
use crate::fault::Terms;
use std::time::Duration;

const MINUTE: f64 = 60.0;
const SLICE: f64 = 10.0;

/// Two counters.
#[derive(Debug)]
pub struct Counter {
    tokens_per_minute: u64,
    requests_per_minute: u64,
    /// When a minute begins, in seconds.
    phase: f64,
    counting: Counting,
    tokens: Count,
    requests: Count,
}

/// What counts, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Counting {
    /// Question and room, when a call is let in.
    Admission,
    /// The same, and a part of the minute before.
    Weighted,
    /// What an answer used, when it is complete.
    Answer,
}

/// What was counted since a period began, and in the one before.
#[derive(Debug, Default)]
struct Count {
    period: i64,
    used: f64,
    before: f64,
}

impl Count {
    fn turn(&mut self, now: f64, phase: f64, length: f64) {
        let period = ((now - phase) / length).floor() as i64;
        if period != self.period {
            let before = if period == self.period + 1 { self.used } else { 0.0 };
            *self = Self { period, used: 0.0, before };
        }
    }

    /// The seconds until the next period.
    fn rest(&self, now: f64, phase: f64, length: f64) -> f64 {
        (self.period + 1) as f64 * length + phase - now
    }
}

impl Counter {
    pub(super) fn new(
        tokens_per_minute: u64,
        requests_per_minute: u64,
        phase: f64,
        counting: Counting,
    ) -> Self {
        let (tokens, requests) = (Count::default(), Count::default());
        Self { tokens_per_minute, requests_per_minute, phase, counting, tokens, requests }
    }

    pub(super) fn admit(&mut self, now: Duration, charge: u64, terms: Terms) -> Verdict {
        let now = now.as_secs_f64();
        self.turn(now);
        let (tokens_max, requests_max) = self.limits(terms);
        let charge = charge as f64;
        if self.requests.used + 1.0 > requests_max {
            let wait = self.requests.rest(now, self.phase, SLICE);
            return self.reject(now, Limit::Requests, Duration::from_secs_f64(wait), terms);
        }
        // What is counted in the end is not known yet: a call passes while anything is left.
        let needed = if self.counting == Counting::Answer { 1.0 } else { charge };
        let over = self.used(now) + needed - tokens_max;
        if over > 0.0 {
            let rest = self.tokens.rest(now, self.phase, MINUTE);
            let wait = match self.counting {
                Counting::Weighted if self.tokens.before > 0.0 => {
                    (over / self.tokens.before * MINUTE).min(rest)
                }
                _ => rest,
            };
            let wait = Duration::from_secs_f64(wait.max(0.0));
            let wait = if needed > tokens_max { HOPELESS } else { wait };
            return self.reject(now, Limit::Tokens, wait, terms);
        }
        self.requests.used += 1.0;
        if self.counting != Counting::Answer {
            self.tokens.used += charge;
        }
        Verdict::Admitted(self.standing(now, terms))
    }

    /// Counts what an answer really used, where that is when it counts.
    pub(super) fn complete(&mut self, now: Duration, used: u64) {
        if self.counting == Counting::Answer {
            self.turn(now.as_secs_f64());
            self.tokens.used += used as f64;
        }
    }

    /// What counts now.
    fn used(&self, now: f64) -> f64 {
        let part = self.tokens.rest(now, self.phase, MINUTE) / MINUTE;
        let is_weighted = self.counting == Counting::Weighted;
        self.tokens.used + if is_weighted { self.tokens.before * part } else { 0.0 }
    }

    fn turn(&mut self, now: f64) {
        self.tokens.turn(now, self.phase, MINUTE);
        self.requests.turn(now, self.phase, SLICE);
    }

    fn limits(&self, terms: Terms) -> (f64, f64) {
        let scale = terms.limit * terms.share;
        let tokens = (self.tokens_per_minute as f64 * scale).floor();
        (tokens, (self.requests_per_minute as f64 * scale / 6.0).ceil().max(1.0))
    }

    fn reject(&self, now: f64, limit: Limit, wait: Duration, terms: Terms) -> Verdict {
        let wait = Duration::from_secs(wait.as_secs_f64().ceil() as u64);
        Verdict::Rejected(Rejection { limit, wait, standing: self.standing(now, terms) })
    }

    fn standing(&self, now: f64, terms: Terms) -> Standing {
        let (tokens_max, requests_max) = self.limits(terms);
        let rest = |count: &Count, length| {
            Duration::from_secs_f64(count.rest(now, self.phase, length).max(0.0))
        };
        Standing {
            requests_limit: (self.requests_per_minute as f64 * terms.limit * terms.share) as i64,
            requests_left: (requests_max - self.requests.used).max(0.0) as i64,
            requests_reset: rest(&self.requests, SLICE),
            tokens_limit: tokens_max as i64,
            tokens_left: (tokens_max - self.used(now)).max(0.0) as i64,
            tokens_reset: rest(&self.tokens, MINUTE),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Terms = Terms { limit: 1.0, share: 1.0 };

    fn admitted(counter: &mut Counter, now: u64, charge: u64) -> bool {
        let now = Duration::from_secs(now);
        matches!(counter.admit(now, charge, PLAIN), Verdict::Admitted(_))
    }

    #[test]
    fn it_starts_anew_at_its_own_moment() {
        let mut counter = Counter::new(1_000, 600, 17.0, Counting::Admission);
        assert!(admitted(&mut counter, 20, 600));
        assert!(!admitted(&mut counter, 60, 600), "the clock's minute is not its own");
        let Verdict::Rejected(rejection) = counter.admit(Duration::from_secs(60), 600, PLAIN)
        else {
            panic!("it is full")
        };
        assert_eq!((rejection.limit, rejection.wait), (Limit::Tokens, Duration::from_secs(17)));
        assert!(admitted(&mut counter, 77, 600));
        assert!(admitted(&mut counter, 136, 400));
        assert!(admitted(&mut counter, 137, 1_000), "what was used at the end is forgotten");
        assert!(!admitted(&mut counter, 138, 1_001), "it never will be");
    }

    #[test]
    fn one_that_counts_answers_lets_in_while_anything_is_left() {
        let mut counter = Counter::new(1_000, 600, 0.0, Counting::Answer);
        assert!(admitted(&mut counter, 0, 5_000) && admitted(&mut counter, 1, 5_000));
        counter.complete(Duration::from_secs(3), 700);
        assert!(admitted(&mut counter, 4, 5_000));
        counter.complete(Duration::from_secs(5), 700);
        assert!(!admitted(&mut counter, 6, 1));
        assert!(admitted(&mut counter, 60, 1));
    }

    #[test]
    fn one_that_weighs_the_minute_before_forgets_it_bit_by_bit() {
        let mut counter = Counter::new(1_000, 600, 0.0, Counting::Weighted);
        assert!(admitted(&mut counter, 30, 1_000));
        assert!(!admitted(&mut counter, 61, 100), "nearly all of it still counts");
        assert!(admitted(&mut counter, 67, 100));
        assert!(!admitted(&mut counter, 90, 500) && admitted(&mut counter, 90, 400));
        assert!(admitted(&mut counter, 200, 1_000), "a minute without calls lies between");
    }

    #[test]
    fn requests_are_counted_in_slices() {
        let mut counter = Counter::new(1_000_000, 12, 0.0, Counting::Admission);
        let passed: Vec<_> = [0, 1, 2, 9, 10].map(|now| admitted(&mut counter, now, 1)).into();
        assert_eq!(passed, [true, true, false, false, true]);
    }
}
