//! The signs and short names by which currencies are printed.
//!
//! It must know nothing of amounts.

use super::language::lines;
use std::{
    collections::{BTreeSet, HashMap},
    sync::LazyLock,
};

/// `CODE sign sign@language …`
const CURRENCIES: &str = include_str!("data/currencies.txt");

/// A way to print a currency.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sign {
    /// What is printed.
    pub text: &'static str,
    /// Other currencies have the same sign: it means this one in a document of this language.
    pub language: Option<&'static str>,
}

static SIGNS: LazyLock<HashMap<&str, Vec<Sign>>> = LazyLock::new(|| {
    let currency = |line: &'static str| {
        let mut words = line.split_whitespace();
        let code = words.next().unwrap_or_default();
        let sign = |word: &'static str| match word.rsplit_once('@') {
            Some((text, language)) => Sign { text, language: Some(language) },
            None => Sign { text: word, language: None },
        };
        (code, words.map(sign).collect())
    };
    lines(CURRENCIES).map(currency).collect()
});

/// Every code and every sign that is made of letters.
static LETTERS: LazyLock<BTreeSet<&str>> = LazyLock::new(|| {
    let signs = SIGNS.values().flatten().map(|sign| sign.text.trim_end_matches('.'));
    let signs = signs.filter(|sign| sign.chars().all(char::is_alphabetic));
    SIGNS.keys().copied().chain(signs).collect()
});

/// The currency of each sign that is of one currency only.
static SYMBOLS: LazyLock<HashMap<&str, &str>> = LazyLock::new(|| {
    let all = SIGNS.iter().flat_map(|(code, signs)| signs.iter().map(move |sign| (sign, *code)));
    let own = all.filter(|(sign, _)| sign.language.is_none());
    own.map(|(sign, code)| (sign.text, code)).collect()
});

/// How the currency with this ISO 4217 code is printed.
pub fn signs(code: &str) -> &'static [Sign] {
    SIGNS.get(code).map_or(&[], Vec::as_slice)
}

/// Whether this is the ISO 4217 code of a currency with known signs.
pub fn is_code(text: &str) -> bool {
    SIGNS.contains_key(text)
}

/// Whether letters beside a number are a currency.
pub fn is_letters(word: &str) -> bool {
    LETTERS.contains(word)
}

/// Whether a character may stand between a number and its sign.
pub fn is_symbol(c: char) -> bool {
    matches!(c, '$' | '¢'..='¥' | '\u{20a0}'..='\u{20cf}' | '￥' | '﷼' | '৳' | '฿')
}

/// The codes of the currencies that these texts print, by code or by a sign of one country.
pub fn printed<'a>(texts: impl Iterator<Item = &'a str>) -> Vec<&'static str> {
    let mut codes = BTreeSet::new();
    for text in texts {
        let words = text.split(|c: char| !c.is_ascii_uppercase()).filter(|word| word.len() == 3);
        codes.extend(words.filter_map(|word| SIGNS.get_key_value(word)).map(|(code, _)| *code));
        for (at, symbol) in text.match_indices(is_symbol) {
            let before = text.get(..at).unwrap_or_default();
            let letters =
                before.len() - before.trim_end_matches(|c: char| c.is_ascii_alphabetic()).len();
            let sign = text.get(at - letters..at + symbol.len()).unwrap_or_default();
            codes.extend(SYMBOLS.get(sign));
        }
    }
    codes.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forty_currencies_are_known_and_sorted() {
        let codes: Vec<_> = lines(CURRENCIES).map(|line| &line[..3]).collect();
        assert!(codes.len() >= 40 && codes.is_sorted());
        assert!(codes.iter().all(|code| !signs(code).is_empty()));
        // A sign without a language is of one currency only, or of two that share it in all of them.
        let mut plain: HashMap<_, Vec<_>> = HashMap::new();
        for code in codes {
            for sign in signs(code).iter().filter(|sign| sign.language.is_none()) {
                plain.entry(sign.text).or_default().push(code);
            }
        }
        plain.retain(|_, codes| codes.len() > 1 && *codes != ["INR", "PKR"]);
        assert!(plain.is_empty(), "{plain:?}");
    }
}
