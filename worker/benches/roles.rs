//! How well the role of values is told, on documents with known values: `cargo bench -p worker
//! --bench roles`, or `cargo test -p worker --bench roles`. The documents are read by `sluice text`
//! (`SLUICE_BIN`, or what is built). What is not there is left out.
//!
//! To reach: of the right values 95 % verified and at most 4 % printed; of swapped pairs at most 10 %
//! verified; of values of other fields at most 15 %. Of the answers of a small model at most 5 % of
//! the verified are wrong, 80 % of the wrong are flagged, and 85 % of the right are verified.

#![allow(
    clippy::print_stdout,
    clippy::panic,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a benchmark"
)]

use serde_json::{Map, Value, json};
use shared::{
    extraction::{Field, FieldStatus, Pages},
    schema::{ExtractionSchema, SchemaRef, builtin},
};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::Command,
};
use worker::extract::{document_text::DocumentText, evidence, form, role, rules};

/// Values that models take for each other.
const PAIRS: [(&str, &str); 8] = [
    ("net_total", "grand_total"),
    ("net", "total"),
    ("issue_date", "due_date"),
    ("seller", "buyer"),
    ("seller_name", "buyer_name"),
    ("invoice_number", "order_number"),
    ("tax_total", "net_total"),
    ("vat", "total"),
];

struct Document {
    name: String,
    pages: Pages,
    schema: ExtractionSchema,
    data: Value,
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn json_of(path: &Path) -> Option<Value> {
    serde_json::from_slice(&std::fs::read(path).ok()?).ok()
}

fn pages(file: &Path) -> Option<Pages> {
    let built = ["debug", "release"].map(|kind| repository().join(format!("target/{kind}/sluice")));
    let named = std::env::var_os("SLUICE_BIN").map(PathBuf::from);
    let binary = named.into_iter().chain(built).find(|path| path.exists())?;
    let output = Command::new(binary).arg("text").arg("--json").arg(file).output().ok()?;
    serde_json::from_slice(&output.stdout).ok()
}

fn schema(body: Value) -> ExtractionSchema {
    let reference: SchemaRef = "x@1".parse().unwrap();
    ExtractionSchema { reference, body }
}

fn fields(document: &Document, data: &Value) -> BTreeMap<String, Field> {
    let text = DocumentText::new(&document.pages);
    let found = evidence::find(&document.schema, data, &text);
    let mut fields = role::judge(&document.schema, data, &text, found);
    form::judge(data, &text, &rules::check(&document.schema, data), &mut fields);
    fields
}

/// Our own documents, and those of others with their published values.
fn documents(invoice: &Value) -> Vec<Document> {
    let mut documents = Vec::new();
    let own = repository().join("fixtures");
    let builtin: BTreeMap<_, _> = builtin::all().into_iter().collect();
    for entry in std::fs::read_dir(own.join("expected")).unwrap() {
        let path = entry.unwrap().path();
        let expected = json_of(&path).unwrap();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let body = expected["schema"].as_str().and_then(|name| builtin.get(name));
        let read = pages(&own.join("documents").join(&name));
        if let (Some(pages), Some(body), Some(_)) = (read, body, expected["data"].as_object()) {
            let data = expected["data"].clone();
            documents.push(Document { name, pages, schema: schema(body.clone()), data });
        }
    }
    let folder = repository().join("../shared/documents");
    let manifest = json_of(&folder.join("manifest.json")).unwrap_or_default();
    for entry in manifest.as_array().into_iter().flatten() {
        let name = entry["file"].as_str().unwrap().to_owned();
        let expect = &entry["expect"];
        let (body, data) = match (expect["gold"].as_str(), expect["fields"].as_object()) {
            (Some(gold), _) => {
                let body = json_of(&folder.join(expect["schema"].as_str().unwrap())).unwrap();
                (body, json_of(&folder.join(gold)).unwrap())
            }
            (None, Some(fields)) => (invoice.clone(), truth(fields)),
            _ => continue,
        };
        if let Some(pages) = pages(&folder.join(&name)) {
            documents.push(Document { name, pages, schema: schema(body), data });
        }
    }
    documents
}

/// The values of an e-invoice as the schema of the answers names them.
fn truth(fields: &Map<String, Value>) -> Value {
    let mut data = Map::new();
    for (name, value) in fields.iter().filter(|(name, _)| *name != "lines") {
        let text = value.as_str().unwrap_or_default();
        let value = match name.ends_with("_total") {
            true => text.parse::<f64>().map_or(Value::Null, |number| json!(number)),
            false => text.lines().last().unwrap_or_default().into(),
        };
        data.insert(name.clone(), value);
    }
    Value::Object(data)
}

#[derive(Default)]
struct Count {
    verified: usize,
    printed: usize,
    conflict: usize,
}

impl Count {
    fn add(&mut self, status: FieldStatus) {
        match status {
            FieldStatus::Verified => self.verified += 1,
            FieldStatus::Printed => self.printed += 1,
            FieldStatus::Conflict => self.conflict += 1,
            _ => {}
        }
    }

    fn show(&self, what: &str) {
        let all = self.verified + self.printed + self.conflict;
        let share = |count: usize| 100.0 * count as f64 / all.max(1) as f64;
        println!(
            "{what}: {all}, verified {:.1} %, printed {:.1} %, conflict {:.1} %",
            share(self.verified),
            share(self.printed),
            share(self.conflict)
        );
    }
}

fn is_shown() -> bool {
    std::env::var_os("SHOW").is_some()
}

fn right_values(documents: &[Document]) {
    let mut all = Count::default();
    for document in documents {
        let mut count = Count::default();
        for (pointer, field) in fields(document, &document.data) {
            count.add(field.status);
            all.add(field.status);
            let is_wrong = matches!(field.status, FieldStatus::Printed | FieldStatus::Conflict);
            if is_shown() && is_wrong {
                let value = document.data.pointer(&pointer).unwrap();
                println!(
                    "  {} {pointer} {value}: {:?} {:?} {:?}",
                    document.name, field.status, field.reason, field.label
                );
            }
        }
        count.show(&document.name);
    }
    all.show("right values");
}

fn swapped_pairs(documents: &[Document]) {
    let mut all = Count::default();
    for document in documents {
        for (one, other) in PAIRS {
            let (a, b) = (&document.data[one], &document.data[other]);
            if a.is_null() || b.is_null() || a == b {
                continue;
            }
            let mut data = document.data.clone();
            (data[one], data[other]) = (b.clone(), a.clone());
            let fields = fields(document, &data);
            for name in [one, other] {
                let field = &fields[&format!("/{name}")];
                all.add(field.status);
                if is_shown() && field.status == FieldStatus::Verified {
                    println!("  {} {name} {}: {:?}", document.name, data[name], field.label);
                }
            }
        }
    }
    all.show("swapped values");
}

fn values_of_others(documents: &[Document]) {
    let mut all = Count::default();
    for document in documents {
        let Some(object) = document.data.as_object() else { continue };
        let plain: Vec<_> = object.iter().filter(|(_, v)| v.is_string() || v.is_number()).collect();
        for (name, value) in &plain {
            for (other, instead) in &plain {
                let is_kind = value.is_string() == instead.is_string();
                if name == other || value == instead || !is_kind {
                    continue;
                }
                let mut data = document.data.clone();
                data[name.as_str()] = (*instead).clone();
                let field = fields(document, &data).remove(&format!("/{name}")).unwrap();
                all.add(field.status);
                if is_shown() && field.status == FieldStatus::Verified {
                    println!("  {} {name} {instead} ({other}): {:?}", document.name, field.label);
                }
            }
        }
    }
    all.show("values of other fields");
}

fn answers(entries: &[Value]) {
    let (mut verified, mut flagged) = (BTreeMap::new(), BTreeMap::new());
    for entry in entries {
        let file = entry["file"].as_str().unwrap();
        let folder = repository().join("../shared/documents");
        let Some(pages) = pages(&folder.join(file)) else { continue };
        let data = entry["answers"].clone();
        let schema = schema(entry["schema"].clone());
        let document = Document { name: file.to_owned(), pages, schema, data };
        for (pointer, field) in fields(&document, &document.data) {
            let name = pointer.trim_start_matches('/');
            let verdict = entry["verdict"][name].as_str().unwrap_or("unclear").to_owned();
            let is_verified = field.status == FieldStatus::Verified;
            let count = if is_verified { &mut verified } else { &mut flagged };
            *count.entry(verdict.clone()).or_insert(0_usize) += 1;
            if is_shown() && verdict != "unclear" && is_verified == (verdict == "wrong") {
                let value = &document.data[name];
                println!(
                    "  {file} {name} {value} {verdict}: {:?} {:?} {:?}",
                    field.status, field.reason, field.label
                );
            }
        }
    }
    let of = |count: &BTreeMap<String, usize>, key| count.get(key).copied().unwrap_or_default();
    let share = |part: usize, rest: usize| 100.0 * part as f64 / (part + rest).max(1) as f64;
    println!(
        "answers of a model: {:.1} % of the verified are wrong, {:.1} % of the wrong are flagged, {:.1} % of the right are verified",
        share(of(&verified, "wrong"), of(&verified, "right")),
        share(of(&flagged, "wrong"), of(&verified, "wrong")),
        share(of(&verified, "right"), of(&flagged, "right")),
    );
}

fn main() {
    let entries = json_of(&repository().join("../shared/answers/real.json")).unwrap_or_default();
    let entries = entries.as_array().cloned().unwrap_or_default();
    let invoice = entries.first().map_or_else(Value::default, |entry| entry["schema"].clone());
    let documents = documents(&invoice);
    if documents.is_empty() {
        println!("SKIPPED: sluice is not built");
        return;
    }
    right_values(&documents);
    swapped_pairs(&documents);
    values_of_others(&documents);
    answers(&entries);
}
