//! A file that cannot be read ends with its reason, within seconds, and harms nobody else.

use crate::harness::{Place, fast, fixture, id, repository};
use serde_json::Value;
use std::path::{Path, PathBuf};

/// Each hostile file and how it may end: with a code, or in a state; none means success.
const HOSTILE: [(&str, &[&str]); 11] = [
    ("truncated.pdf", &["partial"]),
    ("garbage.pdf", &["unreadable_document"]),
    ("deep-nesting.pdf", &["unreadable_document", "no_text", "text_limit_exceeded"]),
    ("flate-bomb.pdf", &["unreadable_document", "no_text", "text_limit_exceeded"]),
    ("endless-loop.pdf", &["unreadable_document", "no_text", "text_limit_exceeded"]),
    ("zero-pages.pdf", &["unreadable_document", "no_text"]),
    ("encrypted.pdf", &["password_required"]),
    ("no-text.pdf", &["no_text"]),
    ("portfolio.pdf", &["split"]),
    ("too-many-pages.pdf", &["too_many_pages"]),
    ("hidden-text.pdf", &[]),
];

#[tokio::test]
async fn hostile_files_end_with_their_reason_and_harm_nobody() {
    let place = Place::new(vec![fast("sweden")], "text_seconds_max = 5").await;
    let mut sluice = place.start("up").await;
    let mut open = Vec::new();
    for (name, codes) in HOSTILE {
        let bytes = fixture(&format!("hostile/{name}"));
        open.push((name, codes, place.upload(name, "generic", bytes).await));
        let good = fixture("documents/invoice-en-classic.pdf");
        open.push(("good", &[], place.upload("good.pdf", "invoice", good).await));
    }
    for (name, codes, document) in &open {
        let ended = place.ended(document).await;
        if codes.is_empty() {
            assert_eq!(ended["state"], "succeeded", "{name}: {ended}");
        } else {
            let state = ended["state"].as_str().unwrap();
            let code = ended["failure"]["code"].as_str().unwrap_or(state);
            assert!(codes.contains(&code), "{name}: {ended}");
            assert_ne!(ended["failure"]["message"], "", "{name}");
        }
    }
    assert!(!sluice.has_ended(), "a hostile file ended the worker");
    let present = std::fs::read_dir(repository().join("fixtures/hostile")).unwrap();
    let pdfs =
        present.filter(|e| e.as_ref().unwrap().path().extension().is_some_and(|x| x == "pdf"));
    assert!(pdfs.count() <= HOSTILE.len(), "a hostile file has no expected end here");
}

#[tokio::test]
async fn hidden_text_reaches_neither_model_nor_evidence() {
    let place = Place::new(vec![fast("sweden")], "").await;
    let wire = place.wire("sweden").await;
    let _sluice = place.start("up").await;
    let bytes = fixture("hostile/hidden-text.pdf");
    let document = place.upload("hidden.pdf", "generic", bytes.clone()).await;
    let extraction = place.extraction(&document).await;
    assert!(!extraction["warnings"].as_array().unwrap().is_empty(), "{extraction}");
    // The model is asked about what a reader sees, and about nothing else.
    let prompt = wire.sent();
    for seen in ["invoice total 100.00", "white on a blue bar", "black inside of a black frame"] {
        assert!(prompt.contains(&format!("VISIBLE {seen}")), "{seen}: {prompt}");
    }
    assert!(!prompt.contains("HIDDEN"), "{prompt}");
    // Evidence is looked for in the saved pages: neither they nor the result have it.
    assert!(!extraction.to_string().contains("HIDDEN"), "{extraction}");
    let (mut pages, mut sources) = (0, 0);
    for (path, saved) in stored(&place.folder.path().join("blobs")) {
        sources += usize::from(saved == bytes);
        if saved != bytes {
            let saved = String::from_utf8_lossy(&saved);
            pages += usize::from(saved.contains("VISIBLE invoice total 100.00"));
            assert!(!saved.contains("HIDDEN"), "{}: {saved}", path.display());
        }
    }
    assert!(pages > 0 && sources == 1, "{pages} with the visible text, {sources} sources");
}

/// Every file below a folder, and its bytes.
fn stored(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let below = |path: PathBuf| match path.is_dir() {
        true => stored(&path),
        false => vec![(path.clone(), std::fs::read(path).unwrap())],
    };
    entries.flat_map(below).collect()
}

#[tokio::test]
async fn evidence_stands_where_the_page_shows_it() {
    let place = Place::new(vec![fast("sweden")], "").await;
    let _sluice = place.start("up").await;
    let bytes = fixture("documents/invoice-en-classic.pdf");
    let document = place.upload("a.pdf", "invoice", bytes).await;
    let extraction = place.extraction(&document).await;
    let page = place.get(&format!("/v1/documents/{}/pages/1", id(&document))).await;
    let boxes =
        |value: &serde_json::Value| -> [f64; 4] { serde_json::from_value(value.clone()).unwrap() };
    let mut proven = 0;
    for (pointer, field) in extraction["fields"].as_object().unwrap() {
        for evidence in field["evidence"].as_array().into_iter().flatten() {
            let [left, bottom, right, top] = boxes(&evidence["box"]);
            let (quote, number) = (&evidence["quote"], &evidence["page"]);
            assert_eq!(number, 1, "{pointer}");
            let within = page["words"].as_array().unwrap().iter().filter(|word| {
                let word = boxes(&word["box"]);
                word[0] >= left && word[1] >= bottom && word[2] <= right && word[3] <= top
            });
            let words: Vec<&str> = within.map(|word| word["text"].as_str().unwrap()).collect();
            let first = quote.as_str().unwrap().split_whitespace().next().unwrap();
            assert!(words.iter().any(|word| word.contains(first)), "{pointer}: {quote} {words:?}");
            proven += 1;
        }
    }
    assert!(proven > 10, "{extraction}");
}

#[tokio::test]
async fn pdf_extract_can_be_selected() {
    let place = Place::new(vec![fast("sweden")], "[text]\nengine = \"pdf-extract\"").await;
    let _sluice = place.start("up").await;
    let bytes = fixture("documents/invoice-en-classic.pdf");
    let extraction = place.extraction(&place.upload("a.pdf", "invoice", bytes).await).await;
    let engine = extraction["text"]["engine"].as_str().unwrap();
    assert!(engine.starts_with("pdf-extract"), "{engine}");
}

/// The header alone tells its character set, of a body and of a part of a form.
#[tokio::test]
async fn a_text_is_read_in_the_character_set_of_its_header() {
    let place = Place::new(vec![fast("sweden")], "").await;
    let _sluice = place.start("up").await;
    let bytes = b"Rechnung 4711\nStra\xdfe 5\nSumme 12,00 \x80\n";
    let kind = "text/plain; charset=iso-8859-1";
    let url = place.url("/v1/documents?schema=generic&filename=a.txt");
    let raw = place.http.post(url).header("content-type", kind).body(&bytes[..]);
    let part =
        reqwest::multipart::Part::bytes(&bytes[..]).file_name("a.txt").mime_str(kind).unwrap();
    let form = reqwest::multipart::Form::new().text("schema", "generic").part("file", part);
    let form = place.http.post(place.url("/v1/documents")).multipart(form);
    for request in [raw, form] {
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), 202);
        let document: Value = answer.json().await.unwrap();
        place.ended(&document).await;
        let path = format!("/v1/documents/{}", id(&document));
        let shown = place.get(&path).await;
        assert_eq!(shown["content_type"], "text/plain; charset=windows-1252", "{shown}");
        let text = place.get(&format!("{path}/text")).await;
        assert_eq!(text["pages"][0]["text"], "Rechnung 4711\nStraße 5\nSumme 12,00 €\n", "{text}");
        let source = place.http.get(place.url(&format!("{path}/source"))).send().await.unwrap();
        assert_eq!(source.headers()["content-type"], "text/plain; charset=windows-1252");
        assert_eq!(source.bytes().await.unwrap(), &bytes[..]);
    }
}

/// What office programs write goes the whole way, through the child that is locked in.
#[tokio::test]
async fn an_invoice_of_any_program_becomes_a_result() {
    let place = Place::new(vec![fast("sweden")], "").await;
    let _sluice = place.start("up").await;
    for (name, pages) in [("docx", 2), ("xlsx", 3), ("pptx", 3), ("odt", 1), ("eml", 1)] {
        let file = fixture(&format!("office/invoice.{name}"));
        let mut document = place.upload("upload", "invoice", file).await;
        let ended = place.ended(&document).await;
        // The invoice is attached to the mail.
        if let Some(child) = ended["children"].get(0) {
            document = serde_json::json!({ "id": child });
        }
        let extraction = place.extraction(&document).await;
        assert!(extraction["data"]["invoice_number"].is_string(), "{name}: {extraction}");
        assert_eq!(extraction["fields"]["/invoice_number"]["status"], "verified", "{name}");
        let shown = place.get(&format!("/v1/documents/{}", id(&document))).await;
        assert_eq!(shown["pages"], pages, "{name}: {shown}");
    }
}
