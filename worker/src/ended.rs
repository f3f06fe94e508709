//! What logs, metrics and the worker's report say about a document that has ended.

use crate::worker::Worker;
use pool::LabelValues;
use shared::{
    document::{DocumentState, Failure},
    extraction::Extraction,
    job::Claim,
};
use std::{collections::BTreeMap, time::Duration};

/// The schemas that are shown by name.
static SCHEMAS: LabelValues = LabelValues::new();

/// The document has a result.
pub(crate) fn succeeded(
    worker: &Worker,
    claim: &Claim,
    state: DocumentState,
    extraction: &Extraction,
) {
    tracing::info!(document = %claim.document, %state, "the document has ended");
    worker.recent.learn(extraction);
    let schema = count(claim, state.as_str());
    let timings = &extraction.timings_ms;
    let stages = [
        ("queued", timings.queued),
        ("text", timings.text),
        ("quota", timings.waited_for_quota),
        ("model", timings.model),
        ("total", timings.total),
    ];
    for (stage, ms) in stages {
        let labels = [("stage", stage), ("priority", claim.priority.as_str())];
        let seconds = Duration::from_millis(ms).as_secs_f64();
        metrics::histogram!("sluice_document_seconds", &labels).record(seconds);
    }
    let mut fields: BTreeMap<&str, u64> = BTreeMap::new();
    for field in extraction.fields.values() {
        *fields.entry(field.status.as_str()).or_default() += 1;
    }
    for (status, count) in fields {
        let labels = [("schema", schema.clone()), ("status", status.to_owned())];
        metrics::counter!("sluice_fields_total", &labels).increment(count);
    }
    let broken = extraction.checks.iter().filter(|check| check.ok == Some(false)).count();
    metrics::counter!("sluice_checks_failed_total", "schema" => schema).increment(broken as u64);
}

/// The document was split: those that were made of it go on.
pub(crate) fn split(claim: &Claim) {
    tracing::info!(document = %claim.document, "the document was split");
    count(claim, DocumentState::Split.as_str());
}

/// The document has failed.
pub(crate) fn failed(claim: &Claim, failure: &Failure) {
    let message = &failure.message;
    tracing::info!(document = %claim.document, message, "the document failed");
    count(claim, DocumentState::Failed.as_str());
}

/// Counts an end, and gives the label of the schema.
fn count(claim: &Claim, state: &'static str) -> String {
    let schema = SCHEMAS.bounded(claim.schema.name.as_str());
    let labels = [("state", state.to_owned()), ("schema", schema.clone())];
    metrics::counter!("sluice_documents_total", &labels).increment(1);
    schema
}
