//! When a model cannot answer, the next of its chain does: once, and the result says so.

use crate::{
    harness::{Place, deployment, fast, faulty, fixture, id},
    proxy::Wire,
};
use serde_json::{Value, json};

const NAME: &str = "documents/invoice-en-classic.pdf";

const CHAIN: &str = "[[models]]\nname = \"gpt-4o\"\nfallback = [\"gpt-4.1-mini\"]";

/// A deployment of `model` without latency, with these settings over the usual ones.
fn of(model: &str, name: &str, settings: Value) -> simulator::DeploymentConfig {
    let mut config = json!({
        "name": name, "model": model,
        "tokens_per_minute": 100_000_000, "requests_per_minute": 600_000,
        "latency": { "ttft_ms": [0, 0], "tokens_per_second": [1e9, 1e9], "rejection_ms": [0, 0] },
    });
    let settings = settings.as_object().expect("settings").clone();
    config.as_object_mut().expect("a configuration").extend(settings);
    deployment(config)
}

fn mini(settings: Value) -> simulator::DeploymentConfig {
    of("gpt-4.1-mini", "mini", settings)
}

/// The extraction of a letter, which `mini` gave and was paid for once.
async fn answered_by_mini(place: &Place, document: &Value, why: &str) -> Value {
    let extraction = place.extraction(document).await;
    assert_eq!(extraction["model"]["deployment"], "mini", "{extraction}");
    let warning = format!("fallback: gpt-4o -> gpt-4.1-mini ({why})");
    let warnings = extraction["warnings"].as_array().expect("warnings");
    assert_eq!(warnings.iter().filter(|one| **one == warning).count(), 1, "{warnings:?}");
    assert_eq!(place.paid().await.values().copied().collect::<Vec<_>>(), [1], "{}", place.log());
    extraction
}

#[tokio::test]
async fn a_question_too_long_for_a_model_is_asked_of_the_next() {
    // Refused by the provider, and larger than the whole quota of a minute.
    for settings in [json!({ "context_tokens_max": 200 }), json!({ "tokens_per_minute": 200 })] {
        let place =
            Place::new(vec![of("gpt-4o", "sweden", settings), mini(json!({}))], CHAIN).await;
        let _sluice = place.start("up").await;
        let document = place.upload("a.pdf", "invoice", fixture(NAME)).await;
        let extraction = answered_by_mini(&place, &document, "context").await;
        assert_eq!(extraction["usage"]["calls"], 1, "{extraction}");
        // The same bytes again find the answer, and ask nobody.
        let again = place.upload("b.pdf", "invoice", fixture(NAME)).await;
        let extraction = answered_by_mini(&place, &again, "already paid").await;
        assert_eq!(extraction["usage"]["replayed"], 1, "{extraction}");
    }
}

#[tokio::test]
async fn a_model_that_is_out_is_answered_for() {
    for kind in ["unauthorized", "not_found", "unavailable"] {
        let sweden = faulty("sweden", json!([{ "kind": kind }]));
        let place = Place::new(vec![sweden, mini(json!({}))], CHAIN).await;
        let _sluice = place.start("up").await;
        let document = place.upload("a.pdf", "invoice", fixture(NAME)).await;
        answered_by_mini(&place, &document, "outage").await;
    }
}

#[tokio::test]
async fn what_another_model_was_paid_for_is_used_when_the_first_is_back() {
    // For longer than a bulk document waits for a model: probes follow 1, 3 and 7 s after the first.
    let sweden = faulty("sweden", json!([{ "kind": "unauthorized", "times": 4 }]));
    let place = Place::new(vec![sweden, mini(json!({}))], CHAIN).await;
    let mut dying = place.start_with("up", &[("SLUICE_KILL_AT", "reply-saved")]).await;
    let document = place.upload("a.pdf", "invoice", fixture(NAME)).await;
    let ended = async || dying.has_ended().then_some(());
    crate::harness::until("it is killed", ended).await;
    let _sluice = place.start("up").await;
    answered_by_mini(&place, &document, "already paid").await;
}

#[tokio::test]
async fn without_a_model_that_can_answer_the_first_has_the_word() {
    let short = json!({ "context_tokens_max": 200 });
    let place = Place::new(vec![of("gpt-4o", "sweden", short.clone()), mini(short)], CHAIN).await;
    let _sluice = place.start("up").await;
    let document = place.upload("a.pdf", "invoice", fixture(NAME)).await;
    let ended = place.ended(&document).await;
    assert_eq!(ended["failure"]["code"], "context_too_long", "{ended}");
    let attempts = place.get(&format!("/v1/documents/{}/attempts", id(&ended))).await;
    assert_eq!(attempts["data"].as_array().unwrap().len(), 2, "{attempts}");
    assert!(place.paid().await.is_empty());
}

#[tokio::test]
async fn without_a_chain_nothing_is_asked_elsewhere() {
    let sweden = of("gpt-4o", "sweden", json!({ "context_tokens_max": 200 }));
    let place = Place::new(vec![sweden, mini(json!({}))], "").await;
    let _sluice = place.start("up").await;
    let document = place.upload("a.pdf", "invoice", fixture(NAME)).await;
    let ended = place.ended(&document).await;
    assert_eq!(ended["failure"]["code"], "context_too_long", "{ended}");
}

#[tokio::test]
async fn a_model_that_is_back_answers_again() {
    let place = Place::new(vec![fast("sweden"), mini(json!({}))], CHAIN).await;
    let sweden = place.wire("sweden").await;
    sweden.set(Wire::Unavailable);
    let _sluice = place.start("up").await;
    let mut number = 0;
    let mut answered_by = async |name: &str| {
        crate::harness::until(&format!("{name} answers"), async || {
            number += 1;
            let text = format!("Invoice number: {number}\nTotal: 12.00 EUR\n");
            let document = place.upload("a.txt", "generic", text.into()).await;
            let extraction = place.extraction(&document).await;
            (extraction["model"]["deployment"] == name).then_some(())
        })
        .await;
    };
    answered_by("mini").await;
    sweden.set(Wire::Pass);
    answered_by("sweden").await;
    let paid = place.paid().await;
    assert!(paid.values().all(|calls| *calls == 1), "{paid:?}");
}
