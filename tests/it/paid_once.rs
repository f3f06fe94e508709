//! The model is never paid twice for the same question where that can be avoided.

use crate::harness::{Place, fast, faulty, fixture, id};
use serde_json::{Value, json};

async fn post(place: &Place, path: &str, body: Value) -> Value {
    let answer = place.http.post(place.url(path)).json(&body).send().await.unwrap();
    assert!(answer.status().is_success(), "{path}: {}", answer.text().await.unwrap());
    answer.json().await.unwrap()
}

#[tokio::test]
async fn the_same_bytes_are_paid_once() {
    let place = Place::new(vec![fast("sweden"), fast("france")], "").await;
    let _sluice = place.start("up").await;
    let bytes = fixture("documents/invoice-fr-atelier.pdf");
    let first = place.upload("a.pdf", "invoice", bytes.clone()).await;
    let first = place.extraction(&first).await;
    let again = place.upload("b.pdf", "invoice", bytes.clone()).await;
    let again = place.extraction(&again).await;
    assert_eq!(first["data"], again["data"]);
    assert_eq!(again["usage"]["calls"], 0, "{again}");
    assert_eq!(again["usage"]["replayed"], 1);
    // Processed again, and asked the same: paid nothing. Another schema: paid once.
    let path = format!("/v1/documents/{}/reprocess", again["document"].as_str().unwrap());
    let same = place.extraction(&post(&place, &path, json!({})).await).await;
    assert_eq!(same["usage"]["replayed"], 1, "{same}");
    let other = post(&place, &path, json!({ "schema": "generic" })).await;
    assert_eq!(place.extraction(&other).await["usage"]["calls"], 1);
    assert_eq!(place.paid().await.into_values().collect::<Vec<_>>(), [1, 1]);
}

#[tokio::test]
async fn the_same_bytes_at_the_same_time_are_paid_once() {
    let slow = crate::harness::deployment(json!({
        "name": "sweden", "model": "gpt-4o",
        "tokens_per_minute": 10_000_000, "requests_per_minute": 60_000,
        "latency": { "ttft_ms": [1500, 1500], "tokens_per_second": [1e9, 1e9], "rejection_ms": [0, 0] },
    }));
    let place = Place::new(vec![slow], "").await;
    let _sluice = place.start("up").await;
    let bytes = fixture("documents/invoice-it-officina.pdf");
    let mut documents = Vec::new();
    for _ in 0..8 {
        documents.push(place.upload("a.pdf", "invoice", bytes.clone()).await);
    }
    let mut calls = 0;
    for document in &documents {
        calls += place.extraction(document).await["usage"]["calls"].as_u64().unwrap();
    }
    assert_eq!(calls, 1);
    assert_eq!(place.paid().await.into_values().collect::<Vec<_>>(), [1]);
}

#[tokio::test]
async fn an_unknown_outcome_is_paid_at_most_calls_max_times() {
    let faults = json!([{ "kind": "hang" }]);
    let worker = "calls_max = 2\ncall_timeout_seconds = 1";
    let place = Place::new(vec![faulty("sweden", faults)], worker).await;
    let _sluice = place.start("up").await;
    let document =
        place.upload("a.pdf", "invoice", fixture("documents/invoice-en-classic.pdf")).await;
    let ended = place.ended(&document).await;
    assert_eq!(ended["failure"]["code"], "calls_exhausted", "{ended}");
    assert_eq!(ended["failure"]["retryable"], true);
    let attempts = place.get(&format!("/v1/documents/{}/attempts", id(&document))).await;
    let outcomes = attempts["data"].as_array().unwrap().iter().map(|a| a["outcome"].clone());
    assert_eq!(outcomes.collect::<Vec<_>>(), ["unknown", "unknown"], "{attempts}");
}

#[tokio::test]
async fn a_retry_after_the_cap_may_pay_again() {
    let faults = json!([{ "kind": "hang", "times": 2 }]);
    let worker = "calls_max = 2\ncall_timeout_seconds = 1";
    let place = Place::new(vec![faulty("sweden", faults)], worker).await;
    let _sluice = place.start("up").await;
    let document =
        place.upload("a.pdf", "invoice", fixture("documents/invoice-en-classic.pdf")).await;
    assert_eq!(place.ended(&document).await["failure"]["code"], "calls_exhausted");
    let path = format!("/v1/documents/{}/retry", id(&document));
    place.extraction(&post(&place, &path, json!({})).await).await;
}

#[tokio::test]
async fn an_idempotency_key_gives_the_same_document() {
    let place = Place::new(vec![fast("sweden")], "").await;
    let _sluice = place.start("up").await;
    let send = async |bytes: Vec<u8>| {
        let request = place.http.post(place.url("/v1/documents?schema=invoice"));
        request.header("idempotency-key", "order-17").body(bytes).send().await.unwrap()
    };
    let bytes = fixture("documents/invoice-en-classic.pdf");
    let first: Value = send(bytes.clone()).await.json().await.unwrap();
    let second: Value = send(bytes).await.json().await.unwrap();
    assert_eq!(id(&first), id(&second));
    assert_eq!(send(fixture("documents/invoice-de-agentur.pdf")).await.status(), 409);
}

#[tokio::test]
async fn a_reply_that_was_removed_is_paid_for_again_and_blocks_nobody() {
    let place = Place::new(vec![fast("sweden")], "").await;
    let _sluice = place.start("up").await;
    let bytes = fixture("documents/invoice-fr-atelier.pdf");
    place.extraction(&place.upload("a.pdf", "invoice", bytes.clone()).await).await;
    std::fs::remove_dir_all(place.folder.path().join("blobs/replies")).unwrap();
    let again = place.upload("b.pdf", "invoice", bytes).await;
    assert_eq!(place.extraction(&again).await["usage"]["calls"], 1);
}

#[tokio::test]
async fn a_question_that_rests_shows_it_and_holds_no_slot() {
    let faults = json!([{ "kind": "reset", "when_text": "F-0001" }]);
    let worker = "concurrency = 1\ncall_pauses_seconds = [0, 3600]";
    let place = Place::new(vec![faulty("sweden", faults)], worker).await;
    let _sluice = place.start("up").await;
    let unlucky = place.upload("a.txt", "invoice", crate::harness::letter(1)).await;
    let path = format!("/v1/documents/{}", id(&unlucky));
    let rests = async || {
        let now = place.get(&path).await;
        let rests = now["state"] == "queued" && now["waiting"]["reason"] == "outage";
        rests.then_some(now)
    };
    let resting = crate::harness::until("the question rests", rests).await;
    assert!(resting["waiting"]["until"].is_string(), "{resting}");
    let other = place.upload("b.txt", "invoice", crate::harness::letter(2)).await;
    place.extraction(&other).await;
    assert_eq!(place.get(&path).await["state"], "queued");
    let attempts = place.get(&format!("{path}/attempts")).await;
    let outcomes = attempts["data"].as_array().unwrap().iter().map(|a| a["outcome"].clone());
    assert_eq!(outcomes.collect::<Vec<_>>(), ["unknown", "unknown"], "{attempts}");
}

#[tokio::test]
async fn who_never_pays_twice_gives_up_after_one_call() {
    let place =
        Place::new(vec![faulty("sweden", json!([{ "kind": "reset" }]))], "calls_max = 1").await;
    let _sluice = place.start("up").await;
    let document = place.upload("a.txt", "invoice", crate::harness::letter(1)).await;
    assert_eq!(place.ended(&document).await["failure"]["code"], "calls_exhausted");
    assert_eq!(place.paid().await.values().sum::<u64>(), 1);
}
