//! The pages of a TIFF: the decoder reads only the first, so each is made the first one.
//!
//! TIFF 6.0, section 2, and BigTIFF, whose offsets have eight bytes.

use crate::limits::TextError;
use std::{borrow::Cow, collections::HashSet};

/// How numbers are written, and how long offsets are.
#[derive(Clone, Copy)]
struct Layout {
    is_little: bool,
    is_big: bool,
}

/// Where the directory of each page begins, in their order.
///
/// # Errors
/// When the chain of pages is broken before the first, or has more of them than allowed.
pub(super) fn directories(bytes: &[u8], pages_max: u32) -> Result<Vec<u64>, TextError> {
    let broken = || TextError::Unreadable("the image has no pages".to_owned());
    let layout = layout(bytes).ok_or_else(broken)?;
    let mut next = layout.offset(bytes, layout.first());
    let mut seen = HashSet::new();
    let mut directories = Vec::new();
    while let Some(at) = next.filter(|at| *at != 0 && seen.insert(*at)) {
        let Some(entries) = layout.entries(bytes, at) else { break };
        if directories.len() as u64 >= u64::from(pages_max) {
            let pages = pages_max.saturating_add(1);
            return Err(TextError::TooManyPages { pages, max: pages_max });
        }
        directories.push(at);
        next = layout.offset(bytes, entries);
    }
    if directories.is_empty() { Err(broken()) } else { Ok(directories) }
}

/// The file with this directory as its first.
pub(super) fn beginning_at(bytes: &[u8], directory: u64) -> Cow<'_, [u8]> {
    let Some(layout) = layout(bytes) else { return Cow::Borrowed(bytes) };
    if layout.offset(bytes, layout.first()) == Some(directory) {
        return Cow::Borrowed(bytes);
    }
    let mut bytes = bytes.to_vec();
    let width = layout.width();
    let written = match layout.is_little {
        true => directory.to_le_bytes()[..width].to_vec(),
        false => directory.to_be_bytes()[8 - width..].to_vec(),
    };
    let place = usize::try_from(layout.first()).unwrap_or_default();
    if let Some(first) = bytes.get_mut(place..place + width) {
        first.copy_from_slice(&written);
    }
    Cow::Owned(bytes)
}

fn layout(bytes: &[u8]) -> Option<Layout> {
    match bytes.get(..4)? {
        b"II*\0" => Some(Layout { is_little: true, is_big: false }),
        b"MM\0*" => Some(Layout { is_little: false, is_big: false }),
        b"II+\0" => Some(Layout { is_little: true, is_big: true }),
        b"MM\0+" => Some(Layout { is_little: false, is_big: true }),
        _ => None,
    }
}

impl Layout {
    /// Bytes of an offset.
    fn width(self) -> usize {
        if self.is_big { 8 } else { 4 }
    }

    /// Where the offset of the first directory stands.
    fn first(self) -> u64 {
        if self.is_big { 8 } else { 4 }
    }

    fn offset(self, bytes: &[u8], at: u64) -> Option<u64> {
        self.number(bytes, at, self.width())
    }

    /// Where the entries of a directory end, and the offset of the next one stands.
    fn entries(self, bytes: &[u8], directory: u64) -> Option<u64> {
        let (count, entry) = if self.is_big { (8, 20) } else { (2, 12) };
        let entries = self.number(bytes, directory, count)?;
        let end = entries.checked_mul(entry)?.checked_add(directory)?.checked_add(count as u64)?;
        (end <= bytes.len() as u64).then_some(end)
    }

    fn number(self, bytes: &[u8], at: u64, width: usize) -> Option<u64> {
        let at = usize::try_from(at).ok()?;
        let digits = bytes.get(at..at.checked_add(width)?)?;
        let add = |number: u64, digit: &u8| number << 8 | u64::from(*digit);
        Some(match self.is_little {
            true => digits.iter().rev().fold(0, add),
            false => digits.iter().fold(0, add),
        })
    }
}
