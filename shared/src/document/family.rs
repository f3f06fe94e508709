//! Documents that are made of a document: the files that it carries, and ranges of its pages.

use super::DocumentId;
use crate::schema::hexadecimal;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::{fmt, str::FromStr};
use utoipa::ToSchema;

/// The document that another one was made of, and what of it that is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Parent {
    /// The document.
    pub id: DocumentId,
    /// What of it: its only other member in JSON, `attachment` or `pages`.
    #[serde(flatten)]
    pub part: Part,
}

/// What of a document another one was made of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// A file that it carries, by its name.
    Attachment(String),
    /// Some of its pages.
    Pages(PageRange),
}

/// Pages that follow each other, counted from 1 within the file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PageRange {
    /// The first one.
    pub first: u32,
    /// The last one.
    pub last: u32,
}

impl PageRange {
    /// How many they are.
    pub fn count(self) -> u32 {
        self.last.saturating_add(1).saturating_sub(self.first)
    }

    /// Whether this page is one of them.
    pub fn contains(self, page: u32) -> bool {
        (self.first..=self.last).contains(&page)
    }
}

impl fmt::Display for PageRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.first == self.last {
            true => write!(f, "page {}", self.first),
            false => write!(f, "pages {} to {}", self.first, self.last),
        }
    }
}

impl DocumentId {
    /// The id of a document that is made of this one: of its part with this number, whose content
    /// `content` identifies. It is the same whenever it is made again, and sorts by the time of this
    /// one, then by number.
    pub fn of_part(&self, number: u32, content: &str) -> Self {
        let digest = Sha256::digest(format!("{self}\n{number}\n{content}"));
        let digest = hexadecimal(&digest);
        // A UUIDv7 (RFC 9562, 5.7): its time, its version, and the number in place of chance.
        let time = self.as_str().get(4..16).unwrap_or_default();
        let hash = digest.get(..15).unwrap_or_default();
        Self(format!("doc_{time}7{:03x}8{hash}", number & 0xfff))
    }
}

/// What becomes of a file that holds several documents, such as a stack that was scanned at once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SplitMode {
    /// Each becomes a document of its own, with a result of its own.
    Auto,
    /// There is one result of all pages, with a warning.
    #[default]
    Warn,
    /// There is one result of all pages.
    Off,
}

impl SplitMode {
    /// The name in JSON and in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Warn => "warn",
            Self::Off => "off",
        }
    }
}

/// The text was not the name of a way to split.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is no way to split a file: use auto, warn or off")]
pub struct NotASplitMode(String);

impl FromStr for SplitMode {
    type Err = NotASplitMode;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = [Self::Auto, Self::Warn, Self::Off].into_iter().find(|m| m.as_str() == text);
        found.ok_or_else(|| NotASplitMode(text.chars().take(64).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_id_of_a_part_is_always_the_same_and_sorts_with_its_document() {
        let parent: DocumentId = "doc_0193a1c2f0b47d3e9a51c0ffee123456".parse().unwrap();
        let ids: Vec<_> = (0..300).map(|number| parent.of_part(number, "a")).collect();
        assert!(ids.is_sorted());
        assert!(ids.iter().all(|id| id.as_str().parse::<DocumentId>().is_ok()));
        assert_eq!(parent.of_part(7, "a"), ids[7]);
        assert_ne!(parent.of_part(7, "b"), ids[7]);
        let later: DocumentId = "doc_0193a1c2f0b57d3e9a51c0ffee123456".parse().unwrap();
        assert!(ids[299] < later && later.of_part(7, "a") > later.of_part(6, "a"));
    }

    #[test]
    fn a_parent_says_what_was_made_of_it() {
        let id: DocumentId = "doc_0193a1c2f0b47d3e9a51c0ffee123456".parse().unwrap();
        let check = |part: Part, expected: serde_json::Value| {
            let parent = Parent { id: id.clone(), part };
            assert_eq!(serde_json::to_value(&parent).unwrap(), expected);
            assert_eq!(serde_json::from_value::<Parent>(expected).unwrap(), parent);
        };
        check(Part::Attachment("a.pdf".into()), json!({ "id": id, "attachment": "a.pdf" }));
        let pages = PageRange { first: 3, last: 4 };
        check(Part::Pages(pages), json!({ "id": id, "pages": { "first": 3, "last": 4 } }));
    }
}
