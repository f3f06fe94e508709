//! A document that somebody waits for goes before all that is bulk: in the queue, and for room in a
//! worker that is full.

use crate::{
    broker::Broker,
    harness::{Place, deployment, id, letter, until},
};
use serde_json::{Value, json};

/// More than a worker takes up at once.
const BULK: usize = 12;

/// Answers to bulk letters never come; those to the others come at once.
fn model() -> simulator::DeploymentConfig {
    deployment(json!({
        "name": "sweden", "model": "gpt-4o", "tokens_per_minute": 100_000_000,
        "requests_per_minute": 600_000, "faults": [{ "kind": "hang", "when_text": "F-70" }],
        "latency": { "ttft_ms": [5, 20], "tokens_per_second": [1e6, 1e6], "rejection_ms": [0, 0] },
    }))
}

async fn upload(place: &Place, number: usize, priority: &str) -> Value {
    let query = [("schema", "invoice"), ("filename", "a.txt"), ("priority", priority)];
    let request = place.http.post(place.url("/v1/documents")).query(&query);
    let answer = request.body(letter(number)).send().await.unwrap();
    assert_eq!(answer.status(), 202);
    answer.json().await.unwrap()
}

/// A worker with room for four, all of which bulk could have, but for one.
async fn goes_first(settings: Vec<(&'static str, String)>) {
    let worker = "concurrency = 4\ninteractive_reserved = 1";
    let mut place = Place::new(vec![model()], worker).await;
    place.settings = settings;
    let _uploader = place.start("uploader").await;
    for number in 0..BULK {
        upload(&place, 7000 + number, "bulk").await;
    }
    let _worker = place.spawn("worker", &[]);
    until("bulk has all the room that it may", async || {
        let at_work = place.get("/v1/documents?state=processing").await;
        (at_work["data"].as_array()?.len() == 3).then_some(())
    })
    .await;
    let mut asked = Vec::new();
    for number in 1..=6 {
        asked.push(upload(&place, number, "interactive").await);
    }
    for document in &asked {
        let ended = place.ended(document).await;
        assert_eq!(ended["state"], "succeeded", "{}: {ended}", id(document));
    }
    let waiting = place.get("/v1/documents?state=queued").await;
    assert_eq!(waiting["data"].as_array().unwrap().len(), BULK - 3, "bulk still waits");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_with_room_for_one_serves_both() {
    let place = Place::new(vec![model()], "concurrency = 1").await;
    let _sluice = place.start("up").await;
    for (number, priority) in [(1, "interactive"), (2, "bulk"), (3, "interactive")] {
        let ended = place.ended(&upload(&place, number, priority).await).await;
        assert_eq!(ended["state"], "succeeded", "{priority}: {ended}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_does_not_wait_for_bulk() {
    goes_first(Vec::new()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_does_not_wait_for_bulk_on_rabbitmq() {
    let Some(broker) = Broker::shared() else { return };
    let vhost = broker.vhost().await;
    goes_first(vec![("SLUICE_QUEUE", vhost.url.clone())]).await;
}
