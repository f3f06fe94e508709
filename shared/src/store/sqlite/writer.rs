//! The one connection of this process that writes, on a thread of its own.
//!
//! SQLite lets one connection write at a time. Writes wait here in order, rather than by SQLite's
//! sleeping and trying again, and those that waited together are committed together, so that one sync
//! of the log serves them all. It is a thread and not a lock among the callers: a caller that holds
//! a lock and is not polled would hold up all others.

use crate::store::{DbError, StoreError};
use rusqlite::Connection;
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::mpsc::{Receiver, Sender, channel},
};
use tokio::sync::oneshot;

/// Writes that share one transaction at most.
const BATCH_MAX: usize = 64;

/// One write, given its transaction or why there is none.
type Write = Box<dyn FnOnce(Result<&mut Connection, String>) -> Done + Send>;

/// What a write has done, and what tells its caller when the transaction has ended.
struct Done {
    has_failed: bool,
    answer: Box<dyn FnOnce(Result<(), String>) + Send>,
}

/// A handle to the thread, which ends with its last handle. Cheap to clone.
#[derive(Clone)]
pub(super) struct Writer {
    writes: Sender<Write>,
}

impl Writer {
    /// Starts the thread. The file is opened by the first write.
    pub(super) fn start(path: &Path) -> Result<Self, StoreError> {
        let (writes, received) = channel();
        let mut thread = Thread { path: path.to_owned(), connection: None };
        let named = std::thread::Builder::new().name("sqlite-writer".to_owned());
        let started = named.spawn(move || thread.run(&received));
        started.map_err(|error| StoreError::lasting(format!("cannot start a thread: {error}")))?;
        Ok(Self { writes })
    }

    /// Runs statements in a transaction that holds the write lock from its start, alone or behind
    /// others. What fails is undone without the others. A write whose caller has gone before its turn
    /// is not begun.
    pub(super) async fn write<T: Send + 'static, E: Into<DbError>>(
        &self,
        work: impl FnOnce(&mut Connection) -> Result<T, E> + Send + 'static,
    ) -> Result<T, DbError> {
        let (sender, answer) = oneshot::channel::<Result<T, DbError>>();
        let write = move |transaction: Result<&mut Connection, String>| -> Done {
            if sender.is_closed() {
                return Done { has_failed: false, answer: Box::new(drop) };
            }
            let work = |connection| {
                let done = catch_unwind(AssertUnwindSafe(|| work(connection).map_err(Into::into)));
                done.unwrap_or_else(|_| Err(failed("a statement panicked".to_owned())))
            };
            let done = transaction.map_err(failed).and_then(work);
            let has_failed = done.is_err();
            let answer = move |ended: Result<(), String>| {
                let ended = done.and_then(|done| ended.map(|()| done).map_err(failed));
                // A caller that has gone needs no answer.
                drop(sender.send(ended));
            };
            Done { has_failed, answer: Box::new(answer) }
        };
        let lost = || failed("the thread that writes has ended".to_owned());
        self.writes.send(Box::new(write)).map_err(|_| lost())?;
        answer.await.unwrap_or_else(|_| Err(lost()))
    }
}

struct Thread {
    path: PathBuf,
    connection: Option<Connection>,
}

impl Thread {
    fn run(&mut self, received: &Receiver<Write>) {
        while let Ok(first) = received.recv() {
            let others = received.try_iter().take(BATCH_MAX - 1);
            let batch: Vec<Write> = std::iter::once(first).chain(others).collect();
            let mut done = Vec::with_capacity(batch.len());
            let ended = match self.begin() {
                Ok(connection) => {
                    let each = |write: Write| run_apart(connection, write);
                    done.extend(batch.into_iter().map(each));
                    connection.execute_batch("COMMIT").map_err(|error| error.to_string())
                }
                Err(error) => {
                    done.extend(batch.into_iter().map(|write| write(Err(error.to_string()))));
                    Err(error.to_string())
                }
            };
            if ended.is_err() {
                // The next write opens the file again, whatever is wrong with it.
                self.connection = None;
            }
            done.into_iter().for_each(|done| (done.answer)(ended.clone()));
        }
    }

    fn begin(&mut self) -> rusqlite::Result<&mut Connection> {
        if self.connection.is_none() {
            let mut connection = Connection::open(&self.path)?;
            super::prepare(&mut connection)?;
            self.connection = Some(connection);
        }
        let connection = self.connection.as_mut().ok_or(rusqlite::Error::InvalidQuery)?;
        connection.execute_batch("BEGIN IMMEDIATE")?;
        Ok(connection)
    }
}

/// Runs one of the writes of a transaction so that it is undone alone where it fails.
fn run_apart(connection: &mut Connection, write: Write) -> Done {
    // SQLite ends a transaction by itself at some failures, a full disk for one. The commit fails
    // then, and nothing may be written outside of it.
    if connection.is_autocommit() {
        return write(Err("undone with another write of its transaction".to_owned()));
    }
    if let Err(error) = execute(connection, "SAVEPOINT one") {
        return write(Err(error.to_string()));
    }
    let done = write(Ok(connection));
    if !connection.is_autocommit() {
        // Where these fail, so does the commit.
        let undone = done.has_failed.then(|| execute(connection, "ROLLBACK TO one"));
        let released = execute(connection, "RELEASE one");
        if undone.is_some_and(|undone| undone.is_err()) || released.is_err() {
            let _ = connection.execute_batch("ROLLBACK");
        }
    }
    done
}

fn execute(connection: &Connection, sql: &str) -> rusqlite::Result<usize> {
    connection.prepare_cached(sql)?.execute([])
}

fn failed(text: String) -> DbError {
    DbError::SqliteFile(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rusqlite::params;

    type Answer = Result<(), DbError>;

    fn insert(n: i64) -> impl FnOnce(&mut Connection) -> rusqlite::Result<()> + Send {
        move |db| db.execute("INSERT INTO numbers VALUES (?1)", params![n]).map(drop)
    }

    async fn numbers(writer: &Writer) -> Vec<i64> {
        let read = |db: &mut Connection| {
            let mut statement = db.prepare("SELECT n FROM numbers ORDER BY n")?;
            let rows = statement.query_map([], |row| row.get(0))?;
            rows.collect::<rusqlite::Result<Vec<i64>>>()
        };
        writer.write(read).await.unwrap()
    }

    async fn writer(folder: &Path) -> Writer {
        let writer = Writer::start(&folder.join("file.db")).unwrap();
        let made = |db: &mut Connection| db.execute_batch("CREATE TABLE numbers (n PRIMARY KEY)");
        writer.write(made).await.unwrap();
        writer
    }

    /// Holds the thread until released, so that what is written meanwhile shares a transaction.
    fn hold(writer: &Writer) -> (std::sync::mpsc::Sender<()>, impl Future<Output = Answer>) {
        let (release, released) = channel();
        let wait =
            move |_: &mut Connection| released.recv().map_err(|error| failed(error.to_string()));
        let writer = writer.clone();
        (release, async move { writer.write(wait).await })
    }

    #[tokio::test]
    async fn a_write_that_fails_or_panics_is_undone_without_the_others() {
        let folder = tempfile::tempdir().unwrap();
        let writer = writer(folder.path()).await;
        let (release, held) = hold(&writer);
        let twice = |db: &mut Connection| {
            insert(2)(db)?;
            insert(1)(db)
        };
        let panics = |db: &mut Connection| -> rusqlite::Result<()> {
            insert(3)(db)?;
            panic!("on purpose")
        };
        let all = async {
            futures::join!(
                held,
                writer.write(insert(1)),
                writer.write(twice),
                writer.write(panics),
                writer.write(insert(4)),
                async { release.send(()).unwrap() },
            )
        };
        let (_, one, failing, panicking, four, ()) = all.await;
        assert!(one.is_ok() && four.is_ok());
        assert!(failing.unwrap_err().to_string().contains("UNIQUE"));
        assert!(panicking.unwrap_err().to_string().contains("panicked"));
        assert_eq!(numbers(&writer).await, [1, 4]);
    }

    #[tokio::test]
    async fn a_transaction_that_ends_by_itself_is_reported_to_all_of_it() {
        let folder = tempfile::tempdir().unwrap();
        let writer = writer(folder.path()).await;
        let (release, held) = hold(&writer);
        // As SQLite itself does when the disk is full.
        let ends = |db: &mut Connection| db.execute_batch("ROLLBACK; SELECT no_such_column");
        let all = async {
            futures::join!(
                held,
                writer.write(insert(1)),
                writer.write(ends),
                writer.write(insert(2)),
                async { release.send(()).unwrap() },
            )
        };
        let (_, one, ending, two, ()) = all.await;
        assert!(one.is_err() && ending.is_err() && two.is_err());
        assert_eq!(numbers(&writer).await, [0_i64; 0]);
        writer.write(insert(3)).await.unwrap();
        assert_eq!(numbers(&writer).await, [3]);
    }

    #[tokio::test]
    async fn a_caller_that_is_not_polled_or_goes_away_holds_up_nobody() {
        let folder = tempfile::tempdir().unwrap();
        let writer = writer(folder.path()).await;
        let mut sleeping = std::pin::pin!(writer.write(insert(1)));
        assert!(futures::poll!(&mut sleeping).is_pending());
        writer.write(insert(2)).await.unwrap();
        let (release, held) = hold(&writer);
        let mut held = std::pin::pin!(held);
        assert!(futures::poll!(&mut held).is_pending());
        {
            let mut gone = std::pin::pin!(writer.write(insert(3)));
            assert!(futures::poll!(&mut gone).is_pending());
        }
        release.send(()).unwrap();
        held.await.unwrap();
        sleeping.await.unwrap();
        assert_eq!(numbers(&writer).await, [1, 2]);
    }
}
