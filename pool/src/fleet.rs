//! How much of the deployments' quotas this worker uses. Without Redis an equal part. With Redis
//! all workers write into one state for each model, by compare-and-set: never on the way of a call.
//!
//! It must know nothing of documents. Why one state, and what it costs: docs/adr/0010.

pub mod connection;
mod redis;
mod membership;
#[cfg(test)]
mod tests;

use crate::{ModelState, Pool};
use connection::{FleetConnection, FleetError};
use membership::Membership;
use redis::{StateStore, StoredState};
use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

/// How often a worker says that it lives, and looks whether the state is still the same.
const HEARTBEAT: Duration = Duration::from_secs(1);
/// The shortest and the longest pause between two exchanges with one state: the more often others
/// were faster, the longer.
const PAUSE_MIN: Duration = Duration::from_millis(20);
const PAUSE_MAX: Duration = Duration::from_millis(250);
/// Slots are given further ahead than this: where many wait for the same one, they need not all
/// ask for it at the same moment.
const SPREAD: Duration = Duration::from_millis(250);
/// How often an exchange is tried before it rests.
const TRIES: usize = 8;
/// A new state gives no slots for so long: all others write down first what they have sent. That is
/// the longest question without an answer, the longest rest after it, and a heartbeat.
const OPENS: Duration = redis::ASK_MAX.saturating_add(RETRY_MAX).saturating_add(HEARTBEAT);
/// The longest pause between attempts while Redis does not answer.
const RETRY_MAX: Duration = Duration::from_secs(1);

/// One worker's side of the agreement. Cheap to clone; one clone runs.
#[derive(Clone, Debug)]
pub struct Fleet {
    quota: FleetConnection,
    pool: Pool,
    worker: Arc<str>,
    /// How many workers live by the count of the database.
    counted: Arc<AtomicU32>,
}

/// An agreement at work.
struct FleetLoop {
    pool: Pool,
    counted: Arc<AtomicU32>,
    store: StateStore,
    membership: Membership,
    lines: BTreeMap<String, ModelLoop>,
}

/// One model's state, from this worker's side.
struct ModelLoop {
    /// When there is something to ask, whatever happens.
    due: Option<Instant>,
    heartbeat: Instant,
    last: Instant,
    pause: Duration,
    /// The epoch of the state that was seen last.
    epoch: String,
}

impl Fleet {
    /// For the worker of this name. Where the quota is shared, it has none of it until the state is
    /// stored.
    pub fn new(quota: FleetConnection, pool: Pool, worker: Arc<str>) -> Self {
        if let FleetConnection::Redis(_) = quota {
            pool.lease();
        }
        Self { quota, pool, worker, counted: Arc::default() }
    }

    /// Tells how many workers the database counts: without Redis they share equally.
    pub fn set_counted(&self, workers: u32) {
        self.counted.store(workers, Ordering::Relaxed);
        if let FleetConnection::Local = self.quota {
            self.pool.set_share(1.0 / f64::from(workers.max(1)));
        }
    }

    /// Exchanges with the states, again and again until `stop`; then says what is left to say. Ends
    /// at once where the quota is not shared.
    pub async fn run(self, stop: CancellationToken) {
        let FleetConnection::Redis(redis) = self.quota else { return };
        let now = Instant::now();
        let line = |model| {
            let (epoch, pause) = (String::new(), PAUSE_MIN);
            (model, ModelLoop { due: Some(now), heartbeat: now, last: now, pause, epoch })
        };
        FleetLoop {
            lines: self.pool.models().into_iter().map(line).collect(),
            store: StateStore::new(redis, self.worker),
            membership: Membership::new(now),
            pool: self.pool,
            counted: self.counted,
        }
        .run(stop)
        .await;
    }
}

impl FleetLoop {
    async fn run(mut self, stop: CancellationToken) {
        let mut failures = 0_u32;
        while !stop.is_cancelled() {
            match self.round(false).await {
                Ok(()) => {
                    failures = 0;
                    self.pause(&stop).await;
                }
                Err(error) => {
                    self.go_alone(&error, Instant::now());
                    let pause = (HEARTBEAT / 4 * 2_u32.saturating_pow(failures)).min(RETRY_MAX);
                    failures = failures.saturating_add(1).min(8);
                    tokio::select! {
                        () = stop.cancelled() => {}
                        () = sleep(pause.mul_f64(0.5 + fastrand::f64() / 2.0)) => {}
                    }
                }
            }
        }
        if let Err(error) = self.round(true).await {
            tracing::debug!(%error, "the state of the quota does not know how the last calls ended");
        }
    }

    /// Until the first line is due, or somebody begins to wait.
    async fn pause(&mut self, stop: &CancellationToken) {
        let dues =
            self.lines.values().map(|line| line.due.unwrap_or(line.heartbeat).min(line.heartbeat));
        let until = dues.min().unwrap_or_else(|| Instant::now() + HEARTBEAT);
        tokio::select! {
            () = stop.cancelled() => {}
            () = sleep_until(until) => {}
            () = self.pool.news() => {
                for (model, line) in &mut self.lines {
                    let is_urgent = self.pool.is_urgent(model);
                    if is_urgent || self.pool.waiting(model) > 0 {
                        line.hurry(is_urgent);
                    }
                }
            }
        }
    }

    /// Every line that is due, or all of them for the last time.
    async fn round(&mut self, is_last: bool) -> Result<(), FleetError> {
        let Self { pool, store, lines, .. } = self;
        let (mut workers, mut failed) = (0, None);
        for (model, line) in lines {
            let now = Instant::now();
            if is_last {
                // Where one state cannot be told, another may be.
                let told = exchange(pool, store, model, line).await;
                failed = told.map_or_else(Some, |_| failed);
            } else if line.due.is_some_and(|due| due <= now) {
                workers = exchange(pool, store, model, line).await?.max(workers);
            } else if line.heartbeat <= now {
                let stored = store.heartbeat(model).await?;
                workers = stored.workers.max(workers);
                line.heartbeat = stored.here + HEARTBEAT;
                // It was lost, or there is something to tell.
                if stored.epoch != line.epoch || pool.has_news(model) {
                    line.due = Some(stored.here);
                }
            }
        }
        if workers > 0 {
            metrics::gauge!("sluice_quota_shared").set(1.0);
            if self.membership.stored(workers, Instant::now()) {
                tracing::info!(workers, "the workers share the quota through Redis");
            }
        }
        failed.map_or(Ok(()), Err)
    }

    /// Redis does not answer: an equal part, less a margin for what the others do not know.
    fn go_alone(&mut self, error: &FleetError, now: Instant) {
        let (seconds, is_new) = self.membership.lost(now);
        metrics::gauge!("sluice_quota_shared").set(0.0);
        metrics::counter!("sluice_quota_degraded_seconds_total").increment(seconds);
        let counted = self.counted.load(Ordering::Relaxed);
        let Some((part, workers)) = self.membership.part(counted, now) else { return };
        if is_new || !self.membership.has_told() {
            self.membership.told();
            tracing::warn!(
                %error, workers, part,
                "Redis does not answer: this worker goes on with a fixed part of every quota"
            );
        }
        self.pool.set_share(part);
        let due = Some(now);
        self.lines.values_mut().for_each(|line| line.due = due);
    }
}

impl ModelLoop {
    /// As soon as it may be.
    fn hurry(&mut self, is_urgent: bool) {
        let soon = self.last + self.rest(is_urgent);
        self.due = Some(self.due.map_or(soon, |due| due.min(soon)));
    }

    /// An exchange came to its end: when the next one is due.
    fn done(
        &mut self,
        stored: &StoredState,
        tries: usize,
        again: Option<Instant>,
        is_urgent: bool,
    ) {
        (self.last, self.heartbeat) = (stored.here, stored.here + HEARTBEAT);
        self.epoch.clone_from(&stored.epoch);
        let factor = if tries == 0 { 0.9 } else { 1.5 };
        self.pause = self.pause.mul_f64(factor).clamp(PAUSE_MIN, PAUSE_MAX);
        let spread = if is_urgent { Duration::ZERO } else { SPREAD.mul_f64(fastrand::f64()) };
        let rested = self.last + self.rest(is_urgent);
        self.due = again.map(|again| (again + spread).max(rested));
    }

    /// The pause after an exchange: where somebody waits for an answer it is short whatever others do.
    fn rest(&self, is_urgent: bool) -> Duration {
        if is_urgent { PAUSE_MIN / 2 } else { self.pause }
    }
}

/// Says to the state what there is to say, and takes what it gives; how many workers there are.
async fn exchange(
    pool: &Pool,
    store: &StateStore,
    model: &str,
    line: &mut ModelLoop,
) -> Result<u32, FleetError> {
    let Some(exchange) = pool.prepare(model) else { return Ok(0) };
    let mut stored = match store.read(model).await {
        Ok(stored) => stored,
        Err(error) => {
            pool.keep(model, exchange);
            return Err(error);
        }
    };
    metrics::counter!("sluice_quota_exchanges_total").increment(1);
    for tries in 0..TRIES {
        let there = stored.state();
        let is_new = there.is_none();
        let mut state = there.unwrap_or_else(|| new(&stored));
        let exchanged = exchange.run(&mut state, stored.time_ms, stored.here);
        if !is_new && !exchanged.is_changed() {
            // Who stored no slot and has nothing to tell disturbs nobody.
            let again = pool.take(model, exchanged);
            line.done(&stored, tries, again, pool.is_urgent(model));
            return Ok(stored.workers);
        }
        match store.write(model, &stored, &state).await {
            Ok(written) if written.is_written => {
                let again = pool.take(model, exchanged);
                line.done(&written, tries, again, pool.is_urgent(model));
                return Ok(written.workers);
            }
            Ok(newer) => {
                metrics::counter!("sluice_quota_conflicts_total").increment(1);
                stored = newer;
            }
            Err(error) => {
                // It may be written: then slots are lost that nobody uses, and nothing is paid. What
                // is said again does not count again.
                pool.keep(model, exchange);
                return Err(error);
            }
        }
        if tries > 1 {
            sleep(PAUSE_MIN.mul_f64(fastrand::f64())).await;
        }
    }
    pool.keep(model, exchange);
    (line.last, line.pause) = (Instant::now(), PAUSE_MAX);
    line.due = Some(line.last + PAUSE_MIN.mul_f64(1.0 + fastrand::f64()));
    Ok(stored.workers)
}

/// Nobody has written yet, or all is lost: it opens when all others had time to write.
fn new(stored: &StoredState) -> ModelState {
    let epoch = fastrand::u64(..);
    ModelState::new(epoch, stored.time_ms + OPENS.as_secs_f64() * 1_000.0)
}
