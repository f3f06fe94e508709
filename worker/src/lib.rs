//! Turns accepted documents into typed results. A module uses only modules listed above it.

pub mod chat;
