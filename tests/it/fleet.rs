//! The whole system on its distributed engines: several processes on RabbitMQ, S3, Postgres and
//! Redis, with workers that are killed and wires that are cut, and nothing is lost or paid twice.

use crate::{
    broker::Broker,
    contracts_blobs::servers::bucket,
    harness::{Place, Process, deployment, id, until},
    proxy::{Proxy, Wire},
    servers::{fresh_database, server},
};
use serde_json::{Value, json};
use std::collections::BTreeMap;

const DOCUMENTS: usize = 200;
const MORE: usize = 40;
const WORKERS: usize = 4;

/// A place whose services are reached over wires that can be cut.
struct Fleet {
    place: Place,
    postgres: Proxy,
    s3: Proxy,
    redis: Proxy,
    rabbit: Proxy,
}

fn letter(number: usize) -> Vec<u8> {
    format!(
        "Bolt & Sons Ltd\n\nInvoice No.: F-{number:04}\nInvoice date: 2024-03-05\nCurrency: EUR\n\n\
         Description   Quantity   Unit price   Amount\nBolts   {number}   1.00   {number}.00\n\n\
         Subtotal   {number}.00\nVAT 0 %   0.00\nTotal   {number}.00\n"
    )
    .into_bytes()
}

impl Fleet {
    async fn new() -> Option<Self> {
        let (broker, endpoint) = (Broker::shared()?, server("SLUICE_TEST_S3")?);
        let (database, cache) = (fresh_database().await?, server("SLUICE_TEST_REDIS")?);
        let vhost = broker.vhost().await;
        let (credentials, rest) = database.rsplit_once('@').unwrap();
        let (host, name) = rest.split_once('/').unwrap();
        let postgres = Proxy::start(host).await;
        let s3 = Proxy::start(endpoint.strip_prefix("http://").unwrap()).await;
        let redis = Proxy::start(cache.strip_prefix("redis://").unwrap()).await;
        let rabbit = Proxy::start(&broker.host).await;
        let bucket = bucket(&endpoint).await;
        let slow = deployment(json!({
            "name": "sweden", "model": "gpt-4o",
            "tokens_per_minute": 100_000_000, "requests_per_minute": 600_000,
            "latency": { "ttft_ms": [100, 300], "tokens_per_second": [5000.0, 9000.0], "rejection_ms": [0, 0] },
        }));
        let mut place = Place::new(vec![slow], "calls_max = 3\nattempts_max = 50").await;
        let queue = broker.url("guest", "guest", &vhost.name);
        let storage = format!(
            "s3://{bucket}/fleet?endpoint=http://{}&region=us-east-1&path_style=true",
            s3.address
        );
        place.settings = vec![
            ("SLUICE_DATABASE", format!("{credentials}@{}/{name}", postgres.address)),
            ("SLUICE_STORAGE", storage),
            ("SLUICE_QUEUE", queue.replace(&broker.host, &rabbit.address.to_string())),
            ("SLUICE_QUOTA", format!("redis://{}", redis.address)),
            ("AWS_ACCESS_KEY_ID", "test".to_owned()),
            ("AWS_SECRET_ACCESS_KEY", "test".to_owned()),
        ];
        Some(Self { place, postgres, s3, redis, rabbit })
    }

    async fn upload(&self, numbers: std::ops::Range<usize>) -> Vec<Value> {
        let mut documents = Vec::new();
        for number in numbers {
            documents.push(self.place.upload("letter.txt", "invoice", letter(number)).await);
        }
        documents
    }

    /// Waits until the model has been called for so many of the letters.
    async fn paid(&self, least: usize) {
        until("calls are made", async || (self.place.paid().await.len() >= least).then_some(()))
            .await;
    }

    /// Cuts a wire, waits until `/readyz` says that the service is missing, and mends it.
    async fn cut(&self, wire: &Proxy, how: Wire, service: &str) {
        wire.set(how);
        until(&format!("{service} is named"), async || {
            let ready = self.place.get("/readyz").await;
            let lists = [&ready["missing"], &ready["degraded"]];
            let named = |entry: &Value| entry.as_str().is_some_and(|e| e.starts_with(service));
            lists
                .iter()
                .any(|list| list.as_array().is_some_and(|l| l.iter().any(named)))
                .then_some(())
        })
        .await;
        wire.set(Wire::Pass);
    }

    async fn results(&self, documents: &[Value]) -> BTreeMap<String, Value> {
        let mut results = BTreeMap::new();
        for document in documents {
            let ended = self.place.ended(document).await;
            assert_eq!(ended["state"], "succeeded", "{ended}\n{}", self.place.log());
            let result = self.place.get(&format!("/v1/documents/{}/result", id(document))).await;
            results.insert(id(document).to_owned(), result);
        }
        results
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn workers_die_and_wires_are_cut_and_every_document_ends_once() {
    let Some(fleet) = Fleet::new().await else { return };
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
    fleet.cut(&fleet.rabbit, Wire::Cut, "queue").await;
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
