//! The queue on made-up time: who goes when, where, and what is given back.

use super::*;
use crate::deployment::DeploymentState;
use crate::limiter::LimiterHints;
use crate::typed::chat::{CallError, Shortage};
use crate::{LimiterKind, Provider};
use proptest::prelude::{Strategy as _, any, prop, prop_assert, prop_oneof, proptest};

fn config(name: &str, tokens: u64, tier: u32, concurrency_max: u32) -> DeploymentConfig {
    DeploymentConfig {
        name: name.into(),
        model: "m".into(),
        provider: Provider::Compatible,
        endpoint: format!("http://{name}/v1"),
        tokens_per_minute: Some(tokens),
        requests_per_minute: Some(600),
        tier,
        concurrency_max: Some(concurrency_max),
        limiter: LimiterKind::Window,
        input_price_per_million: Some(2.0),
        output_price_per_million: Some(8.0),
        ..DeploymentConfig::default()
    }
}

fn need(tokens: u32, interactive: bool) -> Need {
    Need {
        model: "m".into(),
        tokens_input: 0,
        tokens_output_max: tokens,
        interactive,
        wait_max: Duration::from_secs(60),
        schema: "s".into(),
        returned: false,
        tenant: "t".into(),
        weight: 1.0,
        deadline: None,
        images: Vec::new(),
    }
}

/// A scheduler with its time and every wish to make one readable.
struct Scene {
    scheduler: Scheduler,
    start: Instant,
    now: Instant,
}

impl Scene {
    fn new(configs: Vec<DeploymentConfig>) -> Self {
        let now = Instant::now();
        let mut scheduler = Scheduler::new(crate::Strategy::Balanced, now);
        configs.into_iter().for_each(|config| drop(scheduler.add(config, now)));
        Self { scheduler, start: now, now }
    }

    fn enter(&mut self, tokens: u32, interactive: bool) -> TicketId {
        self.scheduler.enter(&need(tokens, interactive), None, Arc::new(Notify::new()), self.now)
    }

    fn at(&mut self, seconds: f64) {
        self.now = self.start + Duration::from_secs_f64(seconds);
    }

    /// `d1` for granted, `@60` for an alarm in seconds from the start, `-` for none.
    fn see(&mut self, id: TicketId) -> String {
        match self.scheduler.poll(id, self.now) {
            Ok(Verdict::Granted(grant)) => grant.deployment,
            Ok(Verdict::Wait(Some(alarm))) => {
                format!("@{:.0}", alarm.duration_since(self.start).as_secs_f64())
            }
            Ok(Verdict::Wait(None)) => "-".into(),
            Err(error) => error.to_string(),
        }
    }

    fn grant(&mut self, id: TicketId) -> Lease {
        match self.scheduler.poll(id, self.now) {
            Ok(Verdict::Granted(grant)) => grant,
            other => panic!("{other:?}"),
        }
    }

    fn end(&mut self, grant: &Lease, result: Result<(u64, u64), &CallError>) {
        let (hints, jitter) = (LimiterHints::default(), 0.5);
        let end = End { result, hints, model: None, started: self.now, jitter };
        self.scheduler.settle(grant.index, &grant.booking, &end, self.now);
    }

    fn status(&self, index: usize) -> DeploymentStatus {
        self.scheduler.snapshot(self.now).remove(index)
    }
}

fn throttled(seconds: u64) -> CallError {
    CallError::Throttled {
        deployment: "a".into(),
        retry_after: Duration::from_secs(seconds),
        why: Shortage::Quota,
        message: "no".into(),
    }
}

fn broken() -> CallError {
    CallError::Unavailable { deployment: "a".into(), status: 503, message: "no".into() }
}

#[test]
fn interactive_goes_first_and_equals_in_order() {
    let mut scene = Scene::new(vec![config("d", 1000, 0, 9)]);
    let first = scene.enter(990, false);
    assert_eq!(scene.see(first), "d");
    let bulk = [scene.enter(400, false), scene.enter(300, false)];
    let interactive = scene.enter(250, true);
    assert_eq!(scene.see(bulk[0]), "@59");
    scene.at(59.2);
    assert_eq!([scene.see(interactive), scene.see(bulk[0])], ["@60", "@59"]);
    scene.at(100.0);
    assert_eq!([scene.see(interactive), scene.see(bulk[0])], ["d", "d"]);
    assert_ne!(scene.see(bulk[1]), "-");
}

#[test]
fn a_ticket_that_waits_for_one_deployment_leaves_the_others() {
    let mut scene = Scene::new(vec![config("large", 1000, 0, 9), config("small", 100, 0, 9)]);
    let first = scene.enter(900, false);
    let head = scene.enter(900, false);
    let next = scene.enter(90, false);
    assert_eq!([first, head, next].map(|id| scene.see(id)), ["large", "@59", "small"]);
}

#[test]
fn a_higher_tier_takes_the_overflow_only() {
    let mut scene = Scene::new(vec![config("dear", 1000, 1, 9), config("cheap", 1000, 0, 9)]);
    let ids = [0; 5].map(|_| scene.enter(450, false));
    assert_eq!(ids.map(|id| scene.see(id)), ["cheap", "cheap", "dear", "dear", "@59"]);
}

#[test]
fn calls_spread_over_equals() {
    let mut scene = Scene::new(vec![config("a", 1000, 0, 9), config("b", 1000, 0, 9)]);
    let ids = [0; 4].map(|_| scene.enter(300, false));
    assert_eq!(ids.map(|id| scene.see(id)), ["a", "b", "a", "b"]);
}

#[test]
fn a_full_deployment_is_waited_for_without_an_alarm() {
    let mut scene = Scene::new(vec![config("d", 100_000, 0, 1)]);
    let (first, second) = (scene.enter(10, false), scene.enter(10, false));
    let grant = scene.grant(first);
    assert_eq!(scene.see(second), "-");
    assert_eq!(scene.status(0).in_flight, 1);
    scene.end(&grant, Ok((1, 1)));
    assert_eq!(scene.see(second), "d");
}

#[test]
fn whoever_leaves_gives_back_what_was_reserved() {
    let mut scene = Scene::new(vec![config("d", 1000, 0, 9)]);
    let first = scene.enter(990, false);
    let (second, third) = (scene.enter(990, false), scene.enter(700, false));
    // Granted, but nobody has fetched it.
    scene.scheduler.leave(first, scene.now);
    scene.scheduler.leave(second, scene.now);
    assert_eq!(scene.status(0).in_flight, 1);
    scene.at(0.9);
    assert_ne!(scene.see(third), "-");
}

#[test]
fn a_rejection_blocks_its_deployment_and_is_no_failure() {
    let mut scene = Scene::new(vec![config("a", 1000, 0, 9), config("b", 1000, 1, 9)]);
    let id = scene.enter(900, false);
    let grant = scene.grant(id);
    scene.end(&grant, Err(&throttled(7)));
    assert_eq!(scene.status(0).state, DeploymentState::Throttled);
    let ids = [scene.enter(900, false), scene.enter(900, false), scene.enter(900, false)];
    assert_eq!(ids.map(|id| scene.see(id)), ["b", "@6", "-"]);
    scene.at(7.0);
    assert_eq!(scene.see(ids[1]), "a");
    assert_eq!(scene.status(0).state, DeploymentState::Ok);
}

#[test]
fn a_slot_that_a_rejection_made_void_goes_to_the_head_of_the_line() {
    let mut scene = Scene::new(vec![config("d", 100_000, 0, 9)]);
    let first = scene.enter(10, false);
    let grant = scene.grant(first);
    let ids: Vec<_> = (0..8).map(|_| scene.enter(1_000, false)).collect();
    scene.end(&grant, Err(&throttled(5)));
    let shown: Vec<_> = ids.iter().map(|id| scene.see(*id)).collect();
    assert!(shown.iter().all(|shown| shown != "d"), "{shown:?}");
    assert_eq!(scene.status(0).in_flight, 0);
    scene.at(5.0);
    let shown: Vec<_> = ids.iter().map(|id| scene.see(*id)).collect();
    assert_eq!(shown[0], "d", "{shown:?}");
    assert_eq!(shown.iter().filter(|shown| *shown == "d").count(), 1, "one goes ahead: {shown:?}");
}

#[test]
fn refusals_let_all_wait_and_one_probe_follows() {
    let mut scene = Scene::new(vec![config("d", 1000, 0, 9)]);
    let first = scene.enter(10, false);
    let grant = scene.grant(first);
    let error = CallError::Denied { deployment: "d".into(), status: 401, message: "key".into() };
    scene.end(&grant, Err(&error));
    assert_eq!(scene.status(0).state, DeploymentState::Denied);
    let (probe, other) = (scene.enter(10, false), scene.enter(10, false));
    let (_, wait) = scene.scheduler.forecast(&need(1, true), scene.now).unwrap();
    assert!(wait >= Duration::from_millis(990), "{wait:?}");
    scene.at(1.1);
    let grant = scene.grant(probe);
    assert_ne!(scene.see(other), "d", "one call tries it");
    scene.end(&grant, Err(&error));
    scene.at(2.5);
    assert_ne!(scene.see(other), "d", "the pauses grow");
    scene.at(3.2);
    let grant = scene.grant(other);
    scene.end(&grant, Ok((1, 1)));
    assert_eq!(scene.status(0).state, DeploymentState::Ok);
    let id = scene.enter(10, false);
    assert_eq!(scene.see(id), "d");
}

#[test]
fn three_failures_cool_down() {
    let mut scene = Scene::new(vec![config("d", 100_000, 0, 9)]);
    for _ in 0..3 {
        assert_eq!(scene.status(0).state, DeploymentState::Ok);
        let id = scene.enter(400, false);
        let grant = scene.grant(id);
        scene.end(&grant, Err(&broken()));
    }
    assert_eq!(scene.status(0).state, DeploymentState::Cooling);
    let id = scene.enter(400, false);
    scene.at(0.5);
    assert_eq!(scene.see(id), "@1");
}

#[test]
fn too_large_or_too_late_is_said_at_once() {
    let mut scene = Scene::new(vec![config("a", 1000, 0, 9), config("b", 2000, 0, 9)]);
    let id = scene.enter(2001, false);
    let expected = "the call counts 2001 tokens; no deployment takes more than 2000";
    assert_eq!(scene.see(id), expected);
    let first = [scene.enter(990, false), scene.enter(1990, false)];
    assert_eq!(first.map(|id| scene.see(id)), ["a", "b"]);
    let deadline = Some(scene.now + Duration::from_secs(30));
    let late = Need { deadline, ..need(900, false) };
    let id = scene.scheduler.enter(&late, None, Arc::new(Notify::new()), scene.now);
    assert!(scene.see(id).ends_with("too late for an answer"));
}

#[test]
fn the_forecast_counts_who_goes_first() {
    let mut scene = Scene::new(vec![config("d", 600, 0, 9)]);
    let wait = |scene: &Scene, interactive| {
        let need = need(290, interactive);
        scene.scheduler.forecast(&need, scene.now).unwrap().1.as_secs_f64()
    };
    assert_eq!(wait(&scene, false), 0.0);
    for _ in 0..12 {
        scene.enter(290, false);
    }
    assert!((60.0..61.0).contains(&wait(&scene, true)), "{}", wait(&scene, true));
    assert!((200.0..400.0).contains(&wait(&scene, false)), "{}", wait(&scene, false));
}

#[test]
fn what_questions_have_is_learned_for_each_schema() {
    let mut scene = Scene::new(vec![config("d", 100_000, 0, 9)]);
    let asked = Need { tokens_input: 100, ..need(1, false) };
    let id = scene.scheduler.enter(&asked, None, Arc::new(Notify::new()), scene.now);
    let grant = scene.grant(id);
    assert_eq!(grant.booking.size.input_real, 160.0);
    scene.scheduler.learn("s", &grant.booking, 120);
    let real = |need: &Need| scene.scheduler.ask(need).size.input_real;
    assert_eq!(real(&asked), 120.0);
    assert_eq!(real(&Need { schema: "other".into(), ..asked }), 160.0);
}

/// One of two workers that share a state.
fn exchange(scene: &mut Scene, state: &mut ModelState) {
    let exchange = scene.scheduler.begin_exchange(scene.now);
    // The clock of the state is far ahead.
    let exchanged = exchange.run(state, 1e9 + scene.scheduler.at(scene.now), scene.now);
    scene.scheduler.finish_exchange(exchanged, scene.now);
}

#[test]
fn workers_that_share_a_book_use_a_quota_once() {
    let mut state = ModelState::new(1, 0.0);
    let mut one = Scene::new(vec![config("d", 1000, 0, 9)]);
    let mut two = Scene::new(vec![config("d", 1000, 0, 9)]);
    one.scheduler.share_state(1);
    two.scheduler.share_state(2);
    let (first, second) = (one.enter(600, false), two.enter(600, false));
    assert_eq!([one.see(first), two.see(second)], ["-", "-"]);
    exchange(&mut one, &mut state);
    exchange(&mut two, &mut state);
    assert_eq!([one.see(first), two.see(second)], ["d", "-"]);
    assert!(two.scheduler.alarm.is_some_and(|alarm| alarm > two.now + Duration::from_secs(58)));
    // Without the state each goes on with a part of what all have left.
    two.scheduler.leave(second, two.now);
    one.scheduler.set_share(0.425, 0.0, one.now);
    two.scheduler.set_share(0.425, 0.0, two.now);
    for scene in [&mut one, &mut two] {
        let much = scene.enter(300, false);
        assert_eq!(scene.see(much), "@59");
        scene.scheduler.leave(much, scene.now);
        let less = scene.enter(150, false);
        assert_eq!(scene.see(less), "d");
    }
    // The state comes back without its memory: what was sent is said again.
    let mut state = ModelState::new(2, 0.0);
    exchange(&mut one, &mut state);
    exchange(&mut two, &mut state);
    let used = state.limiter("http://d/v1 m").unwrap().utilisation(1e9);
    assert!((used - 0.9).abs() < 1e-6, "{used}");
}

#[test]
fn what_is_sent_alone_while_the_book_is_asked_is_told_next_time() {
    let mut state = ModelState::new(1, 0.0);
    let mut scene = Scene::new(vec![config("d", 1000, 0, 9)]);
    scene.scheduler.share_state(1);
    exchange(&mut scene, &mut state);
    scene.scheduler.set_share(0.85, 0.0, scene.now);
    let asked = scene.scheduler.begin_exchange(scene.now);
    let id = scene.enter(300, false);
    assert_eq!(scene.see(id), "d", "it has a slot of its own");
    let exchanged = asked.run(&mut state, 1e9 + scene.scheduler.at(scene.now), scene.now);
    scene.scheduler.finish_exchange(exchanged, scene.now);
    let used = |state: &ModelState| state.limiter("http://d/v1 m").unwrap().utilisation(1e9);
    assert_eq!(used(&state), 0.0, "the question was older");
    assert!(scene.scheduler.has_news());
    exchange(&mut scene, &mut state);
    assert!((used(&state) - 0.3).abs() < 1e-6, "{}", used(&state));
    assert!(!scene.scheduler.has_news());
    exchange(&mut scene, &mut state);
    assert!((used(&state) - 0.3).abs() < 1e-6, "once");
}

#[test]
fn a_slot_for_one_that_has_left_comes_back() {
    let mut state = ModelState::new(1, 0.0);
    let mut scene = Scene::new(vec![config("d", 1000, 0, 9)]);
    scene.scheduler.share_state(1);
    let id = scene.enter(900, false);
    let asked = scene.scheduler.begin_exchange(scene.now);
    scene.scheduler.leave(id, scene.now);
    let exchanged = asked.run(&mut state, 1e9 + scene.scheduler.at(scene.now), scene.now);
    scene.scheduler.finish_exchange(exchanged, scene.now);
    assert_eq!((scene.status(0).in_flight, scene.scheduler.settlements.len()), (0, 1));
    exchange(&mut scene, &mut state);
    assert_eq!(state.limiter("http://d/v1 m").unwrap().utilisation(1e9), 0.0);
}

#[test]
fn what_a_book_did_not_hear_is_said_again() {
    let mut scene = Scene::new(vec![config("d", 1000, 0, 9)]);
    let id = scene.enter(900, false);
    let grant = scene.grant(id);
    scene.scheduler.share_state(1);
    scene.end(&grant, Ok((1, 1)));
    let asked = scene.scheduler.begin_exchange(scene.now);
    assert_eq!((asked.settlements.len(), scene.scheduler.settlements.len()), (1, 0));
    scene.scheduler.abort_exchange(asked);
    assert_eq!(scene.scheduler.settlements.len(), 1);
}

#[test]
fn what_may_have_been_heard_counts_once_when_it_is_said_again() {
    let mut state = ModelState::new(1, 0.0);
    let mut scene = Scene::new(vec![config("d", 1000, 0, 9)]);
    scene.scheduler.share_state(1);
    let (kept, other) = (scene.enter(300, false), scene.enter(300, false));
    exchange(&mut scene, &mut state);
    let (_, other) = (scene.grant(kept), scene.grant(other));
    let used = |state: &ModelState| state.limiter("http://d/v1 m").unwrap().utilisation(1e9);
    assert!((used(&state) - 0.6).abs() < 1e-6, "{}", used(&state));
    scene.scheduler.cancel(other.index, &other.booking, scene.now);
    let asked = scene.scheduler.begin_exchange(scene.now);
    // It is written, and the answer is lost.
    let exchanged = asked.run(&mut state, 1e9 + scene.scheduler.at(scene.now), scene.now);
    assert!(exchanged.is_changed());
    scene.scheduler.abort_exchange(asked);
    for _ in 0..2 {
        let asked = scene.scheduler.begin_exchange(scene.now);
        let exchanged = asked.run(&mut state, 1e9 + scene.scheduler.at(scene.now), scene.now);
        assert!(!exchanged.is_changed(), "the state knows all of it");
        scene.scheduler.finish_exchange(exchanged, scene.now);
        assert!((used(&state) - 0.3).abs() < 1e-6, "{}", used(&state));
    }
}

#[test]
fn who_gets_nothing_changes_nothing() {
    let mut state = ModelState::new(1, 0.0);
    let mut scenes = [1, 2].map(|writer| {
        let mut scene = Scene::new(vec![config("d", 1000, 0, 9)]);
        scene.scheduler.share_state(writer);
        scene.enter(600, false);
        scene
    });
    let changed = scenes.each_mut().map(|scene| {
        let asked = scene.scheduler.begin_exchange(scene.now);
        asked.run(&mut state, 1e9 + scene.scheduler.at(scene.now), scene.now).is_changed()
    });
    assert_eq!(changed, [true, true], "one has a slot, and the other has told that it waits");
    let asked = scenes[1].scheduler.begin_exchange(scenes[1].now);
    let exchanged =
        asked.run(&mut state, 1e9 + scenes[1].scheduler.at(scenes[1].now), scenes[1].now);
    assert!(!exchanged.is_changed());
    assert!(
        scenes[1].scheduler.finish_exchange(exchanged, scenes[1].now).is_some(),
        "it waiters again"
    );
}

#[test]
fn a_rejection_voids_slots_before_the_book_hears_of_it() {
    let mut state = ModelState::new(1, 0.0);
    let mut scene = Scene::new(vec![config("d", 1000, 0, 9)]);
    scene.scheduler.share_state(1);
    let (first, second) = (scene.enter(300, false), scene.enter(300, false));
    exchange(&mut scene, &mut state);
    let first = scene.grant(first);
    assert!(!scene.scheduler.is_urgent());
    scene.end(&first, Err(&throttled(2)));
    assert!(scene.scheduler.is_urgent(), "the others should know");
    assert_eq!(scene.see(second), "-");
    exchange(&mut scene, &mut state);
    assert!(!scene.scheduler.is_urgent());
    let blocked = state.limiter("http://d/v1 m").unwrap().blocked(1e9);
    assert_eq!(blocked, Some(1e9 + 2_000.0));
    scene.at(2.5);
    exchange(&mut scene, &mut state);
    assert_eq!(scene.see(second), "d");
}

#[test]
fn tokens_have_a_price() {
    let scene = Scene::new(vec![config("d", 600, 0, 9)]);
    let usage = |tokens_cached| crate::Usage {
        tokens_input: 1_000_000,
        tokens_cached,
        tokens_output: 500_000,
        ..crate::Usage::default()
    };
    assert_eq!(scene.scheduler.price("d", &usage(0)), Some(6.0));
    // What the cache had costs as much where no other price is set.
    assert_eq!(scene.scheduler.price("d", &usage(400_000)), Some(6.0));
    assert_eq!(scene.scheduler.price("e", &usage(0)), None);
    let cheaper = Some(0.5);
    let config =
        DeploymentConfig { cached_input_price_per_million: cheaper, ..config("d", 600, 0, 9) };
    let scene = Scene::new(vec![config]);
    assert_eq!(scene.scheduler.price("d", &usage(400_000)), Some(5.4));
}

/// What happens next in a made-up run.
#[derive(Clone, Debug)]
enum Act {
    Enter { tokens: u32, interactive: bool },
    Leave(prop::sample::Index),
    End(prop::sample::Index, u8),
    Pass(u64),
}

fn act() -> impl proptest::strategy::Strategy<Value = Act> {
    prop_oneof![
        4 => (1u32..490, any::<bool>()).prop_map(|(tokens, interactive)| Act::Enter { tokens, interactive }),
        1 => any::<prop::sample::Index>().prop_map(Act::Leave),
        3 => (any::<prop::sample::Index>(), 0u8..6).prop_map(|(index, how)| Act::End(index, how)),
        2 => (1u64..20_000).prop_map(Act::Pass),
    ]
}

fn end(scene: &mut Scene, grant: Lease, how: u8) {
    match how {
        0 => scene.scheduler.cancel(grant.index, &grant.booking, scene.now),
        1 => scene.scheduler.abandon(grant.index, scene.now),
        2 => scene.end(&grant, Err(&throttled(2))),
        3 => scene.end(&grant, Err(&broken())),
        _ => scene.end(&grant, Ok((10, 10))),
    }
}

proptest! {
    /// Whatever happens, everyone who stays is served, driven by alarms and ends of calls alone.
    #[test]
    fn nobody_is_forgotten(acts in prop::collection::vec(act(), 1..80)) {
        let mut scene = Scene::new(vec![config("a", 1000, 0, 2), config("b", 500, 1, 3)]);
        let (mut tickets, mut grants) = (Vec::new(), Vec::new());
        for act in acts {
            match act {
                Act::Enter { tokens, interactive } => tickets.push(scene.enter(tokens, interactive)),
                Act::Leave(index) if !tickets.is_empty() => {
                    let id = tickets.swap_remove(index.index(tickets.len()));
                    scene.scheduler.leave(id, scene.now);
                }
                Act::End(index, how) if !grants.is_empty() => {
                    let grant = grants.swap_remove(index.index(grants.len()));
                    end(&mut scene, grant, how);
                }
                Act::Pass(ms) => scene.now += Duration::from_millis(ms),
                _ => {}
            }
            collect(&mut scene, &mut tickets, &mut grants);
        }
        for _ in 0..2000 {
            if tickets.is_empty() {
                break;
            }
            let alarm = collect(&mut scene, &mut tickets, &mut grants);
            match (grants.pop(), alarm) {
                (Some(grant), _) => end(&mut scene, grant, 5),
                (None, Some(alarm)) => scene.now = scene.now.max(alarm) + Duration::from_micros(1),
                (None, None) => prop_assert!(tickets.is_empty(), "nothing would ever wake them"),
            }
        }
        prop_assert!(tickets.is_empty() && scene.scheduler.decided.is_empty());
        for grant in grants {
            end(&mut scene, grant, 5);
        }
        prop_assert!(scene.scheduler.snapshot(scene.now).iter().all(|one| one.in_flight == 0));
    }
}

fn collect(
    scene: &mut Scene,
    tickets: &mut Vec<TicketId>,
    grants: &mut Vec<Lease>,
) -> Option<Instant> {
    let mut first: Option<Instant> = None;
    tickets.retain(|id| match scene.scheduler.poll(*id, scene.now) {
        Ok(Verdict::Granted(grant)) => {
            grants.push(grant);
            false
        }
        Ok(Verdict::Wait(alarm)) => {
            first = first.into_iter().chain(alarm).min();
            true
        }
        Err(error) => panic!("{error}"),
    });
    first
}
