//! A model of one deployment's limiter: answers when a call of some cost would be admitted, so that
//! none is sent to be rejected.
//!
//! It must know nothing of the clock (every question carries its time), of other deployments, or of
//! who waits. The shared slot calendar will stand in this place.

mod leasing;

use super::config::LimiterKind;
use super::headers::Limits;
use super::level::Level;
use super::share::{Lease, Share};
use super::window::{MARGIN, Quota, Window};
use std::time::Duration;
use tokio::time::Instant;

/// After a rejection has been waited out, calls start this far apart for [`RAMP`].
const RAMP_SPACING: Duration = Duration::from_millis(250);
/// Long enough for the provider to have rejected again, were it to.
const RAMP: Duration = Duration::from_secs(2);
/// After what time a call that needs a larger share is considered again; a new share comes earlier.
const SHARE_PAUSE: Duration = Duration::from_secs(1);
/// How long to wait before a call larger than a lowered limit is considered again.
const LOWERED_PAUSE: Duration = Duration::from_secs(60);
/// What provisioned throughput lets through at once, in seconds of its rate.
const PTU_BURST_SECONDS: f64 = 10.0;
/// What a bucket lets through at once, in seconds of its rate: a minute less the margin.
const BUCKET_SECONDS: f64 = 59.7;
/// Provisioned throughput is used up to this part, for what its own estimate is higher than ours.
const PTU_CEILING: f64 = 0.95;

/// What decides the admission of a call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Cost {
    /// The provider's estimate of the question.
    pub(super) tokens_input: u64,
    /// The most that the answer may have.
    pub(super) tokens_output_max: u64,
}

/// When a call would be admitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Earliest {
    /// From this time on, if nothing else is sent.
    At(Instant),
    /// It is larger than a whole minute's quota.
    Never,
}

/// A call written down in the model.
#[derive(Debug)]
pub(super) struct Reservation {
    id: u64,
    at: Instant,
    tokens: u64,
}

/// What is given back of a reservation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refund {
    /// All: the call was never made.
    All,
    /// Its tokens only: a rejected call has still used a request.
    Tokens,
}

#[derive(Clone, Debug)]
enum Model {
    Window(Window),
    Levels { tokens: Level, requests: Level },
}

/// The model of one deployment's limiter.
#[derive(Clone, Debug)]
pub(super) struct Limiter {
    kind: LimiterKind,
    output_weight: u64,
    configured: Limits,
    told: Limits,
    /// Nobody else uses this part; without a lease, it is only assumed so.
    share: Share,
    lease: Option<Lease>,
    model: Model,
    blocked_until: Option<Instant>,
    /// The part of the above, and of what was told, that others know.
    shared: (Option<Instant>, Limits),
    reported: (Option<Instant>, Limits),
    last: Option<Instant>,
    next_id: u64,
}

/// How many input tokens one output token of this model weighs on provisioned throughput.
pub(super) fn output_weight(model: &str) -> u64 {
    if model.starts_with("gpt-4") || model.starts_with("gpt-3") { 4 } else { 8 }
}

impl Limiter {
    /// A limiter that has seen no call yet.
    pub(super) fn new(
        kind: LimiterKind,
        tokens_per_minute: u64,
        requests_per_minute: u64,
        output_weight: u64,
        now: Instant,
    ) -> Self {
        let configured =
            Limits { tokens: Some(tokens_per_minute), requests: Some(requests_per_minute) };
        let model = match kind {
            LimiterKind::Auto | LimiterKind::Window => Model::Window(Window::default()),
            LimiterKind::Bucket | LimiterKind::Ptu => {
                let empty = Level::new(now, 0.0, 0.0);
                Model::Levels { tokens: empty.clone(), requests: empty }
            }
        };
        let mut limiter = Self {
            kind,
            output_weight,
            configured,
            told: Limits::default(),
            share: Share::WHOLE,
            lease: None,
            model,
            blocked_until: None,
            shared: (None, Limits::default()),
            reported: (None, Limits::default()),
            last: None,
            next_id: 0,
        };
        limiter.resize(now);
        limiter
    }

    /// What the provider charges at admission, with 8 % for what its estimate is higher than ours.
    pub(super) fn charge(&self, cost: &Cost) -> u64 {
        let input = cost.tokens_input.saturating_mul(108).div_ceil(100);
        input.saturating_add(self.output_charge(cost))
    }

    fn output_charge(&self, cost: &Cost) -> u64 {
        match self.kind {
            LimiterKind::Auto | LimiterKind::Window => cost.tokens_output_max,
            LimiterKind::Bucket => 0,
            LimiterKind::Ptu => cost.tokens_output_max.saturating_mul(self.output_weight),
        }
    }

    /// The first time from `now` on at which such a call would be admitted.
    pub(super) fn earliest(&self, now: Instant, cost: &Cost) -> Earliest {
        let tokens = self.charge(cost);
        let limited = self.kind != LimiterKind::Ptu;
        if limited && self.configured.tokens.is_some_and(|limit| tokens > limit) {
            return Earliest::Never;
        }
        let at = self.gate(now);
        if self.is_short(now, tokens) {
            return Earliest::At(at.max(now + SHARE_PAUSE));
        }
        let at = match &self.model {
            Model::Window(window) => window.earliest(at, tokens, &self.quota()),
            Model::Levels { tokens: level, requests } => {
                // Provisioned throughput lets any call in while it is not full.
                let amount = if limited { tokens as f64 } else { self.ptu_reserve() };
                level.earliest(at, amount).max(requests.earliest(at, 1.0))
            }
        };
        if limited && tokens > self.limit(|limits| limits.tokens) {
            return Earliest::At(at.max(now + LOWERED_PAUSE));
        }
        Earliest::At(at)
    }

    /// Writes a call down as sent at this time.
    pub(super) fn reserve(&mut self, at: Instant, cost: &Cost) -> Reservation {
        self.next_id += 1;
        let reservation = Reservation { id: self.next_id, at, tokens: self.charge(cost) };
        self.last = Some(self.last.map_or(at, |last| last.max(at)));
        self.enter(&reservation);
        reservation
    }

    /// The call is really sent now, which is later than was reserved: it counts from now.
    pub(super) fn sent(&mut self, reservation: &mut Reservation, now: Instant) {
        if let Model::Window(window) = &mut self.model {
            window.remove(reservation.id);
            window.insert(now, reservation.id, reservation.tokens);
        }
        reservation.at = now;
    }

    /// Gives back what the provider did not count.
    pub(super) fn refund(&mut self, reservation: &Reservation, what: Refund, now: Instant) {
        match (&mut self.model, what) {
            (Model::Window(window), Refund::All) => {
                window.remove(reservation.id);
            }
            (Model::Window(window), Refund::Tokens) => window.clear_tokens(reservation.id),
            (Model::Levels { tokens, requests }, what) => {
                tokens.take(now, -(reservation.tokens as f64));
                if what == Refund::All {
                    requests.take(now, -1.0);
                }
            }
        }
    }

    /// Charges what is only known when the call has ended. Windows keep their estimate.
    pub(super) fn settle(
        &mut self,
        reservation: &Reservation,
        tokens_input: u64,
        tokens_output: u64,
        now: Instant,
    ) {
        let Model::Levels { tokens, .. } = &mut self.model else { return };
        match self.kind {
            // A response that does not say what it used keeps its estimate.
            LimiterKind::Ptu if tokens_input.max(tokens_output) > 0 => {
                let output = self.output_weight.saturating_mul(tokens_output);
                let actual = tokens_input.saturating_add(output);
                tokens.take(now, actual as f64 - reservation.tokens as f64);
            }
            LimiterKind::Bucket => tokens.take(now, tokens_output as f64),
            _ => {}
        }
    }

    /// The provider rejected: nothing is sent before this time, and slowly at first after it.
    pub(super) fn block_until(&mut self, until: Instant) {
        self.blocked_until = Some(self.blocked_until.map_or(until, |old| old.max(until)));
    }

    /// Until when the provider wants nothing, if that is not past.
    pub(super) fn blocked(&self, now: Instant) -> Option<Instant> {
        self.blocked_until.filter(|&until| until > now)
    }

    /// Follows limits that a response names: down, and up again as far as is configured.
    pub(super) fn observe(&mut self, limits: Limits, now: Instant) {
        let told = Limits {
            tokens: limits.tokens.or(self.told.tokens),
            requests: limits.requests.or(self.told.requests),
        };
        if told != self.told {
            self.told = told;
            self.resize(now);
        }
    }

    /// Uses only this part of the quota, but at least one call; nonsense changes nothing.
    pub(super) fn set_share(&mut self, share: f64, now: Instant) {
        if share.is_finite() && share > 0.0 {
            self.share = Share::of(share);
            self.lease = None;
            self.resize(now);
        }
    }

    /// Tokens and requests that may be sent now.
    pub(super) fn available(&self, now: Instant) -> (u64, u64) {
        match &self.model {
            Model::Window(window) => {
                let (tokens, requests, recent) = window.used(now);
                let quota = self.quota();
                let left = quota.requests.saturating_sub(requests);
                let left = left.min(quota.requests_10s.saturating_sub(recent));
                (quota.tokens.saturating_sub(tokens), left)
            }
            Model::Levels { tokens, requests } => {
                // Casting saturates: below zero is zero.
                (tokens.left(now) as u64, requests.left(now) as u64)
            }
        }
    }

    /// Tokens and requests a minute that this process may use.
    pub(super) fn per_minute(&self) -> (u64, u64) {
        let quota = self.quota();
        (quota.tokens, quota.requests)
    }

    /// Tokens and requests a minute that this process may hope for.
    pub(super) fn prospect(&self) -> (f64, f64) {
        let hoped = self.lease.map_or(Share::NONE, |lease| lease.prospect);
        let part = hoped.max(self.usable()).fraction();
        let limit = |which: fn(&Limits) -> Option<u64>| (self.limit(which) as f64 * part).max(1.0);
        (limit(|limits| limits.tokens), limit(|limits| limits.requests))
    }

    /// Forgets what no longer counts.
    pub(super) fn expire(&mut self, now: Instant) {
        if let Model::Window(window) = &mut self.model {
            window.expire(now);
        }
    }

    /// The first time that rejections leave open.
    fn gate(&self, now: Instant) -> Instant {
        let Some(until) = self.blocked_until else { return now };
        let at = now.max(until);
        match self.last {
            Some(last) if at < until + RAMP && last >= until => at.max(last + RAMP_SPACING),
            _ => at,
        }
    }

    fn enter(&mut self, reservation: &Reservation) {
        match &mut self.model {
            Model::Window(window) => {
                window.insert(reservation.at, reservation.id, reservation.tokens);
            }
            Model::Levels { tokens, requests } => {
                tokens.take(reservation.at, reservation.tokens as f64);
                requests.take(reservation.at, 1.0);
            }
        }
    }

    /// The limit of the whole deployment: what is configured, or less when the provider says so.
    fn limit(&self, which: impl Fn(&Limits) -> Option<u64>) -> u64 {
        let configured = which(&self.configured).unwrap_or(u64::MAX);
        which(&self.told).map_or(configured, |told| told.min(configured))
    }

    /// The part within which calls may start.
    fn usable(&self) -> Share {
        self.lease.map_or(self.share, |lease| self.share.min(lease.target))
    }

    /// What is used and counts, with what the whole deployment allows of it: tokens, requests, and
    /// requests at once.
    fn uses(&self, now: Instant) -> [(f64, f64); 3] {
        match &self.model {
            Model::Window(window) => {
                let (tokens, requests, recent) = window.used(now);
                self.uses_of(tokens as f64, requests as f64, recent as f64)
            }
            Model::Levels { tokens, requests } => {
                self.uses_of(tokens.used(now), requests.used(now), 0.0)
            }
        }
    }

    fn uses_of(&self, tokens: f64, requests: f64, recent: f64) -> [(f64, f64); 3] {
        let tokens_limit = self.limit(|limits| limits.tokens) as f64;
        let requests_limit = self.limit(|limits| limits.requests) as f64;
        match &self.model {
            Model::Window(_) => {
                let at_once = (requests_limit / 6.0).ceil();
                [(tokens, tokens_limit), (requests, requests_limit), (recent, at_once)]
            }
            Model::Levels { .. } => {
                let tokens_whole = self.capacity_seconds() * tokens_limit / 60.0;
                let requests_whole = (BUCKET_SECONDS * requests_limit / 60.0).max(1.0);
                [(tokens, tokens_whole), (requests, requests_whole), (requests, requests_whole)]
            }
        }
    }

    fn quota(&self) -> Quota {
        let requests = self.limit(|limits| limits.requests);
        // Without a lease, everybody may make some call.
        let least = u64::from(self.lease.is_none());
        let part = |whole: u64| self.usable().units(whole).max(least);
        Quota {
            tokens: part(self.limit(|limits| limits.tokens)),
            requests: part(requests),
            requests_10s: part(requests.div_ceil(6)),
        }
    }

    fn ptu_reserve(&self) -> f64 {
        let per_second =
            self.limit(|limits| limits.tokens) as f64 * self.usable().fraction() / 60.0;
        per_second * PTU_BURST_SECONDS * (1.0 - PTU_CEILING)
    }

    /// For how many seconds of its rate a level has room.
    fn capacity_seconds(&self) -> f64 {
        if self.kind == LimiterKind::Ptu {
            PTU_BURST_SECONDS - MARGIN.as_secs_f64()
        } else {
            BUCKET_SECONDS
        }
    }

    fn resize(&mut self, now: Instant) {
        let [(_, tokens_whole), (_, requests_whole), _] = self.uses_of(0.0, 0.0, 0.0);
        let least = if self.lease.is_none() { 1.0 } else { 0.0 };
        let seconds = self.capacity_seconds();
        // What is held of the quota refills; what may be used of it has room.
        let (refills, room) = (self.share.fraction(), self.usable().fraction());
        let Model::Levels { tokens, requests } = &mut self.model else { return };
        let rate = (tokens_whole * refills).max(least) / seconds;
        tokens.resize(now, rate, (tokens_whole * room).max(least));
        let rate = requests_whole * refills / BUCKET_SECONDS;
        requests.resize(now, rate, (requests_whole * room).max(least));
    }
}

#[cfg(test)]
#[path = "limiter_tests.rs"]
mod tests;
