//! The values of an electronic invoice, and of the fields of a form, for the properties of a schema and
//! in their form.
//!
//! It must know nothing of what is printed.

use super::{
    KnownValue,
    binding::{self, Binding},
    form_index::FormIndex,
};
use crate::extract::{
    concept::{Concept, Property},
    convert::converted,
    node::Node,
    number::Decimal,
    pointer,
};
use serde_json::{Map, Number, Value};
use shared::{
    extraction::{EInvoice, Evidence, FieldSource, FormValue, PartyRole, Term, TermGroup, Terms},
    schema::Embedded,
};
use std::collections::{BTreeMap, BTreeSet};

/// Deeper than this no property is looked for: a schema may contain itself.
const DEPTH_MAX: usize = 12;

/// Types of which a value that is text can be none.
const OTHER_TYPES: [&str; 5] = ["number", "integer", "boolean", "object", "array"];

/// Goes through a schema with an invoice and a form.
pub(super) struct SchemaFiller<'a> {
    invoice: Option<&'a EInvoice>,
    form: FormIndex<'a>,
    embedded: Embedded,
    /// What is known, by JSON pointer.
    pub(super) values: BTreeMap<String, KnownValue>,
    /// What is to be asked for, by JSON pointer; of the items of a list under the first.
    pub(super) asked: BTreeSet<String>,
}

/// Where a property stands.
#[derive(Clone)]
struct Here<'a, 's> {
    /// Its JSON pointer.
    place: String,
    /// The same in the schema: all items of a list are the first.
    asked: String,
    parents: Vec<&'s str>,
    name: &'s str,
    group: TermGroup,
    /// Whether another property of the line is for the name of what was sold.
    has_name: bool,
    /// What the invoice says of the line or the tax that it is in, or of the whole.
    terms: Option<&'a Terms>,
}

/// What a document says of a property.
enum Said {
    Value(Value, KnownValue),
    /// The invoice has a place for it, and nothing stands there.
    Nothing,
    /// It has no place for it, or what stands there has another form.
    Unknown,
}

impl<'a, 's> Here<'a, 's> {
    fn property(&self, name: &'s str) -> Self {
        let step = pointer::of(&[name.to_owned()]);
        let mut parents = self.parents.clone();
        parents.extend((!self.name.is_empty()).then_some(self.name));
        let (place, asked) = (format!("{}{step}", self.place), format!("{}{step}", self.asked));
        Self { place, asked, parents, name, ..self.clone() }
    }
}

impl<'a> SchemaFiller<'a> {
    pub(super) fn new(
        invoice: Option<&'a EInvoice>,
        form: FormIndex<'a>,
        embedded: Embedded,
    ) -> Self {
        Self { invoice, form, embedded, values: BTreeMap::new(), asked: BTreeSet::new() }
    }

    /// The values for a whole schema.
    pub(super) fn whole(&mut self, body: &Value) -> Value {
        let here = Here {
            place: String::new(),
            asked: String::new(),
            parents: Vec::new(),
            name: "",
            group: TermGroup::Header,
            has_name: false,
            terms: self.invoice.map(|invoice| &invoice.header),
        };
        Value::Object(self.object(&Node::root(body), &here))
    }

    fn object(&mut self, node: &Node<'_>, here: &Here<'a, '_>) -> Map<String, Value> {
        let mut object = Map::new();
        for name in node.names() {
            let property = node.property(name);
            let inner = here.property(name);
            let value = self.value(&property, &inner, node.requires(name));
            object.extend(value.map(|value| (name.to_owned(), value)));
        }
        object
    }

    /// The value of a property; none where a model is to be asked, or where it may be left out.
    fn value(&mut self, node: &Node<'_>, here: &Here<'a, '_>, required: bool) -> Option<Value> {
        if here.parents.len() > DEPTH_MAX {
            return self.ask(here);
        }
        if node.names().next().is_some() {
            let asked = self.asked.len();
            let object = self.object(node, here);
            let is_nothing = self.asked.len() == asked && object.values().all(Value::is_null);
            if is_nothing && node.allows_null() {
                let within = format!("{}/", here.place);
                self.values.retain(|place, _| !place.starts_with(&within));
                return self.nothing(node, here, required);
            }
            return Some(Value::Object(object));
        }
        if node.has_type("array") {
            return self.list(node, here);
        }
        let said = match self.said(node, here) {
            Said::Unknown => self.filled_in(node, here),
            said => said,
        };
        match said {
            Said::Value(value, known) => {
                self.values.insert(here.place.clone(), known);
                Some(value)
            }
            Said::Nothing => self.nothing(node, here, required),
            Said::Unknown => self.ask(here),
        }
    }

    fn ask(&mut self, here: &Here<'_, '_>) -> Option<Value> {
        self.asked.insert(here.asked.clone());
        None
    }

    /// Null, where the invoice is believed to say all, and null may stand there.
    fn nothing(&mut self, node: &Node<'_>, here: &Here<'_, '_>, required: bool) -> Option<Value> {
        if self.embedded != Embedded::Trusted || required && !node.allows_null() {
            return self.ask(here);
        }
        node.allows_null().then(|| {
            self.values.insert(here.place.clone(), KnownValue::of(FieldSource::Embedded));
            Value::Null
        })
    }

    fn list(&mut self, node: &Node<'_>, here: &Here<'a, '_>) -> Option<Value> {
        let item = node.items();
        let names: Vec<_> = item.names().collect();
        let is_whole = here.group == TermGroup::Header;
        let group = binding::items(&here.parents, here.name, &names).filter(|_| is_whole);
        let (Some(group), Some(invoice)) = (group, self.invoice) else { return self.ask(here) };
        let items = if group == TermGroup::Tax { &invoice.taxes } else { &invoice.lines };
        if items.is_empty() && self.embedded != Embedded::Trusted {
            return self.ask(here);
        }
        let has_name = names.iter().any(|name| binding::is_item_name(name));
        let asked = self.asked.len();
        let mut values = Vec::new();
        for (index, terms) in items.iter().enumerate() {
            let (place, asked) = (format!("{}/{index}", here.place), format!("{}/0", here.asked));
            let inner = Here { place, asked, group, terms: Some(terms), has_name, ..here.clone() };
            values.push(Value::Object(self.object(&item, &inner)));
        }
        if self.asked.len() > asked {
            self.ask_what_items_are(&item, here, group);
        }
        Some(Value::Array(values))
    }

    /// So that a model knows of which item it is asked, and in which order.
    fn ask_what_items_are(&mut self, item: &Node<'_>, here: &Here<'_, '_>, group: TermGroup) {
        let parents = [&here.parents[..], &[here.name]].concat();
        let means = |name: &str| {
            let property = Property { parents: &parents, name, is_item: true };
            binding::binding(property, group, None)
        };
        let is_named = |name: &&str| {
            matches!(means(name), Some(Binding::Term(Term::ItemName | Term::TaxRate)))
        };
        let named = item.names().find(is_named);
        let place = |name: &str| format!("{}/0{}", here.asked, pointer::of(&[name.to_owned()]));
        self.asked.extend(named.map(place));
    }

    fn said(&self, node: &Node<'_>, here: &Here<'a, '_>) -> Said {
        let Some(invoice) = self.invoice else { return Said::Unknown };
        let is_item = here.group != TermGroup::Header;
        let property = Property { parents: &here.parents, name: here.name, is_item };
        let concept = node.keyword("concept").and_then(Value::as_str).and_then(Concept::named);
        if !is_item && node.has_type("integer") && binding::counts_lines(here.name) {
            let known = KnownValue { is_unprinted: true, ..KnownValue::of(FieldSource::Embedded) };
            return Said::Value(invoice.lines.len().into(), known);
        }
        let Some(binding) = binding::binding(property, here.group, concept) else {
            return Said::Unknown;
        };
        let own = |term| here.terms.and_then(|terms| terms.get(&term)).cloned();
        let of = |role: PartyRole, term| invoice.parties.get(&role)?.get(&term).cloned();
        let (text, term) = match binding {
            Binding::Term(Term::ItemName) if here.has_name && !binding::is_item_name(here.name) => {
                (own(Term::ItemDescription), Term::ItemDescription)
            }
            Binding::Term(term) if term.group() == TermGroup::Header => {
                (invoice.header.get(&term).cloned(), term)
            }
            Binding::Term(term) => (own(term), term),
            Binding::Party(role, term) => (of(role, term), term),
            Binding::Address(role) => {
                (invoice.parties.get(&role).and_then(address), Term::AddressLine1)
            }
            Binding::OnlyRate => match &invoice.taxes[..] {
                [only] => (only.get(&Term::TaxRate).cloned(), Term::TaxRate),
                _ => return Said::Unknown,
            },
        };
        let known = KnownValue {
            term: Some(term),
            is_unprinted: binding::is_code(term),
            is_adjusted: is_adjusted(term, here.terms),
            ..KnownValue::of(FieldSource::Embedded)
        };
        match text {
            Some(text) => fitting(node, &text).map_or(Said::Unknown, |v| Said::Value(v, known)),
            None if binding::is_covered(term) => Said::Nothing,
            None => Said::Unknown,
        }
    }

    /// What is filled into the only field of the form that has the name of a property.
    fn filled_in(&self, node: &Node<'_>, here: &Here<'_, '_>) -> Said {
        let path = here.parents.iter().chain([&here.name]).copied();
        let Some((field, page)) = self.form.field(path) else { return Said::Unknown };
        let value = match &field.value {
            FormValue::Ticked(is_ticked) if node.has_type("boolean") => Some((*is_ticked).into()),
            FormValue::Ticked(_) => None,
            FormValue::Text(text) => as_written(node, text),
        };
        let quote = match &field.value {
            FormValue::Ticked(true) => "[x]".to_owned(),
            FormValue::Ticked(false) => "[ ]".to_owned(),
            FormValue::Text(text) => text.clone(),
        };
        let evidence = Evidence { page, quote, bounds: Some(field.bounds) };
        let known = KnownValue { evidence: Some(evidence), ..KnownValue::of(FieldSource::Form) };
        value.map_or(Said::Unknown, |value| Said::Value(value, known))
    }
}

/// Whether amounts that belong together differ by what the invoice adds or takes: what a line is reduced
/// by, and what a sum is; or its price is that of more than one.
fn is_adjusted(term: Term, terms: Option<&Terms>) -> bool {
    let is_there = |term: &Term| {
        let value = terms.and_then(|terms| terms.get(term));
        value.is_some_and(|value| value.contains(|c: char| matches!(c, '1'..='9')))
    };
    let is_of_many = terms
        .and_then(|terms| terms.get(&Term::PriceQuantity))
        .is_some_and(|of| Decimal::parse(of) != Decimal::parse("1"));
    match term {
        Term::Quantity | Term::NetPrice | Term::GrossPrice | Term::LineNet => {
            is_of_many || is_there(&Term::LineAdjustment)
        }
        Term::Net | Term::LineTotal => {
            [Term::AllowanceTotal, Term::ChargeTotal].iter().any(is_there)
        }
        _ => false,
    }
}

/// An address as it is printed, mostly: the lines, and the town behind its post code. The country is a
/// code, and printed in other words or not at all.
fn address(party: &Terms) -> Option<String> {
    let part = |term| party.get(&term).map(String::as_str);
    let town = [part(Term::Postcode), part(Term::City)];
    let town = town.into_iter().flatten().collect::<Vec<_>>().join(" ");
    let lines = [Term::AddressLine1, Term::AddressLine2, Term::AddressLine3].map(part);
    let parts = lines.into_iter().flatten().chain((!town.is_empty()).then_some(town.as_str()));
    let parts = parts.collect::<Vec<_>>().join(", ");
    (!parts.is_empty()).then_some(parts)
}

/// What somebody wrote as a value of the type and format that a schema asks for.
fn as_written(node: &Node<'_>, text: &str) -> Option<Value> {
    let written = Value::from(text);
    let is_any_text = !["date", "time", "date-time"].iter().any(|format| node.has_format(format));
    let is_text = is_any_text && fitting(node, text).is_some_and(|value| value == written);
    if is_text { Some(written) } else { converted(node, &written).or_else(|| fitting(node, text)) }
}

/// The text as a value of the type that a schema asks for.
fn fitting(node: &Node<'_>, text: &str) -> Option<Value> {
    let is_number = node.has_type("number") || node.has_type("integer");
    let number = || Decimal::parse(text)?.as_str().parse::<Number>().ok().map(Value::Number);
    let is_text = node.has_type("string") || !OTHER_TYPES.iter().any(|kind| node.has_type(kind));
    let as_text = || is_text.then(|| text.into());
    if is_number { number().or_else(as_text) } else { as_text() }
}
