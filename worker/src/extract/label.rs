//! What is printed beside a place: left of it in its row or in its sentence, above it in its column,
//! and over its block.
//!
//! Names of the lexicon and the words of properties are looked up once for the whole text; what is
//! beside a place is then found among those near it. It must know nothing of values.

use super::{
    document_text::{DocumentText, Place},
    lexicon::{self, Term},
};
use std::{collections::HashMap, ops::Range};

/// Columns of one printed row are at least so many spaces apart.
const COLUMN_GAP: &str = "   ";

/// The head of a table is at most so many lines above its rows.
const HEAD_LINES_MAX: usize = 80;

/// A label that stands alone on its line is of what is printed within so many lines below it.
const SINGLE_LINES_MAX: usize = 3;

/// The head of a column goes over so many lines.
const STACK_LINES_MAX: usize = 6;

/// A block goes on for so many lines below its heading.
const BLOCK_LINES_MAX: usize = 9;

/// A sentence goes on from the line before where so few bytes of it are before the value.
const SENTENCE_BYTES_MAX: usize = 24;

/// The head of a column is at most so far to the side of what stands in it: points, or characters
/// where no places are known.
const ASIDE_POINTS_MAX: f32 = 24.0;
const ASIDE_CHARACTERS_MAX: f32 = 3.0;

/// What is known of some words of the text.
#[derive(Clone, Copy, Debug)]
pub enum Named {
    /// A name of the lexicon.
    Name(&'static Term),
    /// A word of properties, by its index.
    Word(usize),
}

/// Words of the text that may name a value.
#[derive(Clone, Debug)]
pub struct Label {
    /// In bytes of the page's text.
    pub place: Range<usize>,
    /// What they are.
    pub named: Named,
    row: usize,
}

/// A label with what stands between it and the value.
#[derive(Clone, Copy, Debug)]
pub struct Beside<'a> {
    /// The label.
    pub label: &'a Label,
    /// How many words that are no labels stand between.
    pub words_between: usize,
    /// Whether a figure stands between: a date is also named by what the number before it is of.
    pub is_behind_figure: bool,
}

/// All labels of a document.
pub struct Labels<'a> {
    text: &'a DocumentText<'a>,
    /// By page, in the order of the text.
    pages: Vec<Vec<Label>>,
}

impl<'a> Labels<'a> {
    /// Reads every page once. `words` are those of properties, as [`stem`] gives them.
    pub fn new(text: &'a DocumentText<'a>, words: &HashMap<String, usize>) -> Self {
        let pages = text.pages().iter().enumerate().map(|(page, _)| read(text, page, words));
        Self { text, pages: pages.collect() }
    }

    /// The text of a label's page at a place.
    fn str(&self, page: usize, place: Range<usize>) -> &'a str {
        self.text.pages().get(page).and_then(|page| page.text.get(place)).unwrap_or_default()
    }

    /// All labels of a page, in the order of the text.
    pub fn on(&self, page: usize) -> &[Label] {
        self.pages.get(page).map_or(&[], Vec::as_slice)
    }

    /// Those on some rows of a page.
    pub fn rows(&self, page: usize, rows: Range<usize>) -> &[Label] {
        let all = self.on(page);
        let from = all.partition_point(|label| label.row < rows.start);
        let to = all.partition_point(|label| label.row < rows.end);
        all.get(from..to).unwrap_or_default()
    }

    /// What stands left of a place, the nearest first, with at most one figure between.
    pub fn left(&self, place: &Place) -> Vec<Beside<'_>> {
        let start = place.pieces.first().map_or(0, |piece| piece.start);
        let row = self.text.row(place.page, start);
        let line = self.text.line(place.page, row);
        let own = self.rows(place.page, row..row + 1).iter();
        let own: Vec<_> = own.filter(|label| label.place.end <= start).collect();
        let before = self.str(place.page, line.start..start);
        let mut found = self.between(place.page, own, start);
        let is_first = !before.contains(COLUMN_GAP) && before.len() <= SENTENCE_BYTES_MAX;
        if found.is_empty() && is_first && row > 0 && !has_figure(before) {
            let line = self.text.line(place.page, row - 1);
            if !self.str(place.page, line).trim().contains(COLUMN_GAP) {
                let above = self.rows(place.page, row - 1..row).iter().collect();
                found = self.between(place.page, above, start);
            }
        }
        found
    }

    fn between<'l>(&self, page: usize, labels: Vec<&'l Label>, start: usize) -> Vec<Beside<'l>> {
        let (mut found, mut words_between, mut from) = (Vec::new(), 0, start);
        let mut figures = 0;
        for label in labels.into_iter().rev() {
            if label.place.end <= from {
                let between = self.str(page, label.place.end..from);
                figures += figures_in(between);
                if figures > 1 {
                    break;
                }
                words_between += count_words(between);
            }
            from = from.min(label.place.start);
            found.push(Beside { label, words_between, is_behind_figure: figures > 0 });
        }
        found
    }

    /// The head of the column in which a place stands: the labels that are stacked in it.
    pub fn above(&self, place: &Place) -> Vec<&Label> {
        let Some(column) = Column::of(self.text, place) else { return Vec::new() };
        let lowest = column.row.saturating_sub(HEAD_LINES_MAX);
        let labels = self.rows(place.page, lowest..column.row);
        let mut found: Vec<&Label> = Vec::new();
        for row in labels.chunk_by(|a, b| a.row == b.row).rev() {
            let Some(at) = row.first().map(|label| label.row) else { continue };
            let last = found.last().map(|label| label.row);
            if last.is_some_and(|last| {
                last > at + STACK_LINES_MAX || self.is_parted(place.page, at..last)
            }) {
                break;
            }
            let heads: Vec<_> =
                row.iter().filter(|label| self.is_head(place.page, label)).collect();
            let is_far = column.row - at > SINGLE_LINES_MAX;
            let line = self.str(place.page, self.text.line(place.page, at));
            if found.is_empty() && is_far && !line.trim().contains(COLUMN_GAP) && heads.len() < 2 {
                continue;
            }
            let aside = |label: &&Label| column.aside(self.text, place.page, &label.place);
            let near = heads.iter().map(|label| (*label, aside(label)));
            let nearest = near.clone().map(|(_, aside)| aside).fold(f32::MAX, f32::min);
            let reach = if heads.len() > 1 { column.reach } else { 0.0 };
            let is_taken = nearest > 0.0 && self.has_words(&column, place.page, at);
            if nearest <= reach && !is_taken {
                let in_column = near.filter(|(_, aside)| *aside <= nearest);
                found.extend(in_column.map(|(label, _)| label));
            }
        }
        found
    }

    /// Whether words of a row stand in a column.
    fn has_words(&self, column: &Column, page: usize, row: usize) -> bool {
        let line = self.text.line(page, row);
        let mut at = line.start;
        self.str(page, line).split(' ').any(|word| {
            let place = at..at + word.len();
            at += word.len() + 1;
            !word.is_empty() && column.aside(self.text, page, &place) <= 0.0
        })
    }

    /// Whether something stands in the column of a place.
    pub fn is_in_column(&self, place: &Place, other: &Range<usize>) -> bool {
        let column = Column::of(self.text, place);
        column.is_some_and(|column| {
            self.text.row(place.page, other.start) == column.row
                && self.cell_at(place.page, other.start)
                    == self.cell_at(place.page, place.pieces.first().map_or(0, |piece| piece.start))
                || column.aside(self.text, place.page, &self.cell_at(place.page, other.start))
                    <= 0.0
        })
    }

    fn cell_at(&self, page: usize, at: usize) -> Range<usize> {
        let line = self.text.line(page, self.text.row(page, at));
        cell(self.str(page, line.clone()), line.start, at)
    }

    /// Whether a line between two rows is empty, or one of them has figures.
    fn is_parted(&self, page: usize, rows: Range<usize>) -> bool {
        rows.skip(1).any(|row| {
            let line = self.str(page, self.text.line(page, row));
            line.trim().is_empty() || has_figure(line)
        })
    }

    /// Whether a label is the head of what stands below, and not of what stands right of it.
    fn is_head(&self, page: usize, label: &Label) -> bool {
        let line = self.text.line(page, label.row);
        let rest = self.str(page, label.place.end..line.end);
        let (cell, others) = rest.split_once(COLUMN_GAP).unwrap_or((rest, ""));
        let others = others.trim();
        let is_colon =
            cell.trim_end().ends_with(':') || cell.trim().is_empty() && others.starts_with(':');
        !has_figure(cell) && (!is_colon || others.is_empty())
    }

    /// The labels over the block in which a place stands, the nearest line first.
    pub fn headings(&self, place: &Place) -> Vec<&Label> {
        let Some(column) = Column::of(self.text, place) else { return Vec::new() };
        let mut found = Vec::new();
        let (mut row, mut is_gap) = (column.row, false);
        for _ in 0..BLOCK_LINES_MAX {
            let Some(above) = row.checked_sub(1) else { break };
            row = above;
            let line = self.text.line(place.page, row);
            if self.str(place.page, line.clone()).trim().is_empty() {
                is_gap = true;
                continue;
            }
            let labels = self.rows(place.page, row..row + 1).iter();
            let is_single = !self.str(place.page, line.clone()).trim().contains(COLUMN_GAP);
            let over = labels.filter(|label| {
                let cell = self.cell_at(place.page, label.place.start);
                let is_title =
                    is_single && self.is_head(place.page, label) && cell.end - label.place.end < 3;
                is_title || column.aside(self.text, place.page, &cell) <= 0.0
            });
            // Over a gap only a line that is nothing but a heading reaches.
            let is_bare = |label: &&Label| {
                count_words(self.str(
                    place.page,
                    label.place.end..self.cell_at(place.page, label.place.start).end,
                )) == 0
                    && self.is_head(place.page, label)
            };
            let over: Vec<_> = over.filter(|label| !is_gap || is_bare(label)).collect();
            let is_end = is_gap && over.is_empty();
            found.extend(over);
            if is_end {
                break;
            }
            is_gap = false;
        }
        found
    }
}

/// Where a place stands from left to right.
struct Column {
    row: usize,
    extent: Range<f32>,
    /// How far to the side its head may be.
    reach: f32,
    /// The index of its cell and the number of cells of its row, where no places are known.
    cell: Option<(usize, usize)>,
}

impl Column {
    fn of(text: &DocumentText<'_>, place: &Place) -> Option<Self> {
        let piece = place.pieces.first()?;
        let row = text.row(place.page, piece.start);
        let page = text.pages().get(place.page)?;
        if let Some(bounds) = page.bounds([piece]) {
            let extent = bounds[0]..bounds[2];
            return Some(Self { row, extent, reach: ASIDE_POINTS_MAX, cell: None });
        }
        let cell = cell_index(text, place.page, piece.start);
        let extent = characters(text, place.page, piece)?;
        Some(Self { row, extent, reach: ASIDE_CHARACTERS_MAX, cell: Some(cell) })
    }

    /// How far to the side of it something stands; 0 where it is below or above.
    fn aside(&self, text: &DocumentText<'_>, page: usize, place: &Range<usize>) -> f32 {
        let other = match self.cell {
            None => {
                let page = text.pages().get(page);
                page.and_then(|page| page.bounds([place])).map(|bounds| bounds[0]..bounds[2])
            }
            Some(cell) => {
                let other = cell_index(text, page, place.start);
                if other.1 == cell.1 && cell.1 > 1 {
                    return if other.0 == cell.0 { 0.0 } else { f32::MAX };
                }
                characters(text, page, place)
            }
        };
        let Some(other) = other else { return f32::MAX };
        (other.start - self.extent.end).max(self.extent.start - other.end).max(0.0)
    }
}

/// Where a piece of a page stands in its line, in characters.
fn characters(text: &DocumentText<'_>, page: usize, piece: &Range<usize>) -> Option<Range<f32>> {
    let line = text.line(page, text.row(page, piece.start));
    let text = &text.pages().get(page)?.text;
    let from = text.get(line.start..piece.start)?.chars().count();
    let length = text.get(piece.start..piece.end.min(line.end))?.chars().count();
    Some(from as f32..(from + length) as f32)
}

/// Which cell of its row a byte is in, and how many there are.
fn cell_index(text: &DocumentText<'_>, page: usize, at: usize) -> (usize, usize) {
    let line = text.line(page, text.row(page, at));
    let text = text.pages().get(page).map_or("", |page| page.text.as_str());
    let count = |part: Range<usize>| {
        let part = text.get(part).unwrap_or_default();
        part.split(COLUMN_GAP).filter(|cell| !cell.trim().is_empty()).count()
    };
    let before = text.get(line.start..at).unwrap_or_default();
    let is_inside = !before.ends_with(COLUMN_GAP) && !before.trim().is_empty();
    (count(line.start..at) - usize::from(is_inside), count(line))
}

/// The cell of a line in which a byte is.
fn cell(line: &str, from: usize, at: usize) -> Range<usize> {
    let (before, after) = line.split_at_checked(at.saturating_sub(from)).unwrap_or((line, ""));
    let start = before.rfind(COLUMN_GAP).map_or(0, |gap| gap + COLUMN_GAP.len());
    let end = after.find(COLUMN_GAP).map_or(line.len(), |gap| before.len() + gap);
    from + start..from + end
}

fn has_figure(text: &str) -> bool {
    figures_in(text) > 0
}

/// How many figures may be values of their own: no percentages, and nothing in brackets.
fn figures_in(text: &str) -> usize {
    let (mut depth, mut count) = (0_usize, 0);
    let mut words = text.split_whitespace().peekable();
    while let Some(word) = words.next() {
        depth += usize::from(word.contains('('));
        let is_share = word.contains('%') || words.peek().is_some_and(|next| next.starts_with('%'));
        let is_figure = depth == 0 && !is_share && word.contains(|c: char| c.is_numeric());
        count += usize::from(is_figure);
        if word.contains(')') {
            depth = depth.saturating_sub(1);
        }
    }
    count
}

fn count_words(text: &str) -> usize {
    text.split(|c: char| !c.is_alphabetic()).filter(|word| word.chars().count() > 1).count()
}

/// A word as it is compared with the words of properties: without its ending.
pub fn stem(word: &str) -> String {
    word.chars().take(STEM_LETTERS).collect()
}

/// Words that agree in so many letters are one.
const STEM_LETTERS: usize = 6;

fn read(text: &DocumentText<'_>, page: usize, words: &HashMap<String, usize>) -> Vec<Label> {
    let Some(all) = text.pages().get(page).map(|page| page.text.as_str()) else {
        return Vec::new();
    };
    let mut labels = Vec::new();
    for row in 0..text.rows(page) {
        let line = text.line(page, row);
        let mut start = line.start;
        let line = all.get(line).unwrap_or_default();
        for cell in line.split(COLUMN_GAP) {
            let all = lexicon::all_tokens(cell);
            let tokens: Vec<_> = all.iter().filter(|token| !token.is_small()).cloned().collect();
            let place = |range: Range<usize>| {
                let (first, last) = (tokens.get(range.start)?, tokens.get(range.end - 1)?);
                Some(start + first.place.start..start + last.place.end)
            };
            let from = labels.len();
            for (range, name) in lexicon::names(&tokens) {
                let named = Named::Name(name);
                labels.extend(place(range).map(|place| Label { place, named, row }));
            }
            for token in &all {
                let known = words.get(&stem(&token.word)).map(|index| Named::Word(*index));
                let place = start + token.place.start..start + token.place.end;
                labels.extend(known.map(|named| Label { place, named, row }));
            }
            if let Some(new) = labels.get_mut(from..) {
                new.sort_by_key(|label| (label.place.end, label.place.start));
            }
            start += cell.len() + COLUMN_GAP.len();
        }
    }
    labels
}
