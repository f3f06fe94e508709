//! Times of day as they are printed: `17:20`, `9:05 am`, `14h30`, `8.15 Uhr`.
//!
//! It must know nothing of days and zones.

use super::reading::{Grade, Reading, is_word};
use jiff::civil::{DateTime, Time};
use regex::{Captures, Regex};
use std::sync::LazyLock;

/// Hour, what parts it from the minute, minute, second, and what follows.
static TIME: LazyLock<Regex> = LazyLock::new(|| {
    const TIME: &str =
        r"([0-9]{1,2})([:h.])([0-9]{2})(?:[:.]([0-9]{2}))?(?:[ \u{a0}]?(Uhr|[AaPp]\.?[Mm]\b\.?))?";
    #[expect(clippy::expect_used, reason = "a constant that the tests use")]
    Regex::new(TIME).expect("a regular expression")
});

/// Words before a time that make it one of the afternoon.
const AFTERNOON: [&str; 4] = ["下午", "午後", "오후", "μ.μ."];

/// Every time in a text, and its place. A time without seconds is one at second 0.
pub fn scan(text: &str) -> Vec<Reading<Time>> {
    let mut found = Vec::new();
    for captures in TIME.captures_iter(text) {
        let Some(all) = captures.get(0) else { continue };
        let before = text.get(..all.start()).unwrap_or_default();
        let mut after = text.get(all.end()..).unwrap_or_default().chars();
        let last = before.chars().next_back();
        // The hour of `2024-04-03T17:20` follows a letter.
        let is_cut = match last {
            Some('T') => !before.trim_end_matches('T').ends_with(|c: char| c.is_ascii_digit()),
            Some(c) => is_word(c) || matches!(c, ':' | '.' | ',' | '/'),
            None => false,
        };
        let goes_on = match (after.next(), after.next()) {
            (Some('Z'), _) | (None, _) => false,
            (Some(c), _) if is_word(c) => true,
            (Some(':'), Some(c)) => c.is_ascii_digit(),
            _ => false,
        };
        if let Some(value) = time(&captures, before).filter(|_| !is_cut && !goes_on) {
            found.push(Reading { value, place: all.range(), grade: Grade::Certain });
        }
    }
    found
}

fn time(captures: &Captures<'_>, before: &str) -> Option<Time> {
    let figure = |index| captures.get(index)?.as_str().parse::<i8>().ok();
    let (hour, mark) = (figure(1)?, captures.get(2)?.as_str());
    let word = captures.get(5).map(|word| word.as_str().to_lowercase());
    if mark == "." && word.is_none() {
        return None;
    }
    let is_after = AFTERNOON.iter().any(|word| before.trim_end().ends_with(word));
    let hour = match (word.as_deref(), hour) {
        (Some(word), 12) if word.starts_with('a') => 0,
        (Some(word), 1..=11) if word.starts_with('p') => hour + 12,
        (_, 1..=11) if is_after => hour + 12,
        _ => hour,
    };
    Time::new(hour, figure(3)?, figure(4).unwrap_or_default(), 0).ok()
}

/// The time of a value such as `2024-04-03T17:20:00+01:00` or `17:20`, as it is written there;
/// `None` where there is none.
pub fn of(value: &str) -> Option<Time> {
    let value = value.trim();
    let clock = match value.split_once(['T', 't', ' ']) {
        Some((day, clock)) if day.parse::<jiff::civil::Date>().is_ok() => clock,
        Some(_) => return None,
        None => value,
    };
    let clock = clock.trim_end_matches(['Z', 'z']);
    let clock = clock.split_once(['+', '-']).map_or(clock, |(clock, _)| clock);
    let is_clock = clock.contains(':')
        && clock.bytes().all(|c| c.is_ascii_digit() || matches!(c, b':' | b'.'));
    if !is_clock {
        return None;
    }
    let day = format!("2000-01-01T{clock}");
    day.parse::<DateTime>().ok().map(|time| time.time())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_printed() {
        let check = |text: &str, expected: &[&str]| {
            let found: Vec<_> = scan(text).iter().map(|r| r.value.to_string()).collect();
            assert_eq!(found, expected, "{text}");
        };
        check("at 17:20 CET", &["17:20:00"]);
        check("2024-04-03T17:20:05Z", &["17:20:05"]);
        check("9:05 am and 9:05 p.m.", &["09:05:00", "21:05:00"]);
        check("12:10 AM, 12:10 PM", &["00:10:00", "12:10:00"]);
        check("à 14h30, um 8.15 Uhr", &["14:30:00", "08:15:00"]);
        check("下午 3:05", &["15:05:00"]);
        check("8.15 EUR, 25:00, 1:2:3, R17:20, 117:20, 17:205", &[]);
    }

    #[test]
    fn values_have_the_time_that_they_write() {
        let check = |value: &str, expected: Option<&str>| {
            assert_eq!(of(value).map(|time| time.to_string()).as_deref(), expected, "{value}");
        };
        check("2024-04-03T17:20:00+01:00", Some("17:20:00"));
        check("2024-04-03 09:05", Some("09:05:00"));
        check("09:05:00Z", Some("09:05:00"));
        check("2024-04-03", None);
        check("R-17", None);
        check("at 17:20", None);
    }
}
