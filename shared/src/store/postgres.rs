//! The truth on a Postgres server, for several machines at once.
//!
//! Each verb is one statement or one transaction. Where two of them want the same row, they wait
//! for each other in one order (document, call, question) or step around each other (`SKIP
//! LOCKED`); where they get in each other's way all the same, the transaction runs again.

mod connect;
mod tls;
mod rows;
mod events;
mod intake;
mod schemas;
mod work;
mod upkeep;
mod fleet;

use super::StoreError;
use crate::{config::Secret, trust};
use deadpool_postgres::{GenericClient, Pool, PoolError, TimeoutType, Transaction};
use std::{error::Error, time::Duration};
use tokio_postgres::{Row, error::SqlState, types::ToSql};

/// The database's clock, in milliseconds since 1970. Not `now()`: that is when the transaction
/// began, and it may have waited for a lock since.
macro_rules! now {
    () => {
        "(extract(epoch FROM clock_timestamp()) * 1000)::bigint"
    };
}
use now;

/// The clock where an index is searched with it: read once, not for every row.
macro_rules! now_once {
    () => {
        concat!("(SELECT ", now!(), ")")
    };
}
use now_once;

/// Runs one statement. (A macro and not a function that takes a closure: the compiler cannot see
/// yet that the future of a closure that borrows may be sent to another thread.)
macro_rules! statement {
    ($store:expr, |$db:ident| $work:expr) => {
        $crate::store::postgres::attempt!($store, connection, {
            let $db = &connection;
            $work
        })
    };
}
use statement;

/// Runs statements in one transaction, from its start again when others got in its way.
macro_rules! transaction {
    ($store:expr, |$db:ident| $work:expr) => {
        $crate::store::postgres::attempt!($store, connection, {
            let mut connection = connection;
            let transaction = connection.transaction().await?;
            let $db = &transaction;
            let work: Result<_, $crate::store::postgres::Trouble> = async { $work }.await;
            let done = work?;
            transaction.commit().await?;
            Ok(done)
        })
    };
}
use transaction;

macro_rules! attempt {
    ($store:expr, $connection:ident, $work:block) => {{
        use $crate::store::postgres as here;
        let persistently = async {
            let mut retries = here::RETRIES_MAX;
            loop {
                let attempt = async {
                    let $connection = $store.pool.get().await?;
                    $work
                };
                match attempt.await {
                    Err(here::Trouble::Server(error))
                        if retries > 0 && here::is_contention(&error) =>
                    {
                        retries -= 1;
                    }
                    done => break done,
                }
            }
        };
        here::within(here::VERB_TIMEOUT, persistently).await.map_err(StoreError::from)
    }};
}
use attempt;

/// What brings a database from version n to n + 1.
const MIGRATIONS: [&str; 4] = [
    include_str!("postgres/schema.sql"),
    include_str!("postgres/events.sql"),
    include_str!("postgres/trace.sql"),
    include_str!("postgres/fleet.sql"),
];

/// Held by the one process that migrates. The number means nothing, but must stay the same.
const MIGRATION_LOCK: i64 = 0x51_1c_e0_01;

/// How often a transaction runs again after others got in its way.
const RETRIES_MAX: u32 = 5;

/// How long a verb may take, connecting and running again included. The server stops a single
/// statement earlier; this is for when it is the network that is silent.
const VERB_TIMEOUT: Duration = Duration::from_secs(60);

/// How long a migration may take, the migrations of other processes before it included.
const MIGRATION_TIMEOUT: Duration = Duration::from_secs(15 * 60);

/// The classes of what a server answers while it starts, stops, is full or follows another one.
const PASSING: [&str; 7] = ["08", "25", "40", "53", "55", "57", "58"];

/// The values of a statement.
type Values<'a> = &'a [&'a (dyn ToSql + Sync)];

/// The truth on a Postgres server. Cheap to clone.
#[derive(Clone)]
pub struct PostgresStore {
    pool: Pool,
}

impl std::fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PostgresStore").finish_non_exhaustive()
    }
}

/// Why a statement or a transaction did not go through.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error("{}", with_causes(.0))]
    Server(#[from] tokio_postgres::Error),
    #[error("{0}")]
    Pool(String),
    #[error("a row cannot be read: {0}")]
    Row(String),
    #[error("no answer within {} s", .0.as_secs())]
    Silence(Duration),
}

impl Trouble {
    /// Whether the server is there and will say the same again.
    fn is_lasting(&self) -> bool {
        let Self::Server(error) = self else { return false };
        match error.code() {
            Some(code) => !PASSING.iter().any(|class| code.code().starts_with(class)),
            // A password that the address does not have, or a setting that cannot be.
            None => {
                let text = error.to_string();
                text.starts_with("authentication error")
                    || text.starts_with("invalid configuration")
            }
        }
    }
}

impl From<PoolError> for Trouble {
    fn from(error: PoolError) -> Self {
        match error {
            PoolError::Backend(error) => Self::Server(error),
            PoolError::Timeout(TimeoutType::Wait) => {
                Self::Pool("all connections of this process are in use".to_owned())
            }
            PoolError::Timeout(_) => Self::Pool("the server does not answer".to_owned()),
            error => Self::Pool(with_causes(&error)),
        }
    }
}

impl From<Trouble> for StoreError {
    fn from(trouble: Trouble) -> Self {
        let text = trust::explained(&trouble);
        let is_lasting = trust::is_refused(&text) || trouble.is_lasting();
        Self { text, is_lasting }
    }
}

/// The driver's own messages leave out the cause, which is the part that helps.
fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        cause = error.source();
    }
    text
}

impl PostgresStore {
    /// A store at this address. Nothing is asked of the server yet; [`super::Store::migrate`]
    /// makes the tables.
    ///
    /// # Errors
    /// When the address cannot be understood, or a file that it names cannot be read. The message
    /// never contains the address.
    pub fn open(address: &Secret) -> Result<Self, StoreError> {
        Ok(Self { pool: connect::pool(address.expose()).map_err(StoreError::lasting)? })
    }

    pub(super) async fn migrate(&self) -> Result<(), StoreError> {
        let migrate = async {
            let mut connection = self.pool.get().await?;
            let db = connection.transaction().await?;
            migrate(&db).await?;
            Ok::<(), Trouble>(db.commit().await?)
        };
        Ok(within(MIGRATION_TIMEOUT, migrate).await?)
    }

    pub(super) async fn ready(&self) -> Result<(), StoreError> {
        let sql = "SELECT 1 FROM workers LIMIT 1";
        statement!(self, |db| maybe(db, sql, &[]).await.map(drop))
    }
}

/// Whether a transaction was undone only because of others, so that it may go through now.
fn is_contention(error: &tokio_postgres::Error) -> bool {
    let code = error.code();
    code == Some(&SqlState::T_R_DEADLOCK_DETECTED)
        || code == Some(&SqlState::T_R_SERIALIZATION_FAILURE)
}

async fn within<T>(
    limit: Duration,
    work: impl Future<Output = Result<T, Trouble>>,
) -> Result<T, Trouble> {
    tokio::time::timeout(limit, work).await.unwrap_or(Err(Trouble::Silence(limit)))
}

/// The rows that a statement gives.
async fn all(db: &impl GenericClient, sql: &str, values: Values<'_>) -> Result<Vec<Row>, Trouble> {
    let statement = db.prepare_cached(sql).await?;
    Ok(db.query(&statement, values).await?)
}

/// The row that a statement gives, if it gives one.
async fn maybe(
    db: &impl GenericClient,
    sql: &str,
    values: Values<'_>,
) -> Result<Option<Row>, Trouble> {
    let statement = db.prepare_cached(sql).await?;
    Ok(db.query_opt(&statement, values).await?)
}

/// The row that a statement gives.
async fn one(db: &impl GenericClient, sql: &str, values: Values<'_>) -> Result<Row, Trouble> {
    let statement = db.prepare_cached(sql).await?;
    Ok(db.query_one(&statement, values).await?)
}

/// How many rows a statement changes.
async fn execute(db: &impl GenericClient, sql: &str, values: Values<'_>) -> Result<u64, Trouble> {
    let statement = db.prepare_cached(sql).await?;
    Ok(db.execute(&statement, values).await?)
}

async fn migrate(db: &Transaction<'_>) -> Result<(), Trouble> {
    // Waiting for the lock counts as a statement.
    let patience = format!("SET LOCAL statement_timeout = {}", MIGRATION_TIMEOUT.as_millis());
    db.batch_execute(&patience).await?;
    db.execute("SELECT pg_advisory_xact_lock($1)", &[&MIGRATION_LOCK]).await?;
    db.batch_execute(
        "CREATE TABLE IF NOT EXISTS sluice_migrations
         (version BIGINT PRIMARY KEY, applied_ms BIGINT NOT NULL)",
    )
    .await?;
    let done = "SELECT coalesce(max(version), 0) FROM sluice_migrations";
    let done: i64 = db.query_one(done, &[]).await?.try_get(0)?;
    // An older program finds versions that it does not know, and leaves them alone.
    for (version, step) in (1_i64..).zip(MIGRATIONS) {
        if version > done {
            db.batch_execute(step).await?;
            let note = concat!("INSERT INTO sluice_migrations VALUES ($1, ", now!(), ")");
            db.execute(note, &[&version]).await?;
        }
    }
    Ok(())
}
