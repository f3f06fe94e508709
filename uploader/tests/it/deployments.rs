//! What deployments are doing, and why documents wait. Workers are played by calling the store.

use crate::harness::{Server, id, status_and_json};
use serde_json::{Value, json};
use shared::{
    clock,
    document::{WaitReason, Waiting},
    fleet::{DeploymentReport, DeploymentState, DeploymentStatus, ModelWait, WorkerReport},
};
use std::time::Duration;

const LIFE: Duration = Duration::from_secs(60);

fn report(calls: u64) -> WorkerReport {
    let status = DeploymentStatus {
        name: "sweden".to_owned(),
        model: "gpt-4o".to_owned(),
        state: DeploymentState::Throttled,
        in_flight: 2,
        concurrency_max: 64,
        tokens_per_minute: Some(60_000),
        tokens_available: Some(100),
        calls,
        ..DeploymentStatus::default()
    };
    let resumes_at = "2026-03-01T12:00:00Z".parse().ok();
    let deployment = DeploymentReport { status, resumes_at, ..DeploymentReport::default() };
    let waits = ModelWait { model: "gpt-4o".to_owned(), calls: 3, until: None };
    WorkerReport {
        model: "gpt-4o".to_owned(),
        deployments: vec![deployment],
        waits: vec![waits],
        ..WorkerReport::default()
    }
}

async fn deployments(server: &Server) -> Value {
    let answer = server.get("/v1/deployments").send().await.unwrap();
    let (status, list) = status_and_json(answer).await;
    assert_eq!(status, 200, "{list}");
    list
}

#[tokio::test]
async fn deployments_are_shown_over_all_workers_that_live() {
    let server = Server::start().await;
    let store = &server.services.store;
    let empty = json!({
        "data": [], "has_more": false, "next": null, "waiting": [], "workers": 0,
        "workers_wanted": { "workers": 0, "limit": "idle" },
    });
    assert_eq!(deployments(&server).await, empty);
    server.upload("schema=invoice", "text").await;
    store.fleet().report("a", &report(5), LIFE).await.unwrap();
    store.fleet().report("b", &report(7), LIFE).await.unwrap();
    let list = deployments(&server).await;
    assert_eq!((&list["workers"], list["data"].as_array().unwrap().len()), (&json!(2), 1));
    let one = &list["data"][0];
    let fields = ["name", "model", "state", "workers", "in_flight", "concurrency_max", "calls"];
    let shown: Vec<&Value> = fields.iter().map(|field| &one[field]).collect();
    assert_eq!(json!(shown), json!(["sweden", "gpt-4o", "throttled", 2, 4, 128, 12]));
    assert_eq!(one["resumes_at"], "2026-03-01T12:00:00Z");
    assert_eq!(
        (&one["tokens_per_minute"], &one["tokens_available"]),
        (&json!(60_000), &json!(200))
    );
    let waiting = json!([{ "model": "gpt-4o", "documents": 1, "calls": 6, "until": null }]);
    assert_eq!(list["waiting"], waiting);
    // What a dead worker has said is gone with it.
    store.fleet().leave("a").await.unwrap();
    assert_eq!(deployments(&server).await["data"][0]["calls"], 7);
    store.fleet().leave("b").await.unwrap();
    let list = deployments(&server).await;
    assert_eq!((&list["data"], &list["workers"]), (&json!([]), &json!(0)));
    assert_eq!(list["waiting"][0]["documents"], 1, "{list}");
    let answer = server.get("/v1/deployments?x=1").send().await.unwrap();
    assert_eq!(answer.status(), 400);
}

#[tokio::test]
async fn a_queued_document_says_how_many_are_before_it() {
    let server = Server::start().await;
    let waiting = async |document: &Value| {
        let path = format!("/v1/documents/{}", id(document));
        let answer = server.get(&path).send().await.unwrap();
        status_and_json(answer).await.1["waiting"].clone()
    };
    let first = server.upload("", "one").await;
    assert_eq!(waiting(&first).await, json!({ "reason": "backlog", "position": 0 }));
    // Times of acceptance are counted in milliseconds.
    tokio::time::sleep(Duration::from_millis(2)).await;
    let second = server.upload("", "two").await;
    assert_eq!(waiting(&second).await["position"], 1);
    let urgent = server.upload("priority=interactive", "three").await;
    assert_eq!(waiting(&urgent).await["position"], 0);
    assert_eq!(
        (&waiting(&first).await["position"], &waiting(&second).await["position"]),
        (&json!(1), &json!(2))
    );
    let list = server.get("/v1/documents").send().await.unwrap();
    let (_, list) = status_and_json(list).await;
    assert_eq!(list["data"][0]["waiting"], json!({ "reason": "backlog" }));

    // One in work waits for nothing, or for what its worker says, behind those that wait for the same.
    let claim = server.claim(&first).await;
    assert_eq!(waiting(&first).await, Value::Null);
    assert_eq!(waiting(&second).await["position"], 1);
    let why = Waiting {
        reason: WaitReason::Quota,
        message: None,
        deployment: Some("sweden".to_owned()),
        until: Some(clock::now()),
        position: None,
    };
    let store = &server.services.store;
    store.work().set_waiting(&claim, Some(why.clone())).await.unwrap();
    let shown = waiting(&first).await;
    assert_eq!((&shown["reason"], &shown["deployment"]), (&json!("quota"), &json!("sweden")));
    assert!(shown["until"].is_string() && shown["position"] == 0, "{shown}");
    // Put back, it says both why and who is before it.
    assert!(store.work().release(&claim, LIFE, Some(why), false).await.unwrap());
    let shown = waiting(&first).await;
    assert_eq!((&shown["reason"], &shown["position"]), (&json!("quota"), &json!(1)));
}
