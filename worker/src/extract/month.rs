//! The names of the months in the languages that documents are written in.
//!
//! It must know nothing of days and years.

use super::language::lines;
use std::{collections::HashMap, sync::LazyLock};
use unicode_normalization::{UnicodeNormalization, char::is_combining_mark};

/// `language month name … | abbreviation …`
const MONTHS: &str = include_str!("data/months.txt");

/// A name and what it means in one language.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Name {
    /// The language's two letters.
    pub language: &'static str,
    /// From 1 to 12.
    pub month: i8,
    /// Whether it is written in full.
    pub is_whole: bool,
}

static NAMES: LazyLock<HashMap<String, Vec<Name>>> = LazyLock::new(|| {
    let mut names: HashMap<_, Vec<_>> = HashMap::new();
    for line in lines(MONTHS) {
        let mut words = line.split_whitespace();
        let language = words.next().unwrap_or_default();
        let Some(month) = words.next().and_then(|month| month.parse().ok()) else { continue };
        let mut is_whole = true;
        for word in words {
            match word {
                "|" => is_whole = false,
                word => {
                    names.entry(plain(word)).or_default().push(Name { language, month, is_whole });
                }
            }
        }
    }
    names
});

/// What a word means as a month, in every language that has it; nothing for other words.
pub fn named(word: &str) -> &'static [Name] {
    NAMES.get(&plain(word)).map_or(&[], Vec::as_slice)
}

/// A word without case and accents.
fn plain(word: &str) -> String {
    let letters = word.nfd().filter(|c| !is_combining_mark(*c)).flat_map(char::to_lowercase);
    letters.map(|c| if c == 'ı' { 'i' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::{BTreeMap, BTreeSet};

    #[test]
    fn thirty_languages_have_twelve_months_each() {
        let mut languages: BTreeMap<_, BTreeSet<i8>> = BTreeMap::new();
        let mut last = ("", 0);
        for line in lines(MONTHS) {
            let mut words = line.split(' ');
            let line = (words.next().unwrap(), words.next().unwrap().parse().unwrap());
            assert!(last < line, "{line:?} is out of order");
            last = line;
            languages.entry(line.0).or_default().insert(line.1);
        }
        let all: BTreeSet<i8> = (1..=12).collect();
        assert!(languages.len() >= 30 && languages.values().all(|months| *months == all));
    }

    #[test]
    fn only_names_are_months() {
        let months = |word| named(word).iter().map(|name| name.month).collect::<BTreeSet<_>>();
        assert_eq!(months("MÄRZ"), BTreeSet::from([3]));
        assert_eq!(months("Kasim"), BTreeSet::from([11]));
        assert_eq!(months("listopad"), BTreeSet::from([10, 11]));
        for word in ["marker", "prozent", "pro", "decision", "mayor", "sepia", "augen", "juliette"]
        {
            assert!(months(word).is_empty(), "{word}");
        }
    }
}
