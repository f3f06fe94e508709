//! Documents that only an image shows: read by OCR, shown to a model that sees, or refused with the
//! remedy.

use crate::harness::{Place, fast, fixture, id, repository};
use serde_json::{Value, json};
use simulator::DeploymentConfig;

/// A scan of the invoice, an empty back page and a credit note, as a scanner makes it.
fn scan() -> Vec<u8> {
    std::fs::read(repository().join("fixtures/scans/scanned.pdf")).unwrap()
}

/// Turns the sight of some deployments on.
fn let_see(place: &Place, deployments: &[&str]) {
    let path = place.folder.path().join("sluice.toml");
    let mut text = std::fs::read_to_string(&path).unwrap();
    for name in deployments {
        let line = format!("name = \"{name}\"\n");
        text = text.replace(&line, &format!("{line}vision = true\n"));
    }
    std::fs::write(path, text).unwrap();
}

/// A place with scripted answers to what is told of images.
async fn seeing(deployments: Vec<DeploymentConfig>, scans: &str) -> (Place, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("answer.json");
    let answer = json!({ "title": "Bananas", "kind": null, "date": "2024-03-14", "fields": [] });
    std::fs::write(&file, answer.to_string()).unwrap();
    let answers = json!([{ "when_text": "image=", "file": file }]);
    let worker = format!("[text]\nscans = \"{scans}\"");
    (Place::scripted(deployments, answers, &worker).await, folder)
}

#[tokio::test]
async fn a_scan_is_read_by_ocr_and_its_values_are_proven_where_they_stand() {
    let place = Place::new(vec![fast("sweden")], "[text]\nscans = \"ocr\"").await;
    let _sluice = place.start("up").await;
    let document = place.upload("phone.jpg", "invoice", scan_file("phone.jpg")).await;
    let extraction = place.extraction(&document).await;
    assert_eq!(extraction["data"]["invoice_number"], "INV-2024-0117", "{extraction}");
    let field = &extraction["fields"]["/invoice_number"];
    assert_eq!((&field["status"], &field["evidence"][0]["page"]), (&json!("verified"), &json!(1)));
    assert!(field["evidence"][0]["box"].is_array(), "{field}");
    let document = place.upload("scan.pdf", "generic", scan()).await;
    let extraction = place.extraction(&document).await;
    assert_eq!(extraction["text"]["pages_without_text"], json!([2]), "the back page is empty");
    assert_eq!(extraction["state"], "succeeded", "an empty page is no loss: {extraction}");
    let page = place.get(&format!("/v1/documents/{}/pages/1", id(&document))).await;
    assert_eq!(page["words"][0]["origin"], "ocr", "{page}");
}

#[tokio::test]
async fn a_model_that_sees_is_shown_what_has_no_text() {
    let (place, _answers) = seeing(vec![fast("blind"), fast("seeing")], "vision").await;
    let_see(&place, &["seeing"]);
    let wire = place.wire("seeing").await;
    let _sluice = place.start("up").await;
    for (name, bytes) in [("scan.pdf", scan()), ("phone.jpg", scan_file("phone.jpg"))] {
        let document = place.upload(name, "generic", bytes).await;
        let extraction = place.extraction(&document).await;
        assert_eq!(extraction["state"], "succeeded", "{extraction}");
        // Nothing proves what only a model has seen.
        let fields = extraction["fields"].as_object().unwrap();
        let statuses: Vec<_> = fields.values().map(|field| field["status"].as_str()).collect();
        assert!(statuses.contains(&Some("inferred")), "{extraction}");
        assert!(!statuses.contains(&Some("verified")) && !statuses.contains(&Some("not_found")));
        assert_eq!(extraction["model"]["deployment"], "seeing");
        let warnings = extraction["warnings"].to_string();
        assert!(warnings.contains("shown its image"), "{warnings}");
        // Two pages of at least two by two tiles; the blank one is not shown.
        let tokens = extraction["usage"]["tokens_input"].as_u64().unwrap();
        assert!(tokens > 85 + 4 * 170, "{extraction}");
    }
    let sent = wire.sent();
    assert_eq!(sent.matches("data:image/png;base64,").count(), 3, "two pages and a photograph");
    assert!(sent.contains("\"detail\":\"high\""));
    // The same file again is answered by the same replies.
    let before: u64 = place.paid().await.values().sum();
    let document = place.upload("again.pdf", "generic", scan()).await;
    place.extraction(&document).await;
    assert_eq!(place.paid().await.values().sum::<u64>(), before);
}

fn scan_file(name: &str) -> Vec<u8> {
    std::fs::read(repository().join("fixtures/scans").join(name)).unwrap()
}

#[tokio::test]
async fn a_deployment_that_refuses_images_is_not_asked_again() {
    let blind = |name: &str| DeploymentConfig { vision: false, ..fast(name) };
    let (place, _answers) = seeing(vec![blind("proud"), fast("seeing")], "vision").await;
    // The first is tried first, for it is of a lower tier.
    let_see(&place, &["proud", "seeing"]);
    let path = place.folder.path().join("sluice.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replace("name = \"seeing\"\n", "name = \"seeing\"\ntier = 1\n"))
        .unwrap();
    let wire = place.wire("proud").await;
    let _sluice = place.start("up").await;
    for name in ["one.pdf", "two.jpg"] {
        let bytes = if name == "one.pdf" { scan() } else { scan_file("phone.jpg") };
        let document = place.upload(name, "generic", bytes).await;
        let extraction = place.extraction(&document).await;
        assert_eq!(extraction["model"]["deployment"], "seeing", "{extraction}");
    }
    assert_eq!(wire.sent().matches("POST ").count(), 1, "it was asked once");
}

#[tokio::test]
async fn without_ocr_and_sight_the_remedy_is_named() {
    let settings = "[text]\nscans = \"auto\"\nocr_program = \"no-such-ocr\"";
    let place = Place::new(vec![fast("sweden")], settings).await;
    let _sluice = place.start("up").await;
    for (name, bytes) in
        [("scan.pdf", fixture("documents/scan.pdf")), ("phone.jpg", scan_file("phone.jpg"))]
    {
        let document = place.upload(name, "generic", bytes).await;
        let ended = place.ended(&document).await;
        assert_eq!(ended["failure"]["code"], "no_text", "{ended}");
        let message = ended["failure"]["message"].as_str().unwrap();
        for remedy in ["tesseract", "vision = true"] {
            assert!(message.contains(remedy), "{message}");
        }
    }
    assert!(place.paid().await.values().all(|calls| *calls == 0));
}

#[tokio::test]
async fn what_is_configured_and_cannot_be_stops_the_start_with_the_remedy() {
    let check = async |settings: &str, parts: &[&str]| {
        let place = Place::new(vec![fast("sweden")], &format!("[text]\n{settings}")).await;
        let config = place.folder.path().join("sluice.toml");
        let file = repository().join("fixtures/documents/scan.pdf");
        let arguments = [
            "--config",
            config.to_str().unwrap(),
            "extract",
            file.to_str().unwrap(),
            "--schema",
            "generic",
        ];
        let (code, _, said) = crate::harness::run(&arguments, place.folder.path(), &[]).await;
        assert_ne!(code, 0);
        for part in parts {
            assert!(said.contains(part), "{settings}: {said}");
        }
    };
    check("scans = \"vision\"", &["text.scans", "vision = true"]).await;
    check("scans = \"ocr\"\nocr_program = \"no-such-ocr\"", &["no-such-ocr", "install"]).await;
    check("scans = \"ocr\"\nlanguages = [\"tlh\"]", &["\"tlh\"", "tesseract-ocr-tlh"]).await;
    check("scan_dpi = 9999", &["text.scan_dpi", "at most 400"]).await;
}

/// Each word has a place on the page, and where it is from.
#[tokio::test]
async fn text_shows_what_ocr_read() {
    let place = Place::new(vec![fast("sweden")], "[text]\nscans = \"ocr\"").await;
    let config = place.folder.path().join("sluice.toml");
    let file = repository().join("fixtures/scans/scanned.tif");
    let arguments =
        ["--config", config.to_str().unwrap(), "text", "--json", file.to_str().unwrap()];
    let (code, out, err) = crate::harness::run(&arguments, place.folder.path(), &[]).await;
    assert_eq!(code, 0, "{err}");
    let pages: Value = serde_json::from_str(&out).unwrap();
    assert!(pages["pages"][0]["text"].as_str().unwrap().contains("INV-2024-0117"), "{pages}");
    let png = place.folder.path().join("page.png");
    let arguments = [
        "--config",
        config.to_str().unwrap(),
        "text",
        "--image",
        "1",
        png.to_str().unwrap(),
        file.to_str().unwrap(),
    ];
    let (code, _, err) = crate::harness::run(&arguments, place.folder.path(), &[]).await;
    assert_eq!(code, 0, "{err}");
    assert!(std::fs::read(png).unwrap().starts_with(b"\x89PNG"));
}
