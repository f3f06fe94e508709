//! XML of any kind, such as an electronic invoice: a row for each element with text, with the names that
//! lead to it.

use super::markup::{broken, referred};
use super::{e_invoice::EInvoice, limits::TextError, pages::Pages, plain};
use encoding_rs::Encoding;
use quick_xml::{Reader, events::Event};

/// Part of replay keys: change it whenever the same bytes give other pages.
const ENGINE: &str = "xml-1";

/// Between names and text.
const GAP: &str = "   ";
/// So many of the names that lead to a text stand before it.
const NAMES_MAX: usize = 3;
/// Deeper than this nothing is nested that people write.
const DEPTH_MAX: usize = 500;

/// One element that is open.
struct Open {
    name: String,
    /// `key=value`, where it has attributes that say something of its text.
    attributes: String,
    text: String,
}

/// Reads all texts. Entities but XML's own are left out.
pub(super) fn read(bytes: &[u8], charset: Option<&'static Encoding>) -> Result<Pages, TextError> {
    let xml = plain::decode(bytes, charset)?;
    let mut reader = Reader::from_str(&xml);
    let (mut open, mut page): (Vec<Open>, String) = (Vec::new(), String::new());
    loop {
        let text = match reader.read_event().map_err(broken)? {
            Event::Start(start) if open.len() < DEPTH_MAX => {
                open.push(opened(&start));
                continue;
            }
            Event::Start(_) => {
                let why = format!("its XML is nested more than {DEPTH_MAX} deep");
                return Err(TextError::Unreadable(why));
            }
            Event::Empty(start) => {
                open.push(opened(&start));
                end(&mut open, &mut page);
                continue;
            }
            Event::End(_) => {
                end(&mut open, &mut page);
                continue;
            }
            Event::Text(text) => text.xml_content(Default::default()).into_owned(),
            Event::CData(text) => text.xml_content(Default::default()).into_owned(),
            Event::GeneralRef(name) => referred(&name)?,
            Event::Eof => break,
            _ => continue,
        };
        open.last_mut().into_iter().for_each(|element| element.text.push_str(&text));
    }
    let mut pages = plain::of_texts(ENGINE, [page]);
    match EInvoice::of_xml(&xml) {
        Ok(invoice) => pages.carry(invoice),
        Err(why) => pages.warnings.push(format!("its electronic invoice is not read: {why}")),
    }
    Ok(pages)
}

fn opened(start: &quick_xml::events::BytesStart<'_>) -> Open {
    let mut attributes = String::new();
    for attribute in start.attributes().with_checks(false).flatten() {
        let key = attribute.key.as_ref();
        // Where a schema is says nothing of what is told.
        if key.starts_with("xmlns") || key.starts_with("xsi:") {
            continue;
        }
        let value = attribute.normalized_value(Default::default()).unwrap_or_default();
        attributes.push_str(&format!(" {}={value}", attribute.key.local_name().as_ref()));
    }
    Open { name: start.local_name().as_ref().to_owned(), attributes, text: String::new() }
}

/// An element ends: what it says becomes a row.
fn end(open: &mut Vec<Open>, page: &mut String) {
    let Some(element) = open.last() else { return };
    let text: Vec<&str> = element.text.split_whitespace().collect();
    let text = text.join(" ");
    if !text.is_empty() || !element.attributes.is_empty() {
        let names = open.iter().skip(1.max(open.len().saturating_sub(NAMES_MAX)));
        let names: Vec<&str> = names.map(|element| element.name.as_str()).collect();
        let row = format!("{}{}{GAP}{text}", names.join(" / "), element.attributes);
        page.push_str(row.trim_end());
        page.push('\n');
    }
    open.pop();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_text_is_a_row_with_the_names_that_lead_to_it() {
        let invoice = "<?xml version=\"1.0\"?><Invoice xmlns=\"urn:x\" xmlns:cbc=\"urn:y\">\
            <cbc:ID>R-1</cbc:ID><cac:Total><cbc:Amount currencyID=\"EUR\">119.00</cbc:Amount>\
            <cbc:Note>Tea &amp;\n cake</cbc:Note></cac:Total><Empty/></Invoice>";
        let pages = read(invoice.as_bytes(), None).unwrap();
        let expected =
            "ID   R-1\nTotal / Amount currencyID=EUR   119.00\nTotal / Note   Tea & cake\n";
        assert_eq!(pages.pages[0].text, expected);
    }

    #[test]
    fn nothing_grows_and_nothing_is_nested_without_end() {
        let bomb = "<!DOCTYPE x [<!ENTITY a SYSTEM \"file:///etc/passwd\">]><x><y>1&a;2</y></x>";
        assert_eq!(read(bomb.as_bytes(), None).unwrap().pages[0].text, "y   12\n");
        assert!(read("<x>".repeat(100_000).as_bytes(), None).is_err());
        assert!(read(b"<x><y></x>", None).is_err());
        assert_eq!(read(b"<?xml version=\"1.0\"?>", None).unwrap().pages[0].text, "");
    }
}
