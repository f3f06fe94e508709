//! What a printed text may mean, and how sure that is.
//!
//! It must know nothing of kinds of values.

use std::ops::Range;

/// How sure it is that a place says a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Grade {
    /// It can mean nothing else here.
    Certain,
    /// It may mean something else, or be a part of something longer.
    Unsure,
    /// It says another value, which a usual slip makes this one: the other sign, or day and month
    /// in the wrong order.
    Contrary,
}

/// A value that a text may have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading<T> {
    /// The value.
    pub value: T,
    /// Its place, in bytes of the text.
    pub place: Range<usize>,
    /// How sure it is.
    pub grade: Grade,
}

/// A reading of one of several pages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageReading<T> {
    /// The value.
    pub value: T,
    /// The page's index.
    pub page: u32,
    start: u32,
    end: u32,
    /// How sure it is.
    pub grade: Grade,
}

impl<T> PageReading<T> {
    /// Its place, in bytes of the page's text.
    pub fn place(&self) -> Range<usize> {
        self.start as usize..self.end as usize
    }
}

/// Everything of one kind that was read in a document, by value and by place.
#[derive(Clone, Debug)]
pub struct ReadingIndex<T> {
    /// In the order of the text.
    all: Vec<PageReading<T>>,
    /// Indices of `all`, ordered by value.
    by_value: Vec<u32>,
}

impl<T: Ord> ReadingIndex<T> {
    /// What was read, each page's readings after those of the page before it.
    pub fn new(pages: impl Iterator<Item = Vec<Reading<T>>>) -> Self {
        let mut all = Vec::new();
        for (page, mut readings) in (0..).zip(pages) {
            readings.sort_by_key(|reading| (reading.place.start, reading.place.end));
            all.extend(readings.into_iter().filter_map(|Reading { value, place, grade }| {
                let (start, end) = (u32::try_from(place.start), u32::try_from(place.end));
                Some(PageReading { value, page, start: start.ok()?, end: end.ok()?, grade })
            }));
        }
        let value = |index: &u32| all.get(*index as usize).map(|reading| &reading.value);
        let mut by_value: Vec<u32> = (0..).take(all.len()).collect();
        by_value.sort_by(|one, other| value(one).cmp(&value(other)));
        Self { all, by_value }
    }

    /// Everything, in the order of the text.
    pub fn all(&self) -> impl Iterator<Item = &PageReading<T>> {
        self.all.iter()
    }

    /// Where a value was read, in the order of the text.
    pub fn of<'a>(&'a self, value: &'a T) -> impl Iterator<Item = &'a PageReading<T>> {
        let at = |index: &u32| self.all.get(*index as usize);
        let from = self.by_value.partition_point(|i| at(i).is_some_and(|r| r.value < *value));
        let places = self.by_value.get(from..).unwrap_or_default().iter().filter_map(at);
        places.take_while(move |reading| reading.value == *value)
    }

    /// What else may be meant where a reading stands.
    pub fn others<'a>(
        &'a self,
        of: &'a PageReading<T>,
    ) -> impl Iterator<Item = &'a PageReading<T>> {
        let near = self.within(of.page, of.start as usize..of.end as usize);
        near.filter(|other| other.value != of.value && other.grade != Grade::Contrary)
    }

    /// What was read in a part of a page.
    pub fn within(&self, page: u32, place: Range<usize>) -> impl Iterator<Item = &PageReading<T>> {
        let from = self
            .all
            .partition_point(|r| (r.page, r.place().start + WIDTH_MAX) < (page, place.start));
        let rest = self.all.get(from..).unwrap_or_default().iter();
        let rest = rest.take_while(move |r| r.page == page && r.place().start < place.end);
        rest.filter(move |r| r.place().end > place.start)
    }
}

/// No reading is longer than so many bytes.
const WIDTH_MAX: usize = 200;

/// A letter of a script that writes words without spaces between them.
pub fn is_unspaced(c: char) -> bool {
    matches!(c as u32,
        0xe00..=0xeff | 0x1000..=0x109f | 0x1780..=0x17ff | 0x2e80..=0x9fff | 0xac00..=0xd7af
        | 0xf900..=0xfaff | 0xff66..=0xff9f | 0x20000..=0x3ffff)
}

/// A letter or digit of a script that parts words by spaces.
pub fn is_word(c: char) -> bool {
    c.is_alphanumeric() && !is_unspaced(c)
}
