//! Who gets which slot, on made-up time.

use super::*;
use crate::limiter::{LimiterHints, LimiterKind, Size, Terms};

fn view(address: &str, kind: LimiterKind, tokens_per_minute: f64) -> DeploymentView {
    DeploymentView {
        address: address.into(),
        terms: Terms {
            kind,
            tokens_per_minute,
            requests_per_minute: tokens_per_minute / 100.0,
            output_weight: 4.0,
            charge: Default::default(),
        },
        room: 1_000,
        in_flight: 0,
        closed_until: None,
        tier: 0,
        provisioned: kind == LimiterKind::Ptu,
        prices: None,
        latency: None,
        health: 1.0,
        weight: 1.0,
        turn: 0.0,
        answer_ms: 1_000.0,
        sees: false,
    }
}

fn ask(id: u64, tokens: f64) -> Waiter {
    let size = Size { input: 0.0, input_real: 0.0, output_max: tokens };
    let tenant = "a".into();
    Waiter {
        id,
        size,
        urgent: false,
        returned: false,
        tenant,
        weight: 1.0,
        deadline: None,
        only: None,
        has_images: false,
    }
}

fn exchange(
    state: &mut ModelState,
    settlements: &[Settlement],
    waiters: &[Waiter],
    views: &[DeploymentView],
    now: f64,
) -> Allocation {
    state.exchange(settlements, waiters, views, Strategy::Balanced, now)
}

fn forecast(
    state: &ModelState,
    ask: &Waiter,
    ahead: &[Waiter],
    views: &[DeploymentView],
    now: f64,
) -> Result<(usize, f64), NoSlot> {
    state.forecast(ask, ahead, views, Strategy::Balanced, now)
}

fn of(tenant: &str, weight: f64, ask: Waiter) -> Waiter {
    Waiter { tenant: tenant.into(), weight, ..ask }
}

/// Who got a slot, and where.
fn seen(answer: &Allocation) -> Vec<(u64, usize)> {
    answer.grants.iter().map(|grant| (grant.ask, grant.view)).collect()
}

#[test]
fn the_rejected_go_first_then_the_urgent_then_the_others() {
    let mut state = ModelState::new(1, 0.0);
    let views = [view("d", LimiterKind::Window, 100_000.0)];
    let waiters = [
        ask(1, 10.0),
        Waiter { returned: true, ..ask(2, 10.0) },
        Waiter { urgent: true, ..ask(3, 10.0) },
        Waiter { urgent: true, returned: true, ..ask(4, 10.0) },
    ];
    let answer = exchange(&mut state, &[], &waiters, &views, 0.0);
    assert_eq!(answer.grants.iter().map(|grant| grant.ask).collect::<Vec<_>>(), [4, 3, 2, 1]);
}

#[test]
fn tenants_take_turns_by_weight_and_the_idle_save_nothing() {
    let mut state = ModelState::new(1, 0.0);
    let views = [view("d", LimiterKind::Bucket, 1e9)];
    let waiters = |from: u64| -> Vec<Waiter> {
        let weights = [("a", 4.0), ("b", 2.0), ("c", 1.0), ("d", 1.0)];
        (from..from + 400)
            .map(|id| {
                let (tenant, weight) = weights[id as usize % 4];
                of(tenant, weight, ask(id, 100.0))
            })
            .collect()
    };
    let doors_of = |room| [DeploymentView { room, ..views[0].clone() }];
    let answer = exchange(&mut state, &[], &waiters(0), &doors_of(80), 0.0);
    let mut served = [0; 4];
    answer.grants.iter().for_each(|grant| served[grant.ask as usize % 4] += 1);
    for (served, expected) in served.into_iter().zip([40_i32, 20, 10, 10]) {
        assert!((served - expected).abs() <= 1, "{served} {expected}");
    }
    let mut more = waiters(1_000);
    more.push(of("idle", 1.0, ask(9_999, 100.0)));
    let answer = exchange(&mut state, &[], &more, &doors_of(16), 1.0);
    assert!(answer.grants.iter().filter(|grant| grant.ask == 9_999).count() == 1);
    assert!(answer.grants.len() == 16);
}

#[test]
fn whoever_waits_for_one_deployment_leaves_the_others() {
    let mut state = ModelState::new(1, 0.0);
    let views =
        [view("large", LimiterKind::Window, 10_000.0), view("small", LimiterKind::Window, 1_000.0)];
    let answer =
        exchange(&mut state, &[], &[ask(1, 9_000.0), ask(2, 9_000.0), ask(3, 900.0)], &views, 0.0);
    assert_eq!(seen(&answer), [(1, 0), (3, 1)]);
    let again = answer.again.unwrap();
    assert!((59_000.0..59_400.0).contains(&again), "{again}");
    let answer = exchange(&mut state, &[], &[ask(2, 9_000.0)], &views, again);
    assert_eq!(seen(&answer), [(2, 0)]);
    assert!(answer.grants[0].booking.at > 60_000.0);
}

#[test]
fn a_higher_tier_takes_the_overflow_only() {
    let mut state = ModelState::new(1, 0.0);
    let cheap = view("cheap", LimiterKind::Window, 60_000.0);
    let dear = DeploymentView { tier: 1, ..view("dear", LimiterKind::Window, 60_000.0) };
    let waiters: Vec<_> = (0..60).map(|id| ask(id, 1_000.0)).collect();
    let answer = exchange(&mut state, &[], &waiters, &[dear, cheap], 0.0);
    let places: Vec<_> = answer.grants.iter().map(|grant| grant.view).collect();
    assert!(places.len() > 20 && places[..10].iter().all(|view| *view == 1), "{places:?}");
    assert!(places.contains(&0));
}

#[test]
fn a_door_without_room_is_not_waited_for() {
    let mut state = ModelState::new(1, 0.0);
    let views = [DeploymentView { room: 1, ..view("d", LimiterKind::Window, 100_000.0) }];
    let answer = exchange(&mut state, &[], &[ask(1, 10.0), ask(2, 10.0)], &views, 0.0);
    assert_eq!((seen(&answer), answer.again), (vec![(1, 0)], None));
}

#[test]
fn what_cannot_be_is_said_at_once() {
    let mut state = ModelState::new(1, 0.0);
    let views = [view("d", LimiterKind::Window, 1_000.0)];
    let late = Waiter { deadline: Some(30_000.0), ..ask(3, 900.0) };
    let answer =
        exchange(&mut state, &[], &[ask(1, 1_001.0), ask(2, 900.0), late.clone()], &views, 0.0);
    let at = match answer.refused[..] {
        [(1, NoSlot::TooLarge), (3, NoSlot::TooLate { view: 0, at })] => at,
        ref other => panic!("{other:?}"),
    };
    assert!(at > 60_000.0);
    let mut state = ModelState::new(1, 0.0);
    let closed = [DeploymentView { closed_until: Some(9_000.0), ..views[0].clone() }];
    let answer = exchange(&mut state, &[], &[ask(4, 10.0)], &closed, 0.0);
    assert_eq!((answer.refused.len(), answer.grants.len(), answer.again), (0, 0, Some(8_000.0)));
    assert_eq!(forecast(&state, &ask(4, 10.0), &[], &closed, 0.0), Ok((0, 9_000.0)));
    let ahead = [ask(5, 10.0), ask(6, 10.0)];
    let (_, at) = forecast(&state, &ask(4, 10.0), &ahead, &closed, 0.0).unwrap();
    assert!((9_000.0..60_000.0).contains(&at), "those before it are served when it opens: {at}");
    assert_eq!(forecast(&state, &ask(5, 2_000.0), &[], &views, 0.0), Err(NoSlot::TooLarge));
}

#[test]
fn an_event_changes_what_is_given() {
    let mut state = ModelState::new(1, 0.0);
    let views = [view("d", LimiterKind::Window, 1_000.0)];
    let first = exchange(&mut state, &[], &[ask(1, 900.0)], &views, 0.0).grants.remove(0);
    let (address, booking) = (views[0].address.clone(), first.booking);
    let settlement =
        Settlement { address, booking, sent: 0.0, at: 10.0, outcome: Outcome::Returned };
    let answer = exchange(&mut state, &[settlement], &[ask(2, 900.0)], &views, 10.0);
    assert_eq!(seen(&answer), [(2, 0)]);
    assert!(answer.grants[0].booking.at < 1_000.0);
}

#[test]
fn whoever_wants_one_deployment_gets_no_other() {
    let mut state = ModelState::new(1, 0.0);
    let views =
        [view("near", LimiterKind::Window, 60_000.0), view("far", LimiterKind::Window, 1_000.0)];
    let far = |id, tokens| Waiter { only: Some(1), ..ask(id, tokens) };
    let free = |state: &ModelState, tokens| -> Vec<usize> {
        let free = state.free(&ask(9, tokens), &views, 0.0);
        free.iter().map(|one| one.index).collect()
    };
    exchange(&mut state, &[], &[], &views, 0.0);
    assert_eq!((free(&state, 900.0), free(&state, 2_000.0)), (vec![0, 1], vec![0]));
    let answer =
        exchange(&mut state, &[], &[far(1, 900.0), far(2, 900.0), ask(3, 900.0)], &views, 0.0);
    assert_eq!(seen(&answer), [(1, 1), (3, 0)], "the second waits, and nobody behind it");
    assert_eq!(free(&state, 900.0), [0]);
    let answer = exchange(&mut state, &[], &[far(4, 2_000.0)], &views, 0.0);
    assert_eq!(answer.refused, [(4, NoSlot::TooLarge)]);
}

#[test]
fn the_forecast_counts_who_goes_first() {
    let mut state = ModelState::new(1, 0.0);
    let views = [view("d", LimiterKind::Window, 60_000.0)];
    assert_eq!(forecast(&state, &ask(1, 1_000.0), &[], &views, 0.0), Ok((0, 0.0)));
    let waiters: Vec<_> = (0..180).map(|id| ask(id, 1_000.0)).collect();
    let answer = exchange(&mut state, &[], &waiters, &views, 0.0);
    let ahead = &waiters[answer.grants.len()..];
    let (_, at) = forecast(&state, &ask(1, 1_000.0), ahead, &views, 0.0).unwrap();
    assert!((100_000.0..200_000.0).contains(&at), "{at}");
    let urgent = Waiter { urgent: true, ..ask(1, 1_000.0) };
    let (_, urgent) = forecast(&state, &urgent, ahead, &views, 0.0).unwrap();
    assert!(urgent <= 60_000.0, "{urgent}");
}

#[test]
fn a_lost_state_is_written_again() {
    let views = [view("d", LimiterKind::Window, 60_000.0)];
    let waiters: Vec<_> = (0..20).map(|id| ask(id, 1_000.0)).collect();
    let mut state = ModelState::new(1, 0.0);
    let answer = exchange(&mut state, &[], &waiters, &views, 0.0);
    let bookings: Vec<_> = answer.grants.into_iter().map(|grant| grant.booking).collect();
    let mut new = ModelState::new(2, 0.0);
    let known = state.limiter("d").unwrap().knowledge();
    new.merge(&views[0], known.as_ref(), &bookings, 100.0);
    let used = |state: &ModelState| state.limiter("d").unwrap().utilisation(100.0);
    assert!(used(&state) > 0.1 && (used(&state) - used(&new)).abs() < 1e-9);
    let hints = LimiterHints::default();
    let outcome = Outcome::Answered { tokens_input: 1.0, tokens_output: 1.0, hints };
    let booking = bookings[0].clone();
    let settlement = Settlement { address: "d".into(), booking, sent: 0.0, at: 1.0, outcome };
    assert!(exchange(&mut new, &[settlement], &[], &views, 200.0).grants.is_empty());
    let text = serde_json::to_string(&new).unwrap();
    let read = serde_json::from_str::<ModelState>(&text).unwrap();
    assert!(read.epoch() == new.epoch() && (used(&read) - used(&new)).abs() < 1e-9);
}
