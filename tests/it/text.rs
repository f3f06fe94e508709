//! A file that cannot be read ends with its reason, within seconds, and harms nobody else.

use crate::harness::{Place, fast, fixture, repository};

/// Each hostile file and how it may end: with a code, or in a state; none means success.
const HOSTILE: [(&str, &[&str]); 10] = [
    ("truncated.pdf", &["partial"]),
    ("garbage.pdf", &["unreadable_document"]),
    ("deep-nesting.pdf", &["unreadable_document", "no_text", "text_limit_exceeded"]),
    ("flate-bomb.pdf", &["unreadable_document", "no_text", "text_limit_exceeded"]),
    ("endless-loop.pdf", &["unreadable_document", "no_text", "text_limit_exceeded"]),
    ("zero-pages.pdf", &["unreadable_document", "no_text"]),
    ("encrypted.pdf", &["password_required"]),
    ("no-text.pdf", &["no_text"]),
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
    let _sluice = place.start("up").await;
    let document = place.upload("hidden.pdf", "generic", fixture("hostile/hidden-text.pdf")).await;
    let extraction = place.extraction(&document).await;
    assert!(!extraction["warnings"].as_array().unwrap().is_empty(), "{extraction}");
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
