//! The model against the rules that it models, on made-up time.

use super::*;

fn terms(kind: LimiterKind) -> Terms {
    Terms {
        kind,
        tokens_per_minute: 60_000.0,
        requests_per_minute: 60.0,
        output_weight: 4.0,
        charge: Default::default(),
    }
}

fn size(input: f64, output_max: f64) -> Size {
    Size { input: input / ESTIMATE_HIGH, input_real: input, output_max }
}

fn at(limiter: &mut Limiter, size: &Size, now: f64) -> f64 {
    match limiter.earliest(size, false, now) {
        Earliest::At(at) => at,
        Earliest::Never => f64::INFINITY,
    }
}

/// Reserves as many as start within this time.
fn fill(limiter: &mut Limiter, size: &Size, from: f64, until: f64) -> Vec<Booking> {
    let mut bookings = Vec::new();
    while let Earliest::At(at) = limiter.earliest(size, false, from)
        && at < until
    {
        bookings.push(limiter.reserve(size, at));
    }
    bookings
}

fn throttled(wait_ms: f64) -> Outcome {
    Outcome::Throttled { wait_ms, no_capacity: false, hints: LimiterHints::default() }
}

fn failed() -> Outcome {
    Outcome::Failed { charged: false, took_ms: 20.0, jitter: 0.5 }
}

fn answered(tokens_input: f64, tokens_output: f64, hints: LimiterHints) -> Outcome {
    Outcome::Answered { tokens_input, tokens_output, hints }
}

#[test]
fn a_window_holds_no_more_than_its_minute_and_its_ten_seconds() {
    let mut limiter = Limiter::new(terms(LimiterKind::Window), 0.0);
    let small = size(100.0, 900.0);
    let bookings = fill(&mut limiter, &small, 0.0, 300_000.0);
    for (index, booking) in bookings.iter().enumerate() {
        let within = |span: f64| {
            bookings[..=index].iter().filter(|other| other.at > booking.at - span).count()
        };
        assert!(within(60_000.0) <= 60 && within(10_000.0) <= 10, "{index}: {}", booking.at);
    }
    // 59 fit a minute with the margins; they come a step later each minute.
    assert!(bookings.len() >= 58 * 5, "{}", bookings.len());
    assert_eq!(limiter.earliest(&size(1.0, 60_000.0), false, 0.0), Earliest::Never);
    let last = bookings.last().unwrap().at;
    assert!(at(&mut limiter, &size(0.0, 60_000.0), 300_000.0) >= last + 60_000.0);
}

#[test]
fn an_idle_deployment_takes_a_burst_and_a_shaken_one_does_not() {
    let small = size(100.0, 900.0);
    for (kind, expected) in
        [(LimiterKind::Window, 10), (LimiterKind::Bucket, 15), (LimiterKind::Ptu, 2)]
    {
        let mut limiter = Limiter::new(terms(kind), 0.0);
        let bookings = fill(&mut limiter, &small, 0.0, 10.0);
        assert!(bookings.len() >= expected, "{kind:?}: {}", bookings.len());
        limiter.settle(&bookings[0], 0.0, &throttled(1_000.0), 10.0);
        let after = fill(&mut limiter, &small, 1_010.0, 1_020.0);
        assert!(after.len() <= 2, "{kind:?}: {}", after.len());
    }
}

#[test]
fn a_bucket_pays_answers_when_they_end_and_serves_the_urgent_from_its_store() {
    let many = Terms { requests_per_minute: 6_000.0, ..terms(LimiterKind::Bucket) };
    let mut limiter = Limiter::new(many, 0.0);
    let one = size(500.0, 1_000.0);
    assert_eq!(limiter.cost(&one), 1_000.0);
    let bookings = fill(&mut limiter, &one, 0.0, 20_000.0);
    let wait = at(&mut limiter, &one, 0.0);
    assert!(wait >= 20_000.0);
    assert_eq!(limiter.earliest(&one, true, 0.0), Earliest::At(0.0));
    for booking in &bookings {
        limiter.settle(
            booking,
            booking.at,
            &answered(500.0, 100.0, LimiterHints::default()),
            5_000.0,
        );
    }
    assert!(at(&mut limiter, &one, 0.0) < wait - 5_000.0);
    assert!(limiter.cost(&one) < 650.0);
}

#[test]
fn provisioned_throughput_learns_how_much_it_takes_at_once() {
    let mut limiter = Limiter::new(terms(LimiterKind::Ptu), 0.0);
    let one = size(1_000.0, 1_000.0);
    let first = fill(&mut limiter, &one, 0.0, 1.0);
    let before = limiter.ceiling_ms;
    limiter.settle(&first[0], 0.0, &throttled(40.0), 20.0);
    assert!(limiter.ceiling_ms < before);
    assert_eq!(limiter.trim, 1.0);
    assert_eq!(limiter.blocked(20.0), Some(60.0));
    at(&mut limiter, &one, 60.0);
    let booking = limiter.reserve(&one, 60.0);
    let used = limiter.used_now(60.0);
    limiter.settle(&booking, 60.0, &answered(1_000.0, 10.0, LimiterHints::default()), 60.0);
    assert!((used - limiter.used_now(60.0) - 4.0 * 990.0).abs() < 1e-6);
}

#[test]
fn what_is_counted_more_than_we_count_makes_the_window_smaller() {
    let mut limiter = Limiter::new(terms(LimiterKind::Window), 0.0);
    let one = size(500.0, 500.0);
    let mut now = 0.0;
    for _ in 0..400 {
        now = at(&mut limiter, &one, now);
        let booking = limiter.reserve(&one, now);
        let left = 60_000.0 - 1.1 * booking.expected;
        let hints = LimiterHints { tokens_left: Some(left), ..LimiterHints::default() };
        limiter.settle(&booking, now, &answered(1.0, 1.0, hints), now);
    }
    assert!((limiter.ratio - 1.1).abs() < 0.01, "{}", limiter.ratio);
    assert!(limiter.window_limit() < 60_000.0 / 1.09);
}

#[test]
fn strangers_are_found_out_by_one_response_or_one_rejection() {
    let one = size(150.0, 150.0);
    let many = Terms { requests_per_minute: 6_000.0, ..terms(LimiterKind::Window) };
    let mut limiter = Limiter::new(many, 0.0);
    let mut now = 0.0;
    let last = loop {
        now = at(&mut limiter, &one, now + 500.0);
        let booking = limiter.reserve(&one, now);
        if now > 120_000.0 {
            break booking;
        }
        let hints = LimiterHints {
            tokens_left: Some(60_000.0 - booking.expected),
            ..LimiterHints::default()
        };
        limiter.settle(&booking, now, &answered(500.0, 1.0, hints), now);
    };
    assert_eq!((limiter.ratio, limiter.external_load), (1.0, 0.0));
    let mut told = limiter.clone();
    let hints = LimiterHints { tokens_left: Some(0.0), ..LimiterHints::default() };
    told.settle(&last, now, &answered(500.0, 1.0, hints), now);
    let others = 60_000.0 - last.expected;
    assert!(others > 0.06 * 60_000.0);
    assert_eq!(told.external_load, 0.5 * others, "half of the way, for it may be chance");
    // When it has room again, it is ours that has left.
    limiter.settle(&last, now, &throttled(20_000.0), now);
    let left = limiter.tokens.within(now + 20_000.0, MINUTE_MS) + limiter.cost(&one);
    assert!((limiter.external_load - (60_000.0 - left)).abs() < 1e-6, "{}", limiter.external_load);
    assert_eq!(limiter.blocked(now), Some(now + 20_000.0));
    // They go, and responses tell.
    let mut after = now + 20_000.0;
    for _ in 0..60 {
        after = at(&mut limiter, &one, after + 500.0);
        let booking = limiter.reserve(&one, after);
        let hints = LimiterHints {
            tokens_left: Some(60_000.0 - booking.expected),
            ..LimiterHints::default()
        };
        limiter.settle(&booking, after, &answered(500.0, 1.0, hints), after);
    }
    assert_eq!((limiter.ratio, limiter.external_load), (1.0, 0.0));
}

#[test]
fn what_was_used_before_is_found_out_from_the_first_response() {
    let mut limiter = Limiter::new(terms(LimiterKind::Window), 0.0);
    let one = size(500.0, 500.0);
    let booking = limiter.reserve(&one, 0.0);
    let hints = LimiterHints { tokens_left: Some(9_000.0), ..LimiterHints::default() };
    limiter.settle(&booking, 0.0, &answered(1.0, 1.0, hints), 100.0);
    assert!((limiter.tokens.sum() - 51_000.0).abs() < 1.0, "{}", limiter.tokens.sum());
}

#[test]
fn limits_are_followed_down_and_up_again_as_far_as_is_configured() {
    let mut limiter = Limiter::new(terms(LimiterKind::Bucket), 0.0);
    for (told, expected) in [(30_000.0, 30_000.0), (90_000.0, 60_000.0)] {
        let booking = limiter.reserve(&size(1.0, 1.0), 0.0);
        let hints = LimiterHints { tokens_limit: Some(told), ..LimiterHints::default() };
        limiter.settle(&booking, 0.0, &answered(1.0, 1.0, hints), 0.0);
        assert_eq!(limiter.per_minute().0, expected);
    }
}

#[test]
fn the_first_responses_tell_the_kind() {
    let left = |left: f64| LimiterHints { requests_left: Some(left), ..LimiterHints::default() };
    let limited = |left_: f64| LimiterHints { requests_limit: Some(60.0), ..left(left_) };
    let table = [
        (left(9.0), LimiterKind::Window),
        (limited(59.0), LimiterKind::Bucket),
        (LimiterHints { renews: true, ..limited(3.0) }, LimiterKind::Bucket),
        (limited(9.0), LimiterKind::Auto),
        (LimiterHints::default(), LimiterKind::Auto),
        (LimiterHints { exact: true, ..LimiterHints::default() }, LimiterKind::Ptu),
    ];
    for (hints, expected) in table {
        let mut limiter = Limiter::new(terms(LimiterKind::Auto), 0.0);
        let booking = limiter.reserve(&size(1.0, 1.0), 0.0);
        let outcome = Outcome::Throttled { wait_ms: 1.0, no_capacity: false, hints };
        limiter.settle(&booking, 0.0, &outcome, 0.0);
        assert_eq!(limiter.kind(), expected, "{hints:?}");
    }
}

#[test]
fn one_that_turns_out_to_be_provisioned_holds_what_was_sent() {
    let mut limiter = Limiter::new(terms(LimiterKind::Auto), 0.0);
    let one = size(3_900.0, 100.0);
    let sent = fill(&mut limiter, &one, 0.0, 20_000.0);
    let hints = LimiterHints { exact: true, ..LimiterHints::default() };
    let outcome = Outcome::Throttled { wait_ms: 40.0, no_capacity: false, hints };
    let last = sent.last().unwrap();
    limiter.settle(last, last.at, &outcome, last.at);
    // A token drains in a millisecond; the last call, 3,900 and four times 100, was not let in.
    let (held, used) = (4_300.0 * (sent.len() - 1) as f64 - last.at, limiter.used_now(last.at));
    assert!(held > 2_000.0 && (used - held).abs() < 1e-6, "{used} {held}");
    assert!(limiter.ceiling_ms < CEILING_MS);
}

#[test]
fn one_of_unknown_kind_gets_no_more_at_once_than_any_kind_takes() {
    let one = size(1_000.0, 1_000.0);
    let silent = LimiterHints::default();
    let window = LimiterHints { requests_left: Some(9.0), ..silent };
    let bucket = LimiterHints { renews: true, ..silent };
    // Two times 5,000 pass the ceiling of 7 s; a window and a bucket still have their store.
    for (hints, expected) in [(silent, 1), (window, 8), (bucket, 11)] {
        let mut limiter = Limiter::new(terms(LimiterKind::Auto), 0.0);
        let sent = fill(&mut limiter, &one, 0.0, 500.0);
        assert_eq!(sent.len(), 2);
        limiter.settle(&sent[0], 0.0, &answered(1_000.0, 1_000.0, hints), 500.0);
        let more = fill(&mut limiter, &one, 500.0, 510.0).len();
        assert_eq!(more, expected, "{hints:?}");
    }
}

#[test]
fn those_who_go_on_alone_do_not_all_pass_the_ceiling_with_their_last_call() {
    let one = size(100.0, 100.0);
    let mut limiter = Limiter::new(terms(LimiterKind::Ptu), 0.0);
    for (share, expected) in [(1.0, 0.0), (0.25, 3_000.0)] {
        limiter.set_share(share);
        (limiter.next_tokens, limiter.used) = (0.0, LeakyBucket::new(0.0));
        limiter.used.add(0.0, 2_000.0);
        // A quarter of 7 s at the rate are 1,750, and the call counts 500.
        assert_eq!(at(&mut limiter, &one, 0.0), expected);
    }
    // One that is larger than the share goes when nothing else is under way.
    let large = size(1_000.0, 1_000.0);
    assert_eq!(at(&mut limiter, &large, 0.0), 8_000.0);
}

#[test]
fn what_one_calendar_was_taught_another_adopts() {
    let one = size(500.0, 500.0);
    let mut taught = Limiter::new(terms(LimiterKind::Auto), 0.0);
    assert_eq!(taught.knowledge(), None);
    let booking = taught.reserve(&one, 0.0);
    let hints = LimiterHints { requests_left: Some(9.0), ..LimiterHints::default() };
    taught.settle(&booking, 0.0, &answered(500.0, 80.0, hints), 900.0);
    taught.told_tokens = Some(30_000.0);
    (taught.trim, taught.ceiling_ms) = (0.9, 7_000.0);
    let known = taught.knowledge().unwrap();
    let mut fresh = Limiter::new(terms(LimiterKind::Auto), 1_000.0);
    fresh.adopt(&known);
    assert_eq!(fresh.knowledge(), Some(known));
    assert_eq!((fresh.kind(), fresh.per_minute().0), (LimiterKind::Window, 30_000.0));
    // One that knows better only becomes more careful.
    (fresh.trim, fresh.ratio, fresh.told_tokens) = (0.8, 1.1, Some(40_000.0));
    fresh.adopt(&known);
    assert_eq!((fresh.trim, fresh.ratio, fresh.per_minute().0), (0.8, 1.1, 40_000.0));
}

#[test]
fn three_failures_open_the_breaker_and_one_probe_closes_it() {
    let mut limiter = Limiter::new(terms(LimiterKind::Window), 0.0);
    let one = size(50.0, 50.0);
    let bookings = fill(&mut limiter, &one, 0.0, 100.0);
    // Those that were under way fail together: that is one opening.
    for booking in &bookings {
        limiter.settle(booking, 0.0, &failed(), 100.0);
    }
    assert!(limiter.is_open());
    assert_eq!(limiter.blocked(100.0), Some(1_100.0));
    assert_eq!(limiter.tokens.sum(), 0.0);
    assert_eq!(
        [100.0, 1_099.0, 1_100.0].map(|at| limiter.out_since(at)),
        [Some(100.0), Some(100.0), None]
    );
    let probe = limiter.reserve(&one, 1_100.0);
    assert_eq!(limiter.out_since(1_101.0), Some(100.0), "one call tries it");
    assert!(at(&mut limiter, &one, 1_101.0) >= 2_600.0);
    limiter.settle(&probe, 1_100.0, &failed(), 1_120.0);
    assert_eq!(limiter.blocked(1_120.0), Some(3_120.0));
    assert_eq!(limiter.out_since(1_120.0), Some(100.0), "still the same outage");
    let probe = limiter.reserve(&one, 3_120.0);
    limiter.settle(&probe, 3_120.0, &answered(1.0, 1.0, LimiterHints::default()), 3_200.0);
    assert!(!limiter.is_open());
    assert_eq!(limiter.out_since(3_200.0), None);
    assert!(at(&mut limiter, &one, 3_200.0) < 4_000.0);
}

#[test]
fn an_old_answer_does_not_hide_an_outage() {
    let mut limiter = Limiter::new(terms(LimiterKind::Bucket), 0.0);
    let one = size(50.0, 50.0);
    let old: Vec<_> = (0..3).map(|_| limiter.reserve(&one, 0.0)).collect();
    let new: Vec<_> = (0..3).map(|_| limiter.reserve(&one, 5_000.0)).collect();
    for (old, new) in old.iter().zip(&new) {
        limiter.settle(new, 5_000.0, &failed(), 5_020.0);
        limiter.settle(old, 0.0, &answered(1.0, 1.0, LimiterHints::default()), 5_030.0);
    }
    assert!(limiter.is_open());
}

#[test]
fn a_probe_that_has_not_failed_in_time_was_let_in() {
    let mut limiter = Limiter::new(terms(LimiterKind::Window), 0.0);
    let one = size(50.0, 50.0);
    let booking = limiter.reserve(&one, 0.0);
    limiter.settle(&booking, 0.0, &throttled(1_000.0), 20.0);
    limiter.reserve(&one, 1_020.0);
    assert_eq!(at(&mut limiter, &one, 1_030.0), 1_020.0 + PROBE_MS);
    assert_eq!(at(&mut limiter, &one, 2_600.0), 2_600.0);
    assert!(!limiter.half_open);
}

#[test]
fn a_provider_without_capacity_is_spared() {
    let mut limiter = Limiter::new(terms(LimiterKind::Bucket), 0.0);
    let booking = limiter.reserve(&size(1.0, 1.0), 10_000.0);
    let outcome =
        Outcome::Throttled { wait_ms: 3_000.0, no_capacity: true, hints: LimiterHints::default() };
    limiter.settle(&booking, 10_000.0, &outcome, 10_000.0);
    assert_eq!((limiter.trim, limiter.blocked(10_000.0)), (0.8, Some(13_000.0)));
    limiter.settle(&booking, 10_000.0, &outcome, 10_001.0);
    assert_eq!(limiter.trim, 0.8, "rejections close together are one");
}

#[test]
fn what_is_returned_was_never_there() {
    for kind in [LimiterKind::Window, LimiterKind::Bucket, LimiterKind::Ptu] {
        let mut limiter = Limiter::new(terms(kind), 0.0);
        let one = size(500.0, 500.0);
        let first = limiter.reserve(&one, 0.0);
        let before = limiter.clone();
        let second = limiter.reserve(&one, 0.0);
        limiter.settle(&second, 0.0, &Outcome::Returned, 0.0);
        // What an idle time had saved up is not all given back.
        let lost = limiter.next_tokens - before.next_tokens;
        assert!((-1e-6..2_000.0).contains(&lost), "{kind:?}: {lost}");
        assert_eq!(limiter.tokens.sum(), before.tokens.sum());
        assert_eq!(limiter.used_now(0.0), before.used_now(0.0));
        assert!(limiter.tokens.sum() > 0.0 && first.at == 0.0);
    }
}

#[test]
fn it_is_plain_data_that_moves_to_another_clock() {
    let mut limiter = Limiter::new(terms(LimiterKind::Window), 0.0);
    let one = size(500.0, 20_000.0);
    fill(&mut limiter, &one, 0.0, 60_000.0);
    let text = serde_json::to_string(&limiter).unwrap();
    let mut moved: Limiter = serde_json::from_str(&text).unwrap();
    moved.shift(1_000_000.0);
    let (here, there) = (at(&mut limiter, &one, 1.0), at(&mut moved, &one, 1_000_001.0));
    assert!((there - here - 1_000_000.0).abs() < 1e-3, "{here} {there}");
}

#[test]
fn whoever_goes_on_alone_has_a_share_of_what_is_left() {
    let mut limiter = Limiter::new(terms(LimiterKind::Window), 0.0);
    let one = size(500.0, 500.0);
    let sent = fill(&mut limiter, &one, 0.0, 10_000.0).len();
    let (left, mut alone) = (60_000.0 / limiter.cost(&one) - sent as f64, limiter.clone());
    alone.isolate(0.25, 500.0, 10_000.0);
    assert_eq!(alone.per_minute(), (15_000.0, 15.0));
    assert_eq!(at(&mut alone, &one, 10_000.0), 10_500.0);
    // Four such workers send no more than one book would have until the first calls are forgotten.
    let more = fill(&mut alone, &one, 10_000.0, 59_900.0).len() as f64;
    assert!(more > 0.0 && 4.0 * more <= left, "4 x {more} of {left}");
}
