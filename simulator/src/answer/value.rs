//! Printed numbers, dates and currencies as values. A text that is not as a whole what is wanted,
//! or that can be read in two ways, is nothing.

use super::text::{CURRENCIES, Document, fold, is_currency};

/// The beginnings of the names of the months.
const MONTHS: &str = "jan gen ene,feb fev,mar mrz maa,apr avr abr,may mai mag mei,jun juin giu,\
                      jul juil lug,aug aou ago,sep set,oct okt ott,nov,dec dez dic";

/// A number with its sign; a currency or a unit may stand beside it.
pub(crate) fn number(text: &str) -> Option<f64> {
    let text = text.replace(['€', '$', '£', '%'], " ");
    let mut tokens: Vec<&str> =
        text.split_whitespace().filter(|token| !is_currency(token)).collect();
    tokens.pop_if(|unit| unit.trim_end_matches('.').chars().all(char::is_alphabetic));
    let text = tokens.join(" ");
    let is_minus = |c: char| "-−–()".contains(c);
    let plain = text.trim_matches(|c| is_minus(c) || c == ' ');
    let marks = plain.matches(['.', ',', ' ', '\'', '’']).count();
    let (whole, decimals) = match plain.rfind(['.', ',']).map(|at| plain.split_at(at)) {
        // One point or comma before three digits parts thousands or decimals.
        Some((_, rest)) if rest.len() == 4 && marks == 1 => return None,
        Some((whole, rest)) if rest.len() != 4 => (whole, rest.get(1..)?),
        _ => (plain, ""),
    };
    let groups: Vec<&str> = whole.split(['.', ',', ' ', '\'', '’']).collect();
    let is_first = |at: usize, len: usize| at == 0 && (groups.len() == 1 || len < 3) && len > 0;
    let mut sizes = groups.iter().map(|group| group.len()).enumerate();
    let is_grouped = sizes.all(|(at, len)| len == 3 || is_first(at, len));
    let digits = format!("{}.{decimals}0", groups.concat());
    let is_plain = is_grouped && digits.chars().all(|c| c.is_ascii_digit() || c == '.');
    let value: f64 = digits.parse().ok().filter(|_| is_plain)?;
    let is_negative = text.starts_with(is_minus) || text.ends_with(is_minus);
    Some(if is_negative { -value } else { value })
}

/// A date as ISO 8601.
pub(crate) fn date(text: &str) -> Option<String> {
    let folded = fold(text);
    let words: Vec<&str> = folded.split(' ').collect();
    let [a, b, c] = words.as_slice() else { return None };
    let number = |word: &str| {
        let word = word.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        (word.len() <= 4).then(|| word.parse::<u32>().ok())?
    };
    let month = |word: &str| {
        let mut months = MONTHS.split(',');
        let at = months.position(|names| names.split(' ').any(|name| word.starts_with(name)))?;
        u32::try_from(at + 1).ok()
    };
    let (year, month, day) = match (month(a), month(b)) {
        (Some(month), _) => (*c, month, number(b)?),
        (_, Some(month)) => (*c, month, number(a)?),
        _ if a.len() == 4 => (*a, number(b)?, number(c)?),
        _ => match (number(a)?, number(b)?) {
            (month, day @ 13..) if text.contains('/') => (*c, month, day),
            (day, month) if !text.contains('/') || day > 12 || day == month => (*c, month, day),
            _ => return None,
        },
    };
    let year = number(year)? + if year.len() == 2 { 2000 } else { 0 };
    let days = match month {
        2 => 28 + u32::from(year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)),
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => 0,
    };
    let is_sound = (1900..2200).contains(&year) && (1..=days).contains(&day);
    is_sound.then(|| format!("{year:04}-{month:02}-{day:02}"))
}

/// A time of day.
pub(crate) fn time(text: &str) -> Option<String> {
    let is_part = |part: &str| part.len() == 2 && part.chars().all(|c| c.is_ascii_digit());
    (text.contains(':') && text.split(':').all(is_part)).then(|| text.to_owned())
}

/// A number of a document, an account, an article. Where nothing sets it apart it must look like
/// one: capitals, digits and few signs.
pub(crate) fn code(text: &str, is_marked: bool) -> Option<String> {
    let is_legal = |c: char| c.is_ascii_digit() || c.is_uppercase() || " -/.*".contains(c);
    let is_code = (is_marked || text.chars().all(is_legal)) && !text.contains(':');
    let has_digit = text.contains(|c: char| c.is_ascii_digit());
    (is_code && has_digit && text.len() <= 40).then(|| text.to_owned())
}

/// The only currency that a document names, as ISO 4217.
pub(crate) fn currency(document: &Document) -> Option<String> {
    let texts: Vec<&str> = document.rows.iter().flatten().map(|cell| cell.text.as_str()).collect();
    let text = texts.join(" ");
    let words: Vec<&str> = text.split(|c: char| !c.is_alphanumeric()).collect();
    let is_named = |(code, sign): &&(&str, &str)| {
        words.contains(code) || !is_currency(sign) && text.contains(sign)
    };
    let mut found = CURRENCIES.iter().filter(is_named);
    let (code, _) = found.next().filter(|_| found.next().is_none())?;
    Some((*code).to_owned())
}
