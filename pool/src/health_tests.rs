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
    let denied = |health: &mut Health, sent, now| health.denied(sent, now, None, "401".into());
    assert!(denied(&mut health, start, at(1)));
    assert_eq!(health.denied_until(at(1)), Some(at(2)));
    assert_eq!(health.score(), 0.0);
    // Calls that were under way say nothing new.
    assert!(!denied(&mut health, start, at(2)));
    assert_eq!((health.denied_until(at(2)), health.denied_since(at(1))), (None, Some(at(1))));
    let mut now = at(2);
    for pause in [2, 4, 8, 16, 32, 60, 60] {
        health.started(now);
        assert!(health.denied_until(now).is_some(), "one at a time");
        denied(&mut health, now, now);
        assert_eq!(health.denied_until(now), Some(now + Duration::from_secs(pause)));
        now += Duration::from_secs(pause);
    }
    assert_eq!((health.denied_since(now), health.trouble()), (None, Some("401")));
    health.denied(now, now, Some(seconds(90.0)), "403".into());
    assert_eq!(health.denied_until(now), Some(now + seconds(60.0)), "never longer");
    assert_eq!((health.denied_since(now), health.trouble()), (Some(at(1)), Some("403")));
    health.succeeded(seconds(2.0), now);
    assert_eq!((health.denied_until(now), health.trouble()), (None, None));
    health.denied(now, now, None, "401".into());
    health.admitted();
    assert!(!health.is_denied(), "whoever has no room has let the key in");
    health.succeeded(seconds(4.0), now);
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
    health.failed(now + seconds(0.01), "no".into());
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
    health.failed(now, "no".into());
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
