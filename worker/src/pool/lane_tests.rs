//! The queue on made-up time: who goes when, where, and what is given back.

use super::super::config::{LimiterKind, Provider};
use super::super::deployment::DeploymentState;
use super::super::headers::Limits;
use super::*;
use crate::chat::{CallError, Shortage};
use proptest::prelude::*;

fn config(name: &str, tokens: u64, tier: u32, concurrency_max: u32) -> DeploymentConfig {
    DeploymentConfig {
        name: name.into(),
        model: "m".into(),
        provider: Provider::Compatible,
        endpoint: "http://localhost/v1".into(),
        api_key: None,
        tokens_per_minute: tokens,
        requests_per_minute: 600,
        tier,
        concurrency_max,
        limiter: LimiterKind::Auto,
        mode: None,
        context_tokens_max: None,
        input_price_per_million: Some(2.0),
        output_price_per_million: Some(8.0),
    }
}

/// A lane with its time and every wish to make one readable.
struct Scene {
    lane: Lane,
    start: Instant,
    now: Instant,
}

impl Scene {
    fn new(configs: Vec<DeploymentConfig>) -> Self {
        let now = Instant::now();
        let mut lane = Lane::default();
        configs.into_iter().for_each(|config| lane.add(config, now));
        Self { lane, start: now, now }
    }

    fn enter(&mut self, tokens: u64, interactive: bool) -> TicketId {
        let cost = Cost { tokens_input: 0, tokens_output_max: tokens };
        self.lane.enter(cost, interactive, Arc::new(Notify::new()), self.now)
    }

    fn at(&mut self, seconds: f64) {
        self.now = self.start + Duration::from_secs_f64(seconds);
    }

    /// `d1` for granted, `@60.3` for an alarm in seconds from the start, `-` for none.
    fn see(&mut self, id: TicketId) -> String {
        match self.lane.poll(id, self.now) {
            Ok(Verdict::Granted(grant)) => grant.deployment,
            Ok(Verdict::Wait(Some(alarm))) => {
                format!("@{:.2}", alarm.duration_since(self.start).as_secs_f64())
            }
            Ok(Verdict::Wait(None)) => "-".into(),
            Err(error) => error.to_string(),
        }
    }

    fn grant(&mut self, id: TicketId) -> Grant {
        match self.lane.poll(id, self.now) {
            Ok(Verdict::Granted(grant)) => grant,
            other => panic!("{other:?}"),
        }
    }

    fn end(&mut self, grant: &Grant, result: Result<(u64, u64), &CallError>) {
        let (limits, jitter) = (Limits::default(), 0.5);
        let outcome = Outcome { result, limits, started: self.now, jitter };
        self.lane.settle(grant.index, &grant.reservation, &outcome, self.now);
    }

    fn status(&self, index: usize) -> DeploymentStatus {
        self.lane.snapshot(self.now).remove(index)
    }
}

#[test]
fn interactive_goes_first_and_equals_in_order() {
    let mut scene = Scene::new(vec![config("d", 1000, 0, 9)]);
    let first = scene.enter(1000, false);
    assert_eq!(scene.see(first), "d");
    let bulk = [scene.enter(600, false), scene.enter(400, false), scene.enter(400, false)];
    let interactive = scene.enter(500, true);
    assert_eq!(scene.see(interactive), "@60.30");
    assert_eq!(scene.see(bulk[0]), "-");
    scene.at(60.3);
    assert_eq!(scene.see(interactive), "d");
    // The small one would fit, and must not delay the large one before it.
    assert_eq!(bulk.map(|id| scene.see(id)), ["@120.60", "-", "-"]);
    scene.at(120.6);
    assert_eq!(bulk.map(|id| scene.see(id)), ["d", "d", "@180.90"]);
}

#[test]
fn a_ticket_that_waits_for_one_deployment_leaves_the_others() {
    let mut scene = Scene::new(vec![config("large", 1000, 0, 9), config("small", 100, 0, 9)]);
    let first = scene.enter(900, false);
    let head = scene.enter(900, false);
    let next = scene.enter(100, false);
    assert_eq!([first, head, next].map(|id| scene.see(id)), ["large", "@60.30", "small"]);
}

#[test]
fn a_higher_tier_takes_the_overflow_only() {
    let mut scene = Scene::new(vec![config("dear", 1000, 1, 9), config("cheap", 1000, 0, 9)]);
    let ids = [0; 5].map(|_| scene.enter(400, false));
    assert_eq!(ids.map(|id| scene.see(id)), ["cheap", "cheap", "dear", "dear", "@60.30"]);
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
    let first = scene.enter(1000, false);
    let (second, third) = (scene.enter(1000, false), scene.enter(700, false));
    // Granted, but nobody has fetched it.
    scene.lane.leave(first, scene.now);
    scene.lane.leave(second, scene.now);
    assert_eq!(scene.see(third), "d");
    assert_eq!((scene.status(0).tokens_available, scene.status(0).in_flight), (300, 1));
}

#[test]
fn a_rejection_blocks_its_deployment_and_is_no_failure() {
    let mut scene = Scene::new(vec![config("a", 1000, 0, 9), config("b", 1000, 1, 9)]);
    let id = scene.enter(900, false);
    let grant = scene.grant(id);
    let retry_after = Duration::from_secs(7);
    let error = CallError::Throttled {
        deployment: "a".into(),
        retry_after,
        why: Shortage::Quota,
        message: "no".into(),
    };
    scene.end(&grant, Err(&error));
    assert_eq!(scene.status(0).state, DeploymentState::Throttled);
    assert_eq!(scene.status(0).tokens_available, 1000);
    let ids = [scene.enter(900, false), scene.enter(900, false), scene.enter(900, false)];
    assert_eq!(ids.map(|id| scene.see(id)), ["b", "@7.00", "@60.30"]);
    scene.at(7.0);
    assert_eq!(ids.map(|id| scene.see(id))[1], "a");
    assert_eq!(scene.status(0).state, DeploymentState::Ok);
}

#[test]
fn refusals_end_the_wait_of_all_and_one_probe_follows() {
    let mut scene = Scene::new(vec![config("d", 1000, 0, 9)]);
    let (first, second) = (scene.enter(900, false), scene.enter(900, false));
    let grant = scene.grant(first);
    let error = CallError::Denied { deployment: "d".into(), status: 401, message: "key".into() };
    scene.end(&grant, Err(&error));
    let denied = "every deployment refuses calls: d refuses calls (401): key";
    assert_eq!(scene.see(second), denied);
    let cost = Cost::default();
    let forecast = scene.lane.forecast(&cost, true, scene.now).unwrap_err();
    assert_eq!(forecast.to_string(), denied);
    scene.at(30.0);
    let (probe, other) = (scene.enter(10, false), scene.enter(10, false));
    let grant = scene.grant(probe);
    assert_eq!(scene.see(other), denied);
    scene.end(&grant, Ok((1, 1)));
    let id = scene.enter(10, false);
    assert_eq!(scene.see(id), "d");
}

#[test]
fn failures_cool_down_and_the_quota_stays_used() {
    let mut scene = Scene::new(vec![config("d", 1000, 0, 9)]);
    let id = scene.enter(400, false);
    let grant = scene.grant(id);
    let error =
        CallError::Unknown { deployment: "d".into(), status: Some(503), message: "".into() };
    scene.end(&grant, Err(&error));
    let id = scene.enter(400, false);
    assert_eq!(scene.see(id), "@1.00");
    assert_eq!(scene.status(0).state, DeploymentState::Cooling);
    assert_eq!(scene.status(0).tokens_available, 600);
}

#[test]
fn too_large_for_all_is_said_at_once() {
    let mut scene = Scene::new(vec![config("a", 1000, 0, 9), config("b", 2000, 0, 9)]);
    let id = scene.enter(2001, false);
    let expected = "the call counts 2001 tokens; no deployment takes more than 2000";
    assert_eq!(scene.see(id), expected);
}

#[test]
fn the_forecast_counts_who_goes_first() {
    let mut scene = Scene::new(vec![config("d", 600, 0, 9)]);
    let cost = Cost { tokens_input: 0, tokens_output_max: 300 };
    let wait = |scene: &Scene, interactive| {
        scene.lane.forecast(&cost, interactive, scene.now).unwrap().1.as_secs_f64()
    };
    assert_eq!(wait(&scene, false), 0.0);
    for _ in 0..12 {
        scene.enter(300, false);
    }
    assert_eq!(wait(&scene, true), 60.3);
    assert_eq!(wait(&scene, false), 330.0);
}

#[test]
fn tokens_have_a_price() {
    let scene = Scene::new(vec![config("d", 600, 0, 9)]);
    assert_eq!(scene.lane.price("d", 1_000_000, 500_000), Some(6.0));
    assert_eq!(scene.lane.price("e", 1, 1), None);
}

/// What happens next in a made-up run.
#[derive(Clone, Debug)]
enum Act {
    Enter { tokens: u64, interactive: bool },
    Leave(prop::sample::Index),
    End(prop::sample::Index, u8),
    Pass(u64),
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        4 => (1u64..900, any::<bool>()).prop_map(|(tokens, interactive)| Act::Enter { tokens, interactive }),
        1 => any::<prop::sample::Index>().prop_map(Act::Leave),
        3 => (any::<prop::sample::Index>(), 0u8..6).prop_map(|(index, how)| Act::End(index, how)),
        2 => (1u64..20_000).prop_map(Act::Pass),
    ]
}

fn end(scene: &mut Scene, grant: Grant, how: u8) {
    let deployment = "d".to_owned();
    let (message, status) = (String::new(), Some(500));
    let retry_after = Duration::from_secs(2);
    match how {
        0 => scene.lane.cancel(grant.index, &grant.reservation, scene.now),
        1 => scene.lane.abandon(grant.index, scene.now),
        2 => scene.end(
            &grant,
            Err(&CallError::Throttled { deployment, retry_after, why: Shortage::Quota, message }),
        ),
        3 => scene.end(&grant, Err(&CallError::Unknown { deployment, status, message })),
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
                    scene.lane.leave(id, scene.now);
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
        for _ in 0..1000 {
            if tickets.is_empty() {
                break;
            }
            collect(&mut scene, &mut tickets, &mut grants);
            let alarms = tickets.iter().filter_map(|id| scene.lane.waiting.get(id)?.alarm);
            match (grants.pop(), alarms.min()) {
                (Some(grant), _) => end(&mut scene, grant, 5),
                (None, Some(alarm)) => {
                    prop_assert!(alarm > scene.now);
                    scene.now = alarm;
                }
                (None, None) => prop_assert!(tickets.is_empty(), "nothing would ever wake them"),
            }
        }
        prop_assert!(tickets.is_empty() && scene.lane.decided.is_empty());
        for grant in grants {
            end(&mut scene, grant, 5);
        }
        prop_assert!(scene.lane.snapshot(scene.now).iter().all(|one| one.in_flight == 0));
    }
}

fn collect(scene: &mut Scene, tickets: &mut Vec<TicketId>, grants: &mut Vec<Grant>) {
    tickets.retain(|id| match scene.lane.poll(*id, scene.now) {
        Ok(Verdict::Granted(grant)) => {
            grants.push(grant);
            false
        }
        Ok(Verdict::Wait(_)) => true,
        Err(error) => panic!("{error}"),
    });
}
