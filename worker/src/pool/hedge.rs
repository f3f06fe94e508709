//! Whether a call that takes long is made a second time elsewhere.
//!
//! A second call is paid like the first, so it is rare: only where somebody waits, only when nearly
//! all others would have been answered by now, only where there is room that nobody else wants, and
//! never more than a fixed part of all calls. It decides and does nothing: whoever makes the call
//! must write it down as an intent of its own first. It must know nothing of the clock or the
//! network.

use super::pick::{Candidate, Choice, Ready, Strategy, pick_by};
use std::time::Duration;

/// The part of all calls that may be made a second time.
const PART_MAX: f64 = 0.02;

/// The most second calls that are saved up while none was needed.
const SAVED_MAX: f64 = 5.0;

/// From this load on, room is left to others.
const LOAD_MAX: f64 = 0.7;

/// A deployment with less health is no place for a second try.
const HEALTH_MIN: f64 = 0.75;

/// A call under way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Running {
    /// Whether somebody waits for the answer.
    pub(super) interactive: bool,
    /// Whether it was made a second time already, or is the second itself.
    pub(super) hedged: bool,
    /// The deployment that it was sent to.
    pub(super) index: usize,
    /// How long ago it was sent.
    pub(super) age: Duration,
    /// The time within which 95 of 100 answers of that deployment come, where that is known.
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
    /// A call was made that is no second one.
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

/// What to do about a call, given all deployments of its model as they are now.
pub(super) fn hedge(call: &Running, candidates: &[Candidate], allowance: Allowance) -> Hedge {
    let Some(p95) = call.p95.filter(|_| call.interactive && !call.hedged) else {
        return Hedge::Never;
    };
    let is_other = |other: &&Candidate| other.index != call.index && other.ready != Ready::Never;
    let others: Vec<Candidate> = candidates.iter().filter(is_other).copied().collect();
    if others.is_empty() {
        return Hedge::Never;
    }
    if call.age <= p95 {
        return Hedge::At(p95);
    }
    let has_room = |other: &&Candidate| other.load < LOAD_MAX && other.health >= HEALTH_MIN;
    let free: Vec<Candidate> = others.iter().filter(has_room).copied().collect();
    // Somebody waits already: speed is what counts.
    match pick_by(Strategy::LowestLatency, &free) {
        Choice::Now(index) if allowance.is_left() => Hedge::Now(index),
        _ => Hedge::NotNow,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::Instant;

    const P95: Duration = Duration::from_secs(4);

    fn late() -> Running {
        let age = P95 + Duration::from_millis(1);
        Running { interactive: true, hedged: false, index: 0, age, p95: Some(P95) }
    }

    fn idle(index: usize) -> Candidate {
        Candidate::new(index, 0, Ready::Now)
    }

    fn plenty() -> Allowance {
        Allowance { saved: SAVED_MAX }
    }

    #[test]
    fn only_a_late_call_that_somebody_waits_for_is_made_twice() {
        let all = [idle(0), idle(1)];
        let table = [
            (late(), Hedge::Now(1)),
            (Running { interactive: false, ..late() }, Hedge::Never),
            (Running { hedged: true, ..late() }, Hedge::Never),
            (Running { p95: None, ..late() }, Hedge::Never),
            (Running { age: P95, ..late() }, Hedge::At(P95)),
            (Running { age: Duration::ZERO, ..late() }, Hedge::At(P95)),
        ];
        for (call, expected) in table {
            assert_eq!(hedge(&call, &all, plenty()), expected, "{call:?}");
        }
    }

    #[test]
    fn only_where_there_is_room_that_nobody_else_wants() {
        let at = Ready::At(Instant::now());
        let table: [(&[Candidate], Hedge); 8] = [
            (&[idle(0)], Hedge::Never),
            (&[idle(0), Candidate { ready: Ready::Never, ..idle(1) }], Hedge::Never),
            (&[idle(0), Candidate { load: 0.69, ..idle(1) }], Hedge::Now(1)),
            (&[idle(0), Candidate { load: 0.7, ..idle(1) }], Hedge::NotNow),
            (&[idle(0), Candidate { ready: at, ..idle(1) }], Hedge::NotNow),
            (&[idle(0), Candidate { health: 0.5, ..idle(1) }], Hedge::NotNow),
            (&[idle(0), Candidate { load: 0.7, ..idle(1) }, idle(2)], Hedge::Now(2)),
            (
                &[
                    Candidate { latency: Some(0.1), ..idle(0) },
                    Candidate { latency: Some(3.0), ..idle(1) },
                    Candidate { latency: Some(2.0), ..idle(2) },
                ],
                Hedge::Now(2),
            ),
        ];
        for (candidates, expected) in table {
            assert_eq!(hedge(&late(), candidates, plenty()), expected, "{candidates:?}");
        }
    }

    #[test]
    fn at_most_two_of_a_hundred_are_made_twice() {
        let all = [idle(0), idle(1)];
        let mut allowance = Allowance::default();
        let (mut calls, mut hedges) = (0_u32, 0_u32);
        for _ in 0..10_000 {
            calls += 1;
            allowance.earn();
            if hedge(&late(), &all, allowance) == Hedge::Now(1) {
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
