//! Workers die as fast as they can be started, with the settings as they ship: every document succeeds,
//! no result changes, and no call is made that no death explains.

use crate::{
    broker::Broker,
    engines::Fleet,
    harness::{Place, Process, id, letter, slow, until},
};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

const DOCUMENTS: usize = 200;
const KILLS: u32 = 120;
const WORKERS: usize = 4;
/// So long the deaths take together.
const STORM: Duration = Duration::from_secs(50);
/// A question that was unlucky four times rests for five minutes.
const PATIENCE: Duration = Duration::from_secs(480);

#[tokio::test(flavor = "multi_thread")]
#[ignore = "long: just chaos"]
async fn of_two_hundred_documents_all_succeed_on_sqlite() {
    let place = Place::new(vec![slow([300, 1500])], "attempts_max = 200").await;
    let path = place.folder.path().join("sluice.db");
    let lost = async || {
        let db = rusqlite::Connection::open(&path).unwrap();
        db.busy_timeout(crate::harness::PATIENCE).unwrap();
        db.query_row(LOST, [], |row| row.get(0)).unwrap()
    };
    storm(&place, "SQLite", lost).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "long: just chaos"]
async fn of_two_hundred_documents_all_succeed_on_the_engines() {
    let Some(broker) = Broker::shared() else { return };
    let vhost = broker.vhost().await;
    let fleet = Fleet::new(&vhost.url, slow([300, 1500]), "attempts_max = 200").await;
    let Some(fleet) = fleet else { return };
    let lost = async || fleet.database().await.query_one(LOST, &[]).await.unwrap().get::<_, i64>(0);
    storm(&fleet.place, "Postgres, RabbitMQ and S3", lost).await;
}

/// Calls of which nobody knows the end: their worker died within them.
const LOST: &str = "SELECT count(*) FROM calls WHERE outcome IN ('open', 'unknown')";

async fn storm(place: &Place, engines: &str, lost: impl AsyncFn() -> i64) {
    let _uploader = place.start("uploader").await;
    let mut documents = Vec::new();
    for number in 1..=DOCUMENTS {
        documents.push(place.upload("letter.txt", "invoice", letter(number)).await);
    }
    let mut workers: Vec<Process> = (0..WORKERS).map(|_| place.spawn("worker", &[])).collect();
    let (begun, mut early) = (Instant::now(), BTreeMap::new());
    for kill in 0..KILLS {
        tokio::time::sleep(STORM / KILLS).await;
        let index = kill as usize % WORKERS;
        let victim = std::mem::replace(&mut workers[index], place.spawn("worker", &[]));
        victim.kill().await;
        if kill == KILLS / 2 {
            early = results(place, &documents).await;
        }
    }
    let took = begun.elapsed();
    early.extend(results(place, &documents).await);
    let (seen, begun) = (early.len(), Instant::now());
    let late = until_all(place, &documents, begun).await;
    for (id, result) in &early {
        assert_eq!(&late[id], result, "a visible result has changed");
    }
    let (paid, lost) = (place.paid().await, u64::try_from(lost().await).unwrap());
    let (most, sum) = (paid.values().max().unwrap(), paid.values().sum::<u64>());
    eprintln!(
        "{engines}: {DOCUMENTS} documents, {KILLS} kills in {took:.0?}: all succeeded, {seen} results \
         before the last kill and none of them changed, {sum} calls paid, {lost} calls within a kill, \
         at most {most} for one question, drained {:.0?} after the last kill",
        begun.elapsed()
    );
    assert_eq!(paid.len(), DOCUMENTS, "every question was asked");
    assert!(sum <= DOCUMENTS as u64 + lost, "{sum} calls, {lost} within a kill");
}

/// The results of all, once they have succeeded.
async fn until_all(place: &Place, documents: &[Value], begun: Instant) -> BTreeMap<String, Value> {
    for document in documents {
        loop {
            let url = place.url(&format!("/v1/documents/{}?wait=20", id(document)));
            let now: Value = place.http.get(url).send().await.unwrap().json().await.unwrap();
            match now["state"].as_str() {
                Some("queued" | "processing") => assert!(begun.elapsed() < PATIENCE, "{now}"),
                Some("succeeded") => break,
                _ => panic!(
                    "{now}\n{}",
                    place.get(&format!("/v1/documents/{}/attempts", id(document))).await
                ),
            }
        }
    }
    until("all have results", async || {
        let found = results(place, documents).await;
        (found.len() == documents.len()).then_some(found)
    })
    .await
}

/// The result of every document that has one now.
async fn results(place: &Place, documents: &[Value]) -> BTreeMap<String, Value> {
    let mut results = BTreeMap::new();
    for document in documents {
        let url = place.url(&format!("/v1/documents/{}/result", id(document)));
        let answer = place.http.get(url).send().await.unwrap();
        if answer.status() == 200 {
            results.insert(id(document).to_owned(), answer.json().await.unwrap());
        }
    }
    results
}
