//! A model of the limiter of one deployment, in which calls reserve the time at which they are sent,
//! so that none is sent to be rejected.
//!
//! It is plain data that a fleet may share, and changes only by what it is told: times are
//! milliseconds of any clock that its users agree on. How providers' limiters behave, with sources:
//! docs/limiters.md; what this model was measured to do: docs/pool.md.

mod terms;
mod leaky_bucket;
mod sliding_log;
mod breaker;
mod ptu;
mod fit;
mod observation;
mod readings;
mod feedback;
mod admission;
mod settle;
mod status;

pub use feedback::{Feedback, Knowledge, LimiterHints, Outcome};
pub use terms::{Charge, LimiterKind, Size, Terms};

use breaker::Breaker;
use fit::Refill;
use ptu::Ptu;
use readings::Readings;
use serde::{Deserialize, Serialize};
use sliding_log::SlidingLog;

/// What providers count for tokens, and the older ones for requests (docs/limiters.md).
const MINUTE_MS: f64 = 60_000.0;
const TEN_SECONDS_MS: f64 = 10_000.0;
/// The steps of the two logs: finer ones cost space, coarser ones quota.
const LOG_STEP_MS: f64 = 200.0;
const REQUEST_STEP_MS: f64 = 100.0;
/// What was sent is remembered for so long: a window, and the longest wait for most answers.
const LOG_MS: f64 = 105_000.0;
/// Our count of a question starts this much high: too high costs nothing, for what responses say
/// corrects it; too low costs rejections (measured: with a count 4 % low and without this, 11 %).
const ESTIMATE_HIGH: f64 = 1.08;
/// A call arrives at its provider so long after it was sent, at most (assumed: a slow network).
const ARRIVAL_MS: f64 = 100.0;

/// A call that is written down in a limiter. Its holder settles it once, or loses it: then it stays
/// charged.
#[derive(Clone, Debug, PartialEq)]
pub struct Booking {
    /// When it is to be sent.
    pub at: f64,
    /// How large it is.
    pub size: Size,
    /// What we count for it.
    cost: f64,
    /// How much later the next one may be sent for its tokens.
    spacing_ms: f64,
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
    /// Whether responses have shown that it is provisioned throughput.
    is_ptu: bool,
    /// Whether an answer came, and whether one said what is left.
    has_answered: bool,
    says_left: bool,
    /// The limits that responses name.
    named_tokens: Option<f64>,
    named_requests: Option<f64>,
    /// The tokens a minute that rejections have shown to be too many, where nobody names a limit.
    #[serde(default)]
    found_tokens: Option<f64>,
    /// The part of the quota that may be used: less than all where others cannot be asked.
    share: f64,
    /// What is used of the limit: less after rejections.
    trim: f64,
    raised_at: f64,
    /// When the next call of no size could be sent, by tokens and by requests.
    next_tokens: f64,
    next_requests: f64,
    /// When the last call was reserved.
    last: f64,
    /// When a call last asked for whose answer somebody waits.
    urgent_at: f64,
    /// What was sent: question and room for the answer, and requests.
    tokens: SlidingLog,
    requests: SlidingLog,
    readings: Readings,
    ptu: Ptu,
    breaker: Breaker,
    /// The mean length of an answer.
    output: Option<f64>,
}

impl Limiter {
    /// A limiter of a deployment that is taken to be idle: the first responses tell if it is not.
    pub fn new(terms: Terms, now: f64) -> Self {
        let long_ago = now - 10.0 * MINUTE_MS;
        Self {
            terms,
            is_ptu: false,
            has_answered: false,
            says_left: false,
            named_tokens: None,
            named_requests: None,
            found_tokens: None,
            share: 1.0,
            trim: 1.0,
            raised_at: now,
            next_tokens: now - MINUTE_MS,
            next_requests: now - MINUTE_MS,
            last: now - MINUTE_MS,
            urgent_at: long_ago,
            tokens: SlidingLog::new(LOG_STEP_MS),
            requests: SlidingLog::new(REQUEST_STEP_MS),
            readings: Readings::new(now, terms.tokens_per_minute),
            ptu: Ptu::new(now),
            breaker: Breaker::new(now, long_ago),
            output: None,
        }
    }

    /// Follows a changed configuration.
    pub fn configure(&mut self, terms: Terms) {
        self.is_ptu &= self.terms.kind == terms.kind;
        self.terms = terms;
    }

    /// Whether this is what is configured.
    pub fn follows(&self, terms: &Terms) -> bool {
        self.terms == *terms
    }

    /// How the quota is enforced, as far as is known.
    pub fn kind(&self) -> LimiterKind {
        match (self.terms.kind, self.readings.best().identified()) {
            (LimiterKind::Auto, _) if self.is_ptu => LimiterKind::Ptu,
            (LimiterKind::Auto, Some(Refill::Sliding)) => LimiterKind::Window,
            (LimiterKind::Auto, Some(Refill::Fixed)) => LimiterKind::FixedWindow,
            (LimiterKind::Auto, Some(Refill::Continuous)) => LimiterKind::Bucket,
            (kind, _) => kind,
        }
    }

    /// Whether its tokens may come back in this way; several may while the kind is not known.
    fn may_refill(&self, refill: Refill) -> bool {
        match self.terms.kind {
            LimiterKind::Auto => !self.is_ptu && self.readings.best().is_likely(refill),
            LimiterKind::Window => refill == Refill::Sliding,
            LimiterKind::FixedWindow => refill == Refill::Fixed,
            LimiterKind::Bucket => refill == Refill::Continuous,
            LimiterKind::Ptu => false,
        }
    }

    /// The way that decides what is shown and learned.
    fn refill(&self) -> Refill {
        let likely = Refill::ALL.into_iter().find(|refill| self.may_refill(*refill));
        likely.unwrap_or(Refill::Sliding)
    }

    /// What the provider counts for what we count.
    fn ratio(&self) -> f64 {
        self.readings.best().fit(self.refill()).ratio()
    }

    /// Uses only this part of the quota, from above 0 to 1.
    pub fn set_share(&mut self, share: f64) {
        if share.is_finite() && share > 0.0 {
            self.share = share.min(1.0);
        }
    }

    /// What we count for a call: its question and, unless it is known not to be charged, the room
    /// for its answer. Provisioned throughput: what it is expected to use.
    pub fn cost(&self, size: &Size) -> f64 {
        if self.kind() == LimiterKind::Ptu {
            let output = self.output.unwrap_or(0.5 * size.output_max).min(size.output_max);
            return size.input_real + self.terms.output_weight * output;
        }
        let Charge { output, input, .. } = self.terms.charge;
        let room = if output == Some(false) { 0.0 } else { size.output_max };
        size.input * input * ESTIMATE_HIGH + room
    }

    /// Goes on alone: with a share of what all have left of the quota, as last seen, and with what
    /// is known of the provider. It starts after `wait_ms`, so that those who go on alone do not
    /// begin together.
    pub fn isolate(&mut self, share: f64, wait_ms: f64, now: f64) {
        self.set_share(share);
        self.pass(now);
        self.tokens.scale(self.share);
        self.requests.scale(self.share);
        let share = self.share;
        self.readings.both(|observations| observations.scale(share));
        self.ptu.scale(self.share);
        (self.next_tokens, self.next_requests) = (now + wait_ms, now);
    }

    /// Moves all times.
    pub fn shift(&mut self, by_ms: f64) {
        let times = [
            &mut self.raised_at,
            &mut self.next_tokens,
            &mut self.next_requests,
            &mut self.last,
            &mut self.urgent_at,
        ];
        times.into_iter().for_each(|time| *time += by_ms);
        self.tokens.shift(by_ms);
        self.requests.shift(by_ms);
        self.readings.both(|observations| observations.shift(by_ms));
        self.ptu.shift(by_ms);
        self.breaker.shift(by_ms);
    }

    /// The limit of the whole deployment, or the share of it: what is configured, or less when the
    /// provider says so, or when it rejects and says nothing.
    fn limit_tokens(&self) -> f64 {
        let configured = self.terms.tokens_per_minute;
        // What was found stands in for a limit that nobody names.
        let found = self.found_tokens.filter(|_| !self.terms.is_limited());
        let seen = self.named_tokens.or(found);
        seen.map_or(configured, |seen| seen.min(configured)) * self.share
    }

    /// Whether a limit of tokens is configured, named or found.
    pub fn is_limited(&self) -> bool {
        self.terms.is_limited() || self.named_tokens.or(self.found_tokens).is_some()
    }

    /// Whether nobody says what the limit is: then rejections are all that tells.
    fn is_unnamed(&self) -> bool {
        !self.terms.is_limited() && self.named_tokens.is_none()
    }

    fn limit_requests(&self) -> f64 {
        let configured = self.terms.requests_per_minute;
        self.named_requests.map_or(configured, |named| named.min(configured)) * self.share
    }

    /// Time goes on.
    fn pass(&mut self, now: f64) {
        let limit = self.limit_tokens();
        let (log, to) = (&self.tokens, now - LOG_MS / 2.0);
        self.readings.both(|observations| observations.go_on(log, limit, to));
        self.tokens.forget(now - LOG_MS);
        self.requests.forget(now - 2.0 * TEN_SECONDS_MS);
        self.ptu.pass(now, limit);
        self.breaker.pass(now);
    }
}

#[cfg(test)]
#[path = "limiter_tests.rs"]
mod tests;

#[cfg(test)]
mod unnamed_tests;
