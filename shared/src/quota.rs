//! Where workers agree on the quota: in Redis, or nowhere.
//!
//! It must know nothing of deployments and shares, and its errors never contain the address: that
//! may hold a password.

use crate::{config, trust};
use deadpool_redis::{
    Connection, Manager, Pool, Runtime,
    redis::{self, AsyncConnectionConfig},
};
use std::time::Duration;

/// How long a connection may take to come about.
const CONNECT_MAX: Duration = Duration::from_secs(1);
/// How long Redis may take to answer.
const ANSWER_MAX: Duration = Duration::from_millis(250);
/// Connections at most: one for the worker, one to ask whether Redis is there.
const CONNECTIONS_MAX: usize = 2;

/// Redis did not do what it was asked.
#[derive(Clone, Debug, thiserror::Error)]
#[error("redis: {0}")]
pub struct QuotaError(String);

impl QuotaError {
    /// With its reason.
    pub fn new(why: impl std::fmt::Display) -> Self {
        Self(trust::explained(why))
    }
}

/// Where workers agree on the quota. Cheap to clone.
#[derive(Clone)]
pub enum Quota {
    /// Nowhere: each assumes that all who are alive have an equal share.
    Local,
    /// In Redis.
    Redis(Pool),
}

impl std::fmt::Debug for Quota {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::Local => "Local",
            Self::Redis(_) => "Redis",
        })
    }
}

impl Quota {
    /// As the configuration says. Nothing is asked of Redis yet.
    ///
    /// # Errors
    /// When the address cannot be read.
    pub fn open(quota: &config::QuotaAddress) -> Result<Self, QuotaError> {
        let config::QuotaAddress::Redis(url) = quota else { return Ok(Self::Local) };
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_MAX))
            .set_response_timeout(Some(ANSWER_MAX));
        // The error may quote the address.
        let manager = Manager::new_with_config(url.expose(), config)
            .map_err(|_| QuotaError::new("the address in `quota` cannot be read"))?;
        let pool = Pool::builder(manager)
            .max_size(CONNECTIONS_MAX)
            .runtime(Runtime::Tokio1)
            .wait_timeout(Some(CONNECT_MAX))
            .create_timeout(Some(CONNECT_MAX))
            .recycle_timeout(Some(ANSWER_MAX))
            .build()
            .map_err(QuotaError::new)?;
        Ok(Self::Redis(pool))
    }

    /// Whether Redis answers, where it is used.
    ///
    /// # Errors
    /// When it does not.
    pub async fn ready(&self) -> Result<(), QuotaError> {
        let Self::Redis(pool) = self else { return Ok(()) };
        let mut connection: Connection = pool.get().await.map_err(QuotaError::new)?;
        let pong: Result<String, _> = redis::cmd("PING").query_async(&mut connection).await;
        pong.map(|_| ()).map_err(QuotaError::new)
    }
}
