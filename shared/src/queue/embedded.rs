//! The queue as a table of the SQLite file. A delivery is a visibility lease with a token, so that
//! a late answer after it was lost changes nothing.

use super::{Delivery, DeliveryReceipt, QueueError};
use crate::{
    document::Priority,
    message::JobMessage,
    store::{DbError, SQLITE_NOW, StoreError, sqlite::SqliteFile},
};
use rusqlite::{Connection, params};
use std::{sync::Arc, time::Duration};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use uuid::Uuid;

/// How long a delivery is hidden from others. It matters only until the document is claimed: from
/// then on a message that comes again finds the document held and is dropped, and a worker that dies
/// loses its lease to the sweep. So it is short: a worker that dies between taking a message and
/// claiming its document delays that document by no more than this.
const VISIBILITY: Duration = Duration::from_secs(10);

/// How often an idle consumer looks for messages of other processes.
const POLL: Duration = Duration::from_millis(100);

/// The queue as a table. Cheap to clone.
#[derive(Clone, Debug)]
pub struct EmbeddedQueue {
    file: SqliteFile,
    /// Wakes consumers in this process.
    published: Arc<Notify>,
}

impl EmbeddedQueue {
    /// A queue in this file, whose tables the store's migration makes.
    pub fn new(file: SqliteFile) -> Self {
        Self { file, published: Arc::new(Notify::new()) }
    }

    pub(super) async fn publish(
        &self,
        messages: &[(JobMessage, Priority)],
    ) -> Result<(), QueueError> {
        let mut rows = Vec::with_capacity(messages.len());
        for (message, priority) in messages {
            let body = serde_json::to_string(message);
            let body = body.map_err(|error| QueueError::new(error.to_string()))?;
            rows.push((body, *priority as u8));
        }
        let insert = move |db: &mut Connection| {
            let sql = format!(
                "INSERT INTO messages (body, rank, visible_ms) VALUES (?1, ?2, {SQLITE_NOW})"
            );
            let mut statement = db.prepare_cached(&sql)?;
            for (body, rank) in &rows {
                statement.execute(params![body, rank])?;
            }
            Ok::<(), rusqlite::Error>(())
        };
        self.file.write(insert).await.map_err(QueueError::from)?;
        self.published.notify_waiters();
        Ok(())
    }

    pub(super) fn consume(&self, priority: Priority, prefetch: u32) -> EmbeddedConsumer {
        let unanswered = Arc::new(Semaphore::new(prefetch.max(1) as usize));
        EmbeddedConsumer { queue: self.clone(), rank: priority as u8, unanswered }
    }

    pub(super) async fn ready(&self) -> Result<(), QueueError> {
        let look = |db: &mut Connection| {
            db.query_row("SELECT EXISTS (SELECT 1 FROM messages)", [], |_| Ok(()))
        };
        self.file.read(look).await.map_err(QueueError::from)
    }
}

/// A consumer of the table.
#[derive(Debug)]
pub struct EmbeddedConsumer {
    queue: EmbeddedQueue,
    rank: u8,
    /// Room for unacknowledged deliveries.
    unanswered: Arc<Semaphore>,
}

impl EmbeddedConsumer {
    pub(super) async fn next(&mut self, most: u32) -> Result<Vec<Delivery>, QueueError> {
        let mut room = self.room(most.max(1)).await?;
        loop {
            let published = self.queue.published.clone();
            let published = published.notified();
            let taken = self.take(&mut room).await?;
            if !taken.is_empty() {
                return Ok(taken);
            }
            // Waking early or late by a poll is all that can happen.
            let _ = tokio::time::timeout(POLL, published).await;
        }
    }

    /// Waits for room for one delivery, and takes room for `most` where it is free.
    async fn room(&self, most: u32) -> Result<OwnedSemaphorePermit, QueueError> {
        let closed = |error: tokio::sync::AcquireError| QueueError::new(error.to_string());
        let mut room = self.unanswered.clone().acquire_owned().await.map_err(closed)?;
        let free = u32::try_from(self.unanswered.available_permits()).unwrap_or(u32::MAX);
        let more = free.min(most.saturating_sub(1));
        if let Ok(more) = self.unanswered.clone().try_acquire_many_owned(more) {
            room.merge(more);
        }
        Ok(room)
    }

    async fn take(&self, room: &mut OwnedSemaphorePermit) -> Result<Vec<Delivery>, QueueError> {
        let most = room.num_permits();
        let any = format!(
            "SELECT EXISTS (SELECT 1 FROM messages WHERE rank = ?1 AND visible_ms <= {SQLITE_NOW})"
        );
        let rank = self.rank;
        let any = self.queue.file.read(move |db| {
            db.prepare_cached(&any)?.query_row([rank], |row| row.get::<_, bool>(0))
        });
        if !any.await.map_err(QueueError::from)? {
            return Ok(Vec::new());
        }
        let token = Uuid::new_v4().simple().to_string();
        let marked = token.clone();
        let sql = format!(
            "UPDATE messages SET token = ?1, deliveries = deliveries + 1,
               visible_ms = {SQLITE_NOW} + ?2
             WHERE id IN (SELECT id FROM messages WHERE rank = ?4 AND visible_ms <= {SQLITE_NOW}
               ORDER BY id LIMIT ?3)
             RETURNING id, body"
        );
        let hidden = i64::try_from(VISIBILITY.as_millis()).unwrap_or(i64::MAX);
        let take = move |db: &mut Connection| {
            let mut statement = db.prepare_cached(&sql)?;
            let row = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?));
            let rows = statement.query_map(params![marked, hidden, most, rank], row)?;
            let mut rows = rows.collect::<rusqlite::Result<Vec<(i64, String)>>>()?;
            rows.sort_by_key(|(id, _)| *id);
            Ok::<_, rusqlite::Error>(rows)
        };
        let rows = self.queue.file.write(take).await.map_err(QueueError::from)?;
        let mut delivery = |(id, body): (i64, String)| Delivery {
            message: serde_json::from_str(&body).map_err(|error| error.to_string()),
            receipt: DeliveryReceipt::Embedded(EmbeddedReceipt {
                queue: self.queue.clone(),
                id,
                token: token.clone(),
                _room: room.split(1),
            }),
        };
        Ok(rows.into_iter().map(&mut delivery).collect())
    }
}

/// The right to acknowledge one message.
#[derive(Debug)]
pub(super) struct EmbeddedReceipt {
    queue: EmbeddedQueue,
    id: i64,
    token: String,
    _room: Option<OwnedSemaphorePermit>,
}

impl EmbeddedReceipt {
    pub(super) async fn ack(self) -> Result<(), QueueError> {
        self.answer("DELETE FROM messages WHERE id = ?1 AND token = ?2").await
    }

    pub(super) async fn give_back(self) -> Result<(), QueueError> {
        let published = self.queue.published.clone();
        self.answer(
            "UPDATE messages SET visible_ms = 0, token = NULL WHERE id = ?1 AND token = ?2",
        )
        .await?;
        published.notify_waiters();
        Ok(())
    }

    async fn answer(self, sql: &'static str) -> Result<(), QueueError> {
        let answer = move |db: &mut Connection| {
            db.prepare_cached(sql)?.execute(params![self.id, self.token]).map(drop)
        };
        self.queue.file.write(answer).await.map_err(QueueError::from)
    }
}

impl From<DbError> for QueueError {
    fn from(error: DbError) -> Self {
        Self::new(StoreError::from(error).to_string())
    }
}
