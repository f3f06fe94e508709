//! What an earlier run of the same document found and need not be asked for again.

use crate::{
    extract::{
        compiled::CompiledSchema,
        gained::{Kept, kept},
        validate,
    },
    worker::{Outage, Worker, outage},
};
use serde_json::Value;
use shared::{
    blob::BlobKey,
    document::DocumentState,
    extraction::{Extraction, Pages},
    job::{Claim, Verdict},
};

/// So many runs before this one are looked at for a result.
const RUNS_MAX: u32 = 10;

/// What still holds of the last result, where that was of another version of the same schema and of the
/// same text; nothing where there is none.
///
/// # Errors
/// When a service does not answer.
pub(crate) async fn still_holds(
    worker: &Worker,
    claim: &Claim,
    schema: &CompiledSchema,
    pages: &Pages,
) -> Result<Kept, Verdict> {
    let Some(earlier) = last_result(worker, claim).await? else { return Ok(Kept::default()) };
    let is_same_text =
        earlier.text.engine == pages.engine && earlier.text.pages as usize == pages.pages.len();
    let is_whole = earlier.state == DocumentState::Succeeded && !pages.are_incomplete();
    let is_version = earlier.schema.name == claim.schema.name && earlier.schema != claim.schema;
    if !(is_same_text && is_whole && is_version) {
        return Ok(Kept::default());
    }
    let old = worker.schemas.get(&worker.services.store, &earlier.schema).await?;
    let kept = kept(&old, schema, &earlier).unwrap_or_default();
    // Without a question nothing else looks at what is kept.
    let is_answer = || {
        let data = Value::Object(kept.values.clone());
        validate::check(schema, data, false).violations.is_empty()
    };
    Ok(if kept.wanted.is_empty() && !is_answer() { Kept::default() } else { kept })
}

/// The last result before this run.
async fn last_result(worker: &Worker, claim: &Claim) -> Result<Option<Extraction>, Verdict> {
    for run in (1..claim.run).rev().take(RUNS_MAX as usize) {
        let key = BlobKey::result(&claim.document, run);
        if let Some(bytes) = worker.services.blobs.get(&key).await.map_err(outage)? {
            let read = serde_json::from_slice(&bytes);
            return read.map(Some).map_err(|error| outage(Outage(error.to_string())));
        }
    }
    Ok(None)
}
