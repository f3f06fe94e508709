//! The commands: what they print, and how they end.

use crate::harness::{Place, fast, repository, run};
use serde_json::{Value, json};
use std::path::Path;

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

#[tokio::test]
async fn the_demo_ends_as_expected() {
    let (code, out, err) = run(&["demo", "--exit"], folder().path(), &[]).await;
    assert_eq!(code, 0, "{out}\n{err}");
    for part in ["invoice-en-classic.pdf", "no_text", "\"evidence\"", "/docs"] {
        assert!(out.contains(part), "{part} is missing from\n{out}");
    }
}

#[tokio::test]
async fn without_a_deployment_the_remedies_are_named() {
    let empty = folder();
    for command in [&["up"][..], &["worker"], &["extract", "a.txt"]] {
        std::fs::write(empty.path().join("a.txt"), "hello").unwrap();
        let (code, _, err) = run(command, empty.path(), &[]).await;
        assert_eq!(code, 2, "{command:?}: {err}");
        for part in ["OPENAI_API_KEY", "AZURE_OPENAI_ENDPOINT", "sluice demo"] {
            assert!(err.contains(part), "{command:?}: {part} is missing from {err}");
        }
    }
}

#[tokio::test]
async fn extract_prints_json_without_a_server() {
    let place = Place::new(vec![fast("sweden")], "").await;
    let config = place.folder.path().join("sluice.toml");
    let config = config.to_str().unwrap();
    let document = |name: &str| {
        repository().join("fixtures/documents").join(name).to_str().unwrap().to_owned()
    };
    let (one, two) = (document("invoice-en-classic.pdf"), document("invoice-de-agentur.pdf"));
    let arguments = ["--config", config, "extract", &one, "--schema", "invoice"];
    let (code, out, err) = run(&arguments, place.folder.path(), &[]).await;
    assert_eq!(code, 0, "{err}");
    let extraction: Value = serde_json::from_str(&out).unwrap();
    assert!(extraction["data"]["total"].is_number(), "{extraction}");
    let scan = document("scan.pdf");
    std::fs::write(place.folder.path().join("a.zip"), b"PK\x03\x04\x14\0").unwrap();
    let arguments =
        ["--config", config, "extract", &one, &scan, &two, "a.zip", "--schema", "invoice"];
    let (code, out, err) = run(&arguments, place.folder.path(), &[]).await;
    assert_eq!(code, 1, "{err}");
    let lines: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 4);
    assert_eq!(lines[1]["failure"]["code"], "no_text");
    assert!(lines[3]["error"].as_str().unwrap().contains("ZIP"), "{out}");
    // Whatever became of it, a line says which file it is about.
    let names: Vec<_> = lines.iter().map(|line| &line["filename"]).collect();
    let expected = ["invoice-en-classic.pdf", "scan.pdf", "invoice-de-agentur.pdf", "a.zip"];
    assert_eq!(names, expected);
    let hash = |path: &str| {
        use sha2::Digest;
        let bytes = std::fs::read(place.folder.path().join(path)).unwrap();
        shared::schema::hexadecimal(&sha2::Sha256::digest(bytes))
    };
    for (line, path) in lines.iter().zip([&one, &scan, &two, "a.zip"]) {
        assert_eq!(line["sha256"], hash(path), "{line}");
    }
    let schema = repository().join("fixtures/schemas/delivery-note.json");
    let letter = document("delivery.txt");
    let schema = schema.to_str().unwrap();
    let arguments = ["--config", config, "extract", &letter, "--schema", schema];
    let (code, out, err) = run(&arguments, place.folder.path(), &[]).await;
    assert_eq!(code, 0, "{out}{err}");
}

#[tokio::test]
async fn upload_and_documents_talk_to_a_running_uploader() {
    let place = Place::new(vec![fast("sweden")], "").await;
    let _sluice = place.start("up").await;
    let url = place.url("");
    let documents = repository().join("fixtures/documents");
    let documents = documents.to_str().unwrap();
    let here = place.folder.path();
    let arguments = ["upload", documents, "--schema", "generic", "--wait", "--url", &url];
    let (code, out, err) = run(&arguments, here, &[]).await;
    assert_eq!(code, 1, "two of the documents cannot be read: {err}");
    let count = out.lines().count();
    assert!(count >= 14, "{out}");
    for line in out.lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        let name = line["filename"].as_str().unwrap();
        assert!(Path::new(documents).join(name).exists(), "{line}");
        assert_eq!(line["sha256"].as_str().unwrap().len(), 64, "{line}");
    }
    // Again: everything is there already.
    run(&arguments, here, &[]).await;
    let list = ["documents", "list", "--limit", "200", "-o", "json", "--url", &url];
    let (code, out, _) = run(&list, here, &[]).await;
    assert_eq!(code, 0);
    let page: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(page["data"].as_array().unwrap().len(), count);
    let failed = page["data"].as_array().unwrap().iter().filter(|d| d["state"] == "failed").count();
    assert_eq!(failed, 2);
    for (filter, retried) in [
        (&["--code", "no_deployment"][..], 0),
        (&["--schema", "invoice"], 0),
        (&["--code", "no_text", "--schema", "generic"], 1),
    ] {
        let retry = [&["documents", "retry", "--url", &url], filter].concat();
        let (code, out, err) = run(&retry, here, &[]).await;
        assert_eq!(code, 0, "{filter:?}: {err}");
        let said: Value = serde_json::from_str(&out).unwrap();
        assert_eq!(said["retried"], retried, "{filter:?}");
    }
    let (code, _, err) = run(&["documents", "retry", "--url", &url], here, &[]).await;
    assert!(code == 2 && err.contains("--code"), "which ones must be said: {err}");
    let ok = page["data"].as_array().unwrap().iter().find(|d| d["state"] == "succeeded").unwrap();
    let id = ok["id"].as_str().unwrap();
    for (verb, part) in [("show", "\"calls\""), ("result", "\"fields\""), ("text", "page")] {
        let (code, out, err) = run(&["documents", verb, id, "--url", &url], here, &[]).await;
        assert_eq!(code, 0, "{verb}: {err}");
        assert!(verb == "text" || out.contains(part), "{verb}: {out}");
    }
    let (code, _, err) = run(&["documents", "cancel", id, "--url", &url], here, &[]).await;
    assert_eq!(code, 1, "what has ended cannot be cancelled: {err}");
    let (code, ..) = run(&["documents", "reprocess", id, "--url", &url], here, &[]).await;
    assert_eq!(code, 0);
    let (code, ..) = run(&["documents", "delete", id, "--url", &url], here, &[]).await;
    assert_eq!(code, 0);
    let (code, _, err) = run(&["documents", "show", id, "--url", &url], here, &[]).await;
    assert_eq!(code, 1, "{err}");
    assert!(err.contains("deleted"), "{err}");
}

#[tokio::test]
async fn a_service_that_cannot_be_reached_is_exit_code_3() {
    let arguments = ["documents", "list", "--url", "http://127.0.0.1:9"];
    let (code, _, err) = run(&arguments, folder().path(), &[]).await;
    assert_eq!(code, 3);
    assert!(err.contains("sluice up"), "{err}");
}

#[tokio::test]
async fn a_bad_configuration_names_file_line_and_key() {
    let here = folder();
    std::fs::write(here.path().join("sluice.toml"), "[worker]\nconcurency = 3\n").unwrap();
    let (code, _, err) = run(&["config", "check"], here.path(), &[]).await;
    assert_eq!(code, 2);
    for part in ["sluice.toml:2", "concurency", "concurrency"] {
        assert!(err.contains(part), "{part} is missing from {err}");
    }
}

#[tokio::test]
async fn config_check_shows_no_secret() {
    let environment = [("OPENAI_API_KEY", "sk-canary-0123456789")];
    let (code, out, err) = run(&["config", "check"], folder().path(), &environment).await;
    assert_eq!(code, 0, "{err}");
    assert!(out.contains("\"listen\"") && !out.contains("canary") && !err.contains("canary"));
}

#[tokio::test]
async fn variables_of_kubernetes_do_not_stop_a_start() {
    let environment = [
        ("SLUICE_UPLOADER_SERVICE_HOST", "10.0.0.7"),
        ("SLUICE_UPLOADER_PORT_8080_TCP_ADDR", "10.0.0.7"),
        ("SLUICE_PORT", "tcp://10.0.0.7:8080"),
    ];
    let (code, _, err) = run(&["config", "check"], folder().path(), &environment).await;
    assert_eq!(code, 0, "{err}");
    for (name, _) in environment {
        assert!(err.contains(name), "{name} is missing from {err}");
    }
    let place = Place::new(vec![fast("sweden")], "").await;
    let _sluice = place.start_with("up", &environment).await;
    assert!(place.log().contains("SLUICE_UPLOADER_SERVICE_HOST"), "{}", place.log());
}

#[tokio::test]
async fn an_address_that_is_not_understood_is_refused_with_the_right_form() {
    let here = folder();
    let check = async |endpoint: &str| {
        let environment = [
            ("AZURE_OPENAI_ENDPOINT", endpoint),
            ("AZURE_OPENAI_API_KEY", "sk-canary-0123456789"),
            ("AZURE_OPENAI_DEPLOYMENT", "g"),
        ];
        run(&["config", "check"], here.path(), &environment).await
    };
    let pasted = "https://r.openai.azure.com/openai/deployments/g/chat/completions?api-version=1";
    assert_eq!(check(pasted).await.0, 0);
    let (code, _, err) = check("https://r.services.ai.azure.com/api/projects/p").await;
    assert_eq!(code, 2);
    for part in ["AZURE_OPENAI_ENDPOINT", "https://NAME.openai.azure.com"] {
        assert!(err.contains(part), "{part} is missing from {err}");
    }
}

#[tokio::test]
async fn a_schema_is_checked_before_it_is_used() {
    let here = folder();
    let file = here.path().join("a.json");
    let write = |text: &str| std::fs::write(&file, text).unwrap();
    let name = file.to_str().unwrap();
    write(r#"{"type":"object","properties":{"total":{"type":"number","minimum":0}}}"#);
    let (code, out, err) = run(&["schema", "check", name], here.path(), &[]).await;
    assert_eq!(code, 0, "{err}");
    let strict: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(strict["additionalProperties"], false);
    for part in ["total   number   concept gross", "optional: ", "minimum 0: "] {
        assert!(err.contains(part), "{part} is missing from {err}");
    }
    write(r#"{"type":"object","properties":{"a":{"type":"string","x-sluice":{"lables":["x"]}}}}"#);
    let (code, _, err) = run(&["schema", "check", name], here.path(), &[]).await;
    assert_eq!(code, 2);
    assert!(err.contains("/properties/a/x-sluice/lables: is not a known keyword"), "{err}");
    write(r#"{"type":"object","additionalProperties":{"type":"string"}}"#);
    let (code, _, err) = run(&["schema", "check", name], here.path(), &[]).await;
    assert_eq!(code, 2);
    assert!(err.contains("additionalProperties"), "{err}");
    write("{");
    assert_eq!(run(&["schema", "check", name], here.path(), &[]).await.0, 2);
}

/// A schema is proposed by one question about all samples, and can be used as it is.
#[tokio::test]
async fn a_schema_is_proposed_from_samples() {
    let files = tempfile::tempdir().unwrap();
    let file = files.path().join("answer.json");
    let field = |name: &str, kind: &str| json!({ "name": name, "type": kind, "always": true, "description": "", "items": [] });
    let fields = [field("Bill No", "string"), field("net", "number")];
    let answer = json!({ "description": "A bill.", "fields": fields });
    std::fs::write(&file, answer.to_string()).unwrap();
    let answers = json!([{ "when_text": "<sample>", "file": file }]);
    let place = Place::scripted(vec![fast("sweden")], answers, "").await;
    let here = place.folder.path();
    for name in ["a.txt", "b.txt"] {
        std::fs::write(here.join(name), format!("Bill {name}\nNet 5.00\n")).unwrap();
    }
    let infer = ["schema", "infer", "a.txt", "b.txt", "--name", "bill"];
    let (code, out, err) = run(&infer, here, &[]).await;
    assert_eq!(code, 0, "{err}");
    let schema: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(schema["title"], "bill");
    assert_eq!(schema["required"], json!(["bill_no", "net"]));
    let paid = place.paid().await;
    assert_eq!(paid.values().sum::<u64>(), 1, "{paid:?}");
    std::fs::write(here.join("bill.json"), out).unwrap();
    assert_eq!(run(&["schema", "check", "bill.json"], here, &[]).await.0, 0);
    let (code, _, err) = run(&["schema", "infer", "none.txt"], here, &[]).await;
    assert_eq!(code, 2);
    assert!(err.contains("none.txt"), "{err}");
}

#[tokio::test]
async fn migrate_makes_a_database() {
    let here = folder();
    let (code, out, err) = run(&["migrate"], here.path(), &[]).await;
    assert_eq!(code, 0, "{err}");
    assert!(out.contains("up to date"));
    assert!(here.path().join("sluice-data/sluice.db").exists());
}

#[tokio::test]
async fn every_command_has_help_with_an_example() {
    for command in [
        "demo",
        "up",
        "uploader",
        "worker",
        "extract",
        "upload",
        "documents",
        "schema",
        "config",
        "simulate",
        "migrate",
    ] {
        let (code, out, _) = run(&[command, "--help"], folder().path(), &[]).await;
        assert_eq!(code, 0, "{command}");
        assert!(out.contains("Example:"), "{command}: {out}");
    }
}

#[tokio::test]
async fn the_text_of_a_file_is_shown_by_row_and_by_word() {
    let folder = tempfile::tempdir().unwrap();
    let file = repository().join("fixtures/documents/receipt-cafe.pdf").display().to_string();
    let text = async |arguments: &[&str]| {
        let arguments = [&["text", &file], arguments].concat();
        run(&arguments, folder.path(), &[]).await
    };
    let (code, rows, err) = text(&[]).await;
    assert_eq!((code, err.as_str()), (0, ""));
    assert!(rows.contains("\n2 x Flat white   6.80\n"), "{rows}");
    let (_, words, _) = text(&["--boxes"]).await;
    let kettle = words.lines().find(|line| line.ends_with("\ttext\tKettle")).expect("a word");
    let numbers: Vec<f64> = kettle.split('\t').take(5).map(|n| n.parse().unwrap()).collect();
    assert!(numbers[0] == 1.0 && numbers[1] < numbers[3] && numbers[2] < numbers[4], "{kettle}");
    let (_, json, _) = text(&["--json"]).await;
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["pages"][0]["text"].as_str().map(str::trim_end), Some(rows.trim_end()));
    let (code, _, err) = text(&["--page", "9"]).await;
    assert!(code == 2 && err.contains("it has 1"), "{code}: {err}");
}

#[tokio::test]
async fn health_tells_by_its_exit_code_whether_a_program_can_serve() {
    let place = Place::new(vec![fast("sweden")], "").await;
    let sluice = place.start("up").await;
    let ask = async |url: &str| run(&["health", url], place.folder.path(), &[]).await;
    let (code, out, err) = ask(&place.url("")).await;
    assert_eq!((code, out.as_str()), (0, "ok\n"), "{err}");
    assert_eq!(ask(&place.url("/healthz")).await.0, 0);
    // It answers, and not that it can.
    let (code, _, err) = ask(&place.url("/nowhere")).await;
    assert_eq!((code, err.contains("404")), (1, true), "{err}");
    let (code, out, _) =
        run(&["health"], place.folder.path(), &[("SLUICE_URL", &place.url(""))]).await;
    assert_eq!((code, out.as_str()), (0, "ok\n"));
    // A proxy that the environment names for everything else is not asked.
    let proxy = [("http_proxy", "http://127.0.0.1:9"), ("HTTP_PROXY", "http://127.0.0.1:9")];
    assert_eq!(run(&["health", &place.url("")], place.folder.path(), &proxy).await.0, 0);
    sluice.terminate().await;
    let (code, _, err) = ask(&place.url("")).await;
    assert_eq!((code, err.contains("nothing healthy answers")), (3, true), "{err}");
    for url in ["localhost:8080", "ftp://127.0.0.1", ""] {
        let (code, _, err) = ask(url).await;
        assert_eq!((code, err.contains("http://")), (2, true), "{url:?}: {err}");
    }
}
