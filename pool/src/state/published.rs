//! How much each worker has told a state, so that what is told twice counts once: whoever writes
//! and gets no answer cannot know whether it was written.
//!
//! It must know nothing of what is told.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Nothing is told again so long after.
const KEPT_MS: f64 = 120_000.0;

/// How much one worker has told, and when it last did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Published {
    /// Of how calls ended, all before this one.
    pub(crate) settlements: u64,
    /// Of what it sent without asking, all before this one.
    pub(crate) sent: u64,
    pub(crate) at: f64,
}

/// All that told something lately.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct PublishedCounts(BTreeMap<u64, Published>);

impl PublishedCounts {
    pub(super) fn of(&self, writer: u64) -> Published {
        self.0.get(&writer).copied().unwrap_or_default()
    }

    pub(super) fn tell(&mut self, writer: u64, told: Published) {
        self.0.insert(writer, told);
        self.0.retain(|_, other| other.at + KEPT_MS > told.at);
    }

    /// Moves all times.
    pub(super) fn shift(&mut self, by_ms: f64) {
        self.0.values_mut().for_each(|told| told.at += by_ms);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_told_long_ago_is_forgotten() {
        let told = |settlements, at| Published { settlements, sent: 0, at };
        let mut published = PublishedCounts::default();
        published.tell(1, told(5, 0.0));
        published.tell(2, told(7, KEPT_MS - 1.0));
        assert_eq!(
            (published.of(1).settlements, published.of(2).settlements, published.of(3).settlements),
            (5, 7, 0)
        );
        published.tell(2, told(8, KEPT_MS));
        assert_eq!((published.of(1).settlements, published.of(2).settlements), (0, 8));
        let text = serde_json::to_string(&published).unwrap();
        assert_eq!(serde_json::from_str::<PublishedCounts>(&text).unwrap(), published);
    }
}
