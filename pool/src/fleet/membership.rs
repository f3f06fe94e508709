//! Whether a worker shares the quota with the others, or goes on alone, and with how much.
//!
//! It must know nothing of the clock: every question carries its time.

use std::time::Duration;
use tokio::time::Instant;

/// The part of the quota that all use together when they cannot agree (POOL: degraded mode).
const MARGIN: f64 = 0.85;
/// A worker that starts without Redis waits so long: time to count the others.
const START_PAUSE: Duration = Duration::from_secs(3);

/// How a worker stands to the others.
#[derive(Clone, Copy, Debug)]
pub(super) struct Membership {
    is_alone: bool,
    has_told: bool,
    /// Up to when time without Redis has been counted.
    counted: Instant,
    /// By Redis' count.
    workers: u32,
    begun: Instant,
    has_shared: bool,
}

impl Membership {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            is_alone: false,
            has_told: false,
            counted: now,
            workers: 0,
            begun: now,
            has_shared: false,
        }
    }

    /// Redis has answered; whether that is new.
    pub(super) fn stored(&mut self, workers: u32, now: Instant) -> bool {
        let is_new = self.is_alone || !self.has_shared;
        (self.is_alone, self.has_told, self.has_shared) = (false, false, true);
        (self.workers, self.counted) = (workers, now);
        is_new
    }

    /// Redis has not answered: the whole seconds of that since the last time, and whether it is
    /// new.
    pub(super) fn lost(&mut self, now: Instant) -> (u64, bool) {
        if !self.is_alone {
            (self.is_alone, self.counted) = (true, now);
            return (0, true);
        }
        let seconds = now.saturating_duration_since(self.counted).as_secs();
        self.counted += Duration::from_secs(seconds);
        (seconds, false)
    }

    /// The part of a worker that cannot agree with the others, and how many it takes them to be:
    /// what Redis said last, or the database says now, whichever is more. None while it is too
    /// early to tell.
    pub(super) fn part(&self, by_database: u32, now: Instant) -> Option<(f64, u32)> {
        if !self.has_shared && now < self.begun + START_PAUSE {
            return None;
        }
        let workers = self.workers.max(by_database).max(1);
        Some((MARGIN / f64::from(workers), workers))
    }

    /// Whether it was said that this worker is alone.
    pub(super) fn has_told(&self) -> bool {
        self.has_told
    }

    /// It is said now.
    pub(super) fn told(&mut self) {
        self.has_told = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_counts_the_others_before_it_goes_on_alone() {
        let begun = Instant::now();
        let at = |seconds: f64| begun + Duration::from_secs_f64(seconds);
        let mut membership = Membership::new(begun);
        assert_eq!(membership.lost(at(0.5)), (0, true));
        assert_eq!(membership.part(4, at(2.9)), None);
        assert_eq!(membership.part(4, at(3.0)), Some((MARGIN / 4.0, 4)));
        assert_eq!(membership.lost(at(3.7)), (3, false));
        assert_eq!(membership.lost(at(4.2)), (0, false), "the rest was not a second yet");
        assert_eq!(membership.lost(at(4.6)), (1, false));
        assert!(membership.stored(5, at(5.0)), "it is back");
        assert!(!membership.stored(5, at(6.0)));
        assert_eq!(membership.lost(at(7.0)), (0, true));
        assert_eq!(
            membership.part(2, at(7.0)),
            Some((MARGIN / 5.0, 5)),
            "the larger number counts"
        );
    }
}
