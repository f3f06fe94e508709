//! A limiter of send times at one deployment: a model of its provider's limiter, in which calls
//! reserve the time at which they are sent, so that none is sent to be rejected.
//!
//! It is plain data that all workers may share, and changes only by what it is told: it must know
//! nothing of the clock (times are milliseconds of any clock that its users agree on), of the
//! network, of chance, or of who waits. docs/pool.md says what it rests on.

mod terms;
mod sliding_log;
mod leaky;
mod pace;
mod learn;
mod known;

pub(crate) use known::{Feedback, Knowledge};
pub(crate) use learn::{LimiterHints, Outcome};

pub use terms::LimiterKind;
pub(crate) use terms::{Charge, Size, Terms};

use leaky::LeakyBucket;
use pace::{BURST_IDLE_MS, BURST_MS, CALM_MS};
use serde::{Deserialize, Serialize};
use sliding_log::SlidingLog;

/// What providers count for tokens and (the older ones) for requests.
const MINUTE_MS: f64 = 60_000.0;
const TEN_SECONDS_MS: f64 = 10_000.0;
/// Our count of a question at admission starts this much high: too high costs nothing, for what
/// responses say corrects it; too low costs rejections.
const ESTIMATE_HIGH: f64 = 1.08;
/// Below this part of a bucket nothing is sent ahead of the rate, even if somebody waits for it.
const LEVEL_KEPT: f64 = 0.2;
/// What provisioned throughput is taken to let through at once, in time at its rate: less than it
/// is thought to, for what is used is only our count, and that much is as good for its use.
const CEILING_MS: f64 = 7_000.0;
/// How long a call that goes ahead of all others is waited for, at least.
const PROBE_MS: f64 = 1_500.0;
/// The part of its room that an answer is taken to need before one has been seen.
const OUTPUT_GUESS: f64 = 0.5;

/// A call written down in a limiter. Whoever holds it settles it once, or loses it: then it stays
/// charged.
#[derive(Clone, Debug, PartialEq)]
pub struct Booking {
    /// When it is to be sent.
    pub at: f64,
    /// How large it is.
    pub size: Size,
    /// What was charged for it.
    cost: f64,
    /// What its output was taken to be, of that.
    output: f64,
    /// Tokens a millisecond of the pace at which it was charged.
    rate: f64,
    /// What the provider's window should hold after it; 0 where only a share of that is known.
    expected: f64,
    /// Whether it waited for the pace: then more would have been sent, had it been allowed.
    paced: bool,
}

/// When a call could be sent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Earliest {
    /// From this time on, if nothing else is reserved.
    At(f64),
    /// It is larger than a whole minute's quota.
    Never,
}

/// The limiter of one deployment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Limiter {
    terms: Terms,
    /// As learned, where it is not configured.
    kind: LimiterKind,
    /// An answer came that said nothing of the kind.
    #[serde(default)]
    is_silent: bool,
    /// The limits that responses name.
    told_tokens: Option<f64>,
    told_requests: Option<f64>,
    /// The part of the quota that may be used: less than all where others cannot be asked.
    share: f64,
    /// When the next call of no size could be sent, by tokens and by requests.
    next_tokens: f64,
    next_requests: f64,
    /// When the last call was reserved.
    last: f64,
    /// What was used in the last minute, and requests in the last ten seconds.
    tokens: SlidingLog,
    requests: SlidingLog,
    /// Provisioned throughput: what is used, and what it may come to.
    used: LeakyBucket,
    ceiling_ms: f64,
    /// What it may come back to soon: just below what was rejected last.
    ceiling_known_ms: f64,
    /// The part of a bucket that is left, as responses say.
    level: f64,
    /// What the provider counts for what we count.
    ratio: f64,
    /// How many responses have told of it, up to those that are taken for our bias alone.
    #[serde(default)]
    ratios: u32,
    /// What external_load use of a window, or what its limit has fallen by.
    #[serde(default)]
    external_load: f64,
    /// What is used of the limit: less after rejections.
    trim: f64,
    /// How much faster than the limit a bucket goes that charges less than we think.
    pace: f64,
    /// The mean length of an answer.
    output: Option<f64>,
    blocked_until: f64,
    /// After a rejection or an outage, one call goes ahead of all others.
    half_open: bool,
    probe_until: Option<f64>,
    /// Failures in a row, and how often in a row the breaker opened.
    failures: u32,
    opens: u32,
    opened_at: f64,
    /// When the breaker opened first since it last worked.
    #[serde(default)]
    out_since: Option<f64>,
    /// When the last call was sent that failed.
    failed_at: f64,
    /// How long the last failure took to show.
    patience_ms: f64,
    rejected_at: f64,
    raised_at: f64,
    heard_at: f64,
}

impl Limiter {
    /// An empty limiter. What was sent before it was made is found out from responses.
    pub fn new(terms: Terms, now: f64) -> Self {
        let long_ago = now - 10.0 * CALM_MS;
        Self {
            terms,
            kind: terms.kind,
            is_silent: false,
            told_tokens: None,
            told_requests: None,
            share: 1.0,
            // Taken to be idle: the first response tells if it was not.
            next_tokens: now - BURST_MS - BURST_IDLE_MS,
            next_requests: now - BURST_MS - BURST_IDLE_MS,
            last: now - MINUTE_MS,
            tokens: SlidingLog::default(),
            requests: SlidingLog::default(),
            used: LeakyBucket::new(now),
            ceiling_ms: CEILING_MS,
            ceiling_known_ms: CEILING_MS,
            level: 1.0,
            ratio: 1.0,
            ratios: 0,
            external_load: 0.0,
            trim: 1.0,
            pace: 1.0,
            output: None,
            blocked_until: now,
            half_open: false,
            probe_until: None,
            failures: 0,
            opens: 0,
            opened_at: long_ago,
            out_since: None,
            failed_at: long_ago,
            patience_ms: 0.0,
            rejected_at: long_ago,
            raised_at: now,
            heard_at: now,
        }
    }

    /// Follows a changed configuration.
    pub fn configure(&mut self, terms: Terms) {
        if self.terms.kind != terms.kind {
            self.kind = terms.kind;
        }
        self.terms = terms;
    }

    /// Whether this is what is configured.
    pub fn follows(&self, terms: &Terms) -> bool {
        self.terms == *terms
    }

    /// Uses only this part of the quota, from above 0 to 1.
    pub fn set_share(&mut self, share: f64) {
        if share.is_finite() && share > 0.0 {
            self.share = share.min(1.0);
        }
    }

    /// What the call is charged here. Expected of an answer is its mean, where the provider
    /// corrects its own estimate.
    pub fn cost(&self, size: &Size) -> f64 {
        let output = self.output_of(size);
        match self.kind {
            LimiterKind::Auto
            | LimiterKind::Window
            | LimiterKind::FixedWindow
            | LimiterKind::Bucket => self.input_of(size) + output,
            LimiterKind::Ptu => size.input_real + self.terms.output_weight * output,
        }
    }

    fn input_of(&self, size: &Size) -> f64 {
        size.input * self.terms.charge.input * ESTIMATE_HIGH
    }

    fn output_of(&self, size: &Size) -> f64 {
        let Charge { output, settled, .. } = self.terms.charge;
        match (self.kind, output) {
            (LimiterKind::Auto | LimiterKind::Window | LimiterKind::FixedWindow, Some(false)) => {
                0.0
            }
            (LimiterKind::Auto | LimiterKind::Window | LimiterKind::FixedWindow, _)
            | (LimiterKind::Bucket, Some(true)) => size.output_max,
            (LimiterKind::Bucket, _) if settled == Some(false) => 0.0,
            (LimiterKind::Bucket | LimiterKind::Ptu, _) => {
                self.output.unwrap_or(size.output_max * OUTPUT_GUESS).min(size.output_max)
            }
        }
    }

    /// The first time from `now` on at which such a call could be sent; `urgent` if somebody waits
    /// for its answer.
    pub fn earliest(&mut self, size: &Size, urgent: bool, now: f64) -> Earliest {
        self.expire(now);
        if self.is_too_large(size) {
            return Earliest::Never;
        }
        let cost = self.cost(size);
        let mut at = now.max(self.blocked_until).max(self.probe_until.unwrap_or(now));
        match self.kind {
            LimiterKind::Bucket if urgent => {
                // What is stored is for them; bulk pays it back by waiting for the pace.
                let stored = (self.level - LEVEL_KEPT).max(0.0) * MINUTE_MS * self.share;
                at = at.max(self.next_tokens - stored).max(self.next_requests - stored);
            }
            _ => at = at.max(self.next_tokens).max(self.next_requests),
        }
        if matches!(self.kind, LimiterKind::Auto | LimiterKind::Window | LimiterKind::FixedWindow) {
            let over = self.tokens.sum() + cost - self.window_limit();
            if over > 0.0 {
                at = at.max(self.tokens.frees(over, MINUTE_MS));
            }
            let over = self.requests.sum() + 1.0 - self.at_once();
            if over > 0.0 {
                at = at.max(self.requests.frees(over, TEN_SECONDS_MS));
            }
        }
        if self.kind == LimiterKind::Ptu || (self.kind == LimiterKind::Auto && !self.is_silent) {
            at = at.max(self.used.falls_to(self.most_used(size), now, self.drains()));
        }
        Earliest::At(at)
    }

    /// Writes a call down as sent at this time, which [`Self::earliest`] gave.
    pub fn reserve(&mut self, size: &Size, at: f64) -> Booking {
        self.rise(at);
        let (cost, rate) = (self.cost(size), self.rate());
        let is_whole = self.share >= 1.0;
        let booking = Booking {
            at,
            size: *size,
            cost,
            output: self.output_of(size),
            rate,
            expected: if is_whole { self.tokens.within(at, MINUTE_MS) + cost } else { 0.0 },
            paced: self.next_tokens > self.last,
        };
        let burst = self.burst();
        self.next_tokens = self.next_tokens.max(at - burst) + cost / rate;
        self.next_requests = self.next_requests.max(at - burst) + self.spacing();
        self.last = self.last.max(at);
        self.note(&booking);
        if self.half_open {
            self.probe_until = Some(at + self.patience_ms.max(PROBE_MS));
        }
        booking
    }

    /// Writes down what was sent without having been reserved here: after a time in which this
    /// limiter could not be asked.
    pub fn merge(&mut self, booking: &Booking) {
        let before = self.used.clone();
        self.note(booking);
        if booking.at < self.used.passed() - CEILING_MS {
            // It has drained since.
            self.used = before;
        }
        self.last = self.last.max(booking.at);
    }

    /// Goes on alone: with a share of what all have left of the quota, as last seen, and with what
    /// is known of the provider. It starts after `wait_ms`, so that those who go on alone do not
    /// begin together.
    pub fn isolate(&mut self, share: f64, wait_ms: f64, now: f64) {
        self.set_share(share);
        self.tokens.scale(self.share);
        self.requests.scale(self.share);
        self.used.pass(now, self.drains());
        self.used.scale(self.share);
        (self.next_tokens, self.next_requests) = (now + wait_ms, now);
    }

    /// Moves all times.
    pub fn shift(&mut self, by_ms: f64) {
        let times = [
            &mut self.next_tokens,
            &mut self.next_requests,
            &mut self.last,
            &mut self.blocked_until,
            &mut self.opened_at,
            &mut self.failed_at,
            &mut self.rejected_at,
            &mut self.raised_at,
            &mut self.heard_at,
        ];
        let perhaps = self.probe_until.as_mut().into_iter().chain(self.out_since.as_mut());
        for time in times.into_iter().chain(perhaps) {
            *time += by_ms;
        }
        self.tokens.shift(by_ms);
        self.requests.shift(by_ms);
        self.used.shift(by_ms);
    }

    fn note(&mut self, booking: &Booking) {
        self.tokens.add(booking.at, booking.cost);
        self.requests.add(booking.at, 1.0);
        if self.may_be_ptu() {
            self.used.add(booking.at, self.full(&booking.size));
        }
    }

    fn may_be_ptu(&self) -> bool {
        matches!(self.kind, LimiterKind::Auto | LimiterKind::Ptu)
    }

    /// What may be in use when such a call is sent. The last one may go over the ceiling; where
    /// each worker goes on alone, each would have a last one.
    fn most_used(&self, size: &Size) -> f64 {
        let most = self.ceiling_ms * self.limit_tokens() / MINUTE_MS;
        if self.share < 1.0 { (most - self.full(size)).max(0.0) } else { most }
    }

    /// What provisioned throughput charges at admission: the whole room for the answer.
    fn full(&self, size: &Size) -> f64 {
        size.input_real + self.terms.output_weight * size.output_max
    }

    fn is_too_large(&self, size: &Size) -> bool {
        let (input, output) = (self.input_of(size), self.output_of(size));
        match self.kind {
            LimiterKind::Auto | LimiterKind::Window | LimiterKind::FixedWindow => {
                input + output > self.terms.tokens_per_minute
            }
            LimiterKind::Bucket => input > self.terms.tokens_per_minute,
            LimiterKind::Ptu => false,
        }
    }

    fn expire(&mut self, now: f64) {
        self.tokens.expire(now, MINUTE_MS);
        self.requests.expire(now, TEN_SECONDS_MS);
        self.used.pass(now, self.drains());
        if self.probe_until.is_some_and(|until| until <= now) {
            // Rejections are fast: what has not failed by now was let in.
            self.recover();
        }
    }

    fn recover(&mut self) {
        (self.half_open, self.probe_until, self.out_since) = (false, None, None);
        (self.failures, self.opens, self.patience_ms) = (0, 0, 0.0);
    }

    /// A bucket fills up while nothing is sent; no response says so.
    fn rise(&mut self, at: f64) {
        let idle = at - self.last.max(self.heard_at);
        if self.kind == LimiterKind::Bucket && idle > 1_000.0 {
            self.level = (self.level + idle / MINUTE_MS).min(1.0);
            self.heard_at = at;
        }
    }

    /// What provisioned throughput uses now.
    fn used_now(&self, now: f64) -> f64 {
        self.used.level(now, self.drains())
    }

    /// Tokens that drain in a millisecond.
    fn drains(&self) -> f64 {
        self.limit_tokens() / MINUTE_MS
    }
}

#[cfg(test)]
#[path = "limiter_tests.rs"]
mod tests;
