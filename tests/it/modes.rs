//! A deployment is asked for JSON in a way that it knows, and finding that way costs no document:
//! what is refused is not paid, and what is answered in any form is read.

use crate::harness::{Place, Process, fast, faulty, fixture, id};
use serde_json::{Value, json};
use simulator::{DeploymentConfig, Mode};

const LETTER: &str = "documents/invoice-en-classic.pdf";
const OTHERS: [&str; 3] = [
    "documents/invoice-fr-atelier.pdf",
    "documents/invoice-it-officina.pdf",
    "documents/invoice-de-agentur.pdf",
];

/// A fast deployment that understands only these ways of asking.
fn knowing(modes: &[Mode]) -> DeploymentConfig {
    DeploymentConfig { modes: modes.to_vec(), ..fast("sweden") }
}

async fn place(deployment: DeploymentConfig) -> (Place, Process) {
    let place = Place::new(vec![deployment], "").await;
    let sluice = place.start("up").await;
    (place, sluice)
}

/// How the calls for a document ended that succeeds, in their order.
async fn calls(place: &Place, file: &str) -> Vec<String> {
    let document = place.upload(file, "invoice", fixture(file)).await;
    let extraction = place.extraction(&document).await;
    assert!(extraction["data"]["total"].is_number(), "{extraction}");
    outcomes(place, &document).await
}

async fn outcomes(place: &Place, document: &Value) -> Vec<String> {
    let attempts = place.get(&format!("/v1/documents/{}/attempts", id(document))).await;
    let attempts = attempts["data"].as_array().expect("attempts").clone();
    attempts.iter().map(|one| one["outcome"].as_str().expect("an outcome").to_owned()).collect()
}

/// Whether the metrics show this mode, and no other, as the one in use.
async fn shows(place: &Place, mode: &str) {
    let answer = place.http.get(place.url("/metrics")).send().await.unwrap();
    let text = answer.text().await.unwrap();
    let lines = text.lines().filter(|line| line.starts_with("sluice_deployment_mode{"));
    let on: Vec<_> = lines.filter(|line| line.ends_with(" 1")).collect();
    assert_eq!(on.len(), 1, "{text}");
    assert!(on[0].contains(&format!("mode=\"{mode}\"")), "{on:?}");
}

#[tokio::test]
async fn who_knows_schemas_is_asked_for_them_at_once() {
    let (place, _sluice) = place(fast("sweden")).await;
    assert_eq!(calls(&place, LETTER).await, ["answered"]);
    shows(&place, "json_schema").await;
}

#[tokio::test]
async fn a_refused_mode_costs_no_payment_and_is_not_asked_for_again() {
    for (modes, mode) in [
        (vec![Mode::Tool], "tool"),
        (vec![Mode::JsonObjectSchema, Mode::JsonObject], "json_object_schema"),
        (vec![Mode::JsonObject], "json_object"),
    ] {
        let (place, _sluice) = place(knowing(&modes)).await;
        // What is refused is asked again at once: it is no call of the document.
        assert_eq!(calls(&place, LETTER).await, ["answered"], "{mode}");
        shows(&place, mode).await;
        assert_eq!(calls(&place, OTHERS[0]).await, ["answered"], "{mode}");
        assert_eq!(place.paid().await.into_values().collect::<Vec<_>>(), [1, 1], "{mode}");
    }
}

#[tokio::test]
async fn who_fails_only_on_schemas_is_asked_in_another_way() {
    let faults = json!([{ "kind": "server_error", "when_mode": "json_schema" }]);
    let (place, _sluice) = place(faulty("sweden", faults)).await;
    // One failure may be chance: another document finds out, and none meets it twice.
    assert_eq!(calls(&place, LETTER).await, ["unknown", "answered"]);
    assert_eq!(calls(&place, OTHERS[0]).await, ["unknown", "answered"]);
    assert_eq!(calls(&place, OTHERS[1]).await, ["answered"]);
    assert_eq!(calls(&place, OTHERS[2]).await, ["answered"]);
    shows(&place, "tool").await;
    assert_eq!(place.stats("sweden").await["faults"]["server_error"], 2);
}

#[tokio::test]
async fn an_error_by_chance_changes_no_mode() {
    let faults = json!([{ "kind": "server_error", "times": 1 }]);
    let (place, _sluice) = place(faulty("sweden", faults)).await;
    assert_eq!(calls(&place, LETTER).await, ["unknown", "answered"]);
    assert_eq!(calls(&place, OTHERS[0]).await, ["answered"]);
    shows(&place, "json_schema").await;
}

#[tokio::test]
async fn who_ignores_tools_and_fences_its_json_is_understood() {
    let deployment = DeploymentConfig {
        modes: vec![Mode::Tool, Mode::JsonObject],
        ..faulty("sweden", json!([{ "kind": "fenced" }]))
    };
    let (place, _sluice) = place(deployment).await;
    // The fenced answer is read: it was paid.
    assert_eq!(calls(&place, LETTER).await, ["answered"]);
    shows(&place, "json_object").await;
    assert_eq!(calls(&place, OTHERS[0]).await, ["answered"]);
}

#[tokio::test]
async fn who_ignores_every_format_is_told_the_schema_in_words() {
    let (place, _sluice) = place(faulty("sweden", json!([{ "kind": "format_ignored" }]))).await;
    // The answer of its own invention is asked for again, now with the schema in the prompt.
    assert_eq!(calls(&place, LETTER).await, ["answered", "answered"]);
    shows(&place, "json_object").await;
    assert_eq!(calls(&place, OTHERS[0]).await, ["answered"]);
}

#[tokio::test]
async fn documents_that_come_together_share_the_search() {
    let (place, _sluice) = place(knowing(&[Mode::JsonObject])).await;
    let mut documents = Vec::new();
    for file in OTHERS {
        documents.push(place.upload(file, "invoice", fixture(file)).await);
    }
    for document in &documents {
        place.extraction(document).await;
        let outcomes = outcomes(&place, document).await;
        let answered = outcomes.iter().filter(|outcome| *outcome == "answered").count();
        assert!(answered == 1 && outcomes.len() <= 4, "{outcomes:?}");
    }
    assert_eq!(place.paid().await.into_values().collect::<Vec<_>>(), [1, 1, 1]);
}

#[tokio::test]
async fn who_knows_no_mode_is_told_the_schema_in_words() {
    let ignorant = DeploymentConfig {
        modes: Vec::new(),
        ..faulty("sweden", json!([{ "kind": "format_ignored" }]))
    };
    let (place, _sluice) = place(ignorant).await;
    assert_eq!(calls(&place, LETTER).await, ["answered"]);
    shows(&place, "prompt").await;
}

#[tokio::test]
async fn a_configured_mode_is_the_only_one() {
    for (mode, known, expected) in [
        ("tool", Mode::ALL.to_vec(), vec!["answered"]),
        ("tool", vec![Mode::JsonSchema], vec!["unbilled"]),
    ] {
        let place = Place::new(vec![knowing(&known)], "").await;
        let path = place.folder.path().join("sluice.toml");
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, format!("{text}mode = \"{mode}\"\n")).unwrap();
        let _sluice = place.start("up").await;
        let document = place.upload(LETTER, "invoice", fixture(LETTER)).await;
        let ended = place.ended(&document).await;
        let state = if expected == ["answered"] { "succeeded" } else { "failed" };
        assert_eq!(ended["state"], state, "{ended}");
        assert_eq!(outcomes(&place, &document).await, expected);
        shows(&place, mode).await;
    }
}

#[tokio::test]
async fn a_reply_serves_whatever_mode_asks_next() {
    let (place, sluice) = place(knowing(&[Mode::Tool])).await;
    assert_eq!(calls(&place, LETTER).await, ["answered"]);
    sluice.terminate().await;
    // Another process begins its own search, and finds the reply that a tool call brought.
    let _sluice = place.start("up").await;
    let document = place.upload("again.pdf", "invoice", fixture(LETTER)).await;
    let extraction = place.extraction(&document).await;
    assert_eq!(
        (&extraction["usage"]["calls"], &extraction["usage"]["replayed"]),
        (&json!(0), &json!(1))
    );
    assert_eq!(place.paid().await.into_values().collect::<Vec<_>>(), [1]);
}
