//! Words as they are printed: found whatever their spacing, their case, and the shape of their
//! dashes and quotation marks; over the end of a line, and down a cell of a table.
//!
//! An index of where words start is all that is kept beside the text. It must know nothing of what
//! words mean.

mod shape;
mod edges;
mod similar;

use super::{
    currency,
    reading::{Grade, is_word},
};
use shape::{Shaped, is_kept, is_mark, shapes};
use std::ops::Range;

/// A text of more words than this is only looked for as it stands.
const CELL_WORDS_MAX: usize = 64;

/// A text in a cell may go on within so many lines.
const LINES_APART_MAX: usize = 2;

/// A text that stands in more pieces than this is not the same text.
const PIECES_MAX: usize = 12;

/// Of a text whose first word stands more often, only so many places are looked at for cells.
const CELLS_TRIED_MAX: usize = 2_000;

/// Columns of one printed row are at least so many spaces apart.
const COLUMN_GAP: &str = "   ";

/// So many bytes of what follows sort the index.
const KEY_BYTES: usize = 8;

/// What is looked for.
#[derive(Clone, Debug)]
pub struct Needle {
    /// Its characters without shape, spaces, and the commas and points that come and go.
    plain: Vec<char>,
    /// Where in `plain` a word ends.
    ends: Vec<usize>,
    key: (u64, usize),
    first_word: (u64, usize),
    /// With all its commas and points: a single word that has a digit is compared letter by letter.
    strict: Option<String>,
    /// Whether it has a digit, as identifiers have.
    has_digit: bool,
    /// A currency's code may touch a number, and is printed as it is.
    code: Option<String>,
}

impl Needle {
    /// `None` when there is nothing to look for.
    pub fn new(value: &str) -> Option<Self> {
        let (mut plain, mut ends) = (Vec::new(), Vec::new());
        for word in value.split_whitespace() {
            let before = plain.len();
            let kept = word.char_indices().filter(|(at, c)| is_kept(word, *at, *c));
            plain.extend(kept.flat_map(|(_, c)| shapes(c)));
            if plain.len() > before {
                ends.push(plain.len());
            }
        }
        let first = ends.first().copied()?;
        let has_digit = value.contains(|c: char| c.is_numeric());
        let strict = has_digit && ends.len() == 1;
        let key = key(plain.iter().copied());
        (key.1 > 0).then(|| Self {
            key,
            first_word: self::key(plain.iter().take(first).copied()),
            strict: strict
                .then(|| value.trim().trim_matches(is_mark).chars().flat_map(shapes).collect()),
            has_digit,
            code: currency::is_code(value).then(|| value.to_owned()),
            plain,
            ends,
        })
    }

    fn is_spaced(&self) -> bool {
        self.ends.len() > 1
    }
}

/// The first bytes of a text without dashes, which come and go at the ends of lines, and how many.
fn key(characters: impl Iterator<Item = char>) -> (u64, usize) {
    let (mut bytes, mut length) = ([0_u8; KEY_BYTES], 0);
    let mut buffer = [0; 4];
    for c in characters.filter(|c| *c != '-') {
        for byte in c.encode_utf8(&mut buffer).bytes() {
            let Some(place) = bytes.get_mut(length) else {
                return (u64::from_be_bytes(bytes), length);
            };
            *place = byte;
            length += 1;
        }
    }
    (u64::from_be_bytes(bytes), length)
}

/// A place of words: the ranges of a page's text that make it up, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundWords {
    /// The page's index.
    pub page: usize,
    /// Its pieces.
    pub pieces: Vec<Range<usize>>,
    /// Whether it may be a part of something longer.
    pub grade: Grade,
}

/// Where every word of a document starts, by what stands there.
#[derive(Clone, Debug)]
pub struct WordIndex<'a> {
    texts: Vec<&'a str>,
    /// The page and the byte of each start, ordered by key and then by place.
    starts: Vec<(u32, u32)>,
}

impl<'a> WordIndex<'a> {
    /// Reads the pages once. Of a page above 4 GiB only the beginning is read.
    pub fn new(texts: impl Iterator<Item = &'a str>) -> Self {
        let texts: Vec<_> = texts.collect();
        let mut keyed = Vec::new();
        for (page, text) in (0..).zip(&texts) {
            let mut before = None;
            for (at, c) in text.char_indices() {
                let joins = before.is_some_and(is_word) && is_word(c);
                if !joins
                    && !c.is_whitespace()
                    && is_kept(text, at, c)
                    && let Ok(at) = u32::try_from(at)
                {
                    keyed.push((key_at(text, at).0, page, at));
                }
                before = Some(c);
            }
        }
        keyed.sort_unstable();
        let starts = keyed.into_iter().map(|(_, page, at)| (page, at)).collect();
        Self { texts, starts }
    }

    fn text(&self, page: u32) -> &'a str {
        self.texts.get(page as usize).copied().unwrap_or_default()
    }

    /// The starts of what begins with a key, in the order of the text.
    fn candidates(&self, (key, length): (u64, usize)) -> Vec<(u32, u32)> {
        let kept =
            u64::MAX.checked_shl(8 * (KEY_BYTES - length.min(KEY_BYTES)) as u32).unwrap_or(0);
        let of = |(page, at): &(u32, u32)| key_at(self.text(*page), *at).0 & kept;
        let from = self.starts.partition_point(|start| of(start) < key);
        let rest = self.starts.get(from..).unwrap_or_default();
        let count = rest.partition_point(|start| of(start) == key);
        let mut places = rest.get(..count).unwrap_or_default().to_vec();
        places.sort_unstable();
        places
    }

    /// Where the needle stands, at most `most` places, in order.
    pub fn find(&self, needle: &Needle, most: usize) -> Vec<FoundWords> {
        let places = self.candidates(needle.key).into_iter();
        let found: Vec<_> =
            places.filter_map(|(page, at)| self.straight(needle, page, at)).take(most).collect();
        if !found.is_empty() || !needle.is_spaced() || needle.ends.len() > CELL_WORDS_MAX {
            return found;
        }
        let places = self.candidates(needle.first_word).into_iter().take(CELLS_TRIED_MAX);
        let mut found = places.filter_map(|(page, at)| self.down_a_cell(needle, page, at));
        found.next().into_iter().collect()
    }

    /// The needle as it stands from here on.
    fn straight(&self, needle: &Needle, page: u32, at: u32) -> Option<FoundWords> {
        let text = self.text(page);
        let start = at as usize;
        let walk = walk(text, start..text.len(), &needle.plain);
        let end = walk.end.filter(|_| walk.matched == needle.plain.len())?;
        let printed = text.get(start..end)?;
        if !needle.is_spaced() {
            // One word may stand with single spaces, as an IBAN does, but not over columns or lines.
            let is_short = needle.has_digit && needle.plain.len() < GROUPED_MIN;
            let has_gap = printed.replace("-\n", "").contains('\n') || printed.contains("  ");
            if has_gap || is_short && printed.contains(char::is_whitespace) {
                return None;
            }
        }
        if let Some(strict) = &needle.strict
            && !printed.chars().flat_map(shapes).eq(strict.chars())
        {
            return None;
        }
        if needle.code.as_ref().is_some_and(|code| code != printed) {
            return None;
        }
        let place = start..end;
        let grade = edges::grade(text, &place, needle)?;
        Some(FoundWords { page: page as usize, pieces: vec![place], grade })
    }

    /// A text that goes on down a cell: it starts at the end of one cell, fills others, and ends at
    /// the beginning of the last.
    fn down_a_cell(&self, needle: &Needle, page: u32, at: u32) -> Option<FoundWords> {
        let text = self.text(page);
        let start = at as usize;
        let cell = start..start + cell_length(text.get(start..)?);
        let walk = walk(text, cell.clone(), &needle.plain);
        let end = walk.end.filter(|_| walk.is_through && needle.ends.contains(&walk.matched))?;
        let grade = edges::grade(text, &(start..end), needle)?;
        let rest = Rest { text, needle };
        let mut pieces = rest.below(walk.matched, cell.end, PIECES_MAX)?;
        pieces.push(start..end);
        pieces.reverse();
        Some(FoundWords { page: page as usize, pieces, grade })
    }
}

/// A shorter word with a digit does not stand with spaces in it: those are two numbers.
const GROUPED_MIN: usize = 6;

fn key_at(text: &str, at: u32) -> (u64, usize) {
    key(Shaped::new(text, at as usize..text.len()).map(|shaped| shaped.shape))
}

/// How far the cell goes in which a text begins.
fn cell_length(text: &str) -> usize {
    let line = text.find('\n').unwrap_or(text.len());
    text.get(..line).and_then(|line| line.find(COLUMN_GAP)).unwrap_or(line)
}

/// How far a text and a needle agree.
struct Walk {
    /// So many characters of the needle.
    matched: usize,
    /// Where the last of them ends in the text; `None` where nothing agrees, or the needle ends within
    /// a character.
    end: Option<usize>,
    /// Whether nothing of the text is left.
    is_through: bool,
}

fn walk(text: &str, place: Range<usize>, needle: &[char]) -> Walk {
    let mut wanted = needle.iter().peekable();
    let mut walk = Walk { matched: 0, end: None, is_through: true };
    for shaped in Shaped::new(text, place) {
        let Some(next) = wanted.peek() else {
            walk.is_through = false;
            if walk.end.is_some_and(|end| shaped.end == end) {
                walk.end = None;
            }
            return walk;
        };
        if **next == shaped.shape {
            wanted.next();
            walk.matched += 1;
            walk.end = Some(shaped.end);
        } else if !(shaped.shape == '-' && is_line_end(text, shaped.end)) {
            walk.is_through = false;
            return walk;
        }
    }
    walk
}

/// A hyphen at the end of a line may part a word.
fn is_line_end(text: &str, at: usize) -> bool {
    let rest = text.get(at..).unwrap_or_default().trim_start_matches(' ');
    rest.starts_with('\n') && rest.trim_start().starts_with(char::is_alphabetic)
}

/// What is left of a needle below a cell.
struct Rest<'a> {
    text: &'a str,
    needle: &'a Needle,
}

impl Rest<'_> {
    /// The places of what follows the first `matched` characters, in the lines after a byte; the last
    /// place first.
    fn below(&self, matched: usize, after: usize, pieces: usize) -> Option<Vec<Range<usize>>> {
        let pieces = pieces.checked_sub(1)?;
        let wanted = self.needle.plain.get(matched..)?;
        let mut line_start = after;
        for _ in 0..LINES_APART_MAX {
            line_start += self.text.get(line_start..)?.find('\n')? + 1;
            let line = self.text.get(line_start..)?.split('\n').next()?;
            let mut start = line_start;
            for cell in line.split(COLUMN_GAP) {
                let indent = cell.len() - cell.trim_start().len();
                let place = start + indent..start + cell.len();
                start += cell.len() + COLUMN_GAP.len();
                if place.is_empty() {
                    continue;
                }
                let walk = walk(self.text, place.clone(), wanted);
                let Some(end) = walk.end else { continue };
                let piece = place.start..end;
                if walk.matched == wanted.len() {
                    if edges::grade(self.text, &piece, self.needle).is_some() {
                        return Some(vec![piece]);
                    }
                } else if walk.is_through
                    && self.needle.ends.contains(&(matched + walk.matched))
                    && let Some(mut places) = self.below(matched + walk.matched, place.end, pieces)
                {
                    places.push(piece);
                    return Some(places);
                }
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What is found of a value in a text: `?` before what may be a part of something.
    fn found(text: &str, value: &str) -> Vec<String> {
        let index = WordIndex::new([text].into_iter());
        let found = Needle::new(value).map(|needle| index.find(&needle, 9)).unwrap_or_default();
        let mut shown = Vec::new();
        for words in found {
            let mark = if words.grade == Grade::Certain { "" } else { "?" };
            shown
                .extend(words.pieces.iter().map(|place| format!("{mark}{}", &text[place.clone()])));
        }
        shown
    }

    #[test]
    fn words_are_found_whatever_their_shape() {
        let check = |text: &str, value: &str, expected: &[&str]| {
            assert_eq!(found(text, value), expected, "{value:?} in {text:?}");
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
            assert_eq!(found(text, value), expected, "{value:?}");
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
            let index = WordIndex::new([&*text].into_iter());
            for word in text.split_whitespace() {
                if let Some(needle) = Needle::new(word) {
                    let found = index.find(&needle, usize::MAX);
                    let mut pieces = found.iter().flat_map(|words| &words.pieces);
                    prop_assert!(pieces.all(|place| text.get(place.clone()).is_some()));
                    prop_assert!(!found.is_empty(), "{word:?}");
                }
            }
        }
    }
}
