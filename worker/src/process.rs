//! One document from top to bottom: read, ask, check, prove, finish.

use crate::{
    answer::{Asking, answer},
    assemble::{Part, assemble, timings, usage},
    ended,
    extract::{
        compiled::CompiledSchema,
        embedded::{self, Known},
    },
    plan::{PlanLimits, plan},
    read::{has_text, read},
    worker::{Outage, Worker, outage},
};
use futures::{StreamExt, stream};
use pool::typed::chat::Request;
use shared::{
    blob::{BlobKey, Put},
    extraction::{Extraction, Pages, Usage},
    fault,
    job::{Claim, Verdict},
};
use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};
use tokio::{
    task::{JoinError, spawn_blocking},
    time::Instant,
};

/// How many parts of one document are asked about at once.
const PARTS_AT_ONCE: usize = 4;

/// Works on a claimed document until there is a verdict on it.
pub async fn process(worker: &Worker, claim: &Claim) -> Verdict {
    let started = Instant::now();
    let done = async {
        let schema = worker.schemas.get(&worker.services.store, &claim.schema).await?;
        let pages = read(worker, claim).await?;
        let text_took = started.elapsed();
        let (known, pages) = known(worker, &schema, pages).await?;
        if !known.asked.is_empty() {
            has_text(&pages)?;
        }
        let mut parts = Vec::new();
        for asked in &known.asked {
            let requests = requests(worker, asked, &pages);
            parts.extend(ask(worker, claim, asked, requests, started).await?);
        }
        let timings = timings(claim, started.elapsed(), text_took, &parts);
        let usage = spent(worker, claim, &parts).await?;
        let owned = claim.clone();
        let turn = worker.assembling.clone().acquire_owned().await;
        let assembled = move || {
            let _turn = turn;
            assemble(&owned, &schema, &pages, &known, parts, usage, timings)
        };
        let assembled = spawn_blocking(assembled).await.map_err(broken)?;
        finish(worker, claim, assembled.map_err(Verdict::Reject)?).await
    };
    done.await.unwrap_or_else(|verdict| verdict)
}

/// What the document says of itself, so that no model need be asked for it.
async fn known(
    worker: &Worker,
    schema: &Arc<CompiledSchema>,
    pages: Pages,
) -> Result<(Known, Pages), Verdict> {
    let (schema, limits) = (Arc::clone(schema), worker.settings.asking);
    let found = move || (embedded::known(&schema, &pages, limits), pages);
    spawn_blocking(found).await.map_err(broken)
}

/// What to ask, within the limits of the schema's model.
fn requests(worker: &Worker, schema: &CompiledSchema, pages: &Pages) -> Vec<Request> {
    let settings = &worker.settings;
    let model = schema.schema.model().unwrap_or(&settings.model);
    let context = worker.pool.context_tokens_max(model).unwrap_or(settings.context_tokens_max);
    let tokens_output_max = settings.tokens_output_max;
    let limits = PlanLimits { model, context_tokens_max: context, tokens_output_max };
    let reference = &schema.schema.reference;
    plan(schema, pages, &limits, |length| worker.learned.room(reference, length, tokens_output_max))
}

/// What the ledger says the document cost.
async fn spent(worker: &Worker, claim: &Claim, parts: &[Part]) -> Result<Usage, Verdict> {
    let spent = worker.services.store.ledger().spent(claim).await.map_err(outage)?;
    Ok(usage(&spent, parts, |spent| {
        worker.pool.cost_of(&spent.deployment, spent.tokens_input, spent.tokens_output)
    }))
}

fn broken(error: JoinError) -> Verdict {
    Verdict::Retry { error: format!("the proof broke: {error}") }
}

/// Asks about every part. When one part cannot go on no other is begun, but calls under way are
/// waited for: they are paid.
async fn ask(
    worker: &Worker,
    claim: &Claim,
    schema: &CompiledSchema,
    requests: Vec<Request>,
    started: Instant,
) -> Result<Vec<Part>, Verdict> {
    let (total, deadline) = (requests.len(), started + worker.settings.job_time_max);
    let goes_on = AtomicBool::new(true);
    let part = async |(index, request)| {
        if !goes_on.load(Ordering::Relaxed) {
            return None;
        }
        let asking = Asking { worker, claim, schema, request: &request, index, total, deadline };
        let part = answer(&asking).await;
        goes_on.fetch_and(part.is_ok(), Ordering::Relaxed);
        Some(part)
    };
    let parts = stream::iter(requests.into_iter().enumerate()).map(part);
    let parts: Vec<_> = parts.buffered(PARTS_AT_ONCE).collect().await;
    parts.into_iter().flatten().collect()
}

/// Writes the result once and makes it visible. A second worker adopts the first one's result.
async fn finish(
    worker: &Worker,
    claim: &Claim,
    extraction: Extraction,
) -> Result<Verdict, Verdict> {
    let (blobs, store) = (&worker.services.blobs, &worker.services.store);
    let key = BlobKey::result(&claim.document, claim.run);
    let bytes = serde_json::to_vec(&extraction).map_err(|e| outage(Outage(e.to_string())))?;
    let state = match blobs.put_if_absent(&key, bytes.into()).await.map_err(outage)? {
        Put::Stored => extraction.state,
        Put::Exists => {
            let first = blobs.get(&key).await.map_err(outage)?.unwrap_or_default();
            let first: Result<Extraction, _> = serde_json::from_slice(&first);
            first.map_err(|error| outage(Outage(error.to_string())))?.state
        }
    };
    fault::point("result-saved");
    if store.work().finish(claim, state).await.map_err(outage)? {
        ended::succeeded(claim, state, &extraction.timings_ms);
    }
    Ok(Verdict::Done)
}
