//! The script itself, in a real Redis, under any order of reports, losses and deaths.

use super::report::{Grant, Member, invocation};
use crate::pool::{Demand, News, Share};
use deadpool_redis::redis::{Client, Script, ScriptInvocation, aio::MultiplexedConnection};
use proptest::prelude::*;
use std::collections::BTreeMap;
use uuid::Uuid;

const LEASE: u64 = 3_000;
const TAIL: u64 = 61_000;
const MILLION: u32 = 1_000_000;

fn url() -> Option<String> {
    let url = std::env::var("SLUICE_TEST_REDIS").ok();
    if url.is_none() {
        assert!(std::env::var_os("CI").is_none(), "SLUICE_TEST_REDIS must be set in CI");
        println!("SKIPPED: SLUICE_TEST_REDIS is not set: eval \"$(tests/services start redis)\"");
    }
    url
}

fn script() -> Script {
    Script::new(include_str!("share.lua"))
}

/// A fleet at one deployment, with a clock of its own.
struct Fleet {
    redis: MultiplexedConnection,
    script: Script,
    key: String,
    now: u64,
    number: u64,
    members: BTreeMap<u32, One>,
}

/// What one worker knows, and when it reported last.
#[derive(Clone, Copy, Debug, Default)]
struct One {
    share: u32,
    target: u32,
    held: u32,
    seen: u64,
    is_dead: bool,
}

impl Fleet {
    async fn new(url: &str) -> Self {
        let client = Client::open(url).unwrap();
        let redis = client.get_multiplexed_async_connection().await.unwrap();
        let key = format!("sluice:{{quota}}:test-{}", Uuid::new_v4());
        let members = BTreeMap::new();
        Self { redis, script: script(), key, now: 1_000_000, number: 0, members }
    }

    /// A worker that uses part of what it may, then reports that it wants more.
    async fn report(
        &mut self,
        id: u32,
        used: u32,
        more: u32,
        unit: u32,
        is_lost: bool,
    ) -> [u32; 2] {
        let one = self.members.entry(id).or_default();
        // It starts calls only within share and target; old ones stop counting as time goes.
        one.held = one.share.min(one.target).min(used).max(one.held / 2);
        one.share = one.share.min(one.target.max(one.held));
        one.seen = self.now;
        let want = (one.held + more).min(MILLION);
        self.number += 1;
        let mut ask: ScriptInvocation<'_> = self.script.prepare_invoke();
        ask.key(&self.key).arg(id).arg(self.number).arg(LEASE).arg(TAIL).arg(LEASE).arg(self.now);
        for number in [one.share, want, unit.min(want), 25_000, 0, 0, 0] {
            ask.arg(number);
        }
        let grants: Vec<Grant> = ask.invoke_async(&mut self.redis).await.unwrap();
        let Grant(share, target, ..) = grants[0];
        if !is_lost {
            (one.share, one.target) = (share, target);
        }
        [share, target]
    }

    /// What may be used by those who report, and may still count of those who died or fell silent:
    /// these start nothing after their lease.
    fn sum(&self) -> u32 {
        let counts = |one: &&One| self.now <= one.seen + LEASE + TAIL;
        self.members.values().filter(counts).map(|one| one.share).sum()
    }

    async fn settled(url: &str, workers: u32) -> Self {
        let mut fleet = Self::new(url).await;
        for id in 0..workers {
            fleet.report(id, 0, 0, 0, false).await;
        }
        fleet.now += LEASE;
        fleet
    }
}

#[derive(Clone, Debug)]
enum Event {
    Report { id: u32, used: u32, more: u32, unit: u32, is_lost: bool },
    Dies(u32),
    Passes(u64),
}

fn event() -> impl Strategy<Value = Event> {
    let amount = 0..=MILLION;
    prop_oneof![
        10 => (0..6_u32, amount.clone(), amount.clone(), 0..=MILLION / 2, prop::bool::weighted(0.2))
            .prop_map(|(id, used, more, unit, is_lost)| Event::Report { id, used, more, unit, is_lost }),
        1 => (0..6_u32).prop_map(Event::Dies),
        4 => (0..2_000_u64).prop_map(Event::Passes),
        1 => (0..40_000_u64).prop_map(Event::Passes),
    ]
}

#[test]
fn shares_never_sum_to_more_than_the_whole() {
    let Some(url) = url() else { return };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    proptest!(ProptestConfig::with_cases(150), |(events in prop::collection::vec(event(), 1..80))| {
        runtime.block_on(async {
            let mut fleet = Fleet::settled(&url, 3).await;
            for event in events {
                match event {
                    Event::Report { id, used, more, unit, is_lost } => {
                        let one = fleet.members.get(&id).copied().unwrap_or_default();
                        // Whoever has been silent for long has fallen back, and comes back new.
                        if one.is_dead || fleet.now > one.seen + LEASE {
                            if fleet.now <= one.seen + LEASE + TAIL && one.share > 0 {
                                continue;
                            }
                            fleet.members.insert(id, One::default());
                        }
                        fleet.report(id, used, more, unit, is_lost).await;
                    }
                    Event::Dies(id) => {
                        if let Some(one) = fleet.members.get_mut(&id) {
                            one.is_dead = true;
                        }
                    }
                    Event::Passes(time) => fleet.now += time,
                }
                prop_assert!(fleet.sum() <= MILLION, "{:?}", fleet.members);
            }
            Ok(())
        })?;
    });
}

/// All report in turn, use all they may and want the same, until nothing changes any more.
async fn rounds(fleet: &mut Fleet, wants: &[(u32, u32, u32)]) -> Vec<u32> {
    for _ in 0..40 {
        for &(id, more, unit) in wants {
            fleet.now += 100;
            fleet.report(id, 0, more, unit, false).await;
        }
    }
    wants.iter().map(|(id, ..)| fleet.members[id].share).collect()
}

#[tokio::test]
async fn shares_follow_demand() {
    let Some(url) = url() else { return };
    let all = MILLION;
    let mut fleet = Fleet::settled(&url, 4).await;
    let equal = rounds(&mut fleet, &[(0, all, 1), (1, all, 1), (2, all, 1), (3, all, 1)]).await;
    assert_eq!(equal, [250_000; 4]);
    let one = rounds(&mut fleet, &[(0, all, 1), (1, 0, 0), (2, 0, 0), (3, 0, 0)]).await;
    assert_eq!(one, [all, 0, 0, 0]);
    let two = rounds(&mut fleet, &[(0, all, 1), (1, 100_000, 1), (2, 0, 0), (3, 0, 0)]).await;
    assert_eq!(two, [900_000, 100_000, 0, 0]);
    // Where nobody is in want, all lies ready, most of it where work is.
    let idle = rounds(&mut fleet, &[(0, 200_000, 1), (1, 0, 0), (2, 0, 0), (3, 0, 0)]).await;
    assert!(idle[0] > 850_000 && idle[1] > 20_000, "{idle:?}");
}

#[tokio::test]
async fn quotas_smaller_than_the_fleet_go_round() {
    let Some(url) = url() else { return };
    let mut fleet = Fleet::settled(&url, 8).await;
    let mut served = [0_u32; 8];
    // Four can call at a time, and each gives back what it has used.
    for _ in 0..60 {
        for id in 0..8 {
            fleet.now += 50;
            if fleet.members[&id].share >= 250_000 {
                served[id as usize] += 1;
                fleet.members.get_mut(&id).unwrap().target = 0;
            }
            fleet.report(id, 0, 250_000, 250_000, false).await;
            assert!(fleet.sum() <= MILLION);
        }
    }
    assert!(served.iter().all(|served| *served >= 10), "{served:?}");
}

#[tokio::test]
async fn an_old_report_changes_nothing() {
    let Some(url) = url() else { return };
    let mut fleet = Fleet::settled(&url, 1).await;
    fleet.report(0, 0, MILLION, 1, false).await;
    fleet.number -= 2;
    let mut ask = fleet.script.prepare_invoke();
    ask.key(&fleet.key).arg(0).arg(fleet.number).arg(LEASE).arg(TAIL).arg(LEASE).arg(fleet.now);
    [0; 7].iter().for_each(|number| {
        ask.arg(*number);
    });
    let stale: Result<Vec<Grant>, _> = ask.invoke_async(&mut fleet.redis).await;
    assert!(stale.unwrap_err().to_string().contains("old report"));
    // A newcomer finds nothing free.
    assert_eq!(fleet.report(1, 0, MILLION, 1, false).await[0], 0);
}

#[tokio::test]
async fn what_one_learns_all_know() {
    let Some(url) = url() else { return };
    let mut redis = Client::open(url).unwrap().get_multiplexed_async_connection().await.unwrap();
    let script = script();
    // Two that name it differently, and a third deployment that has nothing to do with it.
    let address = format!("https://{} gpt-4o", Uuid::new_v4());
    let other = format!("https://{}", Uuid::new_v4());
    let ours = [Member::new("a".into(), &other), Member::new("b".into(), &address)];
    let theirs = [Member::new("c".into(), &address)];
    let news = News { blocked: std::time::Duration::from_secs(30), tokens: 500, requests: 5 };
    let demand = Demand { news, ..Demand::default() };
    let quiet = Demand { share: Share::NONE, ..Demand::default() };
    let ask = invocation(&script, "one", 1, &ours, &[quiet, demand]);
    let _: Vec<Grant> = ask.invoke_async(&mut redis).await.unwrap();
    let ask = invocation(&script, "two", 1, &theirs, &[quiet]);
    let grants: Vec<Grant> = ask.invoke_async(&mut redis).await.unwrap();
    let Grant(_, _, workers, blocked, tokens, requests) = grants[0];
    assert_eq!((workers, tokens, requests), (2, 500, 5));
    assert!((20_000..=30_000).contains(&blocked), "{blocked}");
}
