//! What differs between database and storage is found and mended, up to a lost database.

use crate::harness::{Place, fast, fixture, id, run};
use serde_json::{Value, json};
use std::path::PathBuf;

struct Scene {
    place: Place,
    config: String,
}

impl Scene {
    async fn new() -> Self {
        let place = Place::new(vec![fast("sweden")], "").await;
        let config = place.folder.path().join("sluice.toml").display().to_string();
        Self { place, config }
    }

    /// Runs `sluice reconcile`: its exit code and what it printed.
    async fn reconcile(&self, arguments: &[&str]) -> (i32, String) {
        let arguments = [&["--config", &self.config, "reconcile"], arguments].concat();
        let (code, out, err) = run(&arguments, self.place.folder.path(), &[]).await;
        (code, format!("{out}{err}"))
    }

    fn blob(&self, path: &str) -> PathBuf {
        self.place.folder.path().join("blobs").join(path)
    }

    fn database(&self) -> rusqlite::Connection {
        rusqlite::Connection::open(self.place.folder.path().join("sluice.db")).unwrap()
    }
}

async fn put_schema(place: &Place, body: Value) {
    let put = place.http.put(place.url("/v1/schemas/short")).json(&body).send().await.unwrap();
    assert!(put.status().is_success());
}

#[tokio::test]
async fn a_lost_database_is_made_again_from_storage() {
    let scene = Scene::new().await;
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
    for suffix in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(place.folder.path().join(format!("sluice.db{suffix}")));
    }
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

#[tokio::test]
async fn differences_are_mended_or_named() {
    let scene = Scene::new().await;
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
    std::fs::remove_file(scene.blob(&format!("documents/{}/result-1", ids[0]))).unwrap();
    let failure =
        json!({ "code": "calls_exhausted", "stage": "model", "message": "x", "retryable": true });
    scene
        .database()
        .execute(
            "UPDATE documents SET state = 'failed', failure = ?2 WHERE id = ?1",
            (&ids[1], failure.to_string()),
        )
        .unwrap();
    scene.database().execute("DELETE FROM documents WHERE id = ?1", [&ids[2]]).unwrap();
    let old = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_700_000_000);
    for entry in std::fs::read_dir(scene.blob(&format!("documents/{}", ids[2]))).unwrap() {
        let file = std::fs::File::options().write(true).open(entry.unwrap().path()).unwrap();
        file.set_modified(old).unwrap();
    }
    let (code, out) = scene.reconcile(&["--dry-run"]).await;
    assert_eq!(code, 1, "{out}");
    assert_eq!(out.matches("to mend: ").count(), 2, "{out}");
    let (code, out) = scene.reconcile(&[]).await;
    assert_eq!(code, 1, "{out}");
    assert!(out.contains(&format!("left: the database does not know {}", ids[2])), "{out}");
    assert!(out.contains("2 differences mended, 1 left"), "{out}");
    let paid: u64 = place.paid().await.values().sum();
    let _sluice = place.start("up").await;
    for id in &ids[..2] {
        place.extraction(&json!({ "id": id })).await;
    }
    assert_eq!(place.paid().await.values().sum::<u64>(), paid, "a stored reply was paid again");
    let (code, out) = scene.reconcile(&["--delete-unknown"]).await;
    assert_eq!(code, 0, "{out}");
    assert!(!scene.blob(&format!("documents/{}", ids[2])).exists());
}
