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

/// Text without spaces and without what is only shape, and where each piece of it came from.
#[derive(Clone, Debug, Default)]
struct Plain {
    text: String,
    /// For each byte of `text`, where its character starts and ends in the original.
    places: Vec<(usize, usize)>,
}

impl Plain {
    fn of(original: &str, offset: usize) -> Self {
        let mut plain = Self::default();
        let mut characters = original.char_indices().peekable();
        while let Some((start, c)) = characters.next() {
            let end = characters.peek().map_or(original.len(), |(next, _)| *next);
            // A hyphen at the end of a line that the next line's small letter continues.
            let rest = original.get(end..).unwrap_or_default();
            let is_broken = matches!(c, '-' | '\u{2010}')
                && rest.starts_with('\n')
                && rest.trim_start().starts_with(char::is_lowercase);
            if is_broken {
                continue;
            }
            for shape in shapes(c) {
                plain.text.push(shape);
                let place = (offset + start, offset + end);
                plain.places.extend(std::iter::repeat_n(place, shape.len_utf8()));
            }
        }
        plain
    }

    /// Where the bytes from `start` to `end` stand in the original; `None` where they begin or end
    /// within a character of it.
    fn original(&self, start: usize, end: usize) -> Option<Range<usize>> {
        let (first, last) = (self.places.get(start)?, self.places.get(end.checked_sub(1)?)?);
        let before = start.checked_sub(1).and_then(|at| self.places.get(at));
        let is_cut = before == Some(first) || self.places.get(end) == Some(last);
        (!is_cut).then_some(first.0..last.1)
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
#[derive(Clone, Debug)]
pub struct PageWords<'a> {
    original: &'a str,
    plain: Plain,
    /// The cells of each line.
    lines: Vec<Vec<Cell>>,
}

#[derive(Clone, Debug)]
struct Cell {
    plain: Plain,
}

impl<'a> PageWords<'a> {
    /// Prepares a page.
    pub fn new(original: &'a str) -> Self {
        let mut lines = Vec::new();
        let mut offset = 0;
        for line in original.split('\n') {
            let mut cells = Vec::new();
            let mut start = offset;
            for text in line.split(COLUMN_GAP) {
                let mut plain = Plain::of(text, start);
                let kept: Vec<bool> = plain.text.chars().map(|c| is_kept(&c)).collect();
                if kept.contains(&false) {
                    plain = without_commas(&plain);
                }
                if !plain.text.is_empty() {
                    cells.push(Cell { plain });
                }
                start += text.len() + COLUMN_GAP.len();
            }
            lines.push(cells);
            offset += line.len() + 1;
        }
        Self { original, plain: Plain::of(original, 0), lines }
    }

    /// Where the needle stands, at most `most` places: each as the ranges of the original text that
    /// make it up.
    pub fn find(&self, needle: &Needle, most: usize) -> Vec<Vec<Range<usize>>> {
        let places = self.plain.find(&needle.plain);
        let places = places.filter_map(|at| self.plain.original(at, at + needle.plain.len()));
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
        for (line, cells) in self.lines.iter().enumerate() {
            for cell in cells {
                for count in (1..needle.words.len()).rev() {
                    let (first, rest) = needle.words.split_at(count);
                    let first = first.concat();
                    let Some(start) = cell.plain.text.len().checked_sub(first.len()) else {
                        continue;
                    };
                    if !cell.plain.text.ends_with(&first) {
                        continue;
                    }
                    let Some(place) = cell.plain.original(start, cell.plain.text.len()) else {
                        continue;
                    };
                    if !self.is_whole(&place) {
                        continue;
                    }
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
            for cell in self.lines.get(next)? {
                let text = &cell.plain.text;
                if text.starts_with(&all) {
                    let place = cell.plain.original(0, all.len())?;
                    if self.is_whole(&place) {
                        return Some(vec![place]);
                    }
                }
                for count in 1..words.len() {
                    let (filled, rest) = words.split_at(count);
                    if *text != filled.concat() {
                        continue;
                    }
                    if let Some(mut places) = self.go_on(rest, next, pieces) {
                        places.push(cell.plain.original(0, text.len())?);
                        return Some(places);
                    }
                }
            }
        }
        None
    }
}

fn without_commas(plain: &Plain) -> Plain {
    let kept = plain.text.char_indices().filter(|(_, c)| is_kept(c));
    let mut less = Plain::default();
    for (at, c) in kept {
        less.text.push(c);
        less.places.extend(plain.places.iter().skip(at).take(c.len_utf8()));
    }
    less
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

    proptest! {
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
