//! The signs and short names by which currencies are printed.
//!
//! It must know nothing of amounts.

use super::language::lines;
use std::{
    collections::{BTreeSet, HashMap},
    ops::Range,
    sync::LazyLock,
};

/// `CODE sign sign@language …`
const CURRENCIES: &str = include_str!("data/currencies.txt");

/// `CODE name name …`
const CURRENCY_NAMES: &str = include_str!("data/currency_names.txt");

/// A way to print a currency.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sign {
    /// What is printed.
    pub text: &'static str,
    /// Other currencies have the same sign: it means this one in a document of this language.
    pub language: Option<&'static str>,
}

/// Where a sign stands beside a figure, in bytes of the text before or behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SignPlace {
    /// `EUR 5`
    Before(Range<usize>),
    /// `5 EUR`
    Behind(Range<usize>),
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

/// The codes of the currencies of each name.
static NAMES: LazyLock<HashMap<&str, Vec<&str>>> = LazyLock::new(|| {
    let mut names: HashMap<_, Vec<_>> = HashMap::new();
    for (code, known) in lines(CURRENCY_NAMES).filter_map(|line| line.split_once(' ')) {
        for name in known.split(' ') {
            names.entry(name).or_default().push(code);
        }
    }
    names
});

/// The codes of the currencies with this name or code, in small letters: `rand`, `dollars`, `eur`.
pub fn named(word: &str) -> &'static [&'static str] {
    static CODES: LazyLock<HashMap<String, Vec<&str>>> =
        LazyLock::new(|| SIGNS.keys().map(|code| (code.to_lowercase(), vec![*code])).collect());
    NAMES.get(word).or_else(|| CODES.get(word)).map_or(&[], Vec::as_slice)
}

/// Where the code or a sign of a currency ends a text or begins one, at most a space away: what
/// stands before and behind a figure. A sign that several currencies share is of each of them.
pub fn beside(before: &str, after: &str, code: &str) -> Option<SignPlace> {
    let is_own = |word: &str| word == code || signs(code).iter().any(|sign| sign.text == word);
    let is_sign = |c: char| c.is_alphabetic() || is_symbol(c) || c == '.';
    let near = before.strip_suffix([' ', '\u{a0}']).unwrap_or(before);
    let head = near.trim_end_matches(is_sign).len();
    let behind = after.strip_prefix([' ', '\u{a0}']).unwrap_or(after);
    let tail = behind.trim_start_matches(is_sign);
    let word = behind.get(..behind.len() - tail.len()).unwrap_or_default();
    match () {
        () if near.get(head..).is_some_and(is_own) => Some(SignPlace::Before(head..near.len())),
        () if is_own(word) || is_own(word.trim_end_matches('.')) => {
            let gap = after.len() - behind.len();
            Some(SignPlace::Behind(gap..gap + word.len()))
        }
        () => None,
    }
}

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
        let named: Vec<_> = lines(CURRENCY_NAMES).map(|line| &line[..3]).collect();
        assert_eq!(named, codes, "each has a name");
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

    #[test]
    fn a_sign_beside_a_figure_is_of_its_currency() {
        for (before, after, code, expected) in [
            ("and R", " ", "ZAR", Some(SignPlace::Before(4..5))),
            ("and RM", "", "ZAR", None),
            ("RM", "", "MYR", Some(SignPlace::Before(0..2))),
            ("CHF ", "", "CHF", Some(SignPlace::Before(0..3))),
            ("to ", " Kč.", "CZK", Some(SignPlace::Behind(1..5))),
            ("A", "€", "EUR", Some(SignPlace::Behind(0..3))),
            ("for ", " pieces", "EUR", None),
        ] {
            assert_eq!(beside(before, after, code), expected, "{before}5{after}");
        }
        assert_eq!(
            (named("rand"), named("usd"), named("net")),
            (&["ZAR"][..], &["USD"][..], &[][..])
        );
    }
}
