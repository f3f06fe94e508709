//! What is accepted, how it is answered, and that the same call is one call.

use crate::harness::{Server, id, pretty, status_and_json};
use bytes::Bytes;
use futures::stream;
use reqwest::{
    Body, RequestBuilder,
    multipart::{Form, Part},
};
use serde_json::{Value, json};
use shared::document::{Failure, FailureCode, Stage};
use std::time::{Duration, Instant};
use uploader::Limits;

#[tokio::test]
async fn a_raw_body_becomes_a_document() {
    let server = Server::start().await;
    let query = "schema=invoice@1&priority=interactive&filename=R%C3%A9sum%C3%A9.md&metadata=%7B%22b%22:1,%22a%22:null%7D";
    let request = server.post(&format!("/v1/documents?{query}")).body("# Rechnung");
    let answer = request.header("content-type", "image/png").send().await.unwrap();
    assert_eq!(answer.status(), 202);
    assert_eq!(answer.headers()["retry-after"], "1");
    let location = answer.headers()["location"].to_str().unwrap().to_owned();
    let document: Value = answer.json().await.unwrap();
    assert_eq!(location, format!("/v1/documents/{}", id(&document)));
    let mut known = document.clone();
    for (name, shown) in [("id", "[id]"), ("created_at", "[time]"), ("updated_at", "[time]")] {
        known[name] = json!(shown);
    }
    insta::assert_snapshot!("document", pretty(&known));
    let mut shown: Value = server.get(&location).send().await.unwrap().json().await.unwrap();
    // By then it waits, behind nobody.
    let waiting = shown.as_object_mut().unwrap().remove("waiting");
    assert_eq!(waiting, Some(json!({ "reason": "backlog", "position": 0 })));
    assert_eq!(shown, document);
}

#[tokio::test]
async fn a_form_may_carry_its_fields_in_any_order() {
    let server = Server::start().await;
    let file = |name: &'static str, text: &'static str| Part::text(text).file_name(name);
    let form = Form::new()
        .part("file", file("a.txt", "eins"))
        .text("metadata", r#"{"customer":"4711"}"#)
        .part("file", file("b.html", "<html>zwei"))
        .text("schema", "invoice")
        .text("priority", "interactive");
    let answer = server.post("/v1/documents").multipart(form).send().await.unwrap();
    let (status, answer) = status_and_json(answer).await;
    assert_eq!(status, 202, "{answer}");
    let documents = answer["data"].as_array().unwrap();
    let shown: Vec<_> = documents
        .iter()
        .map(|d| {
            json!([
                d["filename"],
                d["schema"],
                d["priority"],
                d["metadata"]["customer"],
                d["content_type"]
            ])
        })
        .collect();
    assert_eq!(
        json!(shown),
        json!([
            ["a.txt", "invoice@1", "interactive", "4711", "text/plain"],
            ["b.html", "invoice@1", "interactive", "4711", "text/html"],
        ])
    );
    assert_eq!(server.stored().len(), 4);
}

fn with_key(server: &Server, key: &str, body: &'static str) -> RequestBuilder {
    server.post("/v1/documents?filename=a.txt").header("idempotency-key", key).body(body)
}

#[tokio::test]
async fn the_same_call_is_one_call() {
    let server = Server::start().await;
    let first = with_key(&server, "k", "text").send().await.unwrap();
    assert!(!first.headers().contains_key("idempotent-replayed"));
    let first: Value = first.json().await.unwrap();
    let again = with_key(&server, "k", "text").send().await.unwrap();
    assert_eq!(again.status(), 202);
    assert_eq!(again.headers()["idempotent-replayed"], "true");
    assert_eq!(again.json::<Value>().await.unwrap(), first);
    // As a form it is the same call: the same name, the same bytes.
    let form = Form::new().part("file", Part::text("text").file_name("a.txt"));
    let form = server.post("/v1/documents").header("idempotency-key", "k").multipart(form);
    assert_eq!(form.send().await.unwrap().json::<Value>().await.unwrap(), first);
    assert_eq!(server.stored().len(), 2);
    let (status, problem) =
        status_and_json(with_key(&server, "k", "other").send().await.unwrap()).await;
    assert_eq!((status, &problem["code"]), (409, &json!("idempotency_conflict")));
    assert_eq!(server.stored().len(), 2);
}

#[tokio::test]
async fn equal_calls_at_the_same_time_are_one_call() {
    let server = Server::start().await;
    let calls = (0..8).map(|_| with_key(&server, "race", "text").send());
    let mut ids = std::collections::BTreeSet::new();
    for answer in futures::future::join_all(calls).await {
        let (status, document) = status_and_json(answer.unwrap()).await;
        assert_eq!(status, 202, "{document}");
        ids.insert(id(&document));
    }
    assert_eq!(ids.len(), 1);
    assert_eq!(server.stored().len(), 2);
}

fn memory_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[tokio::test]
async fn large_files_are_streamed() {
    let server = Server::start().await;
    let mib = Bytes::from(vec![b'x'; 1024 * 1024]);
    let body = || {
        let piece = mib.clone();
        Body::wrap_stream(stream::iter(
            (0..64).map(move |_| Ok::<_, std::io::Error>(piece.clone())),
        ))
    };
    server.upload("", "small").await;
    let before = memory_kib();
    let document = server.upload("", body()).await;
    assert_eq!(document["size_bytes"], 64 * 1024 * 1024);
    let form = Form::new().part("file", Part::stream(body()).file_name("large.txt"));
    let answer = server.post("/v1/documents").multipart(form).send().await.unwrap();
    let (status, document) = status_and_json(answer).await;
    assert_eq!((status, &document["size_bytes"]), (202, &json!(64 * 1024 * 1024)));
    // Client and other tests are in the same process: this is an upper bound.
    let grown = memory_kib() - before;
    assert!(grown < 48 * 1024, "the process grew by {grown} KiB");
}

#[tokio::test]
async fn who_prefers_to_wait_gets_the_end() {
    let server = Server::start().await;
    let wait = |seconds: u32| {
        let request = server.post("/v1/documents?schema=invoice").body("text");
        request.header("prefer", format!("wait={seconds}"))
    };
    let late = wait(0).send().await.unwrap();
    assert_eq!(late.status(), 202);
    assert_eq!(late.headers()["preference-applied"], "wait=0");
    let late: Value = late.json().await.unwrap();
    server.succeed(&late).await;
    for good in [true, false] {
        let worker = async {
            loop {
                let (_, list) =
                    status_and_json(server.get("/v1/documents?state=queued").send().await.unwrap())
                        .await;
                let Some(document) = list["data"].get(0) else {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                    continue;
                };
                match good {
                    true => drop(server.succeed(document).await),
                    false => {
                        server
                            .fail(document, Failure::new(FailureCode::NoText, Stage::Text, "scan"))
                            .await
                    }
                }
                return;
            }
        };
        let (answer, ()) = tokio::join!(wait(30).send(), worker);
        let answer = answer.unwrap();
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.headers()["preference-applied"], "wait=30");
        assert!(!answer.headers().contains_key("retry-after"));
        let answer: Value = answer.json().await.unwrap();
        match good {
            true => assert_eq!(answer["extraction"]["data"]["total"], 119.0),
            false => {
                assert_eq!(answer["failure"]["code"], "no_text");
                assert!(answer["extraction"].is_null() && answer.get("extraction").is_some());
            }
        }
    }
}

#[tokio::test]
async fn a_full_queue_refuses() {
    let server = Server::with(Limits { queue_length_max: 2, ..Limits::default() }).await;
    server.upload("", "one").await;
    server.upload("", "two").await;
    let answer = server.post("/v1/documents").body("three").send().await.unwrap();
    assert_eq!(answer.headers()["retry-after"], "30");
    let (status, problem) = status_and_json(answer).await;
    assert_eq!(
        (status, &problem["code"], &problem["retryable"]),
        (503, &json!("backlog_full"), &json!(true))
    );
}

#[tokio::test]
async fn storage_that_is_down_is_said_so() {
    let server = Server::start().await;
    let blobs = server.folder.path().join("blobs");
    std::fs::rename(&blobs, server.folder.path().join("away")).unwrap();
    let answer = server.post("/v1/documents").body("text").send().await.unwrap();
    assert!(answer.headers().contains_key("retry-after"));
    let (status, problem) = status_and_json(answer).await;
    insta::assert_snapshot!("storage_unavailable", pretty(&problem));
    assert_eq!(status, 503);
    let (status, ready) = status_and_json(server.get("/readyz").send().await.unwrap()).await;
    assert_eq!((status, &ready["status"]), (503, &json!("unavailable")));
    assert!(ready["missing"][0].as_str().unwrap().starts_with("storage: "), "{ready}");
    std::fs::rename(server.folder.path().join("away"), &blobs).unwrap();
    assert_eq!(server.get("/readyz").send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn stopping_ends_long_polls_and_finishes_uploads() {
    let server = Server::start().await;
    let document = server.upload("", "text").await;
    let path = format!("/v1/documents/{}?wait=60", id(&document));
    let begun = Instant::now();
    let poll = server.get(&path).send();
    let stop = async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        server.stop.cancel();
    };
    let (answer, ()) = tokio::join!(poll, stop);
    assert_eq!(answer.unwrap().json::<Value>().await.unwrap()["state"], "queued");
    server.task.await.unwrap().unwrap();
    assert!(begun.elapsed() < Duration::from_secs(60), "the poll waited to its end");
}
