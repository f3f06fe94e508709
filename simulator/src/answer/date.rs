//! Dates in the ways they are printed, as ISO 8601.

use super::text::Document;
use super::words::{Word, words};

/// Which of day and month comes first when only numbers are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    DayFirst,
    MonthFirst,
}

/// The names of the months in the languages known here, folded; shorter forms are prefixes.
const MONTHS: [(&str, u32); 62] = [
    ("january", 1),
    ("januar", 1),
    ("janner", 1),
    ("janvier", 1),
    ("enero", 1),
    ("gennaio", 1),
    ("januari", 1),
    ("janeiro", 1),
    ("february", 2),
    ("februar", 2),
    ("fevrier", 2),
    ("febrero", 2),
    ("febbraio", 2),
    ("februari", 2),
    ("fevereiro", 2),
    ("march", 3),
    ("marz", 3),
    ("maerz", 3),
    ("mars", 3),
    ("marzo", 3),
    ("maart", 3),
    ("mrt", 3),
    ("marco", 3),
    ("april", 4),
    ("avril", 4),
    ("abril", 4),
    ("aprile", 4),
    ("may", 5),
    ("mai", 5),
    ("mayo", 5),
    ("maggio", 5),
    ("mei", 5),
    ("maio", 5),
    ("june", 6),
    ("juni", 6),
    ("juin", 6),
    ("junio", 6),
    ("giugno", 6),
    ("junho", 6),
    ("july", 7),
    ("juli", 7),
    ("juillet", 7),
    ("julio", 7),
    ("luglio", 7),
    ("julho", 7),
    ("august", 8),
    ("aout", 8),
    ("agosto", 8),
    ("augustus", 8),
    ("september", 9),
    ("septembre", 9),
    ("septiembre", 9),
    ("settembre", 9),
    ("setembro", 9),
    ("october", 10),
    ("oktober", 10),
    ("octobre", 10),
    ("octubre", 10),
    ("ottobre", 10),
    ("outubro", 10),
    ("november", 11),
    ("december", 12),
];
const MORE_MONTHS: [(&str, u32); 8] = [
    ("novembre", 11),
    ("noviembre", 11),
    ("novembro", 11),
    ("dezember", 12),
    ("decembre", 12),
    ("diciembre", 12),
    ("dicembre", 12),
    ("dezembro", 12),
];
/// Words that may stand between day, month and year.
const BETWEEN: [&str; 9] = ["of", "de", "del", "di", "st", "nd", "rd", "th", "do"];

/// Finds out which order the numeric dates of a document have.
pub(crate) fn order_of(document: &Document) -> Order {
    let mut text = String::new();
    for row in &document.rows {
        text.push_str(&row.text());
        text.push('\n');
    }
    for triple in words(&text).windows(3) {
        let [a, b, c] = triple else { continue };
        let is_slashed = between(&text, a, b) == "/" && between(&text, b, c) == "/";
        match (number(a), number(b), number(c)) {
            (Some(first), Some(13..=31), Some(_)) if is_slashed && first <= 12 => {
                return Order::MonthFirst;
            }
            (Some(13..=31), Some(_), Some(_)) if is_slashed => return Order::DayFirst,
            _ => {}
        }
    }
    let is_american = text.contains("USD") || (text.contains('$') && !text.contains('€'));
    if is_american && !text.contains('£') { Order::MonthFirst } else { Order::DayFirst }
}

/// The first date in a text.
pub(crate) fn first(text: &str, order: Order) -> Option<String> {
    all(text, order).into_iter().next().map(|(_, date)| date)
}

/// All dates in a text with the byte offsets at which they begin.
pub(crate) fn all(text: &str, order: Order) -> Vec<(usize, String)> {
    let found: Vec<Word> =
        words(text).into_iter().flat_map(|word| split_ordinal(text, word)).collect();
    let found: Vec<Word> =
        found.into_iter().filter(|word| !BETWEEN.contains(&word.folded.as_str())).collect();
    let mut dates = Vec::new();
    let mut index = 0;
    while let Some(triple) = found.get(index..index + 3) {
        let [a, b, c] = triple else { break };
        match date_of(text, a, b, c, order) {
            Some(date) => {
                dates.push((a.start, date));
                index += 3;
            }
            None => index += 1,
        }
    }
    dates
}

/// Takes "5th" and "1er" apart, so that the number stands alone.
fn split_ordinal(text: &str, word: Word) -> Option<Word> {
    let digits = word.folded.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let ending = word.folded.get(digits.len()..).unwrap_or_default();
    let is_ordinal = !digits.is_empty() && ["st", "nd", "rd", "th", "er", "o"].contains(&ending);
    let raw = text.get(word.start..word.end).unwrap_or_default();
    match is_ordinal && raw.len() <= 5 {
        true => Some(Word { folded: digits.to_owned(), ..word }),
        false => Some(word),
    }
}

fn date_of(text: &str, a: &Word, b: &Word, c: &Word, order: Order) -> Option<String> {
    let near = |left: &Word, right: &Word| {
        text.get(left.end..right.start)
            .is_some_and(|gap| gap.chars().count() <= 6 && !gap.contains('\n'))
    };
    if !near(a, b) || !near(b, c) {
        return None;
    }
    if let (Some(day), Some(month)) = (number(a), month(b)) {
        return iso(year(c)?, month, day);
    }
    if let (Some(month), Some(day)) = (month(a), number(b)) {
        return iso(year(c)?, month, day);
    }
    let separator = between(text, a, b);
    if separator != between(text, b, c) || !["-", ".", "/", ". "].contains(&separator) {
        return None;
    }
    let (first, second) = (number(a)?, number(b)?);
    if a.folded.len() == 4 {
        return iso(first, second, number(c)?);
    }
    let year = year(c)?;
    let (day, month) = match (separator, order) {
        _ if first > 12 => (first, second),
        _ if second > 12 => (second, first),
        ("/", Order::MonthFirst) => (second, first),
        _ => (first, second),
    };
    iso(year, month, day)
}

fn between<'a>(text: &'a str, left: &Word, right: &Word) -> &'a str {
    text.get(left.end..right.start).unwrap_or_default()
}

fn number(word: &Word) -> Option<u32> {
    (word.folded.len() <= 4).then(|| word.folded.parse().ok())?
}

fn year(word: &Word) -> Option<u32> {
    match word.folded.len() {
        4 => number(word),
        2 => number(word).map(|short| if short < 70 { 2000 + short } else { 1900 + short }),
        _ => None,
    }
}

fn month(word: &Word) -> Option<u32> {
    let name = word.folded.as_str();
    if name.len() < 3 {
        return None;
    }
    let known = MONTHS.iter().chain(&MORE_MONTHS);
    known.into_iter().find(|(full, _)| full.starts_with(name)).map(|(_, number)| *number)
}

fn iso(year: u32, month: u32, day: u32) -> Option<String> {
    let days = match month {
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => {
            29
        }
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    let is_sound = (1900..=2199).contains(&year) && (1..=days).contains(&day);
    is_sound.then(|| format!("{year:04}-{month:02}-{day:02}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str) {
        assert_eq!(first(text, Order::DayFirst).as_deref(), Some(expected), "{text}");
    }

    #[test]
    fn dates_of_many_countries_are_read() {
        for text in [
            "2018-03-05",
            "2018/03/05",
            "05.03.2018",
            "5.3.18",
            "05/03/2018",
            "5 March 2018",
            "March 5, 2018",
            "5. März 2018",
            "5 mars 2018",
            "5 de marzo de 2018",
            "5 marzo 2018",
            "5 maart 2018",
            "5th of March 2018",
            "05-03-2018",
            "Mar 5, 2018",
            "Berlin, den 05.03.2018 um 12:30",
        ] {
            check(text, "2018-03-05");
        }
        check("le 1er juillet 2024", "2024-07-01");
        check("12 dic. 2023", "2023-12-12");
    }

    #[test]
    fn the_document_decides_the_order() {
        assert_eq!(order_of(&Document::read("Total $ 12.00")), Order::MonthFirst);
        assert_eq!(order_of(&Document::read("Total $ 12.00   25/12/2024")), Order::DayFirst);
        assert_eq!(order_of(&Document::read("12/25/2024")), Order::MonthFirst);
        assert_eq!(first("3/5/2018", Order::MonthFirst).as_deref(), Some("2018-03-05"));
    }

    #[test]
    fn other_things_are_no_dates() {
        for text in ["1.234.567", "31.02.2018", "version 1.2.3", "12/2018", "tel. 030 12 34"] {
            assert_eq!(first(text, Order::DayFirst), None, "{text}");
        }
    }
}
