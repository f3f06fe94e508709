//! The relay from the outbox to the queue: the only publisher, of rings and of events. A
//! reconciler without input: it runs in every process, on a nudge and on a timer, and doing its
//! work twice does no harm.

use crate::{
    clock, fault,
    message::{Event, EventData, JobMessage},
    queue::{Queue, QueueError},
    store::{Ring, StateChange, Store, StoreError},
};
use std::{sync::Arc, time::Duration};
use tokio::{sync::Notify, time::Instant};
use tokio_util::sync::CancellationToken;

/// How long a ring may stay unconfirmed before another relay takes it.
const LEASE: Duration = Duration::from_secs(10);

/// For how long what was taken is offered to the queue again, and the pause between. Longer than a
/// broker may take to confirm: one that changes its leader is asked twice within the lease.
const PATIENCE: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(200);

/// How many rings go out at once.
const BATCH: u32 = 100;

/// How often to look without a nudge.
const POLL: Duration = Duration::from_millis(500);

/// A relay could not do its work now.
#[derive(Debug, thiserror::Error)]
pub enum RelayError {
    /// The outbox could not be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The queue did not confirm.
    #[error(transparent)]
    Queue(#[from] QueueError),
}

/// The relay. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Outbox {
    store: Store,
    queue: Queue,
    nudge: Arc<Notify>,
}

impl Outbox {
    /// A relay between these two.
    pub fn new(store: Store, queue: Queue) -> Self {
        Self { store, queue, nudge: Arc::new(Notify::new()) }
    }

    /// Says that there is something to relay.
    pub fn nudge(&self) {
        self.nudge.notify_one();
    }

    /// Relays until `stop`.
    pub async fn run(&self, stop: CancellationToken) {
        let mut failing = false;
        let mut tell_at = Instant::now();
        while !stop.is_cancelled() {
            match self.both(&mut tell_at).await {
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

    /// Rings, then events: how many of the more numerous. Events are not worth a nudge: nobody
    /// waits for them to begin work, and together they cost the database less.
    async fn both(&self, tell_at: &mut Instant) -> Result<usize, RelayError> {
        let rung = self.relay().await?;
        if Instant::now() < *tell_at {
            return Ok(rung);
        }
        let told = self.tell().await?;
        if told < BATCH as usize {
            *tell_at = Instant::now() + POLL;
        }
        Ok(rung.max(told))
    }

    /// Tells the changes of state that are due, at most one batch, and says how many those were.
    ///
    /// # Errors
    /// When the store or the queue does not answer; they are told later.
    pub async fn tell(&self) -> Result<usize, RelayError> {
        let changes = self.store.changes(BATCH, LEASE).await?;
        if changes.is_empty() {
            return Ok(0);
        }
        let event = |change: &StateChange| {
            let data = EventData { state: change.state, schema: change.schema.clone() };
            let trace = change.traceparent.clone();
            Event::new(change.document.clone(), change.id, data, change.at, trace)
        };
        let events: Vec<_> = changes.iter().map(event).collect();
        patiently(|| self.queue.tell(&events)).await?;
        let count = changes.len();
        self.store.told(changes.into_iter().map(|change| change.id).collect()).await?;
        Ok(count)
    }

    /// Relays the rings that are due now, at most one batch, and says how many rings that were.
    ///
    /// # Errors
    /// When the store or the queue does not answer; the rings stay in the outbox.
    pub async fn relay(&self) -> Result<usize, RelayError> {
        let rings = self.store.rings(BATCH, LEASE).await?;
        if rings.is_empty() {
            return Ok(0);
        }
        let now = clock::now();
        let message = |ring: &Ring| {
            let trace = ring.traceparent.clone();
            (JobMessage::new(ring.document.clone(), ring.id, now, trace), ring.priority)
        };
        let messages: Vec<_> = rings.iter().map(message).collect();
        patiently(|| self.queue.publish(&messages)).await?;
        fault::point("published");
        let count = rings.len();
        self.store.rung(rings.into_iter().map(|ring| ring.id).collect()).await?;
        Ok(count)
    }
}

/// Offers again what the queue did not take, for a while: twice does no harm.
async fn patiently<Offer>(offer: impl Fn() -> Offer) -> Result<(), QueueError>
where
    Offer: Future<Output = Result<(), QueueError>>,
{
    let until = Instant::now() + PATIENCE;
    loop {
        match offer().await {
            Err(error) if Instant::now() < until && !error.is_lasting() => {
                tracing::debug!(%error, "the queue is asked again");
                tokio::time::sleep(PAUSE).await;
            }
            result => return result,
        }
    }
}
