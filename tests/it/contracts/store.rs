//! What every database must do, one caller at a time.

use super::database::{Engine, LEASE, NOW, answered, document, failure};
use serde_json::{Map, json};
use shared::{
    blob::BlobKey,
    document::{DocumentId, DocumentState, Failure, Priority},
    fleet::WorkerReport,
    message::Traceparent,
    store::{
        Accepted, CallEnd, CallLimits, Changed, Filter, Found, IdempotencyKey, Intent, NewDocument,
        ResultLocation,
    },
};
use std::time::Duration;

on_every_database! {
    an_older_program_leaves_a_newer_database_alone
    one_claims_and_an_old_fence_changes_nothing
    the_ledger_counts_what_may_have_been_paid
    one_question_is_asked_by_one_document_at_a_time
    a_call_frees_its_question_only_for_the_claim_that_asks
    a_call_that_a_retry_forgave_gives_nothing_back
    the_same_call_gives_the_same_documents
    a_wait_costs_no_attempt_and_is_not_claimed_early
    rings_are_given_to_one_relay_and_again_until_confirmed
    a_ring_that_led_to_nothing_is_repeated_after_a_silence
    lists_are_filtered_and_paged_newest_first
    a_deleted_document_is_a_tombstone_and_frees_its_questions
    schemas_have_versions
    workers_are_counted_while_they_live
    plain_values_of_the_metadata_are_found_as_they_are_written
    the_character_nul_harms_nobody
    what_was_stored_comes_back
    a_document_is_rung_for_once_until_that_is_confirmed
    a_reply_goes_with_the_last_document_that_asks_for_it
    a_document_is_put_back_once
    every_change_is_told_once_and_in_order
    the_trace_of_an_upload_stays_with_its_document
    a_reply_that_is_gone_may_be_paid_for_again
    a_reply_is_as_old_as_its_call
    another_upload_allows_calls_anew
    a_question_rests_after_a_call_that_nobody_knows_the_end_of
    what_the_cache_had_is_counted
}

async fn one_claims_and_an_old_fence_changes_nothing(engine: Engine) {
    let store = &engine.store;
    let id = engine.accept("a").await;
    let old = engine.claim(&id).await;
    assert!(store.work().claim(&id, "two", LEASE).await.unwrap().is_none());
    assert!(store.work().heartbeat(&old, LEASE).await.unwrap());
    engine.expire().await;
    let new = engine.claim(&id).await;
    assert!(new.fence > old.fence && new.attempts == 2);
    assert!(!store.work().heartbeat(&old, LEASE).await.unwrap());
    assert!(!store.work().fail(&old, failure()).await.unwrap());
    assert!(!store.work().release(&old, NOW, None, true).await.unwrap());
    assert_eq!(engine.intent(&old, "q").await, Intent::Lost);
    assert_eq!(engine.state(&id).await, DocumentState::Processing);
    // Whoever holds the saved reply may finish, even late; then nothing changes any more.
    assert!(store.work().finish(&old, DocumentState::Succeeded).await.unwrap());
    assert!(!store.work().finish(&new, DocumentState::Partial).await.unwrap());
    assert!(!store.work().fail(&new, failure()).await.unwrap());
    assert_eq!(engine.state(&id).await, DocumentState::Succeeded);
    assert!(store.work().claim(&id, "two", LEASE).await.unwrap().is_none());
}

async fn the_ledger_counts_what_may_have_been_paid(engine: Engine) {
    let store = &engine.store;
    let id = engine.accept("a").await;
    let claim = engine.claim(&id).await;
    let call = async || match engine.intent(&claim, "q").await {
        Intent::Call(call) => call,
        other => panic!("{other:?}"),
    };
    let end = |error: &str, unbilled: bool| match unbilled {
        true => CallEnd::Unbilled { status: Some(429), error: error.to_owned() },
        false => CallEnd::Unknown { status: None, error: error.to_owned() },
    };
    for _ in 0..5 {
        let unbilled = call().await;
        store.ledger().call_ended(unbilled, "q", end("later", true), NOW).await.unwrap();
        // The count is given back once.
        store.ledger().call_ended(unbilled, "q", end("later", true), NOW).await.unwrap();
    }
    let unknown = call().await;
    store.ledger().call_ended(unknown, "q", end("reset", false), NOW).await.unwrap();
    store.ledger().call_ended(unknown, "q", end("no", true), NOW).await.unwrap();
    call().await;
    assert_eq!(engine.intent(&claim, "q").await, Intent::Capped(2));
    let attempts = store.ledger().attempts(&id).await.unwrap();
    assert_eq!(attempts.len(), 7);
    assert_eq!(store.ledger().spent(&claim).await.unwrap()[0].calls, 2);
    // Who asks for another run allows more.
    assert!(store.work().fail(&claim, failure()).await.unwrap());
    assert!(matches!(store.documents().retry(&id).await.unwrap(), Changed::Done(_)));
    let again = engine.claim(&id).await;
    assert_eq!(again.run, 2);
    assert!(matches!(engine.intent(&again, "q").await, Intent::Call(_)));
}

async fn one_question_is_asked_by_one_document_at_a_time(engine: Engine) {
    let (a, b) = (engine.accept("same").await, engine.accept("same").await);
    let (a, b) = (engine.claim(&a).await, engine.claim(&b).await);
    let Intent::Call(call) = engine.intent(&a, "q").await else { panic!("a call") };
    assert_eq!(engine.intent(&b, "q").await, Intent::Busy);
    engine.store.ledger().call_ended(call, "q", answered(), NOW).await.unwrap();
    assert_eq!(engine.intent(&b, "q").await, Intent::Replay);
    assert_eq!(engine.store.ledger().spent(&b).await.unwrap(), []);
    // An owner that died does not block the question.
    let Intent::Call(_) = engine.intent(&a, "other").await else { panic!("a call") };
    engine.expire().await;
    let b = engine.claim(&b.document).await;
    assert!(matches!(engine.intent(&b, "other").await, Intent::Call(_)));
}

async fn the_same_call_gives_the_same_documents(engine: Engine) {
    let key = |fingerprint: &str| {
        Some(IdempotencyKey { key: "k".to_owned(), fingerprint: fingerprint.to_owned() })
    };
    let upload =
        |f: &str| engine.store.documents().accept(vec![document("a"), document("b")], key(f));
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

async fn a_wait_costs_no_attempt_and_is_not_claimed_early(engine: Engine) {
    let id = engine.accept("a").await;
    let claim = engine.claim(&id).await;
    assert!(
        engine.store.work().release(&claim, Duration::from_secs(60), None, false).await.unwrap()
    );
    assert!(engine.store.work().claim(&id, "two", LEASE).await.unwrap().is_none(), "it is not due");
    engine.sql("UPDATE documents SET due_ms = 0").await;
    assert_eq!(engine.claim(&id).await.attempts, 1);
}

async fn rings_are_given_to_one_relay_and_again_until_confirmed(engine: Engine) {
    let store = &engine.store;
    let id = engine.accept("a").await;
    let rings = store.outbox().take(10, NOW).await.unwrap();
    assert_eq!(rings[0].document, id);
    let again = store.outbox().take(10, LEASE).await.unwrap();
    assert_eq!(again, rings);
    assert_eq!(store.outbox().take(10, LEASE).await.unwrap(), []);
    store.outbox().confirm(&[rings[0].id]).await.unwrap();
    // A lease that ran out is rung for again, once.
    engine.claim(&id).await;
    assert_eq!(store.outbox().sweep(Duration::from_secs(600)).await.unwrap().entries, 0);
    engine.sql("UPDATE documents SET enqueued_ms = 0").await;
    engine.expire().await;
    assert_eq!(store.outbox().sweep(Duration::from_secs(600)).await.unwrap().entries, 1);
    assert_eq!(store.outbox().sweep(Duration::from_secs(600)).await.unwrap().entries, 0);
    assert_eq!(store.outbox().take(10, LEASE).await.unwrap().len(), 1);
}

async fn a_ring_that_led_to_nothing_is_repeated_after_a_silence(engine: Engine) {
    let store = &engine.store;
    engine.accept("a").await;
    let rings = store.outbox().take(10, LEASE).await.unwrap();
    store.outbox().confirm(&[rings[0].id]).await.unwrap();
    assert_eq!(store.outbox().sweep(Duration::from_secs(600)).await.unwrap().entries, 0);
    assert_eq!(store.outbox().sweep(NOW).await.unwrap().entries, 1);
}

async fn lists_are_filtered_and_paged_newest_first(engine: Engine) {
    let mut ids = Vec::new();
    for _ in 0..5 {
        ids.push(engine.accept("a").await);
    }
    engine.store.documents().cancel(&ids[2]).await.unwrap();
    let list = async |filter: Filter| -> Vec<DocumentId> {
        let listed = engine.store.documents().list(Filter { limit: 10, ..filter }).await.unwrap();
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
    let code = |code: &str| Filter { code: Some(code.to_owned()), ..Filter::default() };
    assert_eq!(list(code("no_text")).await.len(), 0);
    let claim = engine.claim(&ids[0]).await;
    assert!(engine.store.work().fail(&claim, failure()).await.unwrap());
    assert_eq!(list(code("no_text")).await, ids[..1]);
    let before = Filter { before: Some(claim.queued_at), ..Filter::default() };
    assert!(!list(before).await.contains(&ids[0]));
}

async fn a_deleted_document_is_a_tombstone_and_frees_its_questions(engine: Engine) {
    let store = &engine.store;
    let (a, b) = (engine.accept("same").await, engine.accept("same").await);
    let claim = engine.claim(&a).await;
    let Intent::Call(call) = engine.intent(&claim, "q").await else { panic!("a call") };
    store.ledger().call_ended(call, "q", answered(), NOW).await.unwrap();
    let second = engine.claim(&b).await;
    assert_eq!(engine.intent(&second, "q").await, Intent::Replay);
    assert!(matches!(store.documents().delete(&a).await.unwrap(), Changed::Done(_)));
    assert_eq!(store.documents().find(&a).await.unwrap(), Found::Deleted);
    assert_eq!(store.documents().delete(&a).await.unwrap(), Changed::Deleted);
    assert!(!store.work().finish(&claim, DocumentState::Succeeded).await.unwrap());
    let purges = store.purges().due().await.unwrap();
    assert_eq!((purges.len(), purges[0].questions.len()), (1, 0), "b still asks the question");
    store.purges().done(&a, None).await.unwrap();
    assert_eq!(store.purges().due().await.unwrap(), []);
}

async fn schemas_have_versions(engine: Engine) {
    let store = &engine.store;
    let name = "short".parse().unwrap();
    let (one, two) = (json!({ "type": "object", "title": "1" }), json!({ "type": "object" }));
    store.schemas().seed(&name, one.clone()).await.unwrap();
    store.schemas().seed(&name, one.clone()).await.unwrap();
    assert_eq!(store.schemas().put(&name, one.clone()).await.unwrap().reference.version, 1);
    assert_eq!(store.schemas().put(&name, two.clone()).await.unwrap().reference.version, 2);
    store.schemas().seed(&name, one.clone()).await.unwrap();
    assert_eq!(store.schemas().get(&name, None).await.unwrap().unwrap().body, two);
    assert_eq!(store.schemas().get(&name, Some(1)).await.unwrap().unwrap().body, one);
    assert_eq!(store.schemas().get(&name, Some(3)).await.unwrap(), None);
    assert_eq!(store.schemas().versions(&name).await.unwrap().len(), 2);
    assert_eq!(store.schemas().latest().await.unwrap().len(), 1);
}

async fn workers_are_counted_while_they_live(engine: Engine) {
    let store = &engine.store;
    assert_eq!(store.fleet().report("a", &WorkerReport::default(), LEASE).await.unwrap(), 1);
    assert_eq!(store.fleet().report("b", &WorkerReport::default(), LEASE).await.unwrap(), 2);
    store.fleet().leave("a").await.unwrap();
    assert_eq!(store.fleet().report("b", &WorkerReport::default(), LEASE).await.unwrap(), 1);
}

async fn plain_values_of_the_metadata_are_found_as_they_are_written(engine: Engine) {
    let mut new = document("a");
    let values = [("s", json!("x y")), ("n", json!(17)), ("f", json!(1.5)), ("b", json!(true))];
    new.metadata = values.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
    new.metadata.insert("nothing".to_owned(), json!(null));
    engine.store.documents().accept(vec![new], None).await.unwrap();
    for (key, value, found) in [
        ("s", "x y", 1),
        ("n", "17", 1),
        ("f", "1.5", 1),
        ("b", "true", 1),
        ("b", "1", 0),
        ("nothing", "null", 0),
        ("absent", "x", 0),
    ] {
        let metadata = vec![(key.to_owned(), value.to_owned())];
        let listed = engine
            .store
            .documents()
            .list(Filter { limit: 10, metadata, ..Filter::default() })
            .await;
        assert_eq!(listed.unwrap().len(), found, "{key}={value}");
    }
}

async fn the_character_nul_harms_nobody(engine: Engine) {
    let store = &engine.store;
    let mut new = document("a");
    new.filename = "a\0.pdf".to_owned();
    new.metadata.insert("k\0".to_owned(), json!(["v\0"]));
    let id = new.id.clone();
    store.documents().accept(vec![new], None).await.unwrap();
    let claim = engine.claim(&id).await;
    let Intent::Call(call) = engine.intent(&claim, "q").await else { panic!("a call") };
    let end = CallEnd::Unknown { status: None, error: "\0".to_owned() };
    store.ledger().call_ended(call, "q", end, NOW).await.unwrap();
    let failure = Failure { message: "\0".to_owned(), ..failure() };
    assert!(store.work().fail(&claim, failure).await.unwrap());
    let metadata = vec![("order".to_owned(), "17".to_owned())];
    let filter =
        Filter { limit: 10, metadata, code: Some("no_text".to_owned()), ..Filter::default() };
    assert_eq!(store.documents().list(filter).await.unwrap()[0].id, id);
    let metadata = vec![("order\0".to_owned(), "\0".to_owned())];
    let filter = Filter { limit: 10, metadata, ..Filter::default() };
    assert_eq!(store.documents().list(filter).await.unwrap(), []);
}

async fn what_was_stored_comes_back(engine: Engine) {
    let store = &engine.store;
    let mut new = document("a");
    new.size_bytes = 5_000_000_000;
    new.priority = Priority::Interactive;
    new.metadata = Map::from_iter([("z".to_owned(), json!(1)), ("a".to_owned(), json!("2"))]);
    let Accepted::New(accepted) = store.documents().accept(vec![new.clone()], None).await.unwrap()
    else {
        panic!("it is new")
    };
    let Found::Document(found) = store.documents().find(&new.id).await.unwrap() else {
        panic!("it is there")
    };
    assert_eq!(accepted, [(*found).clone()]);
    assert_eq!((found.size_bytes, found.priority), (new.size_bytes, new.priority));
    assert_eq!(found.metadata.keys().collect::<Vec<_>>(), ["z", "a"], "in their order");
    assert_eq!(store.documents().count().await.unwrap(), [(DocumentState::Queued, 1)]);
    let claim = engine.claim(&new.id).await;
    assert_eq!(
        (claim.priority, claim.file_type, &*claim.sha256),
        (new.priority, new.file_type, "a")
    );
    assert_eq!((claim.run, claim.attempts, claim.queued_at), (1, 1, found.created_at));
    store.work().text_read(&claim, "engine 1", 7).await.unwrap();
    store.work().set_waiting(&claim, None).await.unwrap();
    let source = BlobKey::source(&new.id);
    let place = ResultLocation { run: 1, text_engine: Some("engine 1".to_owned()), source };
    assert_eq!(store.documents().result_location(&new.id).await.unwrap(), Some(place));
    assert!(store.work().fail(&claim, failure()).await.unwrap());
    let schema = Some("receipt@3".parse().unwrap());
    let Changed::Done(again) = store.documents().reprocess(&new.id, schema.clone()).await.unwrap()
    else {
        panic!("it has ended")
    };
    assert_eq!((again.pages, Some(again.schema)), (Some(7), schema));
    assert_eq!((again.failure, again.attempts), (None, 0));
    assert!(matches!(store.documents().cancel(&new.id).await.unwrap(), Changed::Done(_)));
    let refused = store.documents().cancel(&new.id).await.unwrap();
    assert_eq!(refused, Changed::WrongState(DocumentState::Cancelled));
    let unknown = document("b").id;
    assert_eq!(store.documents().cancel(&unknown).await.unwrap(), Changed::Nothing);
    assert_eq!(store.documents().find(&unknown).await.unwrap(), Found::Nothing);
}

async fn a_document_is_rung_for_once_until_that_is_confirmed(engine: Engine) {
    let store = &engine.store;
    let id = engine.accept("a").await;
    assert!(!store.outbox().add(&id).await.unwrap(), "a ring is on its way");
    let rings = store.outbox().take(10, LEASE).await.unwrap();
    store.outbox().confirm(&rings.iter().map(|ring| ring.id).collect::<Vec<_>>()).await.unwrap();
    assert!(store.outbox().add(&id).await.unwrap());
    assert_eq!(store.outbox().take(10, LEASE).await.unwrap().len(), 1);
    store.documents().cancel(&id).await.unwrap();
    assert!(!store.outbox().add(&id).await.unwrap(), "it has ended");
}

async fn a_reply_goes_with_the_last_document_that_asks_for_it(engine: Engine) {
    let store = &engine.store;
    let (a, b) = (engine.accept("same").await, engine.accept("same").await);
    let claim = engine.claim(&a).await;
    let Intent::Call(call) = engine.intent(&claim, "q").await else { panic!("a call") };
    store.ledger().call_ended(call, "q", answered(), NOW).await.unwrap();
    store.documents().delete(&b).await.unwrap();
    let purges = store.purges().due().await.unwrap();
    assert_eq!(purges, store.purges().due().await.unwrap(), "given out until it is done");
    assert_eq!((&purges[0].document, purges[0].questions.len()), (&b, 0), "a still asks");
    store.purges().done(&b, None).await.unwrap();
    store.documents().delete(&a).await.unwrap();
    let purges = store.purges().due().await.unwrap();
    assert_eq!((&purges[0].document, &*purges[0].questions), (&a, &["q".to_owned()][..]));
    store.purges().done(&a, Some(LEASE)).await.unwrap();
    assert_eq!(store.purges().due().await.unwrap(), [], "again, but later");
    let again = engine.accept("same").await;
    let again = engine.claim(&again).await;
    assert!(matches!(engine.intent(&again, "q").await, Intent::Call(_)), "it is forgotten");
}

async fn an_older_program_leaves_a_newer_database_alone(engine: Engine) {
    let id = engine.accept("a").await;
    engine.is_from_the_future().await;
    engine.store.migrate().await.unwrap();
    assert_eq!(engine.state(&id).await, DocumentState::Queued);
}

async fn a_call_frees_its_question_only_for_the_claim_that_asks(engine: Engine) {
    let unpaid = CallEnd::Unbilled { status: None, error: "no route".to_owned() };
    let unknown = CallEnd::Unknown { status: None, error: "reset".to_owned() };
    for (end, q) in [(unpaid, "q"), (unknown, "p")] {
        let (a, b) = (engine.accept(q).await, engine.accept(q).await);
        let c = engine.accept(q).await;
        let asleep = engine.claim(&a).await;
        let Intent::Call(old) = engine.intent(&asleep, q).await else { panic!("a call") };
        engine.expire().await;
        // The same document again for one end, another one for the other.
        let next = if matches!(end, CallEnd::Unknown { .. }) { &a } else { &b };
        let next = engine.claim(next).await;
        let other = engine.claim(&c).await;
        let Intent::Call(_) = engine.intent(&next, q).await else { panic!("a call") };
        engine.store.ledger().call_ended(old, q, end, NOW).await.unwrap();
        assert_eq!(engine.intent(&other, q).await, Intent::Busy);
    }
}

async fn a_call_that_a_retry_forgave_gives_nothing_back(engine: Engine) {
    let store = &engine.store;
    let (a, b) = (engine.accept("same").await, engine.accept("same").await);
    let asleep = engine.claim(&a).await;
    let Intent::Call(old) = engine.intent(&asleep, "q").await else { panic!("a call") };
    assert!(matches!(store.documents().cancel(&a).await.unwrap(), Changed::Done(_)));
    assert!(matches!(store.documents().retry(&a).await.unwrap(), Changed::Done(_)));
    let claim = engine.claim(&b).await;
    let Intent::Call(first) = engine.intent(&claim, "q").await else { panic!("a call") };
    let unpaid = CallEnd::Unbilled { status: None, error: "no route".to_owned() };
    store.ledger().call_ended(old, "q", unpaid, NOW).await.unwrap();
    let unknown = || CallEnd::Unknown { status: None, error: "reset".to_owned() };
    store.ledger().call_ended(first, "q", unknown(), NOW).await.unwrap();
    let Intent::Call(second) = engine.intent(&claim, "q").await else { panic!("a call") };
    store.ledger().call_ended(second, "q", unknown(), NOW).await.unwrap();
    assert_eq!(engine.intent(&claim, "q").await, Intent::Capped(2));
}

async fn a_document_is_put_back_once(engine: Engine) {
    let store = &engine.store;
    let ended = document("ended");
    let open = document("open");
    let result = Some((3, DocumentState::Partial));
    assert!(store.documents().restore(ended.clone(), result).await.unwrap());
    assert!(!store.documents().restore(ended.clone(), None).await.unwrap());
    assert!(store.documents().restore(open.clone(), None).await.unwrap());
    assert_eq!(engine.state(&ended.id).await, DocumentState::Partial);
    assert_eq!(store.documents().result_location(&ended.id).await.unwrap().unwrap().run, 3);
    let rings = store.outbox().take(10, LEASE).await.unwrap();
    assert_eq!(rings.iter().map(|ring| &ring.document).collect::<Vec<_>>(), [&open.id]);
    let claim = engine.claim(&open.id).await;
    assert_eq!(store.ledger().questions(&open.id).await.unwrap(), [] as [String; 0]);
    let Intent::Call(_) = engine.intent(&claim, "q").await else { panic!("a call") };
    assert_eq!(store.ledger().questions(&open.id).await.unwrap(), ["q"]);
    let schema = store.schemas().put(&"x".parse().unwrap(), json!({ "a": 1 })).await.unwrap();
    assert!(!store.schemas().restore(&schema).await.unwrap());
    let mut later = schema;
    later.reference.version = 7;
    assert!(store.schemas().restore(&later).await.unwrap());
    assert_eq!(store.schemas().get(&"x".parse().unwrap(), None).await.unwrap(), Some(later));
}

async fn every_change_is_told_once_and_in_order(engine: Engine) {
    use DocumentState::{Cancelled, Failed, Partial, Processing, Queued};
    let store = &engine.store;
    let mut ids = Vec::new();
    for content in ["finished", "failed", "cancelled", "deleted"] {
        ids.push(engine.accept(content).await);
    }
    let claim = engine.claim(&ids[0]).await;
    assert!(store.work().release(&claim, NOW, None, true).await.unwrap());
    let claim = engine.claim(&ids[0]).await;
    assert!(store.work().finish(&claim, Partial).await.unwrap());
    assert!(!store.work().finish(&claim, DocumentState::Succeeded).await.unwrap());
    let claim = engine.claim(&ids[1]).await;
    assert!(store.work().fail(&claim, failure()).await.unwrap());
    store.documents().cancel(&ids[2]).await.unwrap();
    store.documents().cancel(&ids[2]).await.unwrap();
    store.documents().delete(&ids[3]).await.unwrap();
    let changes = store.events().take(100, LEASE).await.unwrap();
    let of = |id| changes.iter().filter(|c| &c.document == id).map(|c| c.state).collect::<Vec<_>>();
    assert_eq!(of(&ids[0]), [Queued, Processing, Queued, Processing, Partial]);
    assert_eq!(of(&ids[1]), [Queued, Processing, Failed]);
    assert_eq!(of(&ids[2]), [Queued, Cancelled]);
    assert_eq!(of(&ids[3]), [Queued, Cancelled]);
    assert_eq!(changes[0].schema.to_string(), "invoice@1");
    assert_eq!(store.events().take(100, LEASE).await.unwrap(), [], "somebody is telling them");
    // What comes later waits for them, and nothing else does.
    store.documents().reprocess(&ids[0], None).await.unwrap();
    let other = engine.accept("other").await;
    let more = store.events().take(100, LEASE).await.unwrap();
    assert_eq!(more.iter().map(|change| &change.document).collect::<Vec<_>>(), [&other]);
    // Nobody has confirmed them: all come again, the later one behind the earlier ones.
    engine.sql("UPDATE events SET due_ms = 0").await;
    let again = store.events().take(100, LEASE).await.unwrap();
    assert_eq!(again[..changes.len()], changes);
    assert_eq!(again.len(), changes.len() + 2);
    store
        .events()
        .confirm(&again.iter().map(|change| change.id).collect::<Vec<_>>())
        .await
        .unwrap();
    engine.sql("UPDATE events SET due_ms = 0").await;
    assert_eq!(store.events().take(100, NOW).await.unwrap(), []);
}

async fn the_trace_of_an_upload_stays_with_its_document(engine: Engine) {
    let store = &engine.store;
    let trace = Some(Traceparent::random());
    let new = NewDocument { traceparent: trace.clone(), ..document("a") };
    let id = new.id.clone();
    store.documents().accept(vec![new], None).await.unwrap();
    let rings = store.outbox().take(10, LEASE).await.unwrap();
    assert_eq!(rings[0].traceparent, trace);
    store.outbox().confirm(&[rings[0].id]).await.unwrap();
    let claim = engine.claim(&id).await;
    store.work().release(&claim, NOW, None, true).await.unwrap();
    assert_eq!(store.outbox().take(10, LEASE).await.unwrap()[0].traceparent, trace);
    let changes = store.events().take(10, LEASE).await.unwrap();
    assert!(changes.iter().all(|change| change.traceparent == trace), "{changes:?}");
}

async fn a_reply_that_is_gone_may_be_paid_for_again(engine: Engine) {
    let store = &engine.store;
    let id = engine.accept("a").await;
    let claim = engine.claim(&id).await;
    let Intent::Call(call) = engine.intent(&claim, "q").await else { panic!("a call") };
    store.ledger().forget_reply("q").await.unwrap();
    store.ledger().call_ended(call, "q", answered(), NOW).await.unwrap();
    assert_eq!(engine.intent(&claim, "q").await, Intent::Replay);
    store.ledger().forget_reply("q").await.unwrap();
    assert!(matches!(engine.intent(&claim, "q").await, Intent::Call(_)));
}

async fn a_reply_is_as_old_as_its_call(engine: Engine) {
    let ledger = engine.store.ledger();
    assert_eq!(ledger.adopt_reply("q").await.unwrap(), None, "nothing is known of it");
    let id = engine.accept("a").await;
    let claim = engine.claim(&id).await;
    let Intent::Call(call) = engine.intent(&claim, "q").await else { panic!("a call") };
    ledger.call_ended(call, "q", answered(), NOW).await.unwrap();
    let answered_at = ledger.adopt_reply("q").await.unwrap().unwrap();
    assert!(answered_at >= claim.queued_at, "it came during the run");
    // The worker of another one dies before it says that it has saved the reply.
    let Intent::Call(_) = engine.intent(&claim, "p").await else { panic!("a call") };
    engine.store.documents().cancel(&id).await.unwrap();
    engine.sql("UPDATE calls SET started_ms = started_ms - 1").await;
    engine.store.documents().retry(&id).await.unwrap();
    let again = engine.claim(&id).await;
    let adopted = ledger.adopt_reply("p").await.unwrap().unwrap();
    assert!(adopted < again.queued_at, "it was asked before the run");
    assert_eq!(engine.intent(&again, "p").await, Intent::Replay);
    assert_eq!(ledger.adopt_reply("p").await.unwrap(), Some(adopted), "the first time counts");
    assert!(ledger.adopt_reply("q").await.unwrap().unwrap() <= again.queued_at);
}

async fn a_question_rests_after_a_call_that_nobody_knows_the_end_of(engine: Engine) {
    let pauses = [0, 60, 600].map(Duration::from_secs).to_vec();
    let limits = CallLimits { calls_max: 5, pauses: pauses.clone() };
    let ledger = engine.store.ledger();
    let id = engine.accept("a").await;
    let claim = engine.claim(&id).await;
    let ask = async || ledger.intent(&claim, "q", "all", "sweden", &limits).await.unwrap();
    let unknown = || CallEnd::Unknown { status: None, error: "reset".to_owned() };
    // What was certainly not paid is no reason to rest.
    let Intent::Call(call) = ask().await else { panic!("a call") };
    let unpaid = CallEnd::Unbilled { status: Some(429), error: "later".to_owned() };
    ledger.call_ended(call, "q", unpaid, NOW).await.unwrap();
    for pause in [pauses[0], pauses[1], pauses[2], pauses[2]] {
        let Intent::Call(call) = ask().await else { panic!("a call") };
        ledger.call_ended(call, "q", unknown(), NOW).await.unwrap();
        if pause > NOW {
            let Intent::Later(rest) = ask().await else { panic!("it rests") };
            assert!(rest <= pause && rest > pause / 2, "{rest:?} of {pause:?}");
            // Another question does not.
            let other = ledger.intent(&claim, "p", "all", "sweden", &limits).await.unwrap();
            let Intent::Call(other) = other else { panic!("a call") };
            ledger.call_ended(other, "p", answered(), NOW).await.unwrap();
            engine.sql("DELETE FROM questions WHERE key = 'p'").await;
        }
        engine.sql("UPDATE calls SET ended_ms = ended_ms - 600000").await;
    }
    let Intent::Call(call) = ask().await else { panic!("a call") };
    ledger.call_ended(call, "q", unknown(), NOW).await.unwrap();
    // Nothing is left to wait for.
    assert_eq!(ask().await, Intent::Capped(5));
}

async fn another_upload_allows_calls_anew(engine: Engine) {
    let ledger = engine.store.ledger();
    let (first, with_it) = (engine.accept("same").await, engine.accept("same").await);
    let claim = engine.claim(&first).await;
    let unknown = || CallEnd::Unknown { status: None, error: "reset".to_owned() };
    for _ in 0..2 {
        let Intent::Call(call) = engine.intent(&claim, "q").await else { panic!("a call") };
        ledger.call_ended(call, "q", unknown(), NOW).await.unwrap();
    }
    assert_eq!(engine.intent(&claim, "q").await, Intent::Capped(2));
    // Who was there while the calls were made has had them as well.
    let with_it = engine.claim(&with_it).await;
    assert_eq!(engine.intent(&with_it, "q").await, Intent::Capped(2));
    engine.sql("UPDATE calls SET started_ms = started_ms - 1").await;
    let later = engine.accept("same").await;
    engine
        .sql(&format!("UPDATE documents SET queued_ms = queued_ms + 1 WHERE id = '{later}'"))
        .await;
    let later = engine.claim(&later).await;
    for _ in 0..2 {
        let Intent::Call(call) = engine.intent(&later, "q").await else { panic!("a call") };
        engine.sql("UPDATE calls SET started_ms = started_ms + 5").await;
        ledger.call_ended(call, "q", unknown(), NOW).await.unwrap();
    }
    assert_eq!(engine.intent(&later, "q").await, Intent::Capped(2), "as many, and no more");
    assert_eq!(engine.intent(&claim, "q").await, Intent::Capped(2), "for nobody");
}

async fn what_the_cache_had_is_counted(engine: Engine) {
    let ledger = engine.store.ledger();
    let claim = engine.claim(&engine.accept("a").await).await;
    for question in ["q", "r"] {
        let Intent::Call(call) = engine.intent(&claim, question).await else { panic!("a call") };
        ledger.call_ended(call, question, answered(), NOW).await.unwrap();
    }
    let attempts = ledger.attempts(&claim.document).await.unwrap();
    assert_eq!((attempts[0].tokens_input, attempts[0].tokens_cached), (Some(10), Some(6)));
    let spent = &ledger.spent(&claim).await.unwrap()[0];
    assert_eq!((spent.calls, spent.tokens_input, spent.tokens_cached), (2, 20, 12));
}
