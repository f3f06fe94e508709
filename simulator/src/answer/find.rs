//! Where the labels of a document stand, and the values that stand beside or below them.

use super::labels::{Fact, LABELS};
use super::text::Document;
use super::words::{Word, words};
use std::collections::HashMap;

/// The most words a label has.
const WORDS_MAX: usize = 6;
/// Words that may precede a label, or stand between it and its value, without a meaning here.
const FILLING: [&str; 34] = [
    "zzgl",
    "inkl",
    "incl",
    "plus",
    "davon",
    "enthaltene",
    "enthalten",
    "included",
    "dont",
    "the",
    "eur",
    "usd",
    "gbp",
    "chf",
    "pln",
    "euro",
    "in",
    "en",
    "auf",
    "on",
    "at",
    "of",
    "von",
    "sur",
    "su",
    "van",
    "satz",
    "a",
    "al",
    "il",
    "der",
    "gesetzliche",
    "ab",
    "over",
];

/// A label and where it stands.
#[derive(Clone, Debug)]
pub(crate) struct Hit {
    pub(crate) fact: Fact,
    /// The place of the label in its list: lower is surer.
    pub(crate) rank: usize,
    pub(crate) row: usize,
    pub(crate) cell: usize,
    /// The byte offset in the cell after the label and its punctuation.
    pub(crate) end: usize,
    /// Whether nothing of weight follows in the cell.
    pub(crate) is_alone: bool,
    /// Whether a colon follows the label.
    pub(crate) has_colon: bool,
}

/// All labels of a document.
#[derive(Debug, Default)]
pub(crate) struct Index {
    hits: Vec<Hit>,
    labelled: Vec<Vec<bool>>,
}

impl Index {
    /// Reads the whole document once.
    pub(crate) fn new(document: &Document) -> Self {
        let mut table: HashMap<&str, Vec<(Fact, usize)>> = HashMap::new();
        for (fact, labels) in LABELS {
            for (rank, label) in labels.iter().enumerate() {
                table.entry(label).or_default().push((*fact, rank));
            }
        }
        let mut index = Self::default();
        for (row_index, row) in document.rows.iter().enumerate() {
            let mut flags = Vec::new();
            for (cell_index, cell) in row.cells.iter().enumerate() {
                let found = label_of(&cell.text, &table);
                flags.push(found.is_some());
                let Some(label) = found else { continue };
                for (fact, rank) in label.facts {
                    index.hits.push(Hit {
                        fact: *fact,
                        rank: *rank,
                        row: row_index,
                        cell: cell_index,
                        end: label.end,
                        is_alone: label.is_alone,
                        has_colon: label.has_colon,
                    });
                }
            }
            index.labelled.push(flags);
        }
        index
    }

    /// The labels of a fact in the order of the document.
    pub(crate) fn of(&self, fact: Fact) -> impl Iterator<Item = &Hit> {
        self.hits.iter().filter(move |hit| hit.fact == fact)
    }

    /// Whether a cell begins with a label.
    pub(crate) fn is_label(&self, row: usize, cell: usize) -> bool {
        self.labelled.get(row).and_then(|flags| flags.get(cell)).copied().unwrap_or(false)
    }

    /// Whether the first cell of a row begins with a label of one of these facts.
    pub(crate) fn starts_with(&self, row: usize, facts: &[Fact]) -> bool {
        self.hits.iter().any(|hit| hit.row == row && hit.cell == 0 && facts.contains(&hit.fact))
    }

    /// The places where the value of a label may stand, the likeliest first.
    pub(crate) fn candidates(&self, document: &Document, hit: &Hit) -> Vec<Candidate> {
        let mut found = Vec::new();
        let Some(row) = document.rows.get(hit.row) else { return found };
        let own = row.cells.get(hit.cell).map_or("", |cell| cell.text.as_str());
        let rest = own.get(hit.end..).unwrap_or_default().trim();
        if !rest.is_empty() {
            let place = if hit.has_colon { Place::AfterColon } else { Place::SameCell };
            found.push(Candidate { text: rest.to_owned(), place, row: hit.row });
        }
        if !hit.is_alone {
            return found;
        }
        let mut beside = hit.cell + 1;
        while let Some(cell) = row.cells.get(beside).filter(|_| !self.is_label(hit.row, beside)) {
            found.push(Candidate { text: cell.text.clone(), place: Place::Beside, row: hit.row });
            beside += 1;
        }
        if let Some((below, cell)) = document.below(hit.row, hit.cell)
            && !self.is_label(below, cell)
            && let Some(cell) = document.rows.get(below).and_then(|row| row.cells.get(cell))
        {
            found.push(Candidate { text: cell.text.clone(), place: Place::Below, row: below });
        }
        found
    }
}

/// A text that may be the value of a label.
#[derive(Clone, Debug)]
pub(crate) struct Candidate {
    pub(crate) text: String,
    pub(crate) place: Place,
    pub(crate) row: usize,
}

/// Where a value stands with respect to its label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    AfterColon,
    SameCell,
    Beside,
    Below,
}

struct Label<'a> {
    facts: &'a [(Fact, usize)],
    end: usize,
    is_alone: bool,
    has_colon: bool,
}

fn label_of<'a>(text: &str, table: &'a HashMap<&str, Vec<(Fact, usize)>>) -> Option<Label<'a>> {
    let all = words(text);
    let skipped = all.iter().take_while(|word| is_filling(word)).count();
    // "A" and "of" are filling and labels at once: the label counts when it stands first.
    [0, skipped].into_iter().find_map(|first| label_from(text, &all, first, table))
}

fn label_from<'a>(
    text: &str,
    all: &[Word],
    first: usize,
    table: &'a HashMap<&str, Vec<(Fact, usize)>>,
) -> Option<Label<'a>> {
    let longest = WORDS_MAX.min(all.len().saturating_sub(first));
    for count in (1..=longest).rev() {
        let of_label = all.get(first..first + count)?;
        let joined: Vec<&str> = of_label.iter().map(|word| word.folded.as_str()).collect();
        let Some(facts) = table.get(joined.join(" ").as_str()) else { continue };
        let mut end = of_label.last()?.end;
        let after = all.get(first + count..).unwrap_or_default();
        if let Some(colon) = colon_after(text, end) {
            // A longer label that is not known: "Total weight:" is no total.
            let between = after.iter().filter(|word| word.start < colon);
            if between.clone().any(|word| !is_filling(word)) {
                return None;
            }
            end = colon + 1;
            let is_alone = after.iter().all(|word| word.start < end || is_filling(word));
            return Some(Label { facts, end, is_alone, has_colon: true });
        }
        let is_alone = after.iter().all(is_filling);
        let rest = text.get(end..).unwrap_or_default();
        end += rest.len() - rest.trim_start_matches([' ', '.', '#', ':', ')', '-', '–']).len();
        return Some(Label { facts, end, is_alone, has_colon: false });
    }
    None
}

/// The byte offset of a colon that ends a label, not one inside a time of day.
fn colon_after(text: &str, from: usize) -> Option<usize> {
    let rest = text.get(from..)?;
    rest.char_indices().find_map(|(index, symbol)| {
        let next = rest.get(index + 1..)?.chars().next();
        let ends = symbol == ':' && next.is_none_or(|c| !c.is_ascii_digit() || index == 0);
        ends.then_some(from + index)
    })
}

fn is_filling(word: &Word) -> bool {
    FILLING.contains(&word.folded.as_str())
        || (word.folded.len() <= 2 && word.folded.bytes().all(|byte| byte.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(text: &str, fact: Fact) -> Vec<String> {
        let document = Document::read(text);
        let index = Index::new(&document);
        let hits = index.of(fact).flat_map(|hit| index.candidates(&document, hit));
        hits.map(|candidate| candidate.text).collect()
    }

    #[test]
    fn values_stand_after_beside_or_below_their_label() {
        assert_eq!(values("Rechnungs-Nr.: 4711", Fact::InvoiceNumber), ["4711"]);
        assert_eq!(values("Invoice # 4711", Fact::InvoiceNumber), ["4711"]);
        assert_eq!(values("Invoice no.   4711", Fact::InvoiceNumber), ["4711"]);
        assert_eq!(
            values("Invoice no.   Due date\n4711   1.1.2024", Fact::InvoiceNumber),
            ["4711"]
        );
        assert_eq!(values("Invoice no.   Due date\n4711   1.1.2024", Fact::DueDate), ["1.1.2024"]);
        assert_eq!(values("zzgl. 19 % MwSt.   190,00", Fact::Tax), ["190,00"]);
    }

    #[test]
    fn a_longer_label_is_another_label() {
        assert!(values("Total weight: 12 kg", Fact::Total).is_empty());
        assert!(values("Total HT   100,00", Fact::Total).is_empty());
        assert_eq!(values("Total HT   100,00", Fact::Net), ["100,00"]);
    }
}
