//! All of the quota, none of the 429s: work that has to wait waits, and never fails because of it.

use crate::harness::{Place, deployment, fast, faulty, fixture, id, until};
use serde_json::{Value, json};

/// A deployment with room for `documents` small letters a minute.
pub(crate) fn narrow(name: &str, kind: &str, requests: u64) -> simulator::DeploymentConfig {
    deployment(json!({
        "name": name, "model": "gpt-4o", "kind": kind,
        "tokens_per_minute": 10_000_000, "requests_per_minute": requests,
        "latency": { "ttft_ms": [5, 20], "tokens_per_second": [1e6, 1e6], "rejection_ms": [0, 0] },
    }))
}

pub(crate) async fn letters(place: &Place, count: usize) -> Vec<Value> {
    let mut documents = Vec::new();
    for number in 0..count {
        let letter = format!("Letter\n\nReference: {number}\nDate: 2024-03-05\n").into_bytes();
        documents.push(place.upload("letter.txt", "generic", letter).await);
    }
    documents
}

#[tokio::test]
async fn a_document_that_waits_says_why() {
    let place = Place::new(vec![narrow("window", "window", 6)], "concurrency = 4").await;
    let _sluice = place.start("up").await;
    let documents = letters(&place, 4).await;
    let waiting = crate::harness::until("a document says why it waits", async || {
        for document in &documents {
            let path = format!("/v1/documents/{}", crate::harness::id(document));
            let document = place.get(&path).await;
            // Before it is taken up it waits behind the others.
            if document["waiting"]["reason"] == "quota" {
                return Some(document["waiting"].clone());
            }
        }
        None
    })
    .await;
    assert_eq!(waiting["deployment"], "window", "{waiting}");
    assert!(waiting["until"].is_string(), "{waiting}");
    assert!(waiting["position"].is_u64(), "{waiting}");
}

#[tokio::test]
async fn all_deployments_of_a_model_share_the_work() {
    let place = Place::new(vec![fast("sweden"), fast("france")], "concurrency = 16").await;
    let _sluice = place.start("up").await;
    for document in letters(&place, 60).await {
        place.extraction(&document).await;
    }
    for name in ["sweden", "france"] {
        let accepted = place.stats(name).await["accepted"].as_u64().unwrap();
        assert!(accepted >= 15, "{name} had {accepted} of 60 calls");
    }
}

#[tokio::test]
async fn an_outage_of_one_deployment_costs_no_document() {
    let down = faulty("sweden", json!([{ "kind": "unavailable" }]));
    let place = Place::new(vec![down, fast("france")], "").await;
    let _sluice = place.start("up").await;
    for document in letters(&place, 20).await {
        place.extraction(&document).await;
    }
    assert_eq!(place.stats("france").await["accepted"], 20);
}

#[tokio::test]
async fn an_outage_of_all_deployments_is_waited_for() {
    let down = faulty("sweden", json!([{ "kind": "unavailable", "times": 5 }]));
    let place = Place::new(vec![down], "").await;
    let _sluice = place.start("up").await;
    for document in letters(&place, 3).await {
        place.extraction(&document).await;
    }
}

#[tokio::test]
async fn a_key_that_is_refused_for_a_while_costs_no_document() {
    for kind in ["unauthorized", "not_found"] {
        let denied = faulty("sweden", json!([{ "kind": kind, "times": 3 }]));
        let place = Place::new(vec![denied], "").await;
        let _sluice = place.start("up").await;
        for document in letters(&place, 3).await {
            place.extraction(&document).await;
        }
        assert_eq!(place.stats("sweden").await["faults"][kind], 3, "one call at a time tries it");
        assert!(place.log().contains("the deployment takes calls again"), "{}", place.log());
    }
}

#[tokio::test]
async fn a_wrong_key_is_named_and_nothing_is_lost() {
    let denied = faulty("sweden", json!([{ "kind": "unauthorized" }]));
    let place = Place::new(vec![denied], "outage_seconds_max = 6").await;
    let _sluice = place.start("up").await;
    let bytes = fixture("documents/invoice-en-classic.pdf");
    let document = place.upload("a.pdf", "invoice", bytes).await;
    let path = format!("/v1/documents/{}", id(&document));
    let waiting = until("it waits for the key", async || {
        let waiting = place.get(&path).await["waiting"].clone();
        (waiting["reason"] == "outage").then_some(waiting)
    })
    .await;
    assert!(waiting["message"].as_str().unwrap().contains("401"), "{waiting}");
    let ended = place.ended(&document).await;
    assert_eq!(ended["failure"]["code"], "deployment_rejected", "{ended}");
    assert!(ended["failure"]["message"].as_str().unwrap().contains("401"), "{ended}");
    assert_eq!(ended["failure"]["retryable"], true);
    assert!(!place.log().contains("key-of-a-test"), "a key stands in the log");
}

/// A deployment with so small a quota of tokens.
fn small(tokens_per_minute: u64) -> simulator::DeploymentConfig {
    deployment(json!({
        "name": "sweden", "model": "gpt-4o", "tokens_per_minute": tokens_per_minute,
        "requests_per_minute": 600,
        "latency": { "ttft_ms": [5, 20], "tokens_per_second": [1e6, 1e6], "rejection_ms": [0, 0] },
    }))
}

#[tokio::test]
async fn a_small_quota_gets_a_small_room_for_the_answer() {
    // The room by default is 4,096 tokens.
    for tokens_per_minute in [1_500, 3_000, 4_500, 8_000] {
        let place = Place::new(vec![small(tokens_per_minute)], "").await;
        let _sluice = place.start("up").await;
        let document = letters(&place, 1).await.remove(0);
        let extraction = place.extraction(&document).await;
        assert_eq!(extraction["usage"]["calls"], 1, "{tokens_per_minute}: {extraction}");
    }
}

#[tokio::test]
async fn a_question_larger_than_the_quota_says_both_numbers() {
    let place = Place::new(vec![small(300)], "").await;
    let _sluice = place.start("up").await;
    let document = letters(&place, 1).await.remove(0);
    let ended = place.ended(&document).await;
    assert_eq!(ended["failure"]["code"], "larger_than_quota", "{ended}");
    let message = ended["failure"]["message"].as_str().unwrap();
    let numbers: Vec<u64> = message
        .split(|c: char| !c.is_ascii_digit())
        .filter_map(|digits| digits.parse().ok())
        .collect();
    assert!(numbers.contains(&300), "{message}");
    assert!(numbers.iter().any(|counted| (301..2_000).contains(counted)), "{message}");
    assert!(message.contains("tokens_per_minute"), "{message}");
    assert!(place.paid().await.is_empty());
}
