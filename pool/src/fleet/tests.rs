//! Many workers at one state in a real Redis.
#![expect(clippy::print_stderr, reason = "the figures are shown")]

use super::*;
use crate::{DeploymentConfig, LimiterKind, Need, PoolConfig, Provider};
use std::{f64::consts::TAU, sync::Mutex};

const WORKERS: usize = 16;
const CALLERS: usize = 4;
/// 240 requests a minute are 40 in any ten seconds.
const REQUESTS: u64 = 240;
const AT_ONCE: usize = 40;
const WINDOW: Duration = Duration::from_secs(10);
/// A slot may be taken up a little late: the provider's own clock is no better.
const LATE: Duration = Duration::from_millis(200);

fn pool(model: &str, limiter: LimiterKind, requests_per_minute: u64) -> Pool {
    let deployment = DeploymentConfig {
        name: "d".into(),
        model: model.into(),
        provider: Provider::Compatible,
        endpoint: "http://d/v1".into(),
        tokens_per_minute: 100_000_000,
        requests_per_minute: Some(requests_per_minute),
        concurrency_max: 1_000_000,
        limiter,
        ..DeploymentConfig::default()
    };
    let (strategies, call_timeout) = (BTreeMap::new(), Duration::from_secs(1));
    Pool::new(PoolConfig { deployments: vec![deployment], strategies, call_timeout }).unwrap()
}

fn need(model: &str, tenant: &str, weight: f64) -> Need {
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
    }
}

/// A slot: for which tenant, and when.
type Taken = Arc<Mutex<Vec<(usize, Instant)>>>;

/// So many workers with so many callers each at a state that nobody else uses, each worker for the
/// tenant of these weights whose turn it is, until there are so many slots.
async fn run(
    limiter: LimiterKind,
    requests_per_minute: u64,
    (count, callers_each): (usize, usize),
    weights: &[f64],
    enough: usize,
) -> Option<Vec<(usize, Instant)>> {
    let url = ::tests::server("SLUICE_TEST_REDIS")?;
    let quota = FleetConnection::redis(&url).unwrap();
    let model: Arc<str> = format!("{:032x}", fastrand::u128(..)).into();
    let stop = CancellationToken::new();
    let taken: Taken = Arc::default();
    let mut callers = tokio::task::JoinSet::new();
    let mut workers = tokio::task::JoinSet::new();
    for number in 0..count {
        let pool = pool(&model, limiter, requests_per_minute);
        let agreement = Fleet::new(quota.clone(), pool.clone(), number.to_string().into());
        workers.spawn(agreement.run(stop.clone()));
        let tenant = number % weights.len();
        let need = need(&model, &tenant.to_string(), weights[tenant]);
        for _ in 0..callers_each {
            let (pool, need, taken) = (pool.clone(), need.clone(), Arc::clone(&taken));
            callers.spawn(async move {
                while let Ok(slot) = pool.reserve(&need).await {
                    taken.lock().unwrap().push((tenant, Instant::now()));
                    // It is sent, and nobody ever hears how it ended.
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
    while workers.join_next().await.is_some() {}
    let time = begun.elapsed().as_secs_f64();
    let taken = std::mem::take(&mut *taken.lock().unwrap());
    eprintln!("{count} workers: {} slots in {time:.1} s", taken.len());
    Some(taken)
}

#[tokio::test(flavor = "multi_thread")]
async fn sixteen_workers_at_one_book_get_no_slot_twice() {
    let fleet = (WORKERS, CALLERS);
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
}

#[tokio::test(flavor = "multi_thread")]
async fn tenants_at_workers_of_their_own_get_their_weights() {
    let weights = [4.0, 2.0, 1.0, 1.0];
    // What a bucket has stored goes to whoever is there first. More must wait than is given out
    // ahead, which is 40: otherwise nobody waits for anybody.
    let (stored, counted) = (800, 1_200);
    let taken = run(LimiterKind::Bucket, 2_400, (4, 32), &weights, stored + counted).await;
    let Some(taken) = taken else { return };
    let last = &taken[stored..stored + counted];
    // Each gets half a second's slots at once, so a plain count depends on where it begins and ends:
    // those in the middle weigh most (a Hann window).
    let weigh = |index: usize| 1.0 - (TAU * (index as f64 + 0.5) / counted as f64).cos();
    let shares = [0, 1, 2, 3].map(|tenant| {
        let own = last.iter().enumerate().filter(|(_, (other, _))| *other == tenant);
        own.map(|(index, _)| weigh(index)).sum::<f64>() / counted as f64
    });
    eprintln!("shares of {weights:?}: {shares:?}");
    for (share, weight) in shares.iter().zip(weights) {
        let promised = weight / 8.0;
        assert!((share / promised - 1.0).abs() <= 0.05, "{shares:?}");
    }
}
