//! Who somebody is to a document by where the name stands, where no label says so: the letterhead,
//! the line of the sender, beside bank and telephone, or in the window of the envelope.
//!
//! It must know nothing of other values.

use crate::extract::{
    concept::Concept,
    document_text::{DocumentText, Place},
    label::{Labels, Named},
};
use std::ops::Range;

/// The letterhead is within so many lines with words.
const HEAD_LINES: usize = 3;

/// The sender's line and the window stand within so many lines.
const WINDOW_LINES: usize = 30;

/// A block of an address has its postal code within so many lines.
const ADDRESS_LINES_MAX: usize = 4;

/// A block about a company goes on for so many lines in both directions.
const NEAR_LINES: usize = 4;

/// A shorter word of a name is no name of a site.
const SITE_LETTERS_MIN: usize = 4;

/// Behind the name of whom a document is sent to, in Japanese, Korean and Chinese.
const HONORIFICS: [&str; 7] = ["御中", "様", "殿", "귀하", "귀중", "台启", "台啟"];

/// Who is meant at a place, where it tells: the seller or the buyer.
pub(super) fn of(text: &DocumentText<'_>, labels: &Labels<'_>, place: &Place) -> Option<Concept> {
    let stand = Stand { text, labels, place };
    let is_seller = stand.is_head() || stand.is_beside_bank() || stand.is_senders_line();
    match () {
        () if stand.is_addressed() => Some(Concept::BuyerName),
        () if is_seller => Some(Concept::SellerName),
        () if stand.is_in_window() => Some(Concept::BuyerName),
        () => None,
    }
}

/// Whether a site or a mail address of the document has the name.
pub(super) fn has_site(text: &DocumentText<'_>, name: &str) -> bool {
    let letters = |text: &str| -> String {
        text.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
    };
    let whole = letters(name);
    let first = name.split_whitespace().map(letters).find(|word| word.len() >= SITE_LETTERS_MIN);
    let is_of = |site: &str| {
        let host = site.rsplit(['@', '/']).next().unwrap_or_default().trim_start_matches("www.");
        let host = letters(host.rsplit_once('.').map_or("", |(host, _)| host));
        let is_long = host.len() >= SITE_LETTERS_MIN;
        is_long
            && (whole.starts_with(&host)
                || first.as_ref().is_some_and(|first| host.contains(first)))
    };
    let words = text.pages().iter().flat_map(|page| page.text.split_whitespace());
    let sites =
        words.filter(|word| word.contains('@') || word.contains("www.") || word.contains("://"));
    let mut sites = sites.map(|site| site.trim_end_matches(['/', ',', ';', '.', ')']));
    sites.any(is_of)
}

struct Stand<'a> {
    text: &'a DocumentText<'a>,
    labels: &'a Labels<'a>,
    place: &'a Place,
}

impl Stand<'_> {
    fn row(&self) -> usize {
        let start = self.place.pieces.first().map_or(0, |piece| piece.start);
        self.text.row(self.place.page, start)
    }

    fn line(&self, row: usize) -> &str {
        let page = self.text.pages().get(self.place.page).map_or("", |page| page.text.as_str());
        page.get(self.text.line(self.place.page, row)).unwrap_or_default()
    }

    /// The rows around a place, as far as no empty line parts them.
    fn block(&self, up: usize, down: usize) -> Range<usize> {
        let row = self.row();
        let is_text = |row: &usize| !self.line(*row).trim().is_empty();
        let above = (row.saturating_sub(up)..row).rev().take_while(is_text).count();
        let below = (row + 1..=row + down).take_while(is_text).count();
        row - above..row + below + 1
    }

    /// Among the first lines with words, from its beginning.
    fn is_head(&self) -> bool {
        let row = self.row();
        let has_words =
            |row: &usize| self.line(*row).chars().filter(|c| c.is_alphabetic()).count() > 2;
        self.place.page == 0
            && (0..row).filter(has_words).take(HEAD_LINES).count() < HEAD_LINES
            && self.before().trim().is_empty()
    }

    /// An honorific stands behind it, or is its end.
    fn is_addressed(&self) -> bool {
        let page = self.text.pages().get(self.place.page).map_or("", |page| page.text.as_str());
        let Some(piece) = self.place.pieces.last() else { return false };
        let own = page.get(piece.clone()).unwrap_or_default();
        let after = page.get(piece.end..).unwrap_or_default().trim_start_matches([' ', '\u{3000}']);
        let mut ends = HONORIFICS.iter();
        ends.any(|end| {
            let behind = after.strip_prefix(end);
            own.ends_with(end)
                || behind.is_some_and(|rest| !rest.starts_with(char::is_alphanumeric))
        })
    }

    /// What stands before it in its line.
    fn before(&self) -> &str {
        let start = self.place.pieces.first().map_or(0, |piece| piece.start);
        let line = self.text.line(self.place.page, self.row());
        let page = self.text.pages().get(self.place.page).map_or("", |page| page.text.as_str());
        page.get(line.start..start).unwrap_or_default()
    }

    /// In one block with the account, the telephone or the register of a company.
    fn is_beside_bank(&self) -> bool {
        let block = self.block(NEAR_LINES, NEAR_LINES);
        let is_company = |concept| {
            matches!(
                concept,
                Concept::Bank
                    | Concept::Bic
                    | Concept::Email
                    | Concept::Iban
                    | Concept::Phone
                    | Concept::RegisterNumber
                    | Concept::TaxNumber
                    | Concept::VatId
            )
        };
        let mut labels = self.labels.rows(self.place.page, block).iter();
        labels.any(|label| {
            let senses = match label.named {
                Named::Name(name) => name.senses(self.text.language()).collect(),
                Named::Word(_) => Vec::new(),
            };
            let is_company = senses.iter().any(|sense| is_company(sense.concept));
            is_company && self.labels.is_in_column(self.place, &label.place)
        })
    }

    /// The name, the street and the town in one line, as over the window of an envelope.
    fn is_senders_line(&self) -> bool {
        let row = self.row();
        let line = self.line(row);
        let parts =
            line.split(['|', '•', '●', '·', '–', '*', ',']).flat_map(|part| part.split(" - "));
        let is_line = parts.filter(|part| !part.trim().is_empty()).count() > 2;
        let cell = self.before().rsplit("   ").next().unwrap_or_default();
        self.place.page == 0
            && row < WINDOW_LINES
            && is_line
            && has_postal_code(line)
            && cell.trim().is_empty()
    }

    /// At the beginning of an address.
    fn is_in_window(&self) -> bool {
        let row = self.row();
        let block = self.block(2, ADDRESS_LINES_MAX);
        let mut below = row + 1..block.end;
        self.place.page == 0
            && row < WINDOW_LINES
            && below.any(|row| has_postal_code(self.line(row)))
    }
}

/// Whether four to six digits stand beside a word, as in `88045 Friedrichshafen`.
fn has_postal_code(line: &str) -> bool {
    let words: Vec<_> = line.split_whitespace().collect();
    words.windows(2).any(|pair| {
        let is_code = |word: &str| {
            let word = word.trim_matches(|c: char| !c.is_alphanumeric());
            (4..=6).contains(&word.len()) && word.bytes().all(|c| c.is_ascii_digit())
        };
        let is_word = |word: &str| word.starts_with(char::is_alphabetic);
        let is_pair = |a: &str, b: &str| is_code(a) && is_word(b);
        is_pair(pair.first().unwrap_or(&""), pair.last().unwrap_or(&""))
            || is_pair(pair.last().unwrap_or(&""), pair.first().unwrap_or(&""))
    })
}
