//! Whether a value is the only one of its kind in a document.
//!
//! It must know nothing of labels.

use crate::extract::{
    code,
    concept::{Concept, Kind},
    currency,
    document_text::{DocumentText, Place},
    number::Decimal,
    reading::Grade,
};
use std::{cell::OnceCell, collections::BTreeSet};

/// A word with a figure that has fewer characters is no identifier.
const IDENTIFIER_CHARACTERS_MIN: usize = 4;

/// A code is printed in at most so many pieces.
const CODE_PIECES_MAX: usize = 9;

/// What there is one of in a document: worked out when it is asked for.
pub(super) struct Alone<'a> {
    text: &'a DocumentText<'a>,
    dates: OnceCell<usize>,
    amounts: OnceCell<BTreeSet<&'a Decimal>>,
    words: OnceCell<Vec<&'a str>>,
    currencies: OnceCell<Vec<&'static str>>,
}

impl<'a> Alone<'a> {
    pub(super) fn new(text: &'a DocumentText<'a>) -> Self {
        Self {
            text,
            dates: OnceCell::new(),
            amounts: OnceCell::new(),
            words: OnceCell::new(),
            currencies: OnceCell::new(),
        }
    }

    /// Whether nothing else in the document can be meant.
    pub(super) fn is_only(
        &self,
        concept: Option<Concept>,
        kind: Kind,
        value: &str,
        place: &Place,
    ) -> bool {
        match (kind, concept) {
            (Kind::Date, _) => self.dates() == 1,
            (Kind::Figure, Some(Concept::Quantity | Concept::Rate | Concept::LineNumber)) => false,
            (Kind::Figure, _) => self.is_only_amount(place),
            (Kind::Currency, _) => self.currencies().iter().all(|code| *code == value),
            (Kind::Identifier, Some(Concept::Iban)) => self.is_only_code(code::is_iban, value),
            (Kind::Identifier, Some(Concept::VatId)) => {
                self.is_only_code(code::is_prefixed_vat_id, value)
            }
            (Kind::Identifier, Some(Concept::Ean)) => self.is_only_code(code::is_ean, value),
            (Kind::Identifier, _) => self.is_only_identifier(value),
            (Kind::Party | Kind::Text, _) => false,
        }
    }

    fn dates(&self) -> usize {
        let count = || {
            let certain = self.text.dates.all().filter(|reading| reading.grade == Grade::Certain);
            certain.map(|reading| reading.value).collect::<BTreeSet<_>>().len()
        };
        *self.dates.get_or_init(count)
    }

    /// Of all amounts with a fraction or beside a currency there is this one only.
    fn is_only_amount(&self, place: &Place) -> bool {
        let amounts = self.amounts.get_or_init(|| {
            let all = self.text.numbers.all().filter(|reading| reading.grade == Grade::Certain);
            let is_amount = |text: &str| text.contains(['.', ',']) && !text.contains('%');
            let amounts = all.filter(|reading| is_amount(self.text.printed(reading)));
            amounts.map(|reading| &reading.value).collect()
        });
        let page = u32::try_from(place.page).unwrap_or(u32::MAX);
        let piece = place.pieces.first().cloned().unwrap_or_default();
        let mut own = self.text.numbers.within(page, piece).map(|reading| &reading.value);
        amounts.len() == 1 && own.any(|value| amounts.contains(value))
    }

    fn currencies(&self) -> &[&'static str] {
        let texts = || self.text.pages().iter().map(|page| page.text.as_str());
        self.currencies.get_or_init(|| currency::printed(texts()))
    }

    fn words(&self) -> &[&'a str] {
        self.words.get_or_init(|| {
            let pages = self.text.pages().iter();
            pages.flat_map(|page| page.text.split_whitespace()).collect()
        })
    }

    /// Of all words that are such a code, spaces in it or not, there is this one only.
    fn is_only_code(&self, is_code: fn(&str) -> bool, value: &str) -> bool {
        let own = compact(value);
        let begins = |word: &str| {
            let mut bytes = word.bytes();
            let head = [bytes.next(), bytes.next()];
            let is_letters = head.iter().all(|c| c.is_some_and(|c| c.is_ascii_uppercase()));
            is_letters
                || word.len() >= IDENTIFIER_CHARACTERS_MIN
                    && word.starts_with(|c: char| c.is_ascii_digit())
        };
        let words = self.words();
        let starts = words.iter().enumerate().filter(|(_, word)| begins(word));
        let mut codes = starts.filter_map(|(at, _)| {
            let mut joined = String::new();
            let pieces = words.get(at..)?.iter().take(CODE_PIECES_MAX);
            pieces.into_iter().find_map(|piece| {
                joined.push_str(&compact(piece));
                is_code(&joined).then(|| joined.clone())
            })
        });
        is_code(value) && codes.all(|code| code == own)
    }

    /// Of all words with figures that are neither numbers nor dates there is this one only.
    fn is_only_identifier(&self, value: &str) -> bool {
        let trim = |word: &'a str| word.trim_matches(|c: char| !c.is_alphanumeric());
        let is_identifier = |word: &&str| {
            word.len() >= IDENTIFIER_CHARACTERS_MIN
                && word.contains(|c: char| c.is_numeric())
                && (word.contains(|c: char| c.is_alphabetic()) || word.contains(['-', '/']))
        };
        let mut words = self.words().iter().map(|word| trim(word)).filter(is_identifier);
        is_identifier(&value) && words.all(|word| word == value.trim())
    }
}

/// Letters and digits alone.
fn compact(text: &str) -> String {
    text.chars().filter(|c| c.is_alphanumeric()).collect()
}
