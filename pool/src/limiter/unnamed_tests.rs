//! Deployments of which nobody names a limit: neither the configuration nor a response.

use super::*;

fn unlimited() -> Limiter {
    Limiter::new(Terms::of_quota(LimiterKind::Auto, None, None), 0.0)
}

fn size(cost: f64) -> Size {
    Size { input: 0.0, input_real: 0.0, output_max: cost }
}

fn earliest(limiter: &mut Limiter, size: &Size, now: f64) -> f64 {
    match limiter.earliest(size, false, now) {
        Earliest::At(at) => at,
        Earliest::Never => f64::INFINITY,
    }
}

fn answered(hints: LimiterHints) -> Outcome {
    Outcome::Answered { tokens_input: 500.0, tokens_output: 500.0, hints }
}

fn throttled(wait_ms: f64) -> Outcome {
    Outcome::Throttled { wait_ms, no_capacity: false, hints: LimiterHints::default() }
}

/// A provider that admits so many tokens within a time, and says nothing of it.
struct Silent {
    limit: f64,
    window_ms: f64,
    wait_ms: f64,
}

impl Silent {
    /// Calls of 1,000 tokens, as many as may be sent, eight at once, answered after two seconds; gives
    /// those let in and those rejected from the fourth minute to the tenth.
    fn meet(&self) -> (f64, f64) {
        let (mut limiter, call) = (unlimited(), size(1_000.0));
        let (mut let_in, mut rejected) = (Vec::new(), Vec::new());
        let mut under_way: Vec<(Booking, f64)> = Vec::new();
        for step in 0..6_000 {
            let now = f64::from(step) * 100.0;
            let ended: Vec<(Booking, f64)> =
                under_way.extract_if(.., |(_, sent)| *sent <= now - 2_000.0).collect();
            for (booking, sent) in ended {
                limiter.settle(&booking, sent, &answered(LimiterHints::default()), now);
            }
            while under_way.len() < 8 && earliest(&mut limiter, &call, now) <= now {
                let booking = limiter.reserve(&call, now);
                let held = let_in.iter().filter(|at| **at > now - self.window_ms).count() as f64;
                if (held + 1.0) * 1_000.0 > self.limit {
                    rejected.push(now);
                    limiter.settle(&booking, now, &throttled(self.wait_ms), now);
                } else {
                    let_in.push(now);
                    under_way.push((booking, now));
                }
            }
        }
        let counted = |times: &[f64]| times.iter().filter(|at| **at > 180_000.0).count() as f64;
        (counted(&let_in), counted(&rejected))
    }
}

#[test]
fn nothing_but_calls_at_once_bounds_what_is_sent_until_a_rejection() {
    let mut limiter = unlimited();
    for now in 0..2_000 {
        let now = f64::from(now);
        assert_eq!(earliest(&mut limiter, &size(1_000.0), now), now);
        let booking = limiter.reserve(&size(1_000.0), now);
        limiter.settle(&booking, now, &answered(LimiterHints::default()), now + 1.0);
    }
    assert_eq!((limiter.per_minute(), limiter.is_limited()), ((None, None), false));
    let bytes = serde_json::to_string(&limiter).unwrap();
    assert_eq!(serde_json::from_str::<Limiter>(&bytes).unwrap().per_minute(), (None, None));
}

#[test]
fn a_rejection_teaches_a_limit_that_is_used_and_seldom_met() {
    let providers = [
        ("a minute", 60_000.0, 60_000.0, 5_000.0, 0.75),
        // In each of the waits that it asks for nothing is sent.
        ("a minute, and long waits", 60_000.0, 60_000.0, 60_000.0, 0.6),
        ("a second", 2_000.0, 2_000.0, 1_000.0, 0.75),
        ("ten seconds", 10_000.0, 10_000.0, 10_000.0, 0.75),
    ];
    for (name, limit, window_ms, wait_ms, least) in providers {
        let (let_in, rejected) = Silent { limit, window_ms, wait_ms }.meet();
        let used = let_in * 1_000.0 / (7.0 * limit * MINUTE_MS / window_ms);
        println!("{name}: {used:.2} of the limit, {rejected} of {let_in} rejected");
        assert!(used > least && rejected < 0.05 * let_in, "{name}: {used}, {rejected}");
    }
}

#[test]
fn what_responses_name_is_the_limit_and_the_most_that_was_left_is_one_too() {
    let named = LimiterHints { tokens_limit: Some(8_000.0), ..LimiterHints::default() };
    let left = LimiterHints { tokens_left: Some(7_000.0), ..LimiterHints::default() };
    for hints in [named, left] {
        let mut limiter = unlimited();
        let booking = limiter.reserve(&size(1_000.0), 0.0);
        limiter.settle(&booking, 0.0, &answered(hints), 500.0);
        assert_eq!(limiter.per_minute().0, Some(8_000.0), "{hints:?}");
        assert_eq!(limiter.earliest(&size(8_100.0), false, 600.0), Earliest::Never);
        assert!(earliest(&mut limiter, &size(7_900.0), 600.0) > 30_000.0);
    }
}

#[test]
fn a_call_that_is_larger_than_what_was_found_is_sent_when_nothing_else_is() {
    let mut limiter = unlimited();
    let booking = limiter.reserve(&size(1_000.0), 0.0);
    limiter.settle(&booking, 0.0, &throttled(60_000.0), 100.0);
    let at = earliest(&mut limiter, &size(50_000.0), 200.0);
    assert!((60_000.0..61_000.0).contains(&at), "{at}");
    let booking = limiter.reserve(&size(50_000.0), at);
    limiter.settle(&booking, at, &throttled(1_000.0), at + 100.0);
    let small = limiter.reserve(&size(1_000.0), at + 2_000.0);
    limiter.settle(&small, at, &answered(LimiterHints::default()), at + 4_000.0);
    let again = earliest(&mut limiter, &size(50_000.0), at + 5_000.0) - at;
    assert!((62_000.0..63_000.0).contains(&again), "{again}");
}

#[test]
fn what_was_found_ends_when_a_limit_is_configured() {
    let mut limiter = unlimited();
    let booking = limiter.reserve(&size(1_000.0), 0.0);
    limiter.settle(&booking, 0.0, &throttled(60_000.0), 100.0);
    assert_eq!(limiter.per_minute().0, Some(950.0));
    limiter.configure(Terms::of_quota(LimiterKind::Auto, Some(60_000), None));
    assert_eq!(limiter.per_minute().0, Some(60_000.0));
}
