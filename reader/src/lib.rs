//! Reads the text of a document in a child process, so that a hostile file harms nothing else.
//!
//! Bytes and a format go in, [`Pages`] come out. It must know nothing of schemas, models or stores,
//! and uses no other crate of ours. A module uses only modules listed above it.

pub mod charset;
mod format;
mod pages;
mod limits;
mod layout;
mod plain;
mod html;
mod canvas;
mod pdf;
mod pdf_extract;
mod sandbox;
mod child;
mod answer;
mod child_process;
mod parent;
#[cfg(fuzzing)]
pub mod fuzz;

pub use child::{Engine, main as child_main};
pub use format::{Format, is_email};
pub use limits::{Limits, TextError};
pub use pages::{Page, Pages};
pub use parent::{Children, TextReader};

#[cfg(test)]
mod sandbox_tests;
#[cfg(test)]
mod tests;
