//! Accepted is never lost and shows exactly one result, whichever process dies whenever.

use crate::harness::{PATIENCE, Place, Process, fast, fixture, id, letter, slow, until};
use rustix::process::Signal;
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

const DOCUMENTS: usize = 200;
const KILLS: usize = 24;
/// Documents at once in one worker.
const CONCURRENCY: usize = 8;
const CALLS_MAX: u64 = 12;

/// Puts messages for a fifth of the documents into the queue once more.
fn double(place: &Place, documents: &[Value]) {
    let db = rusqlite::Connection::open(place.folder.path().join("sluice.db")).unwrap();
    db.busy_timeout(PATIENCE).unwrap();
    for document in documents.iter().step_by(5) {
        let message = json!({
            "specversion": "1.0", "id": "double", "source": "/test",
            "type": "com.sluice.document.accepted", "time": "2024-03-05T00:00:00Z",
            "subject": id(document),
        });
        let sql = "INSERT INTO messages (body, rank, visible_ms) VALUES (?1, 1, 0)";
        db.execute(sql, [message.to_string()]).unwrap();
    }
}

/// Calls that somebody began and nobody has ended, as the ledger has them.
fn lost(place: &Place) -> u64 {
    let db = rusqlite::Connection::open(place.folder.path().join("sluice.db")).unwrap();
    db.busy_timeout(PATIENCE).unwrap();
    let sql = "SELECT count(*) FROM calls WHERE outcome IN ('open', 'unknown')";
    db.query_row(sql, [], |row| row.get(0)).unwrap()
}

/// The result of every document that has one now, to compare with later.
async fn results(place: &Place, documents: &[Value]) -> BTreeMap<String, Value> {
    let mut results = BTreeMap::new();
    for document in documents {
        let path = format!("/v1/documents/{}/result", id(document));
        let answer = place.http.get(place.url(&path)).send().await.unwrap();
        if answer.status() == 200 {
            results.insert(id(document).to_owned(), answer.json().await.unwrap());
        }
    }
    results
}

/// Kills workers, one after the other, while they work: at named points, then at random.
async fn massacre(place: &Place, kills: usize) {
    const POINTS: [&str; 8] = [
        "claimed",
        "text-saved",
        "intended",
        "answered",
        "reply-saved",
        "call-ended",
        "result-saved",
        "finished",
    ];
    let mut workers: Vec<Process> = Vec::new();
    for kill in 0..kills {
        let point = match kill % 3 {
            // The point decides when this one dies.
            0 => format!("{}:{}", POINTS[kill / 3 % POINTS.len()], 1 + kill % 4),
            _ => String::new(),
        };
        workers.push(place.spawn("worker", &[("SLUICE_KILL_AT", &point)]));
        // A moment of work; a fixed sequence that looks like chance.
        let pause = Duration::from_millis(150 + (kill as u64 * 7919) % 450);
        tokio::time::sleep(pause).await;
        if workers.len() > 3 {
            workers.remove(kill % 4).kill().await;
        }
    }
    for worker in workers {
        worker.kill().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_changed_or_paid_too_often_when_workers_die() {
    // The same documents are in work when one worker after the other dies: a low cap would rightly
    // park one of them now and then.
    let settings = format!(
        "concurrency = {CONCURRENCY}\ncalls_max = {CALLS_MAX}\ncall_pauses_seconds = [0, 1, 2]\nattempts_max = 50"
    );
    let place = Place::new(vec![slow([20, 120])], &settings).await;
    let _uploader = place.start("uploader").await;
    let mut documents = Vec::new();
    for number in 1..=DOCUMENTS {
        documents.push(place.upload("letter.txt", "invoice", letter(number)).await);
    }
    double(&place, &documents);
    massacre(&place, KILLS).await;
    let early = results(&place, &documents).await;
    let _survivors = [place.spawn("worker", &[]), place.spawn("worker", &[])];
    let begun = Instant::now();
    for document in &documents {
        let ended = place.ended(document).await;
        assert_eq!(ended["state"], "succeeded", "{ended}");
    }
    let drained = begun.elapsed();
    double(&place, &documents);
    crate::harness::until("the doubled messages are consumed", async || {
        let db = rusqlite::Connection::open(place.folder.path().join("sluice.db")).unwrap();
        db.busy_timeout(PATIENCE).unwrap();
        let left: i64 =
            db.query_row("SELECT count(*) FROM messages", [], |row| row.get(0)).unwrap();
        (left == 0).then_some(())
    })
    .await;
    let late = results(&place, &documents).await;
    assert_eq!(late.len(), DOCUMENTS);
    for (id, result) in &early {
        assert_eq!(&late[id], result, "a visible result has changed");
    }
    let paid = place.paid().await;
    let (most, sum) = (paid.values().max().unwrap(), paid.values().sum::<u64>());
    let lost = lost(&place);
    eprintln!(
        "{DOCUMENTS} documents, {KILLS} kills: {} results before the last kill, {sum} calls, \
         {lost} of them within a death, at most {most} for one question, drained in {drained:?}",
        early.len()
    );
    assert_eq!(paid.len(), DOCUMENTS, "every question was paid");
    assert!(*most <= CALLS_MAX, "one question was paid {most} times");
    // No second payment without a call that somebody died in.
    assert!(sum <= DOCUMENTS as u64 + lost, "{sum} calls, {lost} within a death");
    assert!(lost <= (KILLS * CONCURRENCY) as u64, "{lost} calls within {KILLS} deaths");
    // A second upload of the same bytes pays nothing.
    for number in [1, 77, DOCUMENTS] {
        let again = place.upload("again.txt", "invoice", letter(number)).await;
        assert_eq!(place.extraction(&again).await["usage"]["calls"], 0);
    }
    assert_eq!(place.paid().await.values().sum::<u64>(), sum);
}

#[tokio::test]
async fn an_uploader_that_dies_loses_nothing_that_it_accepted() {
    let place = Place::new(vec![slow([20, 120])], "").await;
    // What the last one leaves unsaid is published by the next that starts.
    for point in ["stored", "published", "accepted"] {
        let mut uploader = place.spawn("uploader", &[("SLUICE_KILL_AT", point)]);
        place.ready().await;
        // It dies at the point: before or after it could answer.
        let answer =
            place.try_upload("a.pdf", "invoice", fixture("documents/invoice-en-classic.pdf")).await;
        assert!(point == "published" || answer.is_err(), "{point}: {answer:?}");
        crate::harness::until("the uploader is dead", async || uploader.has_ended().then_some(()))
            .await;
    }
    let _sluice = place.start("up").await;
    let listed = crate::harness::until("what was accepted ends", async || {
        let listed = place.get("/v1/documents").await;
        let documents = listed["data"].as_array().unwrap().clone();
        documents.iter().all(|d| d["state"] == "succeeded").then_some(documents)
    })
    .await;
    // "stored" died before it accepted anything; the other two had accepted.
    assert_eq!(listed.len(), 2, "{listed:?}");
}

#[tokio::test]
async fn a_worker_that_sleeps_longer_than_its_lease_changes_nothing() {
    let place = Place::new(vec![slow([20, 120])], "").await;
    let _uploader = place.start("uploader").await;
    let sleeper = place.spawn("worker", &[]);
    let mut documents = Vec::new();
    for number in 1..=20 {
        documents.push(place.upload("letter.txt", "invoice", letter(number)).await);
    }
    crate::harness::until("work has begun", async || {
        (!place.paid().await.is_empty()).then_some(())
    })
    .await;
    freeze(&place, &sleeper).await;
    let _other = place.spawn("worker", &[]);
    for document in &documents {
        assert_eq!(place.ended(document).await["state"], "succeeded");
    }
    let before = results(&place, &documents).await;
    sleeper.signal(Signal::CONT);
    let status = sleeper.terminate().await;
    assert!(status.success(), "{status}");
    assert_eq!(results(&place, &documents).await, before);
    assert!(place.paid().await.values().all(|calls| *calls <= 2));
}

/// Stops a process, but not while it writes: SQLite's lock belongs to who holds it, asleep or not.
async fn freeze(place: &Place, process: &Process) {
    crate::harness::until("the worker sleeps without holding the database", async || {
        process.signal(Signal::STOP);
        // The signal is only sent: a thread within a system call may still take the lock.
        crate::harness::until("every thread sleeps", async || process.sleeps().then_some(())).await;
        let db = rusqlite::Connection::open(place.folder.path().join("sluice.db")).unwrap();
        db.busy_timeout(Duration::from_millis(200)).unwrap();
        if db.execute_batch("BEGIN IMMEDIATE; ROLLBACK").is_ok() {
            return Some(());
        }
        process.signal(Signal::CONT);
        None
    })
    .await;
}

/// The children of a process that compute now (proc(5): `stat` of each thread).
fn busy_children(parent: u32) -> Vec<std::path::PathBuf> {
    let entries = |folder: &std::path::Path| {
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        entries.map(|entry| entry.path()).collect::<Vec<_>>()
    };
    let is_busy = |thread: &std::path::PathBuf| {
        let stat = std::fs::read_to_string(thread.join("stat")).unwrap_or_default();
        let rest = stat.rsplit_once(") ").map_or("", |(_, rest)| rest);
        rest.starts_with(&format!("R {parent} "))
    };
    let mut processes = entries("/proc".as_ref());
    processes.retain(|process| entries(&process.join("task")).iter().any(is_busy));
    processes
}

#[tokio::test]
async fn what_a_killed_worker_was_reading_is_read_no_more() {
    let place = Place::new(vec![fast("sweden")], "text_seconds_max = 600").await;
    let sluice = place.start("up").await;
    place.upload("endless.pdf", "generic", fixture("hostile/endless-loop.pdf")).await;
    let child = until("a child reads", async || busy_children(sluice.id()).pop()).await;
    sluice.kill().await;
    let is_gone = async || {
        let stat = std::fs::read_to_string(child.join("stat")).unwrap_or_default();
        // A zombie is gone, too: it waits for whoever took it over.
        (stat.is_empty() || stat.contains(") Z ")).then_some(())
    };
    until("the child is gone", is_gone).await;
}
