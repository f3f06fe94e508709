//! What a limiter says of itself. It changes nothing.

use super::fit::Refill;
use super::{Feedback, Limiter, LimiterKind, MINUTE_MS, TEN_SECONDS_MS};

/// Less of the limit than this is chance, not external load.
const BY_CHANCE: f64 = 0.06;

impl Limiter {
    /// Whether nothing is sent, and until when: after a rejection, or after failures.
    pub fn blocked(&self, now: f64) -> Option<f64> {
        self.breaker.blocked(now)
    }

    /// Since when it cannot be used for failures, unless it can, or a call may try it now.
    pub fn out_since(&self, now: f64) -> Option<f64> {
        self.breaker.out_since(now)
    }

    /// Whether calls have failed since it last worked.
    pub fn is_failing(&self) -> bool {
        self.breaker.is_failing()
    }

    /// Tokens and requests a minute that may be used; none where no limit is known.
    pub fn per_minute(&self) -> (Option<f64>, Option<f64>) {
        let has_requests = self.terms.has_requests() || self.named_requests.is_some();
        (
            self.is_limited().then(|| self.limit_tokens()),
            has_requests.then(|| self.limit_requests()),
        )
    }

    /// Calls of this cost that may start in a millisecond, in the long run.
    pub fn supply(&self, cost: f64) -> f64 {
        let is_ptu = self.kind() == LimiterKind::Ptu;
        let ratio = if is_ptu { 1.0 } else { self.ratio() };
        let tokens = self.own(self.refill()) * self.trim / ratio / cost.max(1.0);
        let requests = if is_ptu { tokens } else { self.limit_requests() };
        tokens.min(requests) / MINUTE_MS
    }

    /// Tokens and requests that could be sent now.
    pub fn available(&self, now: f64) -> (f64, f64) {
        let used = self.requests.between(now - TEN_SECONDS_MS, now + 1.0);
        let at_once = (self.at_once() - used).max(0.0);
        match self.kind() {
            LimiterKind::Ptu => {
                (self.ptu.available(self.limit_tokens(), now), self.limit_requests())
            }
            LimiterKind::Bucket => {
                let level = self.level(now);
                let ahead = (now - self.next_requests).clamp(0.0, MINUTE_MS) / MINUTE_MS;
                let requests = ahead.max(level) * self.limit_requests();
                (level * self.limit_tokens(), requests)
            }
            LimiterKind::Auto | LimiterKind::Window | LimiterKind::FixedWindow => {
                (self.level(now) * self.limit_tokens(), at_once)
            }
        }
    }

    /// The part of a minute's quota that is left.
    fn level(&self, now: f64) -> f64 {
        let limit = self.limit_tokens();
        let refill = self.refill();
        let ratio = self.readings.best().fit(refill).ratio();
        let since = match (refill, self.readings.best().boundary()) {
            (Refill::Continuous, _) => {
                let level = self.readings.best().level(&self.tokens, limit, now);
                return (level / limit).clamp(0.0, 1.0);
            }
            (Refill::Fixed, Some(boundary)) => boundary.before(now).0,
            _ => now - MINUTE_MS,
        };
        let left = self.own(refill) - ratio * self.tokens.between(since, now + 1.0);
        (left / limit).clamp(0.0, 1.0)
    }

    /// The part of the last minute's quota that was used, as we count.
    pub fn utilisation(&self, now: f64) -> f64 {
        let ratio = if self.kind() == LimiterKind::Ptu { 1.0 } else { self.ratio() };
        let own = self.own(self.refill()).max(1.0);
        self.tokens.between(now - MINUTE_MS, now + 1.0) * ratio / own
    }

    /// What was learned from responses.
    pub fn feedback(&self, now: f64) -> Feedback {
        let limit = self.limit_tokens();
        let external_load = limit - self.own(self.refill());
        let is_chance = external_load < BY_CHANCE * limit;
        Feedback {
            ratio: self.ratio(),
            external_load: if is_chance { 0.0 } else { external_load },
            trim: self.trim,
            level: self.level(now),
            ceiling_ms: self.ptu.ceiling_ms(),
        }
    }
}
