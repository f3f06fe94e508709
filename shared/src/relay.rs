//! The relay from the database to the queue, and the only publisher: of outbox entries, which wake
//! workers, and of events. It runs in every process, on a nudge and on a timer. Publishing twice
//! does no harm.

use crate::{
    clock, fault,
    message::{Event, EventData, JobMessage},
    queue::{Queue, QueueError},
    store::{OutboxEntry, StateChange, Store, StoreError},
};
use std::{sync::Arc, time::Duration};
use tokio::{sync::Notify, time::Instant};
use tokio_util::sync::CancellationToken;

/// How long an entry may stay unconfirmed before another relay takes it.
const LEASE: Duration = Duration::from_secs(10);

/// For how long a batch is offered to the queue again, and the pause between. Longer than a broker
/// may take to confirm: one that changes its leader is asked twice within the lease.
const RETRY_MAX: Duration = Duration::from_secs(5);
const RETRY_PAUSE: Duration = Duration::from_millis(200);

/// How many entries are published at once.
const BATCH: u32 = 100;

/// How often to look without a nudge.
const POLL: Duration = Duration::from_millis(500);

/// A relay could not do its work now.
#[derive(Debug, thiserror::Error)]
pub enum RelayError {
    /// The database could not be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The queue did not confirm.
    #[error(transparent)]
    Queue(#[from] QueueError),
}

/// The relay. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Relay {
    store: Store,
    queue: Queue,
    nudge: Arc<Notify>,
}

impl Relay {
    /// A relay between these two.
    pub fn new(store: Store, queue: Queue) -> Self {
        Self { store, queue, nudge: Arc::new(Notify::new()) }
    }

    /// Says that there is something to publish.
    pub fn nudge(&self) {
        self.nudge.notify_one();
    }

    /// Publishes until `stop`.
    pub async fn run(&self, stop: CancellationToken) {
        let mut failing = false;
        let mut events_at = Instant::now();
        while !stop.is_cancelled() {
            match self.publish_all(&mut events_at).await {
                Ok(sent) => {
                    if failing {
                        tracing::info!("the outbox flows again");
                    }
                    failing = false;
                    if sent == BATCH as usize {
                        continue;
                    }
                }
                Err(error) => {
                    if !failing {
                        tracing::warn!(%error, "the outbox waits: uploads go on, work does not start");
                    }
                    failing = true;
                }
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = self.nudge.notified() => {}
                () = tokio::time::sleep(POLL) => {}
            }
        }
    }

    /// Outbox entries, then events: how many of the more numerous. Events wait for the timer: no
    /// work starts by them, and together they cost the database less.
    async fn publish_all(&self, events_at: &mut Instant) -> Result<usize, RelayError> {
        let entries = self.publish_entries().await?;
        if Instant::now() < *events_at {
            return Ok(entries);
        }
        let events = self.publish_events().await?;
        if events < BATCH as usize {
            *events_at = Instant::now() + POLL;
        }
        Ok(entries.max(events))
    }

    /// Publishes the changes of state that are due, at most one batch, and gives how many.
    ///
    /// # Errors
    /// When the store or the queue does not answer; they are published later.
    pub async fn publish_events(&self) -> Result<usize, RelayError> {
        let changes = self.store.events().take(BATCH, LEASE).await?;
        if changes.is_empty() {
            return Ok(0);
        }
        let event = |change: &StateChange| {
            let data = EventData { state: change.state, schema: change.schema.clone() };
            let trace = change.traceparent.clone();
            Event::new(change.document.clone(), change.id, data, change.at, trace)
        };
        let events: Vec<_> = changes.iter().map(event).collect();
        with_retries(|| self.queue.publish_events(&events)).await?;
        let ids: Vec<i64> = changes.iter().map(|change| change.id).collect();
        self.store.events().confirm(&ids).await?;
        Ok(ids.len())
    }

    /// Publishes the outbox entries that are due, at most one batch, and gives how many.
    ///
    /// # Errors
    /// When the store or the queue does not answer; the entries stay in the outbox.
    pub async fn publish_entries(&self) -> Result<usize, RelayError> {
        let entries = self.store.outbox().take(BATCH, LEASE).await?;
        if entries.is_empty() {
            return Ok(0);
        }
        let now = clock::now();
        let message = |entry: &OutboxEntry| {
            let trace = entry.traceparent.clone();
            (JobMessage::new(entry.document.clone(), entry.id, now, trace), entry.priority)
        };
        let messages: Vec<_> = entries.iter().map(message).collect();
        with_retries(|| self.queue.publish(&messages)).await?;
        fault::point("published");
        let ids: Vec<i64> = entries.iter().map(|entry| entry.id).collect();
        self.store.outbox().confirm(&ids).await?;
        Ok(ids.len())
    }
}

/// Offers again what the queue did not take, for a while.
async fn with_retries<Offer>(offer: impl Fn() -> Offer) -> Result<(), QueueError>
where
    Offer: Future<Output = Result<(), QueueError>>,
{
    let until = Instant::now() + RETRY_MAX;
    loop {
        match offer().await {
            Err(error) if Instant::now() < until && !error.is_lasting() => {
                tracing::debug!(%error, "the queue is asked again");
                tokio::time::sleep(RETRY_PAUSE).await;
            }
            result => return result,
        }
    }
}
