//! What every database and every queue must do, whichever engine it is.

use rusqlite::Connection;
use serde_json::{Map, json};
use shared::{
    clock,
    document::{DocumentId, DocumentState, Failure, FailureCode, Format, Priority, Stage},
    job::Claim,
    message::JobMessage,
    queue::{Queue, embedded::EmbeddedQueue},
    store::{
        Accepted, CallEnd, Changed, Filter, Found, IdempotencyKey, Intent, NewDocument, Store,
        sqlite::{SqliteFile, SqliteStore},
    },
};
use std::{path::PathBuf, time::Duration};
use tempfile::TempDir;

const LEASE: Duration = Duration::from_secs(60);
const NOW: Duration = Duration::ZERO;

struct Engines {
    _folder: TempDir,
    path: PathBuf,
    store: Store,
    queue: Queue,
}

async fn engines() -> Engines {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sluice.db");
    let file = SqliteFile::open(&path).unwrap();
    let store = Store::Sqlite(SqliteStore::new(file.clone()));
    store.migrate().await.unwrap();
    store.migrate().await.unwrap();
    Engines { _folder: folder, path, store, queue: Queue::Embedded(EmbeddedQueue::new(file)) }
}

impl Engines {
    async fn accept(&self, content: &str) -> DocumentId {
        match self.store.accept(vec![document(content)], None).await.unwrap() {
            Accepted::New(documents) => documents[0].id.clone(),
            other => panic!("{other:?}"),
        }
    }

    async fn claim(&self, id: &DocumentId) -> Claim {
        self.store.claim(id, "one", LEASE).await.unwrap().expect("a claim")
    }

    async fn intent(&self, claim: &Claim, question: &str) -> Intent {
        self.store.intent(claim, question, "all", "sweden", 2).await.unwrap()
    }

    /// Lets every lease run out.
    fn expire(&self) {
        let db = Connection::open(&self.path).unwrap();
        db.execute("UPDATE documents SET lease_until_ms = 1 WHERE lease_until_ms > 1", []).unwrap();
    }

    async fn state(&self, id: &DocumentId) -> DocumentState {
        match self.store.find(id).await.unwrap() {
            Found::Document(document) => document.state,
            other => panic!("{other:?}"),
        }
    }
}

fn document(content: &str) -> NewDocument {
    NewDocument {
        id: DocumentId::new(clock::now()),
        tenant: "default".to_owned(),
        schema: "invoice@1".parse().unwrap(),
        priority: Priority::Bulk,
        filename: "a.pdf".to_owned(),
        format: Format::Pdf,
        size_bytes: 1,
        sha256: content.to_owned(),
        metadata: Map::from_iter([("order".to_owned(), json!("17"))]),
    }
}

fn answered() -> CallEnd {
    CallEnd::Answered { tokens_input: 10, tokens_output: 2 }
}

fn failure() -> Failure {
    Failure::new(FailureCode::NoText, Stage::Text, "none")
}

#[tokio::test]
async fn one_claims_and_an_old_fence_changes_nothing() {
    let engines = engines().await;
    let store = &engines.store;
    let id = engines.accept("a").await;
    let old = engines.claim(&id).await;
    assert!(store.claim(&id, "two", LEASE).await.unwrap().is_none());
    assert!(store.heartbeat(&old, LEASE).await.unwrap());
    engines.expire();
    let new = engines.claim(&id).await;
    assert!(new.fence > old.fence && new.attempts == 2);
    assert!(!store.heartbeat(&old, LEASE).await.unwrap());
    assert!(!store.fail(&old, failure()).await.unwrap());
    assert!(!store.release(&old, NOW, None, true).await.unwrap());
    assert_eq!(engines.intent(&old, "q").await, Intent::Lost);
    assert_eq!(engines.state(&id).await, DocumentState::Processing);
    // Whoever holds the saved reply may finish, even late; then nothing changes any more.
    assert!(store.finish(&old, DocumentState::Succeeded).await.unwrap());
    assert!(!store.finish(&new, DocumentState::Partial).await.unwrap());
    assert!(!store.fail(&new, failure()).await.unwrap());
    assert_eq!(engines.state(&id).await, DocumentState::Succeeded);
    assert!(store.claim(&id, "two", LEASE).await.unwrap().is_none());
}

#[tokio::test]
async fn of_many_claims_at_once_one_wins() {
    let engines = engines().await;
    let id = engines.accept("a").await;
    let claim = |_| engines.store.claim(&id, "w", LEASE);
    let claims = futures::future::join_all((0..16).map(claim)).await;
    assert_eq!(claims.into_iter().filter(|claim| claim.as_ref().unwrap().is_some()).count(), 1);
}

#[tokio::test]
async fn the_ledger_counts_what_may_have_been_paid() {
    let engines = engines().await;
    let store = &engines.store;
    let id = engines.accept("a").await;
    let claim = engines.claim(&id).await;
    let call = async || match engines.intent(&claim, "q").await {
        Intent::Call(call) => call,
        other => panic!("{other:?}"),
    };
    let end = |error: &str, unbilled: bool| match unbilled {
        true => CallEnd::Unbilled { status: Some(429), error: error.to_owned() },
        false => CallEnd::Unknown { status: None, error: error.to_owned() },
    };
    for _ in 0..5 {
        let unbilled = call().await;
        store.call_ended(unbilled, "q", end("later", true), NOW).await.unwrap();
        // The count is given back once.
        store.call_ended(unbilled, "q", end("later", true), NOW).await.unwrap();
    }
    let unknown = call().await;
    store.call_ended(unknown, "q", end("reset", false), NOW).await.unwrap();
    store.call_ended(unknown, "q", end("no", true), NOW).await.unwrap();
    call().await;
    assert_eq!(engines.intent(&claim, "q").await, Intent::Capped(2));
    let attempts = store.attempts(&id).await.unwrap();
    assert_eq!(attempts.len(), 7);
    assert_eq!(store.spent(&claim).await.unwrap()[0].calls, 2);
    // Who asks for another run allows more.
    assert!(store.fail(&claim, failure()).await.unwrap());
    assert!(matches!(store.retry(&id).await.unwrap(), Changed::Done(_)));
    let again = engines.claim(&id).await;
    assert_eq!(again.run, 2);
    assert!(matches!(engines.intent(&again, "q").await, Intent::Call(_)));
}

#[tokio::test]
async fn one_question_is_asked_by_one_document_at_a_time() {
    let engines = engines().await;
    let (a, b) = (engines.accept("same").await, engines.accept("same").await);
    let (a, b) = (engines.claim(&a).await, engines.claim(&b).await);
    let Intent::Call(call) = engines.intent(&a, "q").await else { panic!("a call") };
    assert_eq!(engines.intent(&b, "q").await, Intent::Busy);
    engines.store.call_ended(call, "q", answered(), NOW).await.unwrap();
    assert_eq!(engines.intent(&b, "q").await, Intent::Replay);
    assert_eq!(engines.store.spent(&b).await.unwrap(), []);
    // An owner that died does not block the question.
    let Intent::Call(_) = engines.intent(&a, "other").await else { panic!("a call") };
    engines.expire();
    let b = engines.claim(&b.document).await;
    assert!(matches!(engines.intent(&b, "other").await, Intent::Call(_)));
}

#[tokio::test]
async fn the_same_call_gives_the_same_documents() {
    let engines = engines().await;
    let key = |fingerprint: &str| {
        Some(IdempotencyKey { key: "k".to_owned(), fingerprint: fingerprint.to_owned() })
    };
    let upload = |f: &str| engines.store.accept(vec![document("a"), document("b")], key(f));
    let (first, second) = tokio::join!(upload("x"), upload("x"));
    let documents = |accepted: Accepted| match accepted {
        Accepted::New(documents) => (true, documents),
        Accepted::Replayed(documents) => (false, documents),
        Accepted::Conflict => panic!("a conflict"),
    };
    let (first, second) = (documents(first.unwrap()), documents(second.unwrap()));
    assert!(first.0 != second.0);
    let ids = |documents: Vec<shared::document::Document>| -> Vec<_> {
        documents.into_iter().map(|document| document.id).collect()
    };
    assert_eq!(ids(first.1), ids(second.1));
    assert_eq!(upload("y").await.unwrap(), Accepted::Conflict);
}

#[tokio::test]
async fn a_wait_costs_no_attempt_and_is_not_claimed_early() {
    let engines = engines().await;
    let id = engines.accept("a").await;
    let claim = engines.claim(&id).await;
    assert!(engines.store.release(&claim, Duration::from_secs(60), None, false).await.unwrap());
    assert!(engines.store.claim(&id, "two", LEASE).await.unwrap().is_none(), "it is not due");
    let db = Connection::open(&engines.path).unwrap();
    db.execute("UPDATE documents SET due_ms = 0", []).unwrap();
    assert_eq!(engines.claim(&id).await.attempts, 1);
}

#[tokio::test]
async fn rings_are_given_to_one_relay_and_again_until_confirmed() {
    let engines = engines().await;
    let store = &engines.store;
    let id = engines.accept("a").await;
    let rings = store.rings(10, NOW).await.unwrap();
    assert_eq!(rings[0].document, id);
    let again = store.rings(10, LEASE).await.unwrap();
    assert_eq!(again, rings);
    assert_eq!(store.rings(10, LEASE).await.unwrap(), []);
    store.rung(vec![rings[0].id]).await.unwrap();
    // A lease that ran out is rung for again, once.
    engines.claim(&id).await;
    assert_eq!(store.sweep(Duration::from_secs(600)).await.unwrap(), 0);
    let db = Connection::open(&engines.path).unwrap();
    db.execute("UPDATE documents SET rung_ms = 0", []).unwrap();
    engines.expire();
    assert_eq!(store.sweep(Duration::from_secs(600)).await.unwrap(), 1);
    assert_eq!(store.sweep(Duration::from_secs(600)).await.unwrap(), 0);
    assert_eq!(store.rings(10, LEASE).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_ring_that_led_to_nothing_is_repeated_after_a_silence() {
    let engines = engines().await;
    let store = &engines.store;
    engines.accept("a").await;
    let rings = store.rings(10, LEASE).await.unwrap();
    store.rung(vec![rings[0].id]).await.unwrap();
    assert_eq!(store.sweep(Duration::from_secs(600)).await.unwrap(), 0);
    assert_eq!(store.sweep(NOW).await.unwrap(), 1);
}

#[tokio::test]
async fn lists_are_filtered_and_paged_newest_first() {
    let engines = engines().await;
    let mut ids = Vec::new();
    for _ in 0..5 {
        ids.push(engines.accept("a").await);
    }
    engines.store.cancel(&ids[2]).await.unwrap();
    let list = async |filter: Filter| -> Vec<DocumentId> {
        let listed = engines.store.list(Filter { limit: 10, ..filter }).await.unwrap();
        listed.into_iter().map(|document| document.id).collect()
    };
    ids.sort();
    ids.reverse();
    assert_eq!(list(Filter::default()).await, ids);
    let after = Filter { after: Some(ids[1].clone()), ..Filter::default() };
    assert_eq!(list(after).await, ids[2..]);
    let state = Filter { state: Some(DocumentState::Cancelled), ..Filter::default() };
    assert_eq!(list(state).await.len(), 1);
    let metadata = |value: &str| Filter {
        metadata: vec![("order".to_owned(), value.to_owned())],
        ..Filter::default()
    };
    assert_eq!(list(metadata("17")).await.len(), 5);
    assert_eq!(list(metadata("18' OR 1=1 --")).await.len(), 0);
    let schema = Filter { schema: Some("receipt".parse().unwrap()), ..Filter::default() };
    assert_eq!(list(schema).await.len(), 0);
}

#[tokio::test]
async fn a_deleted_document_is_a_tombstone_and_frees_its_questions() {
    let engines = engines().await;
    let store = &engines.store;
    let (a, b) = (engines.accept("same").await, engines.accept("same").await);
    let claim = engines.claim(&a).await;
    let Intent::Call(call) = engines.intent(&claim, "q").await else { panic!("a call") };
    store.call_ended(call, "q", answered(), NOW).await.unwrap();
    let second = engines.claim(&b).await;
    assert_eq!(engines.intent(&second, "q").await, Intent::Replay);
    assert!(matches!(store.delete(&a).await.unwrap(), Changed::Done(_)));
    assert_eq!(store.find(&a).await.unwrap(), Found::Deleted);
    assert_eq!(store.delete(&a).await.unwrap(), Changed::Deleted);
    assert!(!store.finish(&claim, DocumentState::Succeeded).await.unwrap());
    let purges = store.purges().await.unwrap();
    assert_eq!((purges.len(), purges[0].questions.len()), (1, 0), "b still asks the question");
    store.purged(&a, None).await.unwrap();
    assert_eq!(store.purges().await.unwrap(), []);
}

#[tokio::test]
async fn schemas_have_versions() {
    let engines = engines().await;
    let store = &engines.store;
    let name = "short".parse().unwrap();
    let (one, two) = (json!({ "type": "object", "title": "1" }), json!({ "type": "object" }));
    store.seed_schema(&name, one.clone()).await.unwrap();
    store.seed_schema(&name, one.clone()).await.unwrap();
    assert_eq!(store.put_schema(&name, one.clone()).await.unwrap().reference.version, 1);
    assert_eq!(store.put_schema(&name, two.clone()).await.unwrap().reference.version, 2);
    store.seed_schema(&name, one.clone()).await.unwrap();
    assert_eq!(store.schema(&name, None).await.unwrap().unwrap().body, two);
    assert_eq!(store.schema(&name, Some(1)).await.unwrap().unwrap().body, one);
    assert_eq!(store.schema(&name, Some(3)).await.unwrap(), None);
    assert_eq!(store.schema_versions(&name).await.unwrap().len(), 2);
    assert_eq!(store.schemas().await.unwrap().len(), 1);
}

#[tokio::test]
async fn workers_are_counted_while_they_live() {
    let engines = engines().await;
    let store = &engines.store;
    assert_eq!(store.worker_alive("a", LEASE).await.unwrap(), 1);
    assert_eq!(store.worker_alive("b", LEASE).await.unwrap(), 2);
    store.worker_gone("a").await.unwrap();
    assert_eq!(store.worker_alive("b", LEASE).await.unwrap(), 1);
}

#[tokio::test]
async fn a_message_is_delivered_until_it_is_acknowledged() {
    let engines = engines().await;
    let queue = &engines.queue;
    let message =
        |number: i64| JobMessage::new(DocumentId::new(clock::now()), number, clock::now());
    let (bulk, urgent) = (message(1), message(2));
    let both = [(bulk.clone(), Priority::Bulk), (urgent.clone(), Priority::Interactive)];
    queue.publish(&both).await.unwrap();
    let mut consumer = queue.consume(1).await.unwrap();
    let first = consumer.next(10).await.unwrap().remove(0);
    assert_eq!(first.message.as_ref().unwrap(), &urgent, "who waits is served first");
    first.ack().await.unwrap();
    let second = consumer.next(10).await.unwrap().remove(0);
    second.give_back().await.unwrap();
    let second = consumer.next(10).await.unwrap().remove(0);
    assert_eq!(second.message.as_ref().unwrap(), &bulk);
    // A late answer of somebody who lost the message changes nothing.
    let db = Connection::open(&engines.path).unwrap();
    db.execute("UPDATE messages SET visible_ms = 0", []).unwrap();
    let third = queue.consume(1).await.unwrap().next(10).await.unwrap().remove(0);
    second.ack().await.unwrap();
    let left: i64 = db.query_row("SELECT count(*) FROM messages", [], |row| row.get(0)).unwrap();
    assert_eq!(left, 1);
    third.ack().await.unwrap();
    let waited = tokio::time::timeout(Duration::from_millis(300), consumer.next(1)).await;
    assert!(waited.is_err(), "the queue is empty");
}
