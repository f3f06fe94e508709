//! Documents that nobody of this project made, where the folder with them is there.

use crate::harness::{Place, fast, repository, run};
use serde_json::Value;

#[tokio::test]
async fn real_documents_end_as_their_manifest_says() {
    let folder = repository().join("../shared/documents");
    let Ok(manifest) = std::fs::read(folder.join("manifest.json")) else {
        assert!(std::env::var_os("CI").is_none(), "the real documents are missing");
        eprintln!("SKIPPED: there are no documents in ../shared/documents");
        return;
    };
    let manifest: Vec<Value> = serde_json::from_slice(&manifest).unwrap();
    let place = Place::new(vec![fast("sweden"), fast("france")], "").await;
    let mut sluice = place.start("up").await;
    let mut open = Vec::new();
    for entry in &manifest {
        let expect = &entry["expect"];
        let file = entry["file"].as_str().unwrap();
        let schema = match expect["schema"].as_str() {
            Some(schema) => given(&place, &folder.join(schema)).await,
            None if file.starts_with("zugferd") => "invoice".to_owned(),
            None => "generic".to_owned(),
        };
        let bytes = std::fs::read(folder.join(file)).unwrap();
        open.push((entry, place.upload(file, &schema, bytes).await));
    }
    for (entry, document) in &open {
        let (file, expect) = (entry["file"].as_str().unwrap(), &entry["expect"]);
        let ended = place.ended(document).await;
        let state = ended["state"].as_str().unwrap();
        match expect["state"].as_str().unwrap() {
            "failed" => {
                assert_eq!(state, "failed", "{file}: {ended}");
                assert_eq!(ended["failure"]["code"], expect["code"], "{file}: {ended}");
            }
            _ => assert!(matches!(state, "succeeded" | "partial"), "{file}: {ended}"),
        }
    }
    assert!(!sluice.has_ended(), "a document ended the worker");
    eprintln!("{} documents", open.len());
    let status = std::fs::read_to_string(format!("/proc/{}/status", sluice.id())).unwrap();
    let peak = status.lines().find(|line| line.starts_with("VmHWM")).unwrap().to_owned();
    let peak: u64 = peak.split_whitespace().nth(1).unwrap().parse().unwrap();
    assert!(peak < 300 * 1024, "the process grew to {peak} KiB");
}

/// Puts a schema of the folder, and gives its name.
async fn given(place: &Place, file: &std::path::Path) -> String {
    let body: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    let name = file.file_name().unwrap().to_str().unwrap().split('.').next().unwrap();
    let name = format!("s-{name}");
    let put = place.http.put(place.url(&format!("/v1/schemas/{name}"))).json(&body);
    let answer = put.send().await.unwrap();
    assert!(answer.status().is_success(), "{}", answer.text().await.unwrap());
    name
}

#[tokio::test]
async fn extract_prints_json_of_a_real_document() {
    let file = repository().join("../shared/documents/zugferd-en16931-miete.pdf");
    if !file.exists() {
        eprintln!("SKIPPED: there are no documents in ../shared/documents");
        return;
    }
    let place = Place::new(vec![fast("sweden")], "").await;
    let config = place.folder.path().join("sluice.toml");
    let arguments = [
        "--config",
        config.to_str().unwrap(),
        "extract",
        file.to_str().unwrap(),
        "--schema",
        "invoice",
    ];
    let (code, out, err) = run(&arguments, place.folder.path(), &[]).await;
    assert_eq!(code, 0, "{err}");
    let extraction: Value = serde_json::from_str(&out).unwrap();
    assert!(extraction["fields"].as_object().is_some_and(|fields| !fields.is_empty()));
}
