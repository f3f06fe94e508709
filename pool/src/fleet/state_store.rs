//! The states of the models in Redis: read, and written by compare-and-set.
//!
//! It must know nothing of what a state contains, nor of when it is asked for.

use super::connection::FleetError;
use crate::state::ModelState;
use deadpool_redis::{Connection, Pool, redis::Script};
use sha2::{Digest, Sha256};
use std::{sync::Arc, time::Duration};
use tokio::time::{Instant, timeout};

/// How long one request to Redis may take, with its connection.
pub(super) const REQUEST_TIME_MAX: Duration = Duration::from_millis(1500);
/// A state that nobody has written for so long is of no use any more: its windows are empty.
const STATE_KEPT: Duration = Duration::from_secs(24 * 3600);
/// A member that has sent nothing for so long is not counted.
const MEMBER_KEPT: Duration = Duration::from_secs(5);
/// A member counts as one that exchanges, or that waits, for so long: longer than the longest pause
/// between two exchanges.
const ACTIVITY_KEPT: Duration = Duration::from_secs(3);

/// How long a member has its turn, if it does not write before.
const TURN: Duration = Duration::from_millis(100);

/// All keys have the same part in braces, so they are in one slot of a cluster. The number is that
/// of the format: members that write another one would take each other's states for unreadable.
const PREFIX: &str = "sluice:{quota}:2:";

/// The states in Redis, for one member.
pub(super) struct StateStore {
    redis: Pool,
    /// Kept between requests: taking one out of the pool costs a round trip.
    connection: Option<Connection>,
    script: Script,
    member: Arc<str>,
}

/// How many members there are, as the last read found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct MemberCounts {
    /// All that are present.
    pub(super) members: u32,
    /// Those that exchanged with the state lately.
    pub(super) exchanging: u32,
    /// Those with calls that the last exchange had no slot for.
    pub(super) waiting: u32,
}

/// What Redis answered.
pub(super) struct StoredState {
    /// Whether the state was written.
    pub(super) is_written: bool,
    /// Whether it was not read because another member has its turn.
    pub(super) is_busy: bool,
    /// The clock of Redis, in milliseconds, no later than `received`.
    pub(super) time_ms: f64,
    /// When the answer was received.
    pub(super) received: Instant,
    /// Zero after a write.
    pub(super) counts: MemberCounts,
    /// The version of the state that is stored now.
    pub(super) version: String,
    /// The epoch of that state; empty if there is none.
    pub(super) epoch: String,
    /// The state; empty if there is none, or it was not asked for.
    state: String,
}

type Reply = (u8, u64, u64, u32, u32, u32, String, String, String);

/// What a request asks for.
enum Operation<'a> {
    Heartbeat,
    Read { is_waiting: bool },
    Release,
    Write { expected: &'a str, version: &'a str, epoch: String, state: String },
}

impl StateStore {
    pub(super) fn new(redis: Pool, member: Arc<str>) -> Self {
        Self { redis, connection: None, script: Script::new(include_str!("state.lua")), member }
    }

    /// Says that this member is present, and reads the epoch of the state.
    pub(super) async fn heartbeat(&mut self, model: &str) -> Result<StoredState, FleetError> {
        self.request(model, Operation::Heartbeat).await
    }

    /// Reads the state; `is_waiting` if the last exchange left calls of this member without a slot.
    pub(super) async fn read(
        &mut self,
        model: &str,
        is_waiting: bool,
    ) -> Result<StoredState, FleetError> {
        self.request(model, Operation::Read { is_waiting }).await
    }

    /// Gives back the turn that a read began, without a write.
    pub(super) async fn release(&mut self, model: &str) -> Result<(), FleetError> {
        self.request(model, Operation::Release).await.map(drop)
    }

    /// Writes the state if the stored version is still `expected`; otherwise reads the newer one.
    pub(super) async fn write(
        &mut self,
        model: &str,
        expected: &str,
        state: &ModelState,
    ) -> Result<StoredState, FleetError> {
        let text = serde_json::to_string(state).map_err(FleetError::new)?;
        // Random, so that no version comes twice, even if Redis loses its data.
        let version = format!("{:032x}", fastrand::u128(..));
        let epoch = state.epoch().to_string();
        let write = Operation::Write { expected, version: &version, epoch, state: text };
        self.request(model, write).await
    }

    async fn request(
        &mut self,
        model: &str,
        operation: Operation<'_>,
    ) -> Result<StoredState, FleetError> {
        let request = async {
            let mut connection = match self.connection.take() {
                Some(connection) => connection,
                None => self.redis.get().await.map_err(FleetError::new)?,
            };
            let mut script = self.script.prepare_invoke();
            let key = key(model);
            script.key(&key).key(format!("{key}:members"));
            script.key(format!("{key}:exchanging")).key(format!("{key}:waiting"));
            script.key(format!("{key}:turn"));
            let (name, is_waiting) = match operation {
                Operation::Heartbeat => ("heartbeat", false),
                Operation::Read { is_waiting } => ("read", is_waiting),
                Operation::Release => ("release", false),
                Operation::Write { .. } => ("write", false),
            };
            script.arg(name).arg(&*self.member).arg(ms(MEMBER_KEPT)).arg(ms(ACTIVITY_KEPT));
            script.arg(u8::from(is_waiting)).arg(ms(TURN));
            if let Operation::Write { expected, version, epoch, state } = operation {
                script.arg(expected).arg(version).arg(epoch).arg(state).arg(ms(STATE_KEPT));
            }
            let reply: Reply =
                script.invoke_async(&mut connection).await.map_err(FleetError::new)?;
            // Only one that works is kept.
            self.connection = Some(connection);
            Ok(reply)
        };
        let late = |_| FleetError::new("no answer in time");
        let reply = timeout(REQUEST_TIME_MAX, request).await.map_err(late)??;
        let (outcome, seconds, micros, members, exchanging, waiting, version, epoch, state) = reply;
        Ok(StoredState {
            is_written: outcome == 1,
            is_busy: outcome == 2,
            time_ms: seconds as f64 * 1_000.0 + micros as f64 / 1_000.0,
            received: Instant::now(),
            counts: MemberCounts { members, exchanging, waiting },
            version,
            epoch,
            state,
        })
    }
}

impl StoredState {
    /// The state. One that cannot be read, because a newer program wrote it, counts as none.
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
