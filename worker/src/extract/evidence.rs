//! Proves each value from the document's own text: whether it stands there, and where.
//!
//! Worked out by code and never asked of the model. Only text that a reader sees is in the pages,
//! so hidden text proves nothing. A value stands there only as a whole, and only where it can mean
//! nothing else. It must know nothing of how values were found.

mod document;
mod finding;

use super::{node::Node, number::Decimal, reading::Grade};
use document::{DocumentText, Place};
use finding::Finding;
use serde_json::Value;
use shared::{
    extraction::{Field, FieldStatus, Pages},
    schema::ExtractionSchema,
};
use std::{
    collections::{BTreeMap, HashMap},
    rc::Rc,
};

/// The evidence for every value of `data`, by its JSON pointer.
pub fn prove(schema: &ExtractionSchema, data: &Value, pages: &Pages) -> BTreeMap<String, Field> {
    let text = DocumentText::new(pages);
    let mut prover = Prover { text, known: HashMap::new(), fields: BTreeMap::new() };
    prover.value(Node::root(&schema.body), data, "", "", None);
    prover.fields
}

struct Prover<'a> {
    text: DocumentText<'a>,
    /// Places of strings that were looked for already.
    known: HashMap<String, Rc<Finding>>,
    fields: BTreeMap<String, Field>,
}

impl Prover<'_> {
    /// `near` is the line of the item that the value belongs to.
    fn value(
        &mut self,
        node: Node<'_>,
        value: &Value,
        path: &str,
        name: &str,
        near: Option<usize>,
    ) {
        match value {
            Value::Object(object) => {
                for (name, value) in object {
                    let path = format!("{path}/{}", name.replace('~', "~0").replace('/', "~1"));
                    self.value(node.property(name), value, &path, name, near);
                }
            }
            Value::Array(items) => {
                let node = node.items();
                let mut after = None;
                for (index, item) in items.iter().enumerate() {
                    let line = self.line_of_item(item, after);
                    after = line.or(after);
                    self.value(node.clone(), item, &format!("{path}/{index}"), name, line.or(near));
                }
            }
            plain => {
                let field = self.field(&node, plain, name, near);
                self.fields.insert(path.to_owned(), field);
            }
        }
    }

    /// The line on which an item of a list stands: that of its rarest text, after the item before it
    /// where there is a choice.
    fn line_of_item(&mut self, item: &Value, after: Option<usize>) -> Option<usize> {
        let values = match item {
            Value::Object(object) => object.values().collect(),
            plain => vec![plain],
        };
        let texts = values.into_iter().filter_map(Value::as_str).map(|text| self.finding(text));
        let texts = texts.filter(|finding| !finding.places.is_empty());
        let rarest = texts.min_by_key(|finding| finding.places.len())?;
        let next = rarest.places.iter().find(|place| after.is_none_or(|line| place.line > line));
        next.or(rarest.places.first()).map(|place| place.line)
    }

    fn field(&mut self, node: &Node<'_>, value: &Value, name: &str, near: Option<usize>) -> Field {
        let finding = match value {
            Value::Null => return Field::of(FieldStatus::Missing),
            Value::String(text) if text.trim().is_empty() => {
                return Field::of(FieldStatus::Missing);
            }
            Value::Bool(_) => return Field::of(FieldStatus::Inferred),
            Value::String(text) => self.finding(text),
            Value::Number(number) => Rc::new(Finding::of_number(&self.text, &Decimal::of(number))),
            _ => Rc::default(),
        };
        let is_choice = node.is_choice() || !node.is_printed();
        let status = match (finding.grade, is_choice) {
            (Some(Grade::Certain), _) => FieldStatus::Verified,
            (_, true) => return Field::of(FieldStatus::Inferred),
            (None, false) => return Field::of(FieldStatus::NotFound),
            (Some(Grade::Unsure), false) => FieldStatus::Printed,
            (Some(Grade::Contrary), false) => FieldStatus::Conflict,
        };
        let places = self.best_first(finding.places.clone(), name, near);
        let most = if near.is_some() { 1 } else { Field::EVIDENCE_MAX };
        Field {
            status,
            evidence: places.iter().take(most).filter_map(|p| self.text.evidence(p)).collect(),
            reason: finding.reason,
            candidates: finding.candidates.clone(),
        }
    }

    fn finding(&mut self, text: &str) -> Rc<Finding> {
        if let Some(known) = self.known.get(text) {
            return Rc::clone(known);
        }
        let finding = Rc::new(Finding::of_text(&self.text, text));
        self.known.insert(text.to_owned(), Rc::clone(&finding));
        finding
    }

    /// Nearest to its item first; without one, on a line that names it first.
    fn best_first(&self, mut places: Vec<Place>, name: &str, near: Option<usize>) -> Vec<Place> {
        match near {
            Some(line) => places.sort_by_key(|place| place.line.abs_diff(line)),
            None if places.len() > 1 => {
                let words: Vec<_> = name.split(['_', '-']).filter(|word| word.len() > 2).collect();
                let words: Vec<_> = words.into_iter().map(str::to_lowercase).collect();
                let is_named = |place: &Place| {
                    let line = self.text.line_of(place).to_lowercase();
                    !words.iter().any(|word| line.contains(word))
                };
                places.sort_by_cached_key(is_named);
            }
            None => {}
        }
        places.dedup();
        places
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use shared::extraction::Page;

    fn prove_in(body: Value, data: Value, texts: &[&str]) -> BTreeMap<String, Field> {
        let schema = ExtractionSchema { reference: "x@1".parse().unwrap(), body };
        let page = |(number, text): (u32, &&str)| Page {
            number,
            text: (*text).into(),
            error: None,
            is_picture: false,
        };
        let pages = (1..).zip(texts).map(page).collect();
        prove(&schema, &data, &Pages { pages, ..Pages::default() })
    }

    #[test]
    fn values_are_proven_by_value() {
        let check = |property: Value, value: Value, text: &str, expected: &str| {
            let body = json!({ "type": "object", "properties": { "a": property } });
            let fields = prove_in(body, json!({ "a": value }), &[text]);
            let field = &fields["/a"];
            let status = serde_json::to_value(field.status).unwrap();
            let quotes: Vec<_> = field.evidence.iter().map(|e| e.quote.as_str()).collect();
            let shown = format!("{} {}", status.as_str().unwrap(), quotes.join("|"));
            assert_eq!(shown.trim(), expected, "{value} in {text:?}");
        };
        let string = json!({ "type": "string" });
        let number = json!({ "type": "number" });
        check(string.clone(), json!("R-117"), "No. R-117", "verified R-117");
        check(string.clone(), json!("R-118"), "No. R-117", "not_found");
        check(string.clone(), json!("2024-03-05"), "am 5. März 2024", "verified 5. März 2024");
        check(
            string.clone(),
            json!("2024-03-05T00:00:00Z"),
            "5 March 2024",
            "verified 5 March 2024",
        );
        check(string.clone(), json!("2024-03-06"), "5 March 2024", "not_found");
        check(string.clone(), json!("EUR"), "Total 5 €", "verified €");
        check(string.clone(), json!("USD"), "Total R$5", "not_found");
        check(string.clone(), json!("GBP"), "Total €5", "not_found");
        check(string.clone(), json!("1234.5"), "1.234,50", "verified 1.234,50");
        check(string.clone(), json!(""), "x", "missing");
        check(number.clone(), json!(119.0), "Total 119,00 EUR", "verified 119,00");
        check(number.clone(), json!(119.1), "Total 119,00 EUR", "not_found");
        check(number.clone(), json!(0.19), "VAT 19 %", "verified 19");
        check(number, Value::Null, "", "missing");
        check(json!({ "type": "boolean" }), json!(true), "yes", "inferred");
        check(json!({ "enum": ["paid", "open"] }), json!("open"), "Open items", "verified Open");
        check(json!({ "enum": ["paid", "open"] }), json!("paid"), "Open items", "inferred");
        let kind = json!({ "type": "string", "x-sluice": { "printed": false } });
        check(kind, json!("letter"), "Dear Ann", "inferred");
    }

    #[test]
    fn items_are_proven_where_they_stand() {
        let text = "1 Main Street\nQty   Item   Amount\n1   Bolts   1.00\n2   Nuts   2.00\n\
                    1   Nuts   2.00\nNet   5.00\nTotal   5.00";
        let line =
            |quantity, item, amount| json!({ "q": quantity, "item": item, "amount": amount });
        let data = json!({
            "lines": [line(1, "Bolts", 1.0), line(2, "Nuts", 2.0), line(1, "Nuts", 2.0)],
            "total": 5.0,
        });
        let fields = prove_in(json!({ "type": "object" }), data, &["Cover 5", text]);
        assert!(fields.values().all(|field| field.status == FieldStatus::Verified), "{fields:?}");
        assert_eq!(fields["/lines/2/amount"].evidence.len(), 1);
        // The line that is named so comes first.
        assert_eq!(fields["/total"].evidence.len(), 3);
        let total = fields["/total"].evidence.first().unwrap();
        assert_eq!((total.page, total.quote.as_str()), (2, "5.00"));
    }
}
