//! The workers of a fleet, and fleets that use the same deployment, spend its quota once: through
//! Redis, without Redis, and while Redis comes and goes.

use crate::{
    harness::{Place, Process, deployment, free_port, until},
    pacing::letters,
    servers::{OwnRedis, server},
};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// The Redis of the tests; `None` skips.
fn redis() -> Option<String> {
    server("SLUICE_TEST_REDIS")
}

/// 240 requests a minute: 40 in any 10 seconds.
fn window() -> simulator::DeploymentConfig {
    deployment(json!({
        "name": "window", "model": "gpt-4o", "kind": "window",
        "tokens_per_minute": 10_000_000, "requests_per_minute": 240,
        "latency": { "ttft_ms": [5, 20], "tokens_per_second": [1e6, 1e6], "rejection_ms": [0, 0] },
    }))
}

async fn place(quota: &str) -> Place {
    let place = Place::new(vec![window()], "concurrency = 64").await;
    place.configure(&format!("quota = \"{quota}\""));
    place
}

async fn accepted(place: &Place) -> u64 {
    place.stats("window").await["accepted"].as_u64().unwrap()
}

async fn rejected(place: &Place) -> u64 {
    let stats = place.stats("window").await;
    stats["rejected"].as_object().unwrap().values().filter_map(Value::as_u64).sum()
}

/// All end well, and the quota was spent once: where two workers spend it, half of the calls find no
/// room. Some may arrive late and in a bunch on a busy machine; how exact the pace is, the pool's own
/// tests say on simulated time.
async fn all_succeed(place: &Place, documents: &[Value]) {
    for document in documents {
        place.extraction(document).await;
    }
    let (accepted, rejected) = (accepted(place).await, rejected(place).await);
    assert!(rejected <= accepted / 10, "{rejected} rejected, {accepted} accepted");
}

/// A sample of the metrics of the process that is also the uploader.
async fn metric(place: &Place, name: &str) -> Option<f64> {
    let text = place.http.get(place.url("/metrics")).send().await.ok()?.text().await.ok()?;
    text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok())
}

async fn metric_becomes(place: &Place, name: &str, is_right: impl Fn(f64) -> bool) {
    let right = async || metric(place, name).await.is_some_and(&is_right).then_some(());
    until(&format!("{name} is right"), right).await;
}

/// Waits until so many workers have been given a share.
async fn sharing(place: &Place, workers: usize) {
    let shared = "the workers share the quota through Redis";
    let all = async || (place.log().matches(shared).count() >= workers).then_some(());
    until("the workers share", all).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn four_workers_spend_the_quota_once() {
    let Some(redis) = redis() else { return };
    let place = place(&redis).await;
    let _uploader = place.start("uploader").await;
    let _workers: Vec<Process> = (0..4).map(|_| place.spawn("worker", &[])).collect();
    let documents = letters(&place, 120).await;
    all_succeed(&place, &documents).await;
    assert_eq!(accepted(&place).await, 120);
}

#[tokio::test(flavor = "multi_thread")]
async fn workers_without_work_leave_the_quota_to_the_others() {
    let Some(redis) = redis() else { return };
    let place = place(&redis).await;
    // Another fleet, with a database of its own, uses the same deployment.
    let other = self::place(&redis).await;
    let file = other.folder.path().join("sluice.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    let text = text.replace(&other.simulation.url(), &place.simulation.url());
    std::fs::write(&file, text.replace("\"window\"\nmodel", "\"their-name\"\nmodel")).unwrap();
    let _uploader = place.start("uploader").await;
    let _idle: Vec<Process> = (0..3).map(|_| other.spawn("worker", &[])).collect();
    sharing(&other, 3).await;
    let documents = letters(&place, 90).await;
    let _worker = place.spawn("worker", &[]);
    let mut samples = vec![(Instant::now(), 0)];
    until("all are sent", async || {
        let (at, count) = (Instant::now(), accepted(&place).await);
        samples.push((at, count));
        (count >= 90).then_some(())
    })
    .await;
    let most = samples.iter().map(|(begin, before)| {
        let within = samples.iter().filter(|(at, _)| *at < *begin + Duration::from_secs(10));
        within.map(|(_, after)| after.saturating_sub(*before)).max().unwrap()
    });
    let most = most.max().unwrap();
    assert!(most >= 36, "{most} of 40 in ten seconds");
    all_succeed(&place, &documents).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_dead_keep_no_quota() {
    let Some(redis) = redis() else { return };
    let place = place(&redis).await;
    let _survivor = place.start("up").await;
    let mut others: Vec<Process> = (0..3).map(|_| place.spawn("worker", &[])).collect();
    sharing(&place, 4).await;
    let documents = letters(&place, 80).await;
    until("work has begun", async || (accepted(&place).await >= 20).then_some(())).await;
    for worker in others.drain(..) {
        worker.kill().await;
    }
    all_succeed(&place, &documents).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn work_goes_on_while_redis_is_gone() {
    if redis().is_none() {
        return;
    }
    let port = free_port();
    let server = OwnRedis::start(port, &[]).await;
    let place = place(&format!("redis://127.0.0.1:{port}")).await;
    let _up = place.start("up").await;
    let _workers: Vec<Process> = (0..3).map(|_| place.spawn("worker", &[])).collect();
    sharing(&place, 4).await;
    let documents = letters(&place, 160).await;
    until("work has begun", async || (accepted(&place).await >= 50).then_some(())).await;
    drop(server);
    metric_becomes(&place, "sluice_quota_shared", |shared| shared == 0.0).await;
    let health = place.get("/readyz").await;
    assert_eq!(health["status"], "degraded", "{health}");
    assert!(health["degraded"][0].as_str().unwrap().starts_with("quota: redis: "), "{health}");
    let before = accepted(&place).await;
    let more = async || (accepted(&place).await >= (before + 30).min(150)).then_some(());
    until("work has gone on", more).await;
    metric_becomes(&place, "sluice_quota_degraded_seconds_total", |seconds| seconds >= 1.0).await;
    let _server = OwnRedis::start(port, &[]).await;
    metric_becomes(&place, "sluice_quota_shared", |shared| shared == 1.0).await;
    all_succeed(&place, &documents).await;
    assert_eq!(accepted(&place).await, 160);
    let told = place.log().matches("Redis does not answer").count();
    assert!(told <= 8, "it is said {told} times by four workers");
}

#[tokio::test]
async fn a_password_is_in_no_log() {
    let Some(redis) = redis() else { return };
    let place = place(&redis.replace("redis://", "redis://somebody:canary-redis@")).await;
    let _up = place.start("up").await;
    let documents = letters(&place, 1).await;
    all_succeed(&place, &documents).await;
    let health = place.get("/readyz").await;
    assert_eq!(health["status"], "degraded", "{health}");
    assert!(place.log().contains("Redis does not answer"), "{}", place.log());
    assert!(!format!("{health}{}", place.log()).contains("canary"), "{health}\n{}", place.log());
}
