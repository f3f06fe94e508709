//! Secrets never stand in logs, answers, metrics or stored files, at any level of logging.

use crate::{
    broker::Broker,
    contracts_blobs::servers::{bucket, bytes, objects},
    harness::{Place, Process, fast, faulty, fixture, id, run, until},
    servers::{fresh_database, postgres, redis, server, unique},
};
use reqwest::{Method, redirect::Policy};
use serde_json::json;
use std::{collections::BTreeMap, path::Path};

/// What the harness configures as the key of every deployment.
const CANARY: &str = "key-of-a-test";

fn files_with(folder: &Path, needle: &[u8], found: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files_with(&path, needle, found);
        } else if path.file_name().is_some_and(|name| name != "sluice.toml") {
            let bytes = std::fs::read(&path).unwrap();
            if bytes.windows(needle.len()).any(|window| window == needle) {
                found.push(path.display().to_string());
            }
        }
    }
}

#[tokio::test]
async fn a_key_stands_nowhere_though_everything_is_logged() {
    // One deployment that answers, one that refuses the key, one that breaks off.
    let denied = faulty("france", json!([{ "kind": "unauthorized" }]));
    let broken = faulty("norway", json!([{ "kind": "reset", "times": 2 }]));
    let place = Place::new(vec![fast("sweden"), denied, broken], "calls_max = 9").await;
    let _sluice = place.spawn("up", &[("SLUICE_LOG", "trace")]);
    place.ready().await;
    let mut seen = String::new();
    for name in ["invoice-en-classic.pdf", "invoice-de-agentur.pdf", "receipt-cafe.pdf", "scan.pdf"]
    {
        let document = place.upload(name, "generic", fixture(&format!("documents/{name}"))).await;
        place.ended(&document).await;
        for part in ["", "/result", "/attempts", "/text"] {
            let path = format!("/v1/documents/{}{part}", id(&document));
            seen.push_str(&place.get(&path).await.to_string());
        }
    }
    for path in ["/metrics", "/readyz", "/openapi.json", "/v1/schemas"] {
        seen.push_str(&place.http.get(place.url(path)).send().await.unwrap().text().await.unwrap());
    }
    assert!(place.log().contains("\"level\":\"TRACE\""), "nothing was logged at trace level");
    assert!(!seen.contains(CANARY), "an answer shows the key");
    let mut found = Vec::new();
    files_with(place.folder.path(), CANARY.as_bytes(), &mut found);
    assert!(found.is_empty(), "the key stands in {found:?}");
}

/// The engines, each with a password of its own that begins with `canary-`.
struct Engines {
    settings: BTreeMap<&'static str, String>,
    database: String,
    endpoint: String,
    bucket: String,
}

impl Engines {
    async fn new() -> Option<Self> {
        let (broker, endpoint) = (Broker::shared()?, server("SLUICE_TEST_S3")?);
        let (database, cache) = (fresh_database().await?, server("SLUICE_TEST_REDIS")?);
        let name = format!("canary_{}", unique());
        let (_, place) = database.rsplit_once('@').unwrap();
        let (_, schema) = place.split_once('/').unwrap();
        let owner = postgres(&database).await;
        for statement in [
            format!("CREATE ROLE {name} LOGIN PASSWORD 'canary-database'"),
            format!("GRANT ALL ON DATABASE {schema} TO {name}"),
            format!("GRANT ALL ON SCHEMA public TO {name}"),
        ] {
            owner.batch_execute(&statement).await.unwrap();
        }
        redis(&cache, &format!("ACL SETUSER {name} on >canary-quota ~* +@all")).await;
        let vhost = broker.vhost().await.name;
        let user = json!({ "password": "canary-queue", "tags": "" });
        broker.manage(Method::PUT, &format!("users/{vhost}"), user).await;
        broker.user(&vhost, &vhost).await;
        let bucket = bucket(&endpoint).await;
        let quota = cache.replace("redis://", &format!("redis://{name}:canary-quota@"));
        let settings = BTreeMap::from([
            ("SLUICE_DATABASE", format!("postgres://{name}:canary-database@{place}")),
            ("SLUICE_STORAGE", format!("s3://{bucket}?endpoint={endpoint}&path_style=true")),
            ("SLUICE_QUEUE", broker.url(&vhost, "canary-queue", &vhost)),
            ("SLUICE_QUOTA", quota),
            ("AWS_ACCESS_KEY_ID", "test".to_owned()),
            // The server of the tests does not look at it, but it is signed with.
            ("AWS_SECRET_ACCESS_KEY", "canary-storage".to_owned()),
            ("AWS_SESSION_TOKEN", "canary-session".to_owned()),
            ("SLUICE_LOG", "trace".to_owned()),
        ]);
        Some(Self { settings, database, endpoint, bucket })
    }

    /// Every row of every table, as text.
    async fn dump(&self) -> String {
        let owner = postgres(&self.database).await;
        let tables = "SELECT tablename FROM pg_tables WHERE schemaname = 'public'";
        let mut dump = String::new();
        for table in owner.query(tables, &[]).await.unwrap() {
            let rows = format!("SELECT t::text FROM {} AS t", table.get::<_, &str>(0));
            for row in owner.query(&rows, &[]).await.unwrap() {
                dump.push_str(row.get(0));
            }
        }
        dump
    }

    async fn stored(&self) -> String {
        let mut stored = String::new();
        for key in objects(&self.endpoint, &self.bucket).await {
            let bytes = bytes(&self.endpoint, &self.bucket, &key).await;
            stored.push_str(&String::from_utf8_lossy(&bytes));
        }
        stored
    }
}

fn clean(what: &str, text: &str) {
    for secret in ["canary-", CANARY] {
        if let Some(at) = text.find(secret) {
            let from = text[..at].char_indices().rev().nth(300).map_or(0, |(index, _)| index);
            panic!("{what} shows a secret: {}", &text[from..at + secret.len()]);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_of_any_engine_stands_anywhere() {
    let Some(engines) = Engines::new().await else { return };
    let denied = faulty("france", json!([{ "kind": "unauthorized" }]));
    let mut place = Place::new(vec![fast("sweden"), denied], "calls_max = 9").await;
    place.settings = engines.settings.clone().into_iter().collect();
    let _uploader = place.start("uploader").await;
    let _worker: Process = place.spawn("worker", &[]);
    let cautious = reqwest::Client::builder().redirect(Policy::none()).build().unwrap();
    let mut seen = String::new();
    for name in ["invoice-en-classic.pdf", "invoice-de-agentur.pdf", "scan.pdf"] {
        let document = place.upload(name, "generic", fixture(&format!("documents/{name}"))).await;
        place.ended(&document).await;
        for part in ["", "/result", "/attempts", "/text", "/source"] {
            let url = place.url(&format!("/v1/documents/{}{part}", id(&document)));
            let answer = cautious.get(url).send().await.unwrap();
            // The token of a session is a part of each link that is signed with it.
            let headers = format!("{:?}", answer.headers()).replace("canary-session", "");
            seen.push_str(&headers);
            seen.push_str(&answer.text().await.unwrap());
        }
    }
    until("the quota is shared", async || {
        place.log().contains("share the quota through Redis").then_some(())
    })
    .await;
    for path in ["/metrics", "/readyz", "/openapi.json", "/v1/schemas"] {
        seen.push_str(&cautious.get(place.url(path)).send().await.unwrap().text().await.unwrap());
    }
    clean("an answer", &seen);
    clean("the log", &place.log());
    assert!(place.log().contains("\"level\":\"TRACE\""), "nothing was logged at trace level");
    clean("the database", &engines.dump().await);
    clean("the bucket", &engines.stored().await);
    wrong(&engines, &place).await;
}

/// Whatever is wrong, the message does not show it.
async fn wrong(engines: &Engines, place: &Place) {
    let file = place.folder.path().join("sluice.toml").display().to_string();
    for (setting, break_it) in [
        ("SLUICE_DATABASE", (":canary-database@", ":canary-wrong@")),
        ("SLUICE_DATABASE", ("@127.0.0.1", "@canary-wrong@127.0.0.1")),
        ("SLUICE_DATABASE", ("@127.0.0.1:", "@127.0.0.1:x")),
        ("SLUICE_QUEUE", (":canary-queue@", ":canary-wrong@")),
        ("SLUICE_QUEUE", ("@127.0.0.1:", "@127.0.0.1:x")),
        ("SLUICE_QUOTA", ("@127.0.0.1:", "@127.0.0.1:x")),
        ("SLUICE_STORAGE", ("s3://", "s3://canary-key:canary-secret@")),
    ] {
        let mut settings = engines.settings.clone();
        let address = settings.get_mut(setting).unwrap();
        *address = address.replace(break_it.0, break_it.1);
        let settings: Vec<_> = settings.iter().map(|(name, value)| (*name, &**value)).collect();
        let folder = place.folder.path();
        let (code, out, said) = run(&["--config", &file, "worker"], folder, &settings).await;
        assert!(code == 2 || code == 3, "{setting} {break_it:?}: {said}");
        clean(&format!("{setting} with {break_it:?}"), &format!("{out}{said}"));
        let (_, out, said) = run(&["--config", &file, "config", "check"], folder, &settings).await;
        clean(&format!("config check of {setting}"), &format!("{out}{said}"));
    }
}
