//! What failures and successes do to the health of a deployment.

use super::*;

fn seconds(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

#[test]
fn a_refusal_lasts_until_a_probe_succeeds() {
    let start = Instant::now();
    let at = |seconds| start + Duration::from_secs(seconds);
    let mut health = Health::default();
    health.denied(start, "401".into());
    assert_eq!(health.denied_until(at(29)), Some(at(30)));
    assert_eq!(health.score(), 0.0);
    assert_eq!((health.denied_until(at(30)), health.denied_since(at(30))), (None, None));
    health.started(at(30));
    assert_eq!(health.denied_until(at(30)), Some(at(60)), "one at a time");
    health.denied(at(31), "401".into());
    assert_eq!(health.denied_since(at(31)), Some(start));
    assert_eq!(health.denial(), Some("401"));
    health.succeeded(seconds(2.0), at(31));
    assert_eq!((health.denied_until(at(31)), health.denial()), (None, None));
    health.succeeded(seconds(4.0), at(32));
    assert_eq!(health.latency(), Some(Duration::from_millis(2400)));
    assert_eq!(health.score(), 1.0);
}

#[test]
fn who_fails_fast_looks_slow_until_it_is_forgotten() {
    let now = Instant::now();
    let mut health = Health::default();
    assert_eq!(health.latency_peak(now), None);
    for _ in 0..50 {
        health.succeeded(seconds(2.0), now);
    }
    assert_eq!(health.latency_peak(now), Some(2.0));
    health.failed(now + seconds(0.01));
    let peak = |after: f64| health.latency_peak(now + seconds(0.01 + after)).unwrap();
    assert_eq!(peak(0.0), 30.0);
    assert!((12.0..13.0).contains(&peak(10.0)), "{}", peak(10.0));
    assert!((2.0..2.1).contains(&peak(60.0)), "{}", peak(60.0));
    assert_eq!(health.latency(), Some(seconds(2.0)), "the mean is that of answers");
    assert_eq!(health.score(), 0.5);
}

#[test]
fn one_that_only_failed_is_slow_then_tried_again() {
    let now = Instant::now();
    let mut health = Health::default();
    health.failed(now);
    assert_eq!(health.latency_peak(now), Some(30.0));
    assert!(health.latency_peak(now + seconds(60.0)).unwrap() < 0.1);
}

#[test]
fn a_peak_is_felt_at_once_and_forgotten_slowly() {
    let now = Instant::now();
    let mut health = Health::default();
    health.succeeded(seconds(1.0), now);
    health.succeeded(seconds(9.0), now);
    assert_eq!(health.latency_peak(now), Some(9.0));
    assert_eq!(health.latency(), Some(seconds(2.6)));
    health.succeeded(seconds(1.0), now);
    assert!(health.latency_peak(now).unwrap() > 8.0);
}

#[test]
fn the_slowest_are_estimated_from_the_last_hundred() {
    let now = Instant::now();
    let mut health = Health::default();
    for number in 1..20 {
        health.succeeded(seconds(f64::from(number)), now);
    }
    assert_eq!(health.latency_p95(), None, "too few");
    health.succeeded(seconds(20.0), now);
    assert_eq!(health.latency_p95(), Some(seconds(19.0)));
    for number in 1..=100 {
        health.succeeded(seconds(f64::from(number)), now);
    }
    assert_eq!(health.latency_p95(), Some(seconds(95.0)));
}
