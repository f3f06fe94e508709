//! What it costs to prove the values of a long document: `cargo bench -p worker`. To reach: 5,000
//! values on 250 pages within 100 ms, and a cost of each value that does not grow with the pages.

#![allow(clippy::print_stdout, clippy::panic, reason = "a benchmark")]

use serde_json::{Value, json};
use shared::{
    extraction::{FieldStatus, Page, Pages},
    schema::{ExtractionSchema, SchemaRef},
};
use std::time::{Duration, Instant};
use worker::extract::{document_text::DocumentText, evidence, role};

const RUNS: usize = 7;
const ROWS_PER_PAGE: usize = 40;

/// Pages of an invoice with many rows, and the values of as many of the rows as there are to be.
fn document(pages: usize, values: usize) -> (Pages, Value) {
    let rows = pages * ROWS_PER_PAGE;
    let row = |index: usize| {
        let cents = index * 7_919 % 9_000_000 + 100;
        let (quantity, day) = (index % 90 + 1, index % 28 + 1);
        let amount = format!("{}.{:02}", cents / 100, cents % 100);
        (format!("Bolt M{} galvanized, box {index}", index % 24 + 3), quantity, day, amount)
    };
    let text = |page: usize| {
        let rows = (page * ROWS_PER_PAGE..(page + 1) * ROWS_PER_PAGE).map(|index| {
            let (name, quantity, day, amount) = row(index);
            format!("A-{index}   {name}   {quantity}   {day:02}.03.2024   {amount} EUR")
        });
        format!("Delivery of March, page {}\n{}", page + 1, rows.collect::<Vec<_>>().join("\n"))
    };
    let lines = (0..rows).step_by((rows * 5 / values).max(1)).map(|index| {
        let (name, quantity, day, amount) = row(index);
        let amount: f64 = amount.parse().unwrap_or_default();
        let day = format!("2024-03-{day:02}");
        json!({ "id": format!("A-{index}"), "name": name, "quantity": quantity, "day": day, "amount": amount })
    });
    let data = json!({ "lines": lines.collect::<Vec<_>>() });
    let page = |index: usize| Page {
        number: u32::try_from(index + 1).unwrap_or_default(),
        text: text(index),
        ..Page::default()
    };
    (Pages { pages: (0..pages).map(page).collect(), ..Pages::default() }, data)
}

/// The most memory that the process has had, in bytes; 0 where the system does not say.
fn peak_bytes() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmHWM")).unwrap_or_default();
    let kib = line.split_whitespace().nth(1).and_then(|kib| kib.parse::<usize>().ok());
    kib.unwrap_or_default() * 1024
}

fn main() {
    let Ok(reference) = "x@1".parse::<SchemaRef>() else { panic!("a reference") };
    let schema = ExtractionSchema { reference, body: json!({ "type": "object" }) };
    let mut costs = Vec::new();
    for (pages, values) in [(25, 500), (250, 500), (250, 5_000)] {
        let (document, data) = document(pages, values);
        let bytes: usize = document.pages.iter().map(|page| page.text.len()).sum();
        let before = peak_bytes();
        let mut times: Vec<Duration> = (0..RUNS)
            .map(|_| {
                let began = Instant::now();
                let text = DocumentText::new(&document);
                let found = evidence::find(&schema, &data, &text);
                let fields = role::judge(&schema, &data, &text, found);
                let took = began.elapsed();
                let is_verified = |status| status == FieldStatus::Verified;
                assert!(fields.values().all(|field| is_verified(field.status)), "all are printed");
                took
            })
            .collect();
        times.sort();
        let middle = times.get(RUNS / 2).copied().unwrap_or_default();
        let more = peak_bytes().saturating_sub(before);
        println!(
            "{pages} pages, {} kB, {values} values: {middle:?}, at most {:.1} bytes of memory a byte of text",
            bytes / 1_000,
            more as f64 / bytes as f64
        );
        costs.push(middle.as_secs_f64());
    }
    if let [short, long, many] = costs[..] {
        println!(
            "ten times the pages: {:.1} times the time; ten times the values: {:.1} times",
            long / short,
            many / long
        );
    }
}
