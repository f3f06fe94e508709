//! Whether one file holds several documents: scanned stacks and merged invoices.
//!
//! A page begins another document where its numbering begins again (`page 1 of 2`), or where its head
//! has another number of the same kind than the first page's head (`Invoice 4711`, then `Invoice
//! 4712`). Only heads count: letters that list the numbers of many invoices are one document.

use regex::Regex;
use shared::extraction::{Page, Pages};
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

/// What a document calls itself, and its number behind it.
static NUMBER: LazyLock<Regex> = LazyLock::new(|| {
    let kinds = "invoice|tax invoice|credit note|receipt|order|delivery note|rechnung|gutschrift|\
        lieferschein|quittung|facture|avoir|re[cç]u|fattura|nota di credito|ricevuta|factura|recibo|\
        factuur|creditnota|faktura|fatura|lasku|contract|vertrag|contrat|contratto|contrato";
    let word = "(?:\\s*(?:number|numero|número|numéro|nummer|no|nr|num|n)\\.?\\s*°?º?)?";
    pattern(&format!(
        "(?i)(?:^|[^\\w])({kinds})(?:s?nummer|s?nr\\.?)?{word}\\s*[:#]?\\s*\
         ([\\w][\\w/.-]*[0-9][\\w/.-]*)"
    ))
});

fn pattern(pattern: &str) -> Regex {
    #[expect(clippy::expect_used, reason = "constants that the tests use")]
    Regex::new(pattern).expect("a regular expression")
}

/// What should be said of pages that seem to begin another document, if any do.
pub fn warning(pages: &Pages) -> Option<String> {
    let (first, others) = pages.pages.split_first()?;
    let (is_first, number) = (begins(first), number(first));
    let another = others.iter().find_map(|page| {
        let other = self::number(page).zip(number.as_ref());
        let other = other.filter(|((kind, other), (own_kind, own))| {
            kind == own_kind && other != own && !page.text.contains(own.as_str())
        });
        match other {
            Some(((_, other), (_, own))) => Some((page.number, format!(" ({other} after {own})"))),
            None if is_first && begins(page) => Some((page.number, String::new())),
            None => None,
        }
    });
    let (page, numbers) = another?;
    Some(format!(
        "page {page} seems to begin another document{numbers}: one result was made of all pages; upload \
         each document as a file of its own"
    ))
}

fn begins(page: &Page) -> bool {
    FIRST_PAGE.is_match(&page.text)
}

/// What the head of a page says that it is, and its number.
fn number(page: &Page) -> Option<(String, String)> {
    let lines = page.text.lines().filter(|line| !line.trim().is_empty()).take(HEAD_LINES);
    lines.filter_map(|line| NUMBER.captures(line)).find_map(|found| {
        let (kind, number) = (found.get(1)?.as_str(), found.get(2)?.as_str());
        let number = number.trim_end_matches(['.', '/', '-']);
        let has_digits = number.chars().filter(char::is_ascii_digit).count() > 1;
        has_digits.then(|| (kind.to_lowercase(), number.to_owned()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(texts: &[&str]) -> Option<String> {
        let page = |(number, text): (u32, &&str)| Page {
            number,
            text: (*text).to_owned(),
            ..Page::default()
        };
        let pages = (1..).zip(texts).map(page).collect();
        warning(&Pages { pages, ..Pages::default() })
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
        assert_eq!(warning(&Pages::default()), None);
    }
}
