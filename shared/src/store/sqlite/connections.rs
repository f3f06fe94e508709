//! The connections of one process to the file, and the commit that its writers share.
//!
//! SQLite lets one connection write at a time. Writers of this process wait for each other here, in
//! order, rather than by SQLite's sleeping and trying again; those that waited together are written
//! by one transaction, so that one sync of the log serves them all.

use crate::store::StoreError;
use deadpool::managed::{Manager, Metrics, Pool, RecycleError, RecycleResult};
use deadpool_sqlite::{Config, Runtime};
use rusqlite::{Connection, Transaction, TransactionBehavior};
use std::{
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::sync::{Mutex as Turn, oneshot};

/// Connections of one process.
const CONNECTIONS_MAX: usize = 6;

/// Opens connections. Those that were used before are not probed: a file does not hang up.
#[derive(Debug)]
pub(super) struct FileManager(deadpool_sqlite::Manager);

impl Manager for FileManager {
    type Type = <deadpool_sqlite::Manager as Manager>::Type;
    type Error = rusqlite::Error;

    async fn create(&self) -> Result<Self::Type, Self::Error> {
        let connection = self.0.create().await?;
        let prepared = connection.interact(super::prepare).await;
        prepared.map_err(|_| rusqlite::Error::InvalidQuery)??;
        Ok(connection)
    }

    async fn recycle(
        &self,
        connection: &mut Self::Type,
        _: &Metrics,
    ) -> RecycleResult<Self::Error> {
        match connection.is_mutex_poisoned() {
            true => Err(RecycleError::message("a statement on it panicked")),
            false => Ok(()),
        }
    }
}

/// A write that waits for the transaction, or for why there is none. It gives what answers its
/// caller when the transaction has ended.
type Write = Box<dyn FnOnce(Result<&Transaction<'_>, StoreError>) -> Answer + Send>;
type Answer = Box<dyn FnOnce(Result<(), StoreError>) + Send>;

/// Connections to one file. Cheap to clone.
#[derive(Clone)]
pub(super) struct Connections {
    pool: Pool<FileManager>,
    waiting: Arc<Mutex<Vec<Write>>>,
    turn: Arc<Turn<()>>,
}

impl Connections {
    pub(super) fn new(path: &Path) -> Result<Self, StoreError> {
        let manager = deadpool_sqlite::Manager::from_config(&Config::new(path), Runtime::Tokio1);
        let builder = Pool::builder(FileManager(manager)).max_size(CONNECTIONS_MAX);
        let pool = builder.build().map_err(|error| StoreError::lasting(error.to_string()))?;
        Ok(Self { pool, waiting: Arc::default(), turn: Arc::default() })
    }

    /// Runs on some connection, on a thread for blocking work.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let lasting = |error: String| StoreError::lasting(error);
        let connection = self.pool.get().await.map_err(|error| lasting(error.to_string()))?;
        let done = connection.interact(work).await;
        done.map_err(|error| lasting(error.to_string()))?.map_err(StoreError::from)
    }

    /// Runs in a transaction that holds the write lock from its start, alone or behind others of
    /// this process. What fails is undone without the others. Ends when the transaction has.
    pub(super) async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (sender, mut answer) = oneshot::channel();
        let write = move |transaction: Result<&Transaction<'_>, StoreError>| -> Answer {
            let done = transaction.and_then(|transaction| apart(transaction, work));
            // A caller that has gone needs no answer.
            Box::new(move |committed| drop(sender.send(committed.and(done))))
        };
        lock(&self.waiting).push(Box::new(write));
        let turn = tokio::select! {
            biased;
            answer = &mut answer => return answer.unwrap_or_else(|_| Err(lost())),
            turn = self.turn.lock() => turn,
        };
        if !lock(&self.waiting).is_empty() {
            // Taken only when the work begins: a caller that leaves before takes nobody's write.
            let waiting = Arc::clone(&self.waiting);
            let all = move |connection: &mut Connection| {
                commit(connection, std::mem::take(&mut *lock(&waiting)));
                Ok(())
            };
            self.run(all).await?;
        }
        drop(turn);
        answer.await.unwrap_or_else(|_| Err(lost()))
    }
}

fn lock(waiting: &Mutex<Vec<Write>>) -> MutexGuard<'_, Vec<Write>> {
    // Nothing panics while the lock is held.
    waiting.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs one of several writes of a transaction so that it is undone alone where it fails.
fn apart<T>(
    transaction: &Transaction<'_>,
    work: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T>,
) -> Result<T, StoreError> {
    transaction.prepare_cached("SAVEPOINT one")?.execute([])?;
    let done = work(transaction);
    if done.is_err() {
        transaction.prepare_cached("ROLLBACK TO one")?.execute([])?;
    }
    transaction.prepare_cached("RELEASE one")?.execute([])?;
    Ok(done?)
}

fn commit(connection: &mut Connection, batch: Vec<Write>) {
    let begun = connection.transaction_with_behavior(TransactionBehavior::Immediate);
    let transaction = match begun.map_err(StoreError::from) {
        Ok(transaction) => transaction,
        Err(error) => {
            return batch.into_iter().for_each(|write| write(Err(error.clone()))(Ok(())));
        }
    };
    let answers: Vec<Answer> = batch.into_iter().map(|write| write(Ok(&transaction))).collect();
    let committed = transaction.commit().map_err(StoreError::from);
    answers.into_iter().for_each(|answer| answer(committed.clone()));
}

fn lost() -> StoreError {
    StoreError::lasting("a statement of the same transaction panicked")
}
