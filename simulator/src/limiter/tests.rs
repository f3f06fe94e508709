//! What the limiters promise: never more than the limit, and an honest retry-after.

use super::*;
use proptest::prelude::*;

const PLAIN: Charge = Charge { prompt: PromptCharge::Chars4, max_out: false, default_max_out: 0 };

fn limiter(kind: Kind, tpm: u64, rpm: u64) -> Limiter {
    Limiter::new(&DeploymentConfig::new("a", kind, tpm, rpm))
}

fn cost(tokens: u64) -> Cost {
    Cost::new(PLAIN, 4.0, tokens, None)
}

fn at(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn rejection(verdict: Verdict) -> Rejection {
    match verdict {
        Verdict::Rejected(rejection) => rejection,
        Verdict::Admitted(_) => panic!("admitted"),
    }
}

fn standing(verdict: Verdict) -> Standing {
    match verdict {
        Verdict::Admitted(standing) => standing,
        Verdict::Rejected(rejection) => panic!("{rejection:?}"),
    }
}

#[test]
fn the_charge_of_the_older_generation_is_the_observed_one() {
    let charge = Charge { prompt: PromptCharge::Chars4, max_out: true, default_max_out: 640 };
    // One message of 28 characters counts 8.
    assert_eq!(Cost::new(charge, 4.0, 8, None).tokens, 648);
    assert_eq!(Cost::new(charge, 4.0, 8, Some(2_000)).tokens, 2_008);
}

#[test]
fn a_window_holds_ten_seconds_of_requests_and_sixty_of_tokens() {
    let mut window = limiter(Kind::Window, 1_000, 12);
    let first = standing(window.admit(at(0), cost(600), Terms::FULL));
    assert_eq!((first.requests_left, first.tokens_left), (1, 400));
    // Rejected for its tokens, and yet it fills the request window.
    let second = rejection(window.admit(at(500), cost(600), Terms::FULL));
    assert_eq!((second.limit, second.wait), (Limit::Tokens, Duration::from_secs(60)));
    let third = rejection(window.admit(at(1_000), cost(1), Terms::FULL));
    assert_eq!((third.limit, third.wait), (Limit::Requests, Duration::from_secs(9)));
    // A call rejected for its requests occupies nothing.
    standing(window.admit(at(10_000), cost(1), Terms::FULL));
}

#[test]
fn a_bucket_refills_and_charges_rejections() {
    let mut bucket = limiter(Kind::Bucket, 600, 60);
    let first = standing(bucket.admit(at(0), cost(600), Terms::FULL));
    assert_eq!((first.requests_left, first.tokens_left), (59, 0));
    let second = rejection(bucket.admit(at(1_000), cost(20), Terms::FULL));
    assert_eq!((second.limit, second.wait), (Limit::Tokens, at(1_001)));
    assert_eq!(second.standing.requests_left, 59);
    standing(bucket.admit(at(2_001), cost(20), Terms::FULL));
}

#[test]
fn a_bucket_owes_requests_after_hammering() {
    let mut bucket = limiter(Kind::Bucket, 600, 1);
    standing(bucket.admit(at(0), cost(1), Terms::FULL));
    let second = rejection(bucket.admit(at(0), cost(1), Terms::FULL));
    assert_eq!((second.limit, second.standing.requests_left), (Limit::Requests, -1));
    assert_eq!(second.wait, at(120_001), "the observed jump from 60 to about 120 seconds");
}

#[test]
fn a_call_larger_than_a_minute_never_passes() {
    for kind in [Kind::Window, Kind::Bucket] {
        let mut limiter = limiter(kind, 100, 60);
        let verdict = limiter.admit(at(3_600_000), cost(101), Terms::FULL);
        assert_eq!(rejection(verdict).wait, HOPELESS, "{kind:?}");
    }
}

#[test]
fn provisioned_throughput_lets_the_last_call_over_the_top() {
    let mut ptu = limiter(Kind::Ptu, 6_000, 1);
    standing(ptu.admit(at(0), cost(1_000), Terms::FULL));
    standing(ptu.admit(at(0), cost(500), Terms::FULL));
    let third = rejection(ptu.admit(at(0), cost(1), Terms::FULL));
    assert_eq!((third.limit, third.wait), (Limit::Utilisation, at(5_001)));
    ptu.settle(at(0), cost(500), cost(0), Terms::FULL);
    standing(ptu.admit(at(0), cost(1), Terms::FULL));
}

#[test]
fn lowered_limits_and_external_load_count() {
    let half = Terms { limit: 0.5, share: 1.0 };
    let mut bucket = limiter(Kind::Bucket, 600, 60);
    let first = standing(bucket.admit(at(0), cost(100), half));
    assert_eq!((first.tokens_limit, first.tokens_left), (300, 200));
    let shared = Terms { limit: 1.0, share: 0.5 };
    let mut window = limiter(Kind::Window, 600, 60);
    assert_eq!(standing(window.admit(at(0), cost(100), shared)).tokens_left, 200);
}

fn calls() -> impl Strategy<Value = Vec<(u64, u64)>> {
    proptest::collection::vec((0u64..9_000, 1u64..700), 1..150)
}

proptest! {
    #[test]
    fn a_window_never_admits_more_than_its_limits(calls in calls()) {
        let (tpm, rpm) = (1_000, 20);
        let mut window = limiter(Kind::Window, tpm, rpm);
        let (mut now, mut admitted) = (0, Vec::new());
        for (gap, tokens) in calls {
            now += gap;
            if let Verdict::Admitted(_) = window.admit(at(now), cost(tokens), Terms::FULL) {
                admitted.push((now, tokens));
            }
        }
        for (start, _) in &admitted {
            let within = |span: u64| admitted.iter().filter(move |(t, _)| (*start..start + span).contains(t));
            prop_assert!(within(60_000).map(|(_, tokens)| tokens).sum::<u64>() <= tpm);
            prop_assert!(within(10_000).count() as u64 <= rpm.div_ceil(6));
        }
    }

    #[test]
    fn a_bucket_never_admits_more_than_it_held_and_got(calls in calls()) {
        let (tpm, rpm) = (1_000, 20);
        let mut bucket = limiter(Kind::Bucket, tpm, rpm);
        let (mut now, mut tokens_sum, mut count) = (0, 0, 0);
        for (gap, tokens) in calls {
            now += gap;
            if let Verdict::Admitted(_) = bucket.admit(at(now), cost(tokens), Terms::FULL) {
                tokens_sum += tokens;
                count += 1;
            }
            let minutes = 1.0 + now as f64 / 60_000.0;
            prop_assert!(tokens_sum as f64 <= tpm as f64 * minutes + 1e-6);
            prop_assert!(f64::from(count) <= rpm as f64 * minutes + 1e-6);
        }
    }

    #[test]
    fn provisioned_throughput_is_never_exceeded_by_more_than_one_call(calls in calls()) {
        let mut ptu = limiter(Kind::Ptu, 6_000, 1);
        let (mut now, mut sum) = (0, 0);
        for (gap, tokens) in calls {
            now += gap;
            if let Verdict::Admitted(_) = ptu.admit(at(now), cost(tokens), Terms::FULL) {
                sum += tokens;
            }
            prop_assert!(sum as f64 <= 1_000.0 + 100.0 * now as f64 / 1_000.0 + 700.0 + 1e-6);
        }
    }

    #[test]
    fn whoever_waits_as_told_is_let_in(calls in calls(), kind in 0..3) {
        let kind = [Kind::Window, Kind::Bucket, Kind::Ptu][kind as usize];
        let mut limiter = limiter(kind, 1_000, 20);
        let mut now = Duration::ZERO;
        for (gap, tokens) in calls {
            now += at(gap);
            if let Verdict::Rejected(rejection) = limiter.admit(now, cost(tokens), Terms::FULL) {
                prop_assert!(rejection.wait > Duration::ZERO);
                now += rejection.wait;
                let again = limiter.admit(now, cost(tokens), Terms::FULL);
                prop_assert!(matches!(again, Verdict::Admitted(_)), "{again:?}");
            }
        }
    }
}
