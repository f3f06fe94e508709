//! Which deployment each strategy picks.

use super::*;

fn idle(index: usize) -> Candidate {
    Candidate::new(index, 0)
}

/// These candidates, by their place, and who of them is chosen.
fn check(strategy: Strategy, candidates: &[Candidate], expected: usize) {
    let candidates: Vec<_> =
        (0..).zip(candidates).map(|(index, one)| Candidate { index, ..*one }).collect();
    assert_eq!(pick(strategy, &candidates), Some(expected), "{strategy:?}");
}

#[test]
fn one_is_chosen_whatever_the_strategy_and_none_of_none() {
    for strategy in Strategy::ALL {
        assert_eq!(pick(strategy, &[]), None);
        check(strategy, &[idle(0)], 0);
        check(strategy, &[idle(0), idle(1)], 0);
    }
}

#[test]
fn balanced_weighs_everything_in_its_order() {
    let slow = |seconds| Candidate { latency: Some(seconds), ..idle(0) };
    let priced = |price| Candidate { price: Some(price), ..idle(0) };
    let table: &[(&[Candidate], usize)] = &[
        // Provisioned throughput is paid for already.
        (&[idle(0), Candidate { provisioned: true, load: 0.9, ..idle(0) }], 1),
        // But a lower tier is somebody's wish.
        (&[idle(0), Candidate { provisioned: true, tier: 1, ..idle(0) }], 0),
        (&[priced(2.0), priced(1.0)], 1),
        (&[priced(2.0), Candidate { load: 0.9, ..priced(1.0) }], 1),
        // A price that one of them lacks says nothing.
        (&[Candidate { load: 0.5, ..priced(2.0) }, idle(0)], 1),
        (&[Candidate { load: 0.5, ..idle(0) }, priced(2.0)], 1),
        (&[slow(3.0), slow(1.0)], 1),
        // Where all are fast, speed is chance.
        (&[Candidate { load: 0.5, ..slow(0.02) }, Candidate { load: 0.4, ..slow(0.9) }], 1),
        // One that is not known yet is tried.
        (&[Candidate { load: 0.1, ..slow(0.5) }, idle(0)], 1),
        (&[slow(1.5), Candidate { load: 0.4, ..idle(0) }], 1),
        // The faster one may be the busier one, up to a point.
        (&[slow(3.0), Candidate { load: 1.0, ..slow(1.0) }], 1),
        (&[slow(3.0), Candidate { load: 1.0, ..slow(2.0) }], 0),
        (&[Candidate { health: 0.8, ..idle(0) }, Candidate { load: 0.1, ..idle(0) }], 1),
        (&[Candidate { health: 0.0, ..idle(0) }, Candidate { load: 2.0, ..slow(9.0) }], 1),
    ];
    for (candidates, expected) in table {
        check(Strategy::Balanced, candidates, *expected);
    }
}

#[test]
fn one_that_failed_last_is_for_when_there_is_no_other() {
    let failed = Candidate { health: 0.5, ..idle(0) };
    let other = Candidate {
        tier: 9,
        load: 2.0,
        in_flight: 99,
        price: Some(9.0),
        latency: Some(9.0),
        turn: 9.0,
        ..idle(0)
    };
    for strategy in Strategy::ALL {
        check(strategy, &[failed, other], 1);
        check(strategy, &[failed], 0);
    }
}

#[test]
fn least_busy_counts_calls_under_way() {
    let busy = |in_flight| Candidate { in_flight, ..idle(0) };
    check(Strategy::LeastBusy, &[busy(3), busy(2), busy(4)], 1);
    check(Strategy::LeastBusy, &[busy(3), Candidate { tier: 7, load: 0.9, ..busy(2) }], 1);
    check(Strategy::LeastBusy, &[Candidate { tier: 1, ..busy(2) }, busy(2)], 1);
}

#[test]
fn cheapest_looks_at_prices_first() {
    let priced = |price| Candidate { price: Some(price), ..idle(0) };
    check(Strategy::Cheapest, &[priced(2.0), priced(1.0)], 1);
    check(Strategy::Cheapest, &[priced(2.0), Candidate { tier: 3, load: 0.9, ..priced(1.0) }], 1);
    check(Strategy::Cheapest, &[idle(0), priced(9.0)], 1);
    check(Strategy::Cheapest, &[priced(0.5), Candidate { provisioned: true, ..idle(0) }], 1);
    check(Strategy::Cheapest, &[Candidate { tier: 1, ..priced(1.0) }, priced(1.0)], 1);
}

#[test]
fn lowest_latency_tries_each_and_stays_with_the_fastest() {
    let took = |seconds| Candidate { latency: Some(seconds), ..idle(0) };
    check(Strategy::LowestLatency, &[took(2.0), took(1.0)], 1);
    check(Strategy::LowestLatency, &[took(2.0), Candidate { tier: 3, load: 0.9, ..took(1.0) }], 1);
    check(Strategy::LowestLatency, &[took(0.1), idle(0)], 1);
}

/// Who of them gets how many of these calls.
fn shares(strategy: Strategy, candidates: &mut [Candidate], calls: usize) -> Vec<usize> {
    let mut shares = vec![0; candidates.len()];
    for _ in 0..calls {
        let chosen = pick(strategy, candidates).expect("somebody");
        candidates[chosen].turn = turn(strategy, candidates, chosen);
        shares[chosen] += 1;
    }
    shares
}

#[test]
fn round_robin_takes_turns_whatever_the_weights() {
    let mut all = [idle(0), idle(1), Candidate { weight: 9.0, load: 0.9, tier: 2, ..idle(2) }];
    assert_eq!(shares(Strategy::RoundRobin, &mut all, 300), [100, 100, 100]);
}

#[test]
fn weighted_follows_the_weights_and_mixes_them() {
    let mut all: Vec<_> = (0..4)
        .zip([4.0, 2.0, 1.0, 1.0])
        .map(|(index, weight)| Candidate { weight, ..idle(index) })
        .collect();
    assert_eq!(shares(Strategy::Weighted, &mut all, 8), [4, 2, 1, 1]);
    assert_eq!(shares(Strategy::Weighted, &mut all, 800), [400, 200, 100, 100]);
    all[1].weight = 0.0;
    assert!(shares(Strategy::Weighted, &mut all, 600)[1] <= 1, "a weight of nothing");
}

#[test]
fn who_could_not_send_does_not_catch_up() {
    for strategy in [Strategy::RoundRobin, Strategy::Weighted] {
        let mut all = [idle(0), idle(1)];
        assert_eq!(shares(strategy, &mut all[..1], 100), [100]);
        let shares = shares(strategy, &mut all, 100);
        assert!(shares[1] <= 52, "{strategy:?}: {shares:?}");
    }
}

#[test]
fn names_are_those_of_the_configuration() {
    let names = Strategy::ALL.map(Strategy::name);
    let known = ["balanced", "least-busy", "cheapest", "lowest-latency", "round-robin", "weighted"];
    assert_eq!(names, known);
}
