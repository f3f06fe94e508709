//! Uploader and workers that share nothing but a database, a folder and RabbitMQ end everything.

use crate::{
    broker::{Broker, Vhost},
    harness::{PATIENCE, Place, fast, id, letter, until},
};
use reqwest::Method;
use serde_json::{Value, json};
use shared::{clock, document::Priority, message::JobMessage};

const LETTERS: usize = 40;

/// What must never be printed.
const PASSWORD: &str = "canary-of-the-broker";

/// Binds a queue of somebody else to the events.
async fn follow(vhost: &Vhost) {
    let (broker, name) = (&vhost.broker, &vhost.name);
    let queue = json!({ "durable": true, "arguments": {} });
    broker.manage(Method::PUT, &format!("queues/{name}/followers"), queue).await;
    let binding = json!({ "routing_key": "document.succeeded.*", "arguments": {} });
    let path = format!("bindings/{name}/e/sluice.events/q/followers");
    broker.manage(Method::POST, &path, binding).await;
}

/// One of the events, once all have come.
async fn told(vhost: &Vhost) -> Value {
    until("every end was told", async || {
        (vhost.length("followers").await == Some(LETTERS as u64)).then_some(())
    })
    .await;
    let path = format!("queues/{}/followers/get", vhost.name);
    let one = json!({ "count": 1, "ackmode": "ack_requeue_false", "encoding": "auto" });
    vhost.broker.manage(Method::POST, &path, one).await[0].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn letters_go_through_rabbitmq_to_two_workers() {
    let Some(broker) = Broker::shared() else { return };
    let vhost = broker.vhost().await;
    let user = &vhost.name;
    let password = json!({ "password": PASSWORD, "tags": "" });
    broker.manage(Method::PUT, &format!("users/{user}"), password).await;
    broker.user(&vhost.name, user).await;
    let mut place = Place::new(vec![fast("sweden")], "").await;
    place.settings = vec![
        ("SLUICE_QUEUE", broker.url(user, PASSWORD, &vhost.name)),
        // Most of what a library could give away, it gives away here.
        ("SLUICE_LOG", "trace".to_owned()),
    ];
    let uploader = place.start("uploader").await;
    until("the uploader has found its queue", async || {
        (place.get("/readyz").await["status"] == "ok").then_some(())
    })
    .await;
    follow(&vhost).await;
    let workers = [place.spawn("worker", &[]), place.spawn("worker", &[])];
    let mut documents = Vec::new();
    for number in 1..=LETTERS {
        documents.push(place.upload("letter.txt", "invoice", letter(number)).await);
    }
    for document in &documents {
        let ended = place.ended(document).await;
        assert_eq!(ended["state"], "succeeded", "{ended}");
    }
    assert_eq!(place.get("/readyz").await["status"], "ok");
    let event = told(&vhost).await;
    assert_eq!(event["routing_key"], "document.succeeded.invoice");
    assert_eq!(event["properties"]["content_type"], "application/cloudevents+json");
    let envelope: Value = serde_json::from_str(event["payload"].as_str().unwrap()).unwrap();
    assert_eq!(envelope["type"], "com.sluice.document.succeeded");
    assert_eq!(envelope["data"], json!({ "state": "succeeded", "schema": "invoice@1" }));
    assert!(documents.iter().any(|document| document["id"] == envelope["subject"]), "{envelope}");
    until("every message is answered", async || {
        (vhost.length("sluice.documents").await == Some(0)).then_some(())
    })
    .await;
    for process in workers.into_iter().chain([uploader]) {
        assert!(process.terminate().await.success());
    }
    assert!(!place.log().contains(PASSWORD), "a log shows the password");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_database_cannot_answer_for_is_held_and_not_given_back() {
    let Some(broker) = Broker::shared() else { return };
    let vhost = broker.vhost().await;
    let mut place = Place::new(vec![fast("sweden")], "").await;
    place.settings = vec![("SLUICE_QUEUE", vhost.url.clone())];
    let _sluice = place.start("up").await;
    let document = place.upload("letter.txt", "invoice", letter(1)).await;
    place.extraction(&document).await;
    let db = rusqlite::Connection::open(place.folder.path().join("sluice.db")).unwrap();
    db.busy_timeout(PATIENCE).unwrap();
    // Nobody else can write, for longer than anybody waits.
    db.execute_batch("BEGIN IMMEDIATE").unwrap();
    let message = JobMessage::new(id(&document).parse().unwrap(), 1, clock::now(), None);
    vhost.queue().publish(&[(message, Priority::Bulk)]).await.unwrap();
    until("the message is held", async || {
        place.log().contains("the message is held").then_some(())
    })
    .await;
    db.execute_batch("ROLLBACK").unwrap();
    until("the message is answered", async || {
        (vhost.length("sluice.documents").await == Some(0)).then_some(())
    })
    .await;
    let path = format!("queues/{}/sluice.documents", vhost.name);
    let queue = broker.manage(Method::GET, &path, Value::Null).await;
    assert_eq!(queue["message_stats"]["redeliver"].as_u64().unwrap_or(0), 0, "{queue}");
}
