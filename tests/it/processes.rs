//! Uploader and workers as separate processes, and their clean end.

use crate::harness::{Place, deployment, fast, fixture};
use serde_json::json;

#[tokio::test]
async fn uploader_and_workers_are_separate_processes() {
    let place = Place::new(vec![fast("sweden")], "").await;
    let _uploader = place.start("uploader").await;
    let _workers = [place.spawn("worker", &[]), place.spawn("worker", &[])];
    let mut documents = Vec::new();
    for name in ["invoice-en-classic.pdf", "invoice-de-agentur.pdf", "receipt-cafe.pdf"] {
        let bytes = fixture(&format!("documents/{name}"));
        documents.push(place.upload(name, "generic", bytes).await);
    }
    for document in &documents {
        place.extraction(document).await;
    }
}

#[tokio::test]
async fn a_worker_that_is_told_to_stop_finishes_what_it_pays_for() {
    let slow = deployment(json!({
        "name": "sweden", "model": "gpt-4o",
        "tokens_per_minute": 10_000_000, "requests_per_minute": 60_000,
        "latency": { "ttft_ms": [1000, 1000], "tokens_per_second": [1e9, 1e9], "rejection_ms": [0, 0] },
    }));
    let place = Place::new(vec![slow], "concurrency = 4").await;
    let _uploader = place.start("uploader").await;
    let worker = place.spawn("worker", &[]);
    let mut documents = Vec::new();
    for number in 0..12 {
        let letter = format!("Letter\n\nReference: {number}\n").into_bytes();
        documents.push(place.upload("letter.txt", "generic", letter).await);
    }
    crate::harness::until("calls are under way", async || {
        (place.stats("sweden").await["in_flight"].as_u64() > Some(0)).then_some(())
    })
    .await;
    let status = worker.terminate().await;
    assert!(status.success(), "{status}\n{}", place.log());
    assert_eq!(place.stats("sweden").await["in_flight"], 0);
    let _other = place.spawn("worker", &[]);
    for document in &documents {
        let extraction = place.extraction(document).await;
        assert!(extraction["usage"]["calls"].as_u64().unwrap() <= 1, "{extraction}");
    }
    assert!(place.paid().await.values().all(|calls| *calls == 1), "something was paid twice");
}

#[tokio::test]
async fn a_worker_that_runs_alone_can_be_watched() {
    let port = crate::harness::free_port();
    let listen = format!("listen = \"127.0.0.1:{port}\"");
    let place = Place::new(vec![fast("sweden")], &listen).await;
    let _worker = place.spawn("worker", &[]);
    let get = async |path: &str| {
        place.http.get(format!("http://127.0.0.1:{port}{path}")).send().await.ok()
    };
    crate::harness::until("the worker is ready", async || {
        get("/readyz").await.filter(|answer| answer.status().is_success()).map(drop)
    })
    .await;
    crate::harness::until("the metrics show the deployments", async || {
        let metrics = get("/metrics").await?.text().await.ok()?;
        metrics.contains("sluice_deployment_state{deployment=\"sweden\"}").then_some(())
    })
    .await;
    assert_eq!(get("/v1/documents").await.unwrap().status(), 404);
}

#[tokio::test]
async fn the_metrics_say_what_happened() {
    let place = Place::new(vec![fast("sweden")], "").await;
    let _sluice = place.start("up").await;
    let bytes = fixture("documents/invoice-en-classic.pdf");
    place.extraction(&place.upload("a.pdf", "invoice", bytes).await).await;
    let metrics = place.http.get(place.url("/metrics")).send().await.unwrap().text().await.unwrap();
    for name in [
        "sluice_documents_total{state=\"succeeded\",schema=\"invoice\"} 1",
        "sluice_document_seconds_bucket{stage=\"total\",priority=\"bulk\"",
        "sluice_queue_depth 0",
        "sluice_in_flight 0",
        "sluice_calls_total{deployment=\"sweden\"",
        "sluice_call_seconds_count{deployment=\"sweden\"} 1",
        "sluice_tokens_total{deployment=\"sweden\"",
        "sluice_quota_tokens_available{deployment=\"sweden\"}",
        "sluice_quota_wait_seconds",
        "sluice_deployment_state{deployment=\"sweden\"} 0",
        "sluice_text_seconds",
        "sluice_upload_bytes_total",
    ] {
        assert!(metrics.contains(name), "{name} is missing from\n{metrics}");
    }
}
