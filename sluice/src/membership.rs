//! Counts the processes that use the pool: each role that has one registers in the database, and
//! tells its fleet how many have. The count matters where quotas are not shared through Redis.

use pool::Fleet;
use shared::{fleet::WorkerReport, store::Store};
use std::{sync::Arc, time::Duration};
use tokio_util::sync::CancellationToken;

/// How often a process registers, and how long it is counted without doing so.
const HEARTBEAT: Duration = Duration::from_secs(2);
const COUNTED: Duration = Duration::from_secs(8);

/// Registers this member, with what `report` says of it, until `stop`; then removes it.
pub(crate) async fn run(
    store: Store,
    member: Arc<str>,
    fleet: Fleet,
    report: impl Fn() -> WorkerReport,
    stop: CancellationToken,
) {
    while !stop.is_cancelled() {
        match store.fleet().report(&member, &report(), COUNTED).await {
            Ok(members) => fleet.set_members(members),
            Err(error) => tracing::debug!(%error, "this process could not register"),
        }
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(HEARTBEAT) => {}
        }
    }
    if let Err(error) = store.fleet().leave(&member).await {
        tracing::debug!(%error, "this process could not remove its registration");
    }
}
