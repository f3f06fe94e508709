//! Whether a call that takes long is made a second time elsewhere.
//!
//! A second call is paid like the first, so it is rare: only where somebody waits, only when nearly
//! all others would have been answered by now, only where there is room that nobody else wants, and
//! never more than a fixed part of all calls (the tail at scale, Dean and Barroso 2013). It decides
//! and does nothing. It must know nothing of the clock or the network.

use crate::strategy::{Candidate, Strategy, pick};
use std::time::Duration;

/// The part of the calls that somebody waits for that may be made a second time.
const PART_MAX: f64 = 0.02;

/// The most second calls that are saved up while none was needed.
const SAVED_MAX: f64 = 5.0;

/// From this load on, room is left to others.
const LOAD_MAX: f64 = 0.7;

/// A deployment with less health is no place for a second try.
const HEALTH_MIN: f64 = 0.75;

/// A call under way.
#[derive(Clone, Copy, Debug)]
pub(super) struct RunningCall {
    /// How long ago it was sent.
    pub(super) age: Duration,
    /// The time within which 95 of 100 answers of its deployment come, where that is known.
    pub(super) p95: Option<Duration>,
}

/// What to do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hedge {
    /// Nothing, whatever happens.
    Never,
    /// Nothing now; ask again when it is this old.
    At(Duration),
    /// Nothing now: there is no room elsewhere, or too many were made.
    NotNow,
    /// Make it a second time, at this deployment.
    Now(usize),
}

/// What second calls may be made: each call earns a part of one.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Allowance {
    saved: f64,
}

impl Allowance {
    /// A call was made that somebody waits for, and that is no second one.
    pub(super) fn earn(&mut self) {
        self.saved = (self.saved + PART_MAX).min(SAVED_MAX);
    }

    /// Takes one second call, where one is left.
    pub(super) fn spend(&mut self) -> bool {
        let is_left = self.is_left();
        if is_left {
            self.saved -= 1.0;
        }
        is_left
    }

    fn is_left(self) -> bool {
        // Fifty parts make a whole, whatever their sum in floating point is.
        self.saved > 1.0 - PART_MAX / 2.0
    }
}

/// What to do about a call, given the other deployments that could take it at once.
pub(super) fn hedge(call: RunningCall, others: &[Candidate], allowance: Allowance) -> Hedge {
    let Some(p95) = call.p95 else { return Hedge::Never };
    if call.age <= p95 {
        return Hedge::At(p95);
    }
    if !allowance.is_left() {
        return Hedge::NotNow;
    }
    let has_room = |other: &&Candidate| other.load < LOAD_MAX && other.health >= HEALTH_MIN;
    let free: Vec<Candidate> = others.iter().filter(has_room).copied().collect();
    // Somebody waits already: speed is what counts.
    pick(Strategy::LowestLatency, &free).map_or(Hedge::NotNow, Hedge::Now)
}

#[cfg(test)]
mod tests {
    use super::*;

    const P95: Duration = Duration::from_secs(4);

    fn late() -> RunningCall {
        RunningCall { age: P95 + Duration::from_millis(1), p95: Some(P95) }
    }

    fn idle(index: usize) -> Candidate {
        Candidate::new(index, 0)
    }

    fn plenty() -> Allowance {
        Allowance { saved: SAVED_MAX }
    }

    #[test]
    fn only_a_late_call_is_made_twice() {
        let table = [
            (late(), Hedge::Now(1)),
            (RunningCall { p95: None, ..late() }, Hedge::Never),
            (RunningCall { age: P95, ..late() }, Hedge::At(P95)),
            (RunningCall { age: Duration::ZERO, ..late() }, Hedge::At(P95)),
        ];
        for (call, expected) in table {
            assert_eq!(hedge(call, &[idle(1)], plenty()), expected, "{call:?}");
        }
    }

    #[test]
    fn only_where_there_is_room_that_nobody_else_wants() {
        let table: [(&[Candidate], Hedge); 6] = [
            (&[], Hedge::NotNow),
            (&[Candidate { load: 0.69, ..idle(1) }], Hedge::Now(1)),
            (&[Candidate { load: 0.7, ..idle(1) }], Hedge::NotNow),
            (&[Candidate { health: 0.5, ..idle(1) }], Hedge::NotNow),
            (&[Candidate { load: 0.7, ..idle(1) }, idle(2)], Hedge::Now(2)),
            (
                &[
                    Candidate { latency: Some(3.0), ..idle(1) },
                    Candidate { latency: Some(2.0), ..idle(2) },
                ],
                Hedge::Now(2),
            ),
        ];
        for (others, expected) in table {
            assert_eq!(hedge(late(), others, plenty()), expected, "{others:?}");
        }
    }

    #[test]
    fn at_most_two_of_a_hundred_are_made_twice() {
        let mut allowance = Allowance::default();
        let (mut calls, mut hedges) = (0_u32, 0_u32);
        for _ in 0..10_000 {
            calls += 1;
            allowance.earn();
            if hedge(late(), &[idle(1)], allowance) == Hedge::Now(1) {
                assert!(allowance.spend());
                hedges += 1;
            }
            assert!(f64::from(hedges) <= f64::from(calls) * PART_MAX, "{hedges} of {calls}");
        }
        assert_eq!(hedges, 200);
    }

    #[test]
    fn not_many_are_saved_up() {
        let mut allowance = Allowance::default();
        assert!(!allowance.spend());
        for _ in 0..100_000 {
            allowance.earn();
        }
        assert_eq!((0..100).filter(|_| allowance.spend()).count(), 5);
    }
}
