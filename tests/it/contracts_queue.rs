//! What every queue must do, whichever engine it is, and what RabbitMQ must do beyond that.

use crate::{
    broker::{Broker, Vhost, queue},
    harness::{PATIENCE, repository, until},
};
use reqwest::Method;
use rusqlite::Connection;
use serde_json::{Value, json};
use shared::{
    clock,
    document::{DocumentId, DocumentState, Format, Priority},
    message::JobMessage,
    queue::{Consumer, Delivery, Queue, embedded::EmbeddedQueue},
    relay::Relay,
    store::{
        NewDocument, Store,
        sqlite::{SqliteFile, SqliteStore},
    },
};
use std::{collections::BTreeSet, path::PathBuf, time::Duration};
use tempfile::TempDir;
use tokio::time::timeout;

/// How long to look for a message that must not come.
const SILENCE: Duration = Duration::from_millis(500);

/// A queue, and what lets time pass for it.
struct Engine {
    queue: Queue,
    file: Option<(TempDir, PathBuf)>,
}

impl Engine {
    /// Lets what was delivered and not answered become visible again. RabbitMQ needs no help.
    fn expire(&self) {
        let Some((_, path)) = &self.file else { return };
        let db = Connection::open(path).unwrap();
        db.execute("UPDATE messages SET visible_ms = 0", []).unwrap();
    }
}

async fn embedded() -> Option<Engine> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sluice.db");
    let file = SqliteFile::open(&path).unwrap();
    Store::Sqlite(SqliteStore::new(file.clone())).migrate().await.unwrap();
    let queue = Queue::Embedded(EmbeddedQueue::new(file));
    Some(Engine { queue, file: Some((folder, path)) })
}

async fn rabbit() -> Option<Engine> {
    let vhost = Broker::shared()?.vhost().await;
    Some(Engine { queue: vhost.queue(), file: None })
}

/// Makes each of these functions a test on every engine.
macro_rules! contracts {
    ($module:ident, $engine:ident: $($name:ident)*) => {
        mod $module {
            $(
                #[tokio::test(flavor = "multi_thread")]
                async fn $name() {
                    if let Some(engine) = super::$engine().await {
                        super::$name(engine).await;
                    }
                }
            )*
        }
    };
    ($($name:ident)*) => {
        contracts!(on_the_embedded_queue, embedded: $($name)*);
        contracts!(on_rabbitmq, rabbit: $($name)*);
    };
}

contracts! {
    a_published_message_is_delivered_and_then_gone
    what_nobody_answers_comes_again
    what_is_given_back_is_there_for_others
    everything_arrives
    what_nobody_answers_is_bounded
    no_priority_waits_behind_the_other
}

fn messages(count: i64) -> Vec<(JobMessage, Priority)> {
    let message = |number| {
        (JobMessage::new(DocumentId::new(clock::now()), number, clock::now(), None), Priority::Bulk)
    };
    (1..=count).map(message).collect()
}

async fn take(consumer: &mut Consumer, most: u32) -> Vec<Delivery> {
    timeout(PATIENCE, consumer.next(most)).await.expect("a message").unwrap()
}

async fn nothing_comes(consumer: &mut Consumer) {
    let waited = timeout(SILENCE, consumer.next(10)).await;
    assert!(waited.is_err(), "{waited:?}");
}

fn read(delivery: &Delivery) -> JobMessage {
    delivery.message.clone().unwrap()
}

async fn a_published_message_is_delivered_and_then_gone(engine: Engine) {
    let queue = &engine.queue;
    queue.ready().await.unwrap();
    let sent = messages(1);
    queue.publish(&sent).await.unwrap();
    let mut consumer = queue.consume(Priority::Bulk, 10).await.unwrap();
    let delivery = take(&mut consumer, 10).await.remove(0);
    assert_eq!(read(&delivery), sent[0].0);
    delivery.ack().await.unwrap();
    engine.expire();
    drop(consumer);
    nothing_comes(&mut queue.consume(Priority::Bulk, 10).await.unwrap()).await;
}

async fn no_priority_waits_behind_the_other(engine: Engine) {
    let queue = &engine.queue;
    let mut sent = messages(4);
    sent[3].1 = Priority::Interactive;
    queue.publish(&sent).await.unwrap();
    let mut interactive = queue.consume(Priority::Interactive, 10).await.unwrap();
    let first = take(&mut interactive, 10).await;
    assert_eq!(first.iter().map(read).collect::<Vec<_>>(), [sent[3].0.clone()]);
    let mut bulk = queue.consume(Priority::Bulk, 10).await.unwrap();
    let mut seen = Vec::new();
    while seen.len() < 3 {
        seen.extend(take(&mut bulk, 10).await);
    }
    let seen: Vec<_> = seen.iter().map(read).collect();
    assert_eq!(seen, [0, 1, 2].map(|index: usize| sent[index].0.clone()));
    nothing_comes(&mut bulk).await;
}

async fn what_nobody_answers_comes_again(engine: Engine) {
    let queue = &engine.queue;
    let sent = messages(3);
    queue.publish(&sent).await.unwrap();
    let mut consumer = queue.consume(Priority::Bulk, 10).await.unwrap();
    let held = take(&mut consumer, 1).await.remove(0);
    // A wait that is given up takes nothing with it.
    for _ in 0..20 {
        drop(timeout(Duration::from_millis(1), consumer.next(1)).await);
    }
    drop((consumer, held));
    engine.expire();
    let mut consumer = queue.consume(Priority::Bulk, 10).await.unwrap();
    let (mut seen, mut answered) = (BTreeSet::new(), Vec::new());
    while seen.len() < 3 {
        for delivery in take(&mut consumer, 10).await {
            seen.insert(read(&delivery).id);
            answered.push(delivery);
        }
    }
    for delivery in answered {
        delivery.ack().await.unwrap();
    }
}

async fn what_is_given_back_is_there_for_others(engine: Engine) {
    let queue = &engine.queue;
    let sent = messages(1);
    queue.publish(&sent).await.unwrap();
    let mut consumer = queue.consume(Priority::Bulk, 1).await.unwrap();
    let delivery = take(&mut consumer, 1).await.remove(0);
    drop(consumer);
    delivery.give_back().await.unwrap();
    let mut other = queue.consume(Priority::Bulk, 1).await.unwrap();
    let delivery = take(&mut other, 1).await.remove(0);
    assert_eq!(read(&delivery), sent[0].0);
    delivery.ack().await.unwrap();
}

async fn everything_arrives(engine: Engine) {
    let queue = &engine.queue;
    let sent = messages(1000);
    let mut consumer = queue.consume(Priority::Bulk, 50).await.unwrap();
    let publish = async {
        for batch in sent.chunks(100) {
            queue.publish(batch).await.unwrap();
        }
    };
    let consume = async {
        let mut seen = BTreeSet::new();
        while seen.len() < 1000 {
            let deliveries = take(&mut consumer, 50).await;
            assert!((1..=50).contains(&deliveries.len()));
            for delivery in deliveries {
                seen.insert(read(&delivery).id);
                delivery.ack().await.unwrap();
            }
        }
        seen
    };
    let ((), seen) = tokio::join!(publish, consume);
    assert_eq!(seen, sent.into_iter().map(|(message, _)| message.id).collect());
}

async fn what_nobody_answers_is_bounded(engine: Engine) {
    let queue = &engine.queue;
    queue.publish(&messages(6)).await.unwrap();
    let mut consumer = queue.consume(Priority::Bulk, 4).await.unwrap();
    let mut held = Vec::new();
    while held.len() < 4 {
        held.extend(take(&mut consumer, 10).await);
    }
    assert_eq!(held.len(), 4);
    nothing_comes(&mut consumer).await;
    held.remove(0).ack().await.unwrap();
    assert_eq!(take(&mut consumer, 10).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ring_that_no_queue_takes_is_an_error() {
    let Some(broker) = Broker::shared() else { return };
    let vhost = broker.vhost().await;
    let queue = vhost.queue();
    queue.publish(&messages(1)).await.unwrap();
    let path = format!("queues/{}/sluice.documents", vhost.name);
    broker.manage(Method::DELETE, &path, Value::Null).await;
    let error = queue.publish(&messages(3)).await.unwrap_err().to_string();
    assert!(error.contains("was returned: NO_ROUTE"), "{error}");
    // What is missing is declared again.
    queue.publish(&messages(3)).await.unwrap();
    let (mut consumer, mut held) = (queue.consume(Priority::Bulk, 10).await.unwrap(), Vec::new());
    while held.len() < 3 {
        held.extend(take(&mut consumer, 10).await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_that_is_deleted_under_its_consumer_is_declared_again() {
    let Some(broker) = Broker::shared() else { return };
    let vhost = broker.vhost().await;
    let queue = vhost.queue();
    let mut consumer = queue.consume(Priority::Bulk, 10).await.unwrap();
    queue.publish(&messages(1)).await.unwrap();
    let held = take(&mut consumer, 1).await.remove(0);
    let path = format!("queues/{}/sluice.documents", vhost.name);
    broker.manage(Method::DELETE, &path, Value::Null).await;
    let publish = async {
        until("the queue takes messages again", async || queue.publish(&messages(1)).await.ok())
            .await;
    };
    let ((), again) = tokio::join!(publish, take(&mut consumer, 10));
    assert!(!again.is_empty());
    // An answer that nobody waits for any more is no error.
    held.ack().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_of_another_kind_is_named() {
    let Some(broker) = Broker::shared() else { return };
    let vhost = broker.vhost().await;
    let path = format!("queues/{}/sluice.documents", vhost.name);
    broker.manage(Method::PUT, &path, json!({ "durable": true, "arguments": {} })).await;
    let error = vhost.queue().ready().await.unwrap_err().to_string();
    assert!(error.contains("PRECONDITION_FAILED") && error.contains("x-queue-type"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_error_shows_the_password() {
    let Some(broker) = Broker::shared() else { return };
    let vhost = broker.vhost().await;
    for (url, expected) in [
        (broker.url("guest", "canary-amqp", &vhost.name), "ACCESS_REFUSED"),
        ("amqp://guest:canary-amqp@127.0.0.1:1,127.0.0.1:2/v".to_owned(), "refused"),
        (vhost.url.replace(&vhost.name, "canary-missing"), "not found"),
    ] {
        let queue = queue(&url);
        let error = queue.ready().await.unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
        assert!(!format!("{error} {queue:?}").contains("canary-amqp"), "{error} {queue:?}");
    }
}

/// The shipped definitions, for this virtual host, without the users' rights.
async fn define(vhost: &Vhost) {
    let path = repository().join("deploy/rabbitmq/definitions.json");
    let mut definitions: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let sections = definitions.as_object_mut().unwrap();
    sections.retain(|name, _| name != "vhosts" && name != "permissions");
    for entry in sections.values_mut().flat_map(|entries| entries.as_array_mut().unwrap()) {
        entry.as_object_mut().unwrap().remove("vhost");
    }
    vhost.broker.manage(Method::POST, &format!("definitions/{}", vhost.name), definitions).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_comes_too_often_is_a_dead_letter_and_read_back() {
    let Some(broker) = Broker::shared() else { return };
    let vhost = broker.vhost().await;
    define(&vhost).await;
    // What is shipped is what the program declares: it is not refused.
    let queue = vhost.queue();
    queue.ready().await.unwrap();
    let sent = messages(1);
    queue.publish(&sent).await.unwrap();
    assert!(queue.dead_letters().await.unwrap().is_empty());
    let mut consumer = queue.consume(Priority::Bulk, 1).await.unwrap();
    for _ in 0..=20 {
        take(&mut consumer, 1).await.remove(0).give_back().await.unwrap();
    }
    nothing_comes(&mut consumer).await;
    let letter = until("the dead letter is there", async || {
        queue.dead_letters().await.unwrap().into_iter().next()
    })
    .await;
    assert_eq!(read(&letter), sent[0].0);
    // Not answered, it stays.
    drop(letter);
    let letter = until("the dead letter is there again", async || {
        queue.dead_letters().await.unwrap().into_iter().next()
    })
    .await;
    letter.ack().await.unwrap();
    until("it is gone", async || {
        (vhost.length("sluice.documents.dead").await == Some(0)).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_queue_refuses() {
    let Some(broker) = Broker::shared() else { return };
    let vhost = broker.vhost().await;
    let policy = json!({
        "pattern": "^sluice\\.documents$", "apply-to": "queues",
        "definition": { "max-length": 3, "overflow": "reject-publish" },
    });
    broker.manage(Method::PUT, &format!("policies/{}/short", vhost.name), policy).await;
    let queue = vhost.queue();
    let refused = until("a message is refused", async || queue.publish(&messages(1)).await.err());
    let error = refused.await.to_string();
    assert!(error.contains("is full"), "{error}");
}

#[tokio::test]
async fn a_dead_letter_rings_only_for_what_has_not_ended() {
    let engine = embedded().await.unwrap();
    let store = Store::Sqlite(SqliteStore::new(
        SqliteFile::open(&engine.file.as_ref().unwrap().1).unwrap(),
    ));
    let relay = Relay::new(store.clone(), engine.queue.clone());
    let id = DocumentId::new(clock::now());
    assert!(!store.outbox().add(&id).await.unwrap(), "there is no such document");
    store.documents().accept(vec![letter(&id)], None).await.unwrap();
    assert!(!store.outbox().add(&id).await.unwrap(), "a ring is on its way");
    assert_eq!(relay.publish_entries().await.unwrap(), 1);
    assert!(store.outbox().add(&id).await.unwrap());
    assert_eq!(relay.publish_entries().await.unwrap(), 1);
    let claim = store.work().claim(&id, "one", PATIENCE).await.unwrap().unwrap();
    assert!(store.work().finish(&claim, DocumentState::Succeeded).await.unwrap());
    assert!(!store.outbox().add(&id).await.unwrap(), "it has ended");
}

fn letter(id: &DocumentId) -> NewDocument {
    NewDocument {
        id: id.clone(),
        tenant: "default".to_owned(),
        schema: "invoice@1".parse().unwrap(),
        priority: Priority::Bulk,
        filename: "a.txt".to_owned(),
        file_type: Format::Text.into(),
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
