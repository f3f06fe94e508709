//! Rows out of the XML of Office documents: paragraphs and rows of tables a line each, the cells three
//! spaces apart.
//!
//! Word, PowerPoint and OpenDocument say the same things under different names; each brings a table of
//! its names. No entities but XML's own five and characters by number are known, so none can grow.

use crate::limits::TextError;
use quick_xml::Reader;
use quick_xml::escape::resolve_predefined_entity;
use quick_xml::events::{BytesRef, BytesStart, Event, attributes::Attribute};

/// Between the cells of a row, and for a tabulator.
const GAP: &str = "   ";

/// What an element means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// What is inside is text to be read.
    Text,
    /// A line of its own.
    Paragraph,
    /// A line of its own, and what is inside is text to be read.
    TextParagraph,
    /// A row of a table.
    Row,
    /// A cell of such a row.
    Cell,
    /// A run of text, which may be hidden as a whole.
    Run,
    /// The run that it stands in is hidden.
    Hidden,
    /// A tabulator.
    Tab,
    /// So many spaces, by this attribute.
    Spaces(&'static str),
    /// A new line.
    Break,
    /// A new page, where it has this attribute with this value, and else a new line.
    PageBreakIf(&'static str, &'static str),
    /// Where the program that wrote it began a page, unless a page break has said so.
    PageSeen,
    /// Nothing inside is shown.
    Unseen,
    /// A character.
    Char(char),
    /// Nothing.
    Nothing,
}

/// The lines of one part.
#[derive(Debug, Default)]
pub(super) struct Rows {
    /// The text by page.
    pub(super) pages: Vec<String>,
    /// Whether some of it was hidden, and is left out.
    pub(super) has_hidden: bool,
}

/// What is open while a part is walked through.
#[derive(Default)]
struct Walk {
    pages: Vec<String>,
    line: String,
    /// The cells of the rows that are open, the outermost first.
    rows: Vec<Vec<String>>,
    /// The text of the run that is open, and whether it is hidden.
    run: Option<(String, bool)>,
    has_hidden: bool,
    /// How many elements of text are open: 0 where text does not count.
    texts: usize,
}

/// Reads a part of a document whose names mean this.
pub(super) fn read(xml: &str, meaning: impl Fn(&str) -> Meaning) -> Result<Rows, TextError> {
    let mut reader = Reader::from_str(xml);
    reader.config_mut().check_end_names = false;
    let mut walk = Walk { pages: vec![String::new()], ..Walk::default() };
    loop {
        match reader.read_event().map_err(broken)? {
            Event::Start(start) => match meaning(start.local_name().as_ref()) {
                Meaning::Unseen => {
                    reader.read_to_end(start.name()).map_err(broken)?;
                }
                meaning => walk.starts(meaning, &start),
            },
            Event::Empty(start) => {
                let meaning = meaning(start.local_name().as_ref());
                if meaning != Meaning::Unseen {
                    walk.starts(meaning, &start);
                    walk.ends(meaning);
                }
            }
            Event::End(end) => walk.ends(meaning(end.local_name().as_ref())),
            Event::Text(text) if walk.texts > 0 => walk.push(&text.xml_content(Default::default())),
            Event::CData(text) if walk.texts > 0 => {
                walk.push(&text.xml_content(Default::default()));
            }
            Event::GeneralRef(name) if walk.texts > 0 => walk.push(&referred(&name)?),
            Event::Eof => break,
            _ => {}
        }
    }
    walk.end_line();
    Ok(Rows { pages: walk.pages, has_hidden: walk.has_hidden })
}

/// What a reference stands for: a character by its number, or one of XML's own entities. Others are not
/// known, and stand for nothing.
pub(super) fn referred(reference: &BytesRef<'_>) -> Result<String, TextError> {
    let character = reference.resolve_char_ref().map_err(broken)?;
    let known = || resolve_predefined_entity(reference).unwrap_or_default().to_owned();
    Ok(character.map_or_else(known, String::from))
}

/// These attributes of every element of this name; empty where it has none. A name may have its prefix.
pub(super) fn elements<const N: usize>(
    xml: &str,
    name: &str,
    attributes: [&str; N],
) -> Result<Vec<[String; N]>, TextError> {
    let mut reader = Reader::from_str(xml);
    let mut found = Vec::new();
    loop {
        match reader.read_event().map_err(broken)? {
            Event::Start(start) | Event::Empty(start) if start.local_name().as_ref() == name => {
                found.push(attributes.map(|name| attribute(&start, name).unwrap_or_default()));
            }
            Event::Eof => return Ok(found),
            _ => {}
        }
    }
}

pub(super) fn broken(error: quick_xml::Error) -> TextError {
    TextError::Unreadable(format!("its XML: {error}"))
}

/// The value of an attribute; by its name with the prefix, or else whatever its prefix.
pub(super) fn attribute(element: &BytesStart<'_>, name: &str) -> Option<String> {
    let mut all = element.attributes();
    let all: Vec<Attribute<'_>> = all.with_checks(false).flatten().collect();
    let whole = all.iter().find(|attribute| attribute.key.as_ref() == name);
    let local = || all.iter().find(|attribute| attribute.key.local_name().as_ref() == name);
    let found = whole.or_else(local)?;
    Some(found.value.clone().into_owned())
}

impl Walk {
    fn starts(&mut self, meaning: Meaning, element: &BytesStart<'_>) {
        match meaning {
            Meaning::Text | Meaning::TextParagraph => self.texts += 1,
            Meaning::Row => {
                self.end_line();
                self.rows.push(Vec::new());
            }
            Meaning::Cell => {
                self.end_line();
                self.rows.last_mut().into_iter().for_each(|row| row.push(String::new()));
            }
            // A text box stands in a run, and has runs of its own.
            Meaning::Run => {
                self.end_run();
                self.run = Some((String::new(), false));
            }
            Meaning::Hidden => {
                let is_off = matches!(attribute(element, "val").as_deref(), Some("0" | "false"));
                self.run.iter_mut().for_each(|run| run.1 = !is_off);
            }
            Meaning::Tab => self.push(GAP),
            Meaning::Spaces(count) => {
                let count = attribute(element, count).and_then(|count| count.parse().ok());
                self.push(&" ".repeat(count.unwrap_or(1_usize).min(GAP.len())));
            }
            Meaning::Break => self.break_line(),
            Meaning::PageBreakIf(name, value) => {
                match attribute(element, name).as_deref() == Some(value) {
                    true => self.break_page(),
                    false => self.break_line(),
                }
            }
            Meaning::PageSeen if !self.is_at_start() => self.break_page(),
            Meaning::Char(character) => self.push(character.encode_utf8(&mut [0; 4])),
            Meaning::Paragraph | Meaning::PageSeen | Meaning::Unseen | Meaning::Nothing => {}
        }
    }

    fn ends(&mut self, meaning: Meaning) {
        match meaning {
            Meaning::Text => self.texts = self.texts.saturating_sub(1),
            Meaning::Run => self.end_run(),
            Meaning::Paragraph | Meaning::Cell => self.end_line(),
            Meaning::TextParagraph => {
                self.texts = self.texts.saturating_sub(1);
                self.end_line();
            }
            Meaning::Row => {
                self.end_line();
                let Some(row) = self.rows.pop() else { return };
                let cells: Vec<&str> = row.iter().map(|cell| cell.trim()).collect();
                self.line = cells.join(GAP).trim_end().to_owned();
                self.end_line();
            }
            _ => {}
        }
    }

    /// Whether nothing stands on the page yet.
    fn is_at_start(&self) -> bool {
        let run = self.run.as_ref().map_or("", |(run, _)| run);
        let texts = [self.pages.last().map_or("", String::as_str), &self.line, run];
        texts.iter().all(|text| text.trim().is_empty())
    }

    /// Line breaks of the file itself are spaces.
    fn push(&mut self, text: &str) {
        let text = &*text.replace(['\n', '\r', '\t'], " ");
        match &mut self.run {
            Some((run, _)) => run.push_str(text),
            None => self.line.push_str(text),
        }
    }

    fn end_run(&mut self) {
        match self.run.take() {
            Some((text, false)) => self.line.push_str(&text),
            Some((text, true)) => self.has_hidden |= !text.trim().is_empty(),
            None => {}
        }
    }

    /// A run goes on after a break in it, as hidden as it was.
    fn break_line(&mut self) {
        let is_hidden = self.run.as_ref().map(|run| run.1);
        self.end_run();
        self.end_line();
        self.run = is_hidden.map(|is_hidden| (String::new(), is_hidden));
    }

    /// No page begins inside a row: it stays on one line.
    fn break_page(&mut self) {
        self.break_line();
        if self.rows.is_empty() {
            self.pages.push(String::new());
        }
    }

    /// The line goes into the cell that is open, or else onto the page.
    fn end_line(&mut self) {
        let line = std::mem::take(&mut self.line);
        let line = line.trim_end();
        if let Some(cell) = self.rows.last_mut().and_then(|row| row.last_mut()) {
            if !cell.is_empty() && !line.is_empty() {
                cell.push(' ');
            }
            cell.push_str(line);
        } else if !line.is_empty()
            && let Some(page) = self.pages.last_mut()
        {
            page.push_str(line);
            page.push('\n');
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meaning(name: &str) -> Meaning {
        match name {
            "t" => Meaning::Text,
            "p" => Meaning::Paragraph,
            "r" => Meaning::Run,
            "hide" => Meaning::Hidden,
            "row" => Meaning::Row,
            "cell" => Meaning::Cell,
            "tab" => Meaning::Tab,
            "br" => Meaning::PageBreakIf("type", "page"),
            "seen" => Meaning::PageSeen,
            "gone" => Meaning::Unseen,
            _ => Meaning::Nothing,
        }
    }

    fn pages(xml: &str) -> Vec<String> {
        read(&format!("<x>{xml}</x>"), meaning).unwrap().pages
    }

    #[test]
    fn a_paragraph_is_a_line_and_a_row_of_a_table_is_one_too() {
        assert_eq!(pages("<p><t>Total </t><t>&amp; tax&#32;1</t></p><p/>"), ["Total & tax 1\n"]);
        let table = "<row><cell><p><t>2</t></p></cell><cell><p><t>Green</t></p><p><t>tea</t></p></cell>\
                     <cell/></row><row><cell><t>1</t></cell><cell><t>Cup</t></cell></row><p><t>End</t></p>";
        assert_eq!(pages(table), ["2   Green tea\n1   Cup\nEnd\n"]);
        let nested = "<row><cell><t>a</t><row><cell><t>b</t></cell><cell><t>c</t></cell></row></cell>\
                      <cell><t>d</t></cell></row>";
        assert_eq!(pages(nested), ["a b   c   d\n"]);
        assert_eq!(pages("<p><t>a</t><tab/><t>b</t><br/><t>c</t></p>"), ["a   b\nc\n"]);
    }

    #[test]
    fn what_is_hidden_or_gone_is_left_out_and_told() {
        let xml = "<x><p><r><hide/><t>secret</t></r><r><hide val=\"0\"/><t>seen</t></r></p>\
                   <gone><p><t>deleted</t></p></gone>outside</x>";
        let rows = read(xml, meaning).unwrap();
        assert_eq!((rows.pages, rows.has_hidden), (vec!["seen\n".to_owned()], true));
        let rows = read("<x><p><r><hide/><t> </t></r></p></x>", meaning).unwrap();
        assert!(!rows.has_hidden);
    }

    #[test]
    fn a_run_within_a_run_loses_neither() {
        let boxed = "<p><r><t>Total </t><p><r><t>box</t></r></p><t> 5</t></r></p>";
        assert_eq!(pages(boxed), ["Total box\n 5\n"]);
    }

    #[test]
    fn pages_begin_where_it_says_so_and_only_once() {
        let two = "<p><t>a</t><br type=\"page\"/></p><p><seen/><t>b</t></p>";
        assert_eq!(pages(two), ["a\n", "b\n"]);
        assert_eq!(pages("<p><r><t>a</t><seen/><t>b</t></r></p>"), ["a\n", "b\n"]);
        let row = "<row><cell><t>a</t><seen/><t>b</t></cell></row>";
        assert_eq!(pages(row), ["a b\n"]);
    }

    #[test]
    fn no_entity_grows_and_broken_xml_is_an_error() {
        let bomb =
            "<!DOCTYPE x [<!ENTITY a \"ha\"><!ENTITY b \"&a;&a;\">]><x><p><t>1&b;2</t></p></x>";
        assert_eq!(read(bomb, meaning).unwrap().pages, ["12\n"]);
        assert!(read("<x><p", meaning).is_err());
        assert_eq!(read("", meaning).unwrap().pages, [""]);
    }
}
