//! Reads the text of a document in a child process, so that a hostile file harms nothing else.
//!
//! Bytes and a format go in, `Pages` come out. It must know nothing of schemas, models or stores.
//! A module uses only modules listed above it.

pub mod limits;
mod layout;
mod plain;
mod html;
mod canvas;
mod pdf;
mod pdf_extract;
mod sandbox;
pub mod child;
mod answer;
mod child_process;
pub mod reader;

#[cfg(test)]
mod tests;
#[cfg(test)]
mod sandbox_tests;
