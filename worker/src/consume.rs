//! From the queue to the work and back: the only place that turns a verdict into what the store
//! and the queue understand.

mod room;

use crate::{ended, process::process, worker::Worker};
use futures::{FutureExt, future::BoxFuture};
use room::Room;
use shared::{
    document::{Failure, FailureCode, Priority, Stage},
    fault,
    job::{Claim, Verdict, retry_pause},
    message::{JobMessage, Traceparent},
    queue::{Consumer, Delivery},
    store::StoreError,
};
use std::time::Duration;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{Instrument, Span};

/// How long to hold when the queue or the database does not answer.
const OUTAGE_PAUSE: Duration = Duration::from_secs(1);

/// Consumes until the worker is asked to drain, then waits for what runs.
pub fn run(worker: Worker, hard: CancellationToken) -> BoxFuture<'static, ()> {
    // Boxed: the code of all of the work is generated in this crate only.
    run_until_drained(worker, hard).boxed()
}

async fn run_until_drained(worker: Worker, hard: CancellationToken) {
    let settings = &worker.settings;
    let room = Room::new(settings.concurrency, settings.interactive_reserved);
    let tasks = TaskTracker::new();
    let both = [Priority::Interactive, Priority::Bulk].map(|priority| {
        let consuming = Consuming { worker: &worker, priority, room: &room, tasks: &tasks };
        consuming.run(&hard)
    });
    let [interactive, bulk] = both;
    tokio::join!(interactive, bulk);
    tasks.close();
    tasks.wait().await;
}

/// What consumes the documents of one priority.
struct Consuming<'a> {
    worker: &'a Worker,
    priority: Priority,
    room: &'a Room,
    tasks: &'a TaskTracker,
}

impl Consuming<'_> {
    async fn run(self, hard: &CancellationToken) {
        let worker = self.worker;
        while !worker.draining.is_cancelled() {
            let most = self.room.most(self.priority);
            match worker.services.queue.consume(self.priority, most).await {
                Ok(consumer) => self.consume(consumer, hard).await,
                Err(error) => tracing::warn!(%error, "the queue does not answer"),
            }
            pause(worker).await;
        }
    }

    /// Consumes until the queue fails or the worker drains.
    async fn consume(&self, mut consumer: Consumer, hard: &CancellationToken) {
        loop {
            // What is bulk is taken when bulk may have more room, and what is not is taken at once.
            // Room is held from then on: nobody holds any while there is nothing to do.
            let Some(turn) = self.unless_draining(self.room.turn(self.priority)).await else {
                return;
            };
            let free = self.room.free(self.priority);
            let mut turn = Some(turn);
            let next = tokio::select! {
                biased;
                () = self.worker.draining.cancelled() => return,
                next = consumer.next(free) => next,
            };
            let deliveries = match next {
                Ok(deliveries) => deliveries,
                Err(error) => {
                    tracing::warn!(%error, "the queue does not answer");
                    return;
                }
            };
            for delivery in deliveries {
                let permit = async {
                    let turn = match turn.take() {
                        Some(turn) => turn,
                        None => self.room.turn(self.priority).await?,
                    };
                    self.room.enter(turn).await
                };
                let permit = self.unless_draining(permit).await;
                match permit {
                    Some(permit) => {
                        let work = work(self.worker.clone(), delivery, hard.clone());
                        self.tasks.spawn(async move {
                            work.await;
                            drop(permit);
                        });
                    }
                    None => give_back(delivery).await,
                }
            }
        }
    }

    async fn unless_draining<T>(&self, room: impl Future<Output = Option<T>>) -> Option<T> {
        tokio::select! {
            biased;
            () = self.worker.draining.cancelled() => None,
            room = room => room,
        }
    }
}

/// One message: look at the row, and if it is ours, work on it.
async fn work(worker: Worker, delivery: Delivery, hard: CancellationToken) {
    let message = match &delivery.message {
        Ok(message) => message.clone(),
        Err(error) => {
            tracing::error!(error, "a message cannot be read and is dropped");
            return ack(delivery).await;
        }
    };
    let span = span(&message);
    document(worker, delivery, message, hard).instrument(span).await;
}

/// What every log line about this document carries: the trace that began with its upload.
fn span(message: &JobMessage) -> Span {
    let trace = message.traceparent.as_ref().map_or_else(Traceparent::random, Traceparent::child);
    tracing::info_span!(
        "document",
        document = %message.subject,
        trace_id = trace.trace_id(),
        span_id = trace.span_id(),
    )
}

/// The document of one message.
async fn document(
    worker: Worker,
    delivery: Delivery,
    message: JobMessage,
    hard: CancellationToken,
) {
    let settings = &worker.settings;
    let claim = match claim(&worker, &message).await {
        Some(Some(claim)) => claim,
        // It has ended, is not due, or somebody else holds it: the sweep keeps watch.
        Some(None) => return ack(delivery).await,
        None => return give_back(delivery).await,
    };
    fault::point("claimed");
    let verdict = if claim.attempts > settings.attempts_max {
        exhausted(&claim)
    } else {
        hold(&worker, &claim, hard).await
    };
    match settle(&worker, &claim, verdict).await {
        Ok(()) => {
            fault::point("finished");
            ack(delivery).await;
        }
        // The lease runs out, and the sweep adds an outbox entry: the message has done its work.
        Err(error) => {
            tracing::warn!(%error, document = %claim.document, "the end is not written");
            ack(delivery).await;
        }
    }
}

/// Asks for the document until the database answers; `None` when the worker drains before that.
/// Meanwhile the message is held: requeued it would come again at once, and a broker makes a
/// dead letter of a message that comes too often. What is held takes its room, so consuming pauses by itself.
async fn claim(worker: &Worker, message: &JobMessage) -> Option<Option<Claim>> {
    let (store, settings) = (&worker.services.store, &worker.settings);
    let mut is_logged = false;
    loop {
        match store.work().claim(&message.subject, &worker.id, settings.lease).await {
            Ok(claim) => return Some(claim),
            Err(error) if !is_logged => {
                tracing::warn!(%error, "the database does not answer: the message is held");
                is_logged = true;
            }
            Err(_) => {}
        }
        pause(worker).await;
        if worker.draining.is_cancelled() {
            return None;
        }
    }
}

/// Works while the claim is ours: prolongs the lease, and stops when that is refused.
async fn hold(worker: &Worker, claim: &Claim, hard: CancellationToken) -> Verdict {
    let settings = &worker.settings;
    let heartbeat = async {
        loop {
            tokio::time::sleep(settings.lease / 3).await;
            match worker.services.store.work().heartbeat(claim, settings.lease).await {
                Ok(true) => {}
                Ok(false) => return,
                Err(error) => tracing::warn!(%error, "the lease could not be prolonged"),
            }
        }
    };
    let work = tokio::time::timeout(settings.job_time_max, process(worker, claim));
    tokio::select! {
        verdict = work => verdict.unwrap_or_else(|_| Verdict::Retry {
            error: format!("it took longer than {} s", settings.job_time_max.as_secs()),
        }),
        () = heartbeat => Verdict::Done,
        () = hard.cancelled() => Verdict::Wait { pause: Duration::ZERO, why: None },
    }
}

/// Writes a verdict into the row.
async fn settle(worker: &Worker, claim: &Claim, verdict: Verdict) -> Result<(), StoreError> {
    let store = &worker.services.store;
    match verdict {
        Verdict::Done => {}
        Verdict::Wait { pause, why } => {
            store.work().release(claim, pause, why, false).await?;
            worker.services.relay.nudge();
        }
        Verdict::Retry { error } if claim.attempts >= worker.settings.attempts_max => {
            let message = format!("given up after {} attempts: {error}", claim.attempts);
            fail(
                worker,
                claim,
                Failure::new(FailureCode::AttemptsExhausted, Stage::Worker, message),
            )
            .await?;
        }
        Verdict::Retry { error } => {
            tracing::warn!(error, document = %claim.document, "the document is tried again");
            store.work().release(claim, retry_pause(claim.attempts), None, true).await?;
        }
        Verdict::Reject(failure) => fail(worker, claim, failure).await?,
    }
    Ok(())
}

async fn fail(worker: &Worker, claim: &Claim, failure: Failure) -> Result<(), StoreError> {
    if worker.services.store.work().fail(claim, failure.clone()).await? {
        ended::failed(claim, &failure);
    }
    Ok(())
}

fn exhausted(claim: &Claim) -> Verdict {
    let message = format!(
        "given up after {} attempts, the last of which ended with the worker",
        claim.attempts - 1
    );
    Verdict::Reject(Failure::new(FailureCode::AttemptsExhausted, Stage::Worker, message))
}

async fn ack(delivery: Delivery) {
    if let Err(error) = delivery.ack().await {
        // It comes again, finds nothing to do, and is forgotten.
        tracing::debug!(%error, "a message could not be acknowledged");
    }
}

async fn give_back(delivery: Delivery) {
    if let Err(error) = delivery.give_back().await {
        tracing::debug!(%error, "a message could not be given back");
    }
}

async fn pause(worker: &Worker) {
    tokio::select! {
        () = worker.draining.cancelled() => {}
        () = tokio::time::sleep(OUTAGE_PAUSE) => {}
    }
}
