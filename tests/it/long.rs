//! Documents that are longer than one question: what goes on from part to part, what is lost with one,
//! and how far they are.

use crate::harness::{Place, fast, id, slow, until};
use serde_json::{Value, json};

/// Room for about a page of a statement.
const WORKER: &str = "context_tokens_max = 4500\ntokens_output_max = 1000";

const PAGES: usize = 6;
const ROWS: usize = 60;

/// A statement of many pages whose table names its columns on the first one only. `mark` stands on page
/// 3.
fn statement(mark: &str) -> Vec<u8> {
    let page = |page: usize| {
        let head = match page {
            0 => {
                "Bolt & Sons Ltd\n\nInvoice No.: F-0815\nInvoice date: 2024-03-05\nCurrency: EUR\n\n\
                  Description   Quantity   Unit price   Amount\n"
            }
            2 => mark,
            _ => "",
        };
        let rows = (0..ROWS).map(|row| format!("Bolts of size {page}-{row}   2   1.50   3.00\n"));
        let foot = if page + 1 == PAGES { "\nTotal   1080.00\n" } else { "" };
        format!("{head}{}{foot}", rows.collect::<String>())
    };
    (0..PAGES).map(page).collect::<Vec<_>>().join("\u{c}").into_bytes()
}

fn schema() -> Value {
    let text = json!({ "type": ["string", "null"] });
    let number = json!({ "type": ["number", "null"] });
    let line = json!({ "type": "object", "properties": {
        "description": text, "quantity": number, "unit_price": number, "amount": number } });
    json!({ "type": "object", "properties": {
        "invoice_number": text, "total": number, "lines": { "type": "array", "items": line } } })
}

#[tokio::test]
async fn a_table_goes_on_in_the_next_part() {
    let place = Place::new(vec![fast("sweden")], WORKER).await;
    let wire = place.wire("sweden").await;
    let _sluice = place.start("up").await;
    place.put_schema("statement", &schema()).await;
    let document = place.upload("long.txt", "statement", statement("")).await;
    let extraction = place.extraction(&document).await;
    let calls = extraction["usage"]["calls"].as_u64().unwrap();
    assert!(calls > 2, "{calls} calls");
    let lines = extraction["data"]["lines"].as_array().unwrap();
    // Each row once: none is lost without the names of its columns, none comes twice at a seam.
    assert_eq!(lines.len(), PAGES * ROWS);
    assert!(lines.iter().all(|line| line["amount"] == 3.0));
    assert_eq!(extraction["data"]["invoice_number"], "F-0815");
    assert_eq!(extraction["data"]["total"], 1080.0);
    let sent = wire.sent();
    // Every question names the columns once, on the page or before it.
    assert_eq!(sent.matches("Description   Quantity").count() as u64, calls, "{calls} calls");
}

#[tokio::test]
async fn a_part_without_an_answer_is_named_and_the_rest_is_kept() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "I would rather not.").unwrap();
    let answers = json!([{ "when_text": "Mark of page 3", "file": file.path() }]);
    let place = Place::scripted(vec![fast("sweden")], answers, WORKER).await;
    let _sluice = place.start("up").await;
    place.put_schema("statement", &schema()).await;
    let document = place.upload("long.txt", "statement", statement("Mark of page 3\n")).await;
    let ended = place.ended(&document).await;
    assert_eq!(ended["state"], "partial", "{ended}");
    let extraction = place.get(&format!("/v1/documents/{}/result", id(&document))).await;
    let warnings = extraction["warnings"].to_string();
    assert!(warnings.contains("3: there is no answer about"), "{warnings}");
    let lines = extraction["data"]["lines"].as_array().unwrap().len();
    assert!((ROWS..PAGES * ROWS).contains(&lines), "{lines} lines");
    assert_eq!(extraction["data"]["total"], 1080.0);
    assert!(extraction["model"]["deployment"] == "sweden", "{}", extraction["model"]);
}

#[tokio::test]
async fn how_far_a_long_document_is_stands_in_its_status() {
    let place = Place::new(vec![slow([1500, 1600])], WORKER).await;
    let _sluice = place.start("up").await;
    place.put_schema("statement", &schema()).await;
    let document = place.upload("long.txt", "statement", statement("")).await;
    let path = format!("/v1/documents/{}", id(&document));
    let progress = until("some of its pages are done", async || {
        let progress = place.get(&path).await["progress"].clone();
        progress.is_object().then_some(progress)
    })
    .await;
    let done = progress["pages_done"].as_u64().unwrap();
    assert_eq!(progress["pages_total"], PAGES);
    assert!((1..=PAGES as u64).contains(&done), "{progress}");
    assert!(place.ended(&document).await["progress"].is_null());
}
