//! Numbers as they are printed: in any grouping, with comma or point, with signs and per cent.
//!
//! Values are compared as decimal digits, never as binary fractions. It must know nothing of what
//! a number counts.

use regex::Regex;
use serde_json::Number;
use std::{ops::Range, sync::LazyLock};

/// A larger exponent of ten is of no number that is printed.
const EXPONENT_MAX: u16 = 400;

/// A number without its way of writing: an optional minus, digits without leading zeros, and a
/// point with digits without trailing zeros where there is a fraction.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Decimal(String);

impl Decimal {
    fn new(is_negative: bool, whole: &str, fraction: &str) -> Self {
        let whole = whole.trim_start_matches('0');
        let fraction = fraction.trim_end_matches('0');
        let whole = if whole.is_empty() { "0" } else { whole };
        let sign = if is_negative && (whole != "0" || !fraction.is_empty()) { "-" } else { "" };
        let point = if fraction.is_empty() { "" } else { "." };
        Self(format!("{sign}{whole}{point}{fraction}"))
    }

    /// The value of a JSON number, digit by digit.
    pub fn of(number: &Number) -> Self {
        let text = number.to_string();
        Self::scientific(&text).unwrap_or(Self(text))
    }

    /// The value of digits that an exponent of ten may follow.
    fn scientific(text: &str) -> Option<Self> {
        let Some((digits, exponent)) = text.split_once(['e', 'E']) else {
            return Self::parse(text);
        };
        let exponent = exponent.parse::<i16>().ok()?;
        if exponent.unsigned_abs() > EXPONENT_MAX {
            return None;
        }
        Some(Self::parse(digits)?.shifted(exponent))
    }

    /// The value of digits with at most one point.
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix('-').unwrap_or(text);
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let is_number = |text: &str| text.bytes().all(|c| c.is_ascii_digit());
        let is_legal = !whole.is_empty() && is_number(whole) && is_number(fraction);
        is_legal.then(|| Self::new(text.starts_with('-'), whole, fraction))
    }

    /// Its digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn negated(&self) -> Self {
        match self.0.strip_prefix('-') {
            Some(positive) => Self(positive.to_owned()),
            None if self.0 == "0" => self.clone(),
            None => Self(format!("-{}", self.0)),
        }
    }

    /// With its point moved so many places to the right: a per cent is moved by -2.
    fn shifted(&self, places: i16) -> Self {
        let count = usize::from(places.unsigned_abs());
        let digits = self.0.trim_start_matches('-');
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let (whole, fraction) = if places < 0 {
            let padded = format!("{}{whole}", "0".repeat(count));
            let (whole, moved) = padded.split_at(padded.len() - count);
            (whole.to_owned(), format!("{moved}{fraction}"))
        } else {
            let padded = format!("{fraction}{}", "0".repeat(count));
            let (moved, fraction) = padded.split_at(count);
            (format!("{whole}{moved}"), fraction.to_owned())
        };
        Self::new(self.0.starts_with('-'), &whole, &fraction)
    }
}

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
    /// What the unmistakable numbers of these texts show.
    pub fn of<'a>(texts: impl Iterator<Item = &'a str>) -> Self {
        let (mut points, mut commas) = (0, 0);
        for found in texts.flat_map(|text| TOKEN.find_iter(text)) {
            match fraction_mark(found.as_str()) {
                Some('.') => points += 1,
                Some(',') => commas += 1,
                _ => {}
            }
        }
        match (points, commas) {
            (1.., 0) => Self::Point,
            (0, 1..) => Self::Comma,
            _ => Self::Mixed,
        }
    }

    fn allows(self, mark: char) -> bool {
        match self {
            Self::Point => mark == '.',
            Self::Comma => mark == ',',
            Self::Mixed => true,
        }
    }
}

/// Digits, and what may stand between digits of one number.
static TOKEN: LazyLock<Regex> = LazyLock::new(|| {
    const TOKEN: &str = r"[0-9]+(?:[.,'’\u{a0}\u{202f}\u{2009} ][0-9]+)*";
    #[expect(clippy::expect_used, reason = "a constant that the tests use")]
    Regex::new(TOKEN).expect("a regular expression")
});

/// Every number in a text with every value that it may have, and its place.
pub fn scan(text: &str, convention: Convention) -> Vec<(Decimal, Range<usize>)> {
    let mut found = Vec::new();
    for token in TOKEN.find_iter(text) {
        // A space may group digits or part two numbers: both readings count.
        let whole = token.range();
        let mut start = whole.start;
        for part in token.as_str().split(' ') {
            number(text, start..start + part.len(), convention, &mut found);
            start += part.len() + 1;
        }
        if token.as_str().contains(' ') {
            number(text, whole, convention, &mut found);
        }
    }
    found
}

/// Adds the values of one run of digits.
fn number(
    text: &str,
    place: Range<usize>,
    convention: Convention,
    found: &mut Vec<(Decimal, Range<usize>)>,
) {
    let (Some(token), Some(before), Some(after)) =
        (text.get(place.clone()), text.get(..place.start), text.get(place.end..))
    else {
        return;
    };
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let glued: String = after.chars().take_while(|c| is_word(*c)).collect();
    if before.chars().next_back().is_some_and(is_word) || glued.contains(|c: char| c.is_numeric()) {
        return;
    }
    let sign = Sign::of(before, after);
    for value in readings(token, convention) {
        let mut add = |value: Decimal| found.push((value, place.clone()));
        let is_share = after.trim_start_matches([' ', '\u{a0}', '\u{202f}']).starts_with('%');
        if is_share && sign != Sign::Minus {
            add(value.shifted(-2));
        }
        if sign != Sign::Plus {
            add(value.negated());
        }
        if sign != Sign::Minus {
            add(value);
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sign {
    Plus,
    Minus,
    Either,
}

impl Sign {
    /// What stands around a number: `-12`, `- 12`, `-€ 12`, `12-`, `(12)`.
    fn of(before: &str, after: &str) -> Self {
        const MINUS: [char; 4] = ['-', '\u{2212}', '\u{2013}', '\u{2012}'];
        const SPACES: [char; 3] = [' ', '\u{a0}', '\u{202f}'];
        let near = before.trim_end_matches(SPACES).trim_end_matches(['€', '$', '£', '¥']);
        let near = near.trim_end_matches(SPACES);
        if let Some(rest) = near.strip_suffix(MINUS) {
            let is_dash = rest.chars().next_back().is_some_and(char::is_alphanumeric);
            // `-12`, `-€12` and `-€ 12`, but not `- 12`, which may be an item of a list.
            let is_close = match before.get(near.len()..) {
                Some(between) => !between.starts_with(SPACES),
                None => false,
            };
            return match (is_dash, is_close) {
                // `INV-12` or `10-12`.
                (true, _) => Self::Plus,
                (false, true) => Self::Minus,
                (false, false) => Self::Either,
            };
        }
        if before.ends_with('(') && after.starts_with(')') {
            return Self::Either;
        }
        let trailing = after.strip_prefix(MINUS);
        let is_minus = trailing.is_some_and(|rest| !rest.starts_with(char::is_alphanumeric));
        if is_minus { Self::Either } else { Self::Plus }
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
        (1, 1) if fraction.len() != 3 => Some(last),
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
        && last.len() == 3
        && (middle.iter().all(|group| group.len() == 3)
            || mark == ',' && first.len() < 3 && middle.iter().all(|group| group.len() == 2));
    is_grouped.then(|| groups.concat())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn values(text: &str, convention: Convention) -> Vec<String> {
        let mut values: Vec<_> = scan(text, convention).into_iter().map(|(v, _)| v.0).collect();
        values.sort();
        values.dedup();
        values
    }

    #[test]
    fn every_way_of_writing_is_read_by_value() {
        let check = |text: &str, expected: &[&str]| {
            assert_eq!(values(text, Convention::Mixed), expected, "{text}");
        };
        check("EUR 1.234,50", &["1234.5"]);
        check("$1,234.50", &["1234.5"]);
        check("1'234.50 CHF", &["1234.5"]);
        check("1\u{a0}234,50 €", &["1234.5"]);
        check("1 234,50", &["1", "1234.5", "234.5"]);
        check("3   640,00", &["3", "640"]);
        check("12,34,567.00", &["1234567"]);
        check("1.234", &["1.234", "1234"]);
        check("1.234.567", &["1234567"]);
        check("0,5 kg", &["0.5"]);
        check("7 %", &["0.07", "7"]);
        check("19,5%", &["0.195", "19.5"]);
        check("-12.00", &["-12"]);
        check("−12.00", &["-12"]);
        check("-€ 12.00", &["-12"]);
        check("€ -12.00", &["-12"]);
        check("- 12.00", &["-12", "12"]);
        check("12.00-", &["-12", "12"]);
        check("(12.00)", &["-12", "12"]);
        check("10-12", &["10", "12"]);
        check("INV-0117", &["117"]);
        check("12kg 3x", &["12", "3"]);
        check("A12 12AB34 x_1", &[]);
        check("05.03.2024", &[]);
        check("0 0,00", &["0"]);
    }

    #[test]
    fn a_document_shows_how_it_writes() {
        let check = |text: &str, expected| {
            assert_eq!(Convention::of([text].into_iter()), expected, "{text}");
        };
        check("1.234 and 12,50", Convention::Comma);
        check("1,234 and 12.50", Convention::Point);
        check("1,234.00", Convention::Point);
        check("12.50 and 12,50", Convention::Mixed);
        check("1.234", Convention::Mixed);
        assert_eq!(values("1.234", Convention::Comma), ["1234"]);
        assert_eq!(values("1.234", Convention::Point), ["1.234"]);
        assert_eq!(values("1,234", Convention::Point), ["1234"]);
    }

    #[test]
    fn json_numbers_are_decimals() {
        let check = |json: &str, expected: &str| {
            let number: Number = serde_json::from_str(json).unwrap();
            assert_eq!(Decimal::of(&number).0, expected);
        };
        check("119.0", "119");
        check("-0.10", "-0.1");
        check("1e21", "1000000000000000000000");
        check("1e-7", "0.0000001");
        check("12345678901234567890", "12345678901234567890");
        check("-0.0", "0");
        // More digits than a binary fraction has.
        check("12345678901234567890123", "12345678901234567890123");
        check("99999999999999999.99", "99999999999999999.99");
        check("-1.50E+3", "-1500");
        check("12e-3", "0.012");
        check("1e+999", "1e+999");
    }

    proptest! {
        #[test]
        fn what_is_printed_is_found(cents in -9_999_999_999i64..9_999_999_999) {
            let (sign, whole, fraction) = (if cents < 0 { "-" } else { "" }, cents.abs() / 100, cents.abs() % 100);
            let digits = whole.to_string();
            let grouped = |mark: &str| {
                let groups: Vec<_> = digits.as_bytes().rchunks(3).rev().map(|g| std::str::from_utf8(g).unwrap()).collect();
                groups.join(mark)
            };
            let value = Decimal::parse(&format!("{sign}{whole}.{fraction:02}")).unwrap();
            for (group, mark) in [(",", "."), (".", ","), ("'", "."), ("\u{a0}", ","), ("", ".")] {
                let text = format!("Total {sign}{}{mark}{fraction:02} EUR", grouped(group));
                let found = scan(&text, Convention::Mixed);
                prop_assert!(found.iter().any(|(found, _)| *found == value), "{text}: {found:?}");
                prop_assert!(found.iter().all(|(_, place)| text.get(place.clone()).is_some()));
            }
        }

        #[test]
        fn no_text_breaks_the_reader(text in "[0-9.,'% €\u{a0}a-z()-]{0,40}") {
            scan(&text, Convention::Mixed);
        }
    }
}
