//! Where a key is in a file.
//!
//! It must know nothing of what keys mean.

use toml_edit::{Document, Item, Table, TableLike, Value};

/// A part of a document.
#[derive(Clone, Copy)]
enum Node<'a> {
    Table(&'a Table),
    Item(&'a Item),
    Value(&'a Value),
}

impl<'a> Node<'a> {
    fn keys(self) -> Option<&'a dyn TableLike> {
        match self {
            Self::Table(table) => Some(table),
            Self::Item(item) => item.as_table_like(),
            Self::Value(value) => value.as_inline_table().map(|table| table as &dyn TableLike),
        }
    }

    fn element(self, index: usize) -> Option<(Self, Option<std::ops::Range<usize>>)> {
        if let Self::Item(Item::ArrayOfTables(tables)) = self {
            return tables.get(index).map(|table| (Self::Table(table), table.span()));
        }
        let array = match self {
            Self::Item(item) => item.as_array(),
            Self::Value(value) => value.as_array(),
            Self::Table(_) => None,
        };
        array?.get(index).map(|value| (Self::Value(value), value.span()))
    }
}

/// Where a path is in the file.
pub(super) struct SourcePosition {
    /// The line, from 1 on.
    pub(super) line: usize,
    /// Whether the path itself is there, and not only a section around it.
    pub(super) exact: bool,
}

/// Finds a path such as `deployments[1].endpoint`, or the nearest section around it where it is not
/// there itself. A last key may follow, which may have dots in it.
pub(super) fn find(
    document: &Document<&str>,
    path: &str,
    last: Option<&str>,
) -> Option<SourcePosition> {
    let mut node = Some(Node::Table(document.as_table()));
    let mut found = None;
    for part in path.split('.').filter(|part| !part.is_empty()) {
        let mut steps = part.split('[');
        node = node.and_then(|node| key(node, steps.next().unwrap_or_default(), &mut found));
        for index in steps.map_while(|step| step.trim_end_matches(']').parse::<usize>().ok()) {
            let element = node.and_then(|node| node.element(index));
            found = element.as_ref().and_then(|(_, span)| span.as_ref().map(|s| s.start)).or(found);
            node = element.map(|(node, _)| node);
        }
    }
    if let Some(last) = last {
        node = node.and_then(|node| key(node, last, &mut found));
    }
    found.map(|position| SourcePosition {
        line: line(document.raw(), position),
        exact: node.is_some(),
    })
}

fn key<'a>(node: Node<'a>, name: &str, found: &mut Option<usize>) -> Option<Node<'a>> {
    let (key, item) = node.keys()?.get_key_value(name)?;
    *found = key.span().map(|span| span.start).or(*found);
    Some(Node::Item(item))
}

/// The line of a position, from 1 on.
pub(super) fn line(text: &str, position: usize) -> usize {
    1 + text.bytes().take(position).filter(|byte| *byte == b'\n').count()
}
