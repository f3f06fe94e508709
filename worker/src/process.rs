//! One document from top to bottom: read, ask, check, prove, finish.

use crate::{
    answer::{self, Part},
    extract::{budget, evidence, merge, prompt, rules, validate},
    worker::{Outage, Worker, outage},
};
use futures::{StreamExt, stream};
use pool::typed::chat::Request;
use serde_json::Value;
use shared::{
    blob::{BlobKey, Put},
    document::{DocumentState, Failure, FailureCode, Stage},
    extraction::{Extraction, Field, Pages, TextUsed, Timings, Usage},
    fault,
    job::{Claim, Verdict},
    schema::{ExtractionSchema, strict},
};
use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};
use tokio::time::Instant;

/// How many parts of one document are asked about at once.
const PARTS_AT_ONCE: usize = 4;

/// Works on a claimed document until there is something to say about it.
pub async fn process(worker: &Worker, claim: &Claim) -> Verdict {
    let started = Instant::now();
    let deadline = started + worker.settings.job_time_max;
    let done = async {
        let schema = schema(worker, claim).await?;
        let pages = read(worker, claim).await?;
        let text_took = started.elapsed();
        let requests = requests(worker, &schema, &pages)?;
        let total = requests.len();
        // When one part cannot go on no other is begun, but calls under way are waited for: they
        // are paid.
        let goes_on = AtomicBool::new(true);
        let part = async |(index, request)| {
            if !goes_on.load(Ordering::Relaxed) {
                return None;
            }
            let part =
                answer::answer(worker, claim, &schema, request, index, total, deadline).await;
            goes_on.fetch_and(part.is_ok(), Ordering::Relaxed);
            Some(part)
        };
        let parts = stream::iter(requests.into_iter().enumerate()).map(part);
        let parts: Vec<_> = parts.buffered(PARTS_AT_ONCE).collect().await;
        let parts: Vec<Part> = parts.into_iter().flatten().collect::<Result<_, _>>()?;
        let timings = timings(claim, started.elapsed(), text_took, &parts);
        let extraction = extraction(worker, claim, &schema, &pages, parts, timings).await?;
        finish(worker, claim, extraction).await
    };
    done.await.unwrap_or_else(|verdict| verdict)
}

async fn schema(worker: &Worker, claim: &Claim) -> Result<ExtractionSchema, Verdict> {
    let reference = &claim.schema;
    let found = worker.services.store.schemas().get(&reference.name, Some(reference.version)).await;
    let missing = || outage(Outage(format!("the schema {reference} is not in the database")));
    found.map_err(outage)?.ok_or_else(missing)
}

/// The text of the document, read by a child process and saved.
async fn read(worker: &Worker, claim: &Claim) -> Result<Pages, Verdict> {
    let (blobs, store) = (&worker.services.blobs, &worker.services.store);
    let source = blobs.get(&BlobKey::source(&claim.document)).await.map_err(outage)?;
    let gone = || outage(Outage(format!("the file of {} is not in storage", claim.document)));
    let pages = worker.text.read(source.ok_or_else(gone)?, claim.format).await;
    let pages = pages.map_err(|error| match error.failure() {
        Some(failure) => Verdict::Reject(failure),
        None => outage(Outage(error.to_string())),
    })?;
    let text = serde_json::to_vec(&pages).map_err(|error| outage(Outage(error.to_string())))?;
    let key = BlobKey::text(&claim.document, &pages.engine);
    blobs.put_if_absent(&key, text.into()).await.map_err(outage)?;
    let count = u32::try_from(pages.pages.len()).unwrap_or(u32::MAX);
    fault::point("text-saved");
    store.work().text_read(claim, &pages.engine, count).await.map_err(outage)?;
    if pages.without_text().len() == pages.pages.len() {
        let message = format!("none of the {count} pages has text: is this a scan?");
        return Err(Verdict::Reject(Failure::new(FailureCode::NoText, Stage::Text, message)));
    }
    Ok(pages)
}

/// What to ask: one request, or several where the document is longer than the model's context.
fn requests(
    worker: &Worker,
    schema: &ExtractionSchema,
    pages: &Pages,
) -> Result<Vec<Request>, Verdict> {
    let shape = strict::convert(&schema.body).map_err(|faults| {
        let first = faults.first().map(|fault| format!("{}: {}", fault.path, fault.message));
        let message = format!("the schema cannot be asked for: {}", first.unwrap_or_default());
        Verdict::Reject(Failure::new(FailureCode::SchemaRejected, Stage::Model, message))
    })?;
    let settings = &worker.settings;
    let model = schema.model().unwrap_or(&settings.model);
    let context = worker.pool.context_tokens_max(model).unwrap_or(settings.context_tokens_max);
    let room = budget::room(context, settings.tokens_output_max, schema, &shape);
    let total = u32::try_from(pages.pages.len()).unwrap_or(u32::MAX);
    let parts = budget::chunks(&pages.pages, room);
    let is_part = parts.len() > 1;
    let shape = if is_part { strict::relax(&shape) } else { shape };
    let output = settings.tokens_output_max;
    let request = |part: Vec<budget::Piece<'_>>| {
        let request = prompt::request(schema, &shape, model, &part, total, is_part, output);
        let tokens_output_max = worker.learned.room(&schema.reference, request.length(), output);
        Request { tokens_output_max, ..request }
    };
    Ok(parts.into_iter().map(request).collect())
}

async fn extraction(
    worker: &Worker,
    claim: &Claim,
    schema: &ExtractionSchema,
    pages: &Pages,
    parts: Vec<Part>,
    timings_ms: Timings,
) -> Result<Extraction, Verdict> {
    let spent = worker.services.store.ledger().spent(claim).await.map_err(outage)?;
    let replayed = parts.iter().map(|part| part.replayed).sum();
    let usage = spent.iter().fold(Usage { replayed, ..Usage::default() }, |usage, spent| Usage {
        calls: usage.calls + spent.calls,
        replayed,
        tokens_input: usage.tokens_input + spent.tokens_input,
        tokens_output: usage.tokens_output + spent.tokens_output,
        cost: worker
            .pool
            .cost_of(&spent.deployment, spent.tokens_input, spent.tokens_output)
            .map(|cost| cost + usage.cost.unwrap_or_default())
            .or(usage.cost),
    });
    let mut warnings = warnings(pages);
    for warning in parts.iter().flat_map(|part| &part.warnings) {
        if !warnings.contains(warning) {
            warnings.push(warning.clone());
        }
    }
    let model = parts.last().map(|part| part.model.clone()).unwrap_or_default();
    let data = merge::merge(schema, parts.into_iter().map(|part| part.data).collect());
    validate::check(&schema.body, &data).map_err(|faults| {
        let message = format!("the parts do not make a whole: {}", faults.join("; "));
        Verdict::Reject(Failure::new(FailureCode::InvalidReply, Stage::Validation, message))
    })?;
    let state = match pages.are_incomplete() {
        true => DocumentState::Partial,
        false => DocumentState::Succeeded,
    };
    let fields = prove(schema, &data, pages).await?;
    Ok(Extraction {
        document: claim.document.clone(),
        schema: claim.schema.clone(),
        state,
        fields,
        checks: rules::check(schema, &data),
        data,
        usage,
        model,
        text: text_used(pages),
        timings_ms,
        warnings,
    })
}

/// The evidence for every value; a long document keeps a processor busy for a while.
async fn prove(
    schema: &ExtractionSchema,
    data: &Value,
    pages: &Pages,
) -> Result<BTreeMap<String, Field>, Verdict> {
    let (schema, data, pages) = (schema.clone(), data.clone(), pages.clone());
    let proof = tokio::task::spawn_blocking(move || evidence::prove(&schema, &data, &pages));
    proof.await.map_err(|error| Verdict::Retry { error: format!("the proof broke: {error}") })
}

/// Writes the result once and makes it visible. Whoever comes second adopts the first's.
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
        tracing::info!(document = %claim.document, %state, "the document has ended");
        observe(claim, state, &extraction.timings_ms);
    }
    Ok(Verdict::Done)
}

fn text_used(pages: &Pages) -> TextUsed {
    TextUsed {
        engine: pages.engine.clone(),
        pages: u32::try_from(pages.pages.len()).unwrap_or(u32::MAX),
        pages_without_text: pages.without_text(),
    }
}

fn warnings(pages: &Pages) -> Vec<String> {
    let unread = pages.pages.iter().filter_map(|page| match &page.error {
        Some(error) => Some(format!("page {} could not be read: {error}", page.number)),
        None if page.is_picture => {
            Some(format!("page {} is a picture: what it shows was not read", page.number))
        }
        None => None,
    });
    unread.chain(pages.warnings.iter().cloned()).collect()
}

fn timings(claim: &Claim, took: Duration, text: Duration, parts: &[Part]) -> Timings {
    let ms = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    let queued = claim.claimed_at.as_millisecond() - claim.queued_at.as_millisecond();
    let queued = u64::try_from(queued).unwrap_or_default();
    Timings {
        queued,
        text: ms(text),
        waited_for_quota: ms(parts.iter().map(|part| part.waited).max().unwrap_or_default()),
        model: parts.iter().map(|part| part.model_ms).max().unwrap_or_default(),
        total: queued + ms(took),
    }
}

fn observe(claim: &Claim, state: DocumentState, timings: &Timings) {
    let schema = claim.schema.name.to_string();
    metrics::counter!("sluice_documents_total", "state" => state.as_str(), "schema" => schema)
        .increment(1);
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
