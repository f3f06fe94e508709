//! A calendar of send times at one deployment: a model of its provider's limiter, in which calls
//! reserve the time at which they are sent, so that none is sent to be rejected.
//!
//! It is plain data that all workers may share, and changes only by what it is told: it must know
//! nothing of the clock (times are milliseconds of any clock that its users agree on), of the
//! network, of chance, or of who waits. docs/pool.md says what it rests on.

mod terms;
mod ring;
mod learn;
mod known;

pub(in crate::pool) use known::{Feedback, Knowledge};
pub(in crate::pool) use learn::{Heard, Outcome};

pub use terms::Kind;
pub(in crate::pool) use terms::{Charge, Size, Terms};

use ring::Ring;
use serde::{Deserialize, Serialize};

/// What providers count for tokens and (the older ones) for requests.
const MINUTE_MS: f64 = 60_000.0;
const TEN_SECONDS_MS: f64 = 10_000.0;
/// Our count of a question at admission starts this much high: too high costs nothing, for what
/// responses say corrects it; too low costs rejections.
const ESTIMATE_HIGH: f64 = 1.08;
/// How much faster than its rate a window is filled where it has room.
const PACE: f64 = 1.3;
/// What a window never uses: its steps are coarser than the provider's.
const WINDOW_MARGIN: f64 = 0.004;
/// What may be sent at once, in time at the rate, and what more when the provider was idle.
const BURST_MS: f64 = 2_000.0;
const BURST_IDLE_MS: f64 = 28_000.0;
/// Below this part of a bucket nothing is sent ahead of the rate, even if somebody waits for it.
const LEVEL_KEPT: f64 = 0.2;
/// The part of a bucket that is kept for those who wait for an answer.
const LEVEL_GOAL: f64 = 0.5;
/// How much faster than its rate a bucket goes that is fuller than that, and slower where it is
/// less full.
const LEVEL_GAIN: f64 = 0.5;
/// What provisioned throughput is taken to let through at once, in time at its rate.
const CEILING_MS: f64 = 9_000.0;
/// A rejection within this time makes bursts smaller.
const CALM_MS: f64 = 60_000.0;
/// The part of its room that an answer is taken to need before one has been seen.
const OUTPUT_GUESS: f64 = 0.5;

/// A call written down in a calendar. Whoever holds it settles it once, or loses it: then it stays
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
    /// What the provider's window should hold after it.
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

/// The calendar of one deployment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Calendar {
    terms: Terms,
    /// As learned, where it is not configured.
    kind: Kind,
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
    tokens: Ring,
    requests: Ring,
    /// Provisioned throughput: what is used, when that was so, and what it may come to.
    used: f64,
    used_at: f64,
    ceiling_ms: f64,
    /// What it may come back to soon: just below what was rejected last.
    ceiling_known_ms: f64,
    /// The part of a bucket that is left, as responses say.
    level: f64,
    /// What the provider counts for what we count: our bias, and what strangers use.
    ratio: f64,
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

impl Calendar {
    /// An empty calendar. What was sent before it was made is found out from responses.
    pub fn new(terms: Terms, now: f64) -> Self {
        let long_ago = now - 10.0 * CALM_MS;
        Self {
            terms,
            kind: terms.kind,
            told_tokens: None,
            told_requests: None,
            share: 1.0,
            // Taken to be idle: the first response tells if it was not.
            next_tokens: now - BURST_MS - BURST_IDLE_MS,
            next_requests: now - BURST_MS - BURST_IDLE_MS,
            last: now - MINUTE_MS,
            tokens: Ring::default(),
            requests: Ring::default(),
            used: 0.0,
            used_at: now,
            ceiling_ms: CEILING_MS,
            ceiling_known_ms: CEILING_MS,
            level: 1.0,
            ratio: 1.0,
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
            Kind::Unknown | Kind::Window | Kind::Bucket => self.input_of(size) + output,
            Kind::Ptu => size.input_real + self.terms.output_weight * output,
        }
    }

    fn input_of(&self, size: &Size) -> f64 {
        size.input * self.terms.charge.input * ESTIMATE_HIGH
    }

    fn output_of(&self, size: &Size) -> f64 {
        let Charge { output, settled, .. } = self.terms.charge;
        match (self.kind, output) {
            (Kind::Unknown | Kind::Window, Some(false)) => 0.0,
            (Kind::Unknown | Kind::Window, _) | (Kind::Bucket, Some(true)) => size.output_max,
            (Kind::Bucket, _) if settled == Some(false) => 0.0,
            (Kind::Bucket | Kind::Ptu, _) => {
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
            Kind::Bucket if urgent => {
                // What is stored is for them; bulk pays it back by waiting for the pace.
                let stored = (self.level - LEVEL_KEPT).max(0.0) * MINUTE_MS * self.share;
                at = at.max(self.next_tokens - stored).max(self.next_requests - stored);
            }
            _ => at = at.max(self.next_tokens).max(self.next_requests),
        }
        match self.kind {
            Kind::Unknown | Kind::Window => {
                let over = self.tokens.sum() + cost - self.window_limit();
                if over > 0.0 {
                    at = at.max(self.tokens.frees(over, MINUTE_MS));
                }
                let over = self.requests.sum() + 1.0 - self.at_once();
                if over > 0.0 {
                    at = at.max(self.requests.frees(over, TEN_SECONDS_MS));
                }
            }
            Kind::Bucket => {}
            Kind::Ptu => {
                let drains = self.limit_tokens() / MINUTE_MS;
                let over = self.used_now(now) - self.ceiling_ms * drains;
                if over > 0.0 {
                    at = at.max(now + over / drains);
                }
            }
        }
        Earliest::At(at)
    }

    /// Writes a call down as sent at this time, which [`Self::earliest`] gave.
    pub fn reserve(&mut self, size: &Size, at: f64) -> Booking {
        self.rise(at);
        let (cost, rate) = (self.cost(size), self.rate());
        let booking = Booking {
            at,
            size: *size,
            cost,
            output: self.output_of(size),
            rate,
            expected: self.tokens.within(at, MINUTE_MS) + cost,
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
    /// calendar could not be asked.
    pub fn merge(&mut self, booking: &Booking) {
        let before = self.used;
        self.note(booking);
        if booking.at < self.used_at - CEILING_MS {
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
        self.used = self.used_now(now) * self.share;
        self.used_at = self.used_at.max(now);
        (self.next_tokens, self.next_requests) = (now + wait_ms, now);
    }

    /// Moves all times.
    pub fn shift(&mut self, by_ms: f64) {
        let times = [
            &mut self.next_tokens,
            &mut self.next_requests,
            &mut self.last,
            &mut self.used_at,
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
    }

    fn note(&mut self, booking: &Booking) {
        self.tokens.add(booking.at, booking.cost);
        self.requests.add(booking.at, 1.0);
        if self.kind == Kind::Ptu {
            self.used += self.full(&booking.size);
        }
    }

    /// What provisioned throughput charges at admission: the whole room for the answer.
    fn full(&self, size: &Size) -> f64 {
        size.input_real + self.terms.output_weight * size.output_max
    }

    fn is_too_large(&self, size: &Size) -> bool {
        let (input, output) = (self.input_of(size), self.output_of(size));
        match self.kind {
            Kind::Unknown | Kind::Window => input + output > self.terms.tokens_per_minute,
            Kind::Bucket => input > self.terms.tokens_per_minute,
            Kind::Ptu => false,
        }
    }

    fn expire(&mut self, now: f64) {
        self.tokens.expire(now, MINUTE_MS);
        self.requests.expire(now, TEN_SECONDS_MS);
        (self.used, self.used_at) = (self.used_now(now), self.used_at.max(now));
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
        if self.kind == Kind::Bucket && idle > 1_000.0 {
            self.level = (self.level + idle / MINUTE_MS).min(1.0);
            self.heard_at = at;
        }
    }

    /// The limit of the whole deployment, or the share of it: what is configured, or less when the
    /// provider says so.
    fn limit_tokens(&self) -> f64 {
        let configured = self.terms.tokens_per_minute;
        self.told_tokens.map_or(configured, |told| told.min(configured)) * self.share
    }

    fn limit_requests(&self) -> f64 {
        let configured = self.terms.requests_per_minute;
        self.told_requests.map_or(configured, |told| told.min(configured)) * self.share
    }

    /// The requests that a window lets in within ten seconds.
    fn at_once(&self) -> f64 {
        (self.limit_requests() / self.share / 6.0).ceil().mul_add(self.share, 1e-9).floor().max(1.0)
    }

    /// What a window may hold, in our tokens.
    fn window_limit(&self) -> f64 {
        // The further we are off, the more differs from call to call.
        let strangers = (0.2 * (self.ratio - 1.03)).max(0.04 * (1.0 - self.ratio)).clamp(0.0, 0.03);
        self.limit_tokens() * self.trim * (1.0 - WINDOW_MARGIN - strangers) / self.ratio
    }

    /// Tokens a millisecond at which calls are paced.
    fn rate(&self) -> f64 {
        let limit = self.limit_tokens() * self.trim / MINUTE_MS;
        match self.kind {
            Kind::Unknown | Kind::Window => limit * PACE / self.ratio,
            // Half full is where it is to stay: that absorbs our bias, strangers and bursts.
            Kind::Bucket => limit * self.pace * (1.0 + LEVEL_GAIN * (self.level - LEVEL_GOAL)),
            Kind::Ptu => limit,
        }
    }

    /// How far apart requests are paced.
    fn spacing(&self) -> f64 {
        let spacing = MINUTE_MS / self.limit_requests();
        match self.kind {
            Kind::Unknown | Kind::Window => spacing / PACE,
            Kind::Bucket => spacing / self.trim,
            Kind::Ptu => 0.0,
        }
    }

    /// How far calls may run ahead of the pace, in time.
    fn burst(&self) -> f64 {
        let calm = self.last - self.rejected_at.max(self.opened_at) > CALM_MS;
        let room = match self.kind {
            _ if !calm => 0.0,
            Kind::Unknown | Kind::Window => {
                (1.0 - self.tokens.sum() / self.window_limit()).clamp(0.0, 1.0).powi(2)
            }
            Kind::Bucket => (self.level - LEVEL_GOAL).max(0.0),
            Kind::Ptu => 0.0,
        };
        // What leaves a window at once is not sent at once again, or it would be so for ever.
        let least = match self.kind {
            Kind::Unknown | Kind::Window => BURST_MS / 4.0,
            Kind::Bucket | Kind::Ptu => BURST_MS,
        };
        least + BURST_IDLE_MS * room
    }

    fn used_now(&self, now: f64) -> f64 {
        let drained = (now - self.used_at).max(0.0) * self.limit_tokens() / MINUTE_MS;
        (self.used - drained).max(0.0)
    }
}

/// How long a call that goes ahead of all others is waited for, at least.
const PROBE_MS: f64 = 1_500.0;

#[cfg(test)]
#[path = "calendar_tests.rs"]
mod tests;
