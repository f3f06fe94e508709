//! Whether a worker shares the quota with the others, or goes on alone, and with how much.
//!
//! It must know nothing of the clock: every question carries its time.

use crate::pool::Share;
use std::time::Duration;
use tokio::time::Instant;

/// The part of the quota that all use together when they cannot agree.
const MARGIN: f64 = 0.85;
/// For so long after the loss of Redis a share does not grow: what others have used before counts
/// at providers for a minute.
const GROWTH_PAUSE: Duration = Duration::from_secs(61);
/// The same for a worker that starts without Redis: long enough to count the others.
const START_PAUSE: Duration = Duration::from_secs(3);

/// How a worker stands to the others.
#[derive(Clone, Copy, Debug)]
pub(super) struct Standing {
    /// When Redis was lost, and from when on the share may grow.
    alone: Option<(Instant, Instant)>,
    /// Up to when time without Redis has been counted.
    counted: Instant,
    /// By Redis' count.
    workers: u32,
    begun: Instant,
    has_shared: bool,
}

impl Standing {
    pub(super) fn new(now: Instant) -> Self {
        Self { alone: None, counted: now, workers: 0, begun: now, has_shared: false }
    }

    /// Redis has answered; whether that is new.
    pub(super) fn found(&mut self, workers: u32, now: Instant) -> bool {
        let is_new = self.alone.take().is_some() || !self.has_shared;
        (self.workers, self.has_shared, self.counted) = (workers, true, now);
        is_new
    }

    /// Redis has not answered: the whole seconds of that since the last time, and whether it is
    /// new.
    pub(super) fn lost(&mut self, now: Instant) -> (u64, bool) {
        if self.alone.is_none() {
            let grows = if self.has_shared { now + GROWTH_PAUSE } else { self.begun + START_PAUSE };
            self.alone = Some((now, grows));
            self.counted = now;
            return (0, true);
        }
        let seconds = now.saturating_duration_since(self.counted).as_secs();
        self.counted += Duration::from_secs(seconds);
        (seconds, false)
    }

    /// Whether what the others have used before the loss has stopped counting.
    pub(super) fn may_grow(&self, now: Instant) -> bool {
        self.alone.is_some_and(|(_, grows)| now >= grows)
    }

    /// The last known number of workers; 0 when it was never known.
    pub(super) fn workers(&self) -> u32 {
        self.workers
    }
}

/// The part of a worker that cannot agree with the others, and how many it takes them to be: what
/// Redis said last, or the database says now, whichever is more.
pub(super) fn alone(by_redis: u32, by_database: u32) -> (Share, u32) {
    let workers = by_redis.max(by_database).max(1);
    (Share::of(MARGIN / f64::from(workers)), workers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_grows_only_when_what_others_used_has_stopped_counting() {
        let begun = Instant::now();
        let at = |seconds: f64| begun + Duration::from_secs_f64(seconds);
        let mut standing = Standing::new(begun);
        assert!(standing.found(4, at(1.0)));
        assert!(!standing.found(4, at(2.0)));
        assert_eq!(standing.lost(at(2.5)), (0, true));
        assert_eq!(standing.lost(at(4.0)), (1, false));
        assert_eq!(standing.lost(at(4.6)), (1, false));
        assert!(!standing.may_grow(at(60.0)));
        assert!(standing.may_grow(at(63.5)));
        assert!(standing.found(3, at(64.0)));
        assert!(!standing.may_grow(at(64.0)));
        assert_eq!(standing.workers(), 3);
    }

    #[test]
    fn a_start_without_redis_waits_until_the_others_are_counted() {
        let begun = Instant::now();
        let mut standing = Standing::new(begun);
        standing.lost(begun);
        assert!(!standing.may_grow(begun + Duration::from_secs(2)));
        assert!(standing.may_grow(begun + Duration::from_secs(3)));
    }

    #[test]
    fn the_larger_count_is_believed() {
        assert_eq!(alone(4, 1), (Share::of(0.2125), 4));
        assert_eq!(alone(1, 5), (Share::of(0.17), 5));
        assert_eq!(alone(0, 0), (Share::of(0.85), 1));
    }
}
