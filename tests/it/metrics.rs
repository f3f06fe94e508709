//! Every series of the metrics says what it counts and in which unit, and the fleet's gauges say what
//! is the case.

use crate::harness::{Place, fast, fixture, repository, until};
use std::{
    collections::BTreeSet,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// The sample of a metric without labels.
fn sample(metrics: &str, name: &str) -> Option<f64> {
    let line = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))?;
    line.parse().ok()
}

async fn metrics(place: &Place) -> String {
    place.http.get(place.url("/metrics")).send().await.unwrap().text().await.unwrap()
}

#[tokio::test]
async fn every_series_says_what_it_counts() {
    let place = Place::new(vec![fast("sweden")], "").await;
    let _sluice = place.start("up").await;
    let bytes = fixture("documents/invoice-en-classic.pdf");
    let extraction = place.extraction(&place.upload("a.pdf", "invoice", bytes).await).await;
    let text = metrics(&place).await;
    let said: BTreeSet<&str> = names(&text, "# HELP ");
    let typed = names(&text, "# TYPE ");
    assert!(typed.len() > 20, "{text}");
    let silent: Vec<_> = typed.difference(&said).collect();
    assert!(silent.is_empty(), "these do not say what they count: {silent:?}");
    let seconds = text.lines().filter(|line| line.starts_with("# HELP "));
    let seconds = seconds.filter(|line| line.split(' ').nth(2).unwrap().contains("_seconds"));
    let unitless: Vec<_> = seconds.filter(|line| !line.contains("second")).collect();
    assert!(unitless.is_empty(), "these do not say their unit: {unitless:?}");
    for part in [
        "# TYPE sluice_cost_total counter",
        "sluice_build_info{version=\"",
        "sluice_workers 1",
        "sluice_fields_total{schema=\"invoice\",status=\"verified\"}",
        "sluice_waiting{reason=\"quota\"} 0",
        "sluice_http_request_seconds_count{route=\"/v1/documents\"}",
    ] {
        assert!(text.contains(part), "{part} is missing from\n{text}");
    }
    let cost = sample(&text, "sluice_cost_total{deployment=\"sweden\",tenant=\"default\"}");
    let cost = cost.unwrap_or_else(|| panic!("no cost in {text}"));
    assert!((cost - extraction["usage"]["cost"].as_f64().unwrap()).abs() < 1e-9, "{cost}");
    accepted_by_promtool(&text);
}

fn names<'a>(text: &'a str, kind: &str) -> BTreeSet<&'a str> {
    text.lines().filter_map(|line| line.strip_prefix(kind)?.split(' ').next()).collect()
}

/// Prometheus' own linter, where it is installed; `tests/services` does.
fn accepted_by_promtool(text: &str) {
    let mut promtool = Command::new("promtool");
    promtool.args(["check", "metrics"]).stdin(Stdio::piped());
    let mut running = match promtool.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn() {
        Ok(running) => running,
        Err(error) => {
            assert!(std::env::var_os("CI").is_none(), "promtool: {error}");
            return eprintln!("SKIPPED: promtool is missing: {error}");
        }
    };
    running.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = running.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn every_metric_in_the_code_is_described() {
    let (mut described, mut counted) = (BTreeSet::new(), BTreeSet::new());
    let crates = ["pool", "reader", "shared", "uploader", "worker", "sluice"];
    for file in crates.iter().flat_map(|krate| rust_files(&repository().join(krate).join("src"))) {
        let text = std::fs::read_to_string(&file).unwrap();
        let is_name = |text: &&str| {
            (text.starts_with("sluice_") || text.starts_with("process_"))
                && text.bytes().all(|byte| byte == b'_' || byte.is_ascii_lowercase())
        };
        let names = text.split('"').filter(is_name).map(str::to_owned);
        match file.file_name().unwrap().to_str().unwrap() {
            "series.rs" => described.extend(names),
            // Its one metric is described where it is set.
            "telemetry.rs" => {}
            _ if text.contains("metrics::") => counted.extend(names),
            _ => {}
        }
    }
    assert!(counted.len() > 25, "{counted:?}");
    assert_eq!(counted, described);
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { rust_files(&path) } else { vec![path] }).collect()
}

#[tokio::test]
async fn one_worker_is_wanted_for_work_and_none_for_idleness() {
    let place = Place::new(vec![fast("sweden")], "").await;
    let _uploader = place.start("uploader").await;
    let wanted = async || sample(&metrics(&place).await, "sluice_workers_wanted");
    assert_eq!(wanted().await, Some(0.0));
    let bytes = fixture("documents/invoice-en-classic.pdf");
    let document = place.upload("a.pdf", "invoice", bytes).await;
    until("a worker is wanted", async || (wanted().await == Some(1.0)).then_some(())).await;
    let list = place.get("/v1/deployments").await;
    assert_eq!(list["workers_wanted"]["workers"], 1, "{list}");
    assert_eq!(list["workers_wanted"]["limit"], "deployments", "no worker has said which: {list}");
    let worker = place.spawn("worker", &[]);
    place.extraction(&document).await;
    until("no worker is wanted", async || (wanted().await == Some(0.0)).then_some(())).await;
    worker.terminate().await;
    let text = metrics(&place).await;
    assert_eq!(sample(&text, "sluice_queue_depth"), Some(0.0), "{text}");
    assert_eq!(sample(&text, "sluice_outbox_oldest_seconds"), Some(0.0), "{text}");
}
