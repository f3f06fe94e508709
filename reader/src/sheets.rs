//! Sheets of Excel: a page for each sheet that is shown, a line for each row that has cells.
//!
//! Cells are read one by one, so a sheet costs what is in it, wherever that stands.

use crate::{limits::TextError, pages::Pages, plain};
use calamine::{DataRef, ExcelDateTime, Reader, SheetVisible, Xlsx};
use std::io::Cursor;

/// Part of replay keys: change it whenever the same bytes give other pages.
const ENGINE: &str = "sheets-1";

/// Between cells. Of cells without content not more than so many in a row are told.
const GAP: &str = "   ";
const EMPTY_MAX: u32 = 8;

/// Reads the sheets in their order; the name of each is its first line.
pub(super) fn read(bytes: &[u8], pages_max: u32) -> Result<Pages, TextError> {
    let broken = |error: calamine::XlsxError| match error {
        calamine::XlsxError::Password => TextError::PasswordRequired,
        error => TextError::Unreadable(format!("its workbook: {error}")),
    };
    let mut book: Xlsx<_> = Xlsx::new(Cursor::new(bytes)).map_err(broken)?;
    let sheets = book.sheets_metadata().to_vec();
    let count = u32::try_from(sheets.len()).unwrap_or(u32::MAX);
    if count > pages_max {
        return Err(TextError::TooManyPages { pages: count, max: pages_max });
    }
    let (mut texts, mut warnings) = (Vec::new(), Vec::new());
    for sheet in sheets {
        if sheet.visible != SheetVisible::Visible {
            warnings.push(format!("the sheet {:?} is hidden and left out", sheet.name));
            texts.push(String::new());
            continue;
        }
        let mut rows = SheetText { text: format!("{}\n", sheet.name), ..SheetText::default() };
        // Sheets of diagrams have no cells.
        if let Ok(mut cells) = book.worksheet_cells_reader(&sheet.name) {
            while let Some(cell) = cells.next_cell().map_err(broken)? {
                rows.push(cell.get_position(), &shown(cell.get_value()));
            }
        }
        texts.push(rows.end());
    }
    Ok(Pages { warnings, ..plain::of_texts(ENGINE, texts) })
}

/// The rows so far, and the one that is being written.
#[derive(Default)]
struct SheetText {
    text: String,
    line: String,
    row: u32,
    /// The column after the last cell.
    column: u32,
}

impl SheetText {
    fn push(&mut self, (row, column): (u32, u32), text: &str) {
        if text.trim().is_empty() {
            return;
        }
        if row != self.row {
            self.end_row();
            (self.row, self.column) = (row, 0);
        }
        let gaps = column.saturating_sub(self.column).min(EMPTY_MAX) as usize;
        self.line.push_str(&GAP.repeat(gaps));
        self.line.push_str(&text.replace(['\n', '\r'], " "));
        self.line.push_str(GAP);
        self.column = column + 1;
    }

    fn end_row(&mut self) {
        let line = std::mem::take(&mut self.line);
        if !line.trim().is_empty() {
            self.text.push_str(line.trim_end());
            self.text.push('\n');
        }
    }

    fn end(mut self) -> String {
        self.end_row();
        self.text
    }
}

/// A value as people write it down: numbers with all their digits, days as ISO 8601 has them.
fn shown(value: &DataRef<'_>) -> String {
    match value {
        DataRef::Int(number) => number.to_string(),
        // 15 digits are what Excel shows; what is beyond them comes from binary fractions.
        DataRef::Float(number) => format!("{number:.14e}").parse().unwrap_or(*number).to_string(),
        DataRef::String(text) | DataRef::DateTimeIso(text) | DataRef::DurationIso(text) => {
            text.clone()
        }
        DataRef::SharedString(text) => (*text).to_owned(),
        DataRef::Bool(is_true) => is_true.to_string(),
        DataRef::DateTime(time) => time_shown(time),
        DataRef::Error(_) | DataRef::Empty => String::new(),
    }
}

fn time_shown(time: &ExcelDateTime) -> String {
    if time.is_duration() {
        let seconds = (time.as_f64() * 86_400.0).round() as i64;
        return format!("{}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
    }
    let (year, month, day, hour, minute, second, _) = time.to_ymd_hms_milli();
    let clock = format!("{hour:02}:{minute:02}:{second:02}");
    match (time.as_f64() < 1.0, clock.as_str()) {
        (true, _) => clock,
        (false, "00:00:00") => format!("{year:04}-{month:02}-{day:02}"),
        (false, _) => format!("{year:04}-{month:02}-{day:02} {clock}"),
    }
}
