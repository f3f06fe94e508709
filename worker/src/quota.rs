//! How much of the deployments' quotas this worker uses: where workers do not talk to each other,
//! an equal part.
//!
//! It must know nothing of documents.

use crate::pool::Pool;
use shared::quota::Quota;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// One worker's side of the agreement. Cheap to clone; one clone runs.
#[derive(Clone, Debug)]
pub struct Agreement {
    pool: Pool,
}

impl Agreement {
    /// With these deployments, by their names and addresses.
    pub fn new(
        _quota: Quota,
        pool: Pool,
        _worker: Arc<str>,
        _deployments: impl IntoIterator<Item = (String, String)>,
    ) -> Self {
        Self { pool }
    }

    /// Tells how many workers the database counts: they share equally.
    pub fn set_counted(&self, workers: u32) {
        self.pool.set_share(1.0 / f64::from(workers.max(1)));
    }

    /// Ends at once: there is nothing to agree on yet.
    pub async fn run(self, _stop: CancellationToken) {}
}
