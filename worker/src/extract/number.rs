//! Numbers as they are printed: in any grouping, with comma or point, with signs and per cent.
//!
//! Values are compared as decimal digits, never as binary fractions. A number counts only as a whole:
//! what stands within an identifier, a date or a longer number is none. It must know nothing of what
//! a number counts.

mod around;
mod decimal;

use super::reading::{Grade, Reading};
use around::{is_abbreviation, is_letter, signs, surroundings};
pub use decimal::Decimal;
use regex::Regex;
use std::{ops::Range, sync::LazyLock};

/// Which character parts the fraction, as far as a document shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Convention {
    /// Always a point: `1,234` is a thousand and more.
    Point,
    /// Always a comma: `1.234` is a thousand and more.
    Comma,
    /// Both or neither occur: a number that may be read in two ways counts as either.
    Mixed,
}

impl Convention {
    fn allows(self, mark: char) -> bool {
        match self {
            Self::Point => mark == '.',
            Self::Comma => mark == ',',
            Self::Mixed => true,
        }
    }
}

/// How a document writes numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Style {
    /// What parts the fraction.
    pub convention: Convention,
    /// Thousands have another mark than a space, or none: a space parts two numbers.
    pub spaces_part: bool,
}

impl Style {
    /// Nothing is known.
    pub const UNKNOWN: Self = Self { convention: Convention::Mixed, spaces_part: false };

    /// What the unmistakable numbers of these texts show, or else the language.
    pub fn of<'a>(texts: impl Iterator<Item = &'a str>, language: Option<&str>) -> Self {
        let (mut points, mut commas, mut spaces_part) = (0, 0, false);
        for found in texts.flat_map(|text| TOKEN.find_iter(text)) {
            let Some(mark) = fraction_mark(found.as_str()) else { continue };
            match mark {
                '.' => points += 1,
                _ => commas += 1,
            }
            let whole = found.as_str().rsplit_once(mark).map_or("", |(whole, _)| whole);
            spaces_part |= whole.len() > 3 && !whole.contains(SPACES) && grouped(whole).is_some();
        }
        let convention = match (points, commas) {
            (1.., 0) => Convention::Point,
            (0, 1..) => Convention::Comma,
            (0, 0) if language.is_some_and(|of| POINT_LANGUAGES.contains(&of)) => Convention::Point,
            (0, 0) if language.is_some() => Convention::Comma,
            _ => Convention::Mixed,
        };
        Self { convention, spaces_part }
    }
}

/// Languages that write `1,234.50`.
const POINT_LANGUAGES: [&str; 6] = ["en", "he", "hi", "ja", "ko", "zh"];

/// Spaces that keep what they part on one line.
const SPACES: [char; 3] = ['\u{a0}', '\u{202f}', '\u{2009}'];

/// Digits, and what may stand between digits of one number.
static TOKEN: LazyLock<Regex> = LazyLock::new(|| {
    const TOKEN: &str = r"[0-9]+(?:[.,'’\u{a0}\u{202f}\u{2009}][0-9]+)*";
    #[expect(clippy::expect_used, reason = "a constant that the tests use")]
    Regex::new(TOKEN).expect("a regular expression")
});

/// Every number in a text with every value that it may have, and its place. What `masked` covers,
/// in order, are dates: only their years are numbers.
pub fn scan(text: &str, style: Style, masked: &[Range<usize>]) -> Vec<Reading<Decimal>> {
    let mut found = Vec::new();
    let mut run: Vec<Range<usize>> = Vec::new();
    let mut masks = masked.iter().peekable();
    for token in TOKEN.find_iter(text) {
        let place = token.range();
        while masks.next_if(|mask| mask.end <= place.start).is_some() {}
        if let Some(mask) = masks.peek().filter(|mask| mask.start < place.end) {
            found.extend(year(text, &place, mask));
            read_run(text, &run, style, &mut found);
            run.clear();
            continue;
        }
        let follows = run.last().is_some_and(|last| text.get(last.end..place.start) == Some(" "));
        if !follows {
            read_run(text, &run, style, &mut found);
            run.clear();
        }
        run.extend(parts(token.as_str()).map(|p| place.start + p.start..place.start + p.end));
    }
    read_run(text, &run, style, &mut found);
    found
}

/// A token, or what hard spaces part in it where they do not group digits.
fn parts(token: &str) -> impl Iterator<Item = Range<usize>> {
    let is_one = !token.contains(SPACES) || !readings(token, Convention::Mixed).is_empty();
    let mut start = 0;
    token.split(move |c| !is_one && SPACES.contains(&c)).map(move |part| {
        let place = start..start + part.len();
        let space = token.get(place.end..).and_then(|rest| rest.chars().next());
        start = place.end + space.map_or(0, char::len_utf8);
        place
    })
}

/// The year of a date is a number where words name the month, and may be one in figures.
fn year(text: &str, place: &Range<usize>, date: &Range<usize>) -> Option<Reading<Decimal>> {
    let digits = text.get(place.clone()).filter(|digits| digits.len() == 4)?;
    let is_named = text.get(date.clone())?.chars().any(is_letter);
    let grade = if is_named { Grade::Certain } else { Grade::Unsure };
    Some(Reading { value: Decimal::parse(digits)?, place: place.clone(), grade })
}

/// Reads digits with single spaces between them: a space groups the digits of one number, or parts
/// two numbers, or the groups of a telephone number or an account.
fn read_run(text: &str, run: &[Range<usize>], style: Style, found: &mut Vec<Reading<Decimal>>) {
    let part = |index: usize| run.get(index).and_then(|place| text.get(place.clone()));
    let is_plain = |index: Option<usize>| {
        index.and_then(part).is_some_and(|part| part.bytes().all(|c| c.is_ascii_digit()))
    };
    let mut index = 0;
    while let Some(place) = run.get(index) {
        let count = spaced(text, run.get(index..).unwrap_or_default());
        if count > 1 {
            let last = run.get(index + count - 1).map_or(place.end, |last| last.end);
            let whole = if style.spaces_part { Grade::Unsure } else { Grade::Certain };
            let single = if style.spaces_part { Grade::Certain } else { Grade::Unsure };
            read(text, place.start..last, style, whole, found);
            for part in run.iter().skip(index).take(count) {
                read(text, part.clone(), style, single, found);
            }
        } else {
            let beside = is_plain(index.checked_sub(1)) || is_plain(Some(index + 1));
            let is_group = is_plain(Some(index)) && beside;
            let grade = if is_group { Grade::Unsure } else { Grade::Certain };
            read(text, place.clone(), style, grade, found);
        }
        index += count;
    }
}

/// How many of these parts make one number that is grouped by spaces, from the first on.
fn spaced(text: &str, parts: &[Range<usize>]) -> usize {
    let mut parts = parts.iter().map(|place| text.get(place.clone()).unwrap_or_default());
    let first = parts.next().unwrap_or_default();
    let is_plain = |part: &str| part.bytes().all(|c| c.is_ascii_digit());
    if !is_plain(first) || first.len() > 3 || first.starts_with('0') {
        return 1;
    }
    let mut count = 1;
    for part in parts {
        let (whole, fraction) = part.split_once(['.', ',']).unwrap_or((part, ""));
        if whole.len() != 3 || !is_plain(whole) || !is_plain(fraction) {
            break;
        }
        count += 1;
        if whole != part {
            break;
        }
    }
    count
}

/// Adds the values of digits, if nothing around makes them a part of something longer.
fn read(
    text: &str,
    place: Range<usize>,
    style: Style,
    grade: Grade,
    found: &mut Vec<Reading<Decimal>>,
) {
    let (Some(digits), Some(before), Some(after)) =
        (text.get(place.clone()), text.get(..place.start), text.get(place.end..))
    else {
        return;
    };
    let has_mark = digits.contains(['.', ',', '\'', '’']);
    let Some(edges) = surroundings(before, after, has_mark) else { return };
    let grade = grade.max(edges);
    let digits: String = digits.chars().map(|c| if c == ' ' { '\u{a0}' } else { c }).collect();
    // `.50` has no digit before its point.
    let is_fraction = before.ends_with(['.', ',']) && !has_mark && !is_abbreviation(before);
    let (plus, minus) = signs(before, after, has_mark);
    let is_share = after.trim_start_matches([' ', '\u{a0}', '\u{202f}']).starts_with('%');
    let values = match is_fraction {
        true => vec![Decimal::new(false, "", &digits)],
        false => readings(&digits, convention_of_cents(after).unwrap_or(style.convention)),
    };
    let grade = if values.len() > 1 { Grade::Unsure.max(grade) } else { grade };
    for value in values {
        let mut add = |value: Decimal, sign: Grade| {
            if sign != Grade::Contrary {
                found.push(Reading { value, place: place.clone(), grade: grade.max(sign) });
            }
        };
        if is_share && minus == Grade::Contrary {
            add(value.shifted(-2), plus);
        }
        if value.as_str() != "0" {
            add(value.negated(), minus);
        }
        add(value, plus);
    }
}

/// A dash for the cents shows what parts the fraction: `1.234,-`.
fn convention_of_cents(after: &str) -> Option<Convention> {
    const DASHES: [char; 3] = ['-', '\u{2013}', '\u{2014}'];
    match (after.strip_prefix(','), after.strip_prefix('.')) {
        (Some(rest), _) if rest.starts_with(DASHES) => Some(Convention::Comma),
        (_, Some(rest)) if rest.starts_with(DASHES) => Some(Convention::Point),
        _ => None,
    }
}

/// The mark before the fraction, where it can only be that.
fn fraction_mark(token: &str) -> Option<char> {
    let is_mark = |c: char| c == '.' || c == ',';
    let mut marks: Vec<char> = token.chars().filter(|c| is_mark(*c)).collect();
    let last = *marks.last()?;
    let fraction = token.rsplit(last).next()?;
    let count = marks.iter().filter(|mark| **mark == last).count();
    marks.dedup();
    match (count, marks.len()) {
        (1, 2) => Some(last),
        (1, 1) if fraction.len() != 3 || token.starts_with('0') => Some(last),
        _ => None,
    }
}

/// Every value that digits with marks between them may have.
fn readings(token: &str, convention: Convention) -> Vec<Decimal> {
    let mut readings = Vec::new();
    if let Some(value) = grouped(token) {
        let mark = token.chars().find(|c| !c.is_ascii_digit());
        // `1.234` in a document that writes 0.5 is no thousand, unless it is `1.234.567`.
        let is_group = mark.is_none_or(|mark| {
            let count = token.chars().filter(|c| *c == mark).count();
            count > 1 || convention == Convention::Mixed || !convention.allows(mark)
        });
        if is_group {
            readings.push(Decimal::new(false, &value, ""));
        }
    }
    for mark in ['.', ','] {
        let Some((whole, fraction)) = token.rsplit_once(mark) else { continue };
        let is_one = !whole.contains(mark) && fraction.bytes().all(|c| c.is_ascii_digit());
        let is_possible = fraction_mark(token) == Some(mark)
            || (fraction_mark(token).is_none() && convention.allows(mark));
        if let Some(whole) = grouped(whole).filter(|_| is_one && is_possible) {
            readings.push(Decimal::new(false, &whole, fraction));
        }
    }
    readings
}

/// The digits of a whole number that is grouped in thousands (or, as in India, first in thousands
/// and then in hundreds), or not at all.
fn grouped(token: &str) -> Option<String> {
    let mut marks = token.chars().filter(|c| !c.is_ascii_digit());
    let Some(mark) = marks.next() else { return Some(token.to_owned()) };
    if marks.any(|other| other != mark) {
        return None;
    }
    let groups: Vec<&str> = token.split(mark).collect();
    let (first, rest) = groups.split_first()?;
    let (last, middle) = rest.split_last()?;
    let is_grouped = (1..=3).contains(&first.len())
        && !first.starts_with('0')
        && last.len() == 3
        && (middle.iter().all(|group| group.len() == 3)
            || mark == ',' && first.len() < 3 && middle.iter().all(|group| group.len() == 2));
    is_grouped.then(|| groups.concat())
}

#[cfg(test)]
mod tests;
