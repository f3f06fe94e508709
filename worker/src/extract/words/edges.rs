//! Whether a place is a thing of its own, or a part of a longer word, number or identifier.
//!
//! It must know nothing of how the place was found.

use super::{Needle, shape::joins};
use crate::extract::reading::{Grade, is_word};
use std::ops::Range;
use unicode_normalization::char::is_combining_mark;

/// How sure a place stands for itself; `None` where it does not.
pub(super) fn grade(text: &str, place: &Range<usize>, needle: &Needle) -> Option<Grade> {
    let (before, printed, after) =
        (text.get(..place.start)?, text.get(place.clone())?, text.get(place.end..)?);
    let (first, last) = (printed.chars().next(), printed.chars().next_back());
    let (left, right) = (before.chars().next_back(), after.chars().next());
    let touches = |c: Option<char>| needle.code.is_some() && c.is_some_and(char::is_numeric);
    let is_cut = joins(left, first) && !touches(left) || joins(last, right) && !touches(right);
    if is_cut || after.starts_with(is_combining_mark) {
        return None;
    }
    let mut grade = Grade::Certain;
    if first.is_some_and(is_word) {
        grade = grade.max(joined_left(before, needle.has_digit)?);
    }
    if last.is_some_and(is_word) {
        grade = grade.max(joined_right(after, needle.has_digit)?);
        let digits = last.is_some_and(char::is_numeric) && right == Some(',');
        if digits && after.chars().nth(1).is_some_and(char::is_numeric) {
            return None;
        }
    }
    if first.is_some_and(char::is_numeric)
        && left == Some(',')
        && before.chars().nth_back(1).is_some_and(char::is_numeric)
    {
        return None;
    }
    if needle.has_digit {
        Some(grade.max(beside_groups(before, printed, after)?))
    } else {
        Some(grade)
    }
}

fn is_dash(c: char) -> bool {
    matches!(c, '-' | '\u{2010}' | '\u{2011}' | '\u{2013}' | '\u{2212}')
}

/// What a joint before the place makes of it: `R-` of `R-117`, `No.` of `No.117`.
fn joined_left(before: &str, is_identifier: bool) -> Option<Grade> {
    let mut characters = before.chars().rev();
    let (Some(joint), Some(c)) = (characters.next(), characters.next()) else {
        return Some(Grade::Certain);
    };
    if !is_word(c) {
        return Some(Grade::Certain);
    }
    let word = before.trim_end_matches(joint);
    let letters: Vec<_> = word.chars().rev().take_while(|c| is_word(*c)).collect();
    let is_label = letters.len() > 1 && letters.iter().all(|c| c.is_alphabetic());
    match joint {
        '.' | ':' if is_label => Some(Grade::Certain),
        ':' if c.is_alphabetic() => Some(Grade::Certain),
        '\'' | '’' if letters.iter().all(|c| c.is_lowercase()) => Some(Grade::Certain),
        '/' | '.' | '_' | ':' | '@' | '&' | '\\' | '\'' | '’' => part(is_identifier),
        dash if is_dash(dash) => part(is_identifier),
        _ => Some(Grade::Certain),
    }
}

/// What a joint after the place makes of it: `/B` of `R-31/B`, `.1` of `7.3.1`.
fn joined_right(after: &str, is_identifier: bool) -> Option<Grade> {
    let mut characters = after.chars();
    let (Some(joint), Some(c)) = (characters.next(), characters.next()) else {
        return Some(Grade::Certain);
    };
    if !is_word(c) {
        return Some(Grade::Certain);
    }
    match joint {
        '\'' | '’' if c == 's' => Some(Grade::Certain),
        ':' if c.is_alphabetic() => Some(Grade::Certain),
        '/' | '.' | '_' | ':' | '@' | '&' | '\\' | '\'' | '’' => part(is_identifier),
        dash if is_dash(dash) => part(is_identifier),
        _ => Some(Grade::Certain),
    }
}

/// A part of an identifier is another identifier; a part of a name may be meant.
fn part(is_identifier: bool) -> Option<Grade> {
    if is_identifier { None } else { Some(Grade::Unsure) }
}

/// Groups of digits beside groups of digits are one account, card or telephone number.
fn beside_groups(before: &str, printed: &str, after: &str) -> Option<Grade> {
    let is_group = |text: &str| {
        let digits = text.chars().filter(|c| c.is_numeric()).count();
        digits > 0 && text.chars().all(|c| c.is_numeric() || c.is_ascii_uppercase())
    };
    let words = || printed.split(' ');
    let are_groups = words().all(|word| {
        is_group(word) || word.len() < 3 && word.bytes().all(|c| c.is_ascii_uppercase())
    });
    if !are_groups {
        return Some(Grade::Certain);
    }
    let left =
        before.strip_suffix(' ').and_then(|text| text.split(char::is_whitespace).next_back());
    let right = after.strip_prefix(' ').and_then(|text| text.split(char::is_whitespace).next());
    let is_plain = printed.chars().all(|c| c.is_numeric());
    let left = left.is_some_and(is_group);
    let right = right.is_some_and(is_group);
    match (left || right, is_plain) {
        (false, _) => Some(Grade::Certain),
        (true, true) => Some(Grade::Unsure),
        // `DE89 3704` of a longer account.
        (true, false) if words().count() > 1 => None,
        (true, false) => Some(Grade::Certain),
    }
}
