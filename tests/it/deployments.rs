//! What the deployments of the fleet are doing, and what a real one turns out to be.

use crate::harness::{Place, deployment, fast, faulty, id, run, until};
use serde_json::{Value, json};

async fn shown(place: &Place, is_right: impl Fn(&Value) -> bool) -> Value {
    until("the deployments are shown so", async || {
        let list = place.get("/v1/deployments").await;
        is_right(&list).then_some(list)
    })
    .await
}

#[tokio::test]
async fn the_uploader_shows_what_all_workers_see() {
    let narrow = deployment(json!({
        "name": "narrow", "model": "gpt-4o", "kind": "window",
        "tokens_per_minute": 10_000_000, "requests_per_minute": 6,
        "latency": { "ttft_ms": [5, 20], "tokens_per_second": [1e6, 1e6], "rejection_ms": [0, 0] },
    }));
    let place = Place::new(vec![narrow, faulty("denied", json!([{ "kind": "unauthorized" }]))], "");
    let place = place.await;
    let _uploader = place.start("uploader").await;
    let one = place.spawn("worker", &[]);
    let _two = place.spawn("worker", &[]);
    let list = shown(&place, |list| list["workers"] == 2).await;
    assert_eq!(list["data"].as_array().unwrap().len(), 2, "{list}");
    for number in 0..12 {
        let letter = format!("Letter\n\nReference: {number}\n").into_bytes();
        place.upload("letter.txt", "generic", letter).await;
    }
    let busy = |list: &Value| {
        let waits = &list["waiting"][0];
        let calls = waits["calls"].as_u64().unwrap_or_default();
        calls > 0 && waits["until"].is_string() && list["data"][1]["calls"].as_u64() > Some(0)
    };
    let list = shown(&place, busy).await;
    assert_eq!(list["waiting"][0]["model"], "gpt-4o", "{list}");
    assert_eq!(list["data"][1]["name"], "narrow", "{list}");
    assert_eq!(list["data"][1]["requests_per_minute"], 6, "{list}");
    let list = shown(&place, |list| list["data"][0]["state"] == "denied").await;
    assert!(list["data"][0]["message"].as_str().unwrap().contains("401"), "{list}");
    assert!(!list.to_string().contains("key-of-a-test"), "{list}");
    assert!(!list.to_string().contains("127.0.0.1"), "{list}");
    // A dead worker is forgotten with its last sign of life.
    one.kill().await;
    let list = shown(&place, |list| list["workers"] == 1).await;
    assert_eq!(list["data"][1]["workers"], 1, "{list}");
}

#[tokio::test]
async fn a_document_that_waits_for_a_deployment_that_is_down_says_so() {
    let down = faulty("down", json!([{ "kind": "unavailable" }]));
    let place = Place::new(vec![down], "").await;
    let _up = place.start("up").await;
    let document = place.upload("a.txt", "generic", b"Letter".to_vec()).await;
    let path = format!("/v1/documents/{}", id(&document));
    let waiting = until("it says why it waits", async || {
        let document = place.get(&path).await;
        (document["waiting"]["reason"] == "outage").then(|| document["waiting"].clone())
    })
    .await;
    assert_eq!(waiting["deployment"], "down", "{waiting}");
    assert!(waiting["until"].is_string(), "{waiting}");
}

/// What `sluice deployments probe` finds of a deployment of this kind, and the configuration after
/// it was written.
async fn probed(kind: &str, settle: bool, more: &[&str]) -> (Value, String) {
    let deployment = deployment(json!({
        "name": "sweden", "model": "gpt-4o", "kind": kind, "settle": settle,
        "tokens_per_minute": 60_000, "requests_per_minute": 360,
        // Calls of a burst are all let in before the first of them is answered.
        "latency": { "ttft_ms": [400, 500], "tokens_per_second": [1e5, 1e5], "rejection_ms": [0, 0] },
    }));
    let place = Place::new(vec![deployment], "").await;
    let config = place.folder.path().join("sluice.toml");
    let before = std::fs::read_to_string(&config).unwrap();
    let mut arguments = vec!["--config", config.to_str().unwrap(), "deployments", "probe"];
    arguments.extend(["sweden", "--yes", "--write", "-o", "json"]);
    arguments.extend(more);
    let (code, out, err) = run(&arguments, place.folder.path(), &[]).await;
    assert_eq!(code, 0, "{out}\n{err}");
    let written = std::fs::read_to_string(config).unwrap();
    // What is written can be read, and nothing else has changed.
    let check = ["--config", "sluice.toml", "config", "check"];
    let (code, _, err) = run(&check, place.folder.path(), &[]).await;
    assert_eq!(code, 0, "{err}");
    let is_ours = |line: &&str| !line.starts_with("limiter = ") && !line.starts_with("charge_");
    let rest: Vec<&str> = written.lines().filter(is_ours).collect();
    assert_eq!(rest, before.lines().collect::<Vec<_>>());
    (serde_json::from_str(&out).unwrap(), written)
}

/// What was found of the limiter and its charge, in the order of the configuration.
fn found(probed: &Value) -> Value {
    let keys = ["limiter", "charge_output", "charge_characters_per_token", "charge_settled"];
    json!(keys.map(|key| &probed[key]))
}

#[tokio::test]
async fn a_probe_finds_each_kind_and_what_it_charges() {
    let (window, written) = probed("window", false, &[]).await;
    assert_eq!(found(&window), json!(["window", true, 4.0, false]), "{window}");
    assert_eq!(window["requests_window_seconds"], 10, "{window}");
    for line in ["limiter = \"window\"", "charge_output = true", "charge_settled = false"] {
        assert!(written.contains(&format!("{line}\n")), "{line} is missing from {written}");
    }
    let (bucket, written) = probed("bucket", false, &[]).await;
    assert_eq!(found(&bucket), json!(["bucket", false, 4.0, false]), "{bucket}");
    assert_eq!(bucket["counted_in"], "characters", "{bucket}");
    assert_eq!(bucket["schema_is_charged"], false, "{bucket}");
    assert_eq!(bucket["requests_window_seconds"], 60, "{bucket}");
    assert!(written.contains("charge_characters_per_token = 4.0\n"), "{written}");
    let (bucket, written) = probed("bucket", true, &[]).await;
    assert_eq!(found(&bucket), json!(["bucket", false, 4.0, true]), "{bucket}");
    assert!(written.contains("charge_settled = true\n"), "{written}");
}

#[tokio::test]
async fn a_burst_shows_what_provisioned_throughput_charges() {
    let (ptu, _) = probed("ptu", true, &["--burst"]).await;
    assert_eq!(found(&ptu), json!(["ptu", true, null, null]), "{ptu}");
    let seconds = ptu["burst"]["seconds"].as_f64().unwrap();
    assert!((8.0..=12.0).contains(&seconds), "{ptu}");
    // Without one there is only its kind.
    let (ptu, written) = probed("ptu", true, &[]).await;
    assert_eq!(found(&ptu), json!(["ptu", null, null, null]), "{ptu}");
    assert!(written.contains("limiter = \"ptu\"\n") && !written.contains("charge_"), "{written}");
}

#[tokio::test]
async fn a_probe_begins_only_when_it_may() {
    let place = Place::new(vec![fast("sweden")], "").await;
    let config = place.folder.path().join("sluice.toml");
    let arguments = ["--config", config.to_str().unwrap(), "deployments", "probe", "sweden"];
    let (code, _, err) = run(&arguments, place.folder.path(), &[]).await;
    assert_eq!(code, 2, "{err}");
    assert!(err.contains("--yes") && err.contains("calls") && err.contains("tokens"), "{err}");
    assert_eq!(place.stats("sweden").await["accepted"], 0);
}

#[tokio::test]
async fn a_check_says_what_each_deployment_does_and_what_to_do_about_it() {
    let place =
        Place::new(vec![fast("sweden"), faulty("denied", json!([{ "kind": "unauthorized" }]))], "")
            .await;
    let config = place.folder.path().join("sluice.toml");
    let arguments = ["--config", config.to_str().unwrap(), "deployments", "check", "-o", "json"];
    let (code, out, err) = run(&arguments, place.folder.path(), &[]).await;
    assert_eq!(code, 2, "{out}\n{err}");
    let checked: Value = serde_json::from_str(&out).unwrap();
    let rows = checked.as_array().or(checked["data"].as_array()).unwrap();
    assert_eq!((&rows[0]["name"], &rows[0]["mode"]), (&json!("sweden"), &json!("json_schema")));
    assert!(rows[1]["remedy"].as_str().unwrap().contains("key"), "{checked}");
    assert!(!out.contains("key-of-a-test") && !err.contains("key-of-a-test"), "{out}\n{err}");
}
