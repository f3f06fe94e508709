//! The store on a Postgres server, for several machines at once.
//!
//! Two verbs that want the same row wait for each other in one order (document, call, question) or
//! step around each other (`SKIP LOCKED`). Where they deadlock all the same, the transaction runs
//! again.

mod tls;
mod connect;

use super::{
    DbError, StoreError,
    sql::{Change, Dialect, Sql},
    value::{Row, SqlValue, without_nul},
};
use crate::config::Secret;
use deadpool_postgres::{Client, GenericClient, Pool, Transaction};
use std::{error::Error, time::Duration};
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type, private::BytesMut, to_sql_checked};

/// What brings a database from version n to n + 1.
const MIGRATIONS: [&str; 6] = [
    include_str!("postgres/schema.sql"),
    include_str!("postgres/events.sql"),
    include_str!("postgres/trace.sql"),
    include_str!("postgres/fleet.sql"),
    include_str!("postgres/names.sql"),
    include_str!("postgres/members.sql"),
];

/// Held by the one process that migrates. The number means nothing, but must stay the same.
const MIGRATION_LOCK: i64 = 0x51_1c_e0_01;

/// How long a migration may take, those of other processes before it included.
const MIGRATION_TIMEOUT: Duration = Duration::from_secs(15 * 60);

/// The store on a Postgres server. Cheap to clone.
#[derive(Clone)]
pub struct PostgresStore {
    pub(super) pool: Pool,
}

impl std::fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PostgresStore").finish_non_exhaustive()
    }
}

impl PostgresStore {
    /// A store at this address. Nothing is sent to the server yet; [`super::Store::migrate`] makes
    /// the tables.
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
            Ok::<(), DbError>(db.commit().await?)
        };
        Ok(within(MIGRATION_TIMEOUT, migrate).await?)
    }
}

/// Gives up after `limit`.
pub(super) async fn within<T>(
    limit: Duration,
    work: impl Future<Output = Result<T, DbError>>,
) -> Result<T, DbError> {
    tokio::time::timeout(limit, work).await.unwrap_or(Err(DbError::Timeout(limit)))
}

async fn migrate(db: &Transaction<'_>) -> Result<(), DbError> {
    // Waiting for the lock counts as a statement.
    let timeout = format!("SET LOCAL statement_timeout = {}", MIGRATION_TIMEOUT.as_millis());
    db.batch_execute(&timeout).await?;
    db.execute("SELECT pg_advisory_xact_lock($1)", &[&MIGRATION_LOCK]).await?;
    db.batch_execute(
        "CREATE TABLE IF NOT EXISTS sluice_migrations
         (version BIGINT PRIMARY KEY, applied_ms BIGINT NOT NULL)",
    )
    .await?;
    let done = "SELECT coalesce(max(version), 0) FROM sluice_migrations";
    let done: i64 = db.query_one(done, &[]).await?.try_get(0)?;
    // An older program finds versions that it does not know, and leaves them alone.
    static NOTE: Sql = Sql::new("INSERT INTO sluice_migrations VALUES ($1, {now})");
    for (version, step) in (1_i64..).zip(MIGRATIONS) {
        if version > done {
            db.batch_execute(step).await?;
            db.execute(NOTE.text(Dialect::Postgres), &[&version]).await?;
        }
    }
    Ok(())
}

/// A connection during one verb.
pub(super) enum PostgresConnection<'a> {
    /// Each statement is a transaction of its own.
    Client(&'a Client),
    Transaction(&'a Transaction<'a>),
}

impl PostgresConnection<'_> {
    pub(super) async fn query(&self, sql: &Sql, values: &[SqlValue]) -> Result<Vec<Row>, DbError> {
        let text = sql.text(Dialect::Postgres);
        match self {
            Self::Client(db) => query(*db, text, sql.is_cached(), values).await,
            Self::Transaction(db) => query(*db, text, sql.is_cached(), values).await,
        }
    }

    pub(super) async fn execute(&self, sql: &Sql, values: &[SqlValue]) -> Result<u64, DbError> {
        let text = sql.text(Dialect::Postgres);
        match self {
            Self::Client(db) => execute(*db, text, values).await,
            Self::Transaction(db) => execute(*db, text, values).await,
        }
    }

    pub(super) async fn change(
        &self,
        change: &Change,
        values: &[SqlValue],
    ) -> Result<Vec<Row>, DbError> {
        match self {
            Self::Client(db) => query(*db, change.postgres(), true, values).await,
            Self::Transaction(db) => query(*db, change.postgres(), true, values).await,
        }
    }
}

async fn query(
    db: &impl GenericClient,
    text: &str,
    is_cached: bool,
    values: &[SqlValue],
) -> Result<Vec<Row>, DbError> {
    let values = parameters(values);
    let rows = match is_cached {
        true => db.query(&db.prepare_cached(text).await?, &values).await?,
        false => db.query(text, &values).await?,
    };
    rows.iter().map(row).collect()
}

async fn execute(db: &impl GenericClient, text: &str, values: &[SqlValue]) -> Result<u64, DbError> {
    let statement = db.prepare_cached(text).await?;
    Ok(db.execute(&statement, &parameters(values)).await?)
}

fn parameters(values: &[SqlValue]) -> Vec<&(dyn ToSql + Sync)> {
    values.iter().map(|value| value as &(dyn ToSql + Sync)).collect()
}

fn row(row: &tokio_postgres::Row) -> Result<Row, DbError> {
    let values = (0..row.len()).map(|column| row.try_get::<_, SqlValue>(column));
    Ok(Row(values.collect::<Result<_, _>>()?))
}

impl ToSql for SqlValue {
    fn to_sql(
        &self,
        kind: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        match self {
            Self::Null => Ok(IsNull::Yes),
            Self::Integer(number) if *kind == Type::INT8 => number.to_sql(kind, out),
            // The server's text cannot hold the character NUL.
            Self::Text(text) if text.contains('\0') => without_nul(text).to_sql(kind, out),
            Self::Text(text) => text.to_sql(kind, out),
            Self::Integer(_) => Err(format!("a number is given for the type {kind}").into()),
        }
    }

    /// Not [`Type::TEXT`] alone: NULL is of every type.
    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

impl<'a> FromSql<'a> for SqlValue {
    fn from_sql(kind: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        match *kind {
            Type::INT8 => i64::from_sql(kind, raw).map(Self::Integer),
            Type::INT4 => i32::from_sql(kind, raw).map(|number| Self::Integer(number.into())),
            Type::BOOL => bool::from_sql(kind, raw).map(|flag| Self::Integer(flag.into())),
            _ => String::from_sql(kind, raw).map(Self::Text),
        }
    }

    fn from_sql_null(_: &Type) -> Result<Self, Box<dyn Error + Sync + Send>> {
        Ok(Self::Null)
    }

    fn accepts(kind: &Type) -> bool {
        matches!(*kind, Type::INT8 | Type::INT4 | Type::BOOL) || <String as FromSql>::accepts(kind)
    }
}
