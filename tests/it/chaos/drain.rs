//! Workers that are told to stop under load: they end what they pay for, give back the rest, and
//! are gone in the time of the longest call and a little.

use crate::{
    broker::Broker,
    engines::Fleet,
    harness::{Process, faulty, slow, until},
};
use serde_json::json;
use simulator::DeploymentConfig;
use std::time::{Duration, Instant};

const WORKERS: usize = 4;

/// How long a call may take, in seconds.
const CALL_MAX: u64 = 8;

/// What a worker may take beyond its longest call.
const GRACE: Duration = Duration::from_secs(10);

#[tokio::test(flavor = "multi_thread")]
async fn all_workers_are_replaced_and_nothing_is_lost_or_paid_twice() {
    replaced(60, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "long: just chaos"]
async fn all_workers_are_replaced_again_and_again() {
    let Some(longest) = replaced(400, 6).await else { return };
    assert!(longest <= Duration::from_secs(CALL_MAX) + GRACE, "it took {longest:?}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "long: just chaos"]
async fn a_worker_whose_calls_never_end_is_gone_in_time() {
    let model = faulty("sweden", json!([{ "kind": "hang" }]));
    let Some(fleet) = fleet(model, CALL_MAX).await else { return };
    let _uploader = fleet.place.start("uploader").await;
    let worker = fleet.place.spawn("worker", &[]);
    fleet.upload(0..8).await;
    in_flight(&fleet, 8).await;
    let took = stop(&fleet, vec![worker]).await;
    eprintln!("calls of up to {CALL_MAX} s that never end: the worker was gone after {took:?}");
    assert!(took <= Duration::from_secs(CALL_MAX) + GRACE, "it took {took:?}");
}

async fn fleet(model: DeploymentConfig, call_max: u64) -> Option<Fleet> {
    let queue = Broker::shared()?.vhost().await.url;
    let settings = format!("call_timeout_seconds = {call_max}");
    let mut fleet = Fleet::new(&queue, model, &settings).await?;
    // What is given back is free at once, so that nobody ever waits for a lease here.
    fleet.place.settings.push(("SLUICE_WORKER__LEASE_SECONDS", "60".to_owned()));
    Some(fleet)
}

/// Replaces all workers so many times while documents are in work; the longest that one took to go.
async fn replaced(documents: usize, rounds: usize) -> Option<Duration> {
    // No call is given up, however busy the machine is.
    let fleet = fleet(slow([1_000, 4_000]), 60).await?;
    let start = || (0..WORKERS).map(|_| fleet.place.spawn("worker", &[])).collect();
    let _uploader = fleet.place.start("uploader").await;
    let (mut open, mut longest) = (Vec::new(), Duration::ZERO);
    for round in 0..rounds {
        let share = documents * round / rounds..documents * (round + 1) / rounds;
        // All wait when the workers begin, so that enough are in work at once.
        open.extend(fleet.upload(share).await);
        let workers: Vec<Process> = start();
        in_flight(&fleet, 2 * WORKERS as u64).await;
        longest = longest.max(stop(&fleet, workers).await);
        // Nobody is left who could pay.
        assert_eq!(fleet.place.stats("sweden").await["in_flight"], 0);
    }
    let _workers: Vec<Process> = start();
    let begun = Instant::now();
    fleet.results(&open).await;
    let paid = fleet.place.paid().await;
    eprintln!(
        "{documents} documents, all {WORKERS} workers replaced {rounds} times while calls of 1 to \
         4 s ran: gone after {longest:?} at most, {} calls, the rest done {:?} later",
        paid.values().sum::<u64>(),
        begun.elapsed()
    );
    assert_eq!(paid.len(), documents, "every question was asked");
    assert!(paid.values().all(|calls| *calls == 1), "something was paid twice");
    // What was given back cost no attempt.
    let sql = "SELECT count(*) FROM documents WHERE attempts <> 1";
    let twice: i64 = fleet.database().await.query_one(sql, &[]).await.unwrap().get(0);
    assert_eq!(twice, 0, "documents took an attempt more than they needed");
    Some(longest)
}

async fn in_flight(fleet: &Fleet, least: u64) {
    until("calls are under way", async || {
        (fleet.place.stats("sweden").await["in_flight"].as_u64() >= Some(least)).then_some(())
    })
    .await;
}

/// Tells all of them to stop, and gives the time after which the last one was gone.
async fn stop(fleet: &Fleet, workers: Vec<Process>) -> Duration {
    let begun = Instant::now();
    let stopped = workers.into_iter().map(Process::terminate);
    for status in futures::future::join_all(stopped).await {
        assert!(status.success(), "{status}\n{}", fleet.place.log());
    }
    begun.elapsed()
}
