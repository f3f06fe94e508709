//! What every worker does beside its documents: send new messages for documents whose worker or
//! message was lost, remove deleted documents, report on the deployments, and tell the pool how many
//! workers share the quota. A reconciler: idempotent, on a timer.

use crate::{report::report, worker::Worker};
use shared::{
    blob::{BlobKey, STALE},
    message::Traceparent,
    store::Purge,
};
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// After how long a document gets a new message although its last one was confirmed.
const SILENCE: Duration = Duration::from_secs(600);

/// How often to look for uploads in parts that nobody will finish.
const TIDY: Duration = Duration::from_secs(3600);

/// Sweeps until `stop`, then says that this worker is gone.
pub async fn run(worker: Worker, stop: CancellationToken) {
    let (mut is_failing, mut is_queue_failing) = (false, false);
    let mut tidy_at = Instant::now();
    while !stop.is_cancelled() {
        match sweep(&worker).await {
            Ok(()) => is_failing = false,
            Err(error) => {
                if !is_failing {
                    tracing::warn!(%error, "the sweep waits");
                }
                is_failing = true;
            }
        }
        // Apart from the rest, which goes on while the queue is away. Not while the database is
        // away: every letter would only go back to where it was.
        let redelivered = match is_failing {
            true => Ok(()),
            false => tokio::select! {
                () = stop.cancelled() => Ok(()),
                redelivered = redeliver_dead_letters(&worker) => redelivered,
            },
        };
        if let Err(error) = &redelivered
            && !is_queue_failing
        {
            tracing::warn!(%error, "the dead letters cannot be read");
        }
        is_queue_failing = redelivered.is_err();
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
    if let Err(error) = worker.services.store.worker_gone(&worker.id).await {
        tracing::debug!(%error, "could not say goodbye");
    }
}

async fn sweep(worker: &Worker) -> anyhow::Result<()> {
    let services = &worker.services;
    let says = report(&worker.pool, &worker.waits, &worker.settings.model);
    let within = worker.settings.sweep * 4;
    let alive = services.store.worker_alive(&worker.id, says, within).await?;
    worker.quota.set_counted(alive);
    let sent = services.store.sweep(SILENCE).await?;
    if sent > 0 {
        tracing::info!(sent, "documents that were left behind get new messages");
        services.outbox.nudge();
    }
    for purge in services.store.purges().await? {
        remove(worker, purge).await?;
    }
    Ok(())
}

/// Sends new messages for documents whose messages are dead letters. The number of deliveries
/// says nothing about a document: the attempts in its row decide when it ends.
async fn redeliver_dead_letters(worker: &Worker) -> anyhow::Result<()> {
    let services = &worker.services;
    for letter in services.queue.dead_letters().await? {
        match &letter.message {
            Ok(message) => {
                if services.store.ring(&message.subject).await? {
                    let trace_id = message.traceparent.as_ref().map(Traceparent::trace_id);
                    let document = &message.subject;
                    tracing::warn!(%document, trace_id, "a dead letter is delivered again");
                    services.outbox.nudge();
                }
            }
            Err(error) => tracing::error!(error, "a dead letter cannot be read and is dropped"),
        }
        letter.ack().await?;
    }
    Ok(())
}

/// Removes what uploads left behind that were cut off with their uploader. Storage keeps, and
/// bills, the parts of an upload until it is completed or aborted.
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
    services.store.purged(&purge.document, None).await?;
    Ok(())
}
