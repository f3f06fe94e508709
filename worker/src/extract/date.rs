//! Dates as they are printed: in figures or with the name of the month, in several languages.
//!
//! It must know nothing of what happened on a day.

use jiff::civil::Date;
use regex::{Captures, Regex};
use std::{ops::Range, sync::LazyLock};
use unicode_normalization::{UnicodeNormalization, char::is_combining_mark};

/// Beginnings of the months' names without accents: English, German, French, Italian, Spanish,
/// Portuguese, Dutch, the Scandinavian languages, Polish and Czech. The longest that fits counts.
const MONTHS: [(&str, i8); 84] = [
    ("jan", 1),
    ("jän", 1),
    ("gen", 1),
    ("ene", 1),
    ("sty", 1),
    ("led", 1),
    ("feb", 2),
    ("fev", 2),
    ("fevr", 2),
    ("lut", 2),
    ("uno", 2),
    ("febr", 2),
    ("mar", 3),
    ("mrz", 3),
    ("maerz", 3),
    ("mrt", 3),
    ("maa", 3),
    ("brez", 3),
    ("bre", 3),
    ("mars", 3),
    ("apr", 4),
    ("avr", 4),
    ("abr", 4),
    ("kwi", 4),
    ("dub", 4),
    ("avril", 4),
    ("may", 5),
    ("mai", 5),
    ("mag", 5),
    ("mei", 5),
    ("maj", 5),
    ("kve", 5),
    ("mayo", 5),
    ("maio", 5),
    ("maggio", 5),
    ("jun", 6),
    ("juin", 6),
    ("giu", 6),
    ("cze", 6),
    ("czerwiec", 6),
    ("czerwca", 6),
    ("juni", 6),
    ("cerven", 6),
    ("cervna", 6),
    ("jul", 7),
    ("juil", 7),
    ("lug", 7),
    ("lip", 7),
    ("cervenec", 7),
    ("cervence", 7),
    ("juli", 7),
    ("juillet", 7),
    ("aug", 8),
    ("aou", 8),
    ("aout", 8),
    ("ago", 8),
    ("sie", 8),
    ("srp", 8),
    ("august", 8),
    ("agosto", 8),
    ("sep", 9),
    ("set", 9),
    ("wrz", 9),
    ("zar", 9),
    ("zari", 9),
    ("sept", 9),
    ("settembre", 9),
    ("setembro", 9),
    ("oct", 10),
    ("okt", 10),
    ("ott", 10),
    ("out", 10),
    ("paz", 10),
    ("rij", 10),
    ("octobre", 10),
    ("outubro", 10),
    ("nov", 11),
    ("lis", 11),
    ("listopad", 11),
    ("dec", 12),
    ("dez", 12),
    ("dic", 12),
    ("gru", 12),
    ("pro", 12),
];

/// Shorter words than this must be a month's beginning and nothing else.
const NAME_MAX: usize = 12;

const PATTERNS: [(&str, Order); 6] = [
    (r"([0-9]{4})[-./] ?([0-9]{1,2})[-./] ?([0-9]{1,2})", Order::YearMonthDay),
    (r"([0-9]{4}) ?年 ?([0-9]{1,2}) ?月 ?([0-9]{1,2}) ?日", Order::YearMonthDay),
    (r"([0-9]{1,2}) ?[./-] ?([0-9]{1,2}) ?[./-] ?([0-9]{4}|[0-9]{2})", Order::Figures),
    (
        r"([0-9]{1,2})(?:\.|st|nd|rd|th|er|º|°)?(?: de| of| d['’]| -|-)? ?([\p{L}]{3,12})\.?,?(?: de| del| -|-)? ?([0-9]{4}|['’]?[0-9]{2})",
        Order::DayNameYear,
    ),
    (r"([\p{L}]{3,12})\.? ([0-9]{1,2})(?:st|nd|rd|th)?,? ([0-9]{4})", Order::NameDayYear),
    (r"([0-9]{4})([0-9]{2})([0-9]{2})", Order::YearMonthDay),
];

#[derive(Clone, Copy, Debug)]
enum Order {
    YearMonthDay,
    /// Day first, or month first: only a day after the twelfth tells.
    Figures,
    DayNameYear,
    NameDayYear,
}

static READERS: LazyLock<Vec<(Regex, Order)>> = LazyLock::new(|| {
    let reader = |(pattern, order): (&str, Order)| {
        let spaced = pattern.replace(' ', r"[ \u{a0}]");
        #[expect(clippy::expect_used, reason = "constants that the tests use")]
        let regex = Regex::new(&spaced).expect("a regular expression");
        (regex, order)
    };
    PATTERNS.into_iter().map(reader).collect()
});

/// Every date in a text with every day that it may mean, and its place.
pub fn scan(text: &str) -> Vec<(Date, Range<usize>)> {
    let mut found = Vec::new();
    for (regex, order) in READERS.iter() {
        for captures in regex.captures_iter(text) {
            let Some(all) = captures.get(0) else { continue };
            let touches = |c: Option<char>| c.is_some_and(|c| c.is_ascii_digit());
            let before = text.get(..all.start()).and_then(|text| text.chars().next_back());
            let after = text.get(all.end()..).and_then(|text| text.chars().next());
            if touches(before) || touches(after) {
                continue;
            }
            found.extend(days(&captures, *order).into_iter().map(|day| (day, all.range())));
        }
    }
    found
}

fn days(captures: &Captures<'_>, order: Order) -> Vec<Date> {
    let part = |index| captures.get(index).map_or("", |part| part.as_str());
    let figure = |index| part(index).parse::<i8>().ok();
    let given = match order {
        Order::YearMonthDay => vec![(part(1), figure(2), figure(3))],
        Order::Figures => {
            vec![(part(3), figure(2), figure(1)), (part(3), figure(1), figure(2))]
        }
        Order::DayNameYear => vec![(part(3), month(part(2)), figure(1))],
        Order::NameDayYear => vec![(part(3), month(part(1)), figure(2))],
    };
    let mut days: Vec<Date> = given
        .into_iter()
        .filter_map(|(year, month, day)| Date::new(full_year(year)?, month?, day?).ok())
        .collect();
    days.dedup();
    days
}

/// Two figures mean this century, or the last one from 70 on.
fn full_year(text: &str) -> Option<i16> {
    let digits = text.trim_start_matches(['\'', '’']);
    let year: i16 = digits.parse().ok()?;
    Some(match digits.len() {
        2 if year >= 70 => 1900 + year,
        2 => 2000 + year,
        _ => year,
    })
}

/// The month of a name or of its beginning.
fn month(name: &str) -> Option<i8> {
    let plain: String =
        name.nfd().filter(|c| !is_combining_mark(*c)).flat_map(char::to_lowercase).collect();
    let fits = |(start, _): &&(&str, i8)| plain.starts_with(start) && plain.len() <= NAME_MAX;
    MONTHS.iter().filter(fits).max_by_key(|(start, _)| start.len()).map(|(_, month)| *month)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_read_in_figures_and_words() {
        let check = |text: &str, expected: &[&str]| {
            let mut days: Vec<_> = scan(text).into_iter().map(|(day, _)| day.to_string()).collect();
            days.sort();
            days.dedup();
            assert_eq!(days, expected, "{text}");
        };
        check("2024-03-05", &["2024-03-05"]);
        check("2024/3/5", &["2024-03-05"]);
        check("05.03.2024", &["2024-03-05", "2024-05-03"]);
        check("05. 03. 2024", &["2024-03-05", "2024-05-03"]);
        check("25/03/24", &["2024-03-25"]);
        check("03/25/2024", &["2024-03-25"]);
        check("5 March 2024", &["2024-03-05"]);
        check("March 5, 2024", &["2024-03-05"]);
        check("Mar. 5th, 2024", &["2024-03-05"]);
        check("5th of March, 2024", &["2024-03-05"]);
        check("05-Mar-2024", &["2024-03-05"]);
        check("5. März 2024", &["2024-03-05"]);
        check("1er juillet 2024", &["2024-07-01"]);
        check("5 de marzo de 2024", &["2024-03-05"]);
        check("5 août 2024", &["2024-08-05"]);
        check("5 gennaio 2024", &["2024-01-05"]);
        check("5 mei 2024", &["2024-05-05"]);
        check("2024年3月5日", &["2024-03-05"]);
        check("20240305", &["2024-03-05"]);
        check("31.12.1999", &["1999-12-31"]);
        check("31.02.2024 and 12 Bolts 2024", &[]);
        check("number 120240305", &[]);
    }
}
