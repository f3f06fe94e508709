//! Values that stand right behind a label of a concept: what a field should hold instead, where
//! nothing names its own value.
//!
//! It must know nothing of fields.

use super::standing::{Standing, Standings, Strength};
use crate::extract::{
    concept::{Concept, Kind},
    document_text::{DocumentText, Place},
    label::{Label, Named},
    meaning::Meaning,
    reading::{Grade, PageReading},
};
use serde_json::{Number, Value};
use std::ops::Range;

/// So many labels of a concept are looked at.
const LABELS_MAX: usize = 200;

/// A shorter word may be the number of a page.
const IDENTIFIER_BYTES_MIN: usize = 2;

/// A value that a label names, and where it stands.
#[derive(Clone, Debug)]
pub(super) struct Labelled {
    pub(super) value: Value,
    pub(super) place: Place,
}

/// All values that stand in the row of a label that surely names this concept.
pub(super) fn labelled(
    text: &DocumentText<'_>,
    standings: &Standings<'_>,
    concept: Concept,
) -> Vec<Labelled> {
    let names = |label: &&Label| match label.named {
        Named::Name(name) => name.senses(standings.language).any(|sense| {
            let named = Some(sense.concept);
            let is_day = concept.kind() == Kind::Date && sense.concept.day_of() == Some(concept);
            !sense.is_weak && (named == Some(concept) || is_day)
        }),
        Named::Word(_) => false,
    };
    let pages = (0..text.pages().len()).flat_map(|page| {
        standings.labels.on(page).iter().filter(names).map(move |label| (page, label))
    });
    let meaning = Meaning { concept: Some(concept), ..Meaning::default() };
    let values =
        pages.take(LABELS_MAX).flat_map(|(page, label)| beside(text, concept, page, label));
    let is_sure = |labelled: &Labelled| {
        matches!(standings.standing(&meaning, &labelled.place), Standing::Named(Strength::Sure, _))
    };
    values.filter(is_sure).collect()
}

/// The first value of the concept's kind that stands behind a label in its row.
fn beside(text: &DocumentText<'_>, concept: Concept, page: usize, label: &Label) -> Vec<Labelled> {
    let row = text.row(page, label.place.start);
    let rest = label.place.end..text.line(page, row).end;
    let number = u32::try_from(page).unwrap_or(u32::MAX);
    let labelled = |value: Option<Value>, place: Place| Some(Labelled { value: value?, place });
    let found = match concept.kind() {
        Kind::Date => {
            let days = text.dates.within(number, rest).filter(|day| day.grade == Grade::Certain);
            first(days)
                .and_then(|day| labelled(Some(day.value.to_string().into()), text.place_of(day)))
        }
        Kind::Figure => {
            let numbers = text.numbers.within(number, rest);
            let is_amount = |reading: &&PageReading<_>| {
                reading.grade == Grade::Certain && !is_share(text, reading)
            };
            first(numbers.filter(is_amount)).and_then(|reading| {
                let value = reading.value.as_str().parse::<Number>().ok().map(Value::Number);
                labelled(value, text.place_of(reading))
            })
        }
        Kind::Identifier => {
            identifier(text, page, rest).map(|(value, place)| Labelled { value, place })
        }
        Kind::Party | Kind::Currency | Kind::Text => None,
    };
    found.into_iter().collect()
}

fn first<'t, T: 't>(
    readings: impl Iterator<Item = &'t PageReading<T>>,
) -> Option<&'t PageReading<T>> {
    readings.min_by_key(|reading| reading.place().start)
}

/// Whether a number is a percentage.
fn is_share<T>(text: &DocumentText<'_>, reading: &PageReading<T>) -> bool {
    let page = text.pages().get(reading.page as usize).map_or("", |page| page.text.as_str());
    page.get(reading.place().end..).is_some_and(|rest| rest.trim_start().starts_with('%'))
}

/// The first word behind a label, if it has a figure and is no date. What stands in brackets is left
/// out.
fn identifier(text: &DocumentText<'_>, page: usize, rest: Range<usize>) -> Option<(Value, Place)> {
    let all = &text.pages().get(page)?.text;
    let mut at = rest.start;
    for word in all.get(rest)?.split_inclusive(char::is_whitespace) {
        let printed = word.trim_matches(|c: char| !c.is_alphanumeric());
        let start = at + word.find(printed).unwrap_or_default();
        at += word.len();
        if printed.is_empty() || word.starts_with('(') && word.trim_end().ends_with(')') {
            continue;
        }
        let piece = start..start + printed.len();
        let place = text.place(page, std::iter::once(piece).collect());
        let number = u32::try_from(page).unwrap_or(u32::MAX);
        let is_date = text.dates.within(number, start..start + printed.len()).next().is_some();
        let is_code = printed.contains(|c: char| c.is_numeric()) && !is_date;
        let is_long = printed.len() >= IDENTIFIER_BYTES_MIN;
        return (is_code && is_long).then(|| (printed.into(), place));
    }
    None
}
