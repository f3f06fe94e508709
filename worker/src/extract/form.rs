//! What supports and what contradicts a value besides its place: the rules of its kind, other values,
//! and the checks of the schema.
//!
//! A property's kind is known by its name. It must know nothing of how values were found.

mod amounts;

use super::{
    code,
    concept::{Concept, Property},
    document_text::DocumentText,
};
use amounts::Amounts;
use jiff::civil::Date;
use serde_json::{Map, Value};
use shared::{
    extraction::{Candidate, Check, Field, FieldStatus, Reason},
    schema::rule::Rule,
};
use std::collections::BTreeMap;

/// Puts into conflict what breaks the rules of its kind, what does not agree with other values of
/// its object, and what a failed check compares.
pub fn judge(
    data: &Value,
    text: &DocumentText<'_>,
    checks: &[Check],
    fields: &mut BTreeMap<String, Field>,
) {
    let mut judge = Judge { text, fields };
    judge.value(data, "");
    for check in checks.iter().filter(|check| check.ok == Some(false)) {
        for pointer in Rule::parse(&check.rule).map(|rule| rule.pointers()).unwrap_or_default() {
            judge.conflict(&pointer, Reason::Check, None);
        }
    }
}

struct Judge<'a, 'b> {
    text: &'a DocumentText<'b>,
    fields: &'a mut BTreeMap<String, Field>,
}

impl Judge<'_, '_> {
    fn value(&mut self, value: &Value, path: &str) {
        match value {
            Value::Object(object) => {
                self.codes(object, path);
                self.dates(object, path);
                self.amounts(object, path);
                for (name, value) in object {
                    self.value(value, &pointer(path, name));
                }
            }
            Value::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    self.value(item, &format!("{path}/{index}"));
                }
            }
            _ => {}
        }
    }

    /// What stands in the text is in conflict; what does not is flagged already.
    fn conflict(&mut self, pointer: &str, reason: Reason, candidate: Option<Candidate>) {
        let Some(field) = self.fields.get_mut(pointer) else { return };
        if matches!(field.status, FieldStatus::Verified | FieldStatus::Printed) {
            field.status = FieldStatus::Conflict;
            field.reason = Some(reason);
        }
        let is_new = |candidate: &Candidate| {
            !field.candidates.iter().any(|known| known.value == candidate.value)
        };
        if let Some(candidate) = candidate.filter(is_new)
            && field.status != FieldStatus::Inferred
            && field.candidates.len() < Field::CANDIDATES_MAX
        {
            field.candidates.push(candidate);
        }
    }

    /// Whether a label names the value.
    fn is_named(&self, pointer: &str) -> bool {
        let field = self.fields.get(pointer);
        field.is_some_and(|field| field.status == FieldStatus::Verified && field.label.is_some())
    }

    /// What nothing else supports is supported by an equation whose members are all printed.
    fn prove(&mut self, names: Vec<&str>, path: &str) {
        let pointers: Vec<_> = names.into_iter().map(|name| pointer(path, name)).collect();
        let is_printed = |pointer: &String| {
            let status = self.fields.get(pointer).map(|field| field.status);
            matches!(status, Some(FieldStatus::Verified | FieldStatus::Printed))
        };
        if !pointers.iter().all(is_printed) {
            return;
        }
        for pointer in pointers {
            let open = self.fields.get_mut(&pointer);
            if let Some(field) = open.filter(|field| field.reason == Some(Reason::Unlabelled)) {
                (field.status, field.reason) = (FieldStatus::Verified, None);
            }
        }
    }

    fn codes(&mut self, object: &Map<String, Value>, path: &str) {
        for (name, value) in object {
            let Some(text) = value.as_str() else { continue };
            let is_broken = match concept(name, false) {
                Some(Concept::Iban) => !code::is_iban(text),
                Some(Concept::Bic) => !code::is_bic(text),
                Some(Concept::Ean) => !code::is_ean(text),
                Some(Concept::VatId | Concept::BuyerVatId) => !code::is_vat_id(text),
                _ => false,
            };
            if is_broken && !code::is_masked(text) {
                self.conflict(&pointer(path, name), Reason::Form, None);
            }
        }
    }

    /// Nothing is due before it is issued, or ends before it begins.
    fn dates(&mut self, object: &Map<String, Value>, path: &str) {
        let day = |wanted: Concept| {
            let mut named = object.iter().filter(|(name, _)| concept(name, false) == Some(wanted));
            let (name, value) = named.next()?;
            let day = value.as_str()?.get(..10)?.parse::<Date>().ok()?;
            Some((pointer(path, name), day))
        };
        let orders = [(Concept::Issue, Concept::Due), (Concept::TermStart, Concept::TermEnd)];
        for (first, last) in orders {
            if let (Some((one, first)), Some((other, last))) = (day(first), day(last))
                && last < first
            {
                // The one that a label contradicts is wrong, and not the one that a label names.
                let (is_one, is_other) = (self.is_named(&one), self.is_named(&other));
                if !is_one || is_other {
                    self.conflict(&one, Reason::Dates, None);
                }
                if !is_other || is_one {
                    self.conflict(&other, Reason::Dates, None);
                }
            }
        }
    }

    /// Net and tax make gross, quantity and price the amount of an item.
    fn amounts(&mut self, object: &Map<String, Value>, path: &str) {
        let is_item = path.rsplit('/').next().is_some_and(|name| name.parse::<usize>().is_ok());
        let amounts = Amounts { object, text: self.text, is_item };
        self.prove(amounts.proven(), path);
        for equation in amounts.broken() {
            let members: Vec<_> =
                equation.members.into_iter().map(|m| (pointer(path, m.name), m)).collect();
            // One value that is printed and would make it hold: the other two are right.
            let mended: Vec<_> =
                members.iter().filter(|(_, member)| member.mended.is_some()).collect();
            let is_found = |pointer: &String| {
                let status = self.fields.get(pointer).map(|field| field.status);
                matches!(status, Some(FieldStatus::Verified | FieldStatus::Printed))
            };
            let lost: Vec<_> = members.iter().filter(|(pointer, _)| !is_found(pointer)).collect();
            let unnamed: Vec<_> =
                members.iter().filter(|(pointer, _)| !self.is_named(pointer)).collect();
            let wrong = match (&lost[..], &mended[..]) {
                ([one], _) if one.1.mended.is_some() => vec![*one],
                ([], [one]) => vec![*one],
                _ if !unnamed.is_empty() => unnamed,
                _ => members.iter().collect(),
            };
            let wrong: Vec<_> = wrong.into_iter().cloned().collect();
            for (pointer, member) in wrong {
                self.conflict(&pointer, Reason::Amounts, member.mended);
            }
        }
    }
}

/// What a property holds by its name alone.
fn concept(name: &str, is_item: bool) -> Option<Concept> {
    Concept::of(Property { name, is_item, ..Property::default() })
}

fn pointer(path: &str, name: &str) -> String {
    format!("{path}/{}", name.replace('~', "~0").replace('/', "~1"))
}

#[cfg(test)]
mod tests;
