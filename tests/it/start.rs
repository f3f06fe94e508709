//! Machines start in any order: a service that is away is waited for and named, one that refuses is
//! not waited for.

use crate::{
    broker::Broker,
    harness::{Place, Process, fast, fixture, run, until},
    proxy::{Proxy, Wire},
    servers::{fresh_database, server},
};
use reqwest::Method;
use serde_json::{Value, json};

/// A place on Postgres and RabbitMQ, with a wire to each, and their addresses.
async fn place() -> Option<(Place, Proxy, Proxy)> {
    let (broker, database) = (Broker::shared()?, fresh_database().await?);
    let vhost = broker.vhost().await;
    let (credentials, rest) = database.rsplit_once('@').unwrap();
    let (host, name) = rest.split_once('/').unwrap();
    let (postgres, rabbit) = (Proxy::start(host).await, Proxy::start(&broker.host).await);
    let mut place = Place::new(vec![fast("sweden")], "").await;
    place.settings = vec![
        ("SLUICE_DATABASE", format!("{credentials}@{}/{name}", postgres.address)),
        ("SLUICE_QUEUE", vhost.url.replace(&broker.host, &rabbit.address.to_string())),
    ];
    Some((place, postgres, rabbit))
}

async fn said(place: &Place, what: &str) {
    until(&format!("{what} is said"), async || place.log().contains(what).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_is_away_at_the_start_is_waited_for() {
    let Some((place, postgres, rabbit)) = place().await else { return };
    postgres.set(Wire::Cut);
    rabbit.set(Wire::Cut);
    let _processes: [Process; 2] = ["uploader", "worker"].map(|role| place.spawn(role, &[]));
    until("both say it", async || {
        (place.log().matches("the database does not answer yet").count() == 2).then_some(())
    })
    .await;
    postgres.set(Wire::Pass);
    said(&place, "the database answers").await;
    said(&place, "the queue does not answer yet").await;
    // Uploads need no queue.
    until("the uploader answers", async || place.http.get(place.url("/healthz")).send().await.ok())
        .await;
    let bytes = fixture("documents/invoice-en-classic.pdf");
    let document = place.upload("a.pdf", "invoice", bytes).await;
    rabbit.set(Wire::Pass);
    place.extraction(&document).await;
    assert!(!place.log().contains("canary"), "a password stands in the log");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_of_another_kind_stops_the_worker_and_no_upload() {
    let Some(broker) = Broker::shared() else { return };
    let vhost = broker.vhost().await;
    let path = format!("queues/{}/sluice.documents", vhost.name);
    broker.manage(Method::PUT, &path, json!({ "durable": true, "arguments": {} })).await;
    let mut place = Place::new(vec![fast("sweden")], "").await;
    place.settings = vec![("SLUICE_QUEUE", vhost.url.clone())];
    let text = ends(&place).await;
    for part in ["sluice.documents", "quorum", "delete it", "virtual host"] {
        assert!(text.contains(part), "{part} {text}");
    }
    let _up = place.spawn("up", &[]);
    said(&place, "no work begins until this is mended").await;
    until("it answers", async || place.http.get(place.url("/healthz")).send().await.ok()).await;
    let bytes = fixture("documents/invoice-en-classic.pdf");
    let document = place.upload("a.pdf", "invoice", bytes).await;
    broker.manage(Method::DELETE, &path, Value::Null).await;
    place.extraction(&document).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn patience_has_an_end() {
    let Some((mut place, postgres, _rabbit)) = place().await else { return };
    postgres.set(Wire::Cut);
    place.settings.push(("SLUICE_START_SECONDS_MAX", "2".to_owned()));
    let said = ends(&place).await;
    assert!(said.contains("database: "), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_refused_does_not_wait() {
    let Some((mut place, _postgres, _rabbit)) = place().await else { return };
    let settings = place.settings.clone();
    let wrong = |address: &str, password: &str| address.replace(password, ":canary-wrong@");
    place.settings[0].1 = wrong(&settings[0].1, ":canary-postgres@");
    let said = ends(&place).await;
    assert!(said.contains("database: ") && said.contains("password"), "{said}");
    place.settings = settings.clone();
    place.settings[1].1 = wrong(&settings[1].1, ":guest@");
    let said = ends(&place).await;
    assert!(said.contains("queue: ") && said.contains("ACCESS_REFUSED"), "{said}");
    place.settings = settings.clone();
    place.settings[1].1 = format!("{}-which-is-not-there", settings[1].1);
    let said = ends(&place).await;
    assert!(said.contains("queue: "), "{said}");
    let Some(endpoint) = server("SLUICE_TEST_S3") else { return };
    place.settings = settings;
    let storage = format!("s3://there-is-none?endpoint={endpoint}&path_style=true");
    place.settings.push(("SLUICE_STORAGE", storage));
    place.settings.extend(
        ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"].map(|name| (name, "test".to_owned())),
    );
    let said = ends(&place).await;
    assert!(said.contains("storage: ") && said.contains("there-is-none"), "{said}");
}

/// A worker ends with 3; what it says.
async fn ends(place: &Place) -> String {
    let file = place.folder.path().join("sluice.toml").display().to_string();
    let environment: Vec<_> =
        place.settings.iter().map(|(name, value)| (*name, &**value)).collect();
    let (code, _, said) =
        run(&["--config", &file, "worker"], place.folder.path(), &environment).await;
    assert_eq!(code, 3, "{said}");
    assert!(!said.contains("canary"), "{said}");
    said
}
