//! A call that somebody waits for is made a second time where the first takes long: elsewhere, and
//! both stand in the ledger.

use crate::{
    harness::{Place, deployment, id, letter, until},
    proxy::Wire,
};
use serde_json::{Value, json};

/// As many answers as it takes to know how long they take.
const ANSWERS: usize = 20;

/// As many calls as earn a second one, and a few more.
const CALLS: u64 = 60;

fn one(name: &str, faults: Value) -> simulator::DeploymentConfig {
    deployment(json!({
        "name": name, "model": "gpt-4o", "faults": faults,
        "tokens_per_minute": 100_000_000, "requests_per_minute": 600_000,
        "latency": { "ttft_ms": [5, 20], "tokens_per_second": [1e6, 1e6], "rejection_ms": [0, 0] },
    }))
}

async fn upload(place: &Place, number: usize, priority: &str) -> Value {
    let url = place.url("/v1/documents");
    let query = [("schema", "invoice"), ("filename", "a.txt"), ("priority", priority)];
    let answer = place.http.post(url).query(&query).body(letter(number)).send().await.unwrap();
    assert_eq!(answer.status(), 202);
    answer.json().await.unwrap()
}

/// A place that prefers the deployment `near`, which has these faults.
async fn place(faults: Value, settings: &str) -> Place {
    let faults = [faults.as_array().unwrap().as_slice(), &[slow()]].concat();
    let place = Place::new(vec![one("near", faults.into()), one("far", json!([]))], settings).await;
    // The last section of the configuration is that of `far`.
    let file = place.folder.path().join("sluice.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, format!("{text}tier = 1\n")).unwrap();
    place
}

/// Answers about some documents take long.
fn slow() -> Value {
    json!({ "kind": "hang", "when_text": "SLOW", "seconds": 1.0 })
}

async fn calls_of_far(place: &Place) -> u64 {
    place.stats("far").await["accepted"].as_u64().unwrap()
}

/// Starts Sluice, lets it learn that answers may take a second, and earns a second call with others
/// that take no time. Gives how many second calls there were: on a busy machine one of those others
/// may have taken longer than a second.
async fn start(place: &Place) -> (crate::harness::Process, u64) {
    let sluice = place.start("up").await;
    let mut slow = Vec::new();
    for number in 0..ANSWERS {
        let text = [letter(number), b"\nSLOW\n".to_vec()].concat();
        slow.push(place.upload("a.txt", "invoice", text).await);
    }
    for document in &slow {
        place.extraction(document).await;
    }
    let (mut calls, mut far) = (0, 0);
    while calls < CALLS * (1 + far) {
        let document = upload(place, 100 + calls as usize, "interactive").await;
        place.extraction(&document).await;
        (calls, far) = (calls + 1, calls_of_far(place).await);
    }
    (sluice, far)
}

/// The calls for a document: where, and how they ended.
async fn outcomes(place: &Place, document: &Value) -> Vec<String> {
    let attempts = place.get(&format!("/v1/documents/{}/attempts", id(document))).await;
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let outcome =
        |call: &Value| format!("{}: {}", text(&call["deployment"]), text(&call["outcome"]));
    attempts["data"].as_array().unwrap().iter().map(outcome).collect()
}

#[tokio::test]
async fn a_late_answer_is_asked_for_elsewhere() {
    let hang = json!([{ "kind": "hang", "when_text": "F-7777" }]);
    let place = place(hang, "").await;
    let (_sluice, before) = start(&place).await;
    let document = upload(&place, 7777, "interactive").await;
    let extraction = place.extraction(&document).await;
    assert_eq!(extraction["model"]["deployment"], "far", "{extraction}");
    assert_eq!(extraction["usage"]["calls"], 2, "{extraction}");
    assert_eq!(outcomes(&place, &document).await, ["near: unknown", "far: answered"]);
    // The same bytes again ask nobody.
    let again = upload(&place, 7777, "interactive").await;
    assert_eq!(place.extraction(&again).await["usage"]["replayed"], 1);
    assert_eq!(calls_of_far(&place).await, before + 1);
}

#[tokio::test]
async fn what_the_first_call_is_refused_for_does_not_undo_the_answer_of_the_second() {
    let place = place(json!([{ "kind": "content_filter", "when_text": "F-7777" }]), "").await;
    let (near, far) = (place.wire("near").await, place.wire("far").await);
    let (_sluice, before) = start(&place).await;
    // No answer arrives before the call was made twice; then the refusal is heard first.
    near.set(Wire::HoldAnswers);
    far.set(Wire::HoldAnswers);
    let document = upload(&place, 7777, "interactive").await;
    until("the call is made a second time", async || {
        (calls_of_far(&place).await > before).then_some(())
    })
    .await;
    near.set(Wire::Pass);
    let refused = r#"sluice_calls_total{deployment="near",outcome="refused"} 1"#;
    until("the refusal is heard", async || {
        let metrics = place.http.get(place.url("/metrics")).send().await.ok()?.text().await.ok()?;
        metrics.contains(refused).then_some(())
    })
    .await;
    far.set(Wire::Pass);
    let extraction = place.extraction(&document).await;
    assert_eq!(extraction["model"]["deployment"], "far", "{extraction}");
    assert_eq!(outcomes(&place, &document).await, ["near: unbilled", "far: answered"]);
}

#[tokio::test]
async fn nobody_waits_for_bulk_and_one_payment_may_be_all() {
    let late = json!([{ "kind": "hang", "when_text": "F-7777", "seconds": 3.0 }]);
    for (settings, priority) in [("", "bulk"), ("calls_max = 1", "interactive")] {
        let place = place(late.clone(), settings).await;
        let (_sluice, before) = start(&place).await;
        let document = upload(&place, 7777, priority).await;
        let extraction = place.extraction(&document).await;
        assert_eq!(extraction["model"]["deployment"], "near", "{extraction}");
        assert_eq!(extraction["usage"]["calls"], 1, "{extraction}");
        assert_eq!(calls_of_far(&place).await, before);
    }
}
