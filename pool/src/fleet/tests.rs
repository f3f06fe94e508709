//! Many members that share one state in a real Redis.
#![expect(clippy::print_stderr, reason = "the figures are shown")]

use super::*;
use crate::{DeploymentConfig, LimiterKind, Need, PoolConfig, Provider};
use std::collections::BTreeMap;
use std::f64::consts::TAU;
use std::sync::Mutex;
use std::time::Duration;
use tokio::time::sleep;

const MEMBERS: usize = 16;
const CALLERS: usize = 4;
/// 240 requests a minute are 40 in any ten seconds.
const REQUESTS: u64 = 240;
const AT_ONCE: usize = 40;
/// The promise: the fleet uses the whole quota, and each tenant has its share of it, less 5 % at most.
const TOLERANCE: f64 = 0.05;
const WINDOW: Duration = Duration::from_secs(10);
/// A slot may be used a little late, as timers are.
const LATE: Duration = Duration::from_millis(200);

pub(super) fn deployment(
    model: &str,
    name: &str,
    limiter: LimiterKind,
    requests_per_minute: u64,
) -> DeploymentConfig {
    DeploymentConfig {
        name: name.into(),
        model: model.into(),
        provider: Provider::Compatible,
        endpoint: "http://d/v1".into(),
        tokens_per_minute: Some(100_000_000),
        requests_per_minute: Some(requests_per_minute),
        concurrency_max: Some(1_000_000),
        limiter,
        ..DeploymentConfig::default()
    }
}

fn pool(model: &str, limiter: LimiterKind, requests_per_minute: u64) -> Pool {
    let deployment = deployment(model, "d", limiter, requests_per_minute);
    let (strategies, call_timeout) = (BTreeMap::new(), Duration::from_secs(1));
    Pool::new(PoolConfig { deployments: vec![deployment], strategies, call_timeout }).unwrap()
}

pub(super) fn need(model: &str, tenant: &str, weight: f64) -> Need {
    Need {
        model: model.into(),
        tokens_input: 100,
        tokens_output_max: 100,
        interactive: false,
        wait_max: Duration::from_secs(60),
        schema: "s".into(),
        returned: false,
        tenant: tenant.into(),
        weight,
        deadline: None,
        images: Vec::new(),
    }
}

/// A slot: for which tenant, and when.
type Taken = Arc<Mutex<Vec<(usize, Instant)>>>;

/// So many members with so many callers each, at a state that nobody else uses; the members are for
/// the tenants of these weights in turn. Until there are so many slots.
async fn run(
    limiter: LimiterKind,
    requests_per_minute: u64,
    (count, callers_each): (usize, usize),
    weights: &[f64],
    enough: usize,
) -> Option<Vec<(usize, Instant)>> {
    let url = ::tests::server("SLUICE_TEST_REDIS")?;
    let model: Arc<str> = format!("{:032x}", fastrand::u128(..)).into();
    let stop = CancellationToken::new();
    let taken: Taken = Arc::default();
    let mut callers = tokio::task::JoinSet::new();
    let mut members = tokio::task::JoinSet::new();
    for number in 0..count {
        let pool = pool(&model, limiter, requests_per_minute);
        // A member keeps its connection.
        let connection = FleetConnection::redis(&url).unwrap();
        let fleet = Fleet::join(pool.clone(), connection, number.to_string().into());
        members.spawn(fleet.run(stop.clone()));
        let tenant = number % weights.len();
        let need = need(&model, &tenant.to_string(), weights[tenant]);
        for _ in 0..callers_each {
            let (pool, need, taken) = (pool.clone(), need.clone(), Arc::clone(&taken));
            callers.spawn(async move {
                while let Ok(slot) = pool.reserve(&need).await {
                    taken.lock().unwrap().push((tenant, Instant::now()));
                    // It is sent, and its end is never reported.
                    std::mem::forget(slot);
                }
            });
        }
    }
    let begun = Instant::now();
    while taken.lock().unwrap().len() < enough {
        assert!(begun.elapsed() < Duration::from_secs(120), "the quota is not given out");
        sleep(Duration::from_millis(50)).await;
    }
    callers.shutdown().await;
    stop.cancel();
    while members.join_next().await.is_some() {}
    let time = begun.elapsed().as_secs_f64();
    let taken = std::mem::take(&mut *taken.lock().unwrap());
    eprintln!("{count} members: {} slots in {time:.1} s", taken.len());
    Some(taken)
}

#[tokio::test(flavor = "multi_thread")]
async fn sixteen_members_share_one_window_and_no_slot_is_given_twice() {
    let fleet = (MEMBERS, CALLERS);
    let taken = run(LimiterKind::Window, REQUESTS, fleet, &[1.0], 3 * AT_ONCE).await;
    let Some(taken) = taken else { return };
    let mut taken: Vec<Instant> = taken.into_iter().map(|(_, at)| at).collect();
    taken.sort();
    let within = |from: &Instant| {
        taken.iter().filter(|at| *at >= from && **at < *from + WINDOW - LATE).count()
    };
    let most = taken.iter().map(within).max().unwrap();
    eprintln!("{most} in any 10 s");
    assert!(most <= AT_ONCE, "{most} slots within ten seconds");
    assert!(most as f64 >= (1.0 - TOLERANCE) * AT_ONCE as f64, "only {most} of {AT_ONCE} slots");
}

#[tokio::test(flavor = "multi_thread")]
async fn tenants_at_members_of_their_own_get_their_weights() {
    let weights = [4.0, 2.0, 1.0, 1.0];
    // What a bucket has stored is given out in the first half of a minute, in bursts to the first that
    // ask. More calls of each tenant must wait than get slots ahead: otherwise it waits for no other.
    let (stored, counted) = (2_000, 1_200);
    // Each gets half a second's slots at once, so a plain count depends on where it begins and ends:
    // those in the middle weigh most (a Hann window).
    let weigh = |index: usize| 1.0 - (TAU * (index as f64 + 0.5) / counted as f64).cos();
    let taken = run(LimiterKind::Bucket, 2_400, (4, 64), &weights, stored + counted).await;
    let Some(taken) = taken else { return };
    let last = &taken[stored..stored + counted];
    let shares = [0, 1, 2, 3].map(|tenant| {
        let own = last.iter().enumerate().filter(|(_, (other, _))| *other == tenant);
        own.map(|(index, _)| weigh(index)).sum::<f64>() / counted as f64
    });
    eprintln!("shares of {weights:?}: {shares:?}");
    for (share, due) in shares.iter().zip(weights.map(|weight| weight / 8.0)) {
        assert!((share - due).abs() <= TOLERANCE * due, "{shares:?}");
    }
}
