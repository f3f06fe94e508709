//! The names under which documents print business concepts, in many languages, and the words of a
//! text in the form in which they are compared with them.
//!
//! It must know nothing of where words stand on a page.

use super::{
    concept::Concept,
    language::lines,
    reading::{is_unspaced, is_word},
};
use std::{
    collections::{HashMap, HashSet},
    ops::Range,
    sync::LazyLock,
};
use unicode_normalization::UnicodeNormalization;

/// `concept language name|name …`
const LABELS: &str = include_str!("data/labels.txt");

/// Any word for a number, such as `No.`, in a name.
const NUMBER: &str = "#";

/// Any word for a date in a name.
const DATE: &str = "@";

const NUMBER_WORDS: [&str; 30] = [
    "broj",
    "cislo",
    "no",
    "nomor",
    "nos",
    "nr",
    "nro",
    "nrs",
    "num",
    "numara",
    "numarasi",
    "number",
    "numbers",
    "numer",
    "numero",
    "numeros",
    "numeru",
    "nummer",
    "nummern",
    "numarul",
    "sorszam",
    "sz",
    "szam",
    "szama",
    "αριθμος",
    "αρ",
    "номер",
    "nbr",
    "cisla",
    "nummeret",
];

const NUMBER_ENDS: [&str; 7] = ["nummern", "nummer", "numero", "number", "numer", "szam", "nr"];

const DATE_WORDS: [&str; 18] = [
    "data",
    "date",
    "datei",
    "dates",
    "dato",
    "datum",
    "datuma",
    "fecha",
    "kelte",
    "paiva",
    "paivamaara",
    "paivays",
    "pvm",
    "tarih",
    "tarihi",
    "tarikh",
    "ημερομηνια",
    "дата",
];

const DATE_ENDS: [&str; 5] = ["datum", "dato", "paivamaara", "paiva", "pvm"];

/// Words that come and go in names.
const SMALL_WORDS: [&str; 39] = [
    "a", "and", "bzw", "d", "da", "das", "de", "del", "della", "dello", "dem", "den", "der", "des",
    "di", "die", "do", "dos", "du", "e", "een", "el", "et", "het", "i", "il", "la", "las", "le",
    "les", "lo", "los", "of", "og", "or", "the", "u", "und", "y",
];

/// A word that is no name of its own may end in one, as `Mietrechnung` does; the end is at least so
/// many letters.
const COMPOUND_END_MIN: usize = 6;

/// A name of fewer letters only counts in its own language.
const SHARED_BYTES_MIN: usize = 4;

/// A word of a text as it is compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// In bytes of the text.
    pub place: Range<usize>,
    /// In small letters without accents; `#` for a number, `@` for a date.
    pub word: String,
    is_abbreviated: bool,
}

impl Token {
    /// Whether it comes and goes in names. A letter with a point is an abbreviation.
    pub fn is_small(&self) -> bool {
        !self.is_abbreviated && SMALL.contains(self.word.as_str())
    }
}

/// One meaning of a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sense {
    /// What it names.
    pub concept: Concept,
    /// Whether it may as well name something else.
    pub is_weak: bool,
    language: &'static str,
}

impl Sense {
    /// The same of something else.
    pub fn of(self, concept: Concept) -> Self {
        Self { concept, ..self }
    }
}

/// A name with all that it may mean.
#[derive(Clone, Debug, Default)]
pub struct Term {
    rest: Vec<String>,
    bytes: usize,
    senses: Vec<Sense>,
}

impl Term {
    /// What it means in a document of this language.
    pub fn senses(&self, language: Option<&'static str>) -> impl Iterator<Item = Sense> {
        let is_short = self.bytes < SHARED_BYTES_MIN;
        let is_own = move |sense: &&Sense| {
            !is_short || language.is_none_or(|language| sense.language == language)
        };
        self.senses.iter().filter(is_own).copied()
    }
}

/// Every name, by its first word, the longest first.
static NAMES: LazyLock<HashMap<String, Vec<Term>>> = LazyLock::new(|| {
    let mut names: HashMap<String, Vec<Term>> = HashMap::new();
    for line in lines(LABELS) {
        let mut parts = line.splitn(3, ' ');
        let (Some(concept), Some(language), Some(printed)) =
            (parts.next().and_then(Concept::named), parts.next(), parts.next())
        else {
            continue;
        };
        for printed in printed.split('|') {
            let is_weak = printed.starts_with('~');
            let words: Vec<_> = tokens(printed).into_iter().map(|token| token.word).collect();
            let sense = Sense { concept, is_weak, language };
            // A number and a date stand before or after what they are of.
            let is_pair =
                words.len() == 2 && words.iter().any(|word| word == NUMBER || word == DATE);
            if is_pair {
                add(&mut names, words.iter().rev().cloned().collect(), sense);
            }
            add(&mut names, words, sense);
        }
    }
    for known in names.values_mut() {
        known.sort_by_key(|name| std::cmp::Reverse(name.rest.len()));
    }
    names
});

fn add(names: &mut HashMap<String, Vec<Term>>, mut words: Vec<String>, sense: Sense) {
    if words.is_empty() {
        return;
    }
    let bytes =
        |word: &String| if word == NUMBER || word == DATE { SHARED_BYTES_MIN } else { word.len() };
    let bytes = words.iter().map(bytes).sum();
    let rest = words.split_off(1);
    let Some(first) = words.pop() else { return };
    let known = names.entry(first).or_default();
    match known.iter_mut().find(|name| name.rest == rest) {
        Some(name) if name.senses.contains(&sense) => {}
        Some(name) => name.senses.push(sense),
        None => known.push(Term { rest, bytes, senses: vec![sense] }),
    }
}

static SMALL: LazyLock<HashSet<&str>> = LazyLock::new(|| SMALL_WORDS.into_iter().collect());

/// The longest name that begins with the first of these words, and of how many words it is.
pub fn longest(tokens: &[Token]) -> Option<(&'static Term, usize)> {
    let (first, rest) = tokens.split_first()?;
    let known = match NAMES.get(&first.word) {
        Some(known) => known,
        None => NAMES.get(compound_end(&first.word)?)?,
    };
    let fits = |name: &&Term| {
        name.rest.len() <= rest.len()
            && name.rest.iter().zip(rest).all(|(word, token)| *word == token.word)
    };
    known.iter().find(fits).map(|name| (name, name.rest.len() + 1))
}

/// The end of a compound that is a name: `rechnung` of `mietrechnung`.
fn compound_end(word: &str) -> Option<&str> {
    if !word.is_ascii() || word.len() < COMPOUND_END_MIN + 2 {
        return None;
    }
    let ends = (2..=word.len() - COMPOUND_END_MIN).filter_map(|from| word.get(from..));
    ends.into_iter().find(|end| NAMES.get(*end).is_some_and(|names| is_compounding(names)))
}

/// Whether a name is of a language that makes words of words.
fn is_compounding(names: &[Term]) -> bool {
    let languages = ["de", "nl", "sv", "da", "nb", "fi"];
    let senses = names.iter().filter(|name| name.rest.is_empty()).flat_map(|name| &name.senses);
    senses.into_iter().any(|sense| languages.contains(&sense.language))
}

/// Every name in these words, from left to right: its words, and what it is.
pub fn names(tokens: &[Token]) -> Vec<(Range<usize>, &'static Term)> {
    let (mut found, mut at) = (Vec::new(), 0);
    while at < tokens.len() {
        let here = tokens.get(at..).and_then(longest);
        if let Some((name, length)) = here {
            found.push((at..at + length, name));
        }
        at += here.map_or(1, |(_, length)| length);
    }
    found
}

/// The name that these words are as a whole.
pub fn whole(text: &str) -> Option<&'static Term> {
    let tokens = tokens(text);
    longest(&tokens).filter(|(_, length)| *length == tokens.len()).map(|(name, _)| name)
}

/// The words of a text as they are compared. Small words are left out.
pub fn tokens(text: &str) -> Vec<Token> {
    let mut found = all_tokens(text);
    found.retain(|token| !token.is_small());
    found
}

/// All words of a text as they are compared.
pub fn all_tokens(text: &str) -> Vec<Token> {
    let mut found = Vec::new();
    let mut start = None;
    for (at, c) in text.char_indices() {
        if let Some(from) = start
            && (!is_word(c) && !is_mark(c) || is_joint(text, from, at))
        {
            add_word(text, from..at, &mut found);
            start = None;
        }
        if is_word(c) {
            start = start.or(Some(at));
        } else if is_unspaced(c) || matches!(c, '#' | '№' | '@' | '%') {
            let word = if c == '№' { NUMBER.to_owned() } else { c.to_string() };
            found.push(Token { place: at..at + c.len_utf8(), word, is_abbreviated: false });
        }
    }
    if let Some(from) = start {
        add_word(text, from..text.len(), &mut found);
    }
    found
}

/// Whether a word of several begins another here, as names of elements do: `PayableAmount`.
fn is_joint(text: &str, from: usize, at: usize) -> bool {
    let (before, after) = (text.get(from..at), text.get(at..));
    let (before, after) = (before.unwrap_or_default(), after.unwrap_or_default());
    let mut next = after.chars();
    before.len() >= JOINED_BYTES_MIN
        && before.ends_with(char::is_lowercase)
        && next.next().is_some_and(char::is_uppercase)
        && next.take(2).filter(|c| c.is_lowercase()).count() == 2
}

/// A shorter word is not joined with another.
const JOINED_BYTES_MIN: usize = 3;

/// An accent that is a character of its own.
fn is_mark(c: char) -> bool {
    unicode_normalization::char::is_combining_mark(c)
}

fn add_word(text: &str, place: Range<usize>, found: &mut Vec<Token>) {
    let Some(printed) = text.get(place.clone()) else { return };
    let word = fold(printed);
    if is_letter(&word)
        && let Some(last) = found.last_mut()
        && last.place.end + 1 == place.start
        && text.as_bytes().get(last.place.end) == Some(&b'.')
        && text.get(last.place.clone()).is_some_and(is_abbreviation)
    {
        last.word.push_str(&word);
        last.place.end = place.end;
        return;
    }
    let is_abbreviated = is_letter(&word)
        && text.as_bytes().get(place.end) == Some(&b'.')
        && !matches!(printed, "č" | "Č");
    if is_abbreviated && word != "n" {
        return found.push(Token { place, word, is_abbreviated: true });
    }
    let after = text.get(place.end..).unwrap_or_default();
    let is_sign =
        word == "n" && after.starts_with(['°', 'º', 'o', '.']) && !after.starts_with(". ")
            || printed == "č"
            || printed == "Č";
    if is_sign || NUMBER_WORDS.contains(&word.as_str()) {
        return found.push(Token { place, word: NUMBER.to_owned(), is_abbreviated: false });
    }
    if DATE_WORDS.contains(&word.as_str()) {
        return found.push(Token { place, word: DATE.to_owned(), is_abbreviated: false });
    }
    let ends = NUMBER_ENDS.iter().map(|end| (end, NUMBER));
    let mut ends = ends.chain(DATE_ENDS.iter().map(|end| (end, DATE)));
    let split = ends.find_map(|(end, kind)| {
        Some((word.strip_suffix(end).filter(|head| head.len() > 1)?, kind))
    });
    match split {
        Some((head, kind)) => {
            found.push(Token {
                place: place.clone(),
                word: head.to_owned(),
                is_abbreviated: false,
            });
            found.push(Token { place, word: kind.to_owned(), is_abbreviated: false });
        }
        None => found.push(Token { place, word, is_abbreviated: false }),
    }
}

fn is_letter(word: &str) -> bool {
    word.chars().count() == 1
}

/// Letters with points between them: `I.V.A`.
fn is_abbreviation(text: &str) -> bool {
    text.split('.').all(is_letter)
}

/// In small letters without accents.
fn fold(word: &str) -> String {
    if word.is_ascii() {
        return word.to_ascii_lowercase();
    }
    let mut folded = String::with_capacity(word.len());
    for c in word.nfd().filter(|c| !is_mark(*c)).flat_map(char::to_lowercase) {
        match c {
            'ß' => folded.push_str("ss"),
            'ł' => folded.push('l'),
            'ø' => folded.push('o'),
            'đ' => folded.push('d'),
            'ı' => folded.push('i'),
            'æ' => folded.push_str("ae"),
            'œ' => folded.push_str("oe"),
            c if is_mark(c) => {}
            c => folded.push(c),
        }
    }
    folded
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::{BTreeMap, BTreeSet};

    fn words(text: &str) -> String {
        tokens(text).into_iter().map(|token| token.word).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn words_are_compared_in_one_form() {
        for (text, expected) in [
            ("Rechnungs-Nr.:", "rechnungs #"),
            ("Rechnungsnummer", "rechnungs #"),
            ("N° de facture", "# facture"),
            ("USt-IdNr.", "ust id #"),
            ("Date d’échéance", "@ echeance"),
            ("Liefer- bzw. Leistungsdatum", "liefer leistungs @"),
            ("I.V.A., P. IVA", "iva p iva"),
            ("Straße, Kwota do zapłaty", "strasse kwota zaplaty"),
            ("Faktura č. 7", "faktura # 7"),
            ("請求書 No", "請 求 書 #"),
            ("Ünvanı Mu\u{308}ller", "unvani muller"),
        ] {
            assert_eq!(words(text), expected, "{text}");
        }
    }

    #[test]
    fn names_are_found_in_many_languages() {
        for (text, expected) in [
            ("Invoice No.", Concept::InvoiceNumber),
            ("Rg.-Nr.", Concept::InvoiceNumber),
            ("N° facture", Concept::InvoiceNumber),
            ("Numero fattura", Concept::InvoiceNumber),
            ("Laskun numero", Concept::InvoiceNumber),
            ("Számlaszám", Concept::InvoiceNumber),
            ("Fatura No", Concept::InvoiceNumber),
            ("Kd.-Nr.", Concept::CustomerNumber),
            ("Cust. ID", Concept::CustomerNumber),
            ("Bestelldatum", Concept::OrderDate),
            ("Date d'échéance", Concept::Due),
            ("Eräpäivä", Concept::Due),
            ("Termin płatności", Concept::Due),
            ("zzgl. MwSt.", Concept::Tax),
            ("TVA", Concept::Tax),
            ("TVA client", Concept::BuyerVatId),
            ("Total TTC", Concept::Gross),
            ("Yhteensä", Concept::Gross),
            ("Mietrechnung", Concept::InvoiceNumber),
            ("合計金額", Concept::Gross),
        ] {
            let senses = whole(text).map(|name| name.senses(None).collect::<Vec<_>>());
            let concepts = senses.unwrap_or_default().into_iter().map(|sense| sense.concept);
            let concepts: Vec<_> = concepts.collect();
            assert!(concepts.contains(&expected), "{text}: {concepts:?}");
        }
        assert!(whole("Berechnung nicht").is_none() && whole("").is_none());
    }

    /// Every concept that an invoice prints has names in twelve languages at least.
    #[test]
    fn the_file_is_sorted_and_covers_the_languages() {
        assert!(lines(LABELS).is_sorted());
        let mut languages: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for line in lines(LABELS) {
            let parts: Vec<_> = line.splitn(3, ' ').collect();
            assert!(Concept::named(parts[0]).is_some(), "{line}");
            let printed: Vec<_> = parts[2].split('|').collect();
            assert!(printed.is_sorted(), "{line}");
            languages.entry(parts[0]).or_default().insert(parts[1]);
        }
        for (key, _) in Concept::ALL.iter().filter(|(key, _)| !key.ends_with("_address")) {
            let count = languages.get(key).map_or(0, BTreeSet::len);
            assert!(count >= 12, "{key}: {count} languages");
        }
    }
}
