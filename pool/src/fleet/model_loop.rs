//! One member's exchanges with the shared state of one model: when the next one is due, and what an
//! exchange is.

use super::connection::FleetError;
use super::pacing;
use super::pacing::{HEARTBEAT, RETRY_MAX};
use super::state_store::{MemberCounts, REQUEST_TIME_MAX, StateStore, StoredState};
use crate::exchange::Exchange;
use crate::reservation::ModelPool;
use crate::state::ModelState;
use std::{sync::Arc, time::Duration};
use tokio::time::{Instant, sleep};

/// How often an exchange is tried again because another member wrote in between.
const TRIES_MAX: usize = 3;
/// How often the last exchange is tried.
const LAST_TRIES_MAX: usize = 20;
/// A new state gives no slots for so long, so that all other members first write what they have
/// sent: the longest request without an answer, the longest pause after it, and a heartbeat.
const OPENS_AFTER: Duration = REQUEST_TIME_MAX.saturating_add(RETRY_MAX).saturating_add(HEARTBEAT);
/// Each pause is scaled by a random number between these, so that members do not stay in step.
const JITTER: (f64, f64) = (0.75, 1.25);

/// One model, as this member shares it.
pub(super) struct ModelLoop {
    name: String,
    model: Arc<ModelPool>,
    /// When to exchange; none while there is no call to ask a slot for.
    due: Option<Instant>,
    /// When to send a heartbeat, or what is known of calls that ended.
    heartbeat: Instant,
    /// The first time for the next exchange, and the same if it is urgent.
    earliest: Instant,
    earliest_urgent: Instant,
    /// Whether the last exchange left calls without a slot.
    is_waiting: bool,
    counts: MemberCounts,
    /// The epoch of the state that was seen last.
    epoch: String,
}

/// How an exchange came out.
struct Done {
    stored: StoredState,
    counts: MemberCounts,
    /// When the calls that still wait can be given a slot.
    again: Option<Instant>,
    grants_per_second: f64,
    /// Whether several tenants wait.
    has_rivals: bool,
}

impl ModelLoop {
    pub(super) fn new(name: &str, model: Arc<ModelPool>, now: Instant) -> Self {
        Self {
            name: name.to_owned(),
            model,
            due: Some(now),
            heartbeat: now,
            earliest: now,
            earliest_urgent: now,
            is_waiting: false,
            counts: MemberCounts::default(),
            epoch: String::new(),
        }
    }

    /// When the next request is due.
    pub(super) fn next(&self) -> Instant {
        self.due.map_or(self.heartbeat, |due| due.min(self.heartbeat))
    }

    /// An exchange is due at this time.
    pub(super) fn exchange_at(&mut self, at: Instant) {
        self.due = Some(self.due.map_or(at, |due| due.min(at)));
    }

    /// Calls have asked for a slot, or have ended.
    pub(super) fn follow_news(&mut self) {
        let (is_urgent, has_waiting) = {
            let scheduler = self.model.lock();
            (scheduler.is_urgent(), scheduler.waiting() > 0)
        };
        if is_urgent {
            self.exchange_at(self.earliest_urgent);
        } else if has_waiting {
            self.exchange_at(self.earliest);
        }
    }

    /// Sends what is due, if anything is; how many members there are, if the answer says so.
    pub(super) async fn step(
        &mut self,
        store: &mut StateStore,
        now: Instant,
    ) -> Result<Option<u32>, FleetError> {
        if self.due.is_some_and(|due| due <= now) {
            return self.exchange(store).await;
        }
        if now < self.heartbeat {
            return Ok(None);
        }
        if self.due.is_none() && self.model.lock().has_news() {
            return self.exchange(store).await;
        }
        let stored = store.heartbeat(&self.name).await?;
        self.heartbeat = stored.received + HEARTBEAT;
        if stored.epoch != self.epoch {
            // The state was lost: this member writes again what it has sent.
            self.exchange_at(stored.received);
        }
        Ok(Some(stored.counts.members))
    }

    /// Tells the state how calls ended, and takes the slots that it gives; how many members there
    /// are.
    pub(super) async fn exchange(
        &mut self,
        store: &mut StateStore,
    ) -> Result<Option<u32>, FleetError> {
        metrics::counter!("sluice_quota_exchanges_total").increment(1);
        let exchange = self.model.lock().begin_exchange(Instant::now());
        match self.compare_and_set(store, &exchange).await {
            Ok(Some(done)) => {
                let members = done.counts.members;
                self.plan_next(done);
                Ok(Some(members))
            }
            Ok(None) => {
                self.model.lock().abort_exchange(exchange);
                let now = Instant::now();
                self.heartbeat = now + HEARTBEAT;
                self.due = Some(now + pacing::pause_busy().mul_f64(jitter()));
                Ok(Some(self.counts.members))
            }
            // It may have been written. Then some slots are lost, and nothing is paid for them; how
            // calls ended is told again, and counts once.
            Err(error) => {
                self.model.lock().abort_exchange(exchange);
                Err(error)
            }
        }
    }

    /// Exchanges once more, for as long as another member may have its turn.
    pub(super) async fn exchange_last(&mut self, store: &mut StateStore) -> Result<(), FleetError> {
        for _ in 0..LAST_TRIES_MAX {
            self.exchange(store).await?;
            if !self.model.lock().has_news() {
                break;
            }
            sleep(pacing::pause_busy()).await;
        }
        Ok(())
    }

    /// None if another member has its turn, or others wrote in between each time.
    async fn compare_and_set(
        &mut self,
        store: &mut StateStore,
        exchange: &Exchange,
    ) -> Result<Option<Done>, FleetError> {
        let mut stored = store.read(&self.name, self.is_waiting).await?;
        let counts = stored.counts;
        self.counts = counts;
        if stored.is_busy {
            metrics::counter!("sluice_quota_conflicts_total").increment(1);
            return Ok(None);
        }
        for _ in 0..TRIES_MAX {
            let found = stored.state();
            let is_new = found.is_none();
            let mut state = found.unwrap_or_else(|| new_state(&stored));
            let exchanged = exchange.run(&mut state, stored.time_ms, stored.received);
            // A member that got no slot and has nothing to tell writes nothing: it would only make
            // others try again.
            if is_new || exchanged.is_changed() {
                stored = store.write(&self.name, &stored.version, &state).await?;
                if !stored.is_written {
                    metrics::counter!("sluice_quota_conflicts_total").increment(1);
                    continue;
                }
            }
            if !stored.is_written {
                store.release(&self.name).await?;
            }
            let (grants_per_second, has_rivals) =
                (exchanged.grants_per_second(), exchanged.has_rivals());
            let again = self.model.lock().finish_exchange(exchanged, Instant::now());
            return Ok(Some(Done { stored, counts, again, grants_per_second, has_rivals }));
        }
        Ok(None)
    }

    /// When the next exchange is due.
    fn plan_next(&mut self, done: Done) {
        let Done { stored, counts, again, grants_per_second, has_rivals } = done;
        let now = stored.received;
        let is_urgent = self.model.lock().is_urgent();
        self.is_waiting = again.is_some();
        let pause = pacing::pause(counts, self.is_waiting, grants_per_second, has_rivals);
        let pause = pause.mul_f64(jitter());
        self.heartbeat = now + HEARTBEAT;
        self.earliest = now + pause;
        self.earliest_urgent = now + pacing::pause_urgent(counts);
        self.due = again.map(|again| match is_urgent {
            true => again.max(self.earliest_urgent),
            false => (again + pacing::spread(pause).mul_f64(fastrand::f64())).max(self.earliest),
        });
        self.epoch = stored.epoch;
    }
}

fn jitter() -> f64 {
    JITTER.0 + (JITTER.1 - JITTER.0) * fastrand::f64()
}

/// There is no state yet, or it was lost: it gives slots once all others had time to write.
fn new_state(stored: &StoredState) -> ModelState {
    let epoch = fastrand::u64(..);
    ModelState::new(epoch, stored.time_ms + OPENS_AFTER.as_secs_f64() * 1_000.0)
}
