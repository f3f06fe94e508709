//! The model against the rules that it models, on made-up time.

use super::*;

fn terms(kind: Kind) -> Terms {
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

fn at(calendar: &mut Calendar, size: &Size, now: f64) -> f64 {
    match calendar.earliest(size, false, now) {
        Earliest::At(at) => at,
        Earliest::Never => f64::INFINITY,
    }
}

/// Reserves as many as start within this time.
fn fill(calendar: &mut Calendar, size: &Size, from: f64, until: f64) -> Vec<Booking> {
    let mut bookings = Vec::new();
    while let Earliest::At(at) = calendar.earliest(size, false, from)
        && at < until
    {
        bookings.push(calendar.reserve(size, at));
    }
    bookings
}

fn throttled(wait_ms: f64) -> Outcome {
    Outcome::Throttled { wait_ms, no_capacity: false, heard: Heard::default() }
}

fn failed() -> Outcome {
    Outcome::Failed { charged: false, took_ms: 20.0, jitter: 0.5 }
}

fn answered(tokens_input: f64, tokens_output: f64, heard: Heard) -> Outcome {
    Outcome::Answered { tokens_input, tokens_output, heard }
}

#[test]
fn a_window_holds_no_more_than_its_minute_and_its_ten_seconds() {
    let mut calendar = Calendar::new(terms(Kind::Window), 0.0);
    let small = size(100.0, 900.0);
    let bookings = fill(&mut calendar, &small, 0.0, 300_000.0);
    for (index, booking) in bookings.iter().enumerate() {
        let within = |span: f64| {
            bookings[..=index].iter().filter(|other| other.at > booking.at - span).count()
        };
        assert!(within(60_000.0) <= 60 && within(10_000.0) <= 10, "{index}: {}", booking.at);
    }
    // 59 fit a minute with the margins; they come a step later each minute.
    assert!(bookings.len() >= 58 * 5, "{}", bookings.len());
    assert_eq!(calendar.earliest(&size(1.0, 60_000.0), false, 0.0), Earliest::Never);
    let last = bookings.last().unwrap().at;
    assert!(at(&mut calendar, &size(0.0, 60_000.0), 300_000.0) >= last + 60_000.0);
}

#[test]
fn an_idle_deployment_takes_a_burst_and_a_shaken_one_does_not() {
    let small = size(100.0, 900.0);
    for (kind, expected) in [(Kind::Window, 10), (Kind::Bucket, 15), (Kind::Ptu, 2)] {
        let mut calendar = Calendar::new(terms(kind), 0.0);
        let bookings = fill(&mut calendar, &small, 0.0, 10.0);
        assert!(bookings.len() >= expected, "{kind:?}: {}", bookings.len());
        calendar.settle(&bookings[0], 0.0, &throttled(1_000.0), 10.0);
        let after = fill(&mut calendar, &small, 1_010.0, 1_020.0);
        assert!(after.len() <= 2, "{kind:?}: {}", after.len());
    }
}

#[test]
fn a_bucket_pays_answers_when_they_end_and_serves_the_urgent_from_its_store() {
    let many = Terms { requests_per_minute: 6_000.0, ..terms(Kind::Bucket) };
    let mut calendar = Calendar::new(many, 0.0);
    let one = size(500.0, 1_000.0);
    assert_eq!(calendar.cost(&one), 1_000.0);
    let bookings = fill(&mut calendar, &one, 0.0, 20_000.0);
    let wait = at(&mut calendar, &one, 0.0);
    assert!(wait >= 20_000.0);
    assert_eq!(calendar.earliest(&one, true, 0.0), Earliest::At(0.0));
    for booking in &bookings {
        calendar.settle(booking, booking.at, &answered(500.0, 100.0, Heard::default()), 5_000.0);
    }
    assert!(at(&mut calendar, &one, 0.0) < wait - 5_000.0);
    assert!(calendar.cost(&one) < 650.0);
}

#[test]
fn provisioned_throughput_learns_how_much_it_takes_at_once() {
    let mut calendar = Calendar::new(terms(Kind::Ptu), 0.0);
    let one = size(1_000.0, 1_000.0);
    let first = fill(&mut calendar, &one, 0.0, 1.0);
    let before = calendar.ceiling_ms;
    calendar.settle(&first[0], 0.0, &throttled(40.0), 20.0);
    assert!(calendar.ceiling_ms < before);
    assert_eq!(calendar.trim, 1.0);
    assert_eq!(calendar.blocked(20.0), Some(60.0));
    at(&mut calendar, &one, 60.0);
    let booking = calendar.reserve(&one, 60.0);
    let used = calendar.used_now(60.0);
    calendar.settle(&booking, 60.0, &answered(1_000.0, 10.0, Heard::default()), 60.0);
    assert!((used - calendar.used_now(60.0) - 4.0 * 990.0).abs() < 1e-6);
}

#[test]
fn what_is_counted_more_than_we_count_makes_the_window_smaller() {
    let mut calendar = Calendar::new(terms(Kind::Window), 0.0);
    let one = size(500.0, 500.0);
    let mut now = 0.0;
    for _ in 0..400 {
        now = at(&mut calendar, &one, now);
        let booking = calendar.reserve(&one, now);
        let left = 60_000.0 - 1.1 * booking.expected;
        let heard = Heard { tokens_left: Some(left), ..Heard::default() };
        calendar.settle(&booking, now, &answered(1.0, 1.0, heard), now);
    }
    assert!((calendar.ratio - 1.1).abs() < 0.01, "{}", calendar.ratio);
    assert!(calendar.window_limit() < 60_000.0 / 1.09);
}

#[test]
fn strangers_are_found_out_by_one_response_or_one_rejection() {
    let one = size(150.0, 150.0);
    let many = Terms { requests_per_minute: 6_000.0, ..terms(Kind::Window) };
    let mut calendar = Calendar::new(many, 0.0);
    let mut now = 0.0;
    let last = loop {
        now = at(&mut calendar, &one, now + 500.0);
        let booking = calendar.reserve(&one, now);
        if now > 120_000.0 {
            break booking;
        }
        let heard = Heard { tokens_left: Some(60_000.0 - booking.expected), ..Heard::default() };
        calendar.settle(&booking, now, &answered(500.0, 1.0, heard), now);
    };
    assert_eq!((calendar.ratio, calendar.strangers), (1.0, 0.0));
    let mut told = calendar.clone();
    let heard = Heard { tokens_left: Some(0.0), ..Heard::default() };
    told.settle(&last, now, &answered(500.0, 1.0, heard), now);
    let others = 60_000.0 - last.expected;
    assert!(others > 0.06 * 60_000.0);
    assert_eq!(told.strangers, 0.5 * others, "half of the way, for it may be chance");
    // When it has room again, it is ours that has left.
    calendar.settle(&last, now, &throttled(20_000.0), now);
    let left = calendar.tokens.within(now + 20_000.0, MINUTE_MS) + calendar.cost(&one);
    assert!((calendar.strangers - (60_000.0 - left)).abs() < 1e-6, "{}", calendar.strangers);
    assert_eq!(calendar.blocked(now), Some(now + 20_000.0));
    // They go, and responses tell.
    let mut after = now + 20_000.0;
    for _ in 0..60 {
        after = at(&mut calendar, &one, after + 500.0);
        let booking = calendar.reserve(&one, after);
        let heard = Heard { tokens_left: Some(60_000.0 - booking.expected), ..Heard::default() };
        calendar.settle(&booking, after, &answered(500.0, 1.0, heard), after);
    }
    assert_eq!((calendar.ratio, calendar.strangers), (1.0, 0.0));
}

#[test]
fn what_was_used_before_is_found_out_from_the_first_response() {
    let mut calendar = Calendar::new(terms(Kind::Window), 0.0);
    let one = size(500.0, 500.0);
    let booking = calendar.reserve(&one, 0.0);
    let heard = Heard { tokens_left: Some(9_000.0), ..Heard::default() };
    calendar.settle(&booking, 0.0, &answered(1.0, 1.0, heard), 100.0);
    assert!((calendar.tokens.sum() - 51_000.0).abs() < 1.0, "{}", calendar.tokens.sum());
}

#[test]
fn limits_are_followed_down_and_up_again_as_far_as_is_configured() {
    let mut calendar = Calendar::new(terms(Kind::Bucket), 0.0);
    for (told, expected) in [(30_000.0, 30_000.0), (90_000.0, 60_000.0)] {
        let booking = calendar.reserve(&size(1.0, 1.0), 0.0);
        let heard = Heard { tokens_limit: Some(told), ..Heard::default() };
        calendar.settle(&booking, 0.0, &answered(1.0, 1.0, heard), 0.0);
        assert_eq!(calendar.per_minute().0, expected);
    }
}

#[test]
fn the_first_responses_tell_the_kind() {
    let left = |left: f64| Heard { requests_left: Some(left), ..Heard::default() };
    let limited = |left_: f64| Heard { requests_limit: Some(60.0), ..left(left_) };
    let table = [
        (left(9.0), Kind::Window),
        (limited(59.0), Kind::Bucket),
        (Heard { renews: true, ..limited(3.0) }, Kind::Bucket),
        (limited(9.0), Kind::Unknown),
        (Heard::default(), Kind::Unknown),
        (Heard { exact: true, ..Heard::default() }, Kind::Ptu),
    ];
    for (heard, expected) in table {
        let mut calendar = Calendar::new(terms(Kind::Unknown), 0.0);
        let booking = calendar.reserve(&size(1.0, 1.0), 0.0);
        let outcome = Outcome::Throttled { wait_ms: 1.0, no_capacity: false, heard };
        calendar.settle(&booking, 0.0, &outcome, 0.0);
        assert_eq!(calendar.kind(), expected, "{heard:?}");
    }
}

#[test]
fn one_that_turns_out_to_be_provisioned_holds_what_was_sent() {
    let mut calendar = Calendar::new(terms(Kind::Unknown), 0.0);
    let one = size(3_900.0, 100.0);
    let sent = fill(&mut calendar, &one, 0.0, 20_000.0);
    let heard = Heard { exact: true, ..Heard::default() };
    let outcome = Outcome::Throttled { wait_ms: 40.0, no_capacity: false, heard };
    let last = sent.last().unwrap();
    calendar.settle(last, last.at, &outcome, last.at);
    // A token drains in a millisecond; the last call, 3,900 and four times 100, was not let in.
    let (held, used) = (4_300.0 * (sent.len() - 1) as f64 - last.at, calendar.used_now(last.at));
    assert!(held > 2_000.0 && (used - held).abs() < 1e-6, "{used} {held}");
    assert!(calendar.ceiling_ms < CEILING_MS);
}

#[test]
fn one_of_unknown_kind_gets_no_more_at_once_than_any_kind_takes() {
    let one = size(1_000.0, 1_000.0);
    let silent = Heard::default();
    let window = Heard { requests_left: Some(9.0), ..silent };
    let bucket = Heard { renews: true, ..silent };
    // Two times 5,000 pass the ceiling of 7 s; a window and a bucket still have their store.
    for (heard, expected) in [(silent, 1), (window, 8), (bucket, 11)] {
        let mut calendar = Calendar::new(terms(Kind::Unknown), 0.0);
        let sent = fill(&mut calendar, &one, 0.0, 500.0);
        assert_eq!(sent.len(), 2);
        calendar.settle(&sent[0], 0.0, &answered(1_000.0, 1_000.0, heard), 500.0);
        let more = fill(&mut calendar, &one, 500.0, 510.0).len();
        assert_eq!(more, expected, "{heard:?}");
    }
}

#[test]
fn those_who_go_on_alone_do_not_all_pass_the_ceiling_with_their_last_call() {
    let one = size(100.0, 100.0);
    let mut calendar = Calendar::new(terms(Kind::Ptu), 0.0);
    for (share, expected) in [(1.0, 0.0), (0.25, 3_000.0)] {
        calendar.set_share(share);
        (calendar.next_tokens, calendar.used) = (0.0, LeakyBucket::new(0.0));
        calendar.used.add(0.0, 2_000.0);
        // A quarter of 7 s at the rate are 1,750, and the call counts 500.
        assert_eq!(at(&mut calendar, &one, 0.0), expected);
    }
    // One that is larger than the share goes when nothing else is under way.
    let large = size(1_000.0, 1_000.0);
    assert_eq!(at(&mut calendar, &large, 0.0), 8_000.0);
}

#[test]
fn what_one_calendar_was_taught_another_adopts() {
    let one = size(500.0, 500.0);
    let mut taught = Calendar::new(terms(Kind::Unknown), 0.0);
    assert_eq!(taught.knowledge(), None);
    let booking = taught.reserve(&one, 0.0);
    let heard = Heard { requests_left: Some(9.0), ..Heard::default() };
    taught.settle(&booking, 0.0, &answered(500.0, 80.0, heard), 900.0);
    taught.told_tokens = Some(30_000.0);
    (taught.trim, taught.ceiling_ms) = (0.9, 7_000.0);
    let known = taught.knowledge().unwrap();
    let mut fresh = Calendar::new(terms(Kind::Unknown), 1_000.0);
    fresh.adopt(&known);
    assert_eq!(fresh.knowledge(), Some(known));
    assert_eq!((fresh.kind(), fresh.per_minute().0), (Kind::Window, 30_000.0));
    // One that knows better only becomes more careful.
    (fresh.trim, fresh.ratio, fresh.told_tokens) = (0.8, 1.1, Some(40_000.0));
    fresh.adopt(&known);
    assert_eq!((fresh.trim, fresh.ratio, fresh.per_minute().0), (0.8, 1.1, 40_000.0));
}

#[test]
fn three_failures_open_the_breaker_and_one_probe_closes_it() {
    let mut calendar = Calendar::new(terms(Kind::Window), 0.0);
    let one = size(50.0, 50.0);
    let bookings = fill(&mut calendar, &one, 0.0, 100.0);
    // Those that were under way fail together: that is one opening.
    for booking in &bookings {
        calendar.settle(booking, 0.0, &failed(), 100.0);
    }
    assert!(calendar.is_open());
    assert_eq!(calendar.blocked(100.0), Some(1_100.0));
    assert_eq!(calendar.tokens.sum(), 0.0);
    assert_eq!(
        [100.0, 1_099.0, 1_100.0].map(|at| calendar.out_since(at)),
        [Some(100.0), Some(100.0), None]
    );
    let probe = calendar.reserve(&one, 1_100.0);
    assert_eq!(calendar.out_since(1_101.0), Some(100.0), "one call tries it");
    assert!(at(&mut calendar, &one, 1_101.0) >= 2_600.0);
    calendar.settle(&probe, 1_100.0, &failed(), 1_120.0);
    assert_eq!(calendar.blocked(1_120.0), Some(3_120.0));
    assert_eq!(calendar.out_since(1_120.0), Some(100.0), "still the same outage");
    let probe = calendar.reserve(&one, 3_120.0);
    calendar.settle(&probe, 3_120.0, &answered(1.0, 1.0, Heard::default()), 3_200.0);
    assert!(!calendar.is_open());
    assert_eq!(calendar.out_since(3_200.0), None);
    assert!(at(&mut calendar, &one, 3_200.0) < 4_000.0);
}

#[test]
fn an_old_answer_does_not_hide_an_outage() {
    let mut calendar = Calendar::new(terms(Kind::Bucket), 0.0);
    let one = size(50.0, 50.0);
    let old: Vec<_> = (0..3).map(|_| calendar.reserve(&one, 0.0)).collect();
    let new: Vec<_> = (0..3).map(|_| calendar.reserve(&one, 5_000.0)).collect();
    for (old, new) in old.iter().zip(&new) {
        calendar.settle(new, 5_000.0, &failed(), 5_020.0);
        calendar.settle(old, 0.0, &answered(1.0, 1.0, Heard::default()), 5_030.0);
    }
    assert!(calendar.is_open());
}

#[test]
fn a_probe_that_has_not_failed_in_time_was_let_in() {
    let mut calendar = Calendar::new(terms(Kind::Window), 0.0);
    let one = size(50.0, 50.0);
    let booking = calendar.reserve(&one, 0.0);
    calendar.settle(&booking, 0.0, &throttled(1_000.0), 20.0);
    calendar.reserve(&one, 1_020.0);
    assert_eq!(at(&mut calendar, &one, 1_030.0), 1_020.0 + PROBE_MS);
    assert_eq!(at(&mut calendar, &one, 2_600.0), 2_600.0);
    assert!(!calendar.half_open);
}

#[test]
fn a_provider_without_capacity_is_spared() {
    let mut calendar = Calendar::new(terms(Kind::Bucket), 0.0);
    let booking = calendar.reserve(&size(1.0, 1.0), 10_000.0);
    let outcome =
        Outcome::Throttled { wait_ms: 3_000.0, no_capacity: true, heard: Heard::default() };
    calendar.settle(&booking, 10_000.0, &outcome, 10_000.0);
    assert_eq!((calendar.trim, calendar.blocked(10_000.0)), (0.8, Some(13_000.0)));
    calendar.settle(&booking, 10_000.0, &outcome, 10_001.0);
    assert_eq!(calendar.trim, 0.8, "rejections close together are one");
}

#[test]
fn what_is_returned_was_never_there() {
    for kind in [Kind::Window, Kind::Bucket, Kind::Ptu] {
        let mut calendar = Calendar::new(terms(kind), 0.0);
        let one = size(500.0, 500.0);
        let first = calendar.reserve(&one, 0.0);
        let before = calendar.clone();
        let second = calendar.reserve(&one, 0.0);
        calendar.settle(&second, 0.0, &Outcome::Returned, 0.0);
        // What an idle time had saved up is not all given back.
        let lost = calendar.next_tokens - before.next_tokens;
        assert!((-1e-6..2_000.0).contains(&lost), "{kind:?}: {lost}");
        assert_eq!(calendar.tokens.sum(), before.tokens.sum());
        assert_eq!(calendar.used_now(0.0), before.used_now(0.0));
        assert!(calendar.tokens.sum() > 0.0 && first.at == 0.0);
    }
}

#[test]
fn it_is_plain_data_that_moves_to_another_clock() {
    let mut calendar = Calendar::new(terms(Kind::Window), 0.0);
    let one = size(500.0, 20_000.0);
    fill(&mut calendar, &one, 0.0, 60_000.0);
    let text = serde_json::to_string(&calendar).unwrap();
    let mut moved: Calendar = serde_json::from_str(&text).unwrap();
    moved.shift(1_000_000.0);
    let (here, there) = (at(&mut calendar, &one, 1.0), at(&mut moved, &one, 1_000_001.0));
    assert!((there - here - 1_000_000.0).abs() < 1e-3, "{here} {there}");
}

#[test]
fn whoever_goes_on_alone_has_a_share_of_what_is_left() {
    let mut calendar = Calendar::new(terms(Kind::Window), 0.0);
    let one = size(500.0, 500.0);
    let sent = fill(&mut calendar, &one, 0.0, 10_000.0).len();
    let (left, mut alone) = (60_000.0 / calendar.cost(&one) - sent as f64, calendar.clone());
    alone.isolate(0.25, 500.0, 10_000.0);
    assert_eq!(alone.per_minute(), (15_000.0, 15.0));
    assert_eq!(at(&mut alone, &one, 10_000.0), 10_500.0);
    // Four such workers send no more than one book would have until the first calls are forgotten.
    let more = fill(&mut alone, &one, 10_000.0, 59_900.0).len() as f64;
    assert!(more > 0.0 && 4.0 * more <= left, "4 x {more} of {left}");
}
