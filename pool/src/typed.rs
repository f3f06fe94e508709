//! Typed calls: a question with a JSON Schema, its reply, and the ways to ask a deployment for JSON.

pub mod usage;
pub mod chat;
pub mod json;
pub mod mode;
pub(crate) mod form;
