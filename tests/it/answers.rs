//! Answers that are no answer: each kind has its own end, and none is paid for in vain.

use crate::harness::{Place, faulty, fixture, id};
use serde_json::{Value, json};

/// How one letter ends when the deployment has this fault.
async fn ends(fault: Value) -> (Place, crate::harness::Process, Value) {
    let place = Place::new(vec![faulty("sweden", json!([fault]))], "").await;
    let sluice = place.start("up").await;
    let document =
        place.upload("a.pdf", "invoice", fixture("documents/invoice-en-classic.pdf")).await;
    let ended = place.ended(&document).await;
    (place, sluice, ended)
}

#[tokio::test]
async fn permanent_faults_have_their_own_code() {
    // A model that is shown its mistake mends it: this one makes it again.
    for (kind, code, calls) in [
        // Providers may bill a question that their filter stops.
        ("content_filter", "content_filtered", 1),
        ("content_filter_output", "content_filtered", 1),
        ("refusal", "model_refused", 1),
        ("length", "output_truncated", 2),
        ("invalid_json", "invalid_reply", 2),
        ("empty_choices", "invalid_reply", 2),
        ("null_content", "invalid_reply", 2),
    ] {
        let (place, _sluice, ended) = ends(json!({ "kind": kind, "times": 9 })).await;
        assert_eq!(ended["state"], "failed", "{kind}: {ended}");
        assert_eq!(ended["failure"]["code"], code, "{kind}: {ended}");
        let paid: u64 = place.paid().await.values().sum();
        assert_eq!(paid, calls, "{kind}: paid");
    }
}

#[tokio::test]
async fn an_invalid_reply_is_asked_again_once_with_its_faults() {
    let fault = json!({ "kind": "invalid_reply", "times": 1 });
    let (place, _sluice, ended) = ends(fault).await;
    assert_eq!(ended["state"], "succeeded", "{ended}\n{}", place.log());
    let attempts = place.get(&format!("/v1/documents/{}/attempts", id(&ended))).await;
    let questions: Vec<_> =
        attempts["data"].as_array().unwrap().iter().map(|a| a["question"].clone()).collect();
    assert_eq!(questions.len(), 2, "{attempts}");
    assert!(questions[1].as_str().unwrap().starts_with("repair"), "{attempts}");
}

#[tokio::test]
async fn a_cut_answer_is_asked_for_again_with_double_the_room() {
    let (place, _sluice, ended) = ends(json!({ "kind": "length", "times": 1 })).await;
    assert_eq!(ended["state"], "succeeded", "{ended}\n{}", place.log());
    assert_eq!(place.paid().await.values().sum::<u64>(), 2);
}

#[tokio::test]
async fn a_document_longer_than_the_context_is_asked_about_in_parts() {
    // Room for a page: the simulator reads the rows of a table only under their heading.
    let worker = "context_tokens_max = 4500\ntokens_output_max = 1000";
    let place = Place::new(vec![crate::harness::fast("sweden")], worker).await;
    let _sluice = place.start("up").await;
    let name = "invoice-multipage.pdf";
    let document = place.upload(name, "invoice", fixture(&format!("documents/{name}"))).await;
    let extraction = place.extraction(&document).await;
    assert!(extraction["usage"]["calls"].as_u64().unwrap() > 1, "{extraction}");
    let expected: Value =
        serde_json::from_slice(&fixture(&format!("expected/{name}.json"))).unwrap();
    assert_eq!(extraction["data"]["lines"].as_array().unwrap().len(), expected["lines"]);
    assert_eq!(extraction["data"]["total"], expected["data"]["total"]);
}
