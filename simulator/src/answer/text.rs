//! The text of a document as rows of cells, as the worker prints it: one printed row a line,
//! three or more spaces between columns.

/// A piece of a row that stands alone.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Cell {
    pub(crate) text: String,
    /// The column of its first character, counted in characters.
    pub(crate) start: usize,
    pub(crate) end: usize,
}

/// One printed row; never without cells.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Row {
    pub(crate) cells: Vec<Cell>,
    pub(crate) page: usize,
    /// Whether an empty row or a new page comes before it.
    pub(crate) is_after_gap: bool,
}

/// A document as rows.
#[derive(Clone, Debug, Default)]
pub(crate) struct Document {
    pub(crate) rows: Vec<Row>,
    /// Whether the columns of characters mean anything: not when every gap is three spaces.
    pub(crate) is_aligned: bool,
}

impl Row {
    /// The whole row as one text.
    pub(crate) fn text(&self) -> String {
        let cells: Vec<&str> = self.cells.iter().map(|cell| cell.text.as_str()).collect();
        cells.join("   ")
    }
}

impl Document {
    /// Takes the document out of a prompt; a prompt without one is taken whole.
    pub(crate) fn read(prompt: &str) -> Self {
        let inner = match prompt.find("<document>") {
            Some(start) => prompt.get(start + "<document>".len()..).unwrap_or_default(),
            None => prompt,
        };
        let inner = inner.rfind("</document>").and_then(|end| inner.get(..end)).unwrap_or(inner);
        let (mut document, mut page, mut is_after_gap) = (Self::default(), 0, true);
        for line in inner.lines() {
            let trimmed = line.trim();
            if trimmed.starts_with("<page ") || trimmed == "</page>" {
                page += usize::from(trimmed != "</page>");
                is_after_gap = true;
                continue;
            }
            let (cells, widest) = cells_of(line);
            document.is_aligned |= widest > 3;
            if cells.is_empty() {
                is_after_gap = true;
                continue;
            }
            document.rows.push(Row { cells, page, is_after_gap });
            is_after_gap = false;
        }
        document
    }

    /// All text with single spaces, for rules about sentences.
    pub(crate) fn flow(&self) -> String {
        let cells = self.rows.iter().flat_map(|row| &row.cells);
        let mut flow = String::new();
        for cell in cells {
            // A word broken over two rows is mended, a compound with its hyphen is not.
            if flow.ends_with('-') && cell.text.starts_with(char::is_lowercase) {
                flow.pop();
            } else if !flow.is_empty() {
                flow.push(' ');
            }
            flow.push_str(&cell.text);
        }
        flow
    }

    /// The cell of the row below that stands under this one.
    pub(crate) fn below(&self, row: usize, cell: usize) -> Option<(usize, usize)> {
        let above = self.rows.get(row)?;
        let next = self.rows.get(row + 1)?;
        if next.cells.len() == above.cells.len() || !self.is_aligned {
            return (cell < next.cells.len()).then_some((row + 1, cell));
        }
        let own = above.cells.get(cell)?;
        let overlaps = |other: &Cell| other.start < own.end && own.start < other.end;
        next.cells.iter().position(overlaps).map(|index| (row + 1, index))
    }
}

fn cells_of(line: &str) -> (Vec<Cell>, usize) {
    let mut cells: Vec<Cell> = Vec::new();
    let (mut widest, mut spaces) = (0, 0);
    let mut is_open = false;
    for (column, symbol) in line.chars().enumerate() {
        if symbol == '\t' {
            spaces += 3;
            continue;
        }
        if symbol.is_whitespace() {
            spaces += 1;
            continue;
        }
        let is_new = !is_open || spaces >= 3;
        if is_new {
            if is_open {
                widest = widest.max(spaces);
            }
            cells.push(Cell { text: String::new(), start: column, end: column });
        }
        if let Some(cell) = cells.last_mut() {
            if !is_new {
                cell.text.extend(std::iter::repeat_n(' ', spaces));
            }
            cell.text.push(symbol);
            cell.end = column + 1;
        }
        is_open = true;
        spaces = 0;
    }
    (cells, widest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prompt_becomes_rows_of_cells() {
        let prompt = "Read this.\n<document>\n<page number=\"1\">\nA B   C\n\n  D\n</page>\n\
                      <page number=\"2\">\nE\n</page>\n</document>\nbye";
        let document = Document::read(prompt);
        let texts: Vec<String> = document.rows.iter().map(Row::text).collect();
        assert_eq!(texts, ["A B   C", "D", "E"]);
        let gaps: Vec<bool> = document.rows.iter().map(|row| row.is_after_gap).collect();
        assert_eq!(gaps, [true, true, true]);
        assert_eq!(document.rows.last().map(|row| row.page), Some(2));
        assert!(!document.is_aligned);
        assert_eq!(document.flow(), "A B C D E");
    }

    #[test]
    fn the_cell_below_is_found_by_place() {
        let document = Document::read("aaa     bbbb     ccc\n          dd");
        assert_eq!(document.below(0, 1), Some((1, 0)));
        assert_eq!(document.below(0, 0), None);
    }
}
