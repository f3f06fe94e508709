//! The circuit breaker of a deployment: after failures in a row nothing is sent for a while, then one
//! call goes ahead of all others. A rejection for want of room blocks, too.

use serde::{Deserialize, Serialize};

/// Failures in a row that open the breaker.
const FAILURES_MAX: u32 = 3;
/// How long it stays open at first, and at most (measured: outages of Azure regions last seconds to
/// minutes; longer pauses only make the return later).
const OPEN_MS: f64 = 1_000.0;
const OPEN_MS_MAX: f64 = 5_000.0;
/// How long a probe is waited for, at least and at most.
pub(super) const PROBE_MS: f64 = 1_500.0;
const PROBE_MS_MAX: f64 = 60_000.0;

/// Whether anything may be sent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Breaker {
    blocked_until: f64,
    /// After a rejection or an outage, one call goes ahead of all others.
    half_open: bool,
    probe_until: Option<f64>,
    /// Failures in a row, and how often in a row it opened.
    failures: u32,
    opens: u32,
    opened_at: f64,
    /// When it opened first since the deployment last worked.
    out_since: Option<f64>,
    /// When the last call was sent that failed.
    failed_at: f64,
    /// How long the last failure took to show.
    patience_ms: f64,
    rejected_at: f64,
}

impl Breaker {
    /// Closed, with nothing in its past.
    pub(super) fn new(now: f64, long_ago: f64) -> Self {
        Self {
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
        }
    }

    /// From when on a call may be sent, as far as the breaker is concerned.
    pub(super) fn opens_at(&self, now: f64) -> f64 {
        now.max(self.blocked_until).max(self.probe_until.unwrap_or(now))
    }

    /// Until when nothing is sent.
    pub(super) fn blocked(&self, now: f64) -> Option<f64> {
        Some(self.blocked_until).filter(|until| *until > now)
    }

    /// Since when it cannot be used for failures, unless it can, or a call may try it now.
    pub(super) fn out_since(&self, now: f64) -> Option<f64> {
        let rests = self.blocked(now).or(self.probe_until.filter(|until| *until > now));
        rests.and(self.out_since)
    }

    /// Whether calls have failed since it last worked.
    pub(super) fn is_failing(&self) -> bool {
        self.failures > 0
    }

    /// When something last went wrong.
    pub(super) fn troubled_at(&self) -> f64 {
        self.rejected_at.max(self.opened_at)
    }

    /// When a call was last rejected.
    pub(super) fn rejected_at(&self) -> f64 {
        self.rejected_at
    }

    /// Nothing is to be sent for so long.
    pub(super) fn block(&mut self, wait_ms: f64, now: f64) {
        self.blocked_until = self.blocked_until.max(now + wait_ms);
    }

    /// A call is reserved; it may be the probe.
    pub(super) fn reserved(&mut self, at: f64) {
        if self.half_open {
            self.probe_until = Some(at + self.patience_ms.max(PROBE_MS));
        }
    }

    /// Time has come to this: rejections are fast, so a probe that has not failed was let in.
    pub(super) fn pass(&mut self, now: f64) {
        if self.probe_until.is_some_and(|until| until <= now) {
            self.recover();
        }
    }

    /// The call that was reserved for this time was never sent: were it the probe, the next one is.
    pub(super) fn returned(&mut self) {
        self.probe_until = None;
    }

    /// The deployment works, unless something came up since this call was sent.
    pub(super) fn works(&mut self, reserved_at: f64) {
        if reserved_at > self.failed_at.max(self.rejected_at) {
            self.recover();
        }
    }

    /// A call was rejected for want of room; `half_open` if one call is to try it afterwards.
    pub(super) fn rejected(&mut self, wait_ms: f64, half_open: bool, now: f64) {
        self.block(wait_ms, now);
        (self.rejected_at, self.half_open, self.probe_until) = (now, half_open, None);
    }

    /// A call failed that was reserved for this time; `jitter` from 0 to 1.
    pub(super) fn failed(&mut self, reserved_at: f64, took_ms: f64, jitter: f64, now: f64) {
        // Calls that were under way when it opened say nothing new.
        if reserved_at < self.opened_at {
            return;
        }
        self.failed_at = self.failed_at.max(reserved_at);
        self.failures = self.failures.saturating_add(1);
        self.probe_until = None;
        self.patience_ms = (1.5 * took_ms).clamp(0.0, PROBE_MS_MAX);
        if self.failures >= FAILURES_MAX {
            self.opens = (self.opens + 1).min(10);
            let open_ms = (OPEN_MS * 2_f64.powi(self.opens as i32 - 1)).min(OPEN_MS_MAX);
            self.block(open_ms * (0.8 + 0.4 * jitter.clamp(0.0, 1.0)), now);
            self.opened_at = now;
            self.out_since = self.out_since.or(Some(now));
            self.half_open = true;
        }
    }

    fn recover(&mut self) {
        (self.half_open, self.probe_until, self.out_since) = (false, None, None);
        (self.failures, self.opens, self.patience_ms) = (0, 0, 0.0);
    }

    /// Moves all times.
    pub(super) fn shift(&mut self, by_ms: f64) {
        let times = [
            &mut self.blocked_until,
            &mut self.opened_at,
            &mut self.failed_at,
            &mut self.rejected_at,
        ];
        let perhaps = self.probe_until.as_mut().into_iter().chain(self.out_since.as_mut());
        times.into_iter().chain(perhaps).for_each(|time| *time += by_ms);
    }
}
