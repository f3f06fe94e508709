//! One document from top to bottom: read, ask, check, prove, finish.

use crate::{
    answer::{Asking, answer},
    assemble::{Part, assemble, lost, timings, usage},
    earlier::still_holds,
    ended,
    extract::{
        compiled::CompiledSchema,
        embedded::{self, Known},
        gained::Kept,
    },
    members::divide,
    plan::{PlanLimits, Planned, plan, shown},
    read::{Images, has_text, read},
    worker::{Outage, Worker, outage},
};
use futures::{StreamExt, stream};
use pool::Usage as Tokens;
use serde_json::Map;
use shared::{
    blob::{BlobKey, Put},
    extraction::{Extraction, Pages, Usage},
    fault,
    job::{Claim, Verdict},
    store::Spent,
};
use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU32, Ordering},
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
        let (pages, images) = read(worker, claim, &schema).await?;
        let pages = divide(worker, claim, pages).await?;
        let text_took = started.elapsed();
        let (known, pages) = known(worker, &schema, pages).await?;
        if !known.asked.is_empty() {
            has_text(&pages, &images)?;
        }
        let kept = match known.is_plain() {
            true => still_holds(worker, claim, &schema, &pages).await?,
            false => Kept::default(),
        };
        let mut parts = Vec::new();
        for asked in &known.asked {
            let requests = requests(worker, asked, &pages, &images, &kept);
            let is_all = known.is_plain();
            parts.extend(
                ask(worker, claim, (asked, is_all), requests, kept.clone(), started).await?,
            );
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
fn requests(
    worker: &Worker,
    schema: &CompiledSchema,
    pages: &Pages,
    images: &Images,
    kept: &Kept,
) -> Vec<Planned> {
    let settings = &worker.settings;
    let model = worker.model(schema);
    let context = worker.pool.context_tokens_max(model).unwrap_or(settings.context_tokens_max);
    let tokens_output_max = settings.tokens_output_max;
    let limits = PlanLimits { model, context_tokens_max: context, tokens_output_max };
    let reference = &schema.schema.reference;
    let shown = shown(images, |size| {
        worker.models(model).map(|model| worker.pool.image_tokens(model, size)).max()
    });
    plan(schema, pages, &shown, &limits, kept, |length| {
        worker.learned.room(reference, length, tokens_output_max)
    })
}

/// What the ledger says the document cost.
async fn spent(worker: &Worker, claim: &Claim, parts: &[Part]) -> Result<Usage, Verdict> {
    let spent = worker.services.store.ledger().spent(claim).await.map_err(outage)?;
    Ok(usage(&spent, parts, |spent| {
        let Spent { deployment, tokens_input, tokens_cached, tokens_output, .. } = spent;
        let (tokens_input, tokens_cached) = (*tokens_input, *tokens_cached);
        let tokens_output = *tokens_output;
        let tokens = Tokens { tokens_input, tokens_cached, tokens_output, ..Tokens::default() };
        worker.pool.cost_of(deployment, &tokens)
    }))
}

fn broken(error: JoinError) -> Verdict {
    Verdict::Retry { error: format!("the proof broke: {error}") }
}

/// Asks about every part; with `is_all` nothing else is known of the document. When one part cannot go on no other is begun, but calls under way are
/// waited for: they are paid. A part about which there will never be an answer stops no other.
async fn ask(
    worker: &Worker,
    claim: &Claim,
    (schema, is_all): (&CompiledSchema, bool),
    requests: Vec<Planned>,
    kept: Kept,
    started: Instant,
) -> Result<Vec<Part>, Verdict> {
    let Kept { values: kept, model, .. } = kept;
    if requests.is_empty() {
        return Ok(vec![Part { data: kept.into(), model, ..Part::default() }]);
    }
    let none = Map::new();
    let (total, deadline) = (requests.len(), started + worker.settings.job_time_max);
    let (goes_on, pages_done) = (AtomicBool::new(true), AtomicU32::new(0));
    let part = async |(index, Planned { request, pages })| {
        if !goes_on.load(Ordering::Relaxed) {
            return None;
        }
        // They belong to the document, once.
        let kept = if index == 0 { &kept } else { &none };
        let request = &request;
        let asking =
            Asking { worker, claim, schema, is_all, request, kept, index, total, deadline };
        let is_only = is_all && total == 1;
        let part = answer(&asking).await.or_else(|verdict| lost(verdict, is_only));
        goes_on.fetch_and(part.is_ok(), Ordering::Relaxed);
        if total > 1 && part.is_ok() {
            let done = pages_done.fetch_add(pages.count(), Ordering::Relaxed) + pages.count();
            note_progress(worker, claim, done).await;
        }
        Some(part.map(|part| Part { pages, ..part }))
    };
    let parts = stream::iter(requests.into_iter().enumerate()).map(part);
    let parts: Vec<_> = parts.buffered(PARTS_AT_ONCE).collect().await;
    parts.into_iter().flatten().collect()
}

/// Shows how far a long document is. Where that fails, only that is missing.
async fn note_progress(worker: &Worker, claim: &Claim, pages_done: u32) {
    if let Err(error) = worker.services.store.work().pages_done(claim, pages_done).await {
        tracing::debug!(%error, "the progress is not shown");
    }
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
        ended::succeeded(worker, claim, state, &extraction);
    }
    Ok(Verdict::Done)
}
