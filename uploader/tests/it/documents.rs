//! Documents as rows: lists, waiting, changes, deletion.

use crate::harness::{Server, id, status_and_json};
use serde_json::{Value, json};
use shared::{
    blob::BlobKey,
    document::{Failure, FailureCode, Stage},
    store::{CallLimits, Intent},
};
use std::time::{Duration, Instant};

async fn list(server: &Server, query: &str) -> Value {
    let answer = server.get(&format!("/v1/documents?{query}")).send().await.unwrap();
    let (status, list) = status_and_json(answer).await;
    assert_eq!(status, 200, "{query}: {list}");
    list
}

fn names(list: &Value) -> Vec<&str> {
    list["data"].as_array().unwrap().iter().map(|d| d["filename"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn lists_are_filtered_and_come_in_pages() {
    let server = Server::start().await;
    for (name, query) in [
        ("1", "schema=invoice&metadata=%7B%22who%22:%22a%22,%22n%22:7%7D"),
        ("2", "schema=receipt&metadata=%7B%22who%22:%22b%22%7D"),
        ("3", "schema=invoice"),
    ] {
        let document = server.upload(&format!("filename={name}&{query}"), name).await;
        match name {
            "2" => drop(server.succeed(&document).await),
            "3" => {
                let failure = Failure::new(FailureCode::NoText, Stage::Text, "a scan");
                server.fail(&document, failure).await;
            }
            _ => {}
        }
        // Ids of one millisecond have no order.
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let check = async |query: &str, expected: &[&str]| {
        assert_eq!(names(&list(&server, query).await), expected, "{query}");
    };
    check("", &["3", "2", "1"]).await;
    check("schema=invoice", &["3", "1"]).await;
    check("state=queued", &["1"]).await;
    check("code=no_text", &["3"]).await;
    check("metadata.who=a", &["1"]).await;
    check("metadata.n=7&metadata.who=a", &["1"]).await;
    check("metadata.n=7&metadata.who=b", &[]).await;
    check("before=2020-01-01T00:00:00Z", &[]).await;
    check("before=2999-01-01T00:00:00Z&limit=200", &["3", "2", "1"]).await;
    let page = list(&server, "limit=2").await;
    assert_eq!((names(&page), &page["has_more"]), (vec!["3", "2"], &json!(true)));
    let page = list(&server, &format!("limit=2&after={}", page["next"].as_str().unwrap())).await;
    assert_eq!((names(&page), &page["has_more"]), (vec!["1"], &json!(false)));
    assert_eq!(page["next"], Value::Null);
}

/// The time of `wait=60`: an answer before it has not waited for its end.
const WHOLE_WAIT: Duration = Duration::from_secs(60);

#[tokio::test]
async fn waiting_ends_when_the_state_changes() {
    let server = Server::start().await;
    let document = server.upload("", "text").await;
    let path = format!("/v1/documents/{}", id(&document));
    let begun = Instant::now();
    let now: Value =
        server.get(&format!("{path}?wait=1")).send().await.unwrap().json().await.unwrap();
    assert!(begun.elapsed() >= Duration::from_secs(1));
    assert_eq!(now["state"], "queued");
    let worker = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        server.claim(&document).await
    };
    let begun = Instant::now();
    let (answer, claim) = tokio::join!(server.get(&format!("{path}?wait=60")).send(), worker);
    assert!(begun.elapsed() < WHOLE_WAIT);
    assert_eq!(answer.unwrap().json::<Value>().await.unwrap()["state"], "processing");
    let worker = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let failure = Failure::new(FailureCode::NoDeployment, Stage::Model, "no deployment");
        server.services.store.work().fail(&claim, failure).await.unwrap()
    };
    let begun = Instant::now();
    let (answer, _) = tokio::join!(server.get(&format!("{path}?wait=60")).send(), worker);
    assert!(begun.elapsed() < WHOLE_WAIT);
    assert_eq!(answer.unwrap().json::<Value>().await.unwrap()["state"], "failed");
    // It has ended: nothing will change.
    let begun = Instant::now();
    let now: Value =
        server.get(&format!("{path}?wait=60")).send().await.unwrap().json().await.unwrap();
    assert_eq!(now["state"], "failed");
    assert!(begun.elapsed() < WHOLE_WAIT);
}

#[tokio::test]
async fn documents_are_cancelled_retried_and_reprocessed() {
    let server = Server::start().await;
    let document = server.upload("schema=invoice", "text").await;
    let call = async |what: &str, body: &'static str| {
        let path = format!("/v1/documents/{}/{what}", id(&document));
        status_and_json(server.post(&path).body(body).send().await.unwrap()).await
    };
    let check = |(status, answer): (u16, Value), expected: (u16, &str)| {
        let word = answer.get("code").unwrap_or(&answer["state"]).as_str().unwrap().to_owned();
        assert_eq!((status, word.as_str()), expected, "{answer}");
        answer
    };
    check(call("retry", "").await, (409, "not_failed"));
    check(call("reprocess", "").await, (409, "not_finished"));
    check(call("cancel", "").await, (200, "cancelled"));
    check(call("cancel", "").await, (200, "cancelled"));
    check(call("retry", "").await, (202, "queued"));
    server.succeed(&document).await;
    check(call("cancel", "").await, (409, "already_finished"));
    check(call("reprocess", r#"{"schema":"nope"}"#).await, (404, "unknown_schema"));
    check(call("reprocess", r#"{"scheme":"x"}"#).await, (400, "malformed_json"));
    let queued = check(call("reprocess", r#"{"schema":"receipt"}"#).await, (202, "queued"));
    assert_eq!(queued["schema"], "receipt@1");
    server.succeed(&document).await;
    let queued = check(call("reprocess", "").await, (202, "queued"));
    assert_eq!(queued["schema"], "receipt@1");
}

#[tokio::test]
async fn failed_documents_are_redriven_by_filter() {
    let server = Server::start().await;
    for (schema, code) in [
        ("invoice", FailureCode::NoDeployment),
        ("invoice", FailureCode::NoText),
        ("receipt", FailureCode::NoDeployment),
    ] {
        let document = server.upload(&format!("schema={schema}"), "text").await;
        server.fail(&document, Failure::new(code, Stage::Model, "x")).await;
    }
    let redrive = async |filter: Value| {
        let answer = server.post("/v1/documents/retry").json(&filter).send().await.unwrap();
        let (status, answer) = status_and_json(answer).await;
        assert_eq!(status, 202, "{answer}");
        answer["retried"].as_u64().unwrap()
    };
    assert_eq!(redrive(json!({ "before": "2020-01-01T00:00:00Z" })).await, 0);
    assert_eq!(redrive(json!({ "code": "no_deployment", "schema": "invoice" })).await, 1);
    assert_eq!(redrive(json!({ "code": "no_deployment" })).await, 1);
    assert_eq!(redrive(json!({})).await, 1);
    assert_eq!(redrive(json!({})).await, 0);
}

#[tokio::test]
async fn deleting_leaves_only_a_tombstone() {
    let server = Server::start().await;
    let keyed = server.post("/v1/documents").header("idempotency-key", "k").body("text");
    let document: Value = keyed.send().await.unwrap().json().await.unwrap();
    let claim = server.claim(&document).await;
    let question = "ab".repeat(32);
    let store = &server.services.store;
    let limits = CallLimits { calls_max: 2, ..CallLimits::default() };
    let intent = store.ledger().intent(&claim, &question, "all", "here", &limits).await.unwrap();
    assert!(matches!(intent, Intent::Call(_)), "{intent:?}");
    let reply = BlobKey::reply(&question);
    server.services.blobs.put_if_absent(&reply, "{}".into()).await.unwrap();
    assert_eq!(server.stored().len(), 3);
    let path = format!("/v1/documents/{}", id(&document));
    let delete = server.http.delete(server.url(&path)).send().await.unwrap();
    assert_eq!(delete.status(), 204);
    assert_eq!(server.stored().len(), 0);
    for (method, rest) in [
        ("GET", ""),
        ("GET", "?wait=5"),
        ("GET", "/result"),
        ("GET", "/text"),
        ("GET", "/source"),
        ("GET", "/attempts"),
        ("POST", "/cancel"),
        ("POST", "/retry"),
        ("POST", "/reprocess"),
        ("DELETE", ""),
    ] {
        let url = server.url(&format!("{path}{rest}"));
        let answer = server.http.request(method.parse().unwrap(), url).send().await.unwrap();
        let (status, problem) = status_and_json(answer).await;
        assert_eq!((status, &problem["code"]), (410, &json!("deleted")), "{method} {rest}");
    }
    assert_eq!(list(&server, "").await["data"], json!([]));
    // The key is free again.
    let again = server.post("/v1/documents").header("idempotency-key", "k").body("text");
    let again = again.send().await.unwrap();
    assert!(!again.headers().contains_key("idempotent-replayed"));
}
