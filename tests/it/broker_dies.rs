//! A broker that dies or runs out of memory loses nothing and stops nothing for longer than it is
//! away.

use crate::{
    broker::{OwnBroker, queue},
    harness::{PATIENCE, repository, until},
};
use reqwest::Method;
use serde_json::{Value, json};
use shared::{
    clock,
    document::{DocumentId, Format, Priority},
    message::JobMessage,
    queue::{Consumer, Delivery, Queue},
    relay::Relay,
    store::{
        NewDocument, Store,
        sqlite::{SqliteFile, SqliteStore},
    },
};
use std::{collections::BTreeSet, time::Duration};
use tokio::time::{sleep, timeout};

/// A quorum queue that is younger than about a second when its only node is killed loses what it
/// has confirmed, and stays without a leader: a fault of the broker that no wait can see.
const SETTLED: Duration = Duration::from_secs(6);

fn messages(count: i64) -> Vec<(JobMessage, Priority)> {
    let message = |number| {
        (JobMessage::new(DocumentId::new(clock::now()), number, clock::now(), None), Priority::Bulk)
    };
    (1..=count).map(message).collect()
}

async fn take(consumer: &mut Consumer, most: u32) -> Vec<Delivery> {
    timeout(PATIENCE, consumer.next(most)).await.expect("a message").unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_dies_or_is_short_of_memory_loses_nothing() {
    let Some(own) = OwnBroker::start().await else { return };
    for role in ["uploader", "worker"] {
        let password = json!({ "password": role, "tags": "" });
        own.broker.manage(Method::PUT, &format!("users/sluice-{role}"), password).await;
    }
    let path = repository().join("deploy/rabbitmq/definitions.json");
    let definitions: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    own.broker.manage(Method::POST, "definitions", definitions).await;
    let uploader = queue(&own.broker.url("sluice-uploader", "uploader", "sluice"));
    let worker = queue(&own.broker.url("sluice-worker", "worker", "sluice"));
    roles_may_do_what_they_must(&uploader, &worker).await;
    sleep(SETTLED).await;
    dies(&own, &uploader, &worker).await;
    is_short_of_memory(&own, &worker).await;
}

/// With the rights of the shipped definitions.
async fn roles_may_do_what_they_must(uploader: &Queue, worker: &Queue) {
    uploader.ready().await.unwrap();
    worker.ready().await.unwrap();
    uploader.publish(&messages(1)).await.unwrap();
    worker.publish(&messages(1)).await.unwrap();
    assert!(worker.dead_letters().await.unwrap().is_empty());
    let error = uploader.dead_letters().await.unwrap_err().to_string();
    assert!(error.contains("ACCESS_REFUSED"), "{error}");
    let mut consumer = worker.consume(Priority::Bulk, 1).await.unwrap();
    for _ in 0..2 {
        take(&mut consumer, 1).await.remove(0).ack().await.unwrap();
    }
}

async fn dies(own: &OwnBroker, uploader: &Queue, worker: &Queue) {
    let before = messages(300);
    uploader.publish(&before).await.unwrap();
    let mut consumer = worker.consume(Priority::Bulk, 20).await.unwrap();
    let mut held = Vec::new();
    while held.len() < 20 {
        held.extend(take(&mut consumer, 20).await);
    }
    let mut seen = BTreeSet::new();
    for delivery in held.drain(..10) {
        seen.insert(delivery.message.clone().unwrap().id);
        delivery.ack().await.unwrap();
    }
    own.kill().await;
    let after = messages(30);
    until("nobody can publish", async || uploader.publish(&after).await.err()).await;
    assert!(uploader.ready().await.is_err());
    let expected: BTreeSet<_> =
        before.iter().chain(&after).map(|(message, _)| message.id.clone()).collect();
    let restart = async {
        own.restart().await;
        until("the broker takes messages again", async || uploader.publish(&after).await.ok())
            .await;
    };
    let consume = async {
        while seen.len() < expected.len() {
            for delivery in take(&mut consumer, 20).await {
                seen.insert(delivery.message.clone().unwrap().id);
                delivery.ack().await.unwrap();
            }
        }
    };
    tokio::join!(restart, consume);
    assert_eq!(seen, expected);
    // What was held while it died is answered in vain, and had come again.
    for delivery in held {
        delivery.ack().await.unwrap();
    }
}

async fn is_short_of_memory(own: &OwnBroker, worker: &Queue) {
    let folder = tempfile::tempdir().unwrap();
    let file = SqliteFile::open(&folder.path().join("sluice.db")).unwrap();
    let store = Store::Sqlite(SqliteStore::new(file));
    store.migrate().await.unwrap();
    let relay = Relay::new(store.clone(), worker.clone());
    let mut consumer = worker.consume(Priority::Bulk, 10).await.unwrap();
    worker.publish(&messages(10)).await.unwrap();
    let mut held = Vec::new();
    while held.len() < 10 {
        held.extend(take(&mut consumer, 10).await);
    }
    own.control("set_vm_memory_high_watermark 0.0000001").await;
    let document = DocumentId::new(clock::now());
    store.documents().accept(vec![new(&document)], None).await.unwrap();
    // The alarm takes a moment to be raised, so a ring or two may still get through.
    until("the broker takes nothing", async || relay_is_stuck(&relay, &store).await).await;
    assert!(worker.ready().await.is_err());
    for delivery in held {
        delivery.ack().await.unwrap();
    }
    let vhost = "queues/sluice/sluice.documents";
    until("the acknowledgements have arrived", async || {
        let queue = own.broker.manage(Method::GET, vhost, Value::Null).await;
        (queue["messages_unacknowledged"] == 0).then_some(())
    })
    .await;
    own.control("set_vm_memory_high_watermark absolute 1GB").await;
    until("the ring goes out", async || {
        // It is due again when the relay's lease of it has run out.
        (relay.publish_entries().await.ok()? > 0).then_some(())
    })
    .await;
    let again = take(&mut consumer, 1).await.remove(0);
    let _ = again.ack().await;
}

/// Relays until that fails; rings for one more document where it does not.
async fn relay_is_stuck(relay: &Relay, store: &Store) -> Option<()> {
    let stuck = relay.publish_entries().await.is_err();
    if !stuck {
        store.documents().accept(vec![new(&DocumentId::new(clock::now()))], None).await.unwrap();
    }
    stuck.then_some(())
}

fn new(id: &DocumentId) -> NewDocument {
    NewDocument {
        id: id.clone(),
        tenant: "default".to_owned(),
        schema: "invoice@1".parse().unwrap(),
        priority: Priority::Bulk,
        filename: "a.txt".to_owned(),
        file_type: Format::Pdf.into(),
        size_bytes: 1,
        sha256: id.to_string(),
        metadata: serde_json::Map::new(),
        traceparent: None,
        parent: None,
        depth: 0,
        source: None,
        split: None,
        text: None,
    }
}
