//! Sluice on its distributed engines: a place whose processes use Postgres, S3 and Redis, over
//! wires that can be cut, and a broker that the test chooses.

use crate::{
    contracts_blobs::servers::bucket,
    harness::{Place, id, letter, until},
    proxy::{Proxy, Wire},
    servers::{fresh_database, postgres, server},
};
use serde_json::Value;
use simulator::DeploymentConfig;
use std::collections::BTreeMap;
use tokio_postgres::Client;

/// A fresh database and a fresh bucket, as settings; `None` skips.
pub(crate) async fn storage_and_database() -> Option<(String, String)> {
    let endpoint = server("SLUICE_TEST_S3")?;
    let database = fresh_database().await?;
    Some((database, storage(&bucket(&endpoint).await, &endpoint)))
}

fn storage(bucket: &str, endpoint: &str) -> String {
    format!("s3://{bucket}/fleet?endpoint={endpoint}&region=us-east-1&path_style=true")
}

/// A place whose services are reached over wires that can be cut.
pub(crate) struct Fleet {
    pub(crate) place: Place,
    pub(crate) postgres: Proxy,
    pub(crate) s3: Proxy,
    pub(crate) redis: Proxy,
    /// Where the database is, beside the wire.
    database: String,
}

impl Fleet {
    /// With the queue at this address, and these lines in `[worker]`.
    pub(crate) async fn new(queue: &str, model: DeploymentConfig, worker: &str) -> Option<Self> {
        let endpoint = server("SLUICE_TEST_S3")?;
        let (database, cache) = (fresh_database().await?, server("SLUICE_TEST_REDIS")?);
        let (credentials, rest) = database.rsplit_once('@').unwrap();
        let (host, name) = rest.split_once('/').unwrap();
        let postgres = Proxy::start(host).await;
        let s3 = Proxy::start(endpoint.strip_prefix("http://").unwrap()).await;
        let redis = Proxy::start(cache.strip_prefix("redis://").unwrap()).await;
        let bucket = bucket(&endpoint).await;
        let mut place = Place::new(vec![model], worker).await;
        let storage = storage(&bucket, &format!("http://{}", s3.address));
        place.settings = vec![
            ("SLUICE_DATABASE", format!("{credentials}@{}/{name}", postgres.address)),
            ("SLUICE_STORAGE", storage),
            ("SLUICE_QUEUE", queue.to_owned()),
            ("SLUICE_QUOTA", format!("redis://{}", redis.address)),
            ("AWS_ACCESS_KEY_ID", "test".to_owned()),
            ("AWS_SECRET_ACCESS_KEY", "test".to_owned()),
        ];
        Some(Self { place, postgres, s3, redis, database })
    }

    /// A connection to the database beside the wire.
    pub(crate) async fn database(&self) -> Client {
        postgres(&self.database).await
    }

    pub(crate) async fn upload(&self, numbers: std::ops::Range<usize>) -> Vec<Value> {
        let mut documents = Vec::new();
        for number in numbers {
            documents.push(self.place.upload("letter.txt", "invoice", letter(number)).await);
        }
        documents
    }

    /// Waits until the model has been called for so many of the letters.
    pub(crate) async fn paid(&self, least: usize) {
        until("calls are made", async || (self.place.paid().await.len() >= least).then_some(()))
            .await;
    }

    /// Cuts a wire, waits until `/readyz` says that the service is missing, and mends it.
    pub(crate) async fn cut(&self, wire: &Proxy, how: Wire, service: &str) {
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

    /// The results of all, once they have succeeded.
    pub(crate) async fn results(&self, documents: &[Value]) -> BTreeMap<String, Value> {
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
