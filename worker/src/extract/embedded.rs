//! What a document says of itself beside its pages, in the form of a schema, and what is left to ask.
//!
//! An electronic invoice is the original, in law too: its values need no model. It must know nothing
//! of how a model is asked.

mod binding;
mod form_index;
mod find;
mod otherwise;

use super::{
    compiled::CompiledSchema, document_text::DocumentText, node::Node, pointer, subschema,
};
use find::SchemaFiller;
use form_index::FormIndex;
use otherwise::{Otherwise, Printable};
use serde_json::{Map, Value};
use shared::{
    extraction::{EInvoice, Evidence, Field, FieldSource, FieldStatus, Pages, Reason, Term},
    schema::{Embedded, ExtractionSchema},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// A value that no model is asked for.
#[derive(Clone, Debug, PartialEq)]
struct KnownValue {
    /// Where it is from.
    source: FieldSource,
    /// What it is in an invoice; none where it is a count, or of a form.
    term: Option<Term>,
    /// Whether it need not be printed: a code is printed in other words, and a count not at all.
    is_unprinted: bool,
    /// Whether it need not agree with others: the invoice says what is added or taken.
    is_adjusted: bool,
    /// Where it is filled in.
    evidence: Option<Evidence>,
}

impl KnownValue {
    fn of(source: FieldSource) -> Self {
        Self { source, term: None, is_unprinted: false, is_adjusted: false, evidence: None }
    }
}

/// What is known of a document before a model is asked.
#[derive(Debug)]
pub struct Known {
    /// The values, in the form of the schema; null where nothing is known.
    data: Value,
    /// Each of them by its JSON pointer; null is one, where the document cannot have another.
    values: BTreeMap<String, KnownValue>,
    /// What to ask for: all of the schema or a part of it, in one question or several; or nothing.
    pub asked: Vec<Arc<CompiledSchema>>,
    /// What a reader should know.
    pub warnings: Vec<String>,
    /// The invoice that values are from.
    invoice: Option<EInvoice>,
}

/// How a document is asked about.
#[derive(Clone, Copy, Debug)]
pub struct AskingLimits {
    /// What is done with values that it carries, where the schema does not say.
    pub embedded: Embedded,
    /// The most properties of one question.
    pub properties_max: usize,
}

/// What is known of a document, and what is to be asked.
pub fn known(schema: &Arc<CompiledSchema>, pages: &Pages, limits: AskingLimits) -> Known {
    let all = subschema::all(schema);
    let mut known = Known {
        data: Value::Null,
        values: BTreeMap::new(),
        asked: subschema::questions(schema, &all, limits.properties_max),
        warnings: Vec::new(),
        invoice: None,
    };
    let embedded = schema.schema.embedded().unwrap_or(limits.embedded);
    let form = FormIndex::new(pages);
    let is_empty = pages.e_invoices.is_empty() && form.is_empty();
    // Of a schema that contains itself there is no end of places.
    if embedded == Embedded::Ignored || is_empty || !subschema::is_finite(&schema.schema) {
        return known;
    }
    if pages.e_invoices.len() > 1 {
        let numbers: Vec<_> = pages.e_invoices.iter().filter_map(EInvoice::number).collect();
        known.warnings.push(format!(
            "it carries several electronic invoices ({}): none was used; upload each as a document of \
             its own",
            numbers.join(", ")
        ));
    }
    let only = pages.e_invoices.first().filter(|_| pages.e_invoices.len() == 1);
    let mut filler = SchemaFiller::new(only, form, embedded);
    let data = filler.whole(&schema.schema.body);
    let SchemaFiller { mut values, mut asked, .. } = filler;
    if values.keys().all(|place| data.pointer(place).is_none_or(Value::is_null)) {
        known.warnings.extend(
            only.map(|invoice| format!("{} says nothing that the schema asks for", named(invoice))),
        );
        return known;
    }
    known.data = data;
    drop_misfits(schema, &mut known.data, &mut values, &mut asked);
    known.values = values;
    known.asked = match asked.is_empty() {
        true => Vec::new(),
        false => subschema::questions(schema, &asked, limits.properties_max),
    };
    let has = |source| known.values.values().any(|value| value.source == source);
    let (is_of_invoice, is_of_form) = (has(FieldSource::Embedded), has(FieldSource::Form));
    if let Some(invoice) = only.filter(|_| is_of_invoice) {
        known.warnings.extend(warnings(invoice, &known.data));
        known.invoice = Some(invoice.clone());
    }
    if is_of_form {
        let said = "values whose source is \"form\" are those of its fields: no model was asked";
        known.warnings.push(said.to_owned());
    }
    known
}

/// Takes out what does not fit the schema: a model is asked for it.
fn drop_misfits(
    schema: &CompiledSchema,
    data: &mut Value,
    values: &mut BTreeMap<String, KnownValue>,
    asked: &mut BTreeSet<String>,
) {
    let root = Node::root(&schema.schema.body);
    for violation in schema.check(data, false) {
        let mut tokens = pointer::tokens(&violation.pointer);
        let is_index = |tokens: &[String]| {
            let list = tokens.split_last().map(|(_, list)| root.at(list));
            list.is_some_and(|list| list.has_type("array"))
        };
        // Without one of its items a list would have the others in wrong places.
        while is_index(&tokens) {
            tokens.pop();
        }
        let place = pointer::of(&tokens);
        if place.is_empty() {
            continue;
        }
        pointer::remove(data, &place);
        values.retain(|known, _| known != &place && !known.starts_with(&format!("{place}/")));
        for end in 1..tokens.len() {
            let (list, token) = (tokens.get(..end).unwrap_or_default(), end);
            if root.at(list).has_type("array")
                && let Some(index) = tokens.get_mut(token)
            {
                "0".clone_into(index);
            }
        }
        asked.insert(pointer::of(&tokens));
    }
}

fn named(invoice: &EInvoice) -> String {
    match invoice.file.as_str() {
        "" => "the electronic invoice that it is".to_owned(),
        file => format!("the electronic invoice {file} that it carries"),
    }
}

fn warnings(invoice: &EInvoice, data: &Value) -> Vec<String> {
    let name = named(invoice);
    let mut warnings = vec![format!(
        "values whose source is \"embedded\" are those of {name}: no model was asked"
    )];
    if !invoice.faults.is_empty() {
        let faults = invoice.faults.join(", ");
        warnings.push(format!("{name} has values in no legal form, which are left out: {faults}"));
    }
    let lists = data.as_object().into_iter().flat_map(Map::values);
    let has_empty = lists.into_iter().any(|value| value.as_array().is_some_and(Vec::is_empty));
    if invoice.is_without_lines() && has_empty {
        warnings.push(format!(
            "{name} has a profile without lines ({}), and no model was asked for them: set \
             text.embedded or the schema's x-sluice.embedded to \"supplemented\" to ask",
            invoice.profile
        ));
    }
    warnings
}

impl Known {
    /// Whether there is anything.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Whether a model is asked for all of the schema, in one question.
    pub fn is_plain(&self) -> bool {
        self.is_empty() && self.asked.len() == 1
    }

    /// The values with what a model found besides, and what the two do not agree in.
    pub fn with(&self, schema: &ExtractionSchema, found: Value) -> (Value, Vec<String>) {
        if self.is_empty() {
            return (found, Vec::new());
        }
        let mut warnings = Vec::new();
        let root = Node::root(&schema.body);
        let data = joined(&root, self.data.clone(), found, "", &mut warnings);
        (data, warnings)
    }

    /// Says of each value that is known where it is from, of those that stand on the pages that they are
    /// what they are there, and of those that do not what stands there instead.
    pub fn judge(
        &self,
        data: &Value,
        text: &DocumentText<'_>,
        fields: &mut BTreeMap<String, Field>,
    ) {
        for (place, known) in &self.values {
            let is_own = data.pointer(place) == self.data.pointer(place);
            if let Some(field) = fields.get_mut(place).filter(|_| is_own) {
                known.judge(field);
            }
        }
        let Some(invoice) = &self.invoice else { return };
        let mut unprinted: BTreeMap<Printable, Vec<(&str, &Value)>> = BTreeMap::new();
        for (place, known) in &self.values {
            let is_lost =
                |field: &Field| field.source.is_some() && field.status == FieldStatus::NotFound;
            if let Some(kind) = known.term.and_then(Printable::of)
                && fields.get(place).is_some_and(is_lost)
                && let Some(value) = self.data.pointer(place)
            {
                unprinted.entry(kind).or_default().push((place, value));
            }
        }
        if unprinted.is_empty() {
            return;
        }
        let otherwise = Otherwise::new(invoice, text);
        for (kind, lost) in unprinted {
            let (places, values): (Vec<_>, Vec<_>) = lost.into_iter().unzip();
            let instead = otherwise.instead(kind, &values);
            for (place, instead) in places.into_iter().zip(instead) {
                let Some(field) = fields.get_mut(place) else { continue };
                if let Some(candidate) = instead {
                    field.status = FieldStatus::Conflict;
                    field.reason = Some(Reason::Embedded);
                    field.candidates = vec![candidate.clone()];
                } else if otherwise.all(kind).len() <= Field::CANDIDATES_MAX {
                    field.candidates = otherwise.all(kind).to_vec();
                }
            }
        }
    }
}

impl KnownValue {
    /// The field of a value that is this one, as its evidence alone has it.
    fn judge(&self, field: &mut Field) {
        if self.is_unprinted && self.term.is_none() {
            *field = Field::of(FieldStatus::Inferred);
        }
        field.source = Some(self.source);
        // An invoice says which reading is meant, and of what.
        let is_read_another_way =
            matches!(field.reason, None | Some(Reason::Ambiguous | Reason::Unlabelled));
        let is_of_role =
            matches!(field.reason, Some(Reason::Label | Reason::Place | Reason::SharedPlace));
        let is_of_sums = matches!(field.reason, Some(Reason::Amounts | Reason::Check));
        let is_proven = match field.status {
            FieldStatus::Printed => is_read_another_way,
            FieldStatus::Conflict => is_of_role || self.is_adjusted && is_of_sums,
            // A tick is printed, and what it means is known.
            FieldStatus::Inferred => self.evidence.is_some(),
            FieldStatus::Verified => true,
            _ => false,
        };
        if is_proven {
            field.status = FieldStatus::Verified;
            (field.reason, field.candidates) = (None, Vec::new());
            field.evidence = match &self.evidence {
                Some(place) => vec![place.clone()],
                None => std::mem::take(&mut field.evidence),
            };
        } else if field.status == FieldStatus::NotFound && self.is_unprinted {
            field.status = FieldStatus::Inferred;
        }
    }
}

/// What is known, and what was found where nothing is, in the order of the schema.
fn joined(
    node: &Node<'_>,
    known: Value,
    found: Value,
    place: &str,
    warnings: &mut Vec<String>,
) -> Value {
    match (known, found) {
        (Value::Object(mut known), Value::Object(mut found)) => {
            let mut joint = Map::new();
            let own: Vec<String> = known.keys().chain(found.keys()).cloned().collect();
            for name in node.names().map(str::to_owned).chain(own) {
                let inner = format!("{place}{}", pointer::of(std::slice::from_ref(&name)));
                let value = match (known.remove(&name), found.remove(&name)) {
                    (Some(known), Some(found)) => {
                        joined(&node.property(&name), known, found, &inner, warnings)
                    }
                    (Some(value), None) | (None, Some(value)) => value,
                    (None, None) => continue,
                };
                joint.insert(name, value);
            }
            Value::Object(joint)
        }
        (Value::Array(known), Value::Array(found)) => {
            let node = node.items();
            if known.len() != found.len() {
                warnings.push(format!(
                    "{place}: a model found {} items and not {}: what it says of them is left out",
                    found.len(),
                    known.len()
                ));
                return Value::Array(known);
            }
            let pairs = known.into_iter().zip(found).enumerate();
            let pairs = pairs.map(|(index, (known, found))| {
                joined(&node, known, found, &format!("{place}/{index}"), warnings)
            });
            Value::Array(pairs.collect())
        }
        (Value::Null, found) => found,
        (known, _) => known,
    }
}

#[cfg(test)]
mod tests;
