use super::*;
use proptest::prelude::*;

fn bulk(tenant: &str, weight: f64, cost: f64) -> Ticket {
    Ticket { tenant: tenant.into(), weight, cost, interactive: false, returned: false }
}

fn interactive(tenant: &str) -> Ticket {
    Ticket { interactive: true, ..bulk(tenant, 1.0, 1.0) }
}

fn returned(ticket: Ticket) -> Ticket {
    Ticket { returned: true, ..ticket }
}

/// Serves until nobody waits: who, in this order.
fn drain(order: &mut Order) -> String {
    let mut served = String::new();
    while let Some(id) = order.head() {
        served.push_str(&order.serve(id).unwrap().tenant);
    }
    served
}

#[test]
fn interactive_goes_before_bulk_and_what_came_back_before_its_band() {
    let mut order = Order::default();
    order.enter(bulk("a", 1.0, 1.0));
    order.enter(bulk("b", 1.0, 1.0));
    order.enter(interactive("c"));
    order.enter(interactive("d"));
    order.enter(returned(bulk("e", 1.0, 1.0)));
    order.enter(returned(interactive("f")));
    order.enter(returned(interactive("g")));
    assert_eq!(drain(&mut order), "fgcdeab");
    assert_eq!(order.len(), 0);
}

#[test]
fn a_call_that_comes_back_is_not_paid_twice() {
    let mut order = Order::default();
    let a = order.enter(bulk("a", 1.0, 7.0));
    let ticket = order.serve(a).unwrap();
    let before = order.times().clone();
    let a = order.enter(returned(ticket));
    order.serve(a);
    assert_eq!(*order.times(), before);
}

#[test]
fn a_tenant_is_served_in_the_order_of_asking() {
    let mut order = Order::default();
    let ids: Vec<_> = (0..5).map(|_| order.enter(bulk("a", 1.0, 1.0))).collect();
    for id in ids {
        assert_eq!(order.head(), Some(id));
        order.serve(id);
    }
}

#[test]
fn who_was_idle_gets_no_credit() {
    let mut order = Order::default();
    for _ in 0..100 {
        order.enter(bulk("a", 1.0, 1.0));
    }
    for _ in 0..90 {
        let head = order.head().unwrap();
        order.serve(head);
    }
    for _ in 0..10 {
        order.enter(bulk("b", 1.0, 1.0));
    }
    assert_eq!(drain(&mut order), "babababababababababa");
}

#[test]
fn who_is_served_while_the_head_waits_pays_too() {
    let mut order = Order::default();
    let _head = order.enter(bulk("a", 1.0, 1.0));
    let later: Vec<_> = (0..3).map(|_| order.enter(bulk("b", 1.0, 1.0))).collect();
    order.serve(later[1]);
    assert_eq!(order.times().of("b"), 1.0);
    order.enter(bulk("c", 1.0, 1.0));
    assert_eq!(drain(&mut order), "acbb", "c starts with a, not with b");
}

#[test]
fn what_others_have_served_counts() {
    let mut order = Order::default();
    for tenant in ["a", "a", "b", "b"] {
        order.enter(bulk(tenant, 1.0, 1.0));
    }
    let mut times = order.times().clone();
    times.charge("a", 10.0, 1.0);
    order.adopt(times);
    assert_eq!(drain(&mut order), "bbaa");
    assert_eq!(order.times().of("a"), 12.0);
}

#[test]
fn clocks_are_forgotten_once_the_others_have_caught_up() {
    let mut order = Order::default();
    // One always waits; ten thousand others come once.
    order.enter(bulk("steady", 1.0, 1.0));
    for number in 0..10_000 {
        order.enter(bulk("steady", 1.0, 1.0));
        order.enter(bulk(&format!("tenant {number}"), 1.0, 1.0));
        for _ in 0..2 {
            let head = order.head().unwrap();
            order.serve(head);
        }
    }
    assert!(order.times().clocks.len() < 500, "{:?}", order.times().clocks.len());
    drain(&mut order);
    assert!(order.times().clocks.is_empty());
}

#[test]
fn a_weight_of_four_gets_four_times_as_much() {
    let weights = [("a", 4.0), ("b", 2.0), ("c", 1.0), ("d", 1.0)];
    let mut order = Order::default();
    let mut served: BTreeMap<Arc<str>, f64> = BTreeMap::new();
    let mut cost = 17.0;
    for number in 0..8000 {
        let (tenant, weight) = weights[number % 4];
        cost = (cost * 48_271.0) % 9973.0;
        order.enter(bulk(tenant, weight, 100.0 + cost));
    }
    for _ in 0..4000 {
        let head = order.head().unwrap();
        let ticket = order.serve(head).unwrap();
        *served.entry(ticket.tenant).or_default() += ticket.cost;
    }
    let total: f64 = served.values().sum();
    for (tenant, weight) in weights {
        let share = served[tenant] / total / (weight / 8.0);
        assert!((0.95..1.05).contains(&share), "{tenant}: {share}");
    }
}

/// What may happen to the order.
#[derive(Clone, Debug)]
enum Event {
    Enter { tenant: usize, cost: f64, interactive: bool, returned: bool },
    Serve,
    ServeLater(usize),
    Cancel(usize),
    Refund,
}

const TENANTS: [(&str, f64); 4] = [("a", 4.0), ("b", 2.0), ("c", 1.0), ("d", 1.0)];

fn event() -> impl Strategy<Value = Event> {
    let enter = (0..4_usize, 1.0..1000.0, prop::bool::weighted(0.2), prop::bool::weighted(0.1));
    prop_oneof![
        4 => enter.prop_map(|(tenant, cost, interactive, returned)| {
            Event::Enter { tenant, cost, interactive, returned }
        }),
        3 => Just(Event::Serve),
        1 => (0..8_usize).prop_map(Event::ServeLater),
        1 => (0..8_usize).prop_map(Event::Cancel),
        1 => Just(Event::Refund),
    ]
}

proptest! {
    /// Whatever happens: the order is complete, its head is its first, and positions agree.
    #[test]
    fn the_order_is_whole(events in prop::collection::vec(event(), 1..200)) {
        let mut order = Order::default();
        let mut waiting: BTreeSet<TicketId> = BTreeSet::new();
        let mut last = None;
        for event in events {
            let nth = |n: usize| waiting.iter().nth(n).copied();
            match event {
                Event::Enter { tenant, cost, interactive, returned } => {
                    let (tenant, weight) = TENANTS[tenant];
                    let ticket = bulk(tenant, weight, cost);
                    waiting.insert(order.enter(Ticket { interactive, returned, ..ticket }));
                }
                Event::Serve => if let Some(head) = order.head() {
                    last = order.serve(head);
                    prop_assert!(waiting.remove(&head));
                },
                Event::ServeLater(n) => if let Some(id) = nth(n) {
                    last = order.serve(id);
                    prop_assert!(waiting.remove(&id));
                },
                Event::Cancel(n) => if let Some(id) = nth(n) {
                    prop_assert!(order.cancel(id).is_some());
                    prop_assert!(order.cancel(id).is_none());
                    waiting.remove(&id);
                },
                Event::Refund => if let Some(ticket) = last.take() {
                    order.refund(&ticket);
                },
            }
            let listed: Vec<TicketId> = order.in_order().map(|(id, _)| id).collect();
            prop_assert_eq!(listed.first().copied(), order.head());
            prop_assert_eq!(listed.len(), order.len());
            prop_assert_eq!(&listed.iter().copied().collect::<BTreeSet<_>>(), &waiting);
            for (index, id) in listed.iter().enumerate() {
                prop_assert_eq!(order.position(*id), Some(index + 1));
            }
            prop_assert_eq!(order.turns.len(), order.queues.len());
        }
        while let Some(head) = order.head() {
            prop_assert!(order.cancel(head).is_some());
        }
        prop_assert!(order.tickets.is_empty() && order.lines.is_empty());
        prop_assert!(order.queues.is_empty() && order.turns.is_empty());
        prop_assert!(order.times.clocks.is_empty());
    }

    /// Tickets that are cancelled before they are served change nothing for the others.
    #[test]
    fn a_cancelled_ticket_leaves_nothing(
        costs in prop::collection::vec((0..4_usize, 1.0..1000.0, any::<bool>()), 1..80),
    ) {
        let (mut with, mut without) = (Order::default(), Order::default());
        let mut cancelled = Vec::new();
        for (tenant, cost, is_cancelled) in costs {
            let (tenant, weight) = TENANTS[tenant];
            let id = with.enter(bulk(tenant, weight, cost));
            if is_cancelled {
                cancelled.push(id);
            } else {
                without.enter(bulk(tenant, weight, cost));
            }
        }
        for id in cancelled {
            with.cancel(id);
        }
        prop_assert_eq!(drain(&mut with), drain(&mut without));
        prop_assert_eq!(with.times, without.times);
    }

    /// While all wait, no tenant is ever behind its share by more than one ticket of each: shares
    /// are within 5 % over a minute's worth, and nobody starves.
    #[test]
    fn shares_follow_weights(costs in prop::collection::vec(1.0..1000.0, 400..600)) {
        let mut order = Order::default();
        let mut served = [0.0; 4];
        for cost in &costs {
            for (tenant, weight) in TENANTS {
                order.enter(bulk(tenant, weight, *cost));
            }
        }
        for _ in 0..costs.len() {
            let head = order.head().unwrap();
            let ticket = order.serve(head).unwrap();
            let index = TENANTS.iter().position(|(name, _)| *name == &*ticket.tenant).unwrap();
            served[index] += ticket.cost;
            // The theorem of start-time fair queueing.
            for (i, (_, one)) in TENANTS.iter().enumerate() {
                for (j, (_, other)) in TENANTS.iter().enumerate() {
                    let apart = (served[i] / one - served[j] / other).abs();
                    prop_assert!(apart <= 1000.0 / one + 1000.0 / other, "{served:?}");
                }
            }
        }
        let total: f64 = served.iter().sum();
        for (served, (tenant, weight)) in served.iter().zip(TENANTS) {
            let share = served / total / (weight / 8.0);
            prop_assert!((0.95..1.05).contains(&share), "{tenant}: {share}");
        }
    }
}
