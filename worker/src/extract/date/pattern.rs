//! The shapes of printed dates.
//!
//! It must know nothing of languages.

use regex::{Captures, Regex};
use std::sync::LazyLock;

/// The order of the parts of a date.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// `2024-03-05`, with its marks.
    YearFigures,
    /// Year, month, day, as words between them say.
    YearMonthDay,
    /// Day, month, year, as words between them say.
    DayMonthYear,
    /// `05.03.2024`: the document tells the order.
    Figures,
    DayNameYear,
    NameDayYear,
    YearNameDay,
    YearDayName,
}

/// A blank stands for one space that may be missing, `_` for one that may not, `W` for a word.
const SHAPES: [(&str, Shape); 11] = [
    (r"([0-9]{4})([-./]) ([0-9]{1,2})([-./]) ([0-9]{1,2})", Shape::YearFigures),
    (r"([0-9]{1,4}|元) 年 ([0-9]{1,2}) 月 ([0-9]{1,2}) 日", Shape::YearMonthDay),
    (r"([0-9]{4}) 년 ([0-9]{1,2}) 월 ([0-9]{1,2}) 일", Shape::YearMonthDay),
    (
        r"([〇零一二三四五六七八九]{4}|[一二三四五六七八九十]{1,3}|元) 年 ([一二三四五六七八九十]{1,2}) 月 ([一二三四五六七八九十]{1,3}) 日",
        Shape::YearMonthDay,
    ),
    (r"([0-9]{1,2}) ([./-]) ([0-9]{1,2}) ([./-]) ([0-9]{4}|[0-9]{1,2})", Shape::Figures),
    (
        r"([0-9]{1,2})(?:\.|st|nd|rd|th|er|º|°)?(?:_de_|_of_|(?:_d['’]|_-|[-/])? )(W)\.?,?(?:_de|_del|_พ\.ศ\.|_-|[-/])? ([0-9]{4}|['’]?[0-9]{2})",
        Shape::DayNameYear,
    ),
    (r"(W)\.?_([0-9]{1,2})(?:st|nd|rd|th)?,? ([0-9]{4})", Shape::NameDayYear),
    (r"([0-9]{4})\.?(?:_m\.|_m|-)? (W)\.?[-_]([0-9]{1,2})", Shape::YearNameDay),
    (r"([0-9]{4})\._gada_([0-9]{1,2})\._(W)", Shape::YearDayName),
    (r"([0-9]{1,2})_tháng_([0-9]{1,2})(?:,)?_năm_([0-9]{4})", Shape::DayMonthYear),
    (r"((?:19|20)[0-9]{2})([0-9]{2})([0-9]{2})", Shape::YearMonthDay),
];

/// The shapes, ready to be looked for.
pub(super) static PATTERNS: LazyLock<Vec<(Regex, Shape)>> = LazyLock::new(|| {
    let pattern = |(pattern, shape): (&str, Shape)| {
        let pattern = pattern.replace(' ', r"[ \u{a0}]?").replace('_', r"[ \u{a0}]");
        let pattern = pattern.replace('W', r"[\p{L}\p{M}]{2,16}");
        #[expect(clippy::expect_used, reason = "constants that the tests use")]
        let regex = Regex::new(&pattern).expect("a regular expression");
        (regex, shape)
    };
    SHAPES.into_iter().map(pattern).collect()
});

/// A date in figures whose order is open.
#[derive(Clone, Copy, Debug)]
pub(super) struct Figures<'a> {
    pub(super) first: i8,
    pub(super) second: i8,
    /// Four digits, two, or one.
    pub(super) last: &'a str,
    /// Stands between them.
    pub(super) mark: char,
}

impl<'a> Figures<'a> {
    /// `None` where there are two marks.
    pub(super) fn of(captures: &Captures<'a>) -> Option<Self> {
        let part = |index| captures.get(index).map(|part| part.as_str());
        (part(2) == part(4)).then_some(Self {
            first: part(1)?.parse().ok()?,
            second: part(3)?.parse().ok()?,
            last: part(5)?,
            mark: part(2)?.chars().next()?,
        })
    }
}

/// All of them in a text that have the year in full.
pub(super) fn figures(text: &str) -> impl Iterator<Item = Figures<'_>> {
    let regexes = PATTERNS.iter().filter(|(_, shape)| *shape == Shape::Figures);
    let all = regexes.flat_map(move |(regex, _)| regex.captures_iter(text));
    all.filter_map(|captures| Figures::of(&captures))
}

/// A year in digits or Chinese numerals; the first of an era has a name.
pub(super) fn year(text: &str) -> String {
    if text == "元" {
        return "1".to_owned();
    }
    let digits = text.chars().map(|c| chinese(c).or_else(|| c.to_digit(10)));
    match digits.collect::<Option<Vec<_>>>() {
        Some(digits) if !text.contains('十') => digits.iter().map(u32::to_string).collect(),
        _ => small(text).map(|number| number.to_string()).unwrap_or_default(),
    }
}

/// A number below 100 in digits or Chinese numerals.
pub(super) fn small(text: &str) -> Option<i8> {
    if let Ok(number) = text.parse() {
        return Some(number);
    }
    let digit = |text: &str, empty: u32| match text.chars().next() {
        Some(c) => chinese(c),
        None => Some(empty),
    };
    let number = match text.split_once('十') {
        Some((tens, ones)) => digit(tens, 1)? * 10 + digit(ones, 0)?,
        None => digit(text, 0)?,
    };
    i8::try_from(number).ok()
}

fn chinese(c: char) -> Option<u32> {
    if c == '零' {
        return Some(0);
    }
    let digit = "〇一二三四五六七八九".chars().position(|digit| digit == c)?;
    u32::try_from(digit).ok()
}
