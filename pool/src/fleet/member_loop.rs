//! The loop of a member that shares quotas through Redis: exchanges with the state of each model
//! when that is due, heartbeats in between, and goes on alone while Redis does not answer.

use super::connection::FleetError;
use super::membership::Membership;
use super::model_loop::ModelLoop;
use super::pacing::{HEARTBEAT, RETRY_MAX};
use super::set_share;
use super::state_store::StateStore;
use crate::pool::Pool;
use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

/// The loop and what it knows.
pub(super) struct MemberLoop {
    pool: Pool,
    store: StateStore,
    models: Vec<ModelLoop>,
    membership: Membership,
    /// How many members there are by another count than that of Redis.
    members: Arc<AtomicU32>,
}

impl MemberLoop {
    pub(super) fn new(
        pool: Pool,
        redis: deadpool_redis::Pool,
        member: Arc<str>,
        members: Arc<AtomicU32>,
    ) -> Self {
        let now = Instant::now();
        let models = pool.model_pools().iter();
        let models = models.map(|(name, model)| ModelLoop::new(name, Arc::clone(model), now));
        let (models, store) = (models.collect(), StateStore::new(redis, member));
        Self { models, store, membership: Membership::new(now), pool, members }
    }

    /// Runs until `stop`, then writes what is left to write.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        let mut failures = 0_u32;
        while !stop.is_cancelled() {
            match self.round().await {
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
        for model in &mut self.models {
            // If one state cannot be written, another one may be.
            if let Err(error) = model.exchange_last(&mut self.store).await {
                tracing::debug!(%error, "the shared state misses how the last calls ended");
            }
        }
    }

    /// Until the first request is due, or a call begins to wait.
    async fn pause(&mut self, stop: &CancellationToken) {
        let next = self.models.iter().map(ModelLoop::next).min();
        let next = next.unwrap_or_else(|| Instant::now() + HEARTBEAT);
        tokio::select! {
            () = stop.cancelled() => {}
            () = sleep_until(next) => {}
            () = self.pool.news() => self.models.iter_mut().for_each(ModelLoop::follow_news),
        }
    }

    /// Sends every request that is due.
    async fn round(&mut self) -> Result<(), FleetError> {
        let mut members = 0;
        for model in &mut self.models {
            let counted = model.step(&mut self.store, Instant::now()).await?;
            members = counted.unwrap_or_default().max(members);
        }
        if members > 0 {
            metrics::gauge!("sluice_quota_shared").set(1.0);
            if self.membership.connected(members, Instant::now()) {
                tracing::info!(members, "the workers share the quota through Redis");
            }
        }
        Ok(())
    }

    /// Redis does not answer: an equal part, less a margin for what the other members do not know.
    fn go_alone(&mut self, error: &FleetError, now: Instant) {
        let (seconds, is_new) = self.membership.disconnected(now);
        metrics::gauge!("sluice_quota_shared").set(0.0);
        metrics::counter!("sluice_quota_degraded_seconds_total").increment(seconds);
        let counted = self.members.load(Ordering::Relaxed);
        let Some((part, members)) = self.membership.part(counted, now) else { return };
        if is_new || !self.membership.is_logged() {
            self.membership.set_logged();
            tracing::warn!(
                %error, members, part,
                "Redis does not answer: this worker goes on with a fixed part of every quota"
            );
        }
        set_share(&self.pool, part, now);
        self.models.iter_mut().for_each(|model| model.exchange_at(now));
    }
}
