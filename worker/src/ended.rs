//! What logs and metrics say about a document that has ended.

use shared::{
    document::{DocumentState, Failure},
    extraction::Timings,
    job::Claim,
};
use std::time::Duration;

/// The document has a result.
pub(crate) fn succeeded(claim: &Claim, state: DocumentState, timings: &Timings) {
    tracing::info!(document = %claim.document, %state, "the document has ended");
    count(claim, state.as_str());
    let stages = [
        ("queued", timings.queued),
        ("text", timings.text),
        ("quota", timings.waited_for_quota),
        ("model", timings.model),
        ("total", timings.total),
    ];
    for (stage, ms) in stages {
        let seconds = Duration::from_millis(ms).as_secs_f64();
        metrics::histogram!("sluice_document_seconds", "stage" => stage).record(seconds);
    }
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

fn count(claim: &Claim, state: &'static str) {
    let schema = claim.schema.name.to_string();
    metrics::counter!("sluice_documents_total", "state" => state, "schema" => schema).increment(1);
}
