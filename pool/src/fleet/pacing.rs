//! How long a member pauses between two exchanges with a shared state, so that the exchanges of the
//! whole fleet stay few however many members it has. Pure functions.
//!
//! An exchange gives slots up to a second ahead, and takes all waiting calls of its member at once.
//! So the fleet uses the whole quota if one member with waiting calls exchanges every second, and
//! any further exchange only shortens the wait of bulk calls.

use super::state_store::MemberCounts;
use std::time::Duration;

/// How long a member goes without a request to Redis: after that it sends a heartbeat, which also
/// finds out whether the state is still the same.
pub(super) const HEARTBEAT: Duration = Duration::from_secs(1);
/// The longest pause between attempts while Redis does not answer.
pub(super) const RETRY_MAX: Duration = Duration::from_secs(1);

/// How often all members of a group exchange together.
struct Rates {
    /// Calls that get a slot for each exchange, which costs two commands.
    calls_per_exchange: f64,
    /// Exchanges a second, at least: there are no gaps of a second, and bulk calls of a small fleet do
    /// not wait long.
    min: f64,
    /// Exchanges a second, at most: one takes some milliseconds, and no other can be made meanwhile.
    max: f64,
}

const USUAL: Rates = Rates { calls_per_exchange: 3.0, min: 8.0, max: 30.0 };
/// The same if several tenants wait. Slots are kept for a tenant that is behind for 0.4 s only: its
/// member has to come back before.
const RIVALS: Rates = Rates { calls_per_exchange: 1.0, min: 16.0, max: 60.0 };
/// The bounds of a pause, for calls whose answer nobody waits for.
const PAUSE_MIN: Duration = Duration::from_millis(20);
const PAUSE_MAX: Duration = Duration::from_secs(2);
/// The pause before an exchange for an interactive call: for each member that waits, and its bounds.
const URGENT_PER_MEMBER: Duration = Duration::from_millis(2);
const URGENT_MIN: Duration = Duration::from_millis(10);
const URGENT_MAX: Duration = Duration::from_millis(100);
/// How long an exchange of another member may take.
const BUSY: Duration = Duration::from_millis(15);
/// Members that wait for the same slot ask for it within this time: less than slots are given ahead.
const SPREAD_MAX: Duration = Duration::from_millis(800);

/// The pause after an exchange. `is_waiting` if it left calls without a slot: those members take
/// turns, and all others take turns apart from them, so that the only member with a backlog is not
/// slowed down by many that have none.
pub(super) fn pause(
    counts: MemberCounts,
    is_waiting: bool,
    calls_per_second: f64,
    has_rivals: bool,
) -> Duration {
    let rates = if has_rivals && is_waiting { RIVALS } else { USUAL };
    let members = if is_waiting { counts.waiting } else { counts.exchanging };
    let exchanges = (calls_per_second / rates.calls_per_exchange).clamp(rates.min, rates.max);
    Duration::from_secs_f64(f64::from(members.max(1)) / exchanges).clamp(PAUSE_MIN, PAUSE_MAX)
}

/// The pause before an exchange for a call whose answer is waited for.
pub(super) fn pause_urgent(counts: MemberCounts) -> Duration {
    (URGENT_PER_MEMBER * counts.waiting).clamp(URGENT_MIN, URGENT_MAX)
}

/// The pause before a member asks again that found another one at its turn.
pub(super) fn pause_busy() -> Duration {
    BUSY
}

/// How much later than the next slot may be asked for, to be scaled by a random number.
pub(super) fn spread(pause: Duration) -> Duration {
    pause.min(SPREAD_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(exchanging: u32, waiting: u32) -> MemberCounts {
        MemberCounts { members: exchanging, exchanging, waiting }
    }

    fn check(counts: MemberCounts, is_waiting: bool, calls_per_second: f64, expected_ms: u64) {
        let pause = pause(counts, is_waiting, calls_per_second, false);
        assert_eq!(pause.as_millis() as u64, expected_ms, "{counts:?} {calls_per_second}");
    }

    #[test]
    fn the_exchanges_of_a_fleet_do_not_grow_with_it() {
        // Alone: 8 to 30 a second.
        check(counts(0, 0), false, 0.0, 125);
        check(counts(1, 0), false, 1e6, 33);
        check(counts(16, 4), false, 0.0, 2_000);
        check(counts(16, 4), true, 0.0, 500);
        check(counts(30, 15), true, 400.0, 500);
        check(counts(64, 64), true, 400.0, 2_000);
        check(counts(1_000, 1), true, 400.0, 33);
        let rivals = pause(counts(4, 4), true, 40.0, true);
        assert_eq!(rivals, Duration::from_millis(100));
    }

    #[test]
    fn interactive_calls_do_not_wait_for_turns() {
        assert_eq!(pause_urgent(counts(64, 0)), URGENT_MIN);
        assert_eq!(pause_urgent(counts(64, 64)), URGENT_MAX);
    }
}
