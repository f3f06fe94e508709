//! XML as a tree of elements, with limits: what an electronic invoice is read from.
//!
//! Names are without prefixes. A document type declaration is refused, so that no entity is ever
//! defined: invoices have none. It must know nothing of invoices.

use quick_xml::{
    Reader,
    escape::resolve_predefined_entity,
    events::{BytesRef, BytesStart, Event},
};

/// No invoice is nested deeper.
const DEPTH_MAX: usize = 64;

/// The most elements and attributes that are kept: some 10,000 items.
const NODES_MAX: usize = 500_000;

/// The longest text of an element that is kept, in bytes. What is longer is a file, or harm.
const TEXT_BYTES_MAX: usize = 16_384;

/// An element.
#[derive(Debug, Default)]
pub(super) struct Element {
    /// Without its prefix.
    pub(super) name: String,
    /// Names without prefixes, declarations of namespaces included.
    pub(super) attributes: Vec<(String, String)>,
    /// Its own text, without blanks around it; empty where that is too long.
    pub(super) text: String,
    pub(super) children: Vec<Element>,
}

/// The root of an XML document.
///
/// # Errors
/// Why it is not read.
pub(super) fn parse(xml: &str) -> Result<Element, String> {
    let mut reader = Reader::from_str(xml);
    let mut open = vec![Element::default()];
    let mut nodes = 0;
    loop {
        let event = reader.read_event().map_err(|error| error.to_string())?;
        if let Event::Start(start) | Event::Empty(start) = &event {
            let element = opened(start)?;
            nodes += 1 + element.attributes.len();
            if nodes > NODES_MAX {
                return Err(format!("it has more than {NODES_MAX} elements"));
            }
            open.push(element);
            if open.len() > DEPTH_MAX {
                return Err(format!("it is nested more than {DEPTH_MAX} deep"));
            }
        }
        let text = match event {
            Event::End(_) | Event::Empty(_) => {
                close(&mut open);
                continue;
            }
            Event::Text(text) => text.xml_content(Default::default()).into_owned(),
            Event::CData(text) => text.xml_content(Default::default()).into_owned(),
            Event::GeneralRef(name) => referred(&name)?,
            Event::DocType(_) => return Err("it declares a document type".to_owned()),
            Event::Eof => break,
            _ => continue,
        };
        if let Some(element) = open.last_mut()
            && element.text.len() <= TEXT_BYTES_MAX
        {
            element.text.push_str(&text);
        }
    }
    let (Some(mut document), true) = (open.pop(), open.is_empty()) else {
        return Err("it is cut off".to_owned());
    };
    match (document.children.pop(), document.children.is_empty()) {
        (Some(root), true) => Ok(root),
        _ => Err("it has not one root".to_owned()),
    }
}

fn opened(start: &BytesStart<'_>) -> Result<Element, String> {
    let mut attributes = Vec::new();
    for attribute in start.attributes() {
        let attribute = attribute.map_err(|error| error.to_string())?;
        let value = attribute.normalized_value(Default::default());
        let value = value.map_err(|error| error.to_string())?.into_owned();
        if value.len() <= TEXT_BYTES_MAX {
            attributes.push((attribute.key.local_name().as_ref().to_owned(), value));
        }
    }
    let name = start.local_name().as_ref().to_owned();
    Ok(Element { name, attributes, ..Element::default() })
}

fn close(open: &mut Vec<Element>) {
    let Some(mut element) = open.pop() else { return };
    element.text = match element.text.len() <= TEXT_BYTES_MAX {
        true => element.text.trim().to_owned(),
        false => String::new(),
    };
    if let Some(parent) = open.last_mut() {
        parent.children.push(element);
    }
}

fn referred(name: &BytesRef<'_>) -> Result<String, String> {
    let unknown = || "it uses an entity that XML does not define".to_owned();
    match name.resolve_char_ref().map_err(|error| error.to_string())? {
        Some(character) => Ok(character.to_string()),
        None => resolve_predefined_entity(name).map(str::to_owned).ok_or_else(unknown),
    }
}

impl Element {
    /// The text of an attribute.
    pub(super) fn attribute(&self, name: &str) -> Option<&str> {
        let mut named = self.attributes.iter().filter(|(own, _)| own == name);
        named.next().map(|(_, value)| value.trim())
    }

    /// The elements to which a path leads, such as `TaxTotal/TaxAmount`. A step may have a
    /// condition: `ID[@schemeID=VA]`, `Scheme[Tax.ID=VAT]`, or with `!=`.
    pub(super) fn select<'a>(&'a self, path: &str) -> Vec<&'a Self> {
        path.split('/').filter(|step| !step.is_empty()).fold(vec![self], |found, step| {
            let children = found.into_iter().flat_map(|element| &element.children);
            children.filter(|child| child.is_meant(step)).collect()
        })
    }

    fn is_meant(&self, step: &str) -> bool {
        let Some((name, condition)) = step.split_once('[') else { return self.name == step };
        let condition = condition.trim_end_matches(']');
        let Some((key, wanted)) = condition.split_once('=') else { return false };
        let (key, is_equal) = match key.strip_suffix('!') {
            Some(key) => (key, false),
            None => (key, true),
        };
        let value = match key.strip_prefix('@') {
            Some(attribute) => self.attribute(attribute),
            None => self.select(&key.replace('.', "/")).first().map(|found| found.text.as_str()),
        };
        let is_wanted = value.is_some_and(|value| value.eq_ignore_ascii_case(wanted));
        self.name == name && is_wanted == is_equal
    }
}
