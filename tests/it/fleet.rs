//! The whole system on its distributed engines: several processes on RabbitMQ, S3, Postgres and
//! Redis, with workers that are killed and wires that are cut, and nothing is lost or paid twice.

use crate::{
    broker::Broker,
    engines::Fleet,
    harness::{Process, slow},
    proxy::{Proxy, Wire},
};

const DOCUMENTS: usize = 200;
const MORE: usize = 40;
const WORKERS: usize = 4;

#[tokio::test(flavor = "multi_thread")]
async fn workers_die_and_wires_are_cut_and_every_document_ends_once() {
    let Some(broker) = Broker::shared() else { return };
    let rabbit = Proxy::start(&broker.host).await;
    let queue = broker.vhost().await.url.replace(&broker.host, &rabbit.address.to_string());
    let settings = "calls_max = 3\nattempts_max = 50";
    let Some(fleet) = Fleet::new(&queue, slow([100, 300]), settings).await else { return };
    let place = &fleet.place;
    let _uploader = place.start("uploader").await;
    let mut workers: Vec<Process> = (0..WORKERS).map(|_| place.spawn("worker", &[])).collect();
    let mut documents = fleet.upload(0..DOCUMENTS).await;
    fleet.paid(2 * 8 * WORKERS).await;
    // A kill within calls.
    workers.remove(0).kill().await;
    fleet.cut(&fleet.postgres, Wire::Cut, "database").await;
    fleet.cut(&fleet.s3, Wire::Unavailable, "storage").await;
    fleet.cut(&fleet.s3, Wire::Hang, "storage").await;
    fleet.cut(&fleet.s3, Wire::CutAfter(64), "storage").await;
    fleet.cut(&rabbit, Wire::Cut, "queue").await;
    fleet.cut(&fleet.redis, Wire::Cut, "quota").await;
    fleet.results(&documents).await;
    // After all that the others still find what a killed worker leaves behind.
    documents.extend(fleet.upload(DOCUMENTS..DOCUMENTS + MORE).await);
    fleet.paid(DOCUMENTS + MORE / 2).await;
    workers.remove(0).kill().await;
    let results = fleet.results(&documents).await;
    let paid = place.paid().await;
    let (most, sum) = (paid.values().max().unwrap(), paid.values().sum::<u64>());
    let all = documents.len();
    eprintln!("{all} documents, 2 kills, 6 outages: {sum} calls, at most {most} for one question");
    assert_eq!(paid.len(), all, "every question was asked");
    assert!(*most <= 3, "one question was paid {most} times");
    // Two workers, each with 8 documents in work, were killed.
    assert!(sum <= all as u64 + 16, "{sum} calls");
    // The ones that are left drain, and nothing has changed.
    for worker in workers {
        let status = worker.terminate().await;
        assert!(status.success(), "{status}\n{}", place.log());
    }
    assert_eq!(fleet.results(&documents).await, results);
    assert!(!place.log().contains("canary"), "a password stands in the log");
}
