//! Many workers at one book in a real Redis.
#![expect(clippy::print_stderr, reason = "the figures are shown")]

use super::*;
use crate::pool::{DeploymentConfig, LimiterKind, Need, PoolConfig, Provider};
use shared::config::{self, Secret};
use std::sync::Mutex;

const WORKERS: usize = 16;
const CALLERS: usize = 4;
/// 240 requests a minute are 40 in any ten seconds.
const REQUESTS: u64 = 240;
const AT_ONCE: usize = 40;
const WINDOW: Duration = Duration::from_secs(10);
/// A slot may be taken up a little late: the provider's own clock is no better.
const LATE: Duration = Duration::from_millis(200);

fn pool(model: &str) -> Pool {
    let deployment = DeploymentConfig {
        name: "d".into(),
        model: model.into(),
        provider: Provider::Compatible,
        endpoint: "http://d/v1".into(),
        api_key: None,
        tokens_per_minute: 10_000_000,
        requests_per_minute: REQUESTS,
        tier: 0,
        weight: 1.0,
        concurrency_max: 1_000,
        limiter: LimiterKind::Window,
        charge: Default::default(),
        mode: None,
        context_tokens_max: None,
        input_price_per_million: None,
        output_price_per_million: None,
    };
    let (strategies, call_timeout) = (BTreeMap::new(), Duration::from_secs(1));
    Pool::new(PoolConfig { deployments: vec![deployment], strategies, call_timeout }).unwrap()
}

fn need(model: &str) -> Need {
    Need {
        model: model.into(),
        tokens_input: 100,
        tokens_output_max: 100,
        interactive: false,
        wait_max: Duration::from_secs(60),
        schema: "s".into(),
        returned: false,
        tenant: "".into(),
        weight: 1.0,
        deadline: None,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sixteen_workers_at_one_book_get_no_slot_twice() {
    let Ok(url) = std::env::var("SLUICE_TEST_REDIS") else {
        assert!(std::env::var_os("CI").is_none(), "SLUICE_TEST_REDIS must be set in CI");
        eprintln!("SKIPPED: SLUICE_TEST_REDIS is not set: eval \"$(tests/services start redis)\"");
        return;
    };
    let quota = Quota::open(&config::Quota::Redis(Secret::new(url))).unwrap();
    // A book that nobody else uses.
    let model: Arc<str> = uuid::Uuid::new_v4().to_string().into();
    let stop = CancellationToken::new();
    let taken: Arc<Mutex<Vec<Instant>>> = Arc::default();
    let mut callers = tokio::task::JoinSet::new();
    let mut workers = tokio::task::JoinSet::new();
    for number in 0..WORKERS {
        let pool = pool(&model);
        let agreement = Agreement::new(quota.clone(), pool.clone(), number.to_string().into());
        workers.spawn(agreement.run(stop.clone()));
        for _ in 0..CALLERS {
            let (pool, model, taken) = (pool.clone(), Arc::clone(&model), Arc::clone(&taken));
            callers.spawn(async move {
                while let Ok(slot) = pool.acquire(&need(&model)).await {
                    taken.lock().unwrap().push(Instant::now());
                    // It is sent, and nobody ever hears how it ended.
                    std::mem::forget(slot);
                }
            });
        }
    }
    let enough = || taken.lock().unwrap().len() >= 3 * AT_ONCE;
    let begun = Instant::now();
    while !enough() {
        assert!(begun.elapsed() < Duration::from_secs(120), "the quota is not given out");
        sleep(Duration::from_millis(50)).await;
    }
    callers.shutdown().await;
    stop.cancel();
    while workers.join_next().await.is_some() {}
    let mut taken = std::mem::take(&mut *taken.lock().unwrap());
    taken.sort();
    let within = |from: &Instant| {
        taken.iter().filter(|at| *at >= from && **at < *from + WINDOW - LATE).count()
    };
    let most = taken.iter().map(within).max().unwrap();
    let time = begun.elapsed().as_secs_f64();
    eprintln!("{WORKERS} workers: {} slots in {time:.1} s, {most} in any 10 s", taken.len());
    assert!(most <= AT_ONCE, "{most} slots within ten seconds");
}
