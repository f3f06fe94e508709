//! The pages of a document, read once for everything that may be looked for.
//!
//! It must know nothing of schemas.

use super::{
    ascii::AsciiFigures,
    currency::Sign,
    date::{self, DateStyle},
    language,
    number::{self, Decimal, Style},
    numeral,
    reading::{Grade, PageReading, Reading, ReadingIndex},
    time,
    words::WordIndex,
};
use jiff::civil::{Date, Time};
use shared::extraction::{Evidence, Page, Pages};
use std::ops::Range;

/// Of a value that stands in a document more often, only so many places are looked at.
pub const PLACES_MAX: usize = 200;

/// A place in the text: one or several pieces of a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The page's index.
    pub page: usize,
    /// Counted over all pages.
    pub line: usize,
    /// In bytes of the page's text.
    pub pieces: Vec<Range<usize>>,
}

/// The pages, and where words, numbers, dates and times stand on them.
pub struct DocumentText<'a> {
    pages: &'a [Page],
    language: Option<&'static str>,
    /// For each page, where its lines begin.
    lines: Vec<Vec<u32>>,
    /// For each page, how many lines are before it.
    lines_before: Vec<usize>,
    /// Where words start.
    pub words: WordIndex<'a>,
    /// Its numbers.
    pub numbers: ReadingIndex<Decimal>,
    /// Its dates.
    pub dates: ReadingIndex<Date>,
    /// Its times of day.
    pub times: ReadingIndex<Time>,
}

impl<'a> DocumentText<'a> {
    /// Reads every page once.
    pub fn new(pages: &'a Pages) -> Self {
        let pages = pages.pages.as_slice();
        let language = language::of(pages.iter().map(|page| page.text.as_str()));
        let figures: Vec<_> = pages.iter().map(|page| AsciiFigures::of(&page.text)).collect();
        let texts = || figures.iter().map(|figures| &*figures.text);
        let style = Style::of(texts(), language);
        let date_style = DateStyle::of(texts(), language);
        let dates: Vec<_> = texts().map(|text| date::scan(text, date_style)).collect();
        let numbers = figures.iter().zip(&dates).map(|(figures, dates)| {
            let masks = masks(&figures.text, dates);
            let mut found = number::scan(&figures.text, style, &masks);
            found.extend(numeral::scan(&figures.text, language));
            figures.in_original(found)
        });
        let numbers = ReadingIndex::new(numbers);
        let times = figures.iter().map(|figures| figures.in_original(time::scan(&figures.text)));
        let times = ReadingIndex::new(times);
        let dates = figures.iter().zip(dates).map(|(figures, dates)| figures.in_original(dates));
        let dates = ReadingIndex::new(dates);
        let lines: Vec<_> = pages.iter().map(|page| line_starts(&page.text)).collect();
        let mut count = 0;
        let lines_before = lines.iter().map(|lines| {
            count += lines.len();
            count - lines.len()
        });
        let lines_before = lines_before.collect();
        let words = WordIndex::new(pages.iter().map(|page| page.text.as_str()));
        Self { pages, language, lines, lines_before, words, numbers, dates, times }
    }

    /// The place of these pieces, which are not empty.
    pub fn place(&self, page: usize, pieces: Vec<Range<usize>>) -> Place {
        let start = pieces.first().map_or(0, |piece| piece.start);
        let line = self.row(page, start);
        let line = line + self.lines_before.get(page).copied().unwrap_or_default();
        Place { page, line, pieces }
    }

    /// The place of a reading.
    pub fn place_of<T>(&self, reading: &PageReading<T>) -> Place {
        self.place(reading.page as usize, vec![reading.place()])
    }

    /// What is printed where a reading stands.
    pub fn printed<T>(&self, reading: &PageReading<T>) -> &'a str {
        let page = self.pages.get(reading.page as usize);
        page.and_then(|page| page.text.get(reading.place())).unwrap_or_default()
    }

    /// Where a sign of a currency stands. It may touch a figure, but no letter: `$5` and `R$`.
    pub fn sign(&self, sign: &Sign) -> impl Iterator<Item = (Place, Grade)> {
        let is_own = sign.language.is_none() || sign.language == self.language;
        let grade = if is_own { Grade::Certain } else { Grade::Unsure };
        let is_letters = sign.text.starts_with(char::is_alphabetic);
        let pages = self.pages.iter().enumerate();
        pages.flat_map(move |(page, text)| {
            let found = text.text.match_indices(sign.text).take(PLACES_MAX);
            found.filter_map(move |(at, found)| {
                let (before, after) = (text.text.get(..at)?, text.text.get(at + found.len()..)?);
                let touches = |c: char| c.is_alphabetic() && (is_letters || c.is_ascii());
                let (before, after) = (before.chars().next_back(), after.chars().next());
                let is_part = before.is_some_and(touches) || after.is_some_and(touches);
                let place = at..at + found.len();
                (!is_part).then(|| (self.place(page, vec![place]), grade))
            })
        })
    }

    /// In which language it is written, as two letters.
    pub fn language(&self) -> Option<&'static str> {
        self.language
    }

    /// Its pages.
    pub fn pages(&self) -> &'a [Page] {
        self.pages
    }

    /// Which line of its page a byte stands on, counted from 0.
    pub fn row(&self, page: usize, at: usize) -> usize {
        let lines = self.lines.get(page).map_or(&[][..], Vec::as_slice);
        lines.partition_point(|line| *line as usize <= at).saturating_sub(1)
    }

    /// Where a line of a page stands in the page's text, without its end; nothing where there is
    /// none.
    pub fn line(&self, page: usize, row: usize) -> Range<usize> {
        let lines = self.lines.get(page).map_or(&[][..], Vec::as_slice);
        let text = self.pages.get(page).map_or("", |page| page.text.as_str());
        let from = lines.get(row).map_or(text.len(), |from| *from as usize);
        let to = lines.get(row + 1).map_or(text.len(), |next| *next as usize);
        let end = text.get(from..to).map_or(to, |line| from + line.trim_end_matches('\n').len());
        from..end.max(from)
    }

    /// How many lines a page has.
    pub fn rows(&self, page: usize) -> usize {
        self.lines.get(page).map_or(0, Vec::len)
    }

    /// What stands at a place; `None` where there is no such page.
    pub fn evidence(&self, place: &Place) -> Option<Evidence> {
        let page = self.pages.get(place.page)?;
        let pieces = place.pieces.iter().filter_map(|piece| page.text.get(piece.clone()));
        let quote = pieces.collect::<Vec<_>>().join("\n");
        Some(Evidence { page: page.number, quote, bounds: page.bounds(&place.pieces) })
    }
}

/// The places of dates, in which there are no numbers.
fn masks(text: &str, dates: &[Reading<Date>]) -> Vec<Range<usize>> {
    let is_date = |reading: &&Reading<Date>| {
        let printed = text.get(reading.place.clone()).unwrap_or_default();
        let has_mark = printed.contains(|c: char| !c.is_numeric());
        let has_letter = printed.contains(char::is_alphabetic);
        // A word that is a month in another language may be a word of this one.
        has_mark && (!has_letter || reading.grade == Grade::Certain)
    };
    dates.iter().filter(is_date).map(|reading| reading.place.clone()).collect()
}

/// A longer line counts as several: whoever looks at a line for every value of it would never end.
const LINE_BYTES_MAX: usize = 2_000;

fn line_starts(text: &str) -> Vec<u32> {
    let mut starts = Vec::new();
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        let mut rest = line;
        while rest.len() > LINE_BYTES_MAX {
            let most = rest.floor_char_boundary(LINE_BYTES_MAX);
            let part = rest.get(..most).unwrap_or_default();
            let end = part.rfind(' ').map_or(most, |blank| blank + 1);
            starts.push(start);
            start += end;
            rest = rest.get(end..).unwrap_or_default();
        }
        starts.push(start);
        start += rest.len();
    }
    if text.is_empty() || text.ends_with('\n') {
        starts.push(start);
    }
    starts.into_iter().filter_map(|start| u32::try_from(start).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_line_is_several() {
        let long = format!("first\n{}\nlast", "net 1.00 ".repeat(100_000));
        let page = Page { number: 1, text: long.clone(), ..Page::default() };
        let pages = Pages { pages: vec![page], ..Pages::default() };
        let text = DocumentText::new(&pages);
        let rows: Vec<_> = (0..text.rows(0)).map(|row| text.line(0, row)).collect();
        assert!(rows.iter().all(|row| row.len() <= LINE_BYTES_MAX));
        assert!(rows.iter().enumerate().all(|(row, line)| text.row(0, line.start) == row));
        let all: Vec<_> = rows.iter().map(|row| &long[row.clone()]).collect();
        assert_eq!((all[0], all[all.len() - 1]), ("first", "last"));
        assert_eq!(all[1..all.len() - 1].concat(), long.split('\n').nth(1).unwrap());
        for (given, expected) in [("", vec![0]), ("a\n", vec![0, 2]), ("a\n\nb", vec![0, 2, 3])] {
            assert_eq!(line_starts(given), expected);
        }
    }
}
