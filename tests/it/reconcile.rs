//! What differs between database and storage is found and mended, up to a lost database.

use crate::{
    broker::Broker,
    contracts_blobs::servers::{bucket, objects, remove},
    harness::{Place, fast, fixture, id, letter, run},
    servers::{fresh_database, postgres, server},
};
use serde_json::{Value, json};

/// Makes of each promise a test on the embedded engines and on Postgres, S3 and RabbitMQ.
macro_rules! on_both {
    ($($promise:ident)*) => {
        mod embedded {
            $(
                #[tokio::test]
                async fn $promise() {
                    super::$promise(super::Scene::embedded().await).await;
                }
            )*
        }

        mod servers {
            $(
                #[tokio::test(flavor = "multi_thread")]
                async fn $promise() {
                    if let Some(scene) = super::Scene::servers().await {
                        super::$promise(scene).await;
                    }
                }
            )*
        }
    };
}

on_both! {
    a_lost_database_is_made_again_from_storage
    differences_are_mended_or_named
    a_family_is_made_again_from_storage
}

struct Scene {
    place: Place,
    config: String,
    servers: Option<Servers>,
}

struct Servers {
    database: String,
    endpoint: String,
    bucket: String,
}

impl Scene {
    async fn embedded() -> Self {
        let place = Place::new(vec![fast("sweden")], "").await;
        let config = place.folder.path().join("sluice.toml").display().to_string();
        Self { place, config, servers: None }
    }

    async fn servers() -> Option<Self> {
        let (broker, endpoint) = (Broker::shared()?, server("SLUICE_TEST_S3")?);
        let database = fresh_database().await?;
        let bucket = bucket(&endpoint).await;
        let mut scene = Self::embedded().await;
        scene.place.settings = vec![
            ("SLUICE_DATABASE", database.clone()),
            ("SLUICE_STORAGE", format!("s3://{bucket}/kept?endpoint={endpoint}&path_style=true")),
            ("SLUICE_QUEUE", broker.vhost().await.url),
            ("AWS_ACCESS_KEY_ID", "test".to_owned()),
            ("AWS_SECRET_ACCESS_KEY", "test".to_owned()),
        ];
        scene.servers = Some(Servers { database, endpoint, bucket });
        Some(scene)
    }

    /// Runs `sluice reconcile`: its exit code and what it printed.
    async fn reconcile(&self, arguments: &[&str]) -> (i32, String) {
        let arguments = [&["--config", &self.config, "reconcile"], arguments].concat();
        let settings = self.place.settings.iter().map(|(name, value)| (*name, &**value));
        let settings: Vec<_> = settings.collect();
        let (code, out, err) = run(&arguments, self.place.folder.path(), &settings).await;
        (code, format!("{out}{err}"))
    }

    /// Changes rows behind the program's back.
    async fn sql(&self, sql: &str) {
        match &self.servers {
            None => {
                let file = self.place.folder.path().join("sluice.db");
                rusqlite::Connection::open(file).unwrap().execute(sql, []).unwrap();
            }
            Some(servers) => {
                postgres(&servers.database).await.batch_execute(sql).await.unwrap();
            }
        }
    }

    /// The database is gone, and there is an empty one.
    async fn lose_database(&self) {
        match &self.servers {
            None => {
                for suffix in ["", "-wal", "-shm"] {
                    let file = self.place.folder.path().join(format!("sluice.db{suffix}"));
                    let _ = std::fs::remove_file(file);
                }
            }
            Some(Servers { database, .. }) => {
                let (server, name) = database.rsplit_once('/').unwrap();
                let server = postgres(&format!("{server}/postgres")).await;
                for statement in [
                    format!("DROP DATABASE {name} WITH (FORCE)"),
                    format!("CREATE DATABASE {name} TEMPLATE template0"),
                ] {
                    server.batch_execute(&statement).await.unwrap();
                }
            }
        }
    }

    /// Removes an object behind the program's back.
    async fn remove(&self, key: &str) {
        match &self.servers {
            None => {
                let blobs = self.place.folder.path().join("blobs");
                std::fs::remove_file(blobs.join(key)).unwrap();
            }
            Some(Servers { endpoint, bucket, .. }) => {
                remove(endpoint, bucket, &format!("kept/{key}")).await;
            }
        }
    }

    /// Whether there is anything of this document in storage.
    async fn keeps(&self, document: &str) -> bool {
        let folder = format!("documents/{document}");
        match &self.servers {
            None => self.place.folder.path().join("blobs").join(folder).exists(),
            Some(Servers { endpoint, bucket, .. }) => {
                let objects = objects(endpoint, bucket).await;
                objects.iter().any(|key| key.starts_with(&format!("kept/{folder}/")))
            }
        }
    }
}

async fn put_schema(place: &Place, body: Value) {
    let put = place.http.put(place.url("/v1/schemas/short")).json(&body).send().await.unwrap();
    assert!(put.status().is_success());
}

async fn a_family_is_made_again_from_storage(scene: Scene) {
    let place = &scene.place;
    let sluice = place.start("up").await;
    let stack = [letter(1), letter(2)].join(&0x0c);
    let query = [("schema", "invoice"), ("filename", "stack.txt"), ("split", "auto")];
    let request = place.http.post(place.url("/v1/documents")).query(&query).body(stack);
    let stack: Value = request.send().await.unwrap().json().await.unwrap();
    let before = place.ended(&stack).await;
    let portfolio = fixture("hostile/portfolio.pdf");
    let portfolio = place.upload("a.pdf", "generic", portfolio).await;
    let cover = place.ended(&portfolio).await;
    let ids = |document: &Value| document["children"].as_array().unwrap().clone();
    let children: Vec<_> = ids(&before).into_iter().chain(ids(&cover)).collect();
    assert_eq!(children.len(), 3);
    for child in &children {
        place.extraction(&json!({ "id": child })).await;
    }
    assert!(sluice.terminate().await.success());
    let (code, out) = scene.reconcile(&[]).await;
    assert!(code == 0 && out.contains(" 0 differences"), "{out}");
    let paid: u64 = place.paid().await.values().sum();
    scene.lose_database().await;
    let (code, out) = scene.reconcile(&["--from-storage"]).await;
    assert_eq!(code, 0, "{out}");
    assert_eq!(out.matches("is put back: succeeded").count(), 3, "{out}");
    let _sluice = place.start("up").await;
    // They are split again, into the same documents.
    for (document, before) in [(&stack, &before), (&portfolio, &cover)] {
        let after = place.ended(document).await;
        assert_eq!((&after["state"], &after["children"]), (&before["state"], &before["children"]));
    }
    for child in &children {
        let child = child.as_str().unwrap();
        let found = place.get(&format!("/v1/documents/{child}")).await;
        assert!(found["state"] == "succeeded" && found["parent"].is_object(), "{found}");
        let source = place.http.get(place.url(&format!("/v1/documents/{child}/source")));
        assert!(source.send().await.unwrap().status().is_success());
    }
    assert_eq!(place.paid().await.values().sum::<u64>(), paid);
}

async fn a_lost_database_is_made_again_from_storage(scene: Scene) {
    let place = &scene.place;
    let sluice = place.start("up").await;
    let short =
        |name: &str| json!({ "type": "object", "properties": { name: { "type": "string" } } });
    put_schema(place, short("a")).await;
    put_schema(place, short("invoice_number")).await;
    let bytes = fixture("documents/invoice-en-classic.pdf");
    let mut before = Vec::new();
    for (name, schema) in [("a.pdf", "invoice"), ("b.pdf", "short"), ("c.pdf", "generic")] {
        let document = place.upload(name, schema, bytes.clone()).await;
        before.push(place.extraction(&document).await);
    }
    let scan = place.upload("scan.pdf", "generic", fixture("documents/scan.pdf")).await;
    place.ended(&scan).await;
    let gone = place.upload("gone.pdf", "invoice", bytes.clone()).await;
    place.extraction(&gone).await;
    let url = place.url(&format!("/v1/documents/{}", id(&gone)));
    assert_eq!(place.http.delete(url).send().await.unwrap().status(), 204);
    assert!(sluice.terminate().await.success());
    scene.lose_database().await;
    let (code, out) = scene.reconcile(&["--from-storage", "--dry-run"]).await;
    assert_eq!(code, 0, "{out}");
    let (code, out) = scene.reconcile(&["--from-storage"]).await;
    assert_eq!(code, 0, "{out}");
    assert_eq!(out.matches("is put back: succeeded").count(), 3, "{out}");
    let paid: u64 = place.paid().await.values().sum();
    let _sluice = place.start("up").await;
    for extraction in &before {
        let path = format!("/v1/documents/{}", extraction["document"].as_str().unwrap());
        assert_eq!(&place.get(&format!("{path}/result")).await, extraction);
        assert_eq!(place.get(&path).await["schema"], extraction["schema"]);
    }
    assert_eq!(before[1]["schema"], "short@2");
    // What had failed is processed again and fails again.
    assert_eq!(place.ended(&scan).await["failure"]["code"], "no_text");
    let listed = place.get("/v1/documents").await;
    assert_eq!(listed["data"].as_array().unwrap().len(), 4, "{listed}");
    // The same bytes are still not paid twice.
    let again = place.upload("again.pdf", "invoice", bytes).await;
    assert_eq!(place.extraction(&again).await["usage"]["calls"], 0);
    assert_eq!(place.paid().await.values().sum::<u64>(), paid);
}

async fn differences_are_mended_or_named(scene: Scene) {
    let place = &scene.place;
    let sluice = place.start("up").await;
    let mut ids = Vec::new();
    for name in ["invoice-en-classic.pdf", "invoice-de-agentur.pdf", "invoice-fr-atelier.pdf"] {
        let document = place.upload(name, "invoice", fixture(&format!("documents/{name}"))).await;
        ids.push(place.extraction(&document).await["document"].as_str().unwrap().to_owned());
    }
    assert!(sluice.terminate().await.success());
    let (code, out) = scene.reconcile(&[]).await;
    assert_eq!(code, 0, "{out}");
    assert!(out.contains("0 differences mended, 0 left"), "{out}");
    // One lost its result, one failed although its reply is there, one lost its row.
    scene.remove(&format!("documents/{}/result-1", ids[0])).await;
    let failure =
        json!({ "code": "calls_exhausted", "stage": "model", "message": "x", "retryable": true });
    let fail = "UPDATE documents SET state = 'failed'";
    scene.sql(&format!("{fail}, failure = '{failure}' WHERE id = '{}'", ids[1])).await;
    scene.sql(&format!("DELETE FROM documents WHERE id = '{}'", ids[2])).await;
    // What is young may belong to an upload under way.
    let (code, out) = scene.reconcile(&["--dry-run"]).await;
    assert_eq!(code, 0, "{out}");
    let all = ["--older-than-seconds", "0"];
    let (code, out) = scene.reconcile(&[&["--dry-run"], &all[..]].concat()).await;
    assert_eq!(code, 1, "{out}");
    assert_eq!(out.matches("to mend: ").count(), 2, "{out}");
    let (code, out) = scene.reconcile(&all).await;
    assert_eq!(code, 1, "{out}");
    assert!(out.contains(&format!("left: the database does not know {}", ids[2])), "{out}");
    assert!(out.contains("2 differences mended, 1 left"), "{out}");
    let paid: u64 = place.paid().await.values().sum();
    let _sluice = place.start("up").await;
    for id in &ids[..2] {
        place.extraction(&json!({ "id": id })).await;
    }
    assert_eq!(place.paid().await.values().sum::<u64>(), paid, "a stored reply was paid again");
    let (code, out) = scene.reconcile(&[&["--delete-unknown"], &all[..]].concat()).await;
    assert_eq!(code, 0, "{out}");
    assert!(!scene.keeps(&ids[2]).await);
}
