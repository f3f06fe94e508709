//! Small whole numbers in words, as contracts print terms: `two years`, `dreißig Tage`.
//!
//! It must know nothing of what a number counts.

use super::{
    language::lines,
    number::Decimal,
    reading::{Grade, Reading, is_word},
};
use std::{collections::HashMap, sync::LazyLock};

/// `number language:word …`
const NUMERALS: &str = include_str!("data/numerals.txt");

/// The number of each word, and the language of it.
static WORDS: LazyLock<HashMap<&str, Vec<(&str, &str)>>> = LazyLock::new(|| {
    let mut words: HashMap<_, Vec<_>> = HashMap::new();
    for line in lines(NUMERALS) {
        let (number, names) = line.split_once(' ').unwrap_or_default();
        for (language, word) in names.split(' ').filter_map(|name| name.split_once(':')) {
            words.entry(word).or_default().push((language, number));
        }
    }
    words
});

/// Every number in words. They are sure in a document of their own language.
pub fn scan(text: &str, language: Option<&str>) -> Vec<Reading<Decimal>> {
    let mut found = Vec::new();
    let mut start = 0;
    for word in text.split(|c: char| !is_word(c) && c != '-') {
        let place = start..start + word.len();
        start = place.end
            + text.get(place.end..).and_then(|t| t.chars().next()).map_or(0, char::len_utf8);
        if !word.starts_with(char::is_alphabetic) {
            continue;
        }
        let known = match word.chars().any(char::is_uppercase) {
            true => WORDS.get(word.to_lowercase().as_str()),
            false => WORDS.get(word),
        };
        let Some(meanings) = known else { continue };
        let own = meanings.iter().filter(|(of, _)| Some(*of) == language);
        let own: Vec<_> = own.filter_map(|(_, number)| Decimal::parse(number)).collect();
        let (values, grade) = match own.is_empty() {
            false => (own, Grade::Certain),
            true if language.is_some() => continue,
            true => {
                let all = meanings.iter().filter_map(|(_, number)| Decimal::parse(number));
                (all.collect(), Grade::Unsure)
            }
        };
        found.extend(values.into_iter().map(|value| Reading {
            value,
            place: place.clone(),
            grade,
        }));
    }
    found.dedup();
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn numbers_in_words_are_read_in_their_language() {
        let check = |text: &str, language: Option<&str>, expected: &[(&str, Grade)]| {
            let found = scan(text, language);
            let found: Vec<_> = found.iter().map(|r| (r.value.as_str(), r.grade)).collect();
            assert_eq!(found, expected, "{text}");
        };
        check("for two years", Some("en"), &[("2", Grade::Certain)]);
        check(
            "Thirty (30) days, twenty-four months",
            Some("en"),
            &[("30", Grade::Certain), ("24", Grade::Certain)],
        );
        check("amount due", Some("en"), &[]);
        check("entro due anni", Some("it"), &[("2", Grade::Certain)]);
        check("dreißig Tage", None, &[("30", Grade::Unsure)]);
        check("twofold", Some("en"), &[]);
    }

    #[test]
    fn eight_languages_count_to_twelve() {
        let mut known: BTreeMap<_, Vec<_>> = BTreeMap::new();
        let mut last = 0;
        for line in lines(NUMERALS) {
            let (number, names) = line.split_once(' ').unwrap();
            let number: u32 = number.parse().unwrap();
            assert!(number == 0 || number > last, "{line}");
            last = number;
            let names: Vec<_> = names.split(' ').collect();
            assert!(names.is_sorted(), "{line}");
            for language in names.iter().map(|name| &name[..2]) {
                known.entry(language).or_default().push(number);
            }
        }
        let full = known.values().filter(|n| (2..=12).all(|number| n.contains(&number)));
        assert!(full.count() >= 8, "{known:?}");
    }
}
