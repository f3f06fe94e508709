//! How much each member has written into a state, so that what is written twice counts once: a
//! member that gets no answer to a write cannot know whether it was made.
//!
//! It must know nothing of what is written.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Nothing is written again so long after.
const KEPT_MS: f64 = 120_000.0;

/// How much one member has written, and when it last did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Published {
    /// Of how calls ended, all before this one.
    pub(crate) settlements: u64,
    /// Of what it sent without asking, all before this one.
    pub(crate) sent: u64,
    pub(crate) at: f64,
}

/// All members that wrote lately.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct PublishedCounts(BTreeMap<u64, Published>);

impl PublishedCounts {
    pub(super) fn of(&self, writer: u64) -> Published {
        self.0.get(&writer).copied().unwrap_or_default()
    }

    pub(super) fn set(&mut self, writer: u64, published: Published) {
        self.0.insert(writer, published);
        self.0.retain(|_, other| other.at + KEPT_MS > published.at);
    }

    /// Moves all times.
    pub(super) fn shift(&mut self, by_ms: f64) {
        self.0.values_mut().for_each(|published| published.at += by_ms);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_long_ago_is_forgotten() {
        let one = |settlements, at| Published { settlements, sent: 0, at };
        let mut published = PublishedCounts::default();
        published.set(1, one(5, 0.0));
        published.set(2, one(7, KEPT_MS - 1.0));
        let settlements = |published: &PublishedCounts, writer| published.of(writer).settlements;
        assert_eq!([1, 2, 3].map(|writer| settlements(&published, writer)), [5, 7, 0]);
        published.set(2, one(8, KEPT_MS));
        assert_eq!([1, 2].map(|writer| settlements(&published, writer)), [0, 8]);
        let text = serde_json::to_string(&published).unwrap();
        assert_eq!(serde_json::from_str::<PublishedCounts>(&text).unwrap(), published);
    }
}
