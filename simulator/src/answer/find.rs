//! Where a value stands: behind its label in the same cell, in a cell to the right, or below. When
//! a label has two different values, it has none.

use super::text::{Cell, Document, is_currency};
use super::{label, value};
use serde_json::Value;
use std::collections::HashSet;

/// Turns a text into a value, or says that it is none. The flag tells that a colon or a cell of
/// its own sets the text apart.
pub(crate) type Reader<'a> = dyn Fn(&str, bool) -> Option<Value> + 'a;

/// The document in which values are looked up.
pub(crate) struct Finder<'a> {
    pub(crate) document: &'a Document,
    /// The labels of the schema's own properties.
    pub(crate) labels: HashSet<String>,
}

impl Finder<'_> {
    /// The value of the first of these labels that has any.
    pub(crate) fn value(&self, labels: &[String], read: &Reader<'_>) -> Option<Value> {
        let mut values = labels.iter().find_map(|label| {
            let mut values: Vec<Value> = Vec::new();
            for (row, cells) in self.document.rows.iter().enumerate() {
                for (at, cell) in cells.iter().enumerate().filter(|(_, cell)| cell.label == *label)
                {
                    let found = match cell.value.as_str() {
                        "" => self.beside(row, at, read),
                        text => read(text, cell.is_marked),
                    };
                    values.extend(found.filter(|value| !values.contains(value)));
                }
            }
            (!values.is_empty()).then_some(values)
        })?;
        values.pop().filter(|_| values.is_empty())
    }

    fn beside(&self, row: usize, at: usize, read: &Reader<'_>) -> Option<Value> {
        let is_value = |cell: &&Cell| !cell.text.ends_with('%') && !is_currency(&cell.text);
        let mut right = self.document.rows.get(row)?.iter().skip(at + 1).filter(is_value);
        let Some(cell) = right.next().filter(|cell| !self.is_label(cell)) else {
            return self.below(row, at, read);
        };
        // A label with two amounts beside it does not say which is meant.
        let is_amount = |cell: &Cell| value::number(&cell.text).is_some();
        let is_double = is_amount(cell) && right.any(is_amount);
        read(&cell.text, true).filter(|_| !is_double)
    }

    fn below(&self, row: usize, at: usize, read: &Reader<'_>) -> Option<Value> {
        let in_row = |row: usize| {
            let cells = self.document.rows.get(row)?;
            cells.get(at).filter(|cell| !self.is_label(cell)).map(|cell| (cells.len(), cell))
        };
        let cells = self.document.rows.get(row)?;
        let (width, cell) = in_row(row + 1)?;
        // Below the heading of a table stands the value of one row, not of the document.
        let is_heading = cells.len() > 1
            && cells.iter().all(|cell| self.is_label(cell) && cell.value.is_empty());
        let is_table = is_heading && in_row(row + 2).is_some_and(|(after, _)| after == width);
        let is_below = (at == 0 || width == cells.len()) && !is_table;
        read(&cell.text, true).filter(|value| is_below && !(value.is_number() && cells.len() > 1))
    }

    fn is_label(&self, cell: &Cell) -> bool {
        cell.is_marked || label::is_known(&cell.label) || self.labels.contains(&cell.label)
    }
}
