//! How a verb runs on either database.
//!
//! A verb is an async function over [`Db`]. On Postgres it waits for the server. SQLite's driver
//! blocks instead, so the whole verb runs on a thread for blocking work and never waits.

use super::{
    DbError, Store, StoreError,
    postgres::{PostgresConnection, PostgresStore, within},
    sql::{Change, Sql},
    sqlite::{SqliteConnection, SqliteStore},
    value::{Row, SqlValue},
};
use std::{
    pin::{Pin, pin},
    task::{Context, Poll, Waker},
    time::Duration,
};

/// How often a transaction runs again after a deadlock.
const RETRIES_MAX: u32 = 5;

/// How long a verb may take, connecting and running again included. The server stops a single
/// statement earlier; this is for a network that is silent.
const VERB_TIMEOUT: Duration = Duration::from_secs(60);

/// A database during one verb.
pub(super) enum Db<'a> {
    Sqlite(SqliteConnection<'a>),
    Postgres(PostgresConnection<'a>),
}

impl Db<'_> {
    /// The rows that a statement gives.
    pub(super) async fn query(
        &self,
        sql: &Sql,
        values: Vec<SqlValue>,
    ) -> Result<Vec<Row>, DbError> {
        match self {
            Self::Sqlite(db) => db.query(sql, &values),
            Self::Postgres(db) => db.query(sql, &values).await,
        }
    }

    /// The first row that a statement gives, if it gives one.
    pub(super) async fn first(
        &self,
        sql: &Sql,
        values: Vec<SqlValue>,
    ) -> Result<Option<Row>, DbError> {
        Ok(self.query(sql, values).await?.into_iter().next())
    }

    /// The row that a statement gives.
    pub(super) async fn one(&self, sql: &Sql, values: Vec<SqlValue>) -> Result<Row, DbError> {
        let none = || DbError::Row("a statement gave none".to_owned());
        self.first(sql, values).await?.ok_or_else(none)
    }

    /// How many rows a statement changes.
    pub(super) async fn execute(&self, sql: &Sql, values: Vec<SqlValue>) -> Result<u64, DbError> {
        match self {
            Self::Sqlite(db) => db.execute(sql, &values),
            Self::Postgres(db) => db.execute(sql, &values).await,
        }
    }

    /// Changes documents, and gives the changed rows.
    pub(super) async fn change(
        &self,
        change: &Change,
        values: Vec<SqlValue>,
    ) -> Result<Vec<Row>, DbError> {
        match self {
            Self::Sqlite(db) => db.change(change, &values),
            Self::Postgres(db) => db.change(change, &values).await,
        }
    }

    /// Lets one transaction at a time pass that locks this name, where there may be no row to
    /// lock. A transaction of SQLite is alone anyway.
    pub(super) async fn lock(&self, name: &str) -> Result<(), DbError> {
        static LOCK: Sql = Sql::new("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))");
        match self {
            Self::Sqlite(_) => Ok(()),
            Self::Postgres(db) => db.execute(&LOCK, &[name.into()]).await.map(drop),
        }
    }
}

/// What a verb needs of the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    /// Reads only.
    Read,
    /// Writes, and each statement may stand alone.
    Write,
    /// All statements or none.
    Transaction,
}

/// A verb under way.
pub(super) type Running<'c, T> = Pin<Box<dyn Future<Output = Result<T, DbError>> + Send + 'c>>;

/// A verb: a function and not a closure, so that it can run again and move to another thread.
pub(super) type Verb<A, T> = for<'c> fn(&'c Db<'_>, &'c A) -> Running<'c, T>;

impl Store {
    /// Runs a verb with its arguments.
    pub(super) async fn run<A, T>(
        &self,
        access: Access,
        arguments: A,
        verb: Verb<A, T>,
    ) -> Result<T, StoreError>
    where
        A: Send + Sync + 'static,
        T: Send + 'static,
    {
        let done = match self {
            Self::Sqlite(store) => on_sqlite(store, access, arguments, verb).await,
            Self::Postgres(store) => {
                within(VERB_TIMEOUT, on_postgres(store, access, &arguments, verb)).await
            }
        };
        done.map_err(StoreError::from)
    }

    /// The rows of one statement that reads.
    pub(super) async fn query<T>(
        &self,
        sql: &'static Sql,
        values: Vec<SqlValue>,
        read: fn(&Row) -> Result<T, DbError>,
    ) -> Result<Vec<T>, StoreError> {
        let rows = self.run(Access::Read, (sql, values), |db, (sql, values)| {
            Box::pin(db.query(sql, values.clone()))
        });
        Ok(rows.await?.iter().map(read).collect::<Result<_, _>>()?)
    }

    /// How many rows one statement changes.
    pub(super) async fn execute(
        &self,
        sql: &'static Sql,
        values: Vec<SqlValue>,
    ) -> Result<u64, StoreError> {
        let changed = self.run(Access::Write, (sql, values), |db, (sql, values)| {
            Box::pin(db.execute(sql, values.clone()))
        });
        changed.await
    }

    /// Whether a change finds its document.
    pub(super) async fn change(
        &self,
        change: &'static Change,
        values: Vec<SqlValue>,
    ) -> Result<bool, StoreError> {
        let changed = self.run(Access::Write, (change, values), |db, (change, values)| {
            Box::pin(db.change(change, values.clone()))
        });
        Ok(!changed.await?.is_empty())
    }
}

async fn on_sqlite<A, T>(
    store: &SqliteStore,
    access: Access,
    arguments: A,
    verb: Verb<A, T>,
) -> Result<T, DbError>
where
    A: Send + Sync + 'static,
    T: Send + 'static,
{
    let work = move |connection: &mut rusqlite::Connection| {
        let db = Db::Sqlite(SqliteConnection::new(connection));
        let running = pin!(verb(&db, &arguments));
        match running.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(done) => done,
            Poll::Pending => Err(DbError::SqliteFile("a verb waits for something else".to_owned())),
        }
    };
    match access {
        Access::Read => store.file.read(work).await,
        Access::Write | Access::Transaction => store.file.write(work).await,
    }
}

async fn on_postgres<A: Sync, T>(
    store: &PostgresStore,
    access: Access,
    arguments: &A,
    verb: Verb<A, T>,
) -> Result<T, DbError> {
    let mut retries = RETRIES_MAX;
    loop {
        match attempt(store, access, arguments, verb).await {
            Err(error) if retries > 0 && error.is_contention() => retries -= 1,
            done => return done,
        }
    }
}

async fn attempt<A: Sync, T>(
    store: &PostgresStore,
    access: Access,
    arguments: &A,
    verb: Verb<A, T>,
) -> Result<T, DbError> {
    let mut connection = store.pool.get().await?;
    if access != Access::Transaction {
        let db = Db::Postgres(PostgresConnection::Client(&connection));
        return verb(&db, arguments).await;
    }
    let transaction = connection.transaction().await?;
    let done = {
        let db = Db::Postgres(PostgresConnection::Transaction(&transaction));
        verb(&db, arguments).await?
    };
    transaction.commit().await?;
    Ok(done)
}
