//! Whether a member shares the quota through Redis or goes on alone, and with which part of it.
//!
//! It must know nothing of the clock: every question carries its time.

use std::time::Duration;
use tokio::time::Instant;

/// The part of the quota that all members use together while they cannot agree: what they sent last
/// is not known to each other.
const MARGIN: f64 = 0.85;
/// A member that starts without Redis waits so long: time to count the others.
const START_PAUSE: Duration = Duration::from_secs(3);

/// How a member stands to the others.
#[derive(Clone, Copy, Debug)]
pub(super) struct Membership {
    is_alone: bool,
    is_logged: bool,
    /// Up to when time without Redis has been counted.
    counted_until: Instant,
    /// How many members Redis counted last.
    members: u32,
    started: Instant,
    has_shared: bool,
}

impl Membership {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            is_alone: false,
            is_logged: false,
            counted_until: now,
            members: 0,
            started: now,
            has_shared: false,
        }
    }

    /// Redis has answered; whether that is new.
    pub(super) fn connected(&mut self, members: u32, now: Instant) -> bool {
        let is_new = self.is_alone || !self.has_shared;
        (self.is_alone, self.is_logged, self.has_shared) = (false, false, true);
        (self.members, self.counted_until) = (members, now);
        is_new
    }

    /// Redis has not answered: the whole seconds of that since the last time, and whether it is
    /// new.
    pub(super) fn disconnected(&mut self, now: Instant) -> (u64, bool) {
        if !self.is_alone {
            (self.is_alone, self.counted_until) = (true, now);
            return (0, true);
        }
        let seconds = now.saturating_duration_since(self.counted_until).as_secs();
        self.counted_until += Duration::from_secs(seconds);
        (seconds, false)
    }

    /// The part of a member that goes on alone, and how many members that assumes: what Redis
    /// counted last, or `counted`, whichever is more. None while it is too early to tell.
    pub(super) fn part(&self, counted: u32, now: Instant) -> Option<(f64, u32)> {
        if !self.has_shared && now < self.started + START_PAUSE {
            return None;
        }
        let members = self.members.max(counted).max(1);
        Some((MARGIN / f64::from(members), members))
    }

    /// Whether it was logged that this member is alone.
    pub(super) fn is_logged(&self) -> bool {
        self.is_logged
    }

    /// It is logged now.
    pub(super) fn set_logged(&mut self) {
        self.is_logged = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_counts_the_others_before_it_goes_on_alone() {
        let started = Instant::now();
        let at = |seconds: f64| started + Duration::from_secs_f64(seconds);
        let mut membership = Membership::new(started);
        assert_eq!(membership.disconnected(at(0.5)), (0, true));
        assert_eq!(membership.part(4, at(2.9)), None);
        assert_eq!(membership.part(4, at(3.0)), Some((MARGIN / 4.0, 4)));
        assert_eq!(membership.disconnected(at(3.7)), (3, false));
        assert_eq!(membership.disconnected(at(4.2)), (0, false), "the rest was not a second yet");
        assert_eq!(membership.disconnected(at(4.6)), (1, false));
        assert!(membership.connected(5, at(5.0)), "it is back");
        assert!(!membership.connected(5, at(6.0)));
        assert_eq!(membership.disconnected(at(7.0)), (0, true));
        let part = Some((MARGIN / 5.0, 5));
        assert_eq!(membership.part(2, at(7.0)), part, "the larger number counts");
    }
}
