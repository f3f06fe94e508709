//! How much of the deployments' quotas this process may use: one member among several. Without
//! Redis each has an equal part. With Redis all members share one state for each model, by
//! compare-and-set; no call waits for Redis but one that waits for a slot anyway.
//!
//! It must know nothing of documents, nor of how members without Redis are counted. Why it is done
//! this way, and what it costs: docs/adr/0010 and 0014.

mod connection;
mod membership;
mod state_store;
mod pacing;
mod model_loop;
mod member_loop;
#[cfg(test)]
mod load_tests;
#[cfg(test)]
mod tests;

pub use connection::{FleetConnection, FleetError};

use crate::pool::Pool;
use member_loop::MemberLoop;
use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// One process' part in a fleet: whatever uses a pool joins, runs this handle beside its work, and
/// says how many members it counts. Cheap to clone; one clone runs.
#[derive(Clone, Debug)]
pub struct Fleet {
    pool: Pool,
    connection: FleetConnection,
    member: Arc<str>,
    /// How many members there are by another count than that of Redis.
    members: Arc<AtomicU32>,
}

impl Fleet {
    /// Joins as the member of this name, which no other member has; the member keeps one connection of
    /// `connection`, which must not be shared with another member. From now on, where quotas are
    /// shared, the pool gives no slot before the handle runs.
    pub fn join(pool: Pool, connection: FleetConnection, member: Arc<str>) -> Self {
        if let FleetConnection::Redis(_) = connection {
            let models = pool.model_pools().values();
            models.for_each(|model| model.lock().share_state(fastrand::u64(..)));
        }
        Self { pool, connection, member, members: Arc::default() }
    }

    /// Says how many members there are, this one included, by a count that needs no Redis. Without
    /// Redis each uses an equal part; when Redis does not answer, this or what Redis counted last,
    /// whichever is more.
    pub fn set_members(&self, members: u32) {
        self.members.store(members, Ordering::Relaxed);
        if let FleetConnection::Local = self.connection {
            set_share(&self.pool, 1.0 / f64::from(members.max(1)), Instant::now());
        }
    }

    /// Exchanges with the shared states until `stop`, then once more with how the last calls ended.
    /// Ends at once where quotas are not shared.
    pub async fn run(self, stop: CancellationToken) {
        if let FleetConnection::Redis(redis) = self.connection {
            MemberLoop::new(self.pool, redis, self.member, self.members).run(stop).await;
        }
    }
}

/// Uses only this part of every quota, without a shared state.
fn set_share(pool: &Pool, share: f64, now: Instant) {
    for model in pool.model_pools().values() {
        model.lock().set_share(share, fastrand::f64(), now);
    }
}
