//! Things with a form of their own: currencies, IBANs, BICs, VAT numbers, times of day.

use super::text::Document;

const CURRENCIES: [&str; 24] = [
    "EUR", "USD", "GBP", "CHF", "PLN", "SEK", "NOK", "DKK", "CZK", "HUF", "RON", "JPY", "CNY",
    "CAD", "AUD", "NZD", "BRL", "MXN", "INR", "ZAR", "TRY", "SGD", "HKD", "AED",
];
const SYMBOLS: [(&str, &str); 9] = [
    ("C$", "CAD"),
    ("A$", "AUD"),
    ("R$", "BRL"),
    ("€", "EUR"),
    ("$", "USD"),
    ("£", "GBP"),
    ("¥", "JPY"),
    ("zł", "PLN"),
    ("₹", "INR"),
];
/// How many characters an IBAN has, by country.
const IBAN_LENGTHS: [(&str, usize); 24] = [
    ("DE", 22),
    ("AT", 20),
    ("CH", 21),
    ("LI", 21),
    ("FR", 27),
    ("ES", 24),
    ("IT", 27),
    ("NL", 18),
    ("BE", 16),
    ("LU", 20),
    ("GB", 22),
    ("IE", 22),
    ("PT", 25),
    ("PL", 28),
    ("CZ", 24),
    ("DK", 18),
    ("SE", 24),
    ("NO", 15),
    ("FI", 18),
    ("HU", 28),
    ("RO", 24),
    ("GR", 27),
    ("SK", 24),
    ("SI", 19),
];
const VAT_COUNTRIES: [&str; 28] = [
    "AT", "BE", "BG", "CY", "CZ", "DE", "DK", "EE", "EL", "ES", "FI", "FR", "GB", "HR", "HU", "IE",
    "IT", "LT", "LU", "LV", "MT", "NL", "PL", "PT", "RO", "SE", "SI", "SK",
];

/// The currency that a text names.
pub(crate) fn currency_in(text: &str) -> Option<&'static str> {
    let is_apart = |c: char| !c.is_ascii_alphabetic();
    let by_code = text
        .split(is_apart)
        .find_map(|part| CURRENCIES.iter().find(|code| **code == part).copied());
    by_code.or_else(|| SYMBOLS.iter().find(|(sign, _)| text.contains(sign)).map(|(_, code)| *code))
}

/// The currency that a document names most often.
pub(crate) fn currency_of(document: &Document) -> Option<&'static str> {
    let mut counts: Vec<(&'static str, usize)> = Vec::new();
    for cell in document.rows.iter().flat_map(|row| &row.cells) {
        let Some(code) = currency_in(&cell.text) else { continue };
        match counts.iter_mut().find(|(known, _)| *known == code) {
            Some((_, count)) => *count += 1,
            None => counts.push((code, 1)),
        }
    }
    // The first of equals, so that the order of the document decides.
    let most = counts.iter().map(|(_, count)| *count).max()?;
    counts.into_iter().find(|(_, count)| *count == most).map(|(code, _)| code)
}

/// The first IBAN in a text, as printed.
pub(crate) fn iban_in(text: &str) -> Option<String> {
    text.char_indices().find_map(|(start, _)| {
        let rest = text.get(start..)?;
        let before = text.get(..start)?.chars().next_back();
        if before.is_some_and(char::is_alphanumeric) {
            return None;
        }
        let country = rest.get(..2)?;
        let length = IBAN_LENGTHS.iter().find(|(code, _)| *code == country)?.1;
        let is_checked = rest.get(2..4)?.bytes().all(|byte| byte.is_ascii_digit());
        if !is_checked { None } else { taken(rest, length) }
    })
}

/// The first so many letters and digits of a text with the spaces between them.
fn taken(text: &str, length: usize) -> Option<String> {
    let mut count = 0;
    for (index, symbol) in text.char_indices() {
        match symbol {
            '0'..='9' | 'A'..='Z' => count += 1,
            ' ' | '\u{a0}' => continue,
            _ => return None,
        }
        if count == length {
            return text.get(..index + 1).map(str::to_owned);
        }
    }
    None
}

/// The first BIC in a text.
pub(crate) fn bic_in(text: &str) -> Option<String> {
    text.split(|c: char| !c.is_ascii_alphanumeric())
        .find(|part| {
            matches!(part.len(), 8 | 11)
                && part.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit())
                && part.bytes().take(6).all(|byte| byte.is_ascii_uppercase())
        })
        .map(str::to_owned)
}

/// The first VAT number with its country in a text, as printed.
pub(crate) fn vat_in(text: &str) -> Option<String> {
    text.char_indices().find_map(|(start, _)| {
        let before = text.get(..start)?.chars().next_back();
        if before.is_some_and(char::is_alphanumeric) {
            return None;
        }
        let rest = text.get(start..)?;
        let is_swiss = rest.starts_with("CHE");
        let prefix = if is_swiss { 3 } else { 2 };
        let country = rest.get(..2)?;
        if !is_swiss && !VAT_COUNTRIES.contains(&country) {
            return None;
        }
        let value = number_like(rest, prefix);
        let digits = value.chars().filter(char::is_ascii_digit).count();
        let own = value.chars().filter(char::is_ascii_alphanumeric).count();
        ((7..=12).contains(&digits) && own <= 14).then(|| value.to_owned())
    })
}

/// The part of a text that goes on with digits, single letters and single separators.
fn number_like(text: &str, prefix: usize) -> &str {
    let mut end = prefix;
    let symbols: Vec<(usize, char)> = text.char_indices().collect();
    let mut index = prefix;
    while let Some((at, symbol)) = symbols.get(index).copied() {
        let next = symbols.get(index + 1).map(|(_, c)| *c);
        let goes_on = match symbol {
            c if c.is_ascii_digit() => true,
            c if c.is_ascii_uppercase() => next.is_none_or(|c| !c.is_ascii_lowercase()),
            ' ' | '.' | '-' => next.is_some_and(|c| c.is_ascii_digit()),
            _ => false,
        };
        if !goes_on {
            break;
        }
        end = at + symbol.len_utf8();
        index += 1;
    }
    text.get(..end).unwrap_or_default()
}

/// The first time of day in a text, as printed.
pub(crate) fn time_in(text: &str) -> Option<String> {
    text.split(|c: char| c.is_whitespace() || matches!(c, ',' | ';' | '(' | ')')).find_map(|part| {
        let part = part.trim_end_matches(['.', 'h', 'H']);
        let mut parts = part.split(':');
        let (hour, minute, second) = (parts.next()?, parts.next()?, parts.next());
        let below = |text: &str, limit: u32| {
            matches!(text.len(), 1 | 2) && text.parse::<u32>().is_ok_and(|number| number < limit)
        };
        let is_time = below(hour, 24)
            && minute.len() == 2
            && below(minute, 60)
            && second.is_none_or(|second| below(second, 60))
            && parts.next().is_none();
        is_time.then(|| part.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_found_as_printed() {
        assert_eq!(
            iban_in("IBAN: DE89 3704 0044 0532 0130 00 BIC X"),
            Some("DE89 3704 0044 0532 0130 00".to_owned())
        );
        assert_eq!(
            iban_in("FR7630006000011234567890189"),
            Some("FR7630006000011234567890189".to_owned())
        );
        assert_eq!(bic_in("BIC: COBADEFFXXX"), Some("COBADEFFXXX".to_owned()));
        assert_eq!(vat_in("USt-IdNr.: DE 123 456 789, Steuer"), Some("DE 123 456 789".to_owned()));
        assert_eq!(vat_in("VAT GB 123 4567 89"), Some("GB 123 4567 89".to_owned()));
        assert_eq!(vat_in("NL123456789B01"), Some("NL123456789B01".to_owned()));
        assert_eq!(vat_in("CHE-123.456.789 MWST"), Some("CHE-123.456.789".to_owned()));
        assert_eq!(time_in("5.3.2018 14:05:33 Kasse 2"), Some("14:05:33".to_owned()));
        assert_eq!(currency_in("Total in CHF"), Some("CHF"));
        assert_eq!(currency_in("12,00 €"), Some("EUR"));
        assert_eq!(currency_in("EUROPA"), None);
    }
}
