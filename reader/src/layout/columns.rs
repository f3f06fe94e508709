//! Columns of prose: where the gutter between them is, if there is one.
//!
//! Pure.

use super::words::{Row, Span};

/// A narrower gap than this part of the size is no gutter.
const GUTTER_GAP: f32 = 0.7;

/// The x of a gutter between two columns of prose, where there is one: many rows have prose on
/// both sides, few rows cross, and there are more letters than digits (a table has a gutter, too,
/// but must keep its rows).
pub(super) fn gutter(rows: &[Row<'_>]) -> Option<f32> {
    if rows.len() < 12 {
        return None;
    }
    let left = rows.iter().filter_map(|row| row.words.first()).map(|word| word.left);
    let right = rows.iter().filter_map(|row| row.words.last()).map(|word| word.right);
    let (left, right) = (left.fold(f32::MAX, f32::min), right.fold(f32::MIN, f32::max));
    let candidates = (0..60_u8).map(|i| left + (right - left) * (0.3 + 0.4 * f32::from(i) / 59.0));
    let scored = candidates.filter_map(|x| Some((score(rows, x)?, x)));
    scored.max_by_key(|(score, _)| *score).map(|(_, x)| x)
}

fn score(rows: &[Row<'_>], x: f32) -> Option<usize> {
    let (mut both, mut cross, mut letters, mut digits) = (0_usize, 0_usize, 0_usize, 0_usize);
    let (mut left_chars, mut right_chars) = (0, 0);
    for row in rows {
        let Some((left, right)) = split(row, x) else {
            cross += 1;
            continue;
        };
        if left.is_empty() || right.is_empty() {
            continue;
        }
        both += 1;
        let length =
            |words: &[Span<'_>]| words.iter().map(|w| w.chars().count() + 1).sum::<usize>();
        left_chars += length(left);
        right_chars += length(right);
        for c in row.words.iter().flat_map(Span::chars) {
            digits += usize::from(c.is_ascii_digit());
            letters += usize::from(c.is_alphabetic());
        }
    }
    let prose = both >= 8
        && cross * 3 < both * 2
        && left_chars / both >= 24
        && right_chars / both >= 24
        && digits * 5 < letters;
    prose.then(|| both.saturating_sub(cross))
}

/// The words on both sides of a gutter, or `None` where the row goes on across it.
pub(super) fn split<'a, 'b>(row: &'b Row<'a>, x: f32) -> Option<(&'b [Span<'a>], &'b [Span<'a>])> {
    let slack = 0.2 * row.size;
    if row.words.iter().any(|word| word.left < x - slack && word.right > x + slack) {
        return None;
    }
    let at = row.words.partition_point(|word| (word.left + word.right) / 2.0 < x);
    let (left, right) = row.words.split_at(at);
    let is_gap = match (left.last(), right.first()) {
        (Some(end), Some(start)) => start.left - end.right > GUTTER_GAP * row.size,
        _ => true,
    };
    is_gap.then_some((left, right))
}
