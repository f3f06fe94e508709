//! What form a value has, and whether two values are one.
//!
//! It must know nothing of where values stand.

use crate::extract::{
    concept::{Concept, Kind},
    currency, lexicon,
};
use jiff::civil::Date;
use serde_json::Value;

/// A text of so many words is hardly taken for another.
const LONG_TEXT_WORDS: usize = 4;

/// What a value is by itself.
pub(super) fn kind_of(value: &Value) -> Kind {
    let Some(text) = value.as_str() else { return Kind::Figure };
    let day = text.get(..10).is_some_and(|day| day.parse::<Date>().is_ok());
    let is_number = text.parse::<f64>().is_ok();
    let is_word = !text.trim().contains(char::is_whitespace);
    match () {
        () if day => Kind::Date,
        () if currency::is_code(text) => Kind::Currency,
        () if is_number && !text.starts_with('0') => Kind::Figure,
        () if is_word && has_figure(text) => Kind::Identifier,
        () => Kind::Text,
    }
}

/// Whether a text has a figure.
pub(super) fn has_figure(text: &str) -> bool {
    text.contains(|c: char| c.is_numeric())
}

/// Whether a text is of several words.
pub(super) fn is_long(value: &Value) -> bool {
    value.as_str().is_some_and(|text| text.split_whitespace().count() >= LONG_TEXT_WORDS)
}

/// Whether a value has the form of what its field holds: a date is no number of an invoice, and an
/// account no name.
pub(super) fn is_of_kind(concept: Concept, value: &Value) -> bool {
    let Some(text) = value.as_str() else {
        return !matches!(concept.kind(), Kind::Party | Kind::Currency | Kind::Date);
    };
    let is_day = text.get(..10).is_some_and(|day| day.parse::<Date>().is_ok());
    let digits = text.chars().filter(char::is_ascii_digit).count();
    let letters = text.chars().filter(|c| c.is_alphabetic()).count();
    match concept.kind() {
        Kind::Date => is_day,
        Kind::Identifier => {
            concept == Concept::Email || concept == Concept::Bic || digits > 0 && !is_day
        }
        Kind::Party if concept != concept.printed() => !is_day && letters > 0,
        Kind::Party => letters > digits && !is_day && !currency::is_code(text) && !is_code(text),
        Kind::Currency => digits == 0 && text.split_whitespace().count() == 1,
        Kind::Figure | Kind::Text => true,
    }
}

/// A currency that is no code.
pub(super) fn is_sign(value: &Value) -> bool {
    value.as_str().is_some_and(|text| !currency::is_code(text.trim()) && text.chars().count() < 3)
}

/// One word with several digits.
fn is_code(text: &str) -> bool {
    let digits = text.chars().filter(char::is_ascii_digit).count();
    digits > NAME_DIGITS_MAX && !text.trim().contains(char::is_whitespace)
}

/// A name of one word has no more digits.
const NAME_DIGITS_MAX: usize = 2;

/// A name with a street and a town is an address.
pub(super) fn looks_like_address(name: &str) -> bool {
    let is_number = |word: &&str| word.len() > 3 && word.bytes().all(|c| c.is_ascii_digit());
    let words = name.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    words.clone().any(|word| is_number(&word)) && words.count() > 3
}

/// Whether a value is the name of a value, or begins with one: `Buyer`, `Number: 4711`.
pub(super) fn is_label(value: &Value) -> bool {
    let Some(text) = value.as_str() else { return false };
    let head = text.split_once(':').map(|(head, _)| head);
    let is_name = |text: &str| lexicon::whole(text).is_some() && !has_figure(text);
    is_name(text)
        || head.is_some_and(|head| lexicon::tokens(head).last().is_some_and(|_| ends_in_name(head)))
}

fn ends_in_name(head: &str) -> bool {
    let tokens = lexicon::tokens(head);
    let last = lexicon::names(&tokens).last().map(|(range, _)| range.end);
    !tokens.is_empty() && last == Some(tokens.len())
}

/// Whether two values are one: numbers by value, codes without what is between their characters.
pub(super) fn is_same(a: &Value, b: &Value) -> bool {
    let compact = |text: &str| text.chars().filter(|c| c.is_alphanumeric()).collect::<String>();
    match (a, b) {
        (Value::String(a), Value::String(b)) => {
            let (a, b) = (compact(a), compact(b));
            a == b || b.starts_with(&a) || a.starts_with(&b)
        }
        _ => match (number(a), number(b)) {
            (Some(a), Some(b)) => a == b,
            _ => a == b,
        },
    }
}

fn number(value: &Value) -> Option<f64> {
    value.as_f64().or_else(|| value.as_str()?.parse().ok())
}
