//! When a call may be sent: no sooner than each likely way of refilling allows, and calls for which
//! nobody waits no faster than a pace.

use super::fit::Refill;
use super::{ARRIVAL_MS, Booking, Earliest, Limiter, LimiterKind, MINUTE_MS, Size};
use super::{TEN_SECONDS_MS, ptu};

/// What is free of a sliding window is used over this time (simulated: at 10 s interactive calls met
/// gaps of 18 s, at 30 s of up to 5 s, at 60 s use fell below 97 %).
const SPREAD_MS: f64 = 45_000.0;
/// How much faster than their rate requests follow each other, and tokens where nothing else is known.
const PACE: f64 = 0.3;
/// What a window never uses: our steps are coarser than the provider's.
const WINDOW_MARGIN: f64 = 0.004;
/// What may be sent at once, in time at the rate, and what more when the provider was idle: in time,
/// and at least so many calls.
const BURST_MS: f64 = 2_000.0;
/// The same of a window: what comes back at once is not to be sent at once, but what a fleet asks for
/// a little late is not lost.
const WINDOW_BURST_MS: f64 = 250.0;
const BURST_IDLE_MS: f64 = 24_000.0;
const BURST_IDLE_CALLS: f64 = 3.0;
/// A rejection within this time makes bursts smaller.
const CALM_MS: f64 = 60_000.0;
/// What is kept for calls that somebody waits for, in calls.
const KEPT_CALLS: f64 = 2.0;
/// What we may be off by of the last call of a counter.
const OFF_BY_CALL: f64 = 0.1;
/// The same of a sliding window, in whole calls: at most this part of it.
const KEPT_SLIDING: f64 = 0.035;
/// So long after the last call that somebody waited for.
const URGENT_MS: f64 = 120_000.0;
/// What is kept of a bucket that refills all the time: it costs no quota, and absorbs what we are
/// off by.
const KEPT_LEVEL: f64 = 0.1;
/// What is kept is no more than this part of what it holds, which may be a few calls.
const KEPT_MOST: f64 = 0.4;
/// What calls that somebody waits for leave of a bucket, for the same reason.
const KEPT_URGENT: f64 = 0.01;
/// So long before a counter starts anew, what was kept is used: it would be lost.
const RELEASE_MS: f64 = 2_500.0;
/// A boundary that is known to this is not looked for any more.
const CERTAIN_MS: f64 = 2_000.0;
/// How much faster a bucket is emptied that is fuller than what is kept.
const LEVEL_GAIN: f64 = 0.5;
/// The requests of a bucket that calls may take ahead for which somebody waits.
const REQUESTS_AHEAD_MS: f64 = 10_000.0;

impl Limiter {
    /// The first time from `now` on at which such a call could be sent; `urgent` if somebody waits
    /// for its answer.
    pub fn earliest(&mut self, size: &Size, urgent: bool, now: f64) -> Earliest {
        self.pass(now);
        if self.is_too_large(size) {
            return Earliest::Never;
        }
        let cost = self.cost(size);
        let open_at = self.breaker.opens_at(now);
        let mut at = open_at;
        if urgent {
            self.urgent_at = now;
        } else {
            at = at.max(self.next_tokens);
        }
        at = at.max(self.requests_at(urgent, now));
        for refill in Refill::ALL.into_iter().filter(|refill| self.may_refill(*refill)) {
            at = at.max(match refill {
                Refill::Sliding => self.sliding_at(cost, urgent, at),
                Refill::Fixed => self.fixed_at(cost, urgent, at),
                Refill::Continuous => self.continuous_at(cost, urgent, at),
            });
        }
        if self.is_configured_lower() {
            // The provider's limiter would let more in: what counts is our own log, as we count.
            at = self.tokens.falls_to(self.limit_tokens() - cost, at, MINUTE_MS);
        }
        if self.may_be_ptu() {
            let full = ptu::full(size, self.terms.output_weight);
            let is_whole = self.share >= 1.0;
            at = at.max(self.ptu.earliest(full, self.limit_tokens(), is_whole, now));
        }
        if self.is_unnamed() {
            // What was found may be less than one call: after a minute of nothing, one tells more.
            at = at.min(self.tokens.falls_to(0.0, open_at, MINUTE_MS));
        }
        Earliest::At(at)
    }

    /// Writes a call down as sent at this time, which [`Self::earliest`] gave.
    pub fn reserve(&mut self, size: &Size, at: f64) -> Booking {
        let cost = self.cost(size);
        let spacing_ms = cost / self.rate(cost, at);
        let booking = Booking { at, size: *size, cost, spacing_ms };
        let burst = self.burst(at, spacing_ms);
        self.next_tokens = self.next_tokens.max(at - burst) + spacing_ms;
        self.next_requests = self.next_requests.max(at - burst) + self.request_spacing();
        self.last = self.last.max(at);
        self.note(&booking);
        self.breaker.reserved(at);
        booking
    }

    /// Writes down what was sent without having been reserved here: after a time in which this
    /// limiter could not be asked.
    pub fn merge(&mut self, booking: &Booking) {
        self.tokens.add(booking.at, booking.cost);
        self.requests.add(booking.at, 1.0);
        if self.may_become_ptu() {
            self.ptu.merge(booking.at, ptu::full(&booking.size, self.terms.output_weight));
        }
        self.last = self.last.max(booking.at);
    }

    fn note(&mut self, booking: &Booking) {
        self.tokens.add(booking.at, booking.cost);
        self.requests.add(booking.at, 1.0);
        if self.may_become_ptu() {
            self.ptu.add(booking.at, ptu::full(&booking.size, self.terms.output_weight));
        }
    }

    /// Whether it is paced as provisioned throughput: it is, or nothing has answered yet.
    fn may_be_ptu(&self) -> bool {
        match self.kind() {
            LimiterKind::Ptu => true,
            LimiterKind::Auto => !self.has_answered,
            _ => false,
        }
    }

    /// Whether it may turn out to be provisioned throughput.
    pub(super) fn may_become_ptu(&self) -> bool {
        self.kind() == LimiterKind::Ptu || (self.terms.kind == LimiterKind::Auto && !self.says_left)
    }

    fn is_too_large(&self, size: &Size) -> bool {
        let input = size.input * self.terms.charge.input;
        let named = self.named_tokens.unwrap_or(self.terms.tokens_per_minute);
        let most = if self.terms.is_limited() { self.terms.tokens_per_minute } else { named };
        match self.kind() {
            LimiterKind::Ptu => false,
            LimiterKind::Bucket => input > most,
            LimiterKind::Auto | LimiterKind::Window | LimiterKind::FixedWindow => {
                self.cost(size) > most
            }
        }
    }

    /// When a window has room that gives back what it took a minute ago.
    fn sliding_at(&self, cost: f64, urgent: bool, at: f64) -> f64 {
        let most = self.sliding_most();
        // Unlike in the others, what is kept here is not used later: only where calls come for it.
        let is_kept = !urgent && self.urgent_at + URGENT_MS > at;
        let calls = (KEPT_SLIDING * most / cost.max(1.0)).floor().min(KEPT_CALLS);
        let kept = if is_kept { calls * cost } else { 0.0 };
        self.tokens.falls_to(most - kept - cost, at, MINUTE_MS)
    }

    /// What a sliding window may hold, in our tokens.
    pub(super) fn sliding_most(&self) -> f64 {
        let fit = self.readings.best().fit(Refill::Sliding);
        self.own(Refill::Sliding) * self.trim * (1.0 - WINDOW_MARGIN) / fit.ratio()
    }

    /// The provider's tokens a minute that are ours.
    pub(super) fn own(&self, refill: Refill) -> f64 {
        let limit = self.limit_tokens();
        match refill {
            Refill::Continuous => limit,
            _ => self.readings.best().fit(refill).own(limit / self.share) * self.share,
        }
    }

    /// When a counter has room that starts anew: somewhere between two times, so before the second
    /// of them what was used before the first counts, too.
    fn fixed_at(&self, cost: f64, urgent: bool, from: f64) -> f64 {
        let Some(boundary) = self.readings.best().boundary() else {
            return self.sliding_at(cost, urgent, from);
        };
        let own = self.own(Refill::Fixed) * self.trim * (1.0 - WINDOW_MARGIN);
        let ratio = self.readings.best().fit(Refill::Fixed).ratio();
        let mut at = from;
        loop {
            let (begin, to) = boundary.before(at);
            let is_certain = at >= to + ARRIVAL_MS;
            let (since, end) =
                if is_certain { (begin, begin + MINUTE_MS) } else { (begin - MINUTE_MS, begin) };
            let sent = self.tokens.between(since, end.max(at + 1.0));
            let room = own - ratio * (sent + (1.0 + OFF_BY_CALL) * cost);
            let kept = (KEPT_CALLS * ratio * cost).min(0.25 * own);
            let is_late = end - at <= RELEASE_MS + 1.0;
            // The last call that fits finds out in which half of a long uncertain time it starts anew.
            let middle = end + (to - begin) / 2.0;
            let finds_out = to - begin > CERTAIN_MS && room < ratio * cost && at < middle;
            match () {
                () if room >= 0.0 && !urgent && finds_out => at = middle,
                () if room >= 0.0 && (urgent || is_late || room >= kept) => return at,
                () if room >= 0.0 => at = end - RELEASE_MS,
                // It may be larger than what is ours, and then only sending it tells more.
                () if is_certain && sent <= 0.0 => return at,
                () if is_certain => at = to + MINUTE_MS + ARRIVAL_MS,
                () => at = to + ARRIVAL_MS,
            }
        }
    }

    /// When a bucket has room that refills all the time.
    fn continuous_at(&self, cost: f64, urgent: bool, at: f64) -> f64 {
        let limit = self.limit_tokens();
        let charge = self.readings.best().fit(Refill::Continuous).ratio() * cost;
        let capacity = self.readings.best().capacity(limit, charge);
        let kept = if urgent {
            KEPT_URGENT * capacity
        } else {
            f64::max(KEPT_LEVEL * limit, KEPT_CALLS * charge).min(KEPT_MOST * capacity)
        };
        let needed = charge + kept.min(capacity - charge).max(0.0);
        let level = self.readings.best().level_within(&self.tokens, limit, capacity, at);
        at + (needed - level).max(0.0) / (limit * self.trim / MINUTE_MS)
    }

    /// Whether less is configured than the provider allows: the rest is for others.
    fn is_configured_lower(&self) -> bool {
        self.kind() != LimiterKind::Ptu
            && self.named_tokens.is_some_and(|named| named > self.terms.tokens_per_minute)
    }

    /// When there is room for one more request.
    fn requests_at(&self, urgent: bool, now: f64) -> f64 {
        match self.kind() {
            LimiterKind::Ptu => now,
            LimiterKind::Bucket if urgent => self.next_requests - REQUESTS_AHEAD_MS,
            LimiterKind::Bucket => self.next_requests,
            LimiterKind::Auto | LimiterKind::Window | LimiterKind::FixedWindow => {
                let pace = if urgent { now } else { self.next_requests };
                pace.max(self.requests.falls_to(self.at_once() - 1.0, now, TEN_SECONDS_MS))
            }
        }
    }

    /// The requests that a window lets in within ten seconds.
    pub(super) fn at_once(&self) -> f64 {
        let whole = (self.limit_requests() / self.share / 6.0).ceil();
        whole.mul_add(self.share, 1e-9).floor().max(1.0)
    }

    /// Our tokens a millisecond at which calls are paced.
    fn rate(&self, cost: f64, at: f64) -> f64 {
        let limit = self.limit_tokens() * self.trim / MINUTE_MS;
        if self.kind() == LimiterKind::Ptu {
            return limit;
        }
        let likely = Refill::ALL.into_iter().filter(|refill| self.may_refill(*refill));
        let rate = |refill| {
            match refill {
                Refill::Sliding => {
                    // As much as comes back soon, and a part of what is free: so what was sent
                    // together does not come back and is not sent together again.
                    let free = self.sliding_most() - self.tokens.held(at, MINUTE_MS);
                    let soon = at - MINUTE_MS + SPREAD_MS;
                    let back = self.tokens.between(at - MINUTE_MS, soon);
                    (free.max(0.0) + back) / SPREAD_MS
                }
                Refill::Fixed => self.fixed_rate(cost, at),
                Refill::Continuous => {
                    let whole = self.limit_tokens();
                    let level = self.readings.best().level(&self.tokens, whole, at) / whole;
                    let ratio = self.readings.best().fit(refill).ratio();
                    limit / ratio * (1.0 + LEVEL_GAIN * (level - KEPT_LEVEL).max(0.0))
                }
            }
        };
        likely.map(rate).fold(f64::INFINITY, f64::min).clamp(1e-6, 1e9)
    }

    /// A counter is filled evenly over what is left of its minute, and never slower than its rate.
    fn fixed_rate(&self, cost: f64, at: f64) -> f64 {
        let ratio = self.readings.best().fit(Refill::Fixed).ratio();
        let own = self.own(Refill::Fixed) * self.trim / ratio;
        let Some(boundary) = self.readings.best().boundary() else {
            return own * (1.0 + PACE) / MINUTE_MS;
        };
        let (begin, _) = boundary.before(at);
        let end = begin + MINUTE_MS - RELEASE_MS;
        let room = own - self.tokens.between(begin, end) - KEPT_CALLS * cost;
        let left_ms = (end - at).max(RELEASE_MS);
        f64::max(own / MINUTE_MS, room / left_ms)
    }

    /// How far apart requests are paced.
    pub(super) fn request_spacing(&self) -> f64 {
        let spacing = MINUTE_MS / self.limit_requests();
        match self.kind() {
            LimiterKind::Auto | LimiterKind::Window | LimiterKind::FixedWindow => {
                spacing / (1.0 + PACE)
            }
            LimiterKind::Bucket => spacing / self.trim,
            LimiterKind::Ptu => 0.0,
        }
    }

    /// How far calls may run ahead of the pace, in time.
    fn burst(&self, at: f64, spacing_ms: f64) -> f64 {
        let calm = self.last - self.breaker.troubled_at() > CALM_MS;
        let (least, room) = match self.kind() {
            LimiterKind::Ptu => (BURST_MS, 0.0),
            LimiterKind::Bucket => {
                let level = self.readings.best().level(&self.tokens, self.limit_tokens(), at);
                (BURST_MS, (level / self.limit_tokens() - KEPT_LEVEL).clamp(0.0, 1.0))
            }
            // It may be provisioned throughput, which takes less at once.
            LimiterKind::Auto if !self.says_left && self.has_answered => (WINDOW_BURST_MS, 0.0),
            LimiterKind::Auto | LimiterKind::Window | LimiterKind::FixedWindow => {
                let held = self.tokens.held(at, MINUTE_MS) / self.sliding_most();
                (WINDOW_BURST_MS, (1.0 - held).clamp(0.0, 1.0).powi(2))
            }
        };
        if calm {
            least + f64::max(BURST_IDLE_MS, BURST_IDLE_CALLS * spacing_ms) * room
        } else {
            least
        }
    }
}
