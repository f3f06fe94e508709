//! The text of a document as rows of cells, each taken for a label and a value. Three or more
//! spaces part cells. Labels are compared without case, accents and punctuation.

use unicode_normalization::{UnicodeNormalization as _, char::is_combining_mark};

/// Currencies by their code and sign.
pub(crate) const CURRENCIES: [(&str, &str); 4] =
    [("EUR", "€"), ("USD", "$"), ("GBP", "£"), ("CHF", "CHF")];
/// Words in labels that say nothing, and what `number` is printed as.
const STOP_WORDS: &str = " the of for de du des der la le del di da ";
const NUMBER_WORDS: &str = " no nr n num numero nummer ";

/// A document as rows; empty rows and the tags of pages are left out.
pub(crate) struct Document {
    pub(crate) rows: Vec<Vec<Cell>>,
}

/// A part of a row that stands alone.
pub(crate) struct Cell {
    pub(crate) text: String,
    /// What stands before a colon, or else before the first word with a digit: folded, without
    /// rates and currencies.
    pub(crate) label: String,
    /// What follows the label, if anything.
    pub(crate) value: String,
    /// Whether a colon parts them.
    pub(crate) is_marked: bool,
}

impl Document {
    /// Takes the document out of a prompt; a prompt without one is taken whole.
    pub(crate) fn read(prompt: &str) -> Self {
        let inner = prompt.split_once("<document>").map_or(prompt, |(_, inner)| inner);
        let inner = inner.rsplit_once("</document>").map_or(inner, |(inner, _)| inner);
        let is_tag = |line: &&str| line.starts_with("<page ") || *line == "</page>";
        let rows = inner.lines().filter(|line| !is_tag(line)).map(|line| {
            let mut line = line.replace(['\u{a0}', '\u{202f}'], " ");
            while line.contains("  :") {
                line = line.replace("  :", " :");
            }
            let texts = line.split("   ").map(str::trim).filter(|text| !text.is_empty());
            texts.map(Cell::new).collect()
        });
        Self { rows: rows.filter(|row: &Vec<Cell>| !row.is_empty()).collect() }
    }
}

impl Cell {
    fn new(text: &str) -> Self {
        let is_digit = |c: char| c.is_ascii_digit();
        let at_colon = text.split_once(':').filter(|(label, _)| !label.ends_with(is_digit));
        let words: Vec<&str> = text.split(' ').collect();
        let is_rate = |at: usize| words.iter().skip(at).take(2).any(|word| word.ends_with('%'));
        let is_value = |(at, word): (usize, &&str)| word.contains(is_digit) && !is_rate(at);
        let at = words.iter().enumerate().position(is_value).unwrap_or(words.len());
        // "GB 123 4567 82" begins with its country.
        let is_country = |word: &&str| word.len() == 2 && word.chars().all(char::is_uppercase);
        let is_in_front = at < words.len() && at > 0 && words.get(at - 1).is_some_and(is_country);
        let at = at - usize::from(is_in_front);
        let (before, after) = words.split_at(at);
        let (label, value) = match at_colon {
            Some((label, value)) => (label.to_owned(), value.trim().to_owned()),
            None => (before.join(" "), after.join(" ")),
        };
        let label = fold(&label);
        let is_word = |word: &&str| !word.starts_with(is_digit) && !is_currency(word);
        let label: Vec<&str> = label.split(' ').filter(is_word).collect();
        Self { text: text.to_owned(), label: label.join(" "), value, is_marked: at_colon.is_some() }
    }
}

/// Whether a text is the code of a currency.
pub(crate) fn is_currency(text: &str) -> bool {
    CURRENCIES.iter().any(|(code, _)| code.eq_ignore_ascii_case(text))
}

/// A text as its folded words with single spaces between.
pub(crate) fn fold(text: &str) -> String {
    let plain = text.nfkd().filter(|c| !is_combining_mark(*c)).flat_map(char::to_lowercase);
    let plain = plain.collect::<String>().replace('ß', "ss");
    let is_in = |words: &str, word: &str| words.contains(&format!(" {word} "));
    let words = plain.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    let words = words.filter(|word| !is_in(STOP_WORDS, word));
    words
        .map(|word| if is_in(NUMBER_WORDS, word) { "number" } else { word })
        .collect::<Vec<_>>()
        .join(" ")
}

/// The name of a property, folded: `sellerVatId` and `seller_vat_id` alike.
pub(crate) fn fold_name(name: &str) -> String {
    let mut spaced = String::new();
    for symbol in name.chars() {
        if symbol.is_uppercase() && spaced.ends_with(char::is_lowercase) {
            spaced.push(' ');
        }
        spaced.push(symbol);
    }
    fold(&spaced)
}
