//! Typed calls: a question with a JSON Schema, its reply, and the ways to ask a deployment for JSON.

pub mod usage;
pub mod effort;
pub mod schema_size;
pub mod json;
pub mod image;
pub mod chat;
pub mod mode;
pub mod dialect;
pub(crate) mod stream;
pub(crate) mod form;
