//! The models against limiters written down again as plainly as possible.

use super::super::share::News;
use super::*;
use proptest::prelude::*;

const KINDS: [LimiterKind; 4] =
    [LimiterKind::Auto, LimiterKind::Window, LimiterKind::Bucket, LimiterKind::Ptu];

fn cost(tokens_input: u64, tokens_output_max: u64) -> Cost {
    Cost { tokens_input, tokens_output_max }
}

fn limiter(kind: LimiterKind, tokens: u64, requests: u64, now: Instant) -> Limiter {
    Limiter::new(kind, tokens, requests, 4, now)
}

/// Seconds from `now` until such a call is admitted; none for never.
fn wait(limiter: &Limiter, now: Instant, cost: Cost) -> Option<f64> {
    match limiter.earliest(now, &cost) {
        Earliest::At(at) => Some(at.saturating_duration_since(now).as_secs_f64()),
        Earliest::Never => None,
    }
}

#[test]
fn charges_follow_the_kind() {
    let now = Instant::now();
    let charges = KINDS.map(|kind| limiter(kind, 1, 1, now).charge(&cost(100, 50)));
    assert_eq!(charges, [158, 158, 108, 308]);
}

#[test]
fn a_window_frees_what_it_held_after_a_minute() {
    let now = Instant::now();
    let mut limiter = limiter(LimiterKind::Window, 1000, 600, now);
    assert_eq!(wait(&limiter, now, cost(0, 1001)), None);
    assert_eq!(wait(&limiter, now, cost(0, 1000)), Some(0.0));
    limiter.reserve(now, &cost(0, 600));
    assert_eq!(wait(&limiter, now, cost(0, 400)), Some(0.0));
    assert_eq!(wait(&limiter, now, cost(0, 401)), Some(60.3));
    let reservation = limiter.reserve(now + Duration::from_secs(5), &cost(0, 300));
    assert_eq!(wait(&limiter, now, cost(0, 401)), Some(60.3));
    assert_eq!(wait(&limiter, now, cost(0, 800)), Some(65.3));
    limiter.refund(&reservation, Refund::All, now);
    assert_eq!(wait(&limiter, now, cost(0, 400)), Some(0.0));
}

#[test]
fn a_window_counts_requests_in_ten_seconds() {
    let now = Instant::now();
    let mut limiter = limiter(LimiterKind::Auto, 1_000_000, 60, now);
    for _ in 0..10 {
        assert_eq!(wait(&limiter, now, cost(1, 1)), Some(0.0));
        limiter.reserve(now, &cost(1, 1));
    }
    assert_eq!(wait(&limiter, now, cost(1, 1)), Some(10.3));
    assert_eq!(limiter.available(now).1, 0);
}

#[test]
fn a_rejected_call_keeps_its_request() {
    let now = Instant::now();
    let mut limiter = limiter(LimiterKind::Window, 1000, 6, now);
    let reservation = limiter.reserve(now, &cost(0, 1000));
    limiter.refund(&reservation, Refund::Tokens, now);
    assert_eq!(limiter.available(now), (1000, 0));
}

#[test]
fn a_call_counts_from_when_it_is_sent() {
    let now = Instant::now();
    let mut limiter = limiter(LimiterKind::Window, 1000, 600, now);
    let mut reservation = limiter.reserve(now, &cost(0, 1000));
    limiter.sent(&mut reservation, now + Duration::from_secs(3));
    assert_eq!(wait(&limiter, now, cost(0, 1)), Some(63.3));
}

#[test]
fn a_bucket_refills_all_the_time_and_pays_for_output_afterwards() {
    let now = Instant::now();
    let mut limiter = limiter(LimiterKind::Bucket, 6000, 6000, now);
    assert_eq!(limiter.available(now).0, 5970);
    let reservation = limiter.reserve(now, &cost(5000, 9999));
    let seconds = wait(&limiter, now, cost(1000, 0)).unwrap();
    assert!((seconds - 5.1).abs() < 0.001, "{seconds}");
    limiter.settle(&reservation, 5000, 300, now);
    let seconds = wait(&limiter, now, cost(1000, 0)).unwrap();
    assert!((seconds - 8.1).abs() < 0.001, "{seconds}");
}

#[test]
fn provisioned_throughput_lets_any_call_in_until_it_is_full() {
    let now = Instant::now();
    let mut limiter = limiter(LimiterKind::Ptu, 60_000, 6000, now);
    assert_eq!(wait(&limiter, now, cost(200_000, 1000)), Some(0.0));
    let reservation = limiter.reserve(now, &cost(10_000, 1000));
    let before = wait(&limiter, now, cost(1, 1)).unwrap();
    assert!(before > 4.0, "{before}");
    // It answered in fewer tokens than it was given room for.
    limiter.settle(&reservation, 10_000, 10, now);
    let after = wait(&limiter, now, cost(1, 1)).unwrap();
    assert!(after < 1.5, "{after}");
}

#[test]
fn a_block_holds_and_ends_slowly() {
    let now = Instant::now();
    let mut limiter = limiter(LimiterKind::Auto, 100_000, 600, now);
    limiter.block_until(now + Duration::from_secs(4));
    limiter.block_until(now + Duration::from_secs(2));
    assert_eq!(wait(&limiter, now, cost(1, 1)), Some(4.0));
    let open = now + Duration::from_secs(4);
    assert_eq!(limiter.blocked(now), Some(open));
    limiter.reserve(open, &cost(1, 1));
    assert_eq!(wait(&limiter, open, cost(1, 1)), Some(0.25));
    assert_eq!(wait(&limiter, open + Duration::from_secs(2), cost(1, 1)), Some(0.0));
    assert_eq!(limiter.blocked(open), None);
}

#[test]
fn named_limits_lower_and_raise_up_to_what_is_configured() {
    for kind in [LimiterKind::Window, LimiterKind::Bucket] {
        let now = Instant::now();
        let mut limiter = limiter(kind, 1000, 60, now);
        let told = |tokens| Limits { tokens: Some(tokens), requests: None };
        limiter.observe(told(500), now);
        assert_eq!(limiter.per_minute(), (500, 60));
        // It may fit again when the limit is back.
        assert_eq!(wait(&limiter, now, cost(600, 0)), Some(60.0));
        limiter.observe(Limits::default(), now);
        assert_eq!(limiter.per_minute(), (500, 60));
        limiter.observe(told(9000), now);
        assert_eq!(limiter.per_minute(), (1000, 60));
    }
}

#[test]
fn a_share_divides_the_quota_but_forbids_no_call() {
    for kind in [LimiterKind::Window, LimiterKind::Bucket] {
        let now = Instant::now();
        let mut limiter = limiter(kind, 1000, 60, now);
        limiter.set_share(0.25, now);
        limiter.set_share(f64::NAN, now);
        limiter.set_share(-1.0, now);
        assert_eq!(limiter.per_minute(), (250, 15));
        assert_eq!(wait(&limiter, now, cost(900, 0)), Some(0.0));
        limiter.reserve(now, &cost(900, 0));
        assert!(wait(&limiter, now, cost(1, 0)).unwrap() > 50.0);
        limiter.set_share(7.0, now);
        assert_eq!(limiter.per_minute(), (1000, 60));
    }
}

fn leased(share: f64, target: f64, now: Instant) -> Lease {
    let (share, target) = (Share::of(share), Share::of(target));
    Lease { share, target, prospect: share, until: now + Duration::from_secs(3) }
}

#[test]
fn a_lease_is_exact_and_ends() {
    for kind in [LimiterKind::Window, LimiterKind::Bucket] {
        let now = Instant::now();
        let mut limiter = limiter(kind, 1000, 60, now);
        limiter.set_lease(leased(0.5, 0.5, now), &News::default(), now);
        assert_eq!(limiter.per_minute(), (500, 30));
        // More than its part is not for it, even alone; the pause ends with a larger share.
        assert_eq!(wait(&limiter, now, cost(900, 0)), Some(1.0));
        assert_eq!(wait(&limiter, now, cost(400, 0)), Some(0.0));
        assert_eq!(wait(&limiter, now + Duration::from_secs(3), cost(400, 0)), Some(1.0));
        limiter.set_lease(leased(0.0, 0.0, now), &News::default(), now);
        assert_eq!(wait(&limiter, now, cost(1, 0)), Some(1.0));
        let demand = limiter.demand(&[cost(1, 0)], now);
        assert!(demand.unit > Share::NONE && demand.want >= demand.unit, "{demand:?}");
    }
}

#[test]
fn what_is_used_is_given_back_only_when_it_has_stopped_counting() {
    let now = Instant::now();
    let mut limiter = limiter(LimiterKind::Window, 1_000_000, 240, now);
    limiter.set_lease(leased(0.5, 0.5, now), &News::default(), now);
    for _ in 0..8 {
        limiter.reserve(now, &cost(0, 0));
    }
    // It should give all back: nothing starts, and eight of forty still count.
    limiter.set_lease(leased(0.5, 0.0, now), &News::default(), now);
    assert_eq!(wait(&limiter, now, cost(1, 0)), Some(1.0));
    assert_eq!(limiter.demand(&[], now).share, Share::of(0.2));
    let later = now + Duration::from_secs(11);
    // Of 240 a minute eight still count.
    assert_eq!(limiter.demand(&[], later).share, Share::needed(8.0, 240.0));
    let later = now + Duration::from_secs(61);
    assert_eq!(limiter.demand(&[], later).share, Share::NONE);
}

#[test]
fn news_are_told_once_and_believed() {
    let now = Instant::now();
    let mut one = limiter(LimiterKind::Window, 1000, 60, now);
    one.observe(Limits { tokens: Some(500), requests: None }, now);
    one.block_until(now + Duration::from_secs(9));
    let news = one.demand(&[], now).news;
    assert_eq!(news, News { blocked: Duration::from_secs(9), tokens: 500, requests: 0 });
    let mut other = limiter(LimiterKind::Window, 1000, 60, now);
    for limiter in [&mut one, &mut other] {
        limiter.demand(&[], now);
        limiter.set_lease(leased(1.0, 1.0, now), &news, now);
        assert_eq!(limiter.per_minute(), (500, 60));
        assert_eq!(limiter.blocked(now), Some(now + Duration::from_secs(9)));
        assert_eq!(limiter.demand(&[], now).news, News::default());
    }
}

/// The provider's sliding logs, as POOL.md 1.8 writes them down.
fn window_admits(sent: &[(f64, u64)], tokens: u64, requests: u64) -> bool {
    sent.iter().enumerate().all(|(index, (at, _))| {
        let within = |seconds: f64| {
            sent.iter().take(index + 1).filter(move |(other, _)| *other > at - seconds)
        };
        let used: u64 = within(60.0).map(|(_, tokens)| tokens).sum();
        used <= tokens && within(10.0).count() as u64 <= requests.div_ceil(6)
    })
}

/// The provider's bucket: prompts at admission, output when it is done.
fn bucket_admits(sent: &[(f64, u64)], limit: u64) -> bool {
    let (mut level, mut last) = (limit as f64, 0.0);
    sent.iter().all(|(at, tokens)| {
        level = (level + (at - last) * limit as f64 / 60.0).min(limit as f64) - *tokens as f64;
        last = *at;
        level > -0.001
    })
}

/// Sends each call as early as the model lets it, after its pause.
fn trace(kind: LimiterKind, calls: &[(u64, u64, u64)]) -> Vec<(f64, u64)> {
    let start = Instant::now();
    let (mut now, mut sent) = (start, Vec::new());
    let mut limiter = limiter(kind, 1000, 30, start);
    for (pause_ms, tokens_input, tokens_output_max) in calls {
        now += Duration::from_millis(*pause_ms);
        let cost = cost(*tokens_input, *tokens_output_max);
        let Earliest::At(at) = limiter.earliest(now, &cost) else { continue };
        now = at;
        limiter.expire(now);
        limiter.reserve(now, &cost);
        sent.push((now.duration_since(start).as_secs_f64(), limiter.charge(&cost)));
    }
    sent
}

/// Shifts every call by up to the margin, as a network does.
fn jittered(sent: &[(f64, u64)], jitter: &[u32]) -> Vec<(f64, u64)> {
    let late = jitter.iter().cycle().map(|ms| f64::from(*ms) / 1000.0);
    let mut sent: Vec<_> = sent.iter().zip(late).map(|((at, n), late)| (at + late, *n)).collect();
    sent.sort_by(|a, b| a.0.total_cmp(&b.0));
    sent
}

/// Pauses in ms, input and output tokens: bursts of small calls as well as single large ones.
fn calls() -> impl Strategy<Value = Vec<(u64, u64, u64)>> {
    let small = (0u64..900, 1u64..20, 0u64..20);
    let large = (0u64..20_000, 1u64..400, 0u64..600);
    prop::collection::vec(prop_oneof![3 => small, 1 => large], 1..90)
}

proptest! {
    #[test]
    fn no_trace_of_the_window_model_is_rejected(
        calls in calls(),
        jitter in prop::collection::vec(0u32..299, 1..60),
    ) {
        for kind in [LimiterKind::Auto, LimiterKind::Window] {
            let sent = jittered(&trace(kind, &calls), &jitter);
            prop_assert!(window_admits(&sent, 1000, 30));
            prop_assert!(bucket_admits(&sent, 1000));
            let requests: Vec<_> = sent.iter().map(|(at, _)| (*at, 1)).collect();
            prop_assert!(bucket_admits(&requests, 30));
        }
    }

    #[test]
    fn no_trace_of_the_bucket_model_is_rejected(
        calls in calls(),
        jitter in prop::collection::vec(0u32..299, 1..60),
    ) {
        let sent = jittered(&trace(LimiterKind::Bucket, &calls), &jitter);
        prop_assert!(bucket_admits(&sent, 1000));
        let requests: Vec<_> = sent.iter().map(|(at, _)| (*at, 1)).collect();
        prop_assert!(bucket_admits(&requests, 30));
    }

    #[test]
    fn a_refund_leaves_no_trace(
        calls in prop::collection::vec((0u64..20_000, 1u64..400, 0u64..500), 1..20),
        index in any::<prop::sample::Index>(),
    ) {
        let start = Instant::now();
        for kind in [LimiterKind::Window, LimiterKind::Auto] {
            let (mut with, mut without) =
                (limiter(kind, 1000, 30, start), limiter(kind, 1000, 30, start));
            let skipped = index.index(calls.len());
            let mut refunded = None;
            for (number, (pause, input, output)) in calls.iter().enumerate() {
                let at = start + Duration::from_millis(*pause);
                let reservation = with.reserve(at, &cost(*input, *output));
                if number == skipped {
                    refunded = Some(reservation);
                } else {
                    without.reserve(at, &cost(*input, *output));
                }
            }
            let now = start + Duration::from_secs(20);
            with.refund(&refunded.unwrap(), Refund::All, now);
            prop_assert_eq!(with.available(now), without.available(now));
            prop_assert_eq!(with.earliest(now, &cost(9, 9)), without.earliest(now, &cost(9, 9)));
        }
    }
}
