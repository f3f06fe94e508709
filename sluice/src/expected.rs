//! What a bundled document must yield, and whether it did.

use include_dir::{Dir, include_dir};
use serde_json::Value;

/// The documents that we made.
pub(crate) static DOCUMENTS: Dir<'static> =
    include_dir!("$CARGO_MANIFEST_DIR/../fixtures/documents");

static EXPECTED: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/../fixtures/expected");

/// What a bundled document must yield.
pub(crate) fn of(file: &str) -> Option<Value> {
    let expected = EXPECTED.get_file(format!("{file}.json"))?;
    serde_json::from_slice(expected.contents()).ok()
}

/// How a document that ended differs from what it must yield; empty when it does not.
/// `outcome` is the extraction, or the document where there is none.
pub(crate) fn differences(expected: &Value, outcome: &Value) -> Vec<String> {
    let mut differences = Vec::new();
    let mut differ = |what: &str, expected: &Value, got: &Value| {
        if expected != got {
            differences.push(format!("{what}: {got} instead of {expected}"));
        }
    };
    differ("state", &expected["state"], &outcome["state"]);
    if let Some(code) = expected.get("code") {
        differ("code", code, &outcome["failure"]["code"]);
        return differences;
    }
    compare("", &expected["data"], &outcome["data"], &mut differ);
    if let Some(lines) = expected.get("lines") {
        let arrays = outcome["data"].as_object().into_iter().flat_map(|data| data.values());
        let longest = arrays.filter_map(Value::as_array).map(Vec::len).max().unwrap_or_default();
        differ("lines", lines, &Value::from(longest));
    }
    if let Some(least) = expected["verified_min"].as_f64() {
        let share = verified(outcome);
        if share < least {
            differences.push(format!("verified: {share:.2} of the fields instead of {least}"));
        }
    }
    differences
}

/// The share of the values that were proven, of all that are not null.
pub(crate) fn verified(extraction: &Value) -> f64 {
    let known = statuses(extraction).filter(|status| *status != "missing").count();
    let proven = statuses(extraction).filter(|status| *status == "verified").count();
    if known == 0 { 1.0 } else { proven as f64 / known as f64 }
}

/// How many values were not found.
pub(crate) fn missing(extraction: &Value) -> usize {
    statuses(extraction).filter(|status| *status == "missing").count()
}

fn statuses(extraction: &Value) -> impl Iterator<Item = &str> {
    let fields = extraction["fields"].as_object().into_iter().flat_map(|fields| fields.values());
    fields.filter_map(|field| field["status"].as_str())
}

fn compare(
    path: &str,
    expected: &Value,
    got: &Value,
    differ: &mut impl FnMut(&str, &Value, &Value),
) {
    match (expected, got) {
        (Value::Object(expected), Value::Object(_)) => {
            for (key, value) in expected {
                compare(&format!("{path}/{key}"), value, &got[key], differ);
            }
        }
        (Value::Array(expected), Value::Array(items)) if expected.len() == items.len() => {
            for (index, (expected, got)) in expected.iter().zip(items).enumerate() {
                compare(&format!("{path}/{index}"), expected, got, differ);
            }
        }
        // 1 and 1.0 are one number.
        (Value::Number(a), Value::Number(b)) if a.as_f64() == b.as_f64() => {}
        _ => differ(path, expected, got),
    }
}
