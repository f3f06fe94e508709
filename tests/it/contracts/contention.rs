//! What every database must do when many ask for the same at once: every caller has connections
//! of its own, as processes have.

use super::database::{Engine, LEASE, NOW, TWICE, answered, document, failure};
use futures::future::{join, join_all};
use shared::{
    document::{DocumentId, DocumentState},
    fleet::WorkerReport,
    store::{Accepted, CallEnd, Changed, IdempotencyKey, Intent, Store},
};
use std::collections::HashSet;

on_every_database! {
    of_many_claims_at_once_one_wins
    of_many_intents_at_once_one_may_pay
    of_many_calls_with_one_key_one_is_accepted
    a_key_means_one_call_whoever_comes_first
    no_ring_is_given_to_two_relays
    a_document_ends_once
    a_schema_gets_each_version_once
    sweeps_at_once_ring_once
    workers_that_come_back_together_are_all_counted
    whatever_happens_at_once_nothing_fails
}

fn stores(engine: &Engine, count: usize) -> Vec<Store> {
    (0..count).map(|_| engine.another()).collect()
}

async fn of_many_claims_at_once_one_wins(engine: Engine) {
    let stores = stores(&engine, 4);
    let mut fence = 0;
    let id = engine.accept("a").await;
    for _ in 0..5 {
        let claims = (0..32).map(|n| stores[n % 4].work().claim(&id, "w", LEASE));
        let claims = join_all(claims).await.into_iter().filter_map(Result::unwrap);
        let claims: Vec<_> = claims.collect();
        assert_eq!(claims.len(), 1);
        assert!(claims[0].fence > fence);
        fence = claims[0].fence;
        engine.expire().await;
    }
}

async fn of_many_intents_at_once_one_may_pay(engine: Engine) {
    let stores = stores(&engine, 4);
    let mut claims = Vec::new();
    for _ in 0..16 {
        let id = engine.accept("same").await;
        claims.push(engine.claim(&id).await);
    }
    for (question, is_known) in [("q", false), ("r", true), ("s", true), ("t", false)] {
        if is_known {
            let Intent::Call(call) = engine.intent(&claims[0], question).await else {
                panic!("nobody else asks")
            };
            let unbilled = CallEnd::Unbilled { status: Some(429), error: "no".to_owned() };
            engine.store.ledger().call_ended(call, question, unbilled, NOW).await.unwrap();
        }
        let ask =
            |n: usize| stores[n % 4].ledger().intent(&claims[n], question, "all", "sweden", &TWICE);
        let intents: Vec<_> =
            join_all((0..16).map(ask)).await.into_iter().map(Result::unwrap).collect();
        let calls: Vec<_> = intents
            .iter()
            .filter_map(|intent| match intent {
                Intent::Call(call) => Some(*call),
                _ => None,
            })
            .collect();
        assert_eq!(calls.len(), 1, "{intents:?}");
        assert_eq!(intents.iter().filter(|intent| **intent == Intent::Busy).count(), 15);
        engine.store.ledger().call_ended(calls[0], question, answered(), NOW).await.unwrap();
        let intents = join_all((0..16).map(ask)).await;
        assert!(intents.into_iter().all(|intent| intent.unwrap() == Intent::Replay));
    }
}

async fn of_many_calls_with_one_key_one_is_accepted(engine: Engine) {
    let stores = stores(&engine, 4);
    let key = || Some(IdempotencyKey { key: "k".to_owned(), fingerprint: "f".to_owned() });
    let upload =
        |n: usize| stores[n % 4].documents().accept(vec![document("a"), document("b")], key());
    let (mut new, mut ids) = (0, HashSet::new());
    for accepted in join_all((0..16).map(upload)).await {
        let documents = match accepted.unwrap() {
            Accepted::New(documents) => {
                new += 1;
                documents
            }
            Accepted::Replayed(documents) => documents,
            Accepted::Conflict => panic!("a conflict"),
        };
        ids.insert(documents.into_iter().map(|document| document.id).collect::<Vec<_>>());
    }
    assert_eq!((new, ids.len()), (1, 1));
    assert_eq!(engine.store.documents().count().await.unwrap(), [(DocumentState::Queued, 2)]);
    assert_eq!(engine.store.outbox().take(10, LEASE).await.unwrap().len(), 2);
}

async fn a_key_means_one_call_whoever_comes_first(engine: Engine) {
    let stores = stores(&engine, 4);
    let upload = |n: usize| {
        let fingerprint = if n.is_multiple_of(2) { "x" } else { "y" };
        let key = IdempotencyKey { key: "k".to_owned(), fingerprint: fingerprint.to_owned() };
        stores[n % 4].documents().accept(vec![document("a")], Some(key))
    };
    let accepted = join_all((0..16).map(upload)).await;
    let accepted: Vec<_> = accepted.into_iter().map(Result::unwrap).collect();
    let count = |is: fn(&Accepted) -> bool| accepted.iter().filter(|one| is(one)).count();
    assert_eq!(count(|one| matches!(one, Accepted::New(_))), 1, "{accepted:?}");
    assert_eq!(count(|one| matches!(one, Accepted::Replayed(_))), 7);
    assert_eq!(count(|one| matches!(one, Accepted::Conflict)), 8);
}

async fn no_ring_is_given_to_two_relays(engine: Engine) {
    let stores = stores(&engine, 8);
    let documents: Vec<_> = (0..60).map(|n| document(&n.to_string())).collect();
    engine.store.documents().accept(documents, None).await.unwrap();
    let mut given = Vec::new();
    loop {
        let rings = join_all(stores.iter().map(|store| store.outbox().take(5, LEASE))).await;
        let rings: Vec<_> = rings.into_iter().flat_map(Result::unwrap).collect();
        if rings.is_empty() {
            break;
        }
        given.extend(rings.into_iter().map(|ring| ring.id));
    }
    assert_eq!((given.len(), given.iter().collect::<HashSet<_>>().len()), (60, 60));
    // Several may confirm the same.
    let confirmed = join_all(stores.iter().map(|store| store.outbox().confirm(&given))).await;
    confirmed.into_iter().for_each(Result::unwrap);
    assert_eq!(engine.store.outbox().take(5, NOW).await.unwrap(), []);
}

async fn a_document_ends_once(engine: Engine) {
    let stores = stores(&engine, 3);
    for n in 0..20 {
        let id = engine.accept(&n.to_string()).await;
        let claim = engine.claim(&id).await;
        let finish = stores[0].work().finish(&claim, DocumentState::Succeeded);
        let fail = stores[1].work().fail(&claim, failure());
        let cancel = stores[2].documents().cancel(&id);
        let ((finished, failed), cancelled) = join(join(finish, fail), cancel).await;
        let cancelled = matches!(cancelled.unwrap(), Changed::Done(_));
        let state = match (finished.unwrap(), failed.unwrap(), cancelled) {
            (true, false, false) => DocumentState::Succeeded,
            (false, true, false) => DocumentState::Failed,
            (false, false, true) => DocumentState::Cancelled,
            several => panic!("{several:?}"),
        };
        assert_eq!(engine.state(&id).await, state);
    }
}

async fn a_schema_gets_each_version_once(engine: Engine) {
    let stores = stores(&engine, 4);
    let name = "short".parse().unwrap();
    let put = |n: usize| {
        let body = serde_json::json!({ "type": "object", "title": (n % 8).to_string() });
        stores[n % 4].schemas().put(&name, body)
    };
    let versions = join_all((0..8).map(put)).await;
    let versions: HashSet<_> =
        versions.into_iter().map(|schema| schema.unwrap().reference.version).collect();
    assert_eq!(versions, (1..=8).collect());
    let seed = serde_json::json!({ "type": "array" });
    let seeded = stores.iter().map(|store| store.schemas().seed(&name, seed.clone()));
    join_all(seeded).await.into_iter().for_each(Result::unwrap);
    assert_eq!(engine.store.schemas().versions(&name).await.unwrap().len(), 9);
}

async fn sweeps_at_once_ring_once(engine: Engine) {
    let stores = stores(&engine, 8);
    for n in 0..10 {
        let id = engine.accept(&n.to_string()).await;
        engine.claim(&id).await;
    }
    engine.sql("DELETE FROM outbox").await;
    engine.sql("UPDATE documents SET enqueued_ms = 0").await;
    engine.expire().await;
    let sweep = |store: &Store| {
        let store = store.clone();
        async move { store.outbox().sweep(LEASE).await.unwrap() }
    };
    let swept = join_all(stores.iter().map(sweep)).await;
    assert_eq!(swept.iter().map(|swept| swept.entries).sum::<u64>(), 10);
    assert_eq!(swept.iter().map(|swept| swept.expired).sum::<u64>(), 10);
    assert_eq!(engine.store.outbox().take(100, LEASE).await.unwrap().len(), 10);
}

async fn workers_that_come_back_together_are_all_counted(engine: Engine) {
    let stores = stores(&engine, 8);
    let alive = |n: usize| {
        let (store, name) = (&stores[n], n.to_string());
        async move { store.fleet().report(&name, &WorkerReport::default(), LEASE).await.unwrap() }
    };
    for _ in 0..5 {
        join_all((0..8).map(alive)).await;
        assert_eq!(alive(0).await, 8);
        engine.sql("UPDATE workers SET heartbeat_ms = 0").await;
    }
    assert_eq!(alive(0).await, 1, "the others are gone");
}

/// Every verb that changes rows, on few rows, from everywhere: some are refused, none fails.
async fn whatever_happens_at_once_nothing_fails(engine: Engine) {
    let stores = stores(&engine, 6);
    let mut ids = Vec::new();
    for _ in 0..4 {
        ids.push(engine.accept("same").await);
    }
    let busy = async |n: usize| {
        let store = &stores[n % 6];
        for round in 0..10 {
            let id: &DocumentId = &ids[(n + round) % 4];
            step(store, id, n + round).await;
        }
    };
    join_all((0..12).map(busy)).await;
    let ended = async |id| match engine.store.documents().cancel(id).await.unwrap() {
        Changed::Done(_) | Changed::WrongState(_) => true,
        Changed::Deleted | Changed::Nothing => false,
    };
    for id in &ids {
        assert!(ended(id).await);
    }
}

async fn step(store: &Store, id: &DocumentId, n: usize) {
    if let Some(claim) = store.work().claim(id, "w", LEASE).await.unwrap() {
        for question in [["q", "r"], ["r", "q"]][n % 2] {
            let intent =
                store.ledger().intent(&claim, question, "all", "sweden", &TWICE).await.unwrap();
            if let Intent::Call(call) = intent {
                let unbilled = CallEnd::Unbilled { status: Some(429), error: "no".to_owned() };
                store.ledger().call_ended(call, question, unbilled, NOW).await.unwrap();
            }
        }
        store.work().heartbeat(&claim, LEASE).await.unwrap();
        match n % 3 {
            0 => store.work().release(&claim, NOW, None, false).await.unwrap(),
            1 => store.work().fail(&claim, failure()).await.unwrap(),
            _ => store.work().finish(&claim, DocumentState::Succeeded).await.unwrap(),
        };
    }
    match n % 4 {
        0 => drop(store.documents().retry(id).await.unwrap()),
        1 => drop(store.documents().reprocess(id, None).await.unwrap()),
        2 => drop(store.outbox().sweep(NOW).await.unwrap()),
        _ => {
            let rings = store.outbox().take(10, NOW).await.unwrap();
            store
                .outbox()
                .confirm(&rings.iter().map(|ring| ring.id).collect::<Vec<_>>())
                .await
                .unwrap();
        }
    }
    store.purges().done(id, None).await.unwrap();
}
