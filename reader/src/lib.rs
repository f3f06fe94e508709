//! Reads the text of a document in a child process, so that a hostile file harms nothing else.
//!
//! Bytes and a format go in, [`Pages`] come out. It must know nothing of schemas, models or stores,
//! and uses no other crate of ours. A module uses only modules listed above it.

mod series;
mod charset;
mod format;
mod file_type;
mod e_invoice;
mod pages;
mod limits;
mod panic;
mod picture;
mod layout;
mod plain;
mod html;
mod rtf;
mod email;
mod container;
mod markup;
mod xml;
mod sheets;
mod office;
mod surface;
mod canvas;
mod pdf_string;
mod attached;
mod letters;
mod form;
mod cover;
mod second;
mod pdf;
mod pdf_extract;
mod render;
mod image_file;
mod files;
mod sandbox;
mod tesseract;
mod hocr;
mod ocr_child;
mod scanned;
mod child;
mod answer;
mod child_process;
mod ocr;
mod parent;
#[cfg(fuzzing)]
pub mod fuzz;

pub use child::main as child_main;
pub use e_invoice::{EInvoice, PartyRole, Syntax, Term, TermGroup, Terms};
pub use file_type::FileType;
pub use files::Engine;
pub use format::Format;
pub use limits::{Limits, TextError};
pub use pages::{Bounds, FormField, FormValue, Member, Origin, Page, Pages, Word};
pub use parent::{Children, Scanning, TextReader};
pub use picture::{PageImage, SIDE_MAX};
pub use series::describe_metrics;
pub use tesseract::{OcrError, Tesseract};

#[cfg(test)]
mod sandbox_tests;
#[cfg(test)]
mod tests;
