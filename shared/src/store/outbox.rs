//! The outbox: messages to workers that the queue has not confirmed yet, written in the transaction
//! that made them necessary.

use super::{
    DbError, Result, Store,
    db::Access,
    sql::{Change, Sql},
    value::{Row, to_json, values},
};
use crate::{
    document::{DocumentId, Priority},
    message::Traceparent,
};
use std::time::Duration;

/// How many documents one sweep takes of each kind: the rest is for the next one.
const SWEEP_MAX: u32 = 10_000;

/// An entry of the outbox: a message to publish.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutboxEntry {
    /// The row.
    pub id: i64,
    /// The document that a worker is to look at.
    pub document: DocumentId,
    /// Who is served first.
    pub priority: Priority,
    /// The trace of the document.
    pub traceparent: Option<Traceparent>,
}

/// Messages to workers.
#[derive(Clone, Copy, Debug)]
pub struct Outbox<'a>(pub(super) &'a Store);

impl Outbox<'_> {
    /// Takes entries that are due, at most `limit`. Each is given to one caller, and to another
    /// after `lease` unless it was confirmed by then.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn take(self, limit: u32, lease: Duration) -> Result<Vec<OutboxEntry>> {
        static ANY: Sql = Sql::new("SELECT id FROM outbox WHERE due_ms <= {now_once} LIMIT 1");
        static TAKE: Sql = Sql::new(
            "UPDATE outbox SET due_ms = {now} + $2 WHERE id IN
               (SELECT id FROM outbox WHERE due_ms <= {now_once}
                ORDER BY due_ms, id LIMIT $1 {skip_locked})
             RETURNING id, document, priority,
               (SELECT traceparent FROM documents WHERE documents.id = outbox.document)",
        );
        // Mostly nothing is due, and looking needs no lock.
        if self.0.query(&ANY, values![], |_| Ok(())).await?.is_empty() {
            return Ok(Vec::new());
        }
        let taken = self.0.run(Access::Write, (limit, lease), |db, (limit, lease)| {
            Box::pin(db.query(&TAKE, values![*limit, *lease]))
        });
        let taken = taken.await?;
        let mut entries = taken.iter().map(entry).collect::<Result<Vec<_>, _>>()?;
        entries.sort_by_key(|entry| entry.id);
        Ok(entries)
    }

    /// The queue has confirmed these entries.
    ///
    /// # Errors
    /// When the database does not answer; they are published again.
    pub async fn confirm(self, entries: &[i64]) -> Result<()> {
        // Two relays may have published the same entry: they lock in one order.
        static CONFIRM: Sql = Sql::new(
            "DELETE FROM outbox WHERE id IN (SELECT id FROM outbox WHERE id IN
               (SELECT CAST(value AS BIGINT) FROM {elements}(CAST($1 AS TEXT){json}))
               ORDER BY id {lock})",
        );
        self.0.execute(&CONFIRM, values![to_json(&entries)?]).await.map(drop)
    }

    /// Adds an entry for a document that has not ended, due when the document is, unless it has
    /// one. False when nothing was added.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn add(self, id: &DocumentId) -> Result<bool> {
        static ADD: Sql = Sql::new(
            "INSERT INTO outbox (document, priority, due_ms)
             SELECT id, priority, CASE WHEN due_ms > {now} THEN due_ms ELSE {now} END
             FROM documents
             WHERE id = $1 AND state IN ('queued', 'processing') AND deleted_ms IS NULL
               AND NOT EXISTS (SELECT 1 FROM outbox WHERE document = $1)",
        );
        Ok(self.0.execute(&ADD, values![id]).await? == 1)
    }

    /// Adds entries for documents whose lease ran out, and for those that no worker claimed within
    /// `idle` after their last entry.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn sweep(self, idle: Duration) -> Result<Swept> {
        static ANY: Sql = Sql::new(concat!(
            "SELECT id FROM (SELECT id FROM documents WHERE ",
            expired!(),
            " LIMIT 1) AS expired UNION ALL SELECT id FROM (SELECT id FROM documents WHERE ",
            unclaimed!(),
            " LIMIT 1) AS unclaimed"
        ));
        // Each kind is found by the index in its order. A locked row is being worked on.
        static SWEEP: Change = Change::new(
            concat!(
                "UPDATE documents SET enqueued_ms = {now} WHERE id IN (
                   SELECT id FROM (SELECT id FROM documents WHERE ",
                expired!(),
                " ORDER BY lease_until_ms LIMIT $2 {skip_locked}) AS expired
                   UNION SELECT id FROM (SELECT id FROM documents WHERE ",
                unclaimed!(),
                " ORDER BY enqueued_ms LIMIT $2 {skip_locked}) AS unclaimed)"
            ),
            "id, CASE WHEN state = 'processing' THEN 1 ELSE 0 END",
        )
        .with_entry();
        if self.0.query(&ANY, values![idle], |_| Ok(())).await?.is_empty() {
            return Ok(Swept::default());
        }
        let swept = self.0.run(Access::Write, idle, |db, idle| {
            Box::pin(db.change(&SWEEP, values![*idle, SWEEP_MAX]))
        });
        swept.await?.iter().try_fold(Swept::default(), |swept, row| {
            let expired = swept.expired + u64::from(row.flag(1)?);
            Ok(Swept { entries: swept.entries + 1, expired })
        })
    }
}

/// What a sweep has found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// How many entries were added.
    pub entries: u64,
    /// How many of them are of documents whose lease ran out in the hands of a worker.
    pub expired: u64,
}

/// The lease ran out after the last entry. Once there is an entry, there is none for the same lease
/// again.
macro_rules! expired {
    () => {
        "state = 'processing' AND deleted_ms IS NULL AND enqueued_ms <= lease_until_ms
           AND lease_until_ms <= {now_once}
           AND NOT EXISTS (SELECT 1 FROM outbox WHERE outbox.document = documents.id)"
    };
}
use expired;

/// The last entry was confirmed, and no worker has claimed the document for `$1`.
macro_rules! unclaimed {
    () => {
        "state IN ('queued', 'processing') AND deleted_ms IS NULL
           AND enqueued_ms <= {now_once} - CAST($1 AS BIGINT) AND due_ms <= {now_once}
           AND (lease_until_ms IS NULL OR lease_until_ms <= {now_once})
           AND NOT EXISTS (SELECT 1 FROM outbox WHERE outbox.document = documents.id)"
    };
}
use unclaimed;

fn entry(row: &Row) -> Result<OutboxEntry, DbError> {
    Ok(OutboxEntry {
        id: row.number(0)?,
        document: row.parsed(1)?,
        priority: row.parsed(2)?,
        traceparent: row.parsed_or_null(3)?,
    })
}
