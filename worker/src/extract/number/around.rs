//! What stands around digits: a sign, a currency, or what makes them a part of something longer.
//!
//! It must know nothing of the digits.

use crate::extract::{
    currency,
    reading::{Grade, is_word},
};

/// A letter of a word, and no digit.
pub(super) fn is_letter(c: char) -> bool {
    is_word(c) && !c.is_numeric()
}

/// How sure the number is as a positive and as a negative one: `-12`, `-€ 12`, `12-`, `(12)`, `12 CR`.
pub(super) fn signs(before: &str, after: &str, has_mark: bool) -> (Grade, Grade) {
    const MINUS: [char; 4] = ['-', '\u{2212}', '\u{2013}', '\u{2012}'];
    const BLANKS: [char; 3] = [' ', '\u{a0}', '\u{202f}'];
    let positive = (Grade::Certain, Grade::Contrary);
    let negative = (Grade::Contrary, Grade::Certain);
    let likely_negative = (Grade::Unsure, Grade::Certain);
    let near = before.trim_end_matches(BLANKS).trim_end_matches(currency::is_symbol);
    let near = near.trim_end_matches(BLANKS);
    let named = before.trim_end_matches(BLANKS).trim_end_matches('.');
    let code = named.trim_end_matches(is_letter);
    let word = named.get(code.len()..).unwrap_or_default();
    let near = if currency::is_letters(word) { code.trim_end_matches(BLANKS) } else { near };
    if let Some(rest) = near.strip_suffix(MINUS) {
        let last = rest.chars().next_back();
        // `-12`, `-€12` and `-€ 12`, but not `- 12`, which may be an item of a list.
        let is_close = before.get(near.len()..).is_some_and(|gap| !gap.starts_with(BLANKS));
        let word: String = rest.chars().rev().take_while(|c| is_letter(*c)).collect();
        let word: String = word.chars().rev().collect();
        return match (last.is_some_and(char::is_alphanumeric), is_close) {
            // `EUR-12`, but not `INV-12` or `10-12`.
            (true, true) if currency::is_letters(&word) => negative,
            (true, _) => positive,
            (false, true) => negative,
            (false, false)
                if matches!(
                    rest.trim_end_matches(BLANKS).chars().next_back(),
                    None | Some('\n')
                ) =>
            {
                (Grade::Certain, Grade::Unsure)
            }
            // After `100,-` it stands for cents.
            (false, false) if !rest.ends_with(BLANKS) => positive,
            (false, false) => likely_negative,
        };
    }
    let outside = near.strip_suffix('(');
    let close = after.trim_start_matches(BLANKS).trim_start_matches(currency::is_symbol);
    if let (Some(outside), Some(rest)) = (outside, close.strip_prefix(')')) {
        let is_gap =
            |text: &str| text.is_empty() || text.starts_with('\n') || text.starts_with("  ");
        let is_gap_before =
            outside.is_empty() || outside.ends_with('\n') || outside.ends_with("  ");
        let is_cell = is_gap(rest) && is_gap_before;
        return match has_mark || is_cell {
            true => likely_negative,
            false => (Grade::Certain, Grade::Unsure),
        };
    }
    let is_word_end = |rest: &str| !rest.starts_with(char::is_alphanumeric);
    if after.strip_prefix(MINUS).is_some_and(|rest| is_word_end(rest) && !rest.starts_with(MINUS)) {
        return negative;
    }
    let credit = after.trim_start_matches(BLANKS);
    let credit = credit.strip_prefix("CR").or_else(|| credit.strip_prefix("Cr"));
    if credit.is_some_and(is_word_end) { likely_negative } else { positive }
}

/// Whether a point belongs to a word before the number: `No.5`, `Rs.500`.
pub(super) fn is_abbreviation(before: &str) -> bool {
    before.trim_end_matches(['.', ',']).ends_with(char::is_alphabetic)
}

/// How sure the digits between two texts are a number of their own; `None` where they are a part of
/// an identifier, a date, a time or a telephone number.
pub(super) fn surroundings(before: &str, after: &str, has_mark: bool) -> Option<Grade> {
    let (left, right) = (joined_before(before), joined_after(after));
    let grade = match (left, right) {
        ("", "") => return Some(Grade::Certain),
        // `10-12` and `1/2`: a range or a share, or a part of something else.
        (digits, "") if is_other_end(digits, true) => return Some(Grade::Unsure),
        ("", digits) if is_other_end(digits, false) => return Some(Grade::Unsure),
        ("", _) => Grade::Certain,
        (left, _) => before_number(left, has_mark)?,
    };
    if right.is_empty() { Some(grade) } else { Some(grade.max(after_number(right, has_mark)?)) }
}

/// What may join letters and digits to one thing.
fn is_joint(c: char) -> bool {
    matches!(c, '-' | '\u{2013}' | '/' | '.' | '_' | ':' | '@' | '\\' | '&' | '\'' | '’' | '+')
}

/// What is joined to the text's end.
fn joined_before(text: &str) -> &str {
    let mut start = text.len();
    let mut characters = text.char_indices().rev().peekable();
    while let Some((at, c)) = characters.next() {
        let is_joined =
            is_joint(c) && characters.peek().is_some_and(|(_, before)| is_word(*before));
        if !is_word(c) && !is_joined {
            break;
        }
        start = at;
    }
    text.get(start..).unwrap_or_default()
}

/// What is joined to the text's beginning.
fn joined_after(text: &str) -> &str {
    let mut end = 0;
    let mut characters = text.char_indices().peekable();
    while let Some((at, c)) = characters.next() {
        let is_joined = is_joint(c) && characters.peek().is_some_and(|(_, after)| is_word(*after));
        if !is_word(c) && !is_joined {
            break;
        }
        end = at + c.len_utf8();
    }
    text.get(..end).unwrap_or_default()
}

/// Whether this is one number and a dash or a stroke.
fn is_other_end(joined: &str, is_before: bool) -> bool {
    const BETWEEN: [char; 3] = ['-', '\u{2013}', '/'];
    let number = match is_before {
        true => joined.strip_suffix(BETWEEN),
        false => joined.strip_prefix(BETWEEN),
    };
    let digits =
        number.is_some_and(|number| number.bytes().all(|c| c.is_ascii_digit() || c == b'.'));
    digits && number.is_some_and(|number| !number.is_empty() && number.matches('.').count() < 2)
}

/// `EUR5`, `EUR-5`, `No.5`, `x5`, `Total:5`.
fn before_number(left: &str, has_mark: bool) -> Option<Grade> {
    let word = left.trim_end_matches(['-', '.', ':', '+']);
    let (joint, is_letters) = (left.get(word.len()..)?, word.chars().all(is_letter));
    if !is_letters {
        return None;
    }
    let is_sure = has_mark || word.chars().count() > 2;
    match joint {
        "" | "-" if currency::is_letters(word) => {
            Some(if is_sure { Grade::Certain } else { Grade::Unsure })
        }
        "" if matches!(word, "x" | "X") => Some(Grade::Certain),
        "." | ":" if word.chars().count() > 1 => Some(Grade::Certain),
        "." | ":" => Some(Grade::Unsure),
        _ => None,
    }
}

/// `5kg`, `5EUR`, `12-month`, `12.50/unit`; not `5B` nor `5-B`.
fn after_number(right: &str, has_mark: bool) -> Option<Grade> {
    let word = right.trim_start_matches(['-', '\u{2013}', '/', '.']);
    let joint = right.get(..right.len() - word.len())?;
    let first: String = word.chars().take_while(|c| is_letter(*c)).collect();
    let rest = word.get(first.len()..)?;
    if rest.contains(|c: char| c.is_numeric()) && !matches!(rest, "2" | "3") || first.is_empty() {
        return None;
    }
    let is_long = first.chars().count() > 1;
    let is_small = first.starts_with(char::is_lowercase);
    let is_unit = currency::is_letters(&first)
        || matches!(first.as_str(), "x" | "X" | "g" | "m" | "l" | "h" | "t" | "s");
    match joint {
        "" if is_unit || is_small && is_long || has_mark => Some(Grade::Certain),
        "" => Some(Grade::Unsure),
        "-" | "\u{2013}" | "/" if is_small || has_mark || first.chars().count() > 2 => {
            Some(Grade::Certain)
        }
        "." => Some(Grade::Unsure),
        _ => None,
    }
}
