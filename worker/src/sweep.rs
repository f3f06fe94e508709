//! What every worker does on a timer: queue documents again that were left behind or whose message is
//! a dead letter, and remove deleted bytes. Doing it twice does no harm.

use crate::worker::Worker;
use futures::{FutureExt, future::BoxFuture};
use shared::{
    blob::{BlobKey, STALE},
    message::Traceparent,
    store::{Purge, Swept},
};
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// After how long a document that no worker claimed gets another outbox entry.
const IDLE_MAX: Duration = Duration::from_secs(600);

/// How often to look for unfinished uploads in parts.
const TIDY: Duration = Duration::from_secs(3600);

/// Sweeps until `stop`.
pub fn run(worker: Worker, stop: CancellationToken) -> BoxFuture<'static, ()> {
    // Boxed, as in `consume::run`.
    sweep_until(worker, stop).boxed()
}

async fn sweep_until(worker: Worker, stop: CancellationToken) {
    let (mut failing, mut letters_failing) = (false, false);
    let mut tidy_at = Instant::now();
    while !stop.is_cancelled() {
        match sweep(&worker).await {
            Ok(()) => failing = false,
            Err(error) => {
                if !failing {
                    tracing::warn!(%error, "the sweep waits");
                }
                failing = true;
            }
        }
        // Apart from the rest, which must go on during an outage of the queue. Not during one of the
        // database: every letter would only go back.
        let redelivered = match failing {
            true => Ok(()),
            false => tokio::select! {
                () = stop.cancelled() => Ok(()),
                redelivered = redeliver_dead_letters(&worker) => redelivered,
            },
        };
        if let Err(error) = &redelivered
            && !letters_failing
        {
            tracing::warn!(%error, "the dead letters cannot be read");
        }
        letters_failing = redelivered.is_err();
        if Instant::now() >= tidy_at {
            tidy_at = Instant::now() + TIDY;
            tokio::select! {
                () = stop.cancelled() => {}
                () = tidy(&worker) => {}
            }
        }
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(worker.settings.sweep) => {}
        }
    }
}

async fn sweep(worker: &Worker) -> anyhow::Result<()> {
    let services = &worker.services;
    let swept = services.store.outbox().sweep(IDLE_MAX).await?;
    metrics::counter!("sluice_lease_expired_total").increment(swept.expired);
    if swept.entries > 0 {
        let Swept { entries, expired } = swept;
        tracing::info!(entries, expired, "documents that were left behind are queued again");
        services.relay.nudge();
    }
    for purge in services.store.purges().due().await? {
        remove(worker, purge).await?;
    }
    Ok(())
}

/// Queues the documents of dead letters again. How often a message was delivered does not matter: the
/// attempts in the row decide when a document fails.
async fn redeliver_dead_letters(worker: &Worker) -> anyhow::Result<()> {
    let services = &worker.services;
    for letter in services.queue.dead_letters().await? {
        metrics::counter!("sluice_dead_letters_total").increment(1);
        match &letter.message {
            Ok(message) => {
                if services.store.outbox().add(&message.subject).await? {
                    let trace_id = message.traceparent.as_ref().map(Traceparent::trace_id);
                    let document = &message.subject;
                    tracing::warn!(%document, trace_id, "a dead letter is queued again");
                    services.relay.nudge();
                }
            }
            Err(error) => tracing::error!(error, "a dead letter cannot be read and is dropped"),
        }
        letter.ack().await?;
    }
    Ok(())
}

/// Removes what uploads left behind that were cut off with their uploader. Storage keeps, and
/// bills, the parts of an upload until somebody says that it is over.
async fn tidy(worker: &Worker) {
    match worker.services.blobs.abort_stale_uploads(STALE).await {
        Ok(0) => {}
        Ok(removed) => tracing::info!(removed, "unfinished uploads are removed"),
        // It is no part of the work, and a role may lack the right to it.
        Err(error) => tracing::debug!(%error, "unfinished uploads were not looked for"),
    }
}

async fn remove(worker: &Worker, purge: Purge) -> anyhow::Result<()> {
    let services = &worker.services;
    services.blobs.delete_folder(&BlobKey::folder(&purge.document)).await?;
    for question in &purge.questions {
        services.blobs.delete(&BlobKey::reply(question)).await?;
    }
    services.store.purges().done(&purge.document, None).await?;
    Ok(())
}
