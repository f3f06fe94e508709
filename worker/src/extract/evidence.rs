//! Finds each value in the document's own text: whether it stands there, and where.
//!
//! Worked out by code and never asked of the model. Only text that a reader sees is in the pages,
//! so hidden text proves nothing. A value stands there only as a whole, and only where it can mean
//! nothing else. It must know nothing of how values were found.

mod finding;

use super::{
    document_text::{DocumentText, Place},
    node::Node,
    number::Decimal,
    reading::Grade,
};
use finding::Finding;
use serde_json::Value;
use shared::{
    extraction::{Candidate, Field, FieldStatus, Reason},
    schema::ExtractionSchema,
};
use std::{
    collections::{BTreeMap, HashMap},
    rc::Rc,
};

/// What is printed of a value.
#[derive(Clone, Debug)]
pub struct Found {
    /// `verified` where it stands as a whole and can mean nothing else.
    pub status: FieldStatus,
    /// Why it is `printed` or in `conflict`.
    pub reason: Option<Reason>,
    /// What is printed instead.
    pub candidates: Vec<Candidate>,
    /// Where it stands; of an item of a list, nearest to its line.
    pub places: Vec<Place>,
    /// Whether it is chosen from given values, and need not be printed.
    pub is_choice: bool,
}

impl Found {
    fn nowhere(status: FieldStatus) -> Self {
        Self { status, reason: None, candidates: Vec::new(), places: Vec::new(), is_choice: false }
    }

    /// The field with the first of its places.
    pub fn field(&self, text: &DocumentText<'_>) -> Field {
        let places = self.places.iter().take(Field::EVIDENCE_MAX);
        Field {
            evidence: places.filter_map(|place| text.evidence(place)).collect(),
            reason: self.reason,
            candidates: self.candidates.clone(),
            ..Field::of(self.status)
        }
    }
}

/// Where every value of `data` is printed, by its JSON pointer.
pub fn find(
    schema: &ExtractionSchema,
    data: &Value,
    text: &DocumentText<'_>,
) -> BTreeMap<String, Found> {
    let mut finder =
        Finder { text, known: HashMap::new(), numbers: HashMap::new(), found: BTreeMap::new() };
    finder.value(Node::root(&schema.body), data, "", None);
    finder.found
}

struct Finder<'a> {
    text: &'a DocumentText<'a>,
    /// Places of strings that were looked for already.
    known: HashMap<String, Rc<Finding>>,
    numbers: HashMap<Decimal, Rc<Finding>>,
    found: BTreeMap<String, Found>,
}

impl Finder<'_> {
    /// `near` is the line of the item that the value belongs to.
    fn value(&mut self, node: Node<'_>, value: &Value, path: &str, near: Option<usize>) {
        match value {
            Value::Object(object) => {
                for (name, value) in object {
                    let path = format!("{path}/{}", name.replace('~', "~0").replace('/', "~1"));
                    self.value(node.property(name), value, &path, near);
                }
            }
            Value::Array(items) => {
                let node = node.items();
                let mut after = None;
                for (index, item) in items.iter().enumerate() {
                    let line = self.line_of_item(item, after);
                    after = line.or(after);
                    self.value(node.clone(), item, &format!("{path}/{index}"), line.or(near));
                }
            }
            plain => {
                let found = self.found(&node, plain, near);
                self.found.insert(path.to_owned(), found);
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

    fn found(&mut self, node: &Node<'_>, value: &Value, near: Option<usize>) -> Found {
        let finding = match value {
            Value::Null => return Found::nowhere(FieldStatus::Missing),
            Value::String(text) if text.trim().is_empty() => {
                return Found::nowhere(FieldStatus::Missing);
            }
            Value::Bool(_) => return Found::nowhere(FieldStatus::Inferred),
            Value::String(text) => self.finding(text),
            Value::Number(number) => self.number(Decimal::of(number)),
            _ => Rc::default(),
        };
        let is_choice = node.is_choice() || !node.is_printed();
        let status = match (finding.grade, is_choice) {
            (Some(Grade::Certain), _) => FieldStatus::Verified,
            (_, true) => return Found::nowhere(FieldStatus::Inferred),
            (None, false) => return Found::nowhere(FieldStatus::NotFound),
            (Some(Grade::Unsure), false) => FieldStatus::Printed,
            (Some(Grade::Contrary), false) => FieldStatus::Conflict,
        };
        Found {
            status,
            reason: finding.reason,
            candidates: finding.candidates.clone(),
            places: nearest(&finding.places, near),
            is_choice,
        }
    }

    fn number(&mut self, number: Decimal) -> Rc<Finding> {
        let text = self.text;
        let known = self.numbers.entry(number);
        let finding = known.or_insert_with_key(|number| Rc::new(Finding::of_number(text, number)));
        Rc::clone(finding)
    }

    fn finding(&mut self, text: &str) -> Rc<Finding> {
        if let Some(known) = self.known.get(text) {
            return Rc::clone(known);
        }
        let finding = Rc::new(Finding::of_text(self.text, text));
        self.known.insert(text.to_owned(), Rc::clone(&finding));
        finding
    }
}

/// The places that are nearest to a line; without one, all.
fn nearest(places: &[Place], near: Option<usize>) -> Vec<Place> {
    let apart = |place: &Place| near.map_or(0, |line| place.line.abs_diff(line));
    let least = places.iter().map(apart).min();
    let mut nearest: Vec<_> =
        places.iter().filter(|place| Some(apart(place)) == least).cloned().collect();
    nearest.dedup();
    nearest
}

#[cfg(test)]
mod tests;
