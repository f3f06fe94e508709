//! The pool over loopback, against one deployment of each kind, with more work than quota: how much
//! of the quota a fleet uses, and how many calls are rejected. `just pool`; the figures stand in
//! docs/pool.md.

use crate::{
    broker::Broker,
    engines::storage_and_database,
    harness::{Place, deployment, free_port},
    servers::OwnRedis,
};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

/// Windows fill, and limits are learned.
const WARM_UP: f64 = 150.0;
/// The deployments, their limits a minute, and what a run is told to disturb.
const NAMES: [&str; 3] = ["window", "bucket", "ptu"];
/// More than all deployments together answer in a minute.
const DOCUMENTS_A_MINUTE: f64 = 420.0;

/// What happens in a run, in seconds from its beginning.
#[derive(Clone, Copy)]
struct Run {
    workers: usize,
    /// The end.
    to: f64,
    /// The window answers 503.
    outage: Option<(f64, f64)>,
    /// The limit of the bucket is 30 % lower, and nothing says so.
    cut: Option<(f64, f64)>,
    /// Strangers take 25 % of the window.
    external_load: Option<(f64, f64)>,
    /// Redis is killed, and comes back empty.
    away: Option<(f64, f64)>,
}

const CALM: Run =
    Run { workers: 1, to: 390.0, outage: None, cut: None, external_load: None, away: None };

#[tokio::test(flavor = "multi_thread")]
#[ignore = "long: just pool"]
async fn one_worker_uses_the_quota() {
    run(CALM).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "long: just pool"]
async fn four_workers_use_the_quota() {
    run(Run { workers: 4, ..CALM }).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "long: just pool"]
async fn sixteen_workers_use_the_quota() {
    run(Run { workers: 16, ..CALM }).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "long: just pool"]
async fn four_workers_use_the_quota_through_all_that_happens() {
    run(Run {
        workers: 4,
        to: 640.0,
        outage: Some((160.0, 190.0)),
        cut: Some((220.0, 340.0)),
        external_load: Some((360.0, 480.0)),
        away: Some((510.0, 570.0)),
    })
    .await;
}

impl Run {
    /// The central set-up of the simulations, at scale 1; windows and limits as they are.
    fn deployments(&self) -> Vec<simulator::DeploymentConfig> {
        let fault = |kind: &str, percent: f64, when: Option<(f64, f64)>| {
            when.map(|(from, to)| {
                json!({ "kind": kind, "percent": percent, "from_seconds": from, "to_seconds": to })
            })
        };
        let mut outage = fault("unavailable", 0.0, self.outage);
        if let Some(outage) = outage.as_mut().and_then(Value::as_object_mut) {
            outage.remove("percent");
        }
        let window: Vec<Value> =
            outage.into_iter().chain(fault("external_load", 25.0, self.external_load)).collect();
        let bucket: Vec<Value> = fault("limit_lowered", 30.0, self.cut).into_iter().collect();
        let one = |kind: &str, tokens: u64, requests: u64, faults: Vec<Value>| {
            deployment(json!({
                "name": kind, "model": "gpt-4o", "kind": kind, "faults": faults,
                "tokens_per_minute": tokens, "requests_per_minute": requests,
            }))
        };
        vec![
            one("window", 300_000, 1800, window),
            one("bucket", 150_000, 150, bucket),
            one("ptu", 223_500, 6_000, Vec::new()),
        ]
    }

    /// The part of a deployment's quota that there was, from the end of the warm-up on.
    fn theory(&self, name: &str) -> f64 {
        let lost = |when: Option<(f64, f64)>, part: f64| {
            when.map_or(0.0, |(from, to)| part * (to - from)) / (self.to - WARM_UP)
        };
        // Without Redis each goes on with 85 % of its part.
        let all = 1.0 - lost(self.away, 0.15);
        match name {
            "window" => all - lost(self.outage, 1.0) - lost(self.external_load, 0.25),
            "bucket" => all - lost(self.cut, 0.3),
            _ => all,
        }
    }
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
    failed: f64,
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
        failed: stats["faults"]["unavailable"].as_f64().unwrap_or_default(),
        charged: number("tokens_charged"),
        weighted: number("tokens_input") + 4.0 * number("tokens_output"),
    }
}

async fn run(run: Run) {
    let (Some((database, storage)), Some(broker)) =
        (storage_and_database().await, Broker::shared())
    else {
        return;
    };
    let vhost = broker.vhost().await;
    let port = free_port();
    let mut redis = Some(OwnRedis::start(port, &[]).await);
    // Enough at once for a second's slots of all deployments, and for the answers under way.
    let concurrency = format!("concurrency = {}", (256 / run.workers).clamp(16, 128));
    let mut place = Place::new(run.deployments(), &concurrency).await;
    // Many processes on few cores: the lease is as it ships.
    place.settings.push(("SLUICE_WORKER__LEASE_SECONDS", "60".to_owned()));
    place.settings.push(("SLUICE_QUOTA", format!("redis://127.0.0.1:{port}")));
    if run.workers > 4 {
        // One file is not for so many.
        place.settings.extend([("SLUICE_DATABASE", database), ("SLUICE_STORAGE", storage)]);
        place.settings.push(("SLUICE_QUEUE", vhost.url.clone()));
        place.settings.extend(
            ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"].map(|name| (name, "test".to_owned())),
        );
    }
    let _uploader = place.start("uploader").await;
    for number in 0..(run.to / 60.0 * DOCUMENTS_A_MINUTE) as usize {
        place.upload("letter.txt", "generic", letter(number)).await;
    }
    place.reset().await;
    let begun = Instant::now();
    let at = |seconds: f64| sleep_until(begun + Duration::from_secs_f64(seconds));
    let listen = format!("127.0.0.1:{}", free_port());
    eprintln!("what the first worker thinks: http://{listen}/metrics");
    let mut workers = vec![place.spawn("worker", &[("SLUICE_WORKER__LISTEN", &listen)])];
    workers.extend((1..run.workers).map(|_| place.spawn("worker", &[])));
    at(WARM_UP).await;
    let mut before = [Seen::default(); 3];
    for (seen_before, name) in before.iter_mut().zip(NAMES) {
        *seen_before = seen(&place, name).await;
    }
    let measured = Instant::now();
    let stats = format!("{}/simulator/stats", place.simulation.url());
    let told = tokio::spawn(tell_rejections(stats, begun));
    let asked = tokio::spawn(interactive(place.url("/v1/documents"), run.to - WARM_UP - 20.0));
    if let Some((from, to)) = run.away {
        at(from).await;
        drop(redis.take());
        at(to).await;
        redis = Some(OwnRedis::start(port, &[]).await);
    }
    at(run.to).await;
    told.abort();
    let minutes = measured.elapsed().as_secs_f64() / 60.0;
    let (mut used, mut quota) = (0.0, 0.0);
    let (mut attempts, mut answered) = (0.0, 0.0);
    // Pay as you go, and provisioned: calls, and those rejected.
    let mut of_kind = [(0.0, 0.0); 2];
    for (index, config) in run.deployments().iter().enumerate() {
        let (name, before) = (NAMES[index], before[index]);
        let after = seen(&place, name).await;
        let by = |of: fn(&Seen) -> f64| of(&after) - of(&before);
        let tokens = if name == "ptu" { by(|one| one.weighted) } else { by(|one| one.charged) };
        let all = config.tokens_per_minute as f64 * minutes * run.theory(name);
        let (calls, no_room) = (by(|seen| seen.accepted), by(|seen| seen.rejected));
        eprintln!(
            "{} workers, {name}: {:.1} % of the tokens that there were; {calls} calls, {no_room} \
             rejected",
            run.workers,
            100.0 * tokens / all,
        );
        (used, quota) = (used + tokens, quota + all);
        attempts += calls + no_room + by(|seen| seen.failed);
        answered += by(|seen| seen.answered);
        let kind = &mut of_kind[usize::from(name == "ptu")];
        *kind = (kind.0 + calls + no_room, kind.1 + no_room);
    }
    let left = place.get("/v1/documents?state=queued&limit=1").await;
    assert_ne!(left["data"], json!([]), "there was not enough work");
    let failed = place.get("/v1/documents?state=failed&limit=1").await;
    assert_eq!(failed["data"], json!([]), "{failed}");
    let (mut waits, mut queued) = (Vec::new(), Vec::new());
    for document in asked.await.unwrap() {
        let extraction = place.extraction(&document).await;
        let took = |what: &str| extraction["timings_ms"][what].as_u64().unwrap();
        waits.push(took("waited_for_quota"));
        queued.push(took("queued"));
    }
    waits.sort_unstable();
    queued.sort_unstable();
    let part_of = |all: &[u64], part: usize| all[(all.len() * part).div_ceil(100).max(1) - 1];
    let wait = |part: usize| part_of(&waits, part);
    let use_ = used / quota;
    eprintln!(
        "{} workers: {:.1} % of all; {attempts} attempts for {answered} answers; no document \
         failed; {} of {} interactive waited more than 50 ms; {} ms in the middle, {} ms at p99, \
         {} ms at most; before that they were queued for {} ms in the middle, {} ms at p99",
        run.workers,
        100.0 * use_,
        waits.iter().filter(|wait| **wait > 50).count(),
        waits.len(),
        wait(50),
        wait(99),
        wait(100),
        part_of(&queued, 50),
        part_of(&queued, 99),
    );
    drop((workers, redis));
    assert!(use_ >= 0.98, "{use_}");
    let is_calm = run.outage.or(run.cut).or(run.external_load).or(run.away).is_none();
    let [payg, ptu] = of_kind.map(|(calls, rejected)| rejected / calls);
    assert!(payg < if is_calm { 0.001 } else { 0.02 }, "{of_kind:?}");
    assert!(ptu < if is_calm { 0.005 } else { 0.02 }, "{of_kind:?}");
    assert!(attempts / answered <= if is_calm { 1.02 } else { 1.05 }, "{attempts} {answered}");
}

/// Says when calls are rejected, and by whom.
async fn tell_rejections(stats: String, begun: Instant) {
    let (http, mut before) = (reqwest::Client::new(), NAMES.map(|_| 0.0));
    loop {
        tokio::time::sleep(Duration::from_secs(5)).await;
        let Ok(answer) = http.get(&stats).send().await else { continue };
        let all: Value = answer.json().await.unwrap();
        let rejected = NAMES.map(|name| {
            let counts = all["deployments"][name]["rejected"].as_object().unwrap().values();
            counts.filter_map(Value::as_f64).sum::<f64>()
        });
        if rejected != before {
            let seconds = begun.elapsed().as_secs();
            eprintln!("{seconds} s: rejected so far by {NAMES:?}: {rejected:?}");
        }
        before = rejected;
    }
}

/// Uploads a document that somebody waits for every two seconds, for so long.
async fn interactive(url: String, seconds: f64) -> Vec<Value> {
    let (http, begun) = (reqwest::Client::new(), Instant::now());
    let mut documents = Vec::new();
    while begun.elapsed().as_secs_f64() < seconds {
        let query = [("schema", "generic"), ("filename", "a.txt"), ("priority", "interactive")];
        let text = letter(1_000_000 + documents.len());
        let answer = http.post(&url).query(&query).body(text).send().await.unwrap();
        documents.push(answer.json::<Value>().await.unwrap());
        sleep_until(begun + Duration::from_secs(2 * documents.len() as u64)).await;
    }
    documents
}
