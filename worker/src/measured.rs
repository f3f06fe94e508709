//! What a worker measures of its own work: the calls that wait for room, and what its last documents
//! took.
//!
//! It must know nothing of who is told.

use shared::{extraction::Extraction, fleet::Recent};
use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

/// The documents of each deployment whose means are reported.
const RECENT_MAX: usize = 200;

/// The calls that wait for room, by model. Cheap to clone: clones are the same count.
#[derive(Clone, Debug, Default)]
pub struct Waits {
    calls: Arc<Mutex<BTreeMap<String, u32>>>,
}

/// A call that waits until this is dropped.
#[derive(Debug)]
pub struct Wait {
    waits: Waits,
    model: String,
}

impl Waits {
    /// A call begins to wait for this model.
    pub fn enter(&self, model: &str) -> Wait {
        self.change(model, |calls| calls.saturating_add(1));
        Wait { waits: self.clone(), model: model.to_owned() }
    }

    /// How many wait for this model.
    pub fn calls(&self, model: &str) -> u32 {
        let calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        calls.get(model).copied().unwrap_or_default()
    }

    fn change(&self, model: &str, change: impl FnOnce(u32) -> u32) {
        let mut calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        let count = calls.entry(model.to_owned()).or_default();
        *count = change(*count);
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        self.waits.change(&self.model, |calls| calls.saturating_sub(1));
    }
}

/// What the last documents took that were paid for, by the deployment that answered. Cheap to clone:
/// clones learn together.
#[derive(Clone, Debug, Default)]
pub struct RecentDocuments {
    documents: Arc<Mutex<BTreeMap<String, VecDeque<Recent>>>>,
}

impl RecentDocuments {
    /// Learns from a result. One for which nothing was paid says nothing about quota.
    pub fn learn(&self, extraction: &Extraction) {
        let (usage, timings) = (&extraction.usage, &extraction.timings_ms);
        if usage.calls == 0 {
            return;
        }
        let work = timings.total.saturating_sub(timings.queued + timings.waited_for_quota);
        let document = Recent {
            documents: 1,
            tokens: usage.tokens_input.saturating_add(usage.tokens_output),
            calls: usage.calls.into(),
            seconds: Duration::from_millis(work).as_secs_f64(),
        };
        let mut all = self.documents.lock().unwrap_or_else(PoisonError::into_inner);
        let last = all.entry(extraction.model.deployment.clone()).or_default();
        if last.len() == RECENT_MAX {
            last.pop_front();
        }
        last.push_back(document);
    }

    /// The sums over the last documents of a deployment.
    pub fn of(&self, deployment: &str) -> Recent {
        let all = self.documents.lock().unwrap_or_else(PoisonError::into_inner);
        all.get(deployment).into_iter().flatten().fold(Recent::default(), Recent::and)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use shared::{
        document::DocumentState,
        extraction::{ModelUsed, TextUsed, Timings, Usage},
    };

    #[test]
    fn a_call_waits_until_its_wait_is_dropped() {
        let waits = Waits::default();
        let (first, second) = (waits.enter("a"), waits.enter("a"));
        let other = waits.enter("b");
        assert_eq!((waits.calls("a"), waits.calls("b"), waits.calls("c")), (2, 1, 0));
        drop(first);
        drop(other);
        assert_eq!((waits.calls("a"), waits.calls("b")), (1, 0));
        drop(second);
        assert_eq!(waits.calls("a"), 0);
    }

    #[test]
    fn the_last_paid_documents_of_a_deployment_are_remembered() {
        let document = |deployment: &str, calls, tokens_input| Extraction {
            document: "doc_0193a1c2f0b47d3e9a51c0ffee123456".parse().unwrap(),
            schema: "invoice@1".parse().unwrap(),
            state: DocumentState::Succeeded,
            data: serde_json::Value::Null,
            fields: BTreeMap::new(),
            checks: Vec::new(),
            usage: Usage { calls, tokens_input, tokens_output: 10, ..Usage::default() },
            model: ModelUsed { deployment: deployment.to_owned(), ..ModelUsed::default() },
            text: TextUsed::default(),
            timings_ms: Timings {
                queued: 500,
                waited_for_quota: 1_000,
                total: 3_500,
                ..Timings::default()
            },
            warnings: Vec::new(),
        };
        let recent = RecentDocuments::default();
        recent.learn(&document("a", 2, 90));
        recent.learn(&document("b", 1, 40));
        // A replay says nothing about what a document charges.
        recent.learn(&document("a", 0, 0));
        assert_eq!(recent.of("a"), Recent { documents: 1, tokens: 100, calls: 2, seconds: 2.0 });
        assert_eq!(recent.of("c"), Recent::default());
        for _ in 0..RECENT_MAX {
            recent.learn(&document("a", 1, 40));
        }
        let expected = Recent { documents: 200, tokens: 10_000, calls: 200, seconds: 400.0 };
        assert_eq!(recent.of("a"), expected, "the first one is forgotten");
    }
}
