//! Whether a place is a part of another: the time of a date with a time, the year of a date.
//!
//! It must know nothing of other values.

use crate::extract::document_text::{DocumentText, Place};

/// A time stands behind its day with at most so many characters between them, as in `3 May at 9:30`.
const TIME_CHARACTERS_MAX: usize = 6;

/// Whether a place is within the other and less than it, or is a time right behind it.
pub(super) fn is_of(text: &DocumentText<'_>, place: &Place, whole: &Place) -> bool {
    let is_in = place.pieces.iter().all(|piece| {
        whole.pieces.iter().any(|other| other.start <= piece.start && piece.end <= other.end)
    });
    place.page == whole.page
        && (is_in && place.pieces != whole.pieces || is_time_of(text, place, whole))
}

/// Whether a time of day stands right behind a day.
fn is_time_of(text: &DocumentText<'_>, place: &Place, day: &Place) -> bool {
    let (Some(piece), Some(before)) = (place.pieces.first(), day.pieces.last()) else {
        return false;
    };
    let page = u32::try_from(place.page).unwrap_or(u32::MAX);
    let is_time = text.times.within(page, piece.clone()).next().is_some();
    let is_day = text.dates.within(page, before.clone()).next().is_some();
    let page = text.pages().get(place.page).map_or("", |page| page.text.as_str());
    let between = page.get(before.end..piece.start);
    is_time
        && is_day
        && between.is_some_and(|between| {
            between.chars().count() <= TIME_CHARACTERS_MAX
                && !between.contains(|c: char| c.is_numeric() || c == '\n')
        })
}
