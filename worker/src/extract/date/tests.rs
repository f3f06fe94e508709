//! Dates as documents print them, in the order that each document shows.

use super::*;
use crate::extract::{ascii::AsciiFigures, language, month};
use proptest::prelude::*;

/// What a text says by itself: `?` before what is unsure, `!` before what is only a usual slip.
fn read(text: &str) -> Vec<String> {
    let figures = AsciiFigures::of(text);
    let style = DateStyle::of([&*figures.text].into_iter(), language::of([text].into_iter()));
    let shown = |reading: Reading<Date>| {
        let mark = match reading.grade {
            Grade::Certain => "",
            Grade::Unsure => "?",
            Grade::Contrary => "!",
        };
        format!("{mark}{}", reading.value)
    };
    scan(&figures.text, style).into_iter().map(shown).collect()
}

#[test]
fn dates_are_read_in_figures_and_words() {
    let check = |text: &str, expected: &[&str]| assert_eq!(read(text), expected, "{text}");
    check("2024-03-05", &["2024-03-05"]);
    check("2024/3/5", &["2024-03-05"]);
    check("05.03.2024", &["2024-03-05", "!2024-05-03"]);
    check("05. 03. 2024", &["2024-03-05", "!2024-05-03"]);
    check("25/03/24", &["2024-03-25"]);
    check("03/25/2024", &["2024-03-25"]);
    check("5 March 2024", &["2024-03-05"]);
    check("March 5, 2024", &["2024-03-05"]);
    check("Mar. 5th, 2024", &["2024-03-05"]);
    check("5th of March, 2024", &["2024-03-05"]);
    check("05-Mar-2024", &["2024-03-05"]);
    check("05/Mar/2024", &["2024-03-05"]);
    check("5. März 2024", &["2024-03-05"]);
    check("1er juillet 2024", &["2024-07-01"]);
    check("5 de marzo de 2024", &["2024-03-05"]);
    // Not the sixth month of Poland after a Spanish `de`.
    check("1 decze 2024", &[]);
    check("5 août 2024", &["2024-08-05"]);
    check("5 gennaio 2024", &["2024-01-05"]);
    check("5 mei 2024", &["2024-05-05"]);
    check("2024年3月5日", &["2024-03-05"]);
    check("二〇二三年十二月二十一日", &["2023-12-21"]);
    check("令和6年4月3日 R6.4.3 平成元年5月1日", &["2024-04-03", "2024-04-03", "1989-05-01"]);
    check("民國113年4月3日", &["2024-04-03"]);
    check("3 เมษายน พ.ศ. 2567", &["2024-04-03"]);
    check("2024년 4월 8일", &["2024-04-08"]);
    check("ngày 8 tháng 4 năm 2024", &["2024-04-08"]);
    check("2024. április 6.", &["2024-04-06"]);
    check("2024. gada 5. aprīlis", &["2024-04-05"]);
    check("2024 m. balandžio 14 d.", &["2024-04-14"]);
    check("١٢ أبريل ٢٠٢٤", &["2024-04-12"]);
    check("20240305", &["2024-03-05"]);
    check("31.12.1999", &["1999-12-31"]);
    check("#19- 18/03/2018", &["2018-03-18"]);
    check("01.03.2024-31.03.2024", &["2024-03-01", "!2024-01-03", "2024-03-31"]);
}

#[test]
fn what_is_no_date_is_not_read_as_one() {
    let check = |text: &str| assert_eq!(read(text), [""; 0], "{text}");
    check("31.02.2024 and 12 Bolts 2024");
    check("number 120240305");
    check("19 Prozent 2024, 4 Marker 12,50");
    check("10 Set 25,00");
    check("R-2024-03-05/B and 7.3.2024.1");
    check("05.03/2024");
}

#[test]
fn the_document_shows_the_order_of_figures() {
    let check = |text: &str, expected: &[&str]| assert_eq!(read(text), expected, "{text}");
    // Nothing tells.
    check("05/03/2024", &["?2024-03-05", "?2024-05-03"]);
    check("05/05/2024", &["2024-05-05"]);
    // Its other dates do.
    check("05/03/2024 and 25/03/2024", &["2024-03-05", "!2024-05-03", "2024-03-25"]);
    check("05/03/2024 and 03/25/2024", &["2024-05-03", "!2024-03-05", "2024-03-25"]);
    check(
        "05/03/2024, 25/03/2024, 03/25/2024",
        &["?2024-03-05", "?2024-05-03", "2024-03-25", "2024-03-25"],
    );
    // Its language does.
    check("Facture du 05/03/2024", &["2024-03-05", "!2024-05-03"]);
    check("請求書 発行日 24/04/03", &["2024-04-03", "!2003-04-24"]);
    check("請求書 納期 24.05.17", &["2024-05-17", "!2017-05-24"]);
    // Or its currency.
    check("Invoice date 05/03/2024 total $5", &["2024-05-03", "!2024-03-05"]);
    check("Invoice date 05/03/2024 total £5", &["2024-03-05", "!2024-05-03"]);
    check("Invoice date 05/03/2024 total A$5", &["2024-03-05", "!2024-05-03"]);
    check("Invoice date 05/03/2024 total C$5", &["?2024-03-05", "?2024-05-03"]);
}

#[test]
fn abbreviations_are_of_the_documents_language() {
    let check = |text: &str, expected: &[&str]| assert_eq!(read(text), expected, "{text}");
    check("Invoice for 10 Set 2024", &["?2024-09-10"]);
    check("Fattura con scadenza 10 set 2024", &["2024-09-10"]);
    check(
        "listopada 3 2024 i 3 listopada 2024",
        &["?2024-10-03", "?2024-11-03", "?2024-10-03", "?2024-11-03"],
    );
    check("Faktura, nabywca, płatności 3 listopada 2024", &["2024-11-03"]);
}

proptest! {
    /// Of whatever stands around a date, nothing makes another date of it.
    #[test]
    fn a_dotted_date_is_its_own_day_and_no_other(
        day in 1i8..=28, month in 1i8..=12, year in 1990i16..2040,
        before in "[A-Za-z#(:]{0,6}[ :(]", after in "[ ,;)][A-Za-z]{0,6}",
    ) {
        let text = format!("{before}{day:02}.{month:02}.{year}{after}");
        let found = scan(&text, DateStyle::default());
        let sure: Vec<_> = found.iter().filter(|r| r.grade == Grade::Certain).collect();
        prop_assert_eq!(sure.len(), 1, "{}", text);
        prop_assert_eq!(sure[0].value, Date::new(year, month, day).unwrap());
    }

    /// A word is a month only as a whole.
    #[test]
    fn words_that_go_on_after_a_month_are_none(
        day in 1i8..=28,
        month in prop::sample::select(vec!["january", "märz", "juin", "settembre", "dec", "mar", "okt"]),
        more in "[xqkz][a-z]{1,5}",
    ) {
        let word = format!("{month}{more}");
        // Such as `marzo`.
        prop_assume!(month::named(&word).is_empty());
        let text = format!("{day} {word} 2024");
        prop_assert!(scan(&text, DateStyle::default()).is_empty(), "{}", text);
    }

    #[test]
    fn no_text_breaks_the_reader_of_dates(text in "[0-9./ a-zé年月日年RH'-]{0,40}") {
        for reading in scan(&text, DateStyle::default()) {
            prop_assert!(text.get(reading.place).is_some());
        }
    }
}
