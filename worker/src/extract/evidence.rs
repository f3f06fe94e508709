//! Proves each value from the document's own text: whether it stands there, and where.
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
    extraction::{Field, FieldStatus},
    schema::ExtractionSchema,
};
use std::{
    collections::{BTreeMap, HashMap},
    rc::Rc,
};

/// The evidence for every value of `data`, by its JSON pointer.
pub fn prove(
    schema: &ExtractionSchema,
    data: &Value,
    text: &DocumentText<'_>,
) -> BTreeMap<String, Field> {
    let mut prover =
        Prover { text, known: HashMap::new(), numbers: HashMap::new(), fields: BTreeMap::new() };
    prover.value(Node::root(&schema.body), data, "", "", None);
    prover.fields
}

struct Prover<'a> {
    text: &'a DocumentText<'a>,
    /// Places of strings that were looked for already.
    known: HashMap<String, Rc<Finding>>,
    numbers: HashMap<Decimal, Rc<Finding>>,
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
            Value::Number(number) => self.number(Decimal::of(number)),
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
        let places = self.best_first(&finding.places, name, near).into_iter();
        Field {
            status,
            evidence: places.filter_map(|place| self.text.evidence(place)).collect(),
            reason: finding.reason,
            candidates: finding.candidates.clone(),
            source: None,
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

    /// The nearest to its item; without one, all, on a line that names it first.
    fn best_first<'f>(
        &self,
        places: &'f [Place],
        name: &str,
        near: Option<usize>,
    ) -> Vec<&'f Place> {
        if let Some(line) = near {
            return places
                .iter()
                .min_by_key(|place| place.line.abs_diff(line))
                .into_iter()
                .collect();
        }
        let words: Vec<_> = name.split(['_', '-']).filter(|word| word.len() > 2).collect();
        let words: Vec<_> = words.into_iter().map(str::to_lowercase).collect();
        let is_named = |place: &&Place| {
            let line = self.text.line_of(place).to_lowercase();
            !words.iter().any(|word| line.contains(word))
        };
        let mut places: Vec<_> = places.iter().collect();
        if places.len() > 1 {
            places.sort_by_cached_key(is_named);
        }
        places.dedup();
        places.truncate(Field::EVIDENCE_MAX);
        places
    }
}

#[cfg(test)]
mod tests;
