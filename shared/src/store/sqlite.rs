//! The truth in one SQLite file: write-ahead log, `synchronous = FULL`, so that what was
//! acknowledged survives a power cut.
//!
//! The embedded queue keeps its messages in the same file and borrows [`SqliteFile`].

mod connections;
mod rows;
mod events;
mod intake;
mod schemas;
mod work;
mod upkeep;
mod fleet;

use super::StoreError;
use connections::Connections;
use rusqlite::{Connection, ErrorCode, Transaction};
use std::path::Path;

/// The database's clock, in milliseconds since 1970. (Before SQLite 3.42 `subsec` gives NULL and
/// every worker would claim everything: the library is bundled for that reason.)
macro_rules! now {
    () => {
        "CAST(unixepoch('subsec') * 1000 AS INTEGER)"
    };
}
pub(crate) use now;

/// What brings a database from version n to n + 1.
const MIGRATIONS: [&str; 4] = [
    include_str!("sqlite/schema.sql"),
    include_str!("sqlite/events.sql"),
    include_str!("sqlite/trace.sql"),
    include_str!("sqlite/fleet.sql"),
];

/// How long a statement waits for another process's transaction.
const BUSY_MS: u32 = 15_000;

/// Connections to one SQLite file. Cheap to clone.
#[derive(Clone)]
pub struct SqliteFile {
    connections: Connections,
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
        Ok(Self { connections: Connections::new(path)? })
    }

    /// Runs statements that only read.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.connections.run(|connection| work(connection)).await
    }

    /// Runs statements in one transaction that holds the write lock from its start, so that what
    /// it reads is still true when it writes. It may share that transaction with other writes.
    pub(crate) async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.connections.write(work).await
    }
}

fn prepare(connection: &mut Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(std::time::Duration::from_millis(BUSY_MS.into()))?;
    write_ahead(connection)?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(())
}

/// Turns the write-ahead log on. Of several that open a new file at once SQLite refuses all but one
/// without waiting, so the waiting is ours.
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

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        Self::lasting(error.to_string())
    }
}

/// The truth in one SQLite file.
#[derive(Clone, Debug)]
pub struct SqliteStore {
    file: SqliteFile,
}

impl SqliteStore {
    /// A store in this file. [`super::Store::migrate`] makes its tables.
    pub fn new(file: SqliteFile) -> Self {
        Self { file }
    }

    pub(super) async fn migrate(&self) -> Result<(), StoreError> {
        self.file.write(migrate).await
    }

    pub(super) async fn ready(&self) -> Result<(), StoreError> {
        let one = self.file.read(|db| db.query_row("SELECT count(*) FROM workers", [], |_| Ok(())));
        one.await
    }
}

fn migrate(db: &Transaction<'_>) -> rusqlite::Result<()> {
    let version: usize = db.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    for step in MIGRATIONS.iter().skip(version) {
        db.execute_batch(step)?;
    }
    // An older program must not undo what a newer one did.
    db.pragma_update(None, "user_version", version.max(MIGRATIONS.len()))
}
