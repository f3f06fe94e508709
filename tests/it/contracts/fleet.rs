//! What every database must know of the fleet: what workers say of themselves, and who waits before
//! whom.

use super::database::{Engine, LEASE, document};
use shared::{
    clock,
    document::{DocumentState, Priority, WaitReason, Waiting},
    fleet::{DeploymentReport, DeploymentState, DeploymentStatus, ModelWait, Recent, WorkerReport},
    store::{Pending, Unfinished},
};
use std::time::Duration;

on_every_database! {
    what_a_worker_says_is_kept_while_it_lives
    the_backlog_is_counted_in_the_order_of_service
    what_has_not_ended_is_counted_with_its_reason
}

async fn what_a_worker_says_is_kept_while_it_lives(engine: Engine) {
    let store = &engine.store;
    let report = |name: &str| WorkerReport {
        model: "gpt-4o".to_owned(),
        deployments: vec![DeploymentReport {
            resumes_at: Some(clock::now()),
            status: DeploymentStatus {
                name: name.to_owned(),
                state: DeploymentState::Cooling,
                message: Some("\u{fffd}'\"".to_owned()),
                latency_ms: Some(7),
                ..DeploymentStatus::default()
            },
            recent: Recent { documents: 2, tokens: 4_000, calls: 3, seconds: 6.5 },
        }],
        waits: vec![ModelWait { model: "gpt-4o".to_owned(), calls: 3, until: None }],
        concurrency: 32,
        processors: 2,
        reading_seconds: Some(0.25),
    };
    let (one, two) = (report("one"), report("two"));
    store.fleet().report("a", &one, LEASE).await.unwrap();
    assert_eq!(store.fleet().reports().await.unwrap(), std::slice::from_ref(&one));
    store.fleet().report("b", &one, LEASE).await.unwrap();
    store.fleet().report("b", &two, LEASE).await.unwrap();
    assert_eq!(store.fleet().reports().await.unwrap(), [one, two.clone()]);
    // One of them has died, and nobody has counted the living since.
    engine.sql("UPDATE worker_reports SET until_ms = 1 WHERE worker = 'a'").await;
    assert_eq!(store.fleet().reports().await.unwrap(), [two]);
    store.fleet().leave("b").await.unwrap();
    assert!(store.fleet().reports().await.unwrap().is_empty());
    // A worker of another version says less and more.
    let other =
        "INSERT INTO worker_reports VALUES ('c', 9000000000000, '{\"model\":\"m\",\"new\":1}')";
    engine.sql(other).await;
    let expected = WorkerReport { model: "m".to_owned(), ..WorkerReport::default() };
    assert_eq!(store.fleet().reports().await.unwrap(), [expected]);
}

async fn the_backlog_is_counted_in_the_order_of_service(engine: Engine) {
    let store = &engine.store;
    let (first, second) = (engine.accept("a").await, engine.accept("b").await);
    engine.sql("UPDATE documents SET queued_ms = 1").await;
    let mut urgent = document("c");
    (urgent.priority, urgent.schema) = (Priority::Interactive, "receipt@2".parse().unwrap());
    let urgent_id = urgent.id.clone();
    store.documents().accept(vec![urgent], None).await.unwrap();
    let ahead = async |id, most| store.backlog().position(id, most).await.unwrap();
    assert_eq!(ahead(&urgent_id, 10).await, Some(0));
    assert_eq!((ahead(&first, 10).await, ahead(&second, 10).await), (Some(1), Some(2)));
    // Counting has an end.
    assert_eq!(ahead(&second, 0).await, Some(0));
    let backlog = store.backlog().by_schema(10).await.unwrap();
    let counts = backlog.iter().map(|one| (one.schema.to_string(), one.documents, one.due));
    let expected = [("invoice@1".to_owned(), 2, None), ("receipt@2".to_owned(), 1, None)];
    assert_eq!(counts.collect::<Vec<_>>(), expected);
    assert_eq!(
        store.backlog().by_schema(2).await.unwrap().iter().map(|one| one.documents).sum::<u64>(),
        2
    );
    // What is in work is not in the backlog; what was put back is, until its time.
    let claim = engine.claim(&first).await;
    assert_eq!((ahead(&first, 10).await, ahead(&second, 10).await), (None, Some(1)));
    // What waits in work waits behind those that wait for the same deployment.
    let (other, last) = (engine.claim(&second).await, engine.claim(&urgent_id).await);
    for (claim, deployment) in [(&claim, "near"), (&other, "near"), (&last, "far")] {
        let deployment = Some(deployment.to_owned());
        let why = Waiting {
            reason: WaitReason::Quota,
            deployment,
            message: None,
            until: None,
            position: None,
        };
        store.work().set_waiting(claim, Some(why)).await.unwrap();
    }
    assert_eq!((ahead(&first, 10).await, ahead(&second, 10).await), (Some(0), Some(1)));
    assert_eq!(ahead(&urgent_id, 10).await, Some(0));
    for claim in [&other, &last] {
        store.work().release(claim, Duration::ZERO, None, false).await.unwrap();
    }
    store.work().release(&claim, LEASE, None, false).await.unwrap();
    assert_eq!(ahead(&first, 10).await, Some(1));
    let backlog = store.backlog().by_schema(10).await.unwrap();
    assert!(backlog[0].due.unwrap() > clock::now() && backlog[1].due.is_none(), "{backlog:?}");
    store.documents().cancel(&first).await.unwrap();
    assert_eq!((ahead(&first, 10).await, ahead(&second, 10).await), (None, Some(1)));
}

async fn what_has_not_ended_is_counted_with_its_reason(engine: Engine) {
    let store = &engine.store;
    assert!(store.backlog().unfinished(LEASE).await.unwrap().is_empty());
    assert_eq!(store.backlog().pending().await.unwrap(), Pending::default());
    let mut ids = Vec::new();
    for n in 0..5 {
        ids.push(engine.accept(&n.to_string()).await);
    }
    let wait = |claim, reason: WaitReason, pause| {
        let message = Some("not now".to_owned());
        let why = Waiting { reason, deployment: None, message, until: None, position: None };
        store.work().release(claim, pause, Some(why), false)
    };
    let claims = [engine.claim(&ids[0]).await, engine.claim(&ids[1]).await];
    engine.claim(&ids[2]).await;
    assert!(wait(&claims[0], WaitReason::Quota, LEASE / 2).await.unwrap());
    assert!(wait(&claims[1], WaitReason::Outage, LEASE * 3).await.unwrap());
    let ended = engine.claim(&ids[3]).await;
    assert!(store.work().finish(&ended, DocumentState::Succeeded).await.unwrap());
    let alike = |state, reason, is_due| Unfinished {
        schema: "invoice@1".parse().unwrap(),
        state,
        reason,
        is_due,
        documents: 1,
    };
    let mut found = store.backlog().unfinished(LEASE).await.unwrap();
    // The databases sort NULL differently.
    found.sort_by_key(|one| one.reason.map(WaitReason::as_str));
    assert_eq!(
        found,
        [
            alike(DocumentState::Processing, None, true),
            alike(DocumentState::Queued, None, true),
            alike(DocumentState::Queued, Some(WaitReason::Outage), false),
            alike(DocumentState::Queued, Some(WaitReason::Quota), true),
        ]
    );
    // Nothing of the outbox and the events was published; the oldest counts.
    engine
        .sql("UPDATE documents SET enqueued_ms = enqueued_ms - 90000 WHERE state = 'queued'")
        .await;
    engine.sql("UPDATE events SET at_ms = at_ms - 60000").await;
    let pending = store.backlog().pending().await.unwrap();
    let (outbox, events) = (pending.outbox_oldest.unwrap(), pending.events_oldest.unwrap());
    assert!(outbox >= Duration::from_secs(90) && events >= Duration::from_secs(60), "{pending:?}");
    assert!(!pending.has_purges);
    engine.sql("UPDATE documents SET purge_ms = 1 WHERE state = 'succeeded'").await;
    assert!(store.backlog().pending().await.unwrap().has_purges);
}
