//! A call that somebody waits for is made a second time where the first takes long: elsewhere, and
//! both stand in the ledger.

use crate::harness::{Place, deployment, id, letter};
use serde_json::{Value, json};

/// As many calls as earn a second one, and more than it takes to know how long answers take.
const CALLS: usize = 60;

fn one(name: &str, faults: Value) -> simulator::DeploymentConfig {
    deployment(json!({
        "name": name, "model": "gpt-4o", "faults": faults,
        "tokens_per_minute": 100_000_000, "requests_per_minute": 600_000,
        "latency": { "ttft_ms": [5, 20], "tokens_per_second": [1e6, 1e6], "rejection_ms": [0, 0] },
    }))
}

async fn upload(place: &Place, number: usize, priority: &str) -> Value {
    upload_as(place, "invoice", number, priority).await
}

async fn upload_as(place: &Place, schema: &str, number: usize, priority: &str) -> Value {
    let url = place.url("/v1/documents");
    let query = [("schema", schema), ("filename", "a.txt"), ("priority", priority)];
    let answer = place.http.post(url).query(&query).body(letter(number)).send().await.unwrap();
    assert_eq!(answer.status(), 202);
    answer.json().await.unwrap()
}

/// A place that prefers the deployment `near`, and has learned how long its answers take.
async fn place(faults: Value, settings: &str) -> (Place, crate::harness::Process) {
    place_with(faults, json!([]), settings).await
}

async fn place_with(near: Value, far: Value, settings: &str) -> (Place, crate::harness::Process) {
    let place = Place::new(vec![one("near", near), one("far", far)], settings).await;
    // The last section of the configuration is that of `far`.
    let file = place.folder.path().join("sluice.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, format!("{text}tier = 1\n")).unwrap();
    let sluice = place.start("up").await;
    for number in 0..CALLS {
        let document = upload(&place, number, "interactive").await;
        assert_eq!(place.extraction(&document).await["model"]["deployment"], "near");
    }
    (place, sluice)
}

#[tokio::test]
async fn a_late_answer_is_asked_for_elsewhere() {
    let hang = json!([{ "kind": "hang", "when_text": "F-7777" }]);
    let (place, _sluice) = place(hang, "").await;
    let document = upload(&place, 7777, "interactive").await;
    let extraction = place.extraction(&document).await;
    assert_eq!(extraction["model"]["deployment"], "far", "{extraction}");
    assert_eq!(extraction["usage"]["calls"], 2, "{extraction}");
    let attempts = place.get(&format!("/v1/documents/{}/attempts", id(&document))).await;
    let calls = attempts["data"].as_array().unwrap();
    let outcome = |call: &Value| format!("{}: {}", call["deployment"], call["outcome"]);
    let outcomes: Vec<_> = calls.iter().map(outcome).collect();
    assert_eq!(outcomes, [r#""near": "unknown""#, r#""far": "answered""#], "{attempts}");
    // The same bytes again ask nobody.
    let again = upload(&place, 7777, "interactive").await;
    assert_eq!(place.extraction(&again).await["usage"]["replayed"], 1);
    assert_eq!(place.stats("far").await["accepted"], 1);
}

#[tokio::test]
async fn what_the_first_call_is_refused_for_does_not_undo_the_answer_of_the_second() {
    let faults = json!([
        { "kind": "first_schema_latency", "when_text": "F-7777", "seconds": 1.0 },
        { "kind": "content_filter", "when_text": "F-7777" },
    ]);
    let slow = json!([{ "kind": "hang", "seconds": 3.0 }]);
    let (place, _sluice) = place_with(faults, slow, "").await;
    let document = upload_as(&place, "generic", 7777, "interactive").await;
    let extraction = place.extraction(&document).await;
    assert_eq!(extraction["model"]["deployment"], "far", "{extraction}");
}

#[tokio::test]
async fn nobody_waits_for_bulk_and_one_payment_may_be_all() {
    let slow = json!([{ "kind": "hang", "when_text": "F-7777", "seconds": 3.0 }]);
    for (settings, priority) in [("", "bulk"), ("calls_max = 1", "interactive")] {
        let (place, _sluice) = place(slow.clone(), settings).await;
        let document = upload(&place, 7777, priority).await;
        let extraction = place.extraction(&document).await;
        assert_eq!(extraction["model"]["deployment"], "near", "{extraction}");
        assert_eq!(extraction["usage"]["calls"], 1, "{extraction}");
        assert_eq!(place.stats("far").await["accepted"], 0);
    }
}
