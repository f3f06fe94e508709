//! Numbers and amounts of money in the ways they are printed in Europe and America.

use super::text::Document;

/// How a document writes decimals, as far as it shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    Comma,
    Point,
    Unknown,
}

/// A number found in a text.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Amount {
    pub(crate) value: f64,
    /// Byte offsets of the digits, without sign and currency.
    pub(crate) start: usize,
    pub(crate) end: usize,
    pub(crate) is_percent: bool,
    /// Whether it has exactly two decimals, as money has.
    pub(crate) has_cents: bool,
}

/// Words that may stand beside a number without making it a text.
const BESIDE: [&str; 58] = [
    "eur", "usd", "gbp", "chf", "pln", "sek", "nok", "dkk", "czk", "huf", "jpy", "cad", "aud",
    "euro", "euros", "fr", "zl", "kr", "h", "hr", "hrs", "hour", "hours", "std", "stunden",
    "heures", "ore", "horas", "uur", "pcs", "pc", "ea", "each", "stk", "stuck", "st", "pz", "ud",
    "uds", "kg", "g", "l", "m", "km", "m2", "unit", "units", "days", "day", "tage", "jours",
    "giorni", "dias", "dagen", "x", "ml", "cl", "kwh",
];

/// Finds out which decimal separator a document uses.
pub(crate) fn style_of(document: &Document) -> Style {
    let (mut commas, mut points) = (0, 0);
    for cell in document.rows.iter().flat_map(|row| &row.cells) {
        for amount in all(&cell.text, Style::Unknown).iter().filter(|amount| amount.has_cents) {
            let digits = cell.text.get(amount.start..amount.end).unwrap_or_default();
            match digits.chars().rev().nth(2) {
                Some(',') => commas += 1,
                Some('.') => points += 1,
                _ => {}
            }
        }
    }
    match commas.cmp(&points) {
        std::cmp::Ordering::Greater => Style::Comma,
        std::cmp::Ordering::Less => Style::Point,
        std::cmp::Ordering::Equal => Style::Unknown,
    }
}

/// All numbers in a text.
pub(crate) fn all(text: &str, style: Style) -> Vec<Amount> {
    let symbols: Vec<(usize, char)> = text.char_indices().collect();
    let mut found = Vec::new();
    let mut index = 0;
    while let Some((start, symbol)) = symbols.get(index).copied() {
        let is_inside_word = index
            .checked_sub(1)
            .and_then(|i| symbols.get(i))
            .is_some_and(|(_, c)| c.is_alphabetic());
        if !symbol.is_ascii_digit() || is_inside_word {
            index += 1;
            if symbol.is_ascii_digit() {
                while symbols.get(index).is_some_and(|(_, c)| c.is_alphanumeric()) {
                    index += 1;
                }
            }
            continue;
        }
        let after = end_of_number(&symbols, index);
        let end = symbols.get(after).map_or(text.len(), |(end, _)| *end);
        let digits = text.get(start..end).unwrap_or_default();
        if let Some((value, has_cents)) = parse(digits, style) {
            let before = text.get(..start).unwrap_or_default();
            let rest = text.get(end..).unwrap_or_default();
            let value = if is_negative(before, rest) { -value } else { value };
            let is_percent = rest.trim_start().starts_with('%');
            found.push(Amount { value, start, end, is_percent, has_cents });
        }
        index = after;
    }
    found
}

/// The only number of a cell that holds nothing else but a currency or a unit.
pub(crate) fn only(text: &str, style: Style) -> Option<Amount> {
    let mut numbers = all(text, style);
    let amount = numbers.pop().filter(|_| numbers.is_empty())?;
    let outside = format!(
        "{} {}",
        text.get(..amount.start).unwrap_or_default(),
        text.get(amount.end..).unwrap_or_default()
    );
    let is_plain =
        super::words::words(&outside).iter().all(|w| BESIDE.contains(&w.folded.as_str()));
    is_plain.then_some(amount)
}

/// The last number of a text that is no percentage.
pub(crate) fn last(text: &str, style: Style) -> Option<Amount> {
    all(text, style).into_iter().rev().find(|amount| !amount.is_percent)
}

fn end_of_number(symbols: &[(usize, char)], start: usize) -> usize {
    let digit = |index: usize| symbols.get(index).is_some_and(|(_, c)| c.is_ascii_digit());
    let mut index = start;
    let mut group = 0;
    loop {
        while digit(index) {
            index += 1;
            group += 1;
        }
        let Some((_, separator)) = symbols.get(index) else { return index };
        let is_join = match separator {
            '.' | ',' => digit(index + 1),
            // A space or an apostrophe parts thousands only, so three digits must follow.
            ' ' | '\u{a0}' | '\u{202f}' | '\u{2009}' | '\'' | '’' => {
                let three = (1..=3).all(|offset| digit(index + offset)) && !digit(index + 4);
                three && group <= 3
            }
            _ => false,
        };
        if !is_join {
            return index;
        }
        index += 1;
        group = 0;
    }
}

fn parse(digits: &str, style: Style) -> Option<(f64, bool)> {
    let compact: String = digits.chars().filter(|c| matches!(c, '0'..='9' | '.' | ',')).collect();
    let commas = compact.matches(',').count();
    let points = compact.matches('.').count();
    let decimal = match (commas, points) {
        (0, 0) => None,
        (1.., 1..) => compact.chars().rev().find(|c| matches!(c, '.' | ',')),
        (1, 0) => is_decimal(&compact, ',', style == Style::Comma).then_some(','),
        (0, 1) => is_decimal(&compact, '.', style == Style::Point).then_some('.'),
        _ => None,
    };
    let mut plain = String::new();
    let last = decimal.and_then(|separator| compact.rfind(separator));
    for (index, symbol) in compact.char_indices() {
        if Some(index) == last {
            plain.push('.');
        } else if symbol.is_ascii_digit() {
            plain.push(symbol);
        }
    }
    let has_cents = last.is_some_and(|index| compact.len() - index == 3);
    // Three points or two different lengths of groups make a date or a version, not a number.
    let groups: Vec<&str> = compact.split(['.', ',']).collect();
    let inner = groups.get(1..groups.len().saturating_sub(1)).unwrap_or_default();
    if inner.iter().any(|group| group.len() != 3) {
        return None;
    }
    plain.parse().ok().map(|value| (value, has_cents))
}

/// Whether the one separator of a number parts decimals rather than thousands.
fn is_decimal(compact: &str, separator: char, is_style: bool) -> bool {
    let (whole, rest) = compact.split_once(separator).unwrap_or((compact, ""));
    rest.len() != 3 || whole.len() > 3 || whole.starts_with('0') || is_style
}

fn is_negative(before: &str, after: &str) -> bool {
    let symbols = |c: char| c.is_whitespace() || matches!(c, '€' | '$' | '£' | '¥');
    let before = before.trim_end_matches(symbols);
    let before = ["EUR", "USD", "GBP", "CHF"]
        .iter()
        .find_map(|code| before.strip_suffix(code))
        .unwrap_or(before)
        .trim_end_matches(symbols);
    let minus = ['-', '−', '–'];
    if let Some(outer) = before.strip_suffix(minus) {
        // A hyphen inside a word ("INV-12") or a range ("3 - 4") is no sign.
        return outer.chars().next_back().is_none_or(|c| !c.is_alphanumeric())
            && !outer.trim_end().ends_with(|c: char| c.is_ascii_digit());
    }
    let closes = after.trim_start_matches(symbols).starts_with(')');
    let trails = after.starts_with(minus)
        && !after.chars().nth(1).is_some_and(char::is_alphanumeric)
        && after.trim().chars().count() <= 5;
    trails || (closes && before.ends_with('('))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: f64) {
        assert_eq!(only(text, Style::Unknown).map(|amount| amount.value), Some(expected), "{text}");
    }

    #[test]
    fn amounts_of_many_countries_are_read() {
        check("1.234,56", 1234.56);
        check("1,234.56", 1234.56);
        check("1 234,56 €", 1234.56);
        check("1\u{202f}234,56", 1234.56);
        check("CHF 1'234.56", 1234.56);
        check("$12", 12.0);
        check("1.234", 1234.0);
        check("0.750", 0.75);
        check("1.234.567", 1_234_567.0);
        check("2,5 Std.", 2.5);
        check("-12,00", -12.0);
        check("- 12.00 EUR", -12.0);
        check("-€ 12.00", -12.0);
        check("12.00-", -12.0);
        check("(12.00)", -12.0);
        check("€ -12,50", -12.5);
        check("19 %", 19.0);
    }

    #[test]
    fn other_things_are_no_amounts() {
        for text in ["INV-12", "05.03.2018", "Item 12", "A4", "", "12 34"] {
            assert_eq!(only(text, Style::Unknown), None, "{text}");
        }
    }

    #[test]
    fn the_last_number_is_not_the_rate() {
        let value = |text| last(text, Style::Unknown).map(|amount| amount.value);
        assert_eq!(value("19 % 190,00"), Some(190.0));
        assert_eq!(value("1.000,00 x 19%"), Some(1000.0));
    }

    #[test]
    fn the_style_of_a_document_decides() {
        let document = Document::read("1,250   3,50\n7,00");
        assert_eq!(style_of(&document), Style::Comma);
        assert_eq!(only("1,250", Style::Comma).map(|amount| amount.value), Some(1.25));
        assert_eq!(only("1,250", Style::Point).map(|amount| amount.value), Some(1250.0));
    }
}
