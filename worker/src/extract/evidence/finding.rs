//! Where a value stands: as it is, or by its value where it is a number, a date, a time or a
//! currency.
//!
//! It must know nothing of schemas.

use crate::extract::{
    currency,
    document_text::{DocumentText, PLACES_MAX, Place},
    number::Decimal,
    reading::{Grade, PageReading, ReadingIndex},
    time,
    words::Needle,
};
use jiff::civil::{Date, Time};
use serde_json::{Number, Value};
use shared::extraction::{Candidate, Field, Reason};

/// A time belongs to a date that is at most so many bytes away.
const TIME_APART_MAX: usize = 40;

/// The pieces of an address stand at most so many lines apart for each of them.
const ADDRESS_LINES_MAX: usize = 3;

/// Shorter texts are no addresses.
const ADDRESS_BYTES_MIN: usize = 12;

/// What the text says of a value.
#[derive(Clone, Debug, Default)]
pub(super) struct Finding {
    /// How sure its best places are; `None` where there is none.
    pub(super) grade: Option<Grade>,
    pub(super) places: Vec<Place>,
    pub(super) reason: Option<Reason>,
    pub(super) candidates: Vec<Candidate>,
}

impl Finding {
    /// The places with the best grade.
    fn best(places: Vec<(Place, Grade)>) -> Self {
        let grade = places.iter().map(|(_, grade)| *grade).min();
        let places = places.into_iter().filter(|(_, of)| Some(*of) == grade);
        let reason = grade.filter(|grade| *grade != Grade::Certain).map(|_| Reason::Ambiguous);
        Self { grade, places: places.map(|(place, _)| place).collect(), reason, ..Self::default() }
    }

    fn is_certain(&self) -> bool {
        self.grade == Some(Grade::Certain)
    }

    /// What was read of a value; where it is not sure, with what else may be meant.
    fn of_value<T: Ord>(
        text: &DocumentText<'_>,
        index: &ReadingIndex<T>,
        value: &T,
        json: impl Fn(&T) -> Value,
    ) -> Self {
        let readings: Vec<_> = index.of(value).take(PLACES_MAX).collect();
        let mut finding =
            Self::best(readings.iter().map(|r| (text.place_of(r), r.grade)).collect());
        if let Some(grade) = finding.grade.filter(|grade| *grade != Grade::Certain) {
            let unsure = readings.iter().filter(|reading| reading.grade == grade);
            for other in unsure.flat_map(|reading| index.others(reading)) {
                finding.add(text, json(&other.value), &text.place_of(other));
            }
        }
        finding
    }

    fn add(&mut self, text: &DocumentText<'_>, value: Value, place: &Place) {
        let is_known = self.candidates.iter().any(|candidate| candidate.value == value);
        if !is_known && self.candidates.len() < Field::CANDIDATES_MAX {
            self.candidates.push(Candidate { value, evidence: text.evidence(place) });
        }
    }

    /// A number, or the same one with the other sign.
    pub(super) fn of_number(text: &DocumentText<'_>, value: &Decimal) -> Self {
        let finding = Self::of_value(text, &text.numbers, value, as_number);
        if finding.grade.is_some() {
            return finding;
        }
        let negated = value.negated();
        let other = Self::of_value(text, &text.numbers, &negated, as_number);
        if !other.is_certain() || negated == *value {
            return finding;
        }
        let mut conflict =
            Self { grade: Some(Grade::Contrary), reason: Some(Reason::Sign), ..other };
        for place in conflict.places.clone().iter().take(1) {
            conflict.add(text, as_number(&negated), place);
        }
        conflict
    }

    fn of_date(text: &DocumentText<'_>, day: Date) -> Self {
        let mut finding = Self::of_value(text, &text.dates, &day, |day| day.to_string().into());
        if finding.grade == Some(Grade::Contrary) {
            finding.reason = Some(Reason::DayOrder);
        }
        finding
    }

    /// A day with a time: both are printed beside each other, or it is midnight and no time is.
    fn of_date_time(text: &DocumentText<'_>, day: Date, clock: Time) -> Self {
        let found = Self::of_date(text, day);
        let (mut together, mut others) = (Vec::new(), Vec::new());
        for place in &found.places {
            let Some(date) = place.pieces.first() else { continue };
            let near = date.start.saturating_sub(TIME_APART_MAX)..date.end + TIME_APART_MAX;
            for time in times_near(text, place, near) {
                let mut pieces = vec![date.clone(), time.place()];
                pieces.sort_by_key(|piece| piece.start);
                let place = text.place(place.page, pieces);
                match time.value == clock {
                    true => together.push(place),
                    false => others.push((time.value, place)),
                }
            }
        }
        if !together.is_empty() {
            return Self { places: together, ..found };
        }
        if others.is_empty() {
            return if clock == Time::midnight() { found } else { Self::default() };
        }
        let mut conflict =
            Self { grade: Some(Grade::Contrary), reason: Some(Reason::Time), ..Self::default() };
        for (time, place) in others {
            conflict.add(text, format!("{day}T{time}").into(), &place);
            conflict.places.push(place);
        }
        conflict
    }

    fn of_words(text: &DocumentText<'_>, value: &str) -> Self {
        let Some(needle) = Needle::new(value) else { return Self::default() };
        let found = text.words.find(&needle, PLACES_MAX).into_iter();
        Self::best(found.map(|words| (text.place(words.page, words.pieces), words.grade)).collect())
    }

    fn of_currency(text: &DocumentText<'_>, code: &str) -> Self {
        let signs = currency::signs(code).iter();
        Self::best(signs.flat_map(|sign| text.sign(sign)).take(PLACES_MAX).collect())
    }

    /// The pieces of an address or of a list, close to each other in whatever order.
    fn of_pieces(text: &DocumentText<'_>, value: &str) -> Self {
        let parts: Vec<_> =
            value.split([',', ';', '\n']).map(str::trim).filter(|part| !part.is_empty()).collect();
        if parts.len() < 2 || value.len() < ADDRESS_BYTES_MIN {
            return Self::default();
        }
        let mut found = Vec::new();
        for part in &parts {
            let finding = Self::of_words(text, part);
            if !finding.is_certain() {
                return Self::default();
            }
            found.push(finding.places);
        }
        let reach = ADDRESS_LINES_MAX * parts.len();
        let rarest = found.iter().min_by_key(|places| places.len());
        let together = rarest.into_iter().flatten().filter_map(|place| {
            let near = |other: &&Place| {
                other.page == place.page && other.line.abs_diff(place.line) <= reach
            };
            let nearest = found.iter().map(|places| {
                places.iter().filter(near).min_by_key(|other| other.line.abs_diff(place.line))
            });
            let nearest: Vec<&Place> = nearest.collect::<Option<_>>()?;
            let pieces = nearest.iter().flat_map(|place| place.pieces.clone()).collect();
            Some((text.place(place.page, pieces), Grade::Certain))
        });
        Self::best(together.collect())
    }

    /// A long text that is printed with another letter or two, with what is printed.
    fn of_similar(text: &DocumentText<'_>, value: &str) -> Self {
        let Some(words) = Needle::new(value).and_then(|needle| text.words.similar(&needle)) else {
            return Self::default();
        };
        let place = text.place(words.page, words.pieces);
        let printed = text.evidence(&place).map(|evidence| evidence.quote).unwrap_or_default();
        let mut finding = Self::best(vec![(place.clone(), words.grade)]);
        finding.reason = Some(Reason::Spelling);
        finding.add(text, printed.into(), &place);
        finding
    }

    /// A text as it is, or by what it means. The surest counts.
    pub(super) fn of_text(text: &DocumentText<'_>, value: &str) -> Self {
        let value = value.trim();
        let mut best = Self::of_words(text, value);
        for kind in
            [by_day, by_number, by_time, Self::of_currency, Self::of_pieces, Self::of_similar]
        {
            if best.is_certain() {
                break;
            }
            let finding = kind(text, value);
            let grade = |finding: &Self| finding.grade.map_or(u8::MAX, |grade| grade as u8);
            if grade(&finding) < grade(&best) {
                best = finding;
            }
        }
        best
    }
}

fn times_near<'a>(
    text: &'a DocumentText<'_>,
    place: &Place,
    near: std::ops::Range<usize>,
) -> impl Iterator<Item = &'a PageReading<Time>> {
    text.times.within(u32::try_from(place.page).unwrap_or(u32::MAX), near)
}

/// `2024-03-05`, with a time or a zone behind it or not.
fn by_day(text: &DocumentText<'_>, value: &str) -> Finding {
    let day = value.get(..10).and_then(|day| day.parse::<Date>().ok());
    let rest = value.get(10..).unwrap_or_default();
    match (day, time::of(value)) {
        (Some(day), Some(clock)) => Finding::of_date_time(text, day, clock),
        (Some(day), None) if matches!(rest, "" | "Z") => Finding::of_date(text, day),
        _ => Finding::default(),
    }
}

/// A number as JSON would write it: `0117` is none.
fn by_number(text: &DocumentText<'_>, value: &str) -> Finding {
    let digits = value.trim_start_matches('-');
    let is_padded = digits.starts_with('0') && digits.len() > 1 && !digits.starts_with("0.");
    match Decimal::parse(value).filter(|_| !is_padded) {
        Some(number) => Finding::of_number(text, &number),
        None => Finding::default(),
    }
}

fn by_time(text: &DocumentText<'_>, value: &str) -> Finding {
    match time::of(value).filter(|_| value.get(..10).is_none_or(|day| day.parse::<Date>().is_err()))
    {
        Some(clock) => Finding::of_value(text, &text.times, &clock, |time| time.to_string().into()),
        None => Finding::default(),
    }
}

fn as_number(value: &Decimal) -> Value {
    match value.as_str().parse::<Number>() {
        Ok(number) => Value::Number(number),
        Err(_) => value.as_str().into(),
    }
}
