//! Dates as they are printed: in figures or with the name of the month, in many languages.
//!
//! Figures are read in the order that the document itself shows, or its language and currency.
//! It must know nothing of what happened on a day.

mod pattern;

use super::{
    currency,
    language::lines,
    month::{self, Name},
    reading::{Grade, Reading, is_word},
};
use jiff::civil::Date;
use pattern::{Figures, PATTERNS, Shape};
use regex::Captures;
use std::ops::Range;

/// `name year`
const ERAS: &str = include_str!("data/eras.txt");

/// Languages that write two digits for the year and write them first.
const YEAR_FIRST: [&str; 6] = ["hu", "ja", "ko", "lt", "sv", "zh"];

/// Currencies of countries that write the month first.
const MONTH_FIRST: [&str; 2] = ["PHP", "USD"];

/// How a document writes the dates that may be read in two ways.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DateStyle {
    language: Option<&'static str>,
    /// Whether the day is before the month where strokes or dashes part them.
    day_first: Option<bool>,
    year_first: bool,
}

impl DateStyle {
    /// What the unmistakable dates of these texts show, or else their language and currencies.
    pub fn of<'a>(
        texts: impl Iterator<Item = &'a str> + Clone,
        language: Option<&'static str>,
    ) -> Self {
        let (mut day, mut month) = (0, 0);
        for figures in texts.clone().flat_map(pattern::figures) {
            let Figures { first, second, mark, .. } = figures;
            match (first, second) {
                (13..=31, 1..=12) if mark != '.' => day += 1,
                (1..=12, 13..=31) if mark != '.' => month += 1,
                _ => {}
            }
        }
        let year_first = language.is_some_and(|of| YEAR_FIRST.contains(&of));
        let day_first = match (day, month) {
            (1.., 0) => Some(true),
            (0, 1..) => Some(false),
            (0, 0) => match language {
                Some("en") | None => by_currency(&currency::printed(texts), language.is_some()),
                Some(_) => (!year_first).then_some(true),
            },
            _ => None,
        };
        Self { language, day_first, year_first }
    }

    fn figures(self, figures: &Figures<'_>) -> Vec<(Date, Grade)> {
        let Figures { first, second, last, mark } = *figures;
        let is_short = last.len() < 3 && first > 9;
        let day_month = date(last, second, first);
        let month_day = date(last, first, second);
        let year_month = last.parse().ok().and_then(|day| match is_short {
            true => date(&format!("{first:02}"), second, day),
            false => None,
        });
        let orders = match (is_short && self.year_first, mark, self.day_first) {
            (true, _, _) => [year_month, day_month, month_day],
            (_, '.', _) | (_, _, Some(true)) => [day_month, month_day, year_month],
            (_, _, Some(false)) => [month_day, day_month, year_month],
            (_, _, None) => {
                let mut days: Vec<_> =
                    [day_month, month_day, year_month].into_iter().flatten().collect();
                days.sort_unstable();
                days.dedup();
                // `24-06-08` may begin with its year; `24/06/08` hardly does, outside of the languages above.
                let is_other = day_month.or(month_day).is_some();
                days.retain(|day| mark != '/' || Some(*day) != year_month || !is_other);
                let grade = if days.len() == 1 { Grade::Certain } else { Grade::Unsure };
                return days.into_iter().map(|day| (day, grade)).collect();
            }
        };
        let mut days = orders.into_iter().flatten();
        let Some(first) = days.next() else { return Vec::new() };
        // Whoever writes the year last has not swapped it.
        let is_slip = |day: &Date| *day != first && (self.year_first || Some(*day) != year_month);
        let others = days.filter(is_slip).map(|day| (day, Grade::Contrary));
        std::iter::once((first, Grade::Certain)).chain(others).collect()
    }

    /// The month of a name, and how sure it is.
    fn months(self, word: &str) -> Vec<(Name, Grade)> {
        let names = month::named(word);
        let own: Vec<_> =
            names.iter().filter(|name| Some(name.language) == self.language).collect();
        let meant = if own.is_empty() { names.iter().collect() } else { own };
        let mut months: Vec<(Name, Grade)> = Vec::new();
        for name in meant {
            let is_known = self.language.is_none_or(|own| own == name.language);
            let is_sure = name.is_whole || is_known || name.language == "en";
            let grade = if is_sure { Grade::Certain } else { Grade::Unsure };
            match months.iter_mut().find(|(known, _)| known.month == name.month) {
                Some((_, known)) => *known = grade.min(*known),
                None => months.push((*name, grade)),
            }
        }
        if months.len() > 1 {
            months.iter_mut().for_each(|(_, grade)| *grade = Grade::Unsure);
        }
        months
    }
}

/// The order of the countries that use these currencies, in English or in an unknown language.
fn by_currency(codes: &[&str], is_english: bool) -> Option<bool> {
    let (month, day): (Vec<&str>, Vec<&str>) =
        codes.iter().copied().partition(|code| MONTH_FIRST.contains(code));
    match (month.is_empty(), day.is_empty()) {
        (false, true) if is_english => Some(false),
        // Canadians write both.
        (true, false) if day != ["CAD"] => Some(true),
        _ => None,
    }
}

/// Every date in a text with every day that it may mean, in the order of their places.
pub fn scan(text: &str, style: DateStyle) -> Vec<Reading<Date>> {
    let mut found: Vec<Reading<Date>> = Vec::new();
    for (regex, shape) in PATTERNS.iter() {
        let mut from = 0;
        while let Some(captures) = regex.captures_at(text, from) {
            let Some(all) = captures.get(0) else { break };
            let days = match is_whole(text, &all.range()) {
                true => days(text, &captures, *shape, style),
                false => Vec::new(),
            };
            let digits = all.as_str().chars().take_while(char::is_ascii_digit).count();
            let first = all.as_str().chars().next().map_or(1, char::len_utf8);
            from = if days.is_empty() { all.start() + digits.max(first) } else { all.end() };
            let reading = |(value, grade)| Reading { value, place: all.range(), grade };
            found.extend(days.into_iter().map(reading));
        }
    }
    found.sort_by_key(|reading| (reading.place.start, reading.place.end));
    let mut end = (0, 0..0);
    // Of two that overlap the first and longer one counts.
    found.retain(|Reading { place, .. }| {
        let is_new = place.start >= end.0 || *place == end.1;
        if is_new {
            end = (place.end, place.clone());
        }
        is_new
    });
    found
}

fn days(text: &str, captures: &Captures<'_>, shape: Shape, style: DateStyle) -> Vec<(Date, Grade)> {
    let part = |index| captures.get(index).map_or("", |part| part.as_str());
    let figure = |index| part(index).parse::<i8>().ok();
    let start = captures.get(0).map_or(0, |all| all.start());
    let certain = |day: Option<Date>| day.map(|day| (day, Grade::Certain)).into_iter().collect();
    let named = |year: &str, word: &str, day: Option<i8>| {
        let Some(day) = day else { return Vec::new() };
        let date = |(name, grade): (Name, Grade)| {
            let year = match name.language {
                "th" => buddhist(year),
                _ => year.to_owned(),
            };
            Some((date(&year, name.month, day)?, grade))
        };
        style.months(word).into_iter().filter_map(date).collect()
    };
    match shape {
        Shape::YearFigures if part(2) != part(4) => Vec::new(),
        Shape::YearFigures => {
            let (Some(month), Some(day)) = (figure(3), figure(5)) else { return Vec::new() };
            certain(date(&buddhist(part(1)), month, day))
        }
        Shape::YearMonthDay => {
            let (Some(month), Some(day)) = (pattern::small(part(2)), pattern::small(part(3)))
            else {
                return Vec::new();
            };
            let year = pattern::year(part(1));
            let before = text.get(..start).unwrap_or_default().trim_end();
            certain(date(&of_era(before, &year).unwrap_or(year), month, day))
        }
        Shape::DayMonthYear => {
            let (Some(day), Some(month)) = (figure(1), figure(2)) else { return Vec::new() };
            certain(date(part(3), month, day))
        }
        Shape::Figures => {
            let Some(figures) = Figures::of(captures) else { return Vec::new() };
            let era = text.get(..start).unwrap_or_default();
            let first = figures.first.to_string();
            match of_era(era, &first).filter(|_| figures.last.len() <= 2) {
                Some(year) => certain(
                    figures.last.parse().ok().and_then(|day| date(&year, figures.second, day)),
                ),
                None => style.figures(&figures),
            }
        }
        Shape::DayNameYear => named(part(3), part(2), figure(1)),
        Shape::NameDayYear => named(part(3), part(1), figure(2)),
        Shape::YearNameDay => named(part(1), part(2), figure(3)),
        Shape::YearDayName => named(part(1), part(3), figure(2)),
    }
}

/// The day of a year with two or four digits. Two mean this century, or the last one from 70 on.
fn date(year: &str, month: i8, day: i8) -> Option<Date> {
    let digits = year.trim_start_matches(['\'', '’']);
    let year: i16 = digits.parse().ok()?;
    let year = match digits.len() {
        2 if year >= 70 => 1900 + year,
        2 => 2000 + year,
        4 => year,
        _ => return None,
    };
    Date::new(year, month, day).ok()
}

/// Thai years are counted from 543 years earlier; nothing else is printed with such a year.
fn buddhist(year: &str) -> String {
    match year.parse::<i16>() {
        Ok(number @ 2450..=2650) => (number - 543).to_string(),
        _ => year.to_owned(),
    }
}

/// The year after the name of an era.
fn of_era(before: &str, year: &str) -> Option<String> {
    let (_, first) = lines(ERAS).filter_map(|line| line.split_once(' ')).find(|(name, _)| {
        let rest = before.strip_suffix(name);
        rest.is_some_and(|rest| !name.is_ascii() || !rest.ends_with(is_word))
    })?;
    let year = year.parse::<i16>().ok()?.checked_add(first.parse().ok()?)?;
    Some(year.to_string())
}

/// Whether a date is no part of something longer.
fn is_whole(text: &str, place: &Range<usize>) -> bool {
    let (Some(before), Some(date), Some(after)) =
        (text.get(..place.start), text.get(place.clone()), text.get(place.end..))
    else {
        return false;
    };
    let mark = date.chars().find(|c| matches!(c, '-' | '.' | '/')).unwrap_or(' ');
    let is_range = |joint: char| matches!(joint, '-' | '\u{2013}' | '/') && joint != mark;
    let mut left = before.chars().rev();
    let left = match (left.next(), left.next()) {
        (Some(joint @ ('-' | '/' | '.' | '_' | '\u{2013}')), Some(c)) if is_word(c) => {
            is_range(joint) && c.is_ascii_digit()
        }
        (Some(c), _) if c.is_ascii_digit() => false,
        (Some(c), previous) if is_word(c) => {
            // `R6.4.3`: an era.
            matches!(c, 'R' | 'H' | 'S') && !previous.is_some_and(is_word)
        }
        _ => true,
    };
    let mut right = after.chars();
    let right = match (right.next(), right.next()) {
        (Some(c), next) if is_word(c) => match c {
            'T' => next.is_some_and(|c| c.is_ascii_digit()),
            'г' | 'р' => !next.is_some_and(is_word),
            _ => false,
        },
        (Some(joint @ ('-' | '/' | '\u{2013}')), Some(c)) if is_word(c) => {
            is_range(joint) && c.is_ascii_digit()
        }
        (Some('.' | ',' | '_' | '\''), Some(c)) if c.is_ascii_digit() => false,
        (Some('_'), Some(c)) if is_word(c) => false,
        _ => true,
    };
    left && right
}

#[cfg(test)]
mod tests;
