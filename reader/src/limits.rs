//! What reading one document may cost, and why a document has no text.
//!
//! Plain data, for parent and child. It must know nothing of formats, engines and processes.

use serde::{Deserialize, Serialize};
use std::time::Duration;

/// What reading one document may cost.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Address space of the child, all of it: program, stacks, document and text.
    pub memory_bytes_max: u64,
    /// Processor time for one document.
    pub cpu_seconds_max: u64,
    /// Time on the clock for one document, from the first byte sent to the last byte answered.
    pub wall: Duration,
    /// The answer: the text of all pages, as JSON.
    pub output_bytes_max: u64,
    /// Pages of one document.
    pub pages_max: u32,
    /// The file.
    pub input_bytes_max: u64,
    /// Pixels of an image file's page before it is scaled down.
    pub image_pixels_max: u64,
    /// A page's image as PNG.
    pub image_bytes_max: u64,
    /// Processor time for OCR of one page.
    pub ocr_seconds_max: u64,
    /// Pages of one document that are read by OCR.
    pub ocr_pages_max: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory_bytes_max: 1 << 30,
            cpu_seconds_max: 10,
            wall: Duration::from_secs(20),
            output_bytes_max: 64 << 20,
            pages_max: 2000,
            input_bytes_max: 100 << 20,
            image_pixels_max: 64_000_000,
            image_bytes_max: 16 << 20,
            ocr_seconds_max: 60,
            ocr_pages_max: 200,
        }
    }
}

/// One of the limits.
#[derive(Clone, Copy, Debug)]
pub(super) enum Limit {
    Memory,
    Cpu,
    Wall,
    Output,
    Input,
    Pixels,
    Image,
}

impl Limits {
    /// Time on the clock for OCR of one page: more than its processor time, as its reading has.
    pub(super) fn ocr_wall(&self) -> Duration {
        Duration::from_secs(self.ocr_seconds_max.saturating_mul(2))
    }

    /// The error for a document that took more than this.
    pub(super) fn exceeded(&self, limit: Limit) -> TextError {
        TextError::LimitExceeded(match limit {
            Limit::Memory => format!("{} MiB of memory", self.memory_bytes_max >> 20),
            Limit::Cpu => format!("{} s of processor time", self.cpu_seconds_max),
            Limit::Wall => format!("{} s of time", self.wall.as_secs()),
            Limit::Output => format!("{} bytes of text", self.output_bytes_max),
            Limit::Pixels => format!("{} pixels of an image", self.image_pixels_max),
            Limit::Image => format!("{} bytes of a page's image", self.image_bytes_max),
            Limit::Input => format!("{} bytes of file", self.input_bytes_max),
        })
    }
}

/// Why there is no text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum TextError {
    /// The document opens only with a password.
    #[error("the document is encrypted and opens only with a password")]
    PasswordRequired,
    /// The document is damaged, or reading it broke the reader.
    #[error("the document cannot be read: {0}")]
    Unreadable(String),
    /// What the document is about stands in nothing that is read.
    #[error("the document is not supported: {0}")]
    Unsupported(String),
    /// The document has too many pages. None was read.
    #[error("the document has {pages} pages; at most {max} are read")]
    TooManyPages {
        /// How many it has.
        pages: u32,
        /// How many are allowed.
        max: u32,
    },
    /// Reading took more than is allowed of what is named, for example `20 s of processor time`.
    #[error("reading the document takes more than {0}")]
    LimitExceeded(String),
    /// No child could be started: an outage, not the fault of the document.
    #[error("no child process could be started to read text: {0}")]
    Unavailable(String),
}

impl TextError {
    /// The name in metrics.
    pub(super) fn label(&self) -> &'static str {
        match self {
            Self::PasswordRequired => "password_required",
            Self::Unreadable(_) => "unreadable_document",
            Self::Unsupported(_) => "unsupported_document",
            Self::TooManyPages { .. } => "too_many_pages",
            Self::LimitExceeded(_) => "text_limit_exceeded",
            Self::Unavailable(_) => "unavailable",
        }
    }
}
