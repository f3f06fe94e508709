//! The text of a document by page: what every format comes to.
//!
//! Plain data. It must know nothing of how text is read.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The text of a document, page by page.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Pages {
    /// What read it: name and version of the engine, for example `hayro-0.9+rows-1`.
    pub engine: String,
    /// The pages in order.
    pub pages: Vec<Page>,
    /// What was odd about the document but did not stop it.
    #[serde(default)]
    pub warnings: Vec<String>,
}

impl Pages {
    /// The numbers of the pages on which there is no text.
    pub fn without_text(&self) -> Vec<u32> {
        let empty = |page: &&Page| page.text.trim().is_empty();
        self.pages.iter().filter(empty).map(|page| page.number).collect()
    }

    /// Whether something that stands on the pages was not read.
    pub fn are_incomplete(&self) -> bool {
        self.pages.iter().any(|page| page.error.is_some() || page.is_picture)
    }
}

/// The text of one page.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Page {
    /// Counted from 1.
    pub number: u32,
    /// The visible text in reading order: one printed row a line, columns three spaces apart.
    pub text: String,
    /// Why this page could not be read, when it could not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Whether the page is a picture, as of a scanner: what it shows was not read.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_picture: bool,
}
