//! Numbers as documents print them, and what is none.

use super::*;
use crate::extract::ascii::AsciiFigures;
use proptest::prelude::*;

/// What a text says: `?` before what is unsure.
fn values(text: &str, style: Style) -> Vec<String> {
    let figures = AsciiFigures::of(text);
    let shown = |reading: Reading<Decimal>| match reading.grade {
        Grade::Certain => reading.value.as_str().to_owned(),
        _ => format!("?{}", reading.value.as_str()),
    };
    let mut values: Vec<_> = scan(&figures.text, style, &[]).into_iter().map(shown).collect();
    values.sort();
    values.dedup();
    values
}

fn check(text: &str, expected: &[&str]) {
    assert_eq!(values(text, Style::UNKNOWN), expected, "{text}");
}

const SPACES_PART: Style = Style { convention: Convention::Mixed, spaces_part: true };

#[test]
fn every_way_of_writing_is_read_by_value() {
    check("EUR 1.234,50", &["1234.5"]);
    check("$1,234.50", &["1234.5"]);
    check("1'234.50 CHF", &["1234.5"]);
    check("1\u{a0}234,50 €", &["1234.5"]);
    check("3   640,00", &["3", "640"]);
    check("12,34,567.00", &["1234567"]);
    check("1.234", &["?1.234", "?1234"]);
    check("1.234.567", &["1234567"]);
    check("0,5 kg", &["0.5"]);
    check("0.500", &["0.5"]);
    check("$.50", &["0.5"]);
    check("7 %", &["0.07", "7"]);
    check("19,5%", &["0.195", "19.5"]);
    check("12kg 3x", &["12", "3"]);
    check("12-month", &["12"]);
    check("0 0,00", &["0"]);
    check("1.234,- 100,-- 2'500.--", &["100", "1234", "2500"]);
    check("١٬٢٣٤٫٥٠ and ११,०००.५०", &["11000.5", "1234.5"]);
}

#[test]
fn letters_may_touch_a_number_that_is_an_amount() {
    check("EUR1.190,00", &["1190"]);
    check("R1,450.75 and RM51.30 and Rs.500", &["1450.75", "500", "51.3"]);
    check("EUR-12.50", &["-12.5"]);
    check("合計11,000円 数量3個", &["3", "?11", "?11000"]);
    check("12.50EUR, 5€", &["12.5", "5"]);
    check("No.117", &["117"]);
}

#[test]
fn parts_of_something_longer_are_no_numbers() {
    for text in [
        "INV-0117",
        "R-2024-31/B",
        "4500-118-22",
        "7.3.1",
        "A12 12AB34 x_1",
        "05.03.2024",
        "17:20",
        "DE811/223",
        "192.168.0.1",
        "K4711/9",
        "abc12@x.org",
    ] {
        check(text, &[]);
    }
    check("10-12", &["?10", "?12"]);
    check("1/2", &["?1", "?2"]);
    check("030 575 1234", &["?1234", "?30", "?575"]);
    check("3704 0044 0532", &["?3704", "?44", "?532"]);
}

#[test]
fn a_space_groups_digits_unless_the_document_writes_otherwise() {
    check("1 640,00", &["1640", "?1", "?640"]);
    check("12 1 640,00", &["1640", "?1", "?12", "?640"]);
    assert_eq!(values("1 640,00", SPACES_PART), ["1", "640", "?1640"]);
    check("10 25,00 250,00", &["10", "25", "250"]);
}

#[test]
fn signs_are_read_as_accountants_write_them() {
    check("-12.00", &["-12"]);
    check("−12.00", &["-12"]);
    check("-€ 12.00", &["-12"]);
    check("€ -12.00", &["-12"]);
    check("- 12.00", &["12", "?-12"]);
    check("Discount   - 12.00", &["-12", "?12"]);
    check("66.10-", &["-66.1"]);
    check("(1,234.50)", &["-1234.5", "?1234.5"]);
    check("66.10 CR", &["-66.1", "?66.1"]);
    check("thirty (30) days", &["30", "?-30"]);
    check("Loss   (120)   4", &["-120", "4", "?120"]);
}

#[test]
fn a_document_shows_how_it_writes() {
    let check = |text: &str, language: Option<&str>, expected, parts| {
        let style = Style { convention: expected, spaces_part: parts };
        assert_eq!(Style::of([text].into_iter(), language), style, "{text}");
    };
    check("1.234 and 12,50", None, Convention::Comma, false);
    check("1,234 and 12.50", None, Convention::Point, false);
    check("1,234.00", Some("de"), Convention::Point, true);
    check("1234.50", None, Convention::Point, true);
    check("12.50 and 12,50", Some("en"), Convention::Mixed, false);
    check("1.234", None, Convention::Mixed, false);
    check("1.234", Some("de"), Convention::Comma, false);
    check("1,234", Some("en"), Convention::Point, false);
    let style = |convention| Style { convention, spaces_part: false };
    assert_eq!(values("1.234", style(Convention::Comma)), ["1234"]);
    assert_eq!(values("1.234", style(Convention::Point)), ["1.234"]);
    assert_eq!(values("1,234", style(Convention::Point)), ["1234"]);
}

#[test]
fn only_the_year_of_a_date_is_a_number() {
    let check = |text: &str, expected: &[(&str, Grade)]| {
        let mask = 0..text.len();
        let found = scan(text, Style::UNKNOWN, std::slice::from_ref(&mask));
        let found: Vec<_> = found.iter().map(|r| (r.value.as_str(), r.grade)).collect();
        assert_eq!(found, expected, "{text}");
    };
    check("3 March 2024", &[("2024", Grade::Certain)]);
    check("2024-03-05", &[("2024", Grade::Unsure)]);
}

fn decimal(cents: i64) -> Decimal {
    let sign = if cents < 0 { "-" } else { "" };
    Decimal::parse(&format!("{sign}{}.{:02}", cents.abs() / 100, cents.abs() % 100)).unwrap()
}

fn grouped_by(cents: i64, mark: &str) -> String {
    let digits = (cents.abs() / 100).to_string();
    let groups = digits.as_bytes().rchunks(3).rev().map(|g| std::str::from_utf8(g).unwrap());
    groups.collect::<Vec<_>>().join(mark)
}

proptest! {
    #[test]
    fn what_is_printed_is_found(cents in -9_999_999_999i64..9_999_999_999, currency in "(EUR|RM|Rs\\.|€)?") {
        let (sign, fraction) = (if cents < 0 { "-" } else { "" }, cents.abs() % 100);
        let value = decimal(cents);
        for (group, mark) in [(",", "."), (".", ","), ("'", "."), ("\u{a0}", ","), (" ", ","), ("", ".")] {
            let text = format!("Total {sign}{currency}{}{mark}{fraction:02} EUR", grouped_by(cents, group));
            let found = scan(&text, Style::UNKNOWN, &[]);
            let is_sure = |r: &Reading<Decimal>| r.value == value && r.grade == Grade::Certain;
            prop_assert!(found.iter().any(is_sure), "{text}: {found:?}");
            prop_assert!(found.iter().all(|r| text.get(r.place.clone()).is_some()));
        }
    }

    /// Whatever identifier digits are a part of, they are not its number.
    #[test]
    fn no_part_of_an_identifier_is_a_number(
        number in 1u32..99_999, before in "[A-Z]{1,4}[-/._]", after in "([-/][0-9A-Z]{1,4})?",
    ) {
        prop_assume!(!before.ends_with('.') && !currency_like(&before));
        let text = format!("Ref {before}{number}{after} of");
        let found = scan(&text, Style::UNKNOWN, &[]);
        let value = Decimal::parse(&number.to_string()).unwrap();
        prop_assert!(found.iter().all(|r| r.value != value), "{text}: {found:?}");
    }

    /// The last group of a number is not a number, whatever groups it.
    #[test]
    fn no_group_of_a_number_is_one(cents in 100_000i64..99_999_999) {
        let last = decimal(cents / 100 % 1_000 * 100 + cents % 100);
        for (group, mark) in [(",", "."), (".", ","), ("'", "."), ("\u{a0}", ","), (" ", ",")] {
            let text = format!("Total {}{mark}{:02} EUR", grouped_by(cents, group), cents % 100);
            let found = scan(&text, Style::UNKNOWN, &[]);
            let is_sure = |r: &Reading<Decimal>| r.value == last && r.grade == Grade::Certain;
            prop_assert!(!found.iter().any(is_sure), "{text}: {found:?}");
        }
    }

    #[test]
    fn no_text_breaks_the_reader(text in "[0-9.,'% €\u{a0}a-z()/:CR合-]{0,40}") {
        for reading in scan(&text, Style::UNKNOWN, &[]) {
            prop_assert!(text.get(reading.place).is_some());
        }
    }
}

fn currency_like(before: &str) -> bool {
    crate::extract::currency::is_letters(before.trim_end_matches(['-', '/', '_']))
}
