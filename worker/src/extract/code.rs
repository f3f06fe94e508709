//! Codes that show by themselves whether they were copied right: IBAN, BIC, EAN, VAT numbers.
//!
//! It must know nothing of documents.

use super::language::lines;

/// `country length`
const IBANS: &str = include_str!("data/ibans.txt");
/// `prefix form …`
const VAT: &str = include_str!("data/vat.txt");

/// Letters and digits alone, in capitals.
fn compact(text: &str) -> String {
    let kept = text.chars().filter(|c| c.is_alphanumeric());
    kept.flat_map(char::to_uppercase).collect()
}

/// Whether a part of the code is not printed, as on card slips: `DE** **** 1234`.
pub fn is_masked(text: &str) -> bool {
    text.contains(['*', '•', '…']) || compact(text).contains("XXX")
}

/// ISO 13616: the country's length, and 1 modulo 97. A country that is not listed may have any length.
pub fn is_iban(text: &str) -> bool {
    let code = compact(text);
    let (Some(country), Some(head), Some(rest)) = (code.get(..2), code.get(..4), code.get(4..))
    else {
        return false;
    };
    let length =
        lines(IBANS).filter_map(|line| line.split_once(' ')).find(|(of, _)| *of == country);
    let is_long_enough = match length {
        Some((_, length)) => length.parse() == Ok(code.len()),
        None => (15..=34).contains(&code.len()),
    };
    let is_headed = country.bytes().all(|c| c.is_ascii_uppercase())
        && head.bytes().skip(2).all(|c| c.is_ascii_digit());
    let remainder = rest.chars().chain(head.chars()).try_fold(0, |remainder, c| {
        let digit = c.to_digit(36)?;
        let places = if digit > 9 { 100 } else { 10 };
        Some((remainder * places + digit) % 97)
    });
    is_long_enough && is_headed && remainder == Some(1)
}

/// ISO 9362: eight letters and digits, or eleven.
pub fn is_bic(text: &str) -> bool {
    let code = compact(text);
    matches!(code.len(), 8 | 11)
        && code.bytes().enumerate().all(|(at, c)| match at {
            4 | 5 => c.is_ascii_uppercase(),
            _ => c.is_ascii_alphanumeric(),
        })
}

/// GS1: 8, 12, 13 or 14 digits, of which the last is checked.
pub fn is_ean(text: &str) -> bool {
    let code = compact(text);
    let digits: Option<Vec<u32>> = code.chars().map(|c| c.to_digit(10)).collect();
    let Some(digits) = digits.filter(|digits| matches!(digits.len(), 8 | 12 | 13 | 14)) else {
        return false;
    };
    let weighed = digits.iter().rev().enumerate();
    weighed.map(|(at, digit)| if at % 2 == 1 { digit * 3 } else { *digit }).sum::<u32>() % 10 == 0
}

/// The form of the country whose prefix it has. Without a known prefix anything with digits will do,
/// but a stroke, which only national tax numbers have.
pub fn is_vat_id(text: &str) -> bool {
    let code = compact(text);
    let fits = of_country(&code);
    fits.unwrap_or_else(|| !text.contains('/') && code.contains(|c: char| c.is_ascii_digit()))
}

/// The form of a country, with its prefix.
pub fn is_prefixed_vat_id(text: &str) -> bool {
    of_country(&compact(text)) == Some(true)
}

/// Whether a code has a form of the country whose prefix it has, where it has one.
fn of_country(code: &str) -> Option<bool> {
    let (rest, forms) = lines(VAT).find_map(|line| {
        let (prefix, forms) = line.split_once(' ')?;
        let rest = code.strip_prefix(prefix)?;
        // A word such as `DEPOT` is no prefix.
        rest.contains(|c: char| c.is_ascii_digit()).then_some((rest, forms))
    })?;
    Some(forms.split(' ').any(|form| fits(rest, form)))
}

fn fits(code: &str, form: &str) -> bool {
    code.len() == form.len()
        && code.bytes().zip(form.bytes()).all(|(c, form)| match form {
            b'9' => c.is_ascii_digit(),
            b'A' => c.is_ascii_uppercase(),
            b'X' => c.is_ascii_alphanumeric(),
            other => c == other,
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn codes_that_are_right_have_their_form() {
        for iban in
            ["GB82 WEST 1234 5698 7654 32", "FR1420041010050500013M02606", "NO9386011117947"]
        {
            assert!(is_iban(iban), "{iban}");
        }
        assert!(is_bic("DEUTDEFF") && is_bic("DEUT DE FF 500") && !is_bic("DEUT1EFF"));
        assert!(is_ean("4006381333931") && is_ean("73513537") && !is_ean("4006381333932"));
        for vat in [
            "DE136695976",
            "FR 11 999999998",
            "ATU12345678",
            "NL123456789B01",
            "CHE-123.456.789 MWST",
            "27AAPFU0939F1ZV",
        ] {
            assert!(is_vat_id(vat), "{vat}");
        }
        for vat in ["201/113/40209", "DE13669597", "FR999999998", "GmbH"] {
            assert!(!is_vat_id(vat), "{vat}");
        }
        assert!(is_masked("DE** **** **** 1234"));
    }

    #[test]
    fn the_files_are_sorted() {
        assert!(lines(IBANS).is_sorted() && lines(VAT).is_sorted());
        assert!(lines(IBANS).count() > 50 && lines(VAT).count() >= 30);
    }

    proptest! {
        /// No slip of one digit, and no two neighbours that changed places, leave an IBAN right.
        #[test]
        fn a_slip_breaks_an_iban(at in 4usize..22, digit in 0u8..10) {
            let iban = "DE89370400440532013000";
            let mut bytes = iban.as_bytes().to_vec();
            bytes[at] = b'0' + digit;
            let changed = String::from_utf8(bytes.clone()).unwrap();
            prop_assert_eq!(is_iban(&changed), changed == iban);
            let mut bytes = iban.as_bytes().to_vec();
            bytes.swap(at, if at == 21 { 20 } else { at + 1 });
            let changed = String::from_utf8(bytes).unwrap();
            prop_assert_eq!(is_iban(&changed), changed == iban);
        }
    }
}
