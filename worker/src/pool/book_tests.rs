//! Who gets which slot, on made-up time.

use super::super::calendar::{Heard, Kind, Terms};
use super::*;

fn door(address: &str, kind: Kind, tokens_per_minute: f64) -> Door {
    Door {
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
        shut: false,
        tier: 0,
        provisioned: kind == Kind::Ptu,
        prices: None,
        latency: None,
        health: 1.0,
        weight: 1.0,
        turn: 0.0,
        answer_ms: 1_000.0,
    }
}

fn ask(id: u64, tokens: f64) -> Ask {
    let size = Size { input: 0.0, input_real: 0.0, output_max: tokens };
    let tenant = "a".into();
    Ask {
        id,
        size,
        urgent: false,
        returned: false,
        tenant,
        weight: 1.0,
        deadline: None,
        only: None,
    }
}

fn exchange(book: &mut Book, events: &[Event], asks: &[Ask], doors: &[Door], now: f64) -> Answer {
    book.exchange(events, asks, doors, Strategy::Balanced, now)
}

fn forecast(
    book: &Book,
    ask: &Ask,
    ahead: &[Ask],
    doors: &[Door],
    now: f64,
) -> Result<(usize, f64), NoSlot> {
    book.forecast(ask, ahead, doors, Strategy::Balanced, now)
}

fn of(tenant: &str, weight: f64, ask: Ask) -> Ask {
    Ask { tenant: tenant.into(), weight, ..ask }
}

/// Who got a slot, and where.
fn seen(answer: &Answer) -> Vec<(u64, usize)> {
    answer.grants.iter().map(|grant| (grant.ask, grant.door)).collect()
}

#[test]
fn the_rejected_go_first_then_the_urgent_then_the_others() {
    let mut book = Book::new(1, 0.0);
    let doors = [door("d", Kind::Window, 100_000.0)];
    let asks = [
        ask(1, 10.0),
        Ask { returned: true, ..ask(2, 10.0) },
        Ask { urgent: true, ..ask(3, 10.0) },
        Ask { urgent: true, returned: true, ..ask(4, 10.0) },
    ];
    let answer = exchange(&mut book, &[], &asks, &doors, 0.0);
    assert_eq!(answer.grants.iter().map(|grant| grant.ask).collect::<Vec<_>>(), [4, 3, 2, 1]);
}

#[test]
fn tenants_take_turns_by_weight_and_the_idle_save_nothing() {
    let mut book = Book::new(1, 0.0);
    let doors = [door("d", Kind::Bucket, 1e9)];
    let asks = |from: u64| -> Vec<Ask> {
        let weights = [("a", 4.0), ("b", 2.0), ("c", 1.0), ("d", 1.0)];
        (from..from + 400)
            .map(|id| {
                let (tenant, weight) = weights[id as usize % 4];
                of(tenant, weight, ask(id, 100.0))
            })
            .collect()
    };
    let doors_of = |room| [Door { room, ..doors[0].clone() }];
    let answer = exchange(&mut book, &[], &asks(0), &doors_of(80), 0.0);
    let mut served = [0; 4];
    answer.grants.iter().for_each(|grant| served[grant.ask as usize % 4] += 1);
    for (served, expected) in served.into_iter().zip([40_i32, 20, 10, 10]) {
        assert!((served - expected).abs() <= 1, "{served} {expected}");
    }
    let mut more = asks(1_000);
    more.push(of("idle", 1.0, ask(9_999, 100.0)));
    let answer = exchange(&mut book, &[], &more, &doors_of(16), 1.0);
    assert!(answer.grants.iter().filter(|grant| grant.ask == 9_999).count() == 1);
    assert!(answer.grants.len() == 16);
}

#[test]
fn whoever_waits_for_one_deployment_leaves_the_others() {
    let mut book = Book::new(1, 0.0);
    let doors = [door("large", Kind::Window, 10_000.0), door("small", Kind::Window, 1_000.0)];
    let answer =
        exchange(&mut book, &[], &[ask(1, 9_000.0), ask(2, 9_000.0), ask(3, 900.0)], &doors, 0.0);
    assert_eq!(seen(&answer), [(1, 0), (3, 1)]);
    let again = answer.again.unwrap();
    assert!((59_000.0..59_400.0).contains(&again), "{again}");
    let answer = exchange(&mut book, &[], &[ask(2, 9_000.0)], &doors, again);
    assert_eq!(seen(&answer), [(2, 0)]);
    assert!(answer.grants[0].booking.at > 60_000.0);
}

#[test]
fn a_higher_tier_takes_the_overflow_only() {
    let mut book = Book::new(1, 0.0);
    let cheap = door("cheap", Kind::Window, 60_000.0);
    let dear = Door { tier: 1, ..door("dear", Kind::Window, 60_000.0) };
    let asks: Vec<_> = (0..60).map(|id| ask(id, 1_000.0)).collect();
    let answer = exchange(&mut book, &[], &asks, &[dear, cheap], 0.0);
    let places: Vec<_> = answer.grants.iter().map(|grant| grant.door).collect();
    assert!(places.len() > 30 && places[..20].iter().all(|door| *door == 1), "{places:?}");
    assert!(places.contains(&0));
}

#[test]
fn a_door_without_room_is_not_waited_for() {
    let mut book = Book::new(1, 0.0);
    let doors = [Door { room: 1, ..door("d", Kind::Window, 100_000.0) }];
    let answer = exchange(&mut book, &[], &[ask(1, 10.0), ask(2, 10.0)], &doors, 0.0);
    assert_eq!((seen(&answer), answer.again), (vec![(1, 0)], None));
}

#[test]
fn what_cannot_be_is_said_at_once() {
    let mut book = Book::new(1, 0.0);
    let doors = [door("d", Kind::Window, 1_000.0)];
    let late = Ask { deadline: Some(30_000.0), ..ask(3, 900.0) };
    let answer =
        exchange(&mut book, &[], &[ask(1, 1_001.0), ask(2, 900.0), late.clone()], &doors, 0.0);
    let at = match answer.refused[..] {
        [(1, NoSlot::TooLarge), (3, NoSlot::TooLate { door: 0, at })] => at,
        ref other => panic!("{other:?}"),
    };
    assert!(at > 60_000.0);
    let shut = [Door { shut: true, ..doors[0].clone() }];
    let answer = exchange(&mut book, &[], &[ask(4, 10.0)], &shut, 0.0);
    assert_eq!(answer.refused, [(4, NoSlot::Shut)]);
    assert_eq!(forecast(&book, &ask(5, 2_000.0), &[], &doors, 0.0), Err(NoSlot::TooLarge));
}

#[test]
fn an_event_changes_what_is_given() {
    let mut book = Book::new(1, 0.0);
    let doors = [door("d", Kind::Window, 1_000.0)];
    let first = exchange(&mut book, &[], &[ask(1, 900.0)], &doors, 0.0).grants.remove(0);
    let (address, booking) = (doors[0].address.clone(), first.booking);
    let event = Event { address, booking, sent: 0.0, at: 10.0, outcome: Outcome::Returned };
    let answer = exchange(&mut book, &[event], &[ask(2, 900.0)], &doors, 10.0);
    assert_eq!(seen(&answer), [(2, 0)]);
    assert!(answer.grants[0].booking.at < 1_000.0);
}

#[test]
fn whoever_wants_one_deployment_gets_no_other() {
    let mut book = Book::new(1, 0.0);
    let doors = [door("near", Kind::Window, 60_000.0), door("far", Kind::Window, 1_000.0)];
    let far = |id, tokens| Ask { only: Some(1), ..ask(id, tokens) };
    let free = |book: &Book, tokens| -> Vec<usize> {
        let free = book.free(&ask(9, tokens), &doors, 0.0);
        free.iter().map(|one| one.index).collect()
    };
    exchange(&mut book, &[], &[], &doors, 0.0);
    assert_eq!((free(&book, 900.0), free(&book, 2_000.0)), (vec![0, 1], vec![0]));
    let answer =
        exchange(&mut book, &[], &[far(1, 900.0), far(2, 900.0), ask(3, 900.0)], &doors, 0.0);
    assert_eq!(seen(&answer), [(1, 1), (3, 0)], "the second waits, and nobody behind it");
    assert_eq!(free(&book, 900.0), [0]);
    let answer = exchange(&mut book, &[], &[far(4, 2_000.0)], &doors, 0.0);
    assert_eq!(answer.refused, [(4, NoSlot::TooLarge)]);
}

#[test]
fn the_forecast_counts_who_goes_first() {
    let mut book = Book::new(1, 0.0);
    let doors = [door("d", Kind::Window, 60_000.0)];
    assert_eq!(forecast(&book, &ask(1, 1_000.0), &[], &doors, 0.0), Ok((0, 0.0)));
    let asks: Vec<_> = (0..180).map(|id| ask(id, 1_000.0)).collect();
    let answer = exchange(&mut book, &[], &asks, &doors, 0.0);
    let ahead = &asks[answer.grants.len()..];
    let (_, at) = forecast(&book, &ask(1, 1_000.0), ahead, &doors, 0.0).unwrap();
    assert!((100_000.0..200_000.0).contains(&at), "{at}");
    let urgent = Ask { urgent: true, ..ask(1, 1_000.0) };
    let (_, urgent) = forecast(&book, &urgent, ahead, &doors, 0.0).unwrap();
    assert!(urgent <= 60_000.0, "{urgent}");
}

#[test]
fn a_lost_book_is_written_again() {
    let doors = [door("d", Kind::Window, 60_000.0)];
    let asks: Vec<_> = (0..20).map(|id| ask(id, 1_000.0)).collect();
    let mut book = Book::new(1, 0.0);
    let answer = exchange(&mut book, &[], &asks, &doors, 0.0);
    let bookings: Vec<_> = answer.grants.into_iter().map(|grant| grant.booking).collect();
    let mut new = Book::new(2, 0.0);
    let known = book.calendar("d").unwrap().knowledge();
    new.merge(&doors[0], known.as_ref(), &bookings, 100.0);
    let used = |book: &Book| book.calendar("d").unwrap().utilisation(100.0);
    assert!(used(&book) > 0.3 && (used(&book) - used(&new)).abs() < 1e-9);
    let heard = Heard::default();
    let outcome = Outcome::Answered { tokens_input: 1.0, tokens_output: 1.0, heard };
    let booking = bookings[0].clone();
    let event = Event { address: "d".into(), booking, sent: 0.0, at: 1.0, outcome };
    assert!(exchange(&mut new, &[event], &[], &doors, 200.0).grants.is_empty());
    let text = serde_json::to_string(&new).unwrap();
    assert_eq!(serde_json::from_str::<Book>(&text).unwrap(), new);
}
