//! What a database says when it could not do what it was asked.
//!
//! It must know nothing of either database.

/// The database could not do what it was asked.
#[derive(Clone, Debug, thiserror::Error)]
#[error("database: {text}")]
pub struct StoreError {
    pub(super) text: String,
    pub(super) is_lasting: bool,
}

impl StoreError {
    /// That of a file or of an address, which nobody brings back by waiting.
    pub(super) fn lasting(text: impl Into<String>) -> Self {
        Self { text: text.into(), is_lasting: true }
    }

    /// Whether trying again is in vain: a password, a name, a right or a certificate is wrong.
    pub fn is_lasting(&self) -> bool {
        self.is_lasting
    }
}
