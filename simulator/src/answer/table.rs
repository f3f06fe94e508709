//! The lines of invoices and receipts: tables with a heading, and lists of "thing, price".

use super::find::Index;
use super::labels::Fact;
use super::number::{self, Style};
use super::text::{Cell, Document, Row};
use super::words::fold;

/// What a column of a table holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Column {
    Description,
    Quantity,
    UnitPrice,
    Amount,
    TaxRate,
    Unit,
    Code,
    Position,
    /// A heading that is known to mean nothing here.
    Skip,
}

impl Column {
    fn is_numeric(self) -> bool {
        matches!(
            self,
            Self::Quantity | Self::UnitPrice | Self::Amount | Self::TaxRate | Self::Position
        )
    }
}

/// One line: what each column says, as printed.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Line {
    cells: Vec<(Column, String)>,
}

impl Line {
    /// What a column says.
    pub(crate) fn get(&self, column: Column) -> Option<&str> {
        self.cells.iter().find(|(own, _)| *own == column).map(|(_, text)| text.as_str())
    }

    fn add(&mut self, column: Column, text: &str) {
        match self.cells.iter_mut().find(|(own, _)| *own == column) {
            Some((_, known)) => {
                known.push(' ');
                known.push_str(text);
            }
            None => self.cells.push((column, text.to_owned())),
        }
    }
}

/// What headings are called, folded.
const HEADINGS: &[(Column, &[&str])] = &[
    (
        Column::Description,
        &[
            "description",
            "item",
            "items",
            "product",
            "article",
            "service",
            "details",
            "item description",
            "particulars",
            "beschreibung",
            "bezeichnung",
            "artikel",
            "leistung",
            "artikelbezeichnung",
            "beschreibung der leistung",
            "produkt",
            "designation",
            "libelle",
            "description des prestations",
            "prestation",
            "produit",
            "descripcion",
            "concepto",
            "articulo",
            "producto",
            "descrizione",
            "articolo",
            "prodotto",
            "omschrijving",
            "beschrijving",
            "opis",
            "nazwa",
            "descricao",
        ],
    ),
    (
        Column::Quantity,
        &[
            "qty",
            "quantity",
            "hours",
            "units",
            "menge",
            "anzahl",
            "std",
            "stunden",
            "quantite",
            "qte",
            "nombre",
            "cantidad",
            "cant",
            "uds",
            "unidades",
            "quantita",
            "qta",
            "q ta",
            "aantal",
            "ilosc",
            "quantidade",
            "qtd",
        ],
    ),
    (
        Column::UnitPrice,
        &[
            "unit price",
            "price",
            "rate",
            "unit cost",
            "price each",
            "each",
            "einzelpreis",
            "preis",
            "e preis",
            "ep",
            "stuckpreis",
            "preis stuck",
            "einzel",
            "prix unitaire",
            "prix unitaire ht",
            "pu ht",
            "p u ht",
            "prix",
            "p u",
            "pu",
            "prix unit",
            "prix unit ht",
            "precio",
            "precio unitario",
            "precio unit",
            "prezzo",
            "prezzo unitario",
            "prezzo unit",
            "prijs",
            "eenheidsprijs",
            "stukprijs",
            "prijs per stuk",
            "tarief",
            "cena",
            "cena netto",
            "preco unitario",
        ],
    ),
    (
        Column::Amount,
        &[
            "amount",
            "total",
            "line total",
            "net amount",
            "total price",
            "net",
            "betrag",
            "gesamt",
            "gesamtpreis",
            "summe",
            "g preis",
            "gp",
            "netto",
            "nettobetrag",
            "montant",
            "montant ht",
            "total ht",
            "importe",
            "subtotal",
            "importo",
            "totale",
            "bedrag",
            "totaal",
            "wartosc",
            "wartosc netto",
            "valor",
            "sum",
            "value",
        ],
    ),
    (
        Column::TaxRate,
        &[
            "vat",
            "tax",
            "vat rate",
            "tax rate",
            "mwst",
            "ust",
            "mwst satz",
            "steuer",
            "tva",
            "taux tva",
            "iva",
            "btw",
            "al iva",
            "aliquota",
            "vat %",
        ],
    ),
    (
        Column::Unit,
        &["unit", "einheit", "unite", "unidad", "unita", "eenheid", "u m", "um", "jm", "me"],
    ),
    (
        Column::Code,
        &[
            "code",
            "sku",
            "article no",
            "item no",
            "item code",
            "art nr",
            "artikelnummer",
            "artikel nr",
            "art no",
            "part no",
            "ref",
            "reference",
            "codigo",
            "codice",
            "referencia",
            "artikelnr",
            "product code",
        ],
    ),
    (Column::Position, &["pos", "no", "nr", "position", "line", "lp", "o"]),
    (
        Column::Skip,
        &[
            "date",
            "datum",
            "fecha",
            "data",
            "discount",
            "rabatt",
            "remise",
            "dto",
            "sconto",
            "korting",
            "vat amount",
            "mwst betrag",
        ],
    ),
];
const CURRENCY_WORDS: [&str; 9] = ["eur", "usd", "gbp", "chf", "in", "pln", "ht", "excl", "net"];
/// Labels that end a table.
const ENDS: [Fact; 5] = [Fact::Net, Fact::Tax, Fact::Total, Fact::PaymentTerms, Fact::Iban];
/// Beginnings of rows that only carry a sum over a page break.
const CARRIED: [&str; 14] = [
    "carried forward",
    "brought forward",
    "carry forward",
    "ubertrag",
    "report",
    "a reporter",
    "suma y sigue",
    "riporto",
    "transport",
    "page",
    "seite",
    "pagina",
    "continued",
    "fortsetzung",
];

/// The lines of a document.
pub(crate) fn lines(document: &Document, index: &Index, style: Style) -> Vec<Line> {
    let heading =
        (0..document.rows.len()).find_map(|row| heading_at(document, row).map(|h| (row, h)));
    match heading {
        Some((row, heading)) => with_heading(document, index, style, row, &heading),
        None => without_heading(document, index, style),
    }
}

struct Heading {
    columns: Vec<(Column, usize, usize)>,
    rows: usize,
}

fn heading_at(document: &Document, row: usize) -> Option<Heading> {
    let own = document.rows.get(row)?;
    let columns = columns_of(own)?;
    Some(Heading { columns, rows: 1 })
}

fn columns_of(row: &Row) -> Option<Vec<(Column, usize, usize)>> {
    let known: Vec<(Option<Column>, &Cell)> =
        row.cells.iter().map(|cell| (column_of(&cell.text), cell)).collect();
    let has = |wanted: Column| known.iter().any(|(column, _)| *column == Some(wanted));
    let numeric = [Column::Quantity, Column::UnitPrice, Column::Amount];
    let numbers = numeric.into_iter().filter(|column| has(*column)).count();
    let is_heading = (has(Column::Description) && numbers >= 1) || numbers >= 2;
    let digits = row.cells.iter().any(|cell| cell.text.chars().any(|c| c.is_ascii_digit()));
    if !is_heading || digits {
        return None;
    }
    let column = |(column, cell): (Option<Column>, &Cell)| {
        (column.unwrap_or(Column::Skip), cell.start, cell.end)
    };
    let mut columns: Vec<_> = known.into_iter().map(column).collect();
    // A table without a known name for its text has it in the first column that is not known.
    if !columns.iter().any(|(column, ..)| *column == Column::Description) {
        let unknown = columns
            .iter_mut()
            .find(|(column, ..)| matches!(column, Column::Skip | Column::Code | Column::Position));
        unknown?.0 = Column::Description;
    }
    Some(columns)
}

fn column_of(text: &str) -> Option<Column> {
    let folded = fold(text);
    let named = |name: &str| {
        let found = HEADINGS.iter().find(|(_, names)| names.contains(&name));
        found.map(|(column, _)| *column)
    };
    named(&folded).or_else(|| {
        let plain: Vec<&str> =
            folded.split(' ').filter(|word| !CURRENCY_WORDS.contains(word)).collect();
        named(&plain.join(" "))
    })
}

fn with_heading(
    document: &Document,
    index: &Index,
    style: Style,
    start: usize,
    heading: &Heading,
) -> Vec<Line> {
    let mut lines: Vec<Line> = Vec::new();
    let mut columns = heading.columns.clone();
    let mut row_index = start + heading.rows;
    let mut page = document.rows.get(start).map_or(0, |row| row.page);
    while let Some(row) = document.rows.get(row_index) {
        if row.page != page {
            page = row.page;
            // What stands above a repeated heading belongs to the page, not to the table.
            let on_page = |index: &usize| document.rows.get(*index).is_some_and(|r| r.page == page);
            let again = (row_index..document.rows.len())
                .take_while(on_page)
                .find_map(|row| heading_at(document, row).map(|heading| (row, heading)));
            if let Some((row, heading)) = again {
                columns = heading.columns;
                row_index = row + 1;
                continue;
            }
        }
        row_index += 1;
        if is_carried(row) {
            continue;
        }
        let has_number = row.cells.iter().any(|cell| number::only(&cell.text, style).is_some());
        // A product may be called "Net curtain": only a label that fills its cell ends a table.
        if index.starts_with(row_index - 1, &ENDS) && row.cells.len() <= 4 && is_end(row, style) {
            break;
        }
        if columns_of(row).is_some() {
            continue;
        }
        if has_number && row.cells.len() > 1 {
            let line = line_of(row, &columns, style, document.is_aligned);
            match (line.get(Column::Description), lines.last_mut()) {
                (None, Some(before)) if before.get(Column::Amount).is_none() => {
                    for (column, text) in &line.cells {
                        before.add(*column, text);
                    }
                }
                (None, _) => {}
                (Some(_), _) => lines.push(line),
            }
        } else if let [cell] = row.cells.as_slice() {
            let goes_on = !row.is_after_gap && !has_number && !cell.text.contains(": ");
            if let (true, Some(line)) = (goes_on, lines.last_mut()) {
                line.add(Column::Description, &cell.text);
            }
        }
    }
    lines
}

fn is_carried(row: &Row) -> bool {
    let first = row.cells.first().map(|cell| fold(&cell.text)).unwrap_or_default();
    CARRIED.iter().any(|start| {
        first.strip_prefix(start).is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
    }) && row.cells.len() <= 3
}

/// Whether a row that begins with the label of a sum is a sum, and not a product of that name.
fn is_end(row: &Row, style: Style) -> bool {
    let numbers =
        row.cells.iter().skip(1).filter(|c| number::only(&c.text, style).is_some()).count();
    numbers <= 2
}

/// Assigns the cells of a row to columns, in order, at the least cost.
fn line_of(row: &Row, columns: &[(Column, usize, usize)], style: Style, is_aligned: bool) -> Line {
    let (rows, wide) = (row.cells.len(), columns.len());
    let mut best = vec![vec![f64::INFINITY; wide + 1]; rows + 1];
    let mut from = vec![vec![0u8; wide + 1]; rows + 1];
    let get = |table: &[Vec<f64>], i: usize, j: usize| {
        table.get(i).and_then(|row| row.get(j)).copied().unwrap_or(f64::INFINITY)
    };
    for i in 0..=rows {
        for j in 0..=wide {
            let mut options = [(f64::INFINITY, 0u8); 3];
            if i == 0 && j == 0 {
                options[0] = (0.0, 0);
            }
            if i > 0
                && j > 0
                && let (Some(cell), Some(column)) = (row.cells.get(i - 1), columns.get(j - 1))
            {
                let cost = cost_of(cell, *column, style, is_aligned);
                options[0] = (get(&best, i - 1, j - 1) + cost, 1);
            }
            if j > 0 {
                // Columns left empty are commonest on the left, so amounts stay on the right.
                options[1] = (get(&best, i, j - 1) + 30.0 + j as f64, 2);
            }
            if i > 0 {
                options[2] = (get(&best, i - 1, j) + 400.0, 3);
            }
            let chosen = options.into_iter().min_by(|a, b| a.0.total_cmp(&b.0));
            if let (Some((cost, step)), Some(slot), Some(back)) = (
                chosen,
                best.get_mut(i).and_then(|row| row.get_mut(j)),
                from.get_mut(i).and_then(|row| row.get_mut(j)),
            ) {
                *slot = cost;
                *back = step;
            }
        }
    }
    let (mut i, mut j) = (rows, wide);
    let mut found = Vec::new();
    while i > 0 || j > 0 {
        match from.get(i).and_then(|row| row.get(j)) {
            Some(1) => {
                i -= 1;
                j -= 1;
                if let (Some(cell), Some((column, ..))) = (row.cells.get(i), columns.get(j)) {
                    found.push((*column, cell.text.clone()));
                }
            }
            Some(2) if j > 0 => j -= 1,
            _ if i > 0 => i -= 1,
            _ => break,
        }
    }
    found.reverse();
    Line { cells: found }
}

fn cost_of(cell: &Cell, column: (Column, usize, usize), style: Style, is_aligned: bool) -> f64 {
    let (column, start, end) = column;
    let amount = number::only(&cell.text, style);
    let mismatch = match (&amount, column) {
        (_, Column::Skip | Column::Unit | Column::Code) => 20.0,
        (None, column) if column.is_numeric() => 300.0,
        (Some(_), Column::Description) => 200.0,
        (Some(amount), Column::TaxRate) if !amount.is_percent => 15.0,
        (Some(amount), Column::Quantity) if amount.is_percent => 60.0,
        (Some(amount), Column::UnitPrice | Column::Amount) if amount.is_percent => 80.0,
        (Some(amount), Column::UnitPrice | Column::Amount) if !amount.has_cents => 5.0,
        (Some(amount), Column::Quantity) if amount.has_cents => 5.0,
        _ => 0.0,
    };
    let apart = start.abs_diff(cell.start).min(end.abs_diff(cell.end));
    mismatch + if is_aligned { (apart as f64).min(60.0) } else { 0.0 }
}

/// Lists as on receipts: a thing on the left, its price on the right, until the sum.
fn without_heading(document: &Document, index: &Index, style: Style) -> Vec<Line> {
    let mut lines: Vec<Line> = Vec::new();
    for (row_index, row) in document.rows.iter().enumerate() {
        if index.starts_with(row_index, &[Fact::Net, Fact::Tax, Fact::Total]) {
            if lines.is_empty() {
                continue;
            }
            break;
        }
        let Some((thing, price)) = row.cells.first().zip(row.cells.last()) else { continue };
        let cents = number::only(price.text.trim_end_matches([' ', 'A', 'B', 'C', '*']), style);
        match cents.filter(|amount| amount.has_cents && !amount.is_percent) {
            Some(_) if row.cells.len() >= 2 && !index.is_label(row_index, 0) => {
                lines.extend(listed(row, thing, price, style));
            }
            None if row.cells.len() == 1 => {
                if let (Some(line), Some((count, rest))) = (lines.last_mut(), counted(&thing.text))
                    && number::only(rest.trim_start_matches(['@', ' ']), style).is_some()
                    && line.get(Column::Quantity).is_none()
                {
                    line.add(Column::Quantity, count);
                    line.add(Column::UnitPrice, rest);
                }
            }
            _ => {}
        }
    }
    lines
}

fn listed(row: &Row, thing: &Cell, price: &Cell, style: Style) -> Option<Line> {
    let mut line = Line::default();
    let mut text = thing.text.as_str();
    if let Some((count, rest)) = counted(text) {
        line.add(Column::Quantity, count);
        text = rest;
    } else if number::only(text, style).is_some() {
        line.add(Column::Quantity, text);
        text = "";
    }
    for cell in row.cells.get(1..row.cells.len() - 1).unwrap_or_default() {
        match (counted(&cell.text), number::only(&cell.text, style)) {
            (Some((count, rest)), _) if line.get(Column::Quantity).is_none() => {
                line.add(Column::Quantity, count);
                line.add(Column::UnitPrice, rest);
            }
            (_, Some(amount)) if !amount.is_percent => {
                let column = if amount.has_cents { Column::UnitPrice } else { Column::Quantity };
                line.add(column, &cell.text);
            }
            (_, None) if text.is_empty() => text = &cell.text,
            _ => {}
        }
    }
    if !text.chars().any(char::is_alphabetic) {
        return None;
    }
    line.add(Column::Description, text);
    line.add(Column::Amount, price.text.trim_end_matches([' ', 'A', 'B', 'C', '*']));
    Some(line)
}

/// Splits "2 x Coffee" into the count and the rest.
fn counted(text: &str) -> Option<(&str, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit())?;
    let (count, rest) = text.split_at_checked(end).filter(|(count, _)| !count.is_empty())?;
    let rest = rest.trim_start();
    let rest = rest.strip_prefix(['x', 'X', '×', '*'])?;
    rest.starts_with(' ').then(|| (count, rest.trim_start()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &[&[Option<&str>]]) {
        let document = Document::read(text);
        let index = Index::new(&document);
        let found: Vec<Vec<Option<String>>> = lines(&document, &index, number::style_of(&document))
            .iter()
            .map(|line| {
                [Column::Description, Column::Quantity, Column::UnitPrice, Column::Amount]
                    .map(|column| line.get(column).map(str::to_owned))
                    .to_vec()
            })
            .collect();
        let expected: Vec<Vec<Option<String>>> =
            expected.iter().map(|row| row.iter().map(|c| c.map(str::to_owned)).collect()).collect();
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn a_table_is_read_until_its_sum() {
        check(
            "Pos.   Bezeichnung   Menge   Einzelpreis   Betrag\n\
             1   Schrauben   10   1,50   15,00\nM8, verzinkt\n\
             2   Montage   99,00\n\
             Zwischensumme   114,00\nMwSt.   19 %   21,66",
            &[
                &[Some("Schrauben M8, verzinkt"), Some("10"), Some("1,50"), Some("15,00")],
                &[Some("Montage"), None, None, Some("99,00")],
            ],
        );
    }

    #[test]
    fn a_heading_on_the_next_page_is_skipped() {
        check(
            "<document>\n<page number=\"1\">\nDescription   Qty   Price   Amount\nA   1   2.00   2.00\n\
             Carried forward   2.00\n</page>\n<page number=\"2\">\nACME Ltd   page 2\n\
             Description   Qty   Price   Amount\nB   2   3.00   6.00\nTotal   8.00\n</page>\n</document>",
            &[
                &[Some("A"), Some("1"), Some("2.00"), Some("2.00")],
                &[Some("B"), Some("2"), Some("3.00"), Some("6.00")],
            ],
        );
    }

    #[test]
    fn a_receipt_needs_no_heading() {
        check(
            "CAFE ROMA\nTel. 030 1234\n2 x Espresso   5,00\nCake   3,20\nTOTAL   8,20\nCash   10,00",
            &[
                &[Some("Espresso"), Some("2"), None, Some("5,00")],
                &[Some("Cake"), None, None, Some("3,20")],
            ],
        );
    }
}
