//! How soon others go on with what a worker leaves behind: when it is killed, once its lease is
//! over and somebody has swept; when it is told to stop at once, immediately.

use crate::{
    broker::Broker,
    engines::Fleet,
    harness::{Process, slow, until},
};
use rustix::process::Signal;
use std::time::{Duration, Instant};

/// Documents in work at once in the first worker.
const HELD: usize = 4;

#[tokio::test(flavor = "multi_thread")]
async fn what_a_worker_leaves_is_taken_up() {
    resumed(3, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "long: just chaos"]
async fn what_a_worker_leaves_is_taken_up_with_the_lease_as_it_ships() {
    let Some(killed) = resumed(60, 5).await else { return };
    assert!(killed <= Duration::from_secs(70), "it took {killed:?}");
}

/// The time from a kill until all that the dead worker held is in other hands.
async fn resumed(lease: u64, sweep: u64) -> Option<Duration> {
    let queue = Broker::shared()?.vhost().await.url;
    // Every call takes longer than anybody looks on.
    let mut fleet = Fleet::new(&queue, slow([90_000, 90_000]), "calls_max = 12").await?;
    fleet.place.settings.extend([
        ("SLUICE_WORKER__INTERACTIVE_RESERVED", "0".to_owned()),
        ("SLUICE_WORKER__LEASE_SECONDS", lease.to_string()),
        ("SLUICE_WORKER__SWEEP_SECONDS", sweep.to_string()),
    ]);
    let _uploader = fleet.place.start("uploader").await;
    let first = busy(&fleet, HELD, 0..HELD).await;
    let second = busy(&fleet, 2 * HELD, HELD..HELD + 1).await;
    let begun = Instant::now();
    first.kill().await;
    taken(&fleet, "killed", HELD + 1).await;
    let killed = begun.elapsed();
    // It drains: what it holds it keeps, and takes nothing new.
    second.signal(Signal::TERM);
    let _third = busy(&fleet, 4 * HELD, HELD + 1..HELD + 2).await;
    let begun = Instant::now();
    // It ends: what it holds it gives away.
    second.signal(Signal::TERM);
    taken(&fleet, "stopped", HELD + 2).await;
    let stopped = begun.elapsed();
    eprintln!(
        "lease {lease} s, sweep {sweep} s: {HELD} documents of a killed worker were in other hands \
         after {killed:?}, {} of a stopped one after {stopped:?}",
        HELD + 1
    );
    Some(killed)
}

/// A worker that can hold so many documents and holds these, which it alone had room for.
async fn busy(fleet: &Fleet, room: usize, letters: std::ops::Range<usize>) -> Process {
    let worker = fleet.place.spawn("worker", &[("SLUICE_WORKER__CONCURRENCY", &room.to_string())]);
    let all = letters.end;
    fleet.upload(letters).await;
    let db = fleet.database().await;
    let sql = "SELECT count(DISTINCT documents.id) FROM documents
        JOIN calls ON document = documents.id AND outcome = 'open'";
    until("the worker is busy", async || {
        let open: i64 = db.query_one(sql, &[]).await.unwrap().get(0);
        (open == all as i64).then_some(())
    })
    .await;
    worker
}

/// Waits until whoever holds the newest document holds them all.
async fn taken(fleet: &Fleet, what: &str, all: usize) {
    let db = fleet.database().await;
    let sql = "SELECT count(*) FROM documents WHERE state = 'processing' AND lease_until_ms > 0
        AND worker = (SELECT worker FROM documents ORDER BY id DESC LIMIT 1)";
    until(&format!("the documents of the {what} worker are in other hands"), async || {
        let taken: i64 = db.query_one(sql, &[]).await.unwrap().get(0);
        (taken == all as i64).then_some(())
    })
    .await;
}
