//! How fast calls follow each other: the limits that are used, and the paces that follow from them.
//!
//! It must know nothing of single calls, and changes nothing.

use super::{Limiter, LimiterKind, MINUTE_MS};

/// How much faster than its rate a window is filled where it has room.
const PACE: f64 = 1.3;
/// What a window never uses: its steps are coarser than the provider's.
const WINDOW_MARGIN: f64 = 0.004;
/// What may be sent at once, in time at the rate, and what more when the provider was idle.
pub(super) const BURST_MS: f64 = 2_000.0;
pub(super) const BURST_IDLE_MS: f64 = 28_000.0;
/// The part of a bucket that is kept for those who wait for an answer.
const LEVEL_GOAL: f64 = 0.5;
/// How much faster than its rate a bucket goes that is fuller than that, and slower where it is
/// less full.
const LEVEL_GAIN: f64 = 0.5;
/// A rejection within this time makes bursts smaller.
pub(super) const CALM_MS: f64 = 60_000.0;

impl Limiter {
    /// The limit of the whole deployment, or the share of it: what is configured, or less when the
    /// provider says so.
    pub(super) fn limit_tokens(&self) -> f64 {
        let configured = self.terms.tokens_per_minute;
        self.told_tokens.map_or(configured, |told| told.min(configured)) * self.share
    }

    pub(super) fn limit_requests(&self) -> f64 {
        let configured = self.terms.requests_per_minute;
        self.told_requests.map_or(configured, |told| told.min(configured)) * self.share
    }

    /// The requests that a window lets in within ten seconds.
    pub(super) fn at_once(&self) -> f64 {
        (self.limit_requests() / self.share / 6.0).ceil().mul_add(self.share, 1e-9).floor().max(1.0)
    }

    /// What a window may hold, in our tokens.
    pub(super) fn window_limit(&self) -> f64 {
        // The further we are off, the more differs from call to call.
        let others = 0.05 * self.external_load / self.terms.tokens_per_minute;
        let bias = (0.2 * (self.ratio - 1.03)).max(0.04 * (1.0 - self.ratio));
        let margin = WINDOW_MARGIN + (bias + others).clamp(0.0, 0.03);
        self.ours() * self.trim * (1.0 - margin) / self.ratio
    }

    /// The tokens a minute that external_load leave, or the share of them.
    pub(super) fn ours(&self) -> f64 {
        self.limit_tokens() - self.external_load * self.share
    }

    /// Tokens a millisecond at which calls are paced.
    pub(super) fn rate(&self) -> f64 {
        let limit = self.ours() * self.trim / MINUTE_MS;
        match self.kind {
            LimiterKind::Auto | LimiterKind::Window | LimiterKind::FixedWindow => {
                limit * PACE / self.ratio
            }
            // Half full is where it is to stay: that absorbs our bias, external_load and bursts.
            LimiterKind::Bucket => {
                limit * self.pace * (1.0 + LEVEL_GAIN * (self.level - LEVEL_GOAL))
            }
            LimiterKind::Ptu => limit,
        }
    }

    /// How far apart requests are paced.
    pub(super) fn spacing(&self) -> f64 {
        let spacing = MINUTE_MS / self.limit_requests();
        match self.kind {
            LimiterKind::Auto | LimiterKind::Window | LimiterKind::FixedWindow => spacing / PACE,
            LimiterKind::Bucket => spacing / self.trim,
            LimiterKind::Ptu => 0.0,
        }
    }

    /// How far calls may run ahead of the pace, in time.
    pub(super) fn burst(&self) -> f64 {
        let calm = self.last - self.rejected_at.max(self.opened_at) > CALM_MS;
        let room = match self.kind {
            _ if !calm => 0.0,
            // It may be provisioned throughput, which takes less at once.
            LimiterKind::Auto if self.is_silent => 0.0,
            LimiterKind::Auto | LimiterKind::Window | LimiterKind::FixedWindow => {
                (1.0 - self.tokens.sum() / self.window_limit()).clamp(0.0, 1.0).powi(2)
            }
            LimiterKind::Bucket => (self.level - LEVEL_GOAL).max(0.0),
            LimiterKind::Ptu => 0.0,
        };
        // What leaves a window at once is not sent at once again, or it would be so for ever, and
        // all of it rejected when the limit has fallen.
        let least = match self.kind {
            LimiterKind::Auto | LimiterKind::Window | LimiterKind::FixedWindow => BURST_MS / 20.0,
            LimiterKind::Bucket | LimiterKind::Ptu => BURST_MS,
        };
        least + BURST_IDLE_MS * room
    }
}
