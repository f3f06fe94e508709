//! Whether one file holds several documents: scanned stacks and merged invoices.
//!
//! A page begins another document where its numbering begins again (`page 1 of 2`), or where its head
//! has another number of the same kind than the first page's head (`Invoice 4711`, then `Invoice
//! 4712`). Only heads count: letters that list the numbers of many invoices are one document.

use regex::Regex;
use shared::{
    document::PageRange,
    extraction::{Page, Pages},
};
use std::sync::LazyLock;

/// A head is so many lines that are not empty.
const HEAD_LINES: usize = 10;

/// The first page by its own numbering, in the languages of Europe's invoices.
static FIRST_PAGE: LazyLock<Regex> = LazyLock::new(|| {
    let page =
        "page|pages|p\\.|pg\\.|seite|blatt|p[aá]gina|pag\\.|pagina|sida|side|sivu|strona|strana";
    let of = "of|von|de|di|van|sur|av|af|z|ze|/";
    pattern(&format!("(?i)(?:^|[^\\w])(?:{page})\\s*1\\s*(?:{of})\\s*[0-9]+"))
});

/// What documents call themselves, in the languages of Europe's invoices.
const KINDS: &str = "invoice|tax invoice|credit note|receipt|order|delivery note|rechnung|gutschrift|\
        lieferschein|quittung|facture|avoir|re[cç]u|fattura|nota di credito|ricevuta|factura|recibo|\
        factuur|creditnota|faktura|fatura|lasku|contract|vertrag|contrat|contratto|contrato";

/// A line that is the title of a document, with its number or without.
static KIND: LazyLock<Regex> =
    LazyLock::new(|| pattern(&format!("(?i)^\\s*(?:{KINDS})s?(?:\\W|nummer|$)")));

/// What a document calls itself, and its number behind it.
static NUMBER: LazyLock<Regex> = LazyLock::new(|| {
    let word = "(?:\\s*(?:number|numero|número|numéro|nummer|no|nr|num|n)\\.?\\s*°?º?)?";
    pattern(&format!(
        "(?i)(?:^|[^\\w])({KINDS})(?:s?nummer|s?nr\\.?)?{word}\\s*[:#]?\\s*\
         ([\\w][\\w/.-]*[0-9][\\w/.-]*)"
    ))
});

fn pattern(pattern: &str) -> Regex {
    #[expect(clippy::expect_used, reason = "constants that the tests use")]
    Regex::new(pattern).expect("a regular expression")
}

/// A page with which another document seems to begin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Start {
    /// The page, counted from 1.
    pub page: u32,
    /// The number in its head, and the one of the document before.
    numbers: Option<(String, String)>,
    /// Whether more than its page numbering says so: its head has another number, or says what kind of
    /// document it is. An appendix may have a numbering of its own.
    is_sure: bool,
}

impl Start {
    /// What to say of it, where there is one result of all pages.
    pub fn warning(&self) -> String {
        let numbers = self.numbers.as_ref();
        let numbers =
            numbers.map_or_else(String::new, |(own, before)| format!(" ({own} after {before})"));
        format!(
            "page {} seems to begin another document{numbers}: one result was made of all pages; upload \
             each document as a file of its own, or with split=auto",
            self.page
        )
    }
}

/// Where other documents seem to begin after the first one, in order.
pub fn starts(pages: &Pages) -> Vec<Start> {
    let Some((first, others)) = pages.pages.split_first() else { return Vec::new() };
    // What the document says that it is whose pages these are.
    let (mut is_numbered, mut number) = (begins(first), self::number(first));
    let mut starts = Vec::new();
    for page in others {
        let own = self::number(page);
        let another =
            own.clone().zip(number.clone()).filter(|((kind, own), (before_kind, before))| {
                kind == before_kind && own != before && !page.text.contains(before.as_str())
            });
        if another.is_none() && !(is_numbered && begins(page)) {
            continue;
        }
        let is_sure = another.is_some() || is_titled(page);
        let numbers = another.map(|((_, own), (_, before))| (own, before));
        starts.push(Start { page: page.number, numbers, is_sure });
        (is_numbered, number) = (begins(page), own);
    }
    starts
}

/// The documents that a file is split into: those that surely begin, each up to the next one. None
/// where there is but one.
pub fn ranges(pages: &Pages, starts: &[Start]) -> Vec<PageRange> {
    let sure = starts.iter().filter(|start| start.is_sure).map(|start| start.page);
    let numbers = pages.pages.first().map(|page| page.number).into_iter().zip(pages.pages.last());
    let Some((first, last)) = numbers.map(|(first, last)| (first, last.number)).next() else {
        return Vec::new();
    };
    let begins: Vec<u32> = std::iter::once(first).chain(sure).collect();
    if begins.len() < 2 {
        return Vec::new();
    }
    let ends = begins.iter().skip(1).map(|next| next - 1).chain([last]);
    begins.iter().zip(ends).map(|(first, last)| PageRange { first: *first, last }).collect()
}

fn begins(page: &Page) -> bool {
    FIRST_PAGE.is_match(&page.text)
}

/// Whether the head of a page says that it is a document of a kind that has numbers.
fn is_titled(page: &Page) -> bool {
    head(page).any(|line| KIND.is_match(line))
}

fn head(page: &Page) -> impl Iterator<Item = &str> {
    page.text.lines().filter(|line| !line.trim().is_empty()).take(HEAD_LINES)
}

/// What the head of a page says that it is, and its number.
fn number(page: &Page) -> Option<(String, String)> {
    head(page).filter_map(|line| NUMBER.captures(line)).find_map(|found| {
        let (kind, number) = (found.get(1)?.as_str(), found.get(2)?.as_str());
        let number = number.trim_end_matches(['.', '/', '-']);
        let has_digits = number.chars().filter(char::is_ascii_digit).count() > 1;
        has_digits.then(|| (kind.to_lowercase(), number.to_owned()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pages(texts: &[&str]) -> Pages {
        let page = |(number, text): (u32, &&str)| Page {
            number,
            text: (*text).to_owned(),
            ..Page::default()
        };
        Pages { pages: (1..).zip(texts).map(page).collect(), ..Pages::default() }
    }

    fn of(texts: &[&str]) -> Option<String> {
        starts(&pages(texts)).first().map(Start::warning)
    }

    #[test]
    fn a_stack_is_split_where_documents_surely_begin() {
        let check = |texts: &[&str], expected: &[(u32, u32)]| {
            let pages = pages(texts);
            let ranges = ranges(&pages, &starts(&pages));
            let shown: Vec<_> = ranges.iter().map(|range| (range.first, range.last)).collect();
            assert_eq!(shown, expected, "{texts:?}");
        };
        check(&["Invoice 101", "Invoice 102", "more", "Invoice 103"], &[(1, 1), (2, 3), (4, 4)]);
        check(&["Invoice 101", "Invoice 101", "Invoice 102"], &[(1, 2), (3, 3)]);
        // The first number comes again: a third document.
        check(&["Invoice 101", "Invoice 102", "Invoice 101"], &[(1, 1), (2, 2), (3, 3)]);
        check(
            &["Rechnung\nSeite 1 von 2", "Seite 2 von 2", "Rechnung\nSeite 1 von 1"],
            &[(1, 2), (3, 3)],
        );
        // An appendix with a numbering of its own may belong to what is before it.
        check(&["Invoice 101\nPage 1 of 1", "General terms\nPage 1 of 2", "Page 2 of 2"], &[]);
        check(&["Invoice 101", "2"], &[]);
        check(&[], &[]);
    }

    #[test]
    fn another_number_in_a_head_is_another_document() {
        let stacks: [&[&str]; 5] = [
            &["Invoice QL-100\nTotal 5", "Quill\nInvoice QL-101\nTotal 6"],
            &["Rechnung Nr. 2024/17\nSumme", "Anlage", "Rechnung Nr. 2024/18\nSumme"],
            &["Rechnungsnummer: 4711", "Rechnungsnummer: 4712"],
            &["FACTURE N° F-22\n", "FACTURE N° F-23\n"],
            &["Quill   Page 1 of 1\nTotal 5", "Lark   Page 1 of 2\nTotal 6", "Page 2 of 2"],
        ];
        for stack in stacks {
            let said = of(stack);
            assert!(
                said.as_ref().is_some_and(|said| said.contains("another document")),
                "{stack:?}"
            );
        }
        let said = of(stacks[0]).unwrap();
        assert!(said.starts_with("page 2 ") && said.contains("QL-101 after QL-100"), "{said}");
        assert!(of(stacks[1]).unwrap().starts_with("page 3 "));
    }

    #[test]
    fn one_document_of_many_pages_is_one() {
        let tail = "Line\n".repeat(HEAD_LINES);
        let listed = format!("Statement of account\n{tail}Invoice 4711 10.00\n");
        let more = format!("Statement of account, continued\n{tail}Invoice 4712 10.00\n");
        let alone: [&[&str]; 7] = [
            &["Invoice QL-100\nPage 1 of 2", "Invoice QL-100\nPage 2 of 2"],
            &["Invoice QL-100", "Credit note 200 for invoice QL-100"],
            &["Invoice QL-100", "Order 200\nfor Invoice QL-100"],
            &["Invoice QL-100", "Terms, page 1 of 3"],
            &["Invoice of 3 May", "Invoice of 4 May"],
            &[&listed, &more],
            &[""],
        ];
        for pages in alone {
            assert_eq!(of(pages), None, "{pages:?}");
        }
        assert_eq!(starts(&Pages::default()), []);
    }
}
