//! Who sells, who buys, and what a document is called, when no label says so.

use super::code;
use super::date::{self, Order};
use super::find::Index;
use super::text::{Cell, Document};
use super::words::fold;

/// How far down the head of a letter reaches.
const HEAD_ROWS: usize = 14;
const LEGAL_FORMS: [&str; 44] = [
    "gmbh",
    "ag",
    "kg",
    "ohg",
    "ug",
    "gbr",
    "e k",
    "ek",
    "se",
    "ltd",
    "limited",
    "plc",
    "llp",
    "llc",
    "inc",
    "corp",
    "corporation",
    "company",
    "co",
    "sarl",
    "sas",
    "sasu",
    "s a r l",
    "s a s",
    "sa",
    "s a",
    "eurl",
    "sl",
    "s l",
    "s l u",
    "slu",
    "srl",
    "s r l",
    "spa",
    "s p a",
    "snc",
    "bv",
    "b v",
    "nv",
    "n v",
    "vof",
    "z o o",
    "lda",
    "bvba",
];
/// Headings that are no name of anybody.
const TITLES: [&str; 40] = [
    "invoice",
    "tax invoice",
    "credit note",
    "rechnung",
    "gutschrift",
    "facture",
    "avoir",
    "factura",
    "fattura",
    "factuur",
    "creditfactuur",
    "receipt",
    "quittung",
    "kassenbon",
    "recu",
    "ticket",
    "recibo",
    "scontrino",
    "ricevuta",
    "bon",
    "kassabon",
    "agreement",
    "contract",
    "vertrag",
    "contrat",
    "contrato",
    "contratto",
    "overeenkomst",
    "page",
    "seite",
    "original",
    "copy",
    "faktura",
    "fatura",
    "nota di credito",
    "factura rectificativa",
    "proforma",
    "pro forma invoice",
    "sales receipt",
    "documento commerciale",
];

/// Whether a text can be the name of somebody.
pub(crate) fn is_name(text: &str) -> bool {
    let letters = text.chars().filter(|c| c.is_alphabetic()).count();
    let digits = text.chars().filter(char::is_ascii_digit).count();
    letters >= 2
        && digits * 2 <= letters
        && text.chars().count() <= 90
        && !text.contains('@')
        && !text.ends_with(':')
        && !is_title(text)
}

/// Whether a text names a legal form, as names of companies do.
pub(crate) fn has_legal_form(text: &str) -> bool {
    let folded = format!(" {} ", fold(text));
    LEGAL_FORMS.iter().any(|form| folded.contains(&format!(" {form} ")))
}

fn is_title(text: &str) -> bool {
    let folded = fold(text);
    let plain: Vec<&str> = folded
        .split(' ')
        .filter(|word| {
            !word.chars().any(|c| c.is_ascii_digit()) && !["no", "nr", "n"].contains(word)
        })
        .collect();
    TITLES.contains(&plain.join(" ").as_str())
}

/// The name alone, without the address that follows on the same row.
pub(crate) fn name_part(text: &str) -> String {
    let end =
        [" · ", " • ", " | ", " – ", " - ", "; "].iter().filter_map(|sep| text.find(sep)).min();
    let mut name = end.and_then(|end| text.get(..end)).unwrap_or(text).trim();
    // What follows a comma is an address when it has a number, and a legal form when it has one.
    if let Some((before, after)) = name.split_once(", ")
        && after.chars().any(|c| c.is_ascii_digit())
        && !has_legal_form(after)
    {
        name = before;
    }
    name.trim_end_matches([',', ';']).to_owned()
}

/// The seller, from the head of the document and then from its foot.
pub(crate) fn seller(document: &Document, index: &Index, buyer: Option<&str>) -> Option<String> {
    let head = || head_cells(document, index);
    let is_other = |cell: &&Cell| buyer.is_none_or(|buyer| !cell.text.contains(buyer));
    let top = head().find(|(row, ..)| *row < 3).map(|(_, _, cell)| cell);
    let formal =
        head().map(|(_, _, cell)| cell).filter(is_other).find(|cell| has_legal_form(&cell.text));
    let first = top.filter(is_other).filter(|cell| formal.is_none() || has_legal_form(&cell.text));
    let any = head().map(|(_, _, cell)| cell).find(is_other);
    first.or(formal).or(any).map(|cell| name_part(&cell.text))
}

/// The buyer from an address in the head, when it is set apart from the seller.
pub(crate) fn buyer(document: &Document, index: &Index, seller: &str) -> Option<String> {
    let cells = head_cells(document, index).filter(|(_, _, cell)| !cell.text.contains(seller));
    let formal = cells.filter(|(row, _, cell)| *row > 0 && has_legal_form(&cell.text));
    formal.map(|(_, _, cell)| name_part(&cell.text)).next()
}

fn head_cells<'a>(
    document: &'a Document,
    index: &'a Index,
) -> impl Iterator<Item = (usize, usize, &'a Cell)> {
    let rows = document.rows.iter().enumerate().take(HEAD_ROWS);
    rows.flat_map(|(row_index, row)| {
        row.cells.iter().enumerate().map(move |(cell_index, cell)| (row_index, cell_index, cell))
    })
    .filter(|(row, cell_index, cell)| {
        is_name(&cell.text) && !index.is_label(*row, *cell_index) && !cell.text.contains(": ")
    })
}

/// The first row that reads like a heading.
pub(crate) fn title(document: &Document, order: Order) -> Option<String> {
    let head = || document.rows.iter().take(HEAD_ROWS).flat_map(|row| row.cells.first());
    let named = head().find(|cell| {
        let folded = fold(&cell.text);
        cell.text.chars().count() <= 90
            && !cell.text.contains(": ")
            && !cell.text.ends_with('.')
            && [
                "agreement",
                "contract",
                "vertrag",
                "contrat",
                "contrato",
                "contratto",
                "overeenkomst",
            ]
            .iter()
            .any(|word| folded.split(' ').any(|own| own.ends_with(word)))
    });
    let plain = head().find(|cell| {
        cell.text.chars().any(char::is_alphabetic)
            && !cell.text.contains(": ")
            && date::first(&cell.text, order).is_none()
    });
    named.or(plain).map(|cell| cell.text.clone())
}

/// The name at the top of a receipt.
pub(crate) fn merchant(document: &Document) -> Option<String> {
    let cells = document.rows.iter().take(HEAD_ROWS).flat_map(|row| row.cells.first());
    let mut names = cells.filter(|cell| is_name(&cell.text) && code::time_in(&cell.text).is_none());
    names.next().map(|cell| cell.text.clone())
}

/// How a receipt was paid, when a row only names the means.
pub(crate) fn payment_method(document: &Document) -> Option<String> {
    const MEANS: [&str; 34] = [
        "visa",
        "mastercard",
        "maestro",
        "amex",
        "american express",
        "girocard",
        "ec karte",
        "ec cash",
        "kartenzahlung",
        "karte",
        "card",
        "credit card",
        "debit card",
        "cash",
        "bar",
        "barzahlung",
        "carte bancaire",
        "carte",
        "cb",
        "especes",
        "tarjeta",
        "efectivo",
        "contanti",
        "bancomat",
        "carta",
        "carta di credito",
        "pagamento elettronico",
        "contant",
        "pinnen",
        "pin",
        "contactless",
        "twint",
        "paypal",
        "apple pay",
    ];
    let cells = document.rows.iter().flat_map(|row| &row.cells);
    cells
        .filter(|cell| cell.text.chars().count() <= 40)
        .find(|cell| {
            let folded = format!("{} ", fold(&cell.text));
            MEANS.iter().any(|means| folded.starts_with(&format!("{means} ")))
        })
        .map(|cell| cell.text.trim_end_matches([':', ' ']).to_owned())
}

/// What kind of document it is, in a word.
pub(crate) fn kind(document: &Document) -> &'static str {
    const KINDS: [(&str, &[&str]); 9] = [
        (
            "credit note",
            &[
                "credit note",
                "gutschrift",
                "avoir",
                "nota di credito",
                "creditfactuur",
                "factura rectificativa",
            ],
        ),
        (
            "invoice",
            &["invoice", "rechnung", "facture", "factura", "fattura", "factuur", "faktura"],
        ),
        (
            "receipt",
            &["receipt", "kassenbon", "quittung", "ticket", "scontrino", "kassabon", "recibo"],
        ),
        (
            "contract",
            &[
                "agreement",
                "contract",
                "vertrag",
                "contrat",
                "contrato",
                "contratto",
                "overeenkomst",
            ],
        ),
        ("order", &["purchase order", "bestellung", "order confirmation", "auftragsbestatigung"]),
        (
            "form",
            &[
                "form",
                "application",
                "antrag",
                "formulaire",
                "formulario",
                "modulo",
                "formulier",
                "registration",
            ],
        ),
        ("report", &["report", "bericht", "rapport", "informe", "relazione"]),
        ("statement", &["statement", "kontoauszug", "releve"]),
        (
            "letter",
            &["dear", "sehr geehrte", "madame", "monsieur", "estimado", "gentile", "geachte"],
        ),
    ];
    let head: Vec<String> = document.rows.iter().take(25).map(|row| fold(&row.text())).collect();
    let head = format!(" {} ", head.join(" "));
    let found = KINDS.iter().filter_map(|(kind, names)| {
        let places = names.iter().filter_map(|name| head.find(&format!(" {name} ")));
        places.min().map(|place| (place, *kind))
    });
    found.min().map_or("document", |(_, kind)| kind)
}

/// The language as a code of two letters, by its commonest words.
pub(crate) fn language(document: &Document) -> &'static str {
    const COMMON: [(&str, [&str; 9]); 6] = [
        ("en", ["the", "of", "and", "to", "for", "invoice", "date", "amount", "is"]),
        ("de", ["der", "die", "und", "rechnung", "fur", "mit", "betrag", "den", "ist"]),
        ("fr", ["le", "la", "les", "et", "facture", "du", "des", "pour", "montant"]),
        ("es", ["el", "los", "y", "factura", "por", "del", "para", "importe", "fecha"]),
        ("it", ["il", "gli", "fattura", "per", "di", "totale", "imponibile", "della", "data"]),
        ("nl", ["het", "een", "van", "en", "factuur", "voor", "bedrag", "aantal", "totaal"]),
    ];
    let text = fold(&document.flow());
    let count = |words: &[&str; 9]| text.split(' ').filter(|word| words.contains(word)).count();
    let mut best = ("en", 0);
    for (language, words) in &COMMON {
        let own = count(words);
        if own > best.1 {
            best = (language, own);
        }
    }
    best.0
}
