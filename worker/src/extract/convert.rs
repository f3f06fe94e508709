//! A value in another form than the schema's, in the schema's form: only where it can mean one thing.
//!
//! It must know nothing of documents: what is printed there does not decide here.

use super::{
    date::{self, DateStyle},
    node::Node,
    number::{self, Style},
    reading::{Grade, Reading},
};
use jiff::{Timestamp, civil::Date, civil::DateTime, tz::TimeZone};
use serde_json::{Number, Value};
use std::collections::BTreeSet;

/// Signs of currencies that may stand beside a number.
const CURRENCY_SIGNS: [char; 4] = ['€', '$', '£', '¥'];

/// The value in the form that the schema asks for; `None` where there is none, or more than one.
pub fn converted(node: &Node<'_>, value: &Value) -> Option<Value> {
    let is_number = node.has_type("number") || node.has_type("integer");
    match value {
        Value::String(text) if node.has_format("date") => day(text),
        Value::Number(digits) if node.has_format("date") => day(&digits.to_string()),
        Value::String(text) if is_number => number(text),
        Value::String(text) if node.has_type("boolean") => match text.trim() {
            "true" => Some(true.into()),
            "false" => Some(false.into()),
            _ => None,
        },
        // A fraction may have lost zeros that were printed.
        Value::Number(digits) if node.has_type("string") && !digits.is_f64() => {
            Some(digits.to_string().into())
        }
        _ => None,
    }
}

/// `"119.00"`, `"1.234,56 €"`; not `"1.234"`, which is a thousand or one.
fn number(text: &str) -> Option<Value> {
    let text = text.trim();
    let found = number::scan(text, Style::UNKNOWN, &[]);
    let place =
        found.iter().map(|number| number.place.clone()).max_by_key(ExactSizeIterator::len)?;
    let around = [text.get(..place.start)?, text.get(place.end..)?];
    if !around.into_iter().all(is_sign_or_currency) {
        return None;
    }
    let here = found.into_iter().filter(|number| number.place == place);
    let values: BTreeSet<_> = here.map(|number| number.value).collect();
    let only = values.first().filter(|_| values.len() == 1)?;
    only.as_str().parse::<Number>().ok().map(Value::Number)
}

fn is_sign_or_currency(text: &str) -> bool {
    let text = text.trim_matches(|c: char| c.is_whitespace() || c == '-' || c == '\u{2212}');
    let is_code = text.len() == 3 && text.bytes().all(|c| c.is_ascii_uppercase());
    text.is_empty() || is_code || text.chars().all(|c| CURRENCY_SIGNS.contains(&c))
}

/// `2018-12-06T00:00:00Z`, `20181206`, `6 December 2018`, `06.12.2018`; not `06/12/2018`, which may be
/// two days, nor the end of an evening in UTC, which is tomorrow further east.
fn day(text: &str) -> Option<Value> {
    let text = text.trim();
    let day = if text.contains(':') { day_of_time(text) } else { only_day(text) };
    day.map(|day| day.to_string().into())
}

fn only_day(text: &str) -> Option<Date> {
    let is_whole =
        |date: &Reading<Date>| date.place == (0..text.len()) && date.grade != Grade::Contrary;
    let found = date::scan(text, DateStyle::default()).into_iter().filter(is_whole);
    let days: BTreeSet<_> = found.map(|date| date.value).collect();
    days.first().copied().filter(|_| days.len() == 1)
}

fn day_of_time(text: &str) -> Option<Date> {
    if !text.ends_with(['Z', 'z']) {
        return text.parse::<DateTime>().ok().map(|time| time.date());
    }
    let time = text.parse::<Timestamp>().ok()?.to_zoned(TimeZone::UTC);
    (time.time() == jiff::civil::Time::midnight()).then(|| time.date())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_can_mean_one_thing_is_converted() {
        let check = |schema: Value, value: Value, expected: Option<Value>| {
            assert_eq!(converted(&Node::root(&schema), &value), expected, "{schema} {value}");
        };
        let number = || json!({ "type": ["number", "null"] });
        for (text, expected) in [
            ("119.00", json!(119)),
            (" 119,5 ", json!(119.5)),
            ("1.234,56", json!(1234.56)),
            ("1,234.56", json!(1234.56)),
            ("1 234 567,80 €", json!(1234567.8)),
            ("EUR 12.30", json!(12.3)),
            ("-7", json!(-7)),
            ("0", json!(0)),
            ("1.234.567", json!(1234567)),
        ] {
            check(number(), text.into(), Some(expected));
        }
        for text in ["1.234", "1,234", "19 %", "(5)", "12 kg", "3 x 4", "no", "", "R-7", "1 2"] {
            check(number(), text.into(), None);
        }
        check(json!({ "type": "integer" }), json!("12"), Some(json!(12)));
        let date =
            || json!({ "anyOf": [{ "type": "string", "format": "date" }, { "type": "null" }] });
        for text in [
            "2018-12-06T00:00:00Z",
            "2018-12-06T00:00:00.000Z",
            "2018-12-06 00:00:00",
            "2018-12-06T14:30:00",
            "2018-12-06T00:30:00+01:00",
            "20181206",
            "2018/12/06",
            "6 December 2018",
        ] {
            check(date(), text.into(), Some("2018-12-06".into()));
        }
        check(date(), json!(20181206), Some("2018-12-06".into()));
        check(date(), json!("25.12.2018"), Some("2018-12-25".into()));
        check(date(), json!("06.12.2018"), Some("2018-12-06".into()));
        for text in ["06/12/2018", "2018-12-05T23:00:00Z", "2018-12", "31.02.2018", "soon", "2018"]
        {
            check(date(), text.into(), None);
        }
        check(json!({ "type": "string" }), json!(17), Some("17".into()));
        check(json!({ "type": "string" }), json!(17.5), None);
        check(json!({ "type": "boolean" }), json!("true"), Some(true.into()));
        check(json!({ "type": "boolean" }), json!("yes"), None);
        check(json!({ "type": "string" }), json!({}), None);
    }
}
