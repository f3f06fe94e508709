//! Lists of a document: the rows under a heading, the items of a receipt, pairs of label and value.

use super::text::{Cell, Document};
use super::{label, value};

/// A column that is looked for.
pub(crate) struct Column {
    pub(crate) labels: Vec<String>,
    /// Whether a row must have it.
    pub(crate) is_needed: bool,
}

/// The rows under each heading that names the columns that are needed, and at least two; of the
/// same width, and none that begins with the label of a sum.
pub(crate) fn rows<'a>(document: &'a Document, columns: &[Column]) -> Vec<Vec<Option<&'a str>>> {
    let mut found = Vec::new();
    let mut heading: Option<(usize, Vec<Option<usize>>)> = None;
    for cells in &document.rows {
        let places = places(columns, cells);
        let mut all = columns.iter().zip(&places);
        let is_whole = all.all(|(column, place)| place.is_some() || !column.is_needed);
        if is_whole && places.iter().flatten().count() >= 2 {
            heading = Some((cells.len(), places));
        } else if let Some((width, places)) = &heading
            && cells.len() == *width
            && !cells.first().is_some_and(|cell| label::is_known(&cell.label))
        {
            let text = |place: &Option<usize>| Some(cells.get((*place)?)?.text.as_str());
            found.push(places.iter().map(text).collect());
        }
    }
    found
}

/// In which cell of a heading each column stands.
fn places(columns: &[Column], cells: &[Cell]) -> Vec<Option<usize>> {
    let mut taken = Vec::new();
    let place = |column: &Column| {
        let at = |label: &String| cells.iter().position(|cell| cell.label == *label);
        let place = column.labels.iter().filter_map(at).find(|at| !taken.contains(at))?;
        taken.push(place);
        Some(place)
    };
    columns.iter().map(place).collect()
}

/// Rows such as `2 x Coffee   6.80`.
pub(crate) fn receipt<'a>(document: &'a Document, columns: &[Column]) -> Vec<Vec<Option<&'a str>>> {
    let row = |cells: &'a Vec<Cell>| {
        let [item, amount] = cells.as_slice() else { return None };
        let (quantity, description) = item.text.split_once(" x ")?;
        value::number(quantity).and(value::number(&amount.text))?;
        let names = ["quantity", "description", "amount"];
        let texts = [quantity, description, amount.text.as_str()];
        let text = |column: &Column| {
            let at = names.iter().position(|name| column.labels.iter().any(|own| own == name));
            at.and_then(|at| texts.get(at).copied())
        };
        Some(columns.iter().map(text).collect())
    };
    document.rows.iter().filter_map(row).collect()
}

/// Labels with a colon as they are printed, and the texts behind them.
pub(crate) fn pairs(document: &Document) -> Vec<(&str, &str)> {
    let mut pairs = Vec::new();
    for cells in &document.rows {
        for (at, cell) in cells.iter().enumerate().filter(|(_, cell)| cell.is_marked) {
            let right = cells.get(at + 1).map_or("", |right| right.text.as_str());
            let value = if cell.value.is_empty() { right } else { &cell.value };
            let label = cell.text.split_once(':').map_or("", |(label, _)| label.trim_end());
            if !value.is_empty() && label.split(' ').count() <= 6 {
                pairs.push((label, value));
            }
        }
    }
    pairs
}
