//! Where the states of the models lie in Redis: read, and written where nobody was faster.
//!
//! It must know nothing of what stands in a state, nor of when it is asked for.

use super::connection::FleetError;
use crate::ModelState;
use deadpool_redis::{
    Pool,
    redis::{Script, ScriptInvocation},
};
use sha2::{Digest, Sha256};
use std::{sync::Arc, time::Duration};
use tokio::time::{Instant, timeout};

/// How long one question to Redis may take, with its connection.
pub(super) const ASK_MAX: Duration = Duration::from_millis(1500);
/// A state that nobody has written into for so long says nothing any more.
const KEPT: Duration = Duration::from_secs(24 * 3600);
/// A worker that has said nothing for so long is not counted.
const COUNTED: Duration = Duration::from_secs(5);

/// The slot of a cluster is chosen by what stands in braces: all keys are in one.
const PREFIX: &str = "sluice:{quota}:";

/// The states in Redis, for one worker.
pub(super) struct StateStore {
    redis: Pool,
    script: Script,
    worker: Arc<str>,
}

/// What Redis answered.
pub(super) struct StoredState {
    /// Whether what was to be written is written.
    pub(super) is_written: bool,
    /// Its clock, in milliseconds, at the latest when the answer was here.
    pub(super) time_ms: f64,
    /// When the answer was here.
    pub(super) here: Instant,
    /// How many workers have said something lately.
    pub(super) workers: u32,
    /// What tells this state of the state from all others.
    pub(super) version: String,
    /// The epoch of the state; empty where there is none.
    pub(super) epoch: String,
    /// The state; none where there is none, or it was not asked for.
    state: String,
}

type Raw = (u8, u64, u64, u32, String, String, String);

impl StateStore {
    pub(super) fn new(redis: Pool, worker: Arc<str>) -> Self {
        Self { redis, script: Script::new(include_str!("state.lua")), worker }
    }

    /// Only says that this worker lives, and which state there is.
    pub(super) async fn heartbeat(&self, model: &str) -> Result<StoredState, FleetError> {
        self.ask(model, "heartbeat", "", "", "").await
    }

    /// Reads the state.
    pub(super) async fn read(&self, model: &str) -> Result<StoredState, FleetError> {
        self.ask(model, "", "", "", "").await
    }

    /// Writes the state where it is still as it was stored; otherwise finds it as it is now.
    pub(super) async fn write(
        &self,
        model: &str,
        stored: &StoredState,
        state: &ModelState,
    ) -> Result<StoredState, FleetError> {
        let text = serde_json::to_string(state).map_err(FleetError::new)?;
        // By chance, so that no version comes twice, whatever Redis forgets.
        let version = format!("{:032x}", fastrand::u128(..));
        self.ask(model, &stored.version, &version, &state.epoch().to_string(), &text).await
    }

    async fn ask(
        &self,
        model: &str,
        expected: &str,
        version: &str,
        epoch: &str,
        state: &str,
    ) -> Result<StoredState, FleetError> {
        let ask = async {
            let mut connection = self.redis.get().await.map_err(FleetError::new)?;
            let mut ask: ScriptInvocation<'_> = self.script.prepare_invoke();
            let key = key(model);
            ask.key(&key).key(format!("{key}:workers")).arg(&*self.worker).arg(expected);
            ask.arg(version).arg(epoch).arg(state).arg(ms(KEPT)).arg(ms(COUNTED));
            let raw: Raw = ask.invoke_async(&mut connection).await.map_err(FleetError::new)?;
            Ok(raw)
        };
        let late = |_| FleetError::new("no answer in time");
        let raw = timeout(ASK_MAX, ask).await.map_err(late)??;
        let (is_written, seconds, micros, workers, version, epoch, state) = raw;
        Ok(StoredState {
            is_written: is_written == 1,
            time_ms: seconds as f64 * 1_000.0 + micros as f64 / 1_000.0,
            here: Instant::now(),
            workers,
            version,
            epoch,
            state,
        })
    }
}

impl StoredState {
    /// The state that was stored. One that cannot be read, because another version of this program
    /// wrote it, is as good as none.
    pub(super) fn state(&self) -> Option<ModelState> {
        if self.state.is_empty() {
            return None;
        }
        serde_json::from_str(&self.state)
            .inspect_err(|error| tracing::warn!(%error, "the state of the quota cannot be read"))
            .ok()
    }
}

fn key(model: &str) -> String {
    let hash = Sha256::digest(model);
    let hex: String = hash.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    format!("{PREFIX}{hex}")
}

fn ms(duration: Duration) -> u64 {
    duration.as_millis().try_into().unwrap_or(u64::MAX)
}
