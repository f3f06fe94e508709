//! From glyphs on a page to rows of text: what is printed on one line stays on one line, columns
//! of a table three spaces apart, columns of prose one after the other.
//!
//! Pure: glyphs in, text and the places of its words out. It must know nothing of PDF.

mod glyph;
mod frame;
mod words;
mod direction;
mod columns;

pub(crate) use glyph::Glyph;

use crate::pages::{Bounds, Word};
use columns::{gutter, split};
use words::{Row, Span};

/// A gap of this many sizes separates columns.
const COLUMN_GAP: f32 = 1.5;

/// A step down of this many sizes leaves an empty line.
const PARAGRAPH_STEP: f32 = 1.9;

/// The text of a page and the places of its words.
#[derive(Debug, Default)]
pub(crate) struct Laid {
    pub(crate) text: String,
    pub(crate) words: Vec<Word>,
}

/// Lays out what stands on a page of this height, in points.
pub(crate) fn lay_out(glyphs: &[Glyph], height: f32) -> Laid {
    let mut printer = Printer { laid: Laid::default(), height };
    for (index, frame) in frame::frames(glyphs).iter().enumerate() {
        let rows = words::rows(frame);
        match if index == 0 { gutter(&rows) } else { None } {
            Some(x) => printer.columns(&rows, x),
            None => printer.print(&rows),
        }
    }
    printer.laid
}

/// The boxes around the words that glyphs make, without what they say.
pub(crate) fn places(glyphs: &[Glyph], height: f32) -> Vec<Bounds> {
    lay_out(glyphs, height).words.into_iter().map(|word| word.bounds).collect()
}

/// Writes rows, and remembers where their words stand.
struct Printer {
    laid: Laid,
    height: f32,
}

impl Printer {
    /// Prints two columns of prose one after the other; a row that crosses the gutter (a heading)
    /// ends both and stands between.
    fn columns<'a>(&mut self, rows: &[Row<'a>], x: f32) {
        let (mut left_rows, mut right_rows) = (Vec::new(), Vec::new());
        for row in rows {
            let half = |words: &[Span<'a>]| Row { words: words.to_vec(), ..*row };
            match split(row, x) {
                Some((left, right)) => {
                    left_rows.push(half(left));
                    right_rows.push(half(right));
                }
                None => {
                    self.print(&std::mem::take(&mut left_rows));
                    self.print(&std::mem::take(&mut right_rows));
                    self.print(std::slice::from_ref(row));
                }
            }
        }
        self.print(&left_rows);
        self.print(&right_rows);
    }

    fn print(&mut self, rows: &[Row<'_>]) {
        let mut above: Option<f32> = None;
        for row in rows.iter().filter(|row| !row.words.is_empty()) {
            if above.is_some_and(|above| row.base - above > PARAGRAPH_STEP * row.size) {
                self.laid.text.push('\n');
            }
            above = Some(row.base);
            self.row(row);
        }
    }

    fn row(&mut self, row: &Row<'_>) {
        let mut before: Option<&Span<'_>> = None;
        for word in direction::in_order(&row.words) {
            if let Some(before) = before {
                // Where the row is read from the right, the next word stands further left.
                let gap = (word.left - before.right).max(before.left - word.right);
                self.laid.text.push_str(if gap > COLUMN_GAP * row.size { "   " } else { " " });
            }
            self.word(word);
            before = Some(word);
        }
        self.laid.text.push('\n');
    }

    fn word(&mut self, word: &Span<'_>) {
        let start = self.laid.text.len();
        self.laid.text.push_str(&direction::text(word));
        let place = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
        let [left, top, right, bottom] = word.bounds;
        let bounds = [left, self.height - bottom, right, self.height - top];
        self.laid.words.push(Word {
            start: place(start),
            end: place(self.laid.text.len()),
            bounds: bounds.map(|points| (points * 10.0).round() / 10.0),
            origin: word.origin,
        });
    }
}

#[cfg(test)]
mod tests;
