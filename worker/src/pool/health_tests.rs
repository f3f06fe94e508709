use super::*;

fn seconds(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

/// How long it is left alone.
fn rest(health: &Health, now: Instant) -> f64 {
    match health.fitness(now) {
        Fitness::CoolingUntil(until) => until.duration_since(now).as_secs_f64(),
        other => panic!("{other:?}"),
    }
}

/// One that failed three times just before this.
fn open(now: Instant) -> Health {
    let mut health = Health::default();
    for _ in 0..3 {
        health.failed(now, now, 0.5);
    }
    health
}

#[test]
fn the_third_failure_opens_the_breaker_and_each_next_for_longer() {
    let start = Instant::now();
    let mut now = start;
    let mut health = Health::default();
    for _ in 0..2 {
        health.started(now);
        health.failed(now, now, 0.5);
        assert_eq!(health.fitness(now), Fitness::Well);
    }
    for expected in [1.0, 2.0, 4.0, 5.0, 5.0] {
        health.started(now);
        health.failed(now, now, 0.5);
        assert_eq!(rest(&health, now), expected);
        assert_eq!(health.out_since(now), Some(start));
        now += seconds(expected);
        assert_eq!(health.out_since(now), None, "a call may try it");
        assert_eq!(health.fitness(now), Fitness::Well);
    }
    health.succeeded(seconds(1.0), now);
    health.failed(now, now, 0.5);
    assert_eq!(health.fitness(now), Fitness::Well, "an answer ends the row");
}

#[test]
fn chance_spreads_the_rest_by_a_fifth() {
    let now = Instant::now();
    for (jitter, expected) in [(0.0, 0.8), (0.5, 1.0), (1.0, 1.2), (7.0, 1.2)] {
        let mut health = Health::default();
        for _ in 0..3 {
            health.failed(now, now, jitter);
        }
        assert_eq!(rest(&health, now), expected);
    }
}

#[test]
fn calls_that_were_under_way_when_it_opened_do_not_open_it_again() {
    let now = Instant::now();
    let mut health = Health::default();
    for ms in 1..60 {
        health.failed(now, now + Duration::from_millis(ms), 0.5);
    }
    assert!(rest(&health, now + Duration::from_millis(60)) < 1.0);
    // But after its rest one failure is enough.
    let later = now + seconds(2.0);
    health.started(later);
    health.failed(later, later, 0.5);
    assert_eq!(rest(&health, later), 2.0);
}

#[test]
fn one_call_tries_it_and_others_follow_when_it_has_not_failed() {
    let now = Instant::now();
    let mut health = open(now);
    let now = now + seconds(1.0);
    health.started(now);
    assert_eq!(rest(&health, now), 1.0, "one at a time");
    // Rejections are fast: no news within a second are good news.
    let now = now + seconds(1.0);
    for _ in 0..9 {
        assert_eq!(health.fitness(now), Fitness::Well);
        health.started(now);
    }
    health.failed(now, now, 0.5);
    assert_eq!(rest(&health, now), 2.0);
}

#[test]
fn where_failures_show_late_the_call_that_tries_it_has_more_time() {
    let now = Instant::now();
    let mut health = Health::default();
    for _ in 0..3 {
        health.failed(now, now + seconds(12.0), 0.5);
    }
    let now = now + seconds(13.0);
    health.started(now);
    assert_eq!(rest(&health, now), 12.0);
    health.succeeded(seconds(3.0), now + seconds(3.0));
    assert_eq!(health.fitness(now + seconds(3.0)), Fitness::Well);
}

#[test]
fn a_call_that_was_to_try_it_and_did_not_is_made_up_for() {
    let now = Instant::now();
    let mut health = open(now);
    let now = now + seconds(1.0);
    health.started(now);
    health.withdrawn(now);
    assert_eq!(health.fitness(now), Fitness::Well);
    health.started(now);
    assert_eq!(rest(&health, now), 1.0);
    let mut well = Health::default();
    well.started(now);
    well.withdrawn(now);
    assert_eq!(well.fitness(now), Fitness::Well);
}

#[test]
fn a_refusal_lasts_until_a_probe_succeeds() {
    let start = Instant::now();
    let at = |seconds| start + Duration::from_secs(seconds);
    let mut health = Health::default();
    health.denied(start, "401".into());
    assert_eq!(health.fitness(at(29)), Fitness::DeniedUntil(at(30)));
    assert_eq!(health.score(), 0.0);
    assert_eq!(health.fitness(at(30)), Fitness::Well);
    health.started(at(30));
    assert_eq!(health.fitness(at(30)), Fitness::DeniedUntil(at(60)));
    assert_eq!(health.denial(), Some("401"));
    health.succeeded(seconds(2.0), at(31));
    assert_eq!((health.fitness(at(31)), health.denial()), (Fitness::Well, None));
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
    health.failed(now, now + seconds(0.01), 0.5);
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
    health.failed(now, now, 0.5);
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
