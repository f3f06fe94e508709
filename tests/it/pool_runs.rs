//! The pool over loopback, against one deployment of each kind, with more work than quota: how much
//! of the quota a fleet uses, and how many calls are rejected. `just pool`; the figures stand in
//! docs/pool.md.

use crate::{
    harness::{Place, Process, deployment},
    servers::server,
};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// The windows fill, and limits are learned.
const WARM_UP: Duration = Duration::from_secs(75);
const MEASURED: Duration = Duration::from_secs(120);
/// More than all deployments together answer in that time.
const DOCUMENTS: usize = 2400;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "long: just pool"]
async fn one_worker_uses_the_quota() {
    run(1).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "long: just pool"]
async fn four_workers_use_the_quota() {
    run(4).await;
}

/// The central set-up of the simulations, at scale 1; windows and limits as they are.
fn deployments() -> Vec<simulator::DeploymentConfig> {
    let one = |name: &str, kind: &str, tokens: u64, requests: u64| {
        deployment(json!({
            "name": name, "model": "gpt-4o", "kind": kind,
            "tokens_per_minute": tokens, "requests_per_minute": requests,
        }))
    };
    vec![
        one("window", "window", 300_000, 1800),
        one("bucket", "bucket", 150_000, 150),
        one("ptu", "ptu", 223_500, 6_000),
    ]
}

/// Between one and two thousand tokens, no two alike.
fn letter(number: usize) -> Vec<u8> {
    let mut text = format!("Letter\n\nReference: {number}\nDate: 2024-03-05\n\n");
    for line in 0..(60 + number * 7919 % 60) {
        text.push_str(&format!("{line}. On the matter of {number} nothing more is to be said.\n"));
    }
    text.into_bytes()
}

#[derive(Clone, Copy, Default)]
struct Seen {
    accepted: f64,
    answered: f64,
    rejected: f64,
    charged: f64,
    weighted: f64,
}

async fn seen(place: &Place, name: &str) -> Seen {
    let stats = place.stats(name).await;
    let number = |name: &str| stats[name].as_f64().unwrap_or_default();
    let rejected = stats["rejected"].as_object().unwrap().values().filter_map(Value::as_f64);
    Seen {
        accepted: number("accepted"),
        answered: number("answered"),
        rejected: rejected.sum(),
        charged: number("tokens_charged"),
        weighted: number("tokens_input") + 4.0 * number("tokens_output"),
    }
}

async fn run(workers: usize) {
    let Some(redis) = server("SLUICE_TEST_REDIS") else { return };
    let place = Place::new(deployments(), "concurrency = 128").await;
    place.configure(&format!("quota = \"{redis}\""));
    let _uploader = place.start("uploader").await;
    for number in 0..DOCUMENTS {
        place.upload("letter.txt", "generic", letter(number)).await;
    }
    let _workers: Vec<Process> = (0..workers).map(|_| place.spawn("worker", &[])).collect();
    tokio::time::sleep(WARM_UP).await;
    let names = ["window", "bucket", "ptu"];
    let mut before = [Seen::default(); 3];
    for (seen_before, name) in before.iter_mut().zip(names) {
        *seen_before = seen(&place, name).await;
    }
    let begun = Instant::now();
    tokio::time::sleep(MEASURED).await;
    let minutes = begun.elapsed().as_secs_f64() / 60.0;
    let (mut attempts, mut answered, mut rejected) = (0.0, 0.0, 0.0);
    for ((name, before), limits) in names.into_iter().zip(before).zip(deployments()) {
        let after = seen(&place, name).await;
        let by = |of: fn(&Seen) -> f64| of(&after) - of(&before);
        let tokens = match name {
            "ptu" => by(|seen| seen.weighted),
            _ => by(|seen| seen.charged),
        };
        let tokens = tokens / (limits.tokens_per_minute as f64 * minutes);
        let requests = by(|seen| seen.accepted) / (limits.requests_per_minute as f64 * minutes);
        let (calls, no_room) = (by(|seen| seen.accepted), by(|seen| seen.rejected));
        eprintln!(
            "{workers} workers, {name}: {:.1} % of the tokens, {:.1} % of the requests; {calls} \
             calls, {no_room} rejected",
            tokens * 100.0,
            requests * 100.0
        );
        attempts += calls + no_room;
        answered += by(|seen| seen.answered);
        rejected += no_room;
    }
    let left = place.get("/v1/documents?state=queued&limit=1").await;
    assert_ne!(left["data"], json!([]), "there was not enough work");
    let failed = place.get("/v1/documents?state=failed&limit=1").await;
    assert_eq!(failed["data"], json!([]), "{failed}");
    eprintln!(
        "{workers} workers: {attempts} attempts for {answered} answers, {rejected} rejected, no \
         document failed"
    );
}
