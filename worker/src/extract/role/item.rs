//! The values of one item of a list: what stands in its row is its, and what stands right behind
//! another of its values.
//!
//! It must know nothing of labels.

use super::{Role, Roles, Verdict, Verdicts};
use crate::extract::{concept::Concept, document_text::Place};
use std::{collections::HashMap, ops::Range};

/// The values of an item stand within so many lines.
const ROW_LINES_MAX: usize = 2;

/// The pointer of the item that a value belongs to.
fn item_of(pointer: &str) -> &str {
    let is_index = |part: &str| part.bytes().all(|c| c.is_ascii_digit());
    let mut end = pointer.len();
    while let Some((head, last)) = pointer.get(..end).and_then(|head| head.rsplit_once('/')) {
        if is_index(last) {
            return pointer.get(..end).unwrap_or(pointer);
        }
        end = head.len();
    }
    pointer
}

impl Roles<'_> {
    /// In a list of labels and values a value stands right behind another of its item.
    pub(super) fn behind_siblings(&self, verdicts: &mut Verdicts) {
        let mut ends: HashMap<&str, Vec<(usize, usize)>> = HashMap::new();
        for (pointer, verdict) in verdicts.iter().filter(|(_, verdict)| verdict.meaning.is_item) {
            let end = |place: &Place| Some((place.page, place.pieces.last()?.end));
            let known = ends.entry(item_of(pointer)).or_default();
            known.extend(verdict.places.iter().filter_map(end));
        }
        let is_behind = |pointer: &str, place: &Place| {
            let page = self.text.pages().get(place.page)?;
            let start = place.pieces.first()?.start;
            let before = ends.get(item_of(pointer))?.iter();
            let mut between = before.filter(|(page, end)| *page == place.page && *end <= start);
            let is_bare = |end: usize| {
                let between = page.text.get(end..start);
                between.is_some_and(|between| !between.contains(char::is_alphanumeric))
            };
            between.any(|(_, end)| is_bare(*end)).then_some(())
        };
        let open = verdicts.iter().filter(|(_, verdict)| {
            verdict.meaning.is_item
                && verdict.meaning.concept.is_none()
                && verdict.role != Role::Sure
        });
        let behind = open.filter(|(pointer, verdict)| {
            verdict.places.iter().any(|place| is_behind(pointer, place).is_some())
        });
        let behind: Vec<_> = behind.map(|(pointer, _)| pointer.clone()).collect();
        for pointer in behind {
            if let Some(verdict) = verdicts.get_mut(&pointer) {
                (verdict.role, verdict.label) = (Role::Likely, None);
            }
        }
    }

    /// On how many lines the values of each item stand, by the pointer of the item.
    pub(super) fn rows(&self, verdicts: &Verdicts) -> HashMap<String, Vec<usize>> {
        let mut rows: HashMap<String, Vec<usize>> = HashMap::new();
        for (pointer, verdict) in verdicts.iter().filter(|(_, verdict)| verdict.meaning.is_item) {
            let lines = verdict.places.iter().map(|place| place.line);
            rows.entry(item_of(pointer).to_owned()).or_default().extend(lines);
        }
        rows
    }

    /// A value stands in the row of its item, beside another of its values.
    pub(super) fn item(
        &self,
        pointer: &str,
        verdict: &Verdict,
        rows: &HashMap<String, Vec<usize>>,
    ) -> Option<Role> {
        let lines = rows.get(item_of(pointer))?;
        let is_beside = |place: &&Place| {
            lines.iter().filter(|line| line.abs_diff(place.line) <= ROW_LINES_MAX).count() > 1
        };
        let place = verdict.places.iter().find(is_beside)?;
        let is_right = match verdict.meaning.concept {
            Some(concept) => self.has_shape(concept, place),
            None => true,
        };
        is_right.then_some(Role::Likely)
    }

    /// Without heads of columns: the amount of an item is the last amount of its row, and a quantity
    /// is none.
    pub(super) fn has_shape(&self, concept: Concept, place: &Place) -> bool {
        let (Some(piece), Some(page)) = (place.pieces.first(), self.text.pages().get(place.page))
        else {
            return false;
        };
        let number = u32::try_from(place.page).unwrap_or(u32::MAX);
        let line = self.text.line(place.page, self.text.row(place.page, piece.start));
        let is_amount = |place: Range<usize>| {
            let printed = page.text.get(place).unwrap_or_default();
            printed.chars().rev().nth(2).is_some_and(|c| matches!(c, '.' | ','))
        };
        let amounts = self.text.numbers.within(number, line).map(|reading| reading.place());
        let amounts: Vec<_> = amounts.filter(|place| is_amount(place.clone())).collect();
        match concept {
            Concept::LineAmount => amounts.last().is_none_or(|last| last.start <= piece.start),
            Concept::Price => amounts.last().is_some_and(|last| last.start > piece.start),
            Concept::Quantity => !is_amount(piece.clone()),
            _ => true,
        }
    }
}
