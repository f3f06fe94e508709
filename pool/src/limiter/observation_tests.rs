//! The models side by side, on responses that follow the rule of each.

use super::super::fit::RATIO_START;
use super::*;

const LIMIT: f64 = 60_000.0;
const COST: f64 = 2_000.0;

/// Sends a call every so often for three minutes and answers with what is left by the rule; the
/// provider counts `ratio` for what we count.
fn run(ratio: f64, every_ms: f64, left: impl Fn(&[f64], f64) -> f64) -> (Observations, SlidingLog) {
    let mut log = SlidingLog::new(LOG_STEP_MS);
    let mut observations = Observations::new(0.0, LIMIT);
    let (mut sent, mut number) = (Vec::new(), 0);
    let mut at = 0.0;
    while at < 180_000.0 {
        log.add(at, COST);
        sent.push(at);
        let left = left(&sent, at) * COST * ratio;
        let now = Observation { at, left: LIMIT - left };
        observations.observe(&LimitSample { now, cost: COST, own: COST, log: &log, limit: LIMIT });
        // Not quite evenly, as calls are.
        number += 1;
        at += every_ms * if number % 5 == 0 { 2.0 } else { 0.8 };
    }
    (observations, log)
}

/// How many calls count that were sent after a time.
fn after(sent: &[f64], time: f64) -> f64 {
    sent.iter().filter(|at| **at > time).count() as f64
}

#[test]
fn a_sliding_window_is_told_by_what_comes_back() {
    for ratio in [0.7, 1.0, 1.2] {
        let (seen, _) = run(ratio, 3_100.0, |sent, at| after(sent, at - MINUTE_MS));
        assert_eq!(seen.identified(), Some(Refill::Sliding), "{ratio}");
        let found = seen.sliding.ratio();
        assert!((found - ratio).abs() < 0.06, "{ratio}: {found}");
        assert!((seen.sliding.own(LIMIT) / LIMIT - 1.0).abs() < 0.05, "{ratio}");
    }
}

#[test]
fn a_counter_is_told_by_starting_anew_and_its_moment_by_what_counts_then() {
    for ratio in [0.7, 1.0, 1.2] {
        let phase = 23_456.0;
        let begin = |at: f64| phase + ((at - phase) / MINUTE_MS).floor() * MINUTE_MS;
        let (seen, _) = run(ratio, 2_600.0, |sent, at| after(sent, begin(at)));
        assert_eq!(seen.identified(), Some(Refill::Fixed), "{ratio}");
        assert!((seen.fixed.ratio() - ratio).abs() < 0.05, "{ratio}: {}", seen.fixed.ratio());
        let (from, to) = seen.boundary().unwrap().before(phase + 2.5 * MINUTE_MS);
        let moment = phase + 2.0 * MINUTE_MS;
        assert!((from..=to).contains(&moment) && to - from < 5_500.0, "{from} {to}");
    }
}

#[test]
fn a_bucket_is_told_by_refilling_all_the_time() {
    for ratio in [0.7, 1.0, 1.2] {
        let level = |sent: &[f64], at: f64| {
            let (mut used, mut last) = (0.0_f64, 0.0);
            for sent in sent {
                used = (used - (sent - last) / MINUTE_MS * LIMIT / (COST * ratio)).max(0.0) + 1.0;
                last = *sent;
            }
            assert!(last <= at);
            used
        };
        let (seen, log) = run(ratio, 1_600.0 * ratio, level);
        assert_eq!(seen.identified(), Some(Refill::Continuous), "{ratio}");
        let found = seen.continuous.ratio();
        assert!((found - ratio).abs() < 0.1, "{ratio}: {found}");
        assert!(seen.level(&log, LIMIT, 180_000.0) <= LIMIT);
    }
}

#[test]
fn a_bucket_that_holds_less_is_taken_to_hold_what_was_seen() {
    let (seen, _) = run(1.0, 3_000.0, |_, _| 25.0);
    let expected = LIMIT - 24.0 * COST;
    assert!(
        (seen.capacity(LIMIT, COST) / expected - 1.0).abs() < 0.02,
        "{}",
        seen.capacity(LIMIT, COST)
    );
}

#[test]
fn calls_that_are_sent_together_tell_nothing() {
    let mut log = SlidingLog::new(LOG_STEP_MS);
    let mut seen = Observations::new(0.0, LIMIT);
    for at in [0.0, 5_000.0, 10_000.0] {
        log.add(at, COST);
        log.add(at + 10.0, COST);
        let now = Observation { at, left: 100.0 };
        seen.observe(&LimitSample { now, cost: COST, own: COST, log: &log, limit: LIMIT });
    }
    assert_eq!((seen.from, seen.sliding.own(LIMIT)), (None, LIMIT));
    assert_eq!(seen.last().left, 100.0, "but that so much is left, they tell");
}

#[test]
fn a_rejection_tells_what_others_use() {
    let mut log = SlidingLog::new(LOG_STEP_MS);
    let mut seen = Observations::new(0.0, LIMIT);
    for call in 0..10 {
        log.add(f64::from(call) * 1_000.0, COST);
    }
    // Ten calls are in the window, of which five have left when it has room for the rejected one.
    let now = Observation { at: 20_000.0, left: 0.0 };
    seen.rejected(&LimitSample { now, cost: COST, own: COST, log: &log, limit: LIMIT }, 44_900.0);
    let own = seen.sliding.own(LIMIT);
    assert!((own - RATIO_START * 6.0 * COST).abs() < 1.0, "{own}");
    // An older response knows nothing of that.
    let now = Observation { at: 15_000.0, left: LIMIT };
    seen.observe(&LimitSample { now, cost: COST, own: COST, log: &log, limit: LIMIT });
    assert_eq!(seen.sliding.own(LIMIT), own);
}

#[test]
fn they_are_plain_data() {
    let (mut seen, _) =
        run(1.0, 2_600.0, |sent, at| after(sent, (at / 60_000.0).floor() * 60_000.0));
    let text = serde_json::to_string(&seen).unwrap();
    let read = serde_json::from_str::<Observations>(&text).unwrap();
    assert_eq!(read.boundary(), seen.boundary());
    seen.shift(1_000.0);
    let moved = |boundary: Option<Boundary>| boundary.unwrap().before(200_000.0).0;
    assert!((moved(seen.boundary()) - moved(read.boundary()) - 1_000.0).abs() < 1e-3);
}
