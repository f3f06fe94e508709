//! The values of an electronic invoice for the properties of a schema, in their form.
//!
//! It must know nothing of what is printed.

use super::{
    KnownValue,
    meaning::{self, Meaning},
};
use crate::extract::{
    concept::{Concept, Property},
    node::Node,
    number::Decimal,
    pointer,
};
use serde_json::{Map, Number, Value};
use shared::{
    extraction::{EInvoice, PartyRole, Source, Term, TermGroup, Terms},
    schema::Embedded,
};
use std::collections::{BTreeMap, BTreeSet};

/// Deeper than this no property is looked for: a schema may contain itself.
const DEPTH_MAX: usize = 12;

/// Types of which a value that is text can be none.
const OTHER_TYPES: [&str; 5] = ["number", "integer", "boolean", "object", "array"];

/// Goes through a schema with an invoice.
pub(super) struct Finder<'a> {
    invoice: &'a EInvoice,
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
    terms: &'a Terms,
}

/// What an invoice says of a property.
enum Said {
    Value(String, bool),
    /// It has a place for it, and nothing stands there.
    Nothing,
    /// It has no place for it.
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

impl<'a> Finder<'a> {
    pub(super) fn new(invoice: &'a EInvoice, embedded: Embedded) -> Self {
        Self { invoice, embedded, values: BTreeMap::new(), asked: BTreeSet::new() }
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
            terms: &self.invoice.header,
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
        match self.said(node, here) {
            Said::Value(text, is_code) => match fitting(node, &text) {
                Some(value) => {
                    let known = KnownValue { source: Source::Embedded, is_code };
                    self.values.insert(here.place.clone(), known);
                    Some(value)
                }
                None => self.ask(here),
            },
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
            let known = KnownValue { source: Source::Embedded, is_code: false };
            self.values.insert(here.place.clone(), known);
            Value::Null
        })
    }

    fn list(&mut self, node: &Node<'_>, here: &Here<'a, '_>) -> Option<Value> {
        let item = node.items();
        let names: Vec<_> = item.names().collect();
        let is_whole = here.group == TermGroup::Header;
        let group = meaning::items(&here.parents, here.name, &names).filter(|_| is_whole);
        let items = match group {
            Some(TermGroup::Line) => &self.invoice.lines,
            Some(TermGroup::Tax) => &self.invoice.taxes,
            _ => return self.ask(here),
        };
        if items.is_empty() && self.embedded != Embedded::Trusted {
            return self.ask(here);
        }
        let group = group.unwrap_or(TermGroup::Line);
        let has_name = names.iter().any(|name| meaning::is_item_name(name));
        let asked = self.asked.len();
        let mut values = Vec::new();
        for (index, terms) in items.iter().enumerate() {
            let (place, asked) = (format!("{}/{index}", here.place), format!("{}/0", here.asked));
            let inner = Here { place, asked, group, terms, has_name, ..here.clone() };
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
            meaning::meaning(property, group, None)
        };
        let is_named = |name: &&str| {
            matches!(means(name), Some(Meaning::Term(Term::ItemName | Term::TaxRate)))
        };
        let named = item.names().find(is_named);
        let place = |name: &str| format!("{}/0{}", here.asked, pointer::of(&[name.to_owned()]));
        self.asked.extend(named.map(place));
    }

    fn said(&self, node: &Node<'_>, here: &Here<'a, '_>) -> Said {
        let property = Property {
            parents: &here.parents,
            name: here.name,
            is_item: here.group != TermGroup::Header,
        };
        let concept = node.keyword("concept").and_then(Value::as_str).and_then(Concept::named);
        let is_count = node.has_type("integer") && meaning::counts_lines(here.name);
        if is_count && here.group == TermGroup::Header {
            return Said::Value(self.invoice.lines.len().to_string(), true);
        }
        let Some(meaning) = meaning::meaning(property, here.group, concept) else {
            return Said::Unknown;
        };
        let (text, term) = match meaning {
            Meaning::Term(Term::ItemName) if here.has_name && !meaning::is_item_name(here.name) => {
                (here.terms.get(&Term::ItemDescription).cloned(), Term::ItemDescription)
            }
            Meaning::Term(term) => {
                let terms = match term.group() {
                    TermGroup::Header => &self.invoice.header,
                    _ => here.terms,
                };
                (terms.get(&term).cloned(), term)
            }
            Meaning::Party(role, term) => {
                (self.party(role).and_then(|party| party.get(&term)).cloned(), term)
            }
            Meaning::Address(role) => (self.party(role).and_then(address), Term::AddressLine1),
            Meaning::OnlyRate => match &self.invoice.taxes[..] {
                [only] => (only.get(&Term::TaxRate).cloned(), Term::TaxRate),
                _ => return Said::Unknown,
            },
        };
        match text {
            Some(text) => Said::Value(text, meaning::is_code(term)),
            None if meaning::is_covered(term) => Said::Nothing,
            None => Said::Unknown,
        }
    }

    fn party(&self, role: PartyRole) -> Option<&'a Terms> {
        self.invoice.parties.get(&role)
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

/// The text as a value of the type that a schema asks for.
fn fitting(node: &Node<'_>, text: &str) -> Option<Value> {
    let is_number = node.has_type("number") || node.has_type("integer");
    let number = || Decimal::parse(text)?.as_str().parse::<Number>().ok().map(Value::Number);
    let is_text = node.has_type("string") || !OTHER_TYPES.iter().any(|kind| node.has_type(kind));
    let as_text = || is_text.then(|| text.into());
    if is_number { number().or_else(as_text) } else { as_text() }
}
