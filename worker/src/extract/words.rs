//! Words as they are printed: found whatever their spacing, their case, and the shape of their
//! dashes and quotation marks; over the end of a line, and down a cell of a table.
//!
//! It must know nothing of what words mean.

use std::ops::Range;
use unicode_normalization::{UnicodeNormalization, char::is_combining_mark};

/// A text of more words than this is only looked for as it stands.
const CELL_WORDS_MAX: usize = 64;

/// A text in a cell may go on within so many lines.
const LINES_APART_MAX: usize = 2;

/// A text that stands in more pieces than this is not the same text.
const PIECES_MAX: usize = 12;

/// Columns of one printed row are at least so many spaces apart.
const COLUMN_GAP: &str = "   ";

/// Of so many bytes of a text without shape, one place in the original is kept. The others are found
/// from there by reading on: fewer are slower to find, more take more memory.
const MARK_BYTES: usize = 64;

/// Text without spaces and without what is only shape.
#[derive(Clone, Debug, Default)]
struct Plain {
    text: String,
    /// Characters by where they start in `text` and in the original, at least [`MARK_BYTES`] apart.
    marks: Vec<(u32, u32)>,
}

impl Plain {
    fn of(original: &str) -> Self {
        let mut plain = Self::default();
        for (place, c) in printed(original, 0) {
            let at = plain.text.len();
            plain.text.extend(shapes(c));
            let is_due =
                plain.marks.last().is_none_or(|(mark, _)| at >= *mark as usize + MARK_BYTES);
            // Beyond 4 GiB nothing is marked, and the rest is found from the last mark.
            if let (true, Ok(at), Ok(start)) =
                (is_due, u32::try_from(at), u32::try_from(place.start))
            {
                plain.marks.push((at, start));
            }
        }
        plain
    }

    /// Where the bytes from `start` to `end` stand in the original that this was made of; `None` where
    /// they begin or end within a character of it.
    fn original(&self, original: &str, start: usize, end: usize) -> Option<Range<usize>> {
        let mark =
            self.marks.partition_point(|(mark, _)| *mark as usize <= start).checked_sub(1)?;
        let (mark, from) = self.marks.get(mark)?;
        place(original, *from as usize, |_| true, start - *mark as usize..end - *mark as usize)
    }

    /// Every place of a text, those that overlap included.
    fn find<'a>(&'a self, text: &'a str) -> impl Iterator<Item = usize> + 'a {
        let mut from = 0;
        std::iter::from_fn(move || {
            let at = from + self.text.get(from..)?.find(text)?;
            from = at + text.chars().next().map_or(1, char::len_utf8);
            Some(at)
        })
    }
}

/// The characters from a place on, each with its own, without the hyphens at the end of a line that
/// the next line's small letter continues.
fn printed(original: &str, from: usize) -> impl Iterator<Item = (Range<usize>, char)> + '_ {
    let rest = original.get(from..).unwrap_or_default();
    let places = rest.char_indices().map(move |(at, c)| (from + at..from + at + c.len_utf8(), c));
    places.filter(move |(place, c)| {
        let rest = || original.get(place.end..).unwrap_or_default();
        !matches!(c, '-' | '\u{2010}')
            || !rest().starts_with('\n')
            || !rest().trim_start().starts_with(char::is_lowercase)
    })
}

/// Where the bytes `part` of the text without shape stand in the original, both counted from `from`.
/// `None` where they begin or end within a character of the original.
fn place(
    original: &str,
    from: usize,
    is_kept: impl Fn(&char) -> bool,
    part: Range<usize>,
) -> Option<Range<usize>> {
    let (mut at, mut first) = (0, None);
    for (place, c) in printed(original, from) {
        let length: usize = shapes(c).filter(&is_kept).map(char::len_utf8).sum();
        if at == part.start && length > 0 {
            first = Some(place.start);
        }
        at += length;
        if at >= part.end {
            return (at == part.end).then_some(first?..place.end);
        }
    }
    None
}

/// A character without its shape: nothing for a space, a plain dash for any dash.
fn shapes(c: char) -> impl Iterator<Item = char> {
    let plain = match c {
        '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{feff}' => None,
        '\u{2010}'..='\u{2015}' | '\u{2212}' => Some('-'),
        '‘' | '’' | '‚' | '´' | '`' | '′' => Some('\''),
        '“' | '”' | '„' | '«' | '»' | '″' => Some('"'),
        other => Some(other),
    };
    let plain = plain.into_iter().flat_map(|c| std::iter::once(c).nfkd());
    plain.flat_map(char::to_lowercase).filter(|c| !c.is_whitespace())
}

/// What is looked for.
#[derive(Clone, Debug)]
pub struct Needle {
    plain: String,
    /// Whether it is more than one word.
    is_spaced: bool,
    /// Its words without shape and without commas, for cells.
    words: Vec<String>,
}

impl Needle {
    /// `None` when there is nothing to look for.
    pub fn new(value: &str) -> Option<Self> {
        let plain: String = value.chars().flat_map(shapes).collect();
        let word = |word: &str| word.chars().flat_map(shapes).filter(is_kept).collect::<String>();
        let words: Vec<_> = value.split_whitespace().map(word).filter(|w| !w.is_empty()).collect();
        let is_spaced = value.split_whitespace().nth(1).is_some();
        (!plain.is_empty()).then_some(Self { plain, is_spaced, words })
    }
}

/// Between pieces of an address commas come and go.
fn is_kept(c: &char) -> bool {
    !matches!(c, ',' | ';')
}

/// One page, ready to be looked into.
///
/// It takes about three times the memory of the text.
#[derive(Clone, Debug)]
pub struct PageWords<'a> {
    original: &'a str,
    plain: Plain,
    /// The cells of all lines without shape and without commas, one after the other.
    cells_text: String,
    cells: Vec<Cell>,
    lines: Vec<Line>,
}

/// What is between columns on one line.
#[derive(Clone, Copy, Debug)]
struct Cell {
    /// Where it starts in the original.
    start: usize,
    /// Where it ends in the text of all cells.
    text_end: usize,
}

/// Where a line starts, and its first cell.
#[derive(Clone, Copy, Debug)]
struct Line {
    start: usize,
    cell: usize,
}

impl<'a> PageWords<'a> {
    /// Prepares a page.
    pub fn new(original: &'a str) -> Self {
        let plain = Plain::of(original);
        let mut page = Self {
            original,
            plain,
            cells_text: String::new(),
            cells: Vec::new(),
            lines: Vec::new(),
        };
        let mut offset = 0;
        for line in original.split('\n') {
            page.lines.push(Line { start: offset, cell: page.cells.len() });
            let mut start = offset;
            for text in line.split(COLUMN_GAP) {
                let before = page.cells_text.len();
                page.cells_text.extend(text.chars().flat_map(shapes).filter(is_kept));
                let text_end = page.cells_text.len();
                if text_end > before {
                    page.cells.push(Cell { start, text_end });
                }
                start += text.len() + COLUMN_GAP.len();
            }
            offset += line.len() + 1;
        }
        page
    }

    /// Counted from zero, the line in which a place of the page's text is.
    pub fn line_of(&self, place: usize) -> usize {
        self.lines.partition_point(|line| line.start <= place).saturating_sub(1)
    }

    /// The cells of a line; `None` where there is no such line.
    fn cells(&self, line: usize) -> Option<Range<usize>> {
        let end = self.lines.get(line + 1).map_or(self.cells.len(), |next| next.cell);
        Some(self.lines.get(line)?.cell..end)
    }

    /// A cell's text, without shape and without commas.
    fn cell_text(&self, cell: usize) -> &str {
        let end_of = |cell: usize| self.cells.get(cell).map_or(0, |cell| cell.text_end);
        let start = cell.checked_sub(1).map_or(0, end_of);
        self.cells_text.get(start..end_of(cell)).unwrap_or_default()
    }

    /// Where a part of a cell's text stands on the page.
    fn place_in_cell(&self, cell: usize, part: Range<usize>) -> Option<Range<usize>> {
        let start = self.cells.get(cell)?.start;
        // The end of the line ends the cell, and no hyphen before it is left out.
        let rest = self.original.get(start..)?;
        let line = rest.split('\n').next()?;
        let place = place(line, 0, is_kept, part)?;
        Some(start + place.start..start + place.end)
    }

    /// Where the needle stands, at most `most` places: each as the ranges of the original text that
    /// make it up.
    pub fn find(&self, needle: &Needle, most: usize) -> Vec<Vec<Range<usize>>> {
        let places = self.plain.find(&needle.plain);
        let places =
            places.filter_map(|at| self.plain.original(self.original, at, at + needle.plain.len()));
        let places =
            places.filter(|place| self.is_whole(place) && self.is_spaced_as(place, needle));
        let found: Vec<_> = places.map(|place| vec![place]).take(most).collect();
        if found.is_empty() { self.find_in_cells(needle).into_iter().collect() } else { found }
    }

    /// Whether a place does not cut through a word.
    fn is_whole(&self, place: &Range<usize>) -> bool {
        let (Some(before), Some(text), Some(after)) = (
            self.original.get(..place.start),
            self.original.get(place.clone()),
            self.original.get(place.end..),
        ) else {
            return false;
        };
        let joins = |left: Option<char>, right: Option<char>| match (left, right) {
            (Some(left), Some(right)) => is_letter(left) && is_letter(right),
            _ => false,
        };
        !joins(before.chars().next_back(), text.chars().next())
            && !joins(text.chars().next_back(), after.chars().next())
            && !after.starts_with(is_combining_mark)
    }

    /// One word may stand with single spaces, as an IBAN does, but not over columns or lines.
    fn is_spaced_as(&self, place: &Range<usize>, needle: &Needle) -> bool {
        let text = self.original.get(place.clone()).unwrap_or_default();
        needle.is_spaced || !text.replace("-\n", "").contains('\n') && !text.contains("  ")
    }

    /// A text that goes on down a cell: it starts at the end of one cell, fills others, and ends at
    /// the beginning of the last.
    fn find_in_cells(&self, needle: &Needle) -> Option<Vec<Range<usize>>> {
        if needle.words.len() < 2 || needle.words.len() > CELL_WORDS_MAX {
            return None;
        }
        for line in 0..self.lines.len() {
            for cell in self.cells(line)? {
                let text = self.cell_text(cell);
                for count in (1..needle.words.len()).rev() {
                    let (first, rest) = needle.words.split_at(count);
                    let first = first.concat();
                    if !text.ends_with(&first) {
                        continue;
                    }
                    let part = text.len() - first.len()..text.len();
                    let place = self.place_in_cell(cell, part);
                    let Some(place) = place.filter(|place| self.is_whole(place)) else { continue };
                    if let Some(mut places) = self.go_on(rest, line, PIECES_MAX) {
                        places.push(place);
                        places.reverse();
                        return Some(places);
                    }
                }
            }
        }
        None
    }

    /// The places of these words in the lines after `line`, the last place first.
    fn go_on(&self, words: &[String], line: usize, pieces: usize) -> Option<Vec<Range<usize>>> {
        let pieces = pieces.checked_sub(1)?;
        let all = words.concat();
        for next in line + 1..=line + LINES_APART_MAX {
            for cell in self.cells(next)? {
                let text = self.cell_text(cell);
                if text.starts_with(&all) {
                    let place = self.place_in_cell(cell, 0..all.len())?;
                    if self.is_whole(&place) {
                        return Some(vec![place]);
                    }
                }
                for count in 1..words.len() {
                    let (filled, rest) = words.split_at(count);
                    if text != filled.concat() {
                        continue;
                    }
                    if let Some(mut places) = self.go_on(rest, next, pieces) {
                        places.push(self.place_in_cell(cell, 0..text.len())?);
                        return Some(places);
                    }
                }
            }
        }
        None
    }
}

/// A letter or digit of a script that parts words by spaces.
fn is_letter(c: char) -> bool {
    let has_no_spaces = matches!(c as u32,
        0xe00..=0xeff | 0x1000..=0x109f | 0x1780..=0x17ff | 0x2e80..=0x9fff | 0xac00..=0xd7af
        | 0xf900..=0xfaff | 0xff66..=0xff9f | 0x20000..=0x3ffff);
    c.is_alphanumeric() && !has_no_spaces
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn words_are_found_whatever_their_shape() {
        let check = |text: &str, value: &str, expected: &[&str]| {
            let page = PageWords::new(text);
            let found = page.find(&Needle::new(value).unwrap(), 9);
            let found: Vec<_> = found.iter().flatten().map(|place| &text[place.clone()]).collect();
            assert_eq!(found, expected, "{value:?} in {text:?}");
        };
        check("No. R-117, R-117", "R-117", &["R-117", "R-117"]);
        check("R-1170 AR-117", "R-117", &[]);
        check("IBAN DE89 3704 0044 0532", "DE89370400440532", &["DE89 3704 0044 0532"]);
        check("IBAN DE89370400440532", "DE89 3704 0044 0532", &["DE89370400440532"]);
        check("12   34", "1234", &[]);
        check("SERVICES\u{a0}AGREEMENT", "Services Agreement", &["SERVICES\u{a0}AGREEMENT"]);
        check("O’Neil – “Sons”", "O'Neil - \"Sons\"", &["O’Neil – “Sons”"]);
        check("the ﬁrst", "first", &["ﬁrst"]);
        check("Cafe\u{301} Noir", "Café Noir", &["Cafe\u{301} Noir"]);
        check("the agree-\nment ends", "agreement", &["agree-\nment"]);
        check("Acme\nLtd", "Acme Ltd", &["Acme\nLtd"]);
        check("株式会社山田商店", "山田商店", &["山田商店"]);
        check("René", "Rene", &[]);
        check("Rene\u{301}", "Rene", &[]);
        check("é éE", "éE", &["éE"]);
        check("", "x", &[]);
    }

    #[test]
    fn text_is_found_down_a_cell() {
        let text = "2   Brand photography, half   640.00   1,280.00\n\
                    \u{20}   day on location\n\
                    Bill to: Harbor Light   Date 2024-03-14\n\
                    12 Main Street   Due 2024-04-13\n\
                    Springfield";
        let check = |value: &str, expected: &[&str]| {
            let page = PageWords::new(text);
            let found = page.find(&Needle::new(value).unwrap(), 9);
            let found: Vec<_> = found.iter().flatten().map(|place| &text[place.clone()]).collect();
            assert_eq!(found, expected, "{value:?}");
        };
        check(
            "Brand photography, half day on location",
            &["Brand photography, half", "day on location"],
        );
        check(
            "Harbor Light, 12 Main Street, Springfield",
            &["Harbor Light", "12 Main Street", "Springfield"],
        );
        check("Light 12 Main", &["Light", "12 Main"]);
        check("Harbor Springfield", &[]);
        check("photography day on", &[]);
    }

    /// For each byte without shape, where its character stands in the original: what marks stand for.
    fn all_places(text: &str) -> Vec<Range<usize>> {
        let one = |(place, c): (Range<usize>, char)| {
            let bytes: usize = shapes(c).map(char::len_utf8).sum();
            std::iter::repeat_n(place, bytes)
        };
        printed(text, 0).flat_map(one).collect()
    }

    #[test]
    fn a_page_takes_little_more_than_its_text() {
        let text = "Widget, blue, 10 mm   12   3.40   40.80\n".repeat(1_000);
        let page = PageWords::new(&text);
        let bytes = page.plain.text.capacity()
            + size_of_val(page.plain.marks.as_slice())
            + page.cells_text.capacity()
            + size_of_val(page.cells.as_slice())
            + size_of_val(page.lines.as_slice());
        assert!(bytes < 6 * text.len(), "{bytes} for {}", text.len());
    }

    proptest! {
        #[test]
        fn marks_lead_to_the_same_places_as_a_list_of_all(
            text in "([a-z]{1,9}|ﬁ|ß|é|e\u{301}|㎏|½|\u{ad}| {1,4}|,|-\n|\n){0,200}",
            start in 0_usize..400,
            length in 1_usize..90,
        ) {
            let (plain, places) = (Plain::of(&text), all_places(&text));
            prop_assert_eq!(plain.text.len(), places.len());
            if let Some(part) = places.get(start..start + length) {
                let (first, last) = (&part[0], &part[length - 1]);
                let is_cut = start > 0 && places[start - 1] == *first
                    || places.get(start + length) == Some(last);
                let expected = (!is_cut).then_some(first.start..last.end);
                prop_assert_eq!(plain.original(&text, start, start + length), expected);
            }
        }

        #[test]
        fn every_word_of_a_text_is_found(text in "[a-zA-Z0-9 äé,.\n-]{0,80}") {
            let page = PageWords::new(&text);
            for word in text.split_whitespace() {
                if let Some(needle) = Needle::new(word) {
                    let found = page.find(&needle, usize::MAX);
                    let is_right = |place: &Range<usize>| text.get(place.clone()).is_some();
                    prop_assert!(found.iter().flatten().all(is_right));
                    let is_broken = text.contains("-\n");
                    prop_assert!(is_broken || !found.is_empty(), "{word:?}");
                }
            }
        }
    }
}
