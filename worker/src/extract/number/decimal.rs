//! A number by its digits.
//!
//! It must know nothing of how numbers are printed.

use serde_json::Number;

/// A larger exponent of ten is of no number that is printed.
const EXPONENT_MAX: u16 = 400;

/// A number without its way of writing: an optional minus, digits without leading zeros, and a
/// point with digits without trailing zeros where there is a fraction.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Decimal(Box<str>);

impl Decimal {
    pub(super) fn new(is_negative: bool, whole: &str, fraction: &str) -> Self {
        let whole = whole.trim_start_matches('0');
        let fraction = fraction.trim_end_matches('0');
        let whole = if whole.is_empty() { "0" } else { whole };
        let sign = if is_negative && (whole != "0" || !fraction.is_empty()) { "-" } else { "" };
        let point = if fraction.is_empty() { "" } else { "." };
        Self(format!("{sign}{whole}{point}{fraction}").into())
    }

    /// The value of a JSON number, digit by digit.
    pub fn of(number: &Number) -> Self {
        let text = number.to_string();
        Self::scientific(&text).unwrap_or(Self(text.into()))
    }

    /// The value of digits that an exponent of ten may follow.
    fn scientific(text: &str) -> Option<Self> {
        let Some((digits, exponent)) = text.split_once(['e', 'E']) else {
            return Self::parse(text);
        };
        let exponent = exponent.parse::<i16>().ok()?;
        if exponent.unsigned_abs() > EXPONENT_MAX {
            return None;
        }
        Some(Self::parse(digits)?.shifted(exponent))
    }

    /// The value of digits with at most one point.
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix('-').unwrap_or(text);
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let is_number = |text: &str| text.bytes().all(|c| c.is_ascii_digit());
        let is_legal = !whole.is_empty() && is_number(whole) && is_number(fraction);
        is_legal.then(|| Self::new(text.starts_with('-'), whole, fraction))
    }

    /// Its digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// With the other sign.
    pub fn negated(&self) -> Self {
        match self.0.strip_prefix('-') {
            Some(positive) => Self(positive.into()),
            None if &*self.0 == "0" => self.clone(),
            None => Self(format!("-{}", self.0).into()),
        }
    }

    /// With its point moved so many places to the right: a per cent is moved by -2.
    pub(super) fn shifted(&self, places: i16) -> Self {
        let count = usize::from(places.unsigned_abs());
        let digits = self.0.trim_start_matches('-');
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let (whole, fraction) = if places < 0 {
            let padded = format!("{}{whole}", "0".repeat(count));
            let (whole, moved) = padded.split_at(padded.len() - count);
            (whole.to_owned(), format!("{moved}{fraction}"))
        } else {
            let padded = format!("{fraction}{}", "0".repeat(count));
            let (moved, fraction) = padded.split_at(count);
            (format!("{whole}{moved}"), fraction.to_owned())
        };
        Self::new(self.0.starts_with('-'), &whole, &fraction)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_numbers_are_decimals() {
        let check = |json: &str, expected: &str| {
            let number: Number = serde_json::from_str(json).unwrap();
            assert_eq!(Decimal::of(&number).as_str(), expected);
        };
        check("119.0", "119");
        check("-0.10", "-0.1");
        check("1e21", "1000000000000000000000");
        check("1e-7", "0.0000001");
        check("12345678901234567890", "12345678901234567890");
        check("-0.0", "0");
        // More digits than a binary fraction has.
        check("12345678901234567890123", "12345678901234567890123");
        check("99999999999999999.99", "99999999999999999.99");
        check("-1.50E+3", "-1500");
        check("12e-3", "0.012");
        check("1e+999", "1e+999");
    }
}
