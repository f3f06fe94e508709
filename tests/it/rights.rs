//! The rights that `deploy/` gives to each role are enough: the pipeline runs with exactly them.

use crate::{
    broker::Broker,
    harness::{Place, fast, fixture, free_port, id, repository, run, until},
    servers::{OwnRedis, fresh_database, postgres, server, unique},
};
use serde_json::Value;

fn deployed(file: &str) -> String {
    std::fs::read_to_string(repository().join("deploy").join(file)).unwrap()
}

/// Users of the database with the rights of the roles: the addresses of uploader and worker.
async fn users(database: &str, place: &Place) -> [String; 2] {
    let (server, rest) = database.split_once("sluice:canary-postgres@").unwrap();
    // The tables belong to who migrates.
    let file = place.folder.path().join("sluice.toml").display().to_string();
    let settings = [("SLUICE_DATABASE", database), ("SLUICE_QUEUE", "amqp://127.0.0.1:9")];
    let migrate = ["--config", &file, "migrate"];
    let (code, _, said) = run(&migrate, place.folder.path(), &settings).await;
    assert_eq!(code, 0, "{said}");
    let owner = postgres(database).await;
    let mut rights = deployed("postgres/roles.sql");
    let users = ["uploader", "worker"].map(|role| (role, format!("{role}_{}", unique())));
    for (role, user) in &users {
        let create = format!("CREATE ROLE {user} LOGIN PASSWORD 'canary-role'");
        owner.batch_execute(&create).await.unwrap();
        rights = rights.replace(&format!("sluice_{role}"), user);
    }
    owner.batch_execute(&rights).await.unwrap();
    users.map(|(_, user)| format!("{server}{user}:canary-role@{rest}"))
}

/// A Redis whose only user is the worker of `users.acl`.
async fn redis(place: &Place) -> Option<(OwnRedis, String)> {
    server("SLUICE_TEST_REDIS")?;
    let file = place.folder.path().join("users.acl");
    std::fs::write(&file, deployed("redis/users.acl").replace("CHANGE-ME", "canary-redis"))
        .unwrap();
    let port = free_port();
    let redis = OwnRedis::start(port, &["--aclfile", file.to_str().unwrap()]).await;
    Some((redis, format!("redis://sluice-worker:canary-redis@127.0.0.1:{port}")))
}

#[tokio::test(flavor = "multi_thread")]
async fn each_role_needs_no_more_than_is_written() {
    let (Some(broker), Some(database)) = (Broker::shared(), fresh_database().await) else { return };
    let mut place = Place::new(vec![fast("sweden")], "").await;
    let Some((_redis, quota)) = redis(&place).await else { return };
    let [uploader, worker] = users(&database, &place).await;
    place.settings = vec![
        ("SLUICE_QUEUE", broker.vhost().await.url),
        ("SLUICE_QUOTA", quota),
        ("SLUICE_MIGRATE", "false".to_owned()),
    ];
    let uploader = place.start_with("uploader", &[("SLUICE_DATABASE", &uploader)]).await;
    let worker = place.spawn("worker", &[("SLUICE_DATABASE", &worker)]);
    until("the quota is shared", async || {
        place.log().contains("share the quota through Redis").then_some(())
    })
    .await;
    let bytes = fixture("documents/invoice-en-classic.pdf");
    let url = place.url("/v1/documents?schema=invoice");
    let upload = place.http.post(url).header("Idempotency-Key", "one").body(bytes.clone());
    let document: Value = upload.send().await.unwrap().json().await.unwrap();
    place.extraction(&document).await;
    // What people may ask for, on a document that succeeds and on one that fails.
    let failed = place.upload("scan.pdf", "generic", fixture("documents/scan.pdf")).await;
    assert_eq!(place.ended(&failed).await["state"], "failed");
    for (document, verb) in [(&document, "reprocess"), (&failed, "retry")] {
        let url = place.url(&format!("/v1/documents/{}/{verb}", id(document)));
        let answer = place.http.post(url).send().await.unwrap();
        assert!(answer.status().is_success(), "{verb}: {}", answer.text().await.unwrap());
        place.ended(document).await;
    }
    for part in ["", "/result", "/attempts", "/text"] {
        place.get(&format!("/v1/documents/{}{part}", id(&document))).await;
    }
    let url = place.url(&format!("/v1/documents/{}", id(&document)));
    assert_eq!(place.http.delete(&url).send().await.unwrap().status(), 204);
    let owner = postgres(&database).await;
    until("its bytes and questions are gone, and all is told", async || {
        let left = "SELECT (SELECT count(*) FROM documents WHERE purge_ms IS NOT NULL)
            + (SELECT count(*) FROM events) + (SELECT count(*) FROM outbox)";
        (owner.query_one(left, &[]).await.unwrap().get::<_, i64>(0) == 0).then_some(())
    })
    .await;
    for process in [worker, uploader] {
        assert!(process.terminate().await.success());
    }
    for word in ["permission denied", "NOPERM", "canary"] {
        assert!(!place.log().contains(word), "{word}: {}", place.log());
    }
}
