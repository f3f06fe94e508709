//! What the queue carries: a CloudEvents 1.0 envelope with ids only. A message is a doorbell; the
//! row in the database is the truth.

use crate::document::DocumentId;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The type of the envelope.
pub const TYPE: &str = "com.sluice.document.accepted";

/// "Look at this document": a CloudEvents 1.0 envelope in JSON (structured mode).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobMessage {
    /// Always `1.0`.
    pub specversion: String,
    /// Unique for each ring.
    pub id: String,
    /// Who sends it.
    pub source: String,
    /// Always [`TYPE`].
    #[serde(rename = "type")]
    pub kind: String,
    /// When it was written.
    pub time: Timestamp,
    /// The document to look at.
    pub subject: DocumentId,
}

impl JobMessage {
    /// The `ring`-th message (an id of the outbox) that asks to look at `document`.
    pub fn new(document: DocumentId, ring: i64, time: Timestamp) -> Self {
        Self {
            specversion: "1.0".to_owned(),
            id: format!("{document}-{ring}"),
            source: "/sluice/outbox".to_owned(),
            kind: TYPE.to_owned(),
            time,
            subject: document,
        }
    }
}
