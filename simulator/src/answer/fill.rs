//! Fills a JSON Schema with what a document says. Whatever was found, the result fits the schema.

use super::find::Finder;
use super::shape::{Property, Type, least, types};
use super::table::{self, Column};
use super::text::{Document, fold, fold_name};
use super::{label, value};
use serde_json::{Map, Value};
use std::collections::HashSet;

/// The last words of the names of companies.
const LEGAL_FORMS: &str =
    "ltd,llc,llp,inc,plc,gmbh,ag,kg,sarl,sas,sa,s a,bv,b v,srl,s r l,sl,s l,spa,s p a";

/// Answers with what a document says, or with the emptiest value that fits.
pub(crate) fn fill(root: &Value, document: &Document) -> Value {
    let types = types(root, root, "", &[]);
    let mut labels = HashSet::new();
    collect(&types, &mut labels);
    let finder = Finder { document, labels };
    let object = types.iter().find(|one| one.kind == "object");
    object.and_then(|one| record(one, |own| found(&finder, own))).unwrap_or_else(|| least(&types))
}

/// What the document says about a property; nothing when it says nothing.
fn found(finder: &Finder<'_>, own: &Property<'_>) -> Option<Value> {
    own.types.iter().find_map(|one| match one.kind {
        "object" => record(one, |own| found(finder, own)),
        "array" => {
            let item = one.items.iter().find(|item| item.kind == "object")?;
            let list = records(finder.document, item);
            (!list.is_empty()).then_some(Value::Array(list))
        }
        _ => scalar(finder, one, own),
    })
}

/// The items of a list of objects.
fn records(document: &Document, item: &Type<'_>) -> Vec<Value> {
    let is_needed =
        |own: &Property<'_>| own.is_required && !own.types.iter().any(Type::allows_null);
    let filled = |row: Vec<Option<&str>>| {
        let mut texts = row.into_iter();
        let mut is_whole = true;
        let filled = record(item, |own| {
            let text = texts.next().flatten();
            let value = own.types.iter().find_map(|one| read(one, own, text?, true));
            let is_number = own.types.iter().any(|one| matches!(one.kind, "number" | "integer"));
            is_whole &= value.is_some() || !(is_needed(own) || is_number && text.is_some());
            value
        });
        filled.filter(|_| is_whole)
    };
    let has = |name: &str| item.properties.iter().any(|own| own.name == name);
    let rows = if has("label") && has("value") {
        let row = |(label, value)| {
            let text = |own: &Property<'_>| match own.name.as_str() {
                "label" => Some(label),
                "value" => Some(value),
                _ => None,
            };
            item.properties.iter().map(text).collect()
        };
        table::pairs(document).into_iter().map(row).collect()
    } else {
        let column = |own: &Property<'_>| Column {
            labels: label::of_property(own),
            is_needed: is_needed(own),
        };
        let columns: Vec<Column> = item.properties.iter().map(column).collect();
        let rows = table::rows(document, &columns);
        if rows.is_empty() { table::receipt(document, &columns) } else { rows }
    };
    rows.into_iter().filter_map(filled).collect()
}

fn scalar(finder: &Finder<'_>, one: &Type<'_>, own: &Property<'_>) -> Option<Value> {
    let heading = finder.document.rows.first().map_or(&[][..], Vec::as_slice);
    let text = match fold_name(own.name).as_str() {
        "title" | "heading" | "merchant" | "shop" | "store" => {
            heading.first().map(|cell| cell.text.trim_start_matches(['#', ' ']).to_owned())
        }
        name if name == "currency" || own.description.contains("ISO 4217") => {
            value::currency(finder.document)
        }
        _ => {
            // "Cash   10.00" says nothing about how it was paid.
            let is_money = |text: &str| text.contains(['.', ',']) && value::number(text).is_some();
            let read = |text: &str, is_marked: bool| {
                let value = read(one, own, text, is_marked);
                value.filter(|value| !value.as_str().is_some_and(is_money))
            };
            let found = finder.value(&label::of_property(own), &read);
            if found.is_some() || !matches!(own.path.as_str(), "seller" | "seller name") {
                return found;
            }
            let is_company = |text: &&String| {
                LEGAL_FORMS.split(',').any(|form| fold(text).ends_with(&format!(" {form}")))
            };
            heading.iter().map(|cell| &cell.text).find(is_company).cloned()
        }
    };
    read(one, own, &text?, true)
}

/// A printed text as a value of a type, if it is one.
fn read(one: &Type<'_>, own: &Property<'_>, text: &str, is_marked: bool) -> Option<Value> {
    let is_whole = |number: &f64| number.fract() == 0.0 && number.abs() < 1e15;
    match one.kind {
        "enum" => {
            let is_it =
                |choice: &&&Value| choice.as_str().is_some_and(|own| fold_name(own) == fold(text));
            one.choices.iter().find(is_it).map(|choice| (*choice).clone())
        }
        "number" | "integer" => match value::number(text)? {
            number if is_whole(&number) => Some(Value::from(number as i64)),
            number => (one.kind == "number").then(|| Value::from(number)),
        },
        "boolean" => match fold(text).as_str() {
            "yes" | "ja" | "oui" | "true" | "x" => Some(Value::Bool(true)),
            "number" | "nein" | "non" | "false" => Some(Value::Bool(false)),
            _ => None,
        },
        "string" => {
            let (said, name) = (own.description.to_lowercase(), fold_name(own.name));
            let last = name.rsplit(' ').next().unwrap_or_default();
            let is_said = said.contains("iso 8601") || said.contains("format date)");
            let is_date = one.format.is_empty() && (is_said || last == "date");
            let text = match last {
                _ if is_date || one.format == "date" => value::date(text),
                "time" => value::time(text),
                "number" | "id" | "code" | "iban" | "reference" => value::code(text, is_marked),
                "name" | "description" if !text.contains(char::is_alphabetic) => None,
                _ => is_marked.then(|| text.to_owned()),
            };
            text.filter(|text| one.has_format(text)).map(Value::String)
        }
        _ => None,
    }
}

/// An object of what is found and of what must be there; nothing when nothing is found.
fn record<'a>(
    one: &Type<'a>,
    mut find: impl FnMut(&Property<'a>) -> Option<Value>,
) -> Option<Value> {
    let mut object = Map::new();
    let mut is_any = false;
    for own in &one.properties {
        let found = find(own);
        is_any |= found.is_some();
        let value = found.or_else(|| own.is_required.then(|| least(&own.types)));
        object.extend(value.map(|value| (own.name.clone(), value)));
    }
    is_any.then_some(Value::Object(object))
}

/// All labels of a schema.
fn collect(types: &[Type<'_>], labels: &mut HashSet<String>) {
    for one in types {
        collect(&one.items, labels);
        for own in &one.properties {
            labels.extend(label::of_property(own));
            collect(&own.types, labels);
        }
    }
}
