//! Why the database failed.
//!
//! [`DbError`] travels inside the store, so that a transaction can be run again; callers get a
//! [`StoreError`].

use crate::{error_chain::with_causes, trust};
use deadpool_postgres::{PoolError, TimeoutType};
use std::time::Duration;
use tokio_postgres::error::SqlState;

/// The database failed or does not answer.
#[derive(Debug, thiserror::Error)]
#[error("database: {text}")]
pub struct StoreError {
    text: String,
    is_lasting: bool,
}

impl StoreError {
    /// An error of a file or of an address: waiting does not help.
    pub(super) fn lasting(text: impl Into<String>) -> Self {
        Self { text: text.into(), is_lasting: true }
    }

    /// Whether a retry is useless: a password, a name, a right or a certificate is wrong.
    pub fn is_lasting(&self) -> bool {
        self.is_lasting
    }
}

/// The classes of SQLSTATE of a server that starts, stops, is full or follows another one.
const PASSING: [&str; 7] = ["08", "25", "40", "53", "55", "57", "58"];

/// Why a statement or a transaction failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DbError {
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
    #[error("{0}")]
    SqliteFile(String),
    #[error("{}", with_causes(.0))]
    Postgres(#[from] tokio_postgres::Error),
    #[error("{0}")]
    PostgresPool(String),
    #[error("a row cannot be read: {0}")]
    Row(String),
    #[error("no answer within {} s", .0.as_secs())]
    Timeout(Duration),
}

impl DbError {
    /// A row that does not hold what it should.
    pub(super) fn row(error: impl std::fmt::Display) -> Self {
        Self::Row(error.to_string())
    }

    /// Whether the transaction failed only because of others: it may go through now.
    pub(super) fn is_contention(&self) -> bool {
        let Self::Postgres(error) = self else { return false };
        let code = error.code();
        code == Some(&SqlState::T_R_DEADLOCK_DETECTED)
            || code == Some(&SqlState::T_R_SERIALIZATION_FAILURE)
    }

    /// Whether the database is there and will answer the same again.
    fn is_lasting(&self) -> bool {
        let error = match self {
            Self::Sqlite(_) | Self::SqliteFile(_) => return true,
            Self::Postgres(error) => error,
            Self::PostgresPool(_) | Self::Row(_) | Self::Timeout(_) => return false,
        };
        match error.code() {
            Some(code) => !PASSING.iter().any(|class| code.code().starts_with(class)),
            // A password that the address does not have, or an impossible setting.
            None => {
                let text = error.to_string();
                text.starts_with("authentication error")
                    || text.starts_with("invalid configuration")
            }
        }
    }
}

impl From<PoolError> for DbError {
    fn from(error: PoolError) -> Self {
        match error {
            PoolError::Backend(error) => Self::Postgres(error),
            PoolError::Timeout(TimeoutType::Wait) => {
                Self::PostgresPool("all connections of this process are in use".to_owned())
            }
            PoolError::Timeout(_) => Self::PostgresPool("the server does not answer".to_owned()),
            error => Self::PostgresPool(with_causes(&error)),
        }
    }
}

impl From<DbError> for StoreError {
    fn from(error: DbError) -> Self {
        let text = trust::explained(&error);
        let is_lasting = trust::is_refused(&text) || error.is_lasting();
        Self { text, is_lasting }
    }
}
