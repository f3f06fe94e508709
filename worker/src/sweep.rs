//! What every worker does on the side: ring for documents that were left behind or that the queue
//! has given up on, and remove what was deleted. A reconciler: idempotent, on a timer.

use crate::worker::Worker;
use shared::{
    blob::{BlobKey, STALE},
    message::Traceparent,
    store::Purge,
};
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// After how long a document is rung for again although its ring was confirmed.
const SILENCE: Duration = Duration::from_secs(600);

/// How often to look for uploads in parts that nobody will finish.
const TIDY: Duration = Duration::from_secs(3600);

/// Sweeps until `stop`.
pub async fn run(worker: Worker, stop: CancellationToken) {
    let (mut failing, mut deaf) = (false, false);
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
        // Apart from the rest: that must go on while the queue is away. Not while the database is
        // away, for then every letter would only go back to where it was; so does what is cut off.
        let raised = match failing {
            true => Ok(()),
            false => tokio::select! {
                () = stop.cancelled() => Ok(()),
                raised = raise_the_dead(&worker) => raised,
            },
        };
        if let Err(error) = &raised
            && !deaf
        {
            tracing::warn!(%error, "the dead letters cannot be read");
        }
        deaf = raised.is_err();
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
    let rung = services.store.sweep(SILENCE).await?;
    if rung > 0 {
        tracing::info!(rung, "documents that were left behind are rung for again");
        services.outbox.nudge();
    }
    for purge in services.store.purges().await? {
        remove(worker, purge).await?;
    }
    Ok(())
}

/// Rings again for documents whose messages the queue has given up on. How often a message was
/// delivered says nothing about its document: the attempts in the row decide when that ends.
async fn raise_the_dead(worker: &Worker) -> anyhow::Result<()> {
    let services = &worker.services;
    for letter in services.queue.dead_letters().await? {
        match &letter.message {
            Ok(message) => {
                if services.store.ring(&message.subject).await? {
                    let trace_id = message.traceparent.as_ref().map(Traceparent::trace_id);
                    let document = &message.subject;
                    tracing::warn!(%document, trace_id, "a dead letter is rung for again");
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
    services.store.purged(&purge.document, None).await?;
    Ok(())
}
