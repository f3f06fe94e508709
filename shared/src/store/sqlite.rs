//! The store in one SQLite file: write-ahead log, `synchronous = FULL`, so that what was
//! acknowledged survives a power cut.
//!
//! The embedded queue keeps its messages in the same file and uses [`SqliteFile`].

mod writer;

use super::{
    DbError, StoreError,
    sql::{Change, Dialect, Sql, entry_of_one, event_of_one},
    value::{Row, SqlValue},
};
use deadpool::managed::{Manager, Metrics, Pool, RecycleError, RecycleResult};
use deadpool_sqlite::{Config, Runtime};
use rusqlite::{
    Connection, ErrorCode, Statement, ToSql, params_from_iter,
    types::{ToSqlOutput, ValueRef},
};
use std::{
    path::Path,
    sync::{Mutex, MutexGuard, PoisonError},
};
use writer::Writer;

/// What brings a database from version n to n + 1.
const MIGRATIONS: [&str; 6] = [
    include_str!("sqlite/schema.sql"),
    include_str!("sqlite/events.sql"),
    include_str!("sqlite/trace.sql"),
    include_str!("sqlite/fleet.sql"),
    include_str!("sqlite/names.sql"),
    include_str!("sqlite/members.sql"),
];

/// How long a statement waits for another process's transaction.
const BUSY_MS: u32 = 15_000;

/// Connections of one process that read.
const CONNECTIONS_MAX: usize = 6;

/// Statements that a connection keeps prepared.
const PREPARED_MAX: usize = 128;

/// Opens connections. Those that were used before are not probed: a file does not hang up.
#[derive(Debug)]
struct FileManager(deadpool_sqlite::Manager);

impl Manager for FileManager {
    type Type = <deadpool_sqlite::Manager as Manager>::Type;
    type Error = DbError;

    async fn create(&self) -> Result<Self::Type, DbError> {
        let connection = self.0.create().await?;
        let prepared = connection.interact(prepare).await;
        prepared.map_err(|error| DbError::SqliteFile(error.to_string()))??;
        Ok(connection)
    }

    async fn recycle(&self, connection: &mut Self::Type, _: &Metrics) -> RecycleResult<DbError> {
        match connection.is_mutex_poisoned() {
            true => Err(RecycleError::message("a statement on it panicked")),
            false => Ok(()),
        }
    }
}

/// Connections to one SQLite file. Cheap to clone.
#[derive(Clone)]
pub struct SqliteFile {
    readers: Pool<FileManager>,
    writer: Writer,
}

impl std::fmt::Debug for SqliteFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SqliteFile").finish_non_exhaustive()
    }
}

impl SqliteFile {
    /// Opens the file, and makes it and its folder where they are missing.
    ///
    /// # Errors
    /// When the folder cannot be made.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            std::fs::create_dir_all(folder).map_err(|error| {
                StoreError::lasting(format!("cannot make {}: {error}", folder.display()))
            })?;
        }
        let manager = deadpool_sqlite::Manager::from_config(&Config::new(path), Runtime::Tokio1);
        let readers = Pool::builder(FileManager(manager)).max_size(CONNECTIONS_MAX).build();
        let readers = readers.map_err(|error| StoreError::lasting(error.to_string()))?;
        Ok(Self { readers, writer: Writer::start(path)? })
    }

    /// Runs statements that only read, on a thread for blocking work.
    pub(crate) async fn read<T: Send + 'static, E: Into<DbError>>(
        &self,
        work: impl FnOnce(&mut Connection) -> Result<T, E> + Send + 'static,
    ) -> Result<T, DbError> {
        let connection = self.readers.get().await;
        let connection = connection.map_err(|error| DbError::SqliteFile(error.to_string()))?;
        let done = connection.interact(|connection| work(connection).map_err(Into::into)).await;
        done.map_err(|error| DbError::SqliteFile(error.to_string()))?
    }

    /// Runs statements in one transaction that holds the write lock from its start: what it reads
    /// is still true when it writes. Other writes of this process may share it; where one fails, it
    /// is undone alone.
    pub(crate) async fn write<T: Send + 'static, E: Into<DbError>>(
        &self,
        work: impl FnOnce(&mut Connection) -> Result<T, E> + Send + 'static,
    ) -> Result<T, DbError> {
        self.writer.write(work).await
    }
}

fn prepare(connection: &mut Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(std::time::Duration::from_millis(BUSY_MS.into()))?;
    write_ahead(connection)?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.set_prepared_statement_cache_capacity(PREPARED_MAX);
    Ok(())
}

/// Turns the write-ahead log on. SQLite refuses all but one of several that open a new file at
/// once, and does not wait; so this waits.
fn write_ahead(connection: &Connection) -> rusqlite::Result<()> {
    const PAUSE_MS: u32 = 25;
    for _ in 0..BUSY_MS / PAUSE_MS {
        match connection.pragma_update(None, "journal_mode", "WAL") {
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) => {
                std::thread::sleep(std::time::Duration::from_millis(PAUSE_MS.into()));
            }
            done => return done,
        }
    }
    connection.pragma_update(None, "journal_mode", "WAL")
}

/// The store in one SQLite file.
#[derive(Clone, Debug)]
pub struct SqliteStore {
    pub(super) file: SqliteFile,
}

impl SqliteStore {
    /// A store in this file. [`super::Store::migrate`] makes its tables.
    pub fn new(file: SqliteFile) -> Self {
        Self { file }
    }

    pub(super) async fn migrate(&self) -> Result<(), StoreError> {
        Ok(self.file.write(|db| migrate(db)).await?)
    }
}

fn migrate(db: &Connection) -> rusqlite::Result<()> {
    let version: usize = db.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    for step in MIGRATIONS.iter().skip(version) {
        db.execute_batch(step)?;
    }
    // An older program must not undo what a newer one did.
    db.pragma_update(None, "user_version", version.max(MIGRATIONS.len()))
}

/// A connection during one verb. The mutex is never contended: it lets the future of a verb, which
/// is the same type for both databases, be sent between threads.
pub(super) struct SqliteConnection<'a>(Mutex<&'a mut Connection>);

impl<'a> SqliteConnection<'a> {
    pub(super) fn new(connection: &'a mut Connection) -> Self {
        Self(Mutex::new(connection))
    }

    fn lock(&self) -> MutexGuard<'_, &'a mut Connection> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn query(&self, sql: &Sql, values: &[SqlValue]) -> Result<Vec<Row>, DbError> {
        let (db, text) = (self.lock(), sql.text(Dialect::Sqlite));
        match sql.is_cached() {
            true => rows(&mut *db.prepare_cached(text)?, values),
            false => rows(&mut db.prepare(text)?, values),
        }
    }

    pub(super) fn execute(&self, sql: &Sql, values: &[SqlValue]) -> Result<u64, DbError> {
        let db = self.lock();
        let mut statement = db.prepare_cached(sql.text(Dialect::Sqlite))?;
        Ok(statement.execute(params_from_iter(values))? as u64)
    }

    pub(super) fn change(&self, change: &Change, values: &[SqlValue]) -> Result<Vec<Row>, DbError> {
        let db = self.lock();
        let changed = rows(&mut *db.prepare_cached(change.sqlite())?, values)?;
        for row in &changed {
            let id = [row.text(0)?];
            if change.has_event {
                db.prepare_cached(event_of_one())?.execute(id)?;
            }
            if change.has_entry {
                db.prepare_cached(entry_of_one())?.execute(id)?;
            }
        }
        Ok(changed)
    }
}

fn rows(statement: &mut Statement<'_>, values: &[SqlValue]) -> Result<Vec<Row>, DbError> {
    let columns = statement.column_count();
    let mut rows = statement.query(params_from_iter(values))?;
    let mut all = Vec::new();
    while let Some(row) = rows.next()? {
        let values = (0..columns).map(|column| value(row.get_ref(column)?));
        all.push(Row(values.collect::<Result<_, _>>()?));
    }
    Ok(all)
}

fn value(value: ValueRef<'_>) -> Result<SqlValue, DbError> {
    match value {
        ValueRef::Null => Ok(SqlValue::Null),
        ValueRef::Integer(number) => Ok(SqlValue::Integer(number)),
        ValueRef::Text(text) => {
            Ok(SqlValue::Text(String::from_utf8(text.to_vec()).map_err(DbError::row)?))
        }
        ValueRef::Real(_) | ValueRef::Blob(_) => {
            Err(DbError::Row(format!("a value is of the type {}", value.data_type())))
        }
    }
}

impl ToSql for SqlValue {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Null => ValueRef::Null,
            Self::Integer(number) => ValueRef::Integer(*number),
            Self::Text(text) => ValueRef::Text(text.as_bytes()),
        }))
    }
}
