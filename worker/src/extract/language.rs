//! In which language a document is written, as far as its words tell.
//!
//! It must know nothing of what is looked for.

use std::{
    collections::{BTreeMap, HashMap},
    sync::LazyLock,
};

/// `language word word …`
const WORDS: &str = include_str!("data/languages.txt");

/// A language must be ahead of the next by so many words.
const LEAD_MIN: usize = 1;

/// Lines of a data file, without those that explain.
pub fn lines(data: &'static str) -> impl Iterator<Item = &'static str> {
    data.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty())
}

/// Which languages use a word.
static KNOWN: LazyLock<HashMap<&str, Vec<&str>>> = LazyLock::new(|| {
    let mut known: HashMap<_, Vec<_>> = HashMap::new();
    for line in lines(WORDS) {
        let mut words = line.split_whitespace();
        let language = words.next().unwrap_or_default();
        for word in words {
            known.entry(word).or_default().push(language);
        }
    }
    known
});

/// The language of these texts as its two letters; `None` where they do not tell.
pub fn of<'a>(texts: impl Iterator<Item = &'a str>) -> Option<&'static str> {
    let mut hits: BTreeMap<&str, usize> = BTreeMap::new();
    let (mut kana, mut han, mut hangul, mut others) = (0_usize, 0_usize, 0_usize, 0_usize);
    for text in texts {
        for c in text.chars().filter(|c| !c.is_ascii()) {
            match c as u32 {
                0x3040..=0x30ff => kana += 1,
                0x4e00..=0x9fff => han += 1,
                0xac00..=0xd7af => hangul += 1,
                _ => {}
            }
        }
        for word in text.split(|c: char| !c.is_alphabetic()).filter(|word| word.len() > 1) {
            others += usize::from(word.is_ascii());
            let languages = match word.chars().any(char::is_uppercase) {
                true => KNOWN.get(word.to_lowercase().as_str()),
                false => KNOWN.get(word),
            };
            for language in languages.into_iter().flatten() {
                *hits.entry(language).or_default() += 1;
            }
        }
    }
    if kana + han + hangul > others * 2 {
        return Some(match () {
            () if hangul > kana + han => "ko",
            // Japanese papers have headings in Han characters alone.
            () if kana > 0 || han < HAN_OF_CHINESE_MIN => "ja",
            () => "zh",
        });
    }
    let mut ranked: Vec<_> = hits.into_iter().collect();
    ranked.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let (best, count) = ranked.first()?;
    let next = ranked.get(1).map_or(0, |(_, count)| *count);
    (*count >= next + LEAD_MIN).then_some(*best)
}

/// So many Han characters without one of the Japanese syllables are no Japanese.
const HAN_OF_CHINESE_MIN: usize = 12;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_tell_the_language() {
        let check = |text: &str, expected: Option<&str>| {
            assert_eq!(of([text].into_iter()), expected, "{text}");
        };
        check("Rechnung 17\nRechnungsdatum und Betrag", Some("de"));
        check("Invoice number 5, date of delivery", Some("en"));
        check("Facture du client et montant TTC", Some("fr"));
        check("Fattura, importo totale, scadenza", Some("it"));
        check("Счёт: сумма итого", Some("ru"));
        check("請求書の合計金額", Some("ja"));
        check("청구서 합계", Some("ko"));
        check("发票号码 开票日期 金额合计 价税合计", Some("zh"));
        check("A-17 5.00", None);
    }

    #[test]
    fn the_file_is_sorted() {
        let all: Vec<_> = lines(WORDS).collect();
        assert!(all.is_sorted(), "by language");
        for line in all {
            let words: Vec<_> = line.split(' ').skip(1).collect();
            assert!(words.is_sorted(), "{line}");
        }
    }
}
