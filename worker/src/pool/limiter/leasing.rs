//! The limiter's side of a lease: what it claims and wants, what it gives back, what it tells.
//!
//! It must know nothing of the clock, or of who hands shares out.

use super::{Cost, Limiter, LimiterKind, PTU_CEILING};
use crate::pool::headers::Limits;
use crate::pool::share::{Demand, Lease, News, Share};
use std::time::Duration;
use tokio::time::Instant;

impl Limiter {
    /// Uses only what is leased, and knows what others have learned.
    pub(in crate::pool) fn set_lease(&mut self, lease: Lease, news: &News, now: Instant) {
        self.share = lease.share;
        self.lease = Some(lease);
        self.shared.0 = self.reported.0;
        if news.blocked > Duration::ZERO {
            let until = Some(now + news.blocked);
            self.blocked_until = self.blocked_until.max(until);
            self.shared.0 = self.shared.0.max(until);
        }
        // Unless it has learned better in the meantime.
        if self.told == self.reported.1 {
            let limits = news.limits();
            self.told = Limits {
                tokens: limits.tokens.or(self.told.tokens),
                requests: limits.requests.or(self.told.requests),
            };
            self.shared.1 = self.told;
        }
        self.resize(now);
    }

    /// Gives back what it should and can, and says what it has and wants when these calls wait,
    /// the first of them first.
    pub(in crate::pool) fn demand(&mut self, waiting: &[Cost], now: Instant) -> Demand {
        let uses = self.uses(now);
        let largest = |shares: [Share; 3]| shares.into_iter().max().unwrap_or_default();
        let held = largest(uses.map(|(used, whole)| Share::needed(used, whole)));
        if let Some(lease) = &self.lease {
            self.share = self.share.min(lease.target.max(held));
            self.resize(now);
        }
        let tokens: u64 = waiting.iter().map(|cost| self.charge(cost)).sum();
        let more = [tokens as f64, waiting.len() as f64, waiting.len() as f64];
        let mut want = Share::NONE;
        for ((used, whole), more) in uses.into_iter().zip(more) {
            want = want.max(Share::needed(used + more, whole));
        }
        self.reported = (self.blocked_until, self.told);
        Demand {
            share: self.share,
            held,
            want,
            unit: waiting.first().map_or(Share::NONE, |cost| self.unit(self.charge(cost))),
            grain: self.unit(0),
            news: self.news(now),
        }
    }

    /// What others do not know yet.
    fn news(&self, now: Instant) -> News {
        let (blocked, told) = self.shared;
        let until = self.blocked(now).filter(|until| Some(*until) > blocked);
        let limits = if self.told == told { Limits::default() } else { self.told };
        News {
            blocked: until.map_or(Duration::ZERO, |until| until.saturating_duration_since(now)),
            tokens: limits.tokens.unwrap_or_default(),
            requests: limits.requests.unwrap_or_default(),
        }
    }

    /// Whether such a call cannot start with this share, however long it waits.
    pub(super) fn is_short(&self, now: Instant, tokens: u64) -> bool {
        let Some(lease) = &self.lease else { return false };
        now >= lease.until || self.usable() < self.unit(tokens)
    }

    /// The smallest share with which a call of so many tokens can start.
    pub(super) fn unit(&self, tokens: u64) -> Share {
        let [(_, tokens_whole), (_, requests), (_, at_once)] = self.uses_of(0.0, 0.0, 0.0);
        let tokens = match self.kind {
            LimiterKind::Ptu => tokens_whole * (1.0 - PTU_CEILING),
            _ => tokens as f64,
        };
        let call = Share::needed(1.0, requests.min(at_once));
        Share::needed(tokens, tokens_whole).max(call)
    }
}
