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
    Outcome::Failed { charged: false, took_ms: 20.0, jitter: 0.5, wait_ms: None }
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
    assert!(bookings.len() >= 58 * 5, "{}", bookings.len());
    assert_eq!(limiter.earliest(&size(1.0, 60_000.0), false, 0.0), Earliest::Never);
    let last = bookings.last().unwrap().at;
    assert!(at(&mut limiter, &size(0.0, 60_000.0), 300_000.0) >= last + 60_000.0);
}

#[test]
fn an_idle_deployment_takes_a_burst_and_a_shaken_one_does_not() {
    let small = size(100.0, 900.0);
    for (kind, expected) in
        [(LimiterKind::Window, 6), (LimiterKind::Bucket, 3), (LimiterKind::Ptu, 2)]
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
fn a_part_of_a_bucket_is_kept_for_those_who_wait() {
    let many = Terms { requests_per_minute: 6_000.0, ..terms(LimiterKind::Bucket) };
    let mut limiter = Limiter::new(many, 0.0);
    let one = size(500.0, 1_000.0);
    let bookings = fill(&mut limiter, &one, 0.0, 600_000.0);
    // Ten minutes, and what it held, less what is kept.
    let calls = 11.0 * 60_000.0 / 1_500.0;
    assert!((bookings.len() as f64 - calls).abs() < 25.0, "{} {calls}", bookings.len());
    let last = bookings.last().unwrap().at;
    assert_eq!(limiter.earliest(&one, true, last), Earliest::At(last), "it is kept for this one");
    assert!(at(&mut limiter, &one, last) > last);
}

#[test]
fn a_bucket_that_says_nothing_is_corrected_by_what_answers_use() {
    let mut limiter = Limiter::new(terms(LimiterKind::Bucket), 0.0);
    let one = size(500.0, 1_500.0);
    for call in 0..200 {
        let now = f64::from(call) * 10_000.0;
        let booking = limiter.reserve(&one, now);
        let outcome = answered(500.0, 500.0, LimiterHints::default());
        limiter.settle(&booking, now, &outcome, now + 1_000.0);
    }
    assert!((limiter.ratio() - 0.5).abs() < 0.01, "{}", limiter.ratio());
}

#[test]
fn what_a_counter_holds_at_its_end_is_not_lost_and_it_is_never_met_full() {
    // It starts anew at 30 s, 90 s and so on, which is told by two minutes of responses.
    let mut limiter = Limiter::new(terms(LimiterKind::FixedWindow), 0.0);
    let one = size(500.0, 1_500.0);
    let mut sent: Vec<f64> = Vec::new();
    let mut now = 0.0;
    while now < 600_000.0 {
        now = at(&mut limiter, &one, now);
        let booking = limiter.reserve(&one, now);
        let begin = 30_000.0 + ((now - 30_000.0) / 60_000.0).floor() * 60_000.0;
        let used = sent.iter().filter(|at| **at >= begin).count() as f64 * 2_000.0;
        assert!(used + 2_000.0 <= 60_000.0, "it is full at {now}");
        sent.push(now);
        let left = Some(60_000.0 - used - 2_000.0);
        let hints = LimiterHints { tokens_left: left, ..LimiterHints::default() };
        limiter.settle(&booking, now, &answered(500.0, 900.0, hints), now + 10.0);
    }
    // Thirty calls fit a minute. Where the counter starts anew is known closely after five of them.
    for begin in [330_000.0, 390_000.0, 450_000.0, 510_000.0] {
        let calls = sent.iter().filter(|at| (begin..begin + 60_000.0).contains(*at)).count();
        assert!(calls >= 29, "{calls} from {begin}");
    }
}

#[test]
fn a_window_is_filled_again_when_calls_come_to_count_less_than_we_think() {
    let mut limiter = Limiter::new(terms(LimiterKind::Window), 0.0);
    let one = size(500.0, 1_500.0);
    let mut sent: Vec<(f64, f64)> = Vec::new();
    let mut now = 0.0;
    while now < 900_000.0 {
        now = at(&mut limiter, &one, now);
        let booking = limiter.reserve(&one, now);
        // As when the room for answers shrinks, which is counted exactly, and the text is not.
        let charge = if now < 200_000.0 { 2_000.0 } else { 1_840.0 };
        sent.retain(|(at, _)| *at > now - 60_000.0);
        let used = sent.iter().map(|(_, charge)| charge).sum::<f64>() + charge;
        assert!(used <= 60_000.0, "it is full at {now}");
        if now > 600_000.0 {
            assert!(used >= 0.97 * 60_000.0, "{used} at {now}");
        }
        sent.push((now, charge));
        let hints = LimiterHints { tokens_left: Some(60_000.0 - used), ..LimiterHints::default() };
        limiter.settle(&booking, now, &answered(500.0, 900.0, hints), now + 10.0);
    }
}

/// Asks again at each time that it was told, for two minutes and a half: when it is granted.
fn granted_at(limiter: &mut Limiter, size: &Size, from: f64) -> f64 {
    let mut now = from;
    while now < from + 150_000.0 {
        match at(limiter, size, now) {
            at if at <= now => return now,
            at => now = at,
        }
    }
    panic!("it waits for ever")
}

#[test]
fn a_call_that_is_larger_than_what_was_ever_left_is_sent_all_the_same() {
    let large = size(500.0, 20_000.0);
    for kind in
        [LimiterKind::Window, LimiterKind::FixedWindow, LimiterKind::Bucket, LimiterKind::Auto]
    {
        let mut limiter = Limiter::new(terms(kind), 0.0);
        // Others use nearly all of it, and a counter starts anew at 30 s and so on.
        let mut now = 0.0;
        for _ in 0..40 {
            now = at(&mut limiter, &size(10.0, 90.0), now + 4_000.0);
            let booking = limiter.reserve(&size(10.0, 90.0), now);
            let since = (now - 30_000.0).rem_euclid(60_000.0);
            let left = Some(5_000.0 - since / 60.0);
            let hints = LimiterHints { tokens_left: left, ..LimiterHints::default() };
            limiter.settle(&booking, now, &answered(10.0, 50.0, hints), now + 10.0);
        }
        let granted = granted_at(&mut limiter, &large, now);
        assert!(granted <= now + 125_000.0, "{kind:?}: {}", granted - now);
    }
}

#[test]
fn provisioned_throughput_learns_how_much_it_takes_at_once() {
    let mut limiter = Limiter::new(terms(LimiterKind::Ptu), 0.0);
    let one = size(1_000.0, 1_000.0);
    let first = fill(&mut limiter, &one, 0.0, 1.0);
    let before = limiter.ptu.ceiling_ms();
    limiter.settle(&first[0], 0.0, &throttled(40.0), 20.0);
    assert!(limiter.ptu.ceiling_ms() < before);
    assert_eq!(limiter.trim, 1.0);
    assert_eq!(limiter.blocked(20.0), Some(60.0));
}

#[test]
fn limits_are_followed_down_and_up_again_as_far_as_is_configured() {
    let mut limiter = Limiter::new(terms(LimiterKind::Bucket), 0.0);
    for (named, expected) in [(30_000.0, 30_000.0), (90_000.0, 60_000.0)] {
        let booking = limiter.reserve(&size(1.0, 1.0), 0.0);
        let hints = LimiterHints { tokens_limit: Some(named), ..LimiterHints::default() };
        limiter.settle(&booking, 0.0, &answered(1.0, 1.0, hints), 0.0);
        assert_eq!(limiter.per_minute().0, Some(expected));
    }
}

#[test]
fn a_limit_of_requests_in_ten_seconds_is_none_of_a_minute() {
    let mut limiter = Limiter::new(terms(LimiterKind::Auto), 0.0);
    for (named, expected) in [(10.0, 60.0), (30.0, 30.0), (7.0, 7.0)] {
        let booking = limiter.reserve(&size(1.0, 1.0), 0.0);
        let hints = LimiterHints { requests_limit: Some(named), ..LimiterHints::default() };
        limiter.settle(&booking, 0.0, &answered(1.0, 1.0, hints), 0.0);
        assert_eq!(limiter.per_minute().1, Some(expected));
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
    assert_eq!(limiter.kind(), LimiterKind::Ptu);
    assert!(limiter.ptu.ceiling_ms() < ptu::CEILING_MS);
}

#[test]
fn one_of_unknown_kind_gets_no_more_at_once_than_any_kind_takes() {
    let mut limiter = Limiter::new(terms(LimiterKind::Auto), 0.0);
    let one = size(1_000.0, 1_000.0);
    // Two times 5,000 pass the ceiling of 7 s of provisioned throughput.
    let sent = fill(&mut limiter, &one, 0.0, 500.0);
    assert_eq!(sent.len(), 2);
    let left = LimiterHints { tokens_left: Some(56_000.0), ..LimiterHints::default() };
    limiter.settle(&sent[0], 0.0, &answered(1_000.0, 1_000.0, left), 500.0);
    assert!(!fill(&mut limiter, &one, 500.0, 510.0).is_empty(), "it is none");
}

#[test]
fn what_one_limiter_was_taught_another_adopts() {
    let one = size(500.0, 500.0);
    let mut taught = Limiter::new(terms(LimiterKind::Auto), 0.0);
    assert_eq!(taught.knowledge(), None);
    let booking = taught.reserve(&one, 0.0);
    let hints = LimiterHints { tokens_limit: Some(30_000.0), ..LimiterHints::default() };
    taught.settle(&booking, 0.0, &answered(500.0, 80.0, hints), 900.0);
    taught.trim = 0.9;
    let known = taught.knowledge().unwrap();
    let mut fresh = Limiter::new(terms(LimiterKind::Auto), 1_000.0);
    fresh.adopt(&known);
    assert_eq!((fresh.per_minute().0, fresh.trim), (Some(30_000.0), 0.9));
    // One that knows better only becomes more careful.
    (fresh.trim, fresh.named_tokens) = (0.8, Some(40_000.0));
    fresh.adopt(&known);
    assert_eq!((fresh.trim, fresh.per_minute().0), (0.8, Some(40_000.0)));
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
    assert!(limiter.is_failing());
    assert_eq!(limiter.blocked(100.0), Some(1_100.0));
    assert_eq!(limiter.tokens.held(100.0, MINUTE_MS), 0.0);
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
    assert!(!limiter.is_failing());
    assert_eq!(limiter.out_since(3_200.0), None);
    assert!(at(&mut limiter, &one, 3_200.0) < 4_000.0);
}

#[test]
fn a_failure_that_names_a_wait_is_believed_at_once() {
    let mut limiter = Limiter::new(terms(LimiterKind::Window), 0.0);
    let one = size(50.0, 50.0);
    let booking = limiter.reserve(&one, 0.0);
    let wait_ms = Some(7_000.0);
    let failed = Outcome::Failed { charged: false, took_ms: 20.0, jitter: 0.5, wait_ms };
    limiter.settle(&booking, 0.0, &failed, 20.0);
    assert_eq!(limiter.blocked(20.0), Some(7_020.0));
    assert!(at(&mut limiter, &one, 20.0) >= 7_020.0);
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
    assert!(limiter.is_failing());
}

#[test]
fn a_probe_that_has_not_failed_in_time_was_let_in() {
    let mut limiter = Limiter::new(terms(LimiterKind::Window), 0.0);
    let one = size(50.0, 50.0);
    let booking = limiter.reserve(&one, 0.0);
    limiter.settle(&booking, 0.0, &throttled(1_000.0), 20.0);
    limiter.reserve(&one, 1_020.0);
    assert_eq!(at(&mut limiter, &one, 1_030.0), 1_020.0 + breaker::PROBE_MS);
    assert_eq!(at(&mut limiter, &one, 2_600.0), 2_600.0);
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
        let held = |limiter: &Limiter| limiter.tokens.held(0.0, MINUTE_MS);
        assert_eq!(held(&limiter), held(&before));
        let room = |limiter: &Limiter| limiter.ptu.available(60_000.0, 0.0);
        assert_eq!(room(&limiter), room(&before));
        assert!(held(&limiter) > 0.0 && first.at == 0.0);
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
    assert_eq!(alone.per_minute(), (Some(15_000.0), Some(15.0)));
    assert_eq!(at(&mut alone, &one, 10_000.0), 10_500.0);
    // Four such workers send no more than one book would have until the first calls are forgotten.
    let more = fill(&mut alone, &one, 10_000.0, 59_900.0).len() as f64;
    assert!(more > 0.0 && 4.0 * more <= left, "4 x {more} of {left}");
}
