//! Many members that have more work than quota, at one real Redis: what they cost it, and what they
//! make of the quota. The answers are simulated, with the providers' limiters of the simulator.
//!
//!     just fleet
#![expect(clippy::print_stderr, reason = "the figures are shown")]

use super::tests::{deployment, need};
use super::*;
use crate::deployment::End;
use crate::limiter::{Booking, LimiterHints};
use crate::typed::chat::{CallError, Shortage};
use crate::{DeploymentConfig, LimiterKind, Need, PoolConfig, ReserveError};
use deadpool_redis::redis::{self, aio::MultiplexedConnection};
use simulator::config::{DeploymentConfig as ServiceConfig, Kind};
use simulator::fault::Terms;
use simulator::limiter::{Cost, Limiter, Standing, Verdict};
use std::collections::BTreeMap;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::Duration;
use tokio::time::{sleep, sleep_until};

const OUTPUT_MAX: f64 = 500.0;
/// What a call is charged on average: the question and the room for the answer, or the answer.
const WINDOW_TOKENS: f64 = 1_500.0;
const BUCKET_TOKENS: f64 = 1_300.0;
/// The window's log is full, and what buckets had stored is used.
const WARM_UP: Duration = Duration::from_secs(90);
const MEASURED: Duration = Duration::from_secs(60);

/// How long after another one a member joins.
const JOIN_EVERY: Duration = Duration::from_millis(100);

/// A load on a fleet.
struct Load {
    members: usize,
    deployments: usize,
    /// Calls a second that the quota allows.
    quota: f64,
    /// Calls a second that are asked for; each caller waits for its answer before its next call.
    demand: f64,
    answer: Duration,
}

/// A private Redis on a port of its own.
struct OwnRedis(Child, String);

impl OwnRedis {
    async fn start() -> Option<Self> {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let server = Command::new("redis-server")
            .args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--port"])
            .arg(port.to_string())
            .stdout(Stdio::null())
            .spawn();
        let Ok(server) = server else {
            eprintln!("SKIPPED: there is no redis-server");
            return None;
        };
        let this = Self(server, format!("redis://127.0.0.1:{port}"));
        for _ in 0..100 {
            if FleetConnection::redis(&this.1).unwrap().ready().await.is_ok() {
                return Some(this);
            }
            sleep(Duration::from_millis(100)).await;
        }
        panic!("redis-server does not answer");
    }

    async fn client(&self) -> MultiplexedConnection {
        let client = redis::Client::open(&*self.1).unwrap();
        let patient = redis::AsyncConnectionConfig::new()
            .set_connection_timeout(Some(Duration::from_secs(30)))
            .set_response_timeout(Some(Duration::from_secs(30)));
        client.get_multiplexed_async_connection_with_config(&patient).await.unwrap()
    }
}

impl Drop for OwnRedis {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What Redis has done so far.
#[derive(Clone, Copy)]
struct Usage {
    scripts: f64,
    /// Commands within scripts, and how many of them write a state.
    inner: f64,
    writes: f64,
    cpu_seconds: f64,
    bytes_in: f64,
    bytes_out: f64,
    at: Instant,
}

impl Usage {
    async fn now(client: &mut MultiplexedConnection) -> Self {
        let info: String = redis::cmd("INFO").arg("all").query_async(client).await.unwrap();
        let value = |name: &str| -> f64 {
            let line = info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            line.map_or(0.0, |value| value.trim().parse().unwrap())
        };
        let (mut scripts, mut inner, mut writes) = (0.0, 0.0, 0.0);
        for line in info.lines().filter_map(|line| line.strip_prefix("cmdstat_")) {
            let (name, rest) = line.split_once(":calls=").unwrap();
            let calls: f64 = rest.split(',').next().unwrap().parse().unwrap();
            match name {
                "eval" | "evalsha" | "script|load" => scripts += calls,
                "info" | "hello" | "client|setinfo" | "ping" => {}
                _ => inner += calls,
            }
            writes += if name == "hset" { calls } else { 0.0 };
        }
        Self {
            scripts,
            inner,
            writes,
            cpu_seconds: value("used_cpu_user") + value("used_cpu_sys"),
            bytes_in: value("total_net_input_bytes"),
            bytes_out: value("total_net_output_bytes"),
            at: Instant::now(),
        }
    }
}

/// What the providers have seen.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    calls: f64,
    /// Of windows, and of buckets.
    tokens: [f64; 2],
    rejected: f64,
}

/// A deployment's provider.
struct Service {
    kind: Kind,
    limiter: Mutex<Limiter>,
    tally: Mutex<Tally>,
    started: Instant,
}

/// What a call comes to.
struct Call {
    prompt: u64,
    output: u64,
}

impl Call {
    fn random() -> Self {
        Self { prompt: fastrand::u64(600..=1_400), output: fastrand::u64(100..=500) }
    }

    /// Our count of its tokens is a little low, and not exact.
    fn need(&self, model: &str) -> Need {
        let counted = self.prompt as f64 * (0.93 + 0.06 * fastrand::f64());
        Need {
            tokens_input: counted as u64,
            tokens_output_max: OUTPUT_MAX as u32,
            ..need(model, "", 1.0)
        }
    }

    fn charged(&self, kind: Kind) -> Cost {
        let output = if kind == Kind::Bucket { 0 } else { OUTPUT_MAX as u64 };
        Cost { tokens: self.prompt + output, weighted: 0.0 }
    }

    fn used(&self) -> Cost {
        Cost { tokens: self.prompt + self.output, weighted: 0.0 }
    }
}

impl Service {
    fn new(config: &ServiceConfig, started: Instant) -> Self {
        let (limiter, tally) = (Mutex::new(Limiter::new(config)), Mutex::default());
        Self { kind: config.kind, limiter, tally, started }
    }

    /// Answers a call, or rejects it.
    async fn call(
        &self,
        call: &Call,
        answer: Duration,
    ) -> (Result<(u64, u64), CallError>, LimiterHints) {
        sleep(Duration::from_millis(5)).await;
        let charged = call.charged(self.kind);
        let verdict =
            self.limiter.lock().unwrap().admit(self.started.elapsed(), charged, Terms::FULL);
        match verdict {
            Verdict::Rejected(rejection) => {
                self.tally.lock().unwrap().rejected += 1.0;
                let error = CallError::Throttled {
                    deployment: String::new(),
                    retry_after: rejection.wait,
                    why: Shortage::Quota,
                    message: String::new(),
                };
                (Err(error), self.hints(rejection.standing))
            }
            Verdict::Admitted(standing) => {
                sleep(answer.mul_f64(0.5 + fastrand::f64())).await;
                let mut limiter = self.limiter.lock().unwrap();
                limiter.settle(self.started.elapsed(), charged, call.used(), Terms::FULL);
                let mut tally = self.tally.lock().unwrap();
                tally.calls += 1.0;
                match self.kind {
                    Kind::Bucket => tally.tokens[1] += call.used().tokens as f64,
                    _ => tally.tokens[0] += charged.tokens as f64,
                }
                (Ok((call.prompt, call.output)), self.hints(standing))
            }
        }
    }

    fn hints(&self, standing: Standing) -> LimiterHints {
        let renews = self.kind == Kind::Bucket;
        LimiterHints {
            tokens_limit: renews.then_some(standing.tokens_limit as f64),
            requests_limit: renews.then_some(standing.requests_limit as f64),
            tokens_left: Some(standing.tokens_left.max(0) as f64),
            requests_left: Some(standing.requests_left.max(0) as f64),
            renews,
            exact: false,
            wait_ms: None,
        }
    }
}

/// One caller: its next call begins when its last one has ended.
async fn caller(pool: Pool, model: Arc<str>, services: Arc<Vec<Service>>, answer: Duration) {
    loop {
        let call = Call::random();
        let need = call.need(&model);
        let slot = match pool.reserve(&need).await {
            Ok(slot) => slot,
            Err(ReserveError::Later { wait, .. }) => {
                sleep(wait.min(Duration::from_secs(1))).await;
                continue;
            }
            Err(error) => panic!("{error}"),
        };
        let (index, booking): (usize, Booking) = slot.into_booking().unwrap();
        let (scheduler, started) = (&pool.model_pools()[&*model], Instant::now());
        scheduler.lock().sent(index);
        let (result, hints) = services[index].call(&call, answer).await;
        let end = End {
            result: result.as_ref().map(|tokens| *tokens),
            hints,
            started,
            jitter: 0.5,
            model: None,
        };
        let mut scheduler = scheduler.lock();
        if let Ok((prompt, _)) = result {
            scheduler.learn(&need.schema, &booking, prompt);
        }
        scheduler.settle(index, &booking, &end, Instant::now());
        drop(scheduler);
        pool.tell_news();
    }
}

fn deployments(load: &Load, model: &str) -> (Vec<DeploymentConfig>, Vec<ServiceConfig>) {
    let each = load.quota * 60.0 / load.deployments as f64;
    let both = |number: usize| {
        let (limiter, kind, tokens) = match number % 2 {
            0 => (LimiterKind::Window, Kind::Window, WINDOW_TOKENS),
            _ => (LimiterKind::Bucket, Kind::Bucket, BUCKET_TOKENS),
        };
        let (tokens, requests) = ((each * tokens) as u64, (each * 4.0) as u64);
        let name = format!("d{number}");
        let config = DeploymentConfig {
            endpoint: format!("http://{name}/v1"),
            tokens_per_minute: Some(tokens),
            ..deployment(model, &name, limiter, requests)
        };
        (config, ServiceConfig::new(&name, kind, tokens, requests))
    };
    (0..load.deployments).map(both).unzip()
}

/// The figures of a run.
#[derive(Debug)]
#[expect(dead_code, reason = "the figures are shown")]
struct Figures {
    quota_percent: f64,
    /// The same of the windows, and of the buckets.
    each_percent: [f64; 2],
    rejected: f64,
    calls_per_second: f64,
    scripts_per_call: f64,
    inner_commands_per_call: f64,
    writes_per_second: f64,
    /// Members that went on alone at the end of the run, because Redis did not answer in time.
    alone: usize,
    redis_core_percent: f64,
    /// Each second, to and from Redis.
    megabytes: (f64, f64),
}

async fn run(load: &Load, warm_up: Duration, measured: Duration) -> Option<Figures> {
    let server = OwnRedis::start().await?;
    let mut client = server.client().await;
    let (model, started): (Arc<str>, _) = ("m".into(), Instant::now());
    let (configs, services) = deployments(load, &model);
    let capacity = [Kind::Window, Kind::Bucket].map(|kind| {
        let those = services.iter().filter(|one| one.kind == kind);
        those.map(|one| one.tokens_per_minute as f64 / 60.0).sum::<f64>()
    });
    let services = services.iter().map(|one| Service::new(one, started)).collect();
    let services: Arc<Vec<Service>> = Arc::new(services);
    let callers = (load.demand * load.answer.as_secs_f64() / load.members as f64).ceil() as usize;
    let (stop, mut tasks, mut members) =
        (CancellationToken::new(), tokio::task::JoinSet::new(), tokio::task::JoinSet::new());
    let mut pools = Vec::new();
    // A member has a machine of its own: its exchanges do not wait for the calls of all others.
    let exchanges = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    for member in 0..load.members {
        let (deployments, call_timeout) = (configs.clone(), Duration::from_secs(60));
        let config = PoolConfig { deployments, strategies: BTreeMap::new(), call_timeout };
        let pool = Pool::new(config).unwrap();
        pools.push(pool.clone());
        let connection = FleetConnection::redis(&server.1).unwrap();
        let fleet = Fleet::join(pool.clone(), connection, member.to_string().into());
        members.spawn_on(fleet.run(stop.clone()), exchanges.handle());
        // Members do not start at the same moment.
        sleep(JOIN_EVERY).await;
        for _ in 0..callers {
            let (model, services) = (Arc::clone(&model), Arc::clone(&services));
            tasks.spawn(caller(pool.clone(), model, services, load.answer));
        }
    }
    let tally = || {
        services.iter().fold(Tally::default(), |sum, one| {
            let one = *one.tally.lock().unwrap();
            Tally {
                calls: sum.calls + one.calls,
                tokens: [0, 1].map(|kind| sum.tokens[kind] + one.tokens[kind]),
                rejected: sum.rejected + one.rejected,
            }
        })
    };
    sleep_until(started + warm_up).await;
    let (redis, seen) = (Usage::now(&mut client).await, tally());
    sleep(measured).await;
    let (redis_after, seen_after) = (Usage::now(&mut client).await, tally());
    let alone = pools.iter().filter(|pool| !pool.snapshot()[0].shared).count();
    tasks.shutdown().await;
    stop.cancel();
    while members.join_next().await.is_some() {}
    exchanges.shutdown_background();
    let seconds = (redis_after.at - redis.at).as_secs_f64();
    let calls = seen_after.calls - seen.calls;
    let used = [0, 1].map(|kind| seen_after.tokens[kind] - seen.tokens[kind]);
    Some(Figures {
        quota_percent: 100.0 * (used[0] + used[1]) / ((capacity[0] + capacity[1]) * seconds),
        each_percent: [0, 1].map(|kind| 100.0 * used[kind] / (capacity[kind] * seconds)),
        // From the first call on.
        rejected: seen_after.rejected,
        calls_per_second: calls / seconds,
        scripts_per_call: (redis_after.scripts - redis.scripts) / calls,
        writes_per_second: (redis_after.writes - redis.writes) / seconds,
        alone,
        inner_commands_per_call: (redis_after.inner - redis.inner) / calls,
        redis_core_percent: 100.0 * (redis_after.cpu_seconds - redis.cpu_seconds) / seconds,
        megabytes: (
            (redis_after.bytes_in - redis.bytes_in) / seconds / 1e6,
            (redis_after.bytes_out - redis.bytes_out) / seconds / 1e6,
        ),
    })
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes, and wants a release build: just fleet"]
async fn a_large_fleet_is_cheap() {
    let load = Load {
        members: 64,
        deployments: 16,
        quota: 400.0,
        demand: 900.0,
        answer: Duration::from_secs(3),
    };
    let Some(figures) = run(&load, WARM_UP, MEASURED).await else { return };
    eprintln!("64 members, 16 deployments: {figures:#.2?}");
    assert!(figures.quota_percent >= 98.0, "{figures:?}");
    assert!(figures.rejected == 0.0, "{figures:?}");
    assert!(figures.scripts_per_call <= 1.0, "{figures:?}");
    assert!(figures.redis_core_percent < 25.0, "{figures:?}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes: just fleet"]
async fn a_fleet_with_little_quota_is_not_expensive() {
    let load = Load {
        members: 16,
        deployments: 3,
        quota: 6.0,
        demand: 24.0,
        answer: Duration::from_secs(3),
    };
    let Some(figures) = run(&load, WARM_UP, MEASURED).await else { return };
    eprintln!("16 members, 3 deployments: {figures:#.2?}");
    assert!(figures.quota_percent >= 95.0, "{figures:?}");
    assert!(figures.scripts_per_call <= 5.0, "{figures:?}");
}
