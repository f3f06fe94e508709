//! The connection over which members share quotas: to Redis, or none.
//!
//! Its errors never contain the address, which may hold a password.

use crate::trust;
use deadpool_redis::{
    Connection, Manager, Pool, Runtime,
    redis::{self, AsyncConnectionConfig},
};
use std::time::Duration;

/// How long connecting may take.
const CONNECT_MAX: Duration = Duration::from_secs(1);
/// How long Redis may take to answer: on a busy machine longer than on an idle one, and a member that goes
/// on alone uses less of the quota.
const ANSWER_MAX: Duration = Duration::from_millis(750);
/// Connections at most: one for the exchanges, one to ask whether Redis is there.
const CONNECTIONS_MAX: usize = 2;

/// Redis did not do what it was asked.
#[derive(Clone, Debug, thiserror::Error)]
#[error("redis: {0}")]
pub struct FleetError(String);

impl FleetError {
    /// With its reason.
    pub fn new(why: impl std::fmt::Display) -> Self {
        Self(trust::explained(why))
    }
}

/// The connection over which members share quotas. Cheap to clone.
#[derive(Clone)]
pub enum FleetConnection {
    /// None: each member uses an equal part of every quota.
    Local,
    /// To Redis.
    Redis(Pool),
}

impl std::fmt::Debug for FleetConnection {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::Local => "Local",
            Self::Redis(_) => "Redis",
        })
    }
}

impl FleetConnection {
    /// To the Redis at this address (`redis://` or `rediss://`). Nothing is asked of it yet.
    ///
    /// # Errors
    /// When the address cannot be read; the error does not contain it.
    pub fn redis(url: &str) -> Result<Self, FleetError> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_MAX))
            .set_response_timeout(Some(ANSWER_MAX));
        // The error may quote the address.
        let manager = Manager::new_with_config(url, config)
            .map_err(|_| FleetError::new("the address in `quota` cannot be read"))?;
        let pool = Pool::builder(manager)
            .max_size(CONNECTIONS_MAX)
            .runtime(Runtime::Tokio1)
            .wait_timeout(Some(CONNECT_MAX))
            .create_timeout(Some(CONNECT_MAX))
            .recycle_timeout(Some(ANSWER_MAX))
            .build()
            .map_err(FleetError::new)?;
        Ok(Self::Redis(pool))
    }

    /// Whether Redis answers, where it is used.
    ///
    /// # Errors
    /// When it does not.
    pub async fn ready(&self) -> Result<(), FleetError> {
        let Self::Redis(pool) = self else { return Ok(()) };
        let mut connection: Connection = pool.get().await.map_err(FleetError::new)?;
        let pong: Result<String, _> = redis::cmd("PING").query_async(&mut connection).await;
        pong.map(|_| ()).map_err(FleetError::new)
    }
}
