//! Changes of documents' states until they are published. A table of its own beside the outbox:
//! whether a document needs a message to a worker must not depend on its events.

use super::{
    DbError, Result, Store,
    db::{Access, Db},
    sql::Sql,
    value::{Row, to_json, values},
};
use crate::{
    document::{DocumentId, DocumentState},
    message::Traceparent,
    schema::SchemaRef,
};
use jiff::Timestamp;
use std::time::Duration;

/// A document came to another state, which is not published yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateChange {
    /// The row.
    pub id: i64,
    /// The document.
    pub document: DocumentId,
    /// What was asked of it.
    pub schema: SchemaRef,
    /// The state that it came to.
    pub state: DocumentState,
    /// When.
    pub at: Timestamp,
    /// The trace of the document.
    pub traceparent: Option<Traceparent>,
}

/// Changes of documents' states.
#[derive(Clone, Copy, Debug)]
pub struct Events<'a>(pub(super) &'a Store);

impl Events<'_> {
    /// Takes changes to publish, at most `limit`. Each is given to one caller, and to another after
    /// `lease` unless it was confirmed by then. Those of one document come in order: a later one
    /// never before the earlier ones were confirmed or are in the same answer.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn take(self, limit: u32, lease: Duration) -> Result<Vec<StateChange>> {
        static ANY: Sql = Sql::new("SELECT id FROM events WHERE due_ms <= {now_once} LIMIT 1");
        // Mostly nothing is due, and looking needs no lock.
        if self.0.query(&ANY, values![], |_| Ok(())).await?.is_empty() {
            return Ok(Vec::new());
        }
        let taken = self.0.run(Access::Transaction, (limit, lease), |db, (limit, lease)| {
            Box::pin(take(db, *limit, *lease))
        });
        taken.await
    }

    /// These changes were published.
    ///
    /// # Errors
    /// When the database does not answer; they are published again.
    pub async fn confirm(self, changes: &[i64]) -> Result<()> {
        static CONFIRM: Sql = Sql::new(
            "DELETE FROM events WHERE id IN (SELECT id FROM events WHERE id IN
               (SELECT CAST(value AS BIGINT) FROM {elements}(CAST($1 AS TEXT){json}))
               ORDER BY id {lock})",
        );
        self.0.execute(&CONFIRM, values![to_json(&changes)?]).await.map(drop)
    }
}

async fn take(db: &Db<'_>, limit: u32, lease: Duration) -> Result<Vec<StateChange>, DbError> {
    // In the order of their ids, so that the earlier ones of a document are among them. Where
    // another relay has those, the later one waits.
    static TAKE: Sql = Sql::new(
        "UPDATE events SET due_ms = {now} + $2 WHERE id IN
           (SELECT id FROM events AS due WHERE due_ms <= {now_once}
              AND NOT EXISTS (SELECT 1 FROM events AS earlier
                WHERE earlier.document = due.document AND earlier.id < due.id
                  AND earlier.due_ms > {now_once})
            ORDER BY id LIMIT $1)
         RETURNING id, document, schema, state, at_ms,
           (SELECT traceparent FROM documents WHERE documents.id = events.document)",
    );
    // One relay at a time takes events: two must never hold those of one document.
    db.lock("sluice events").await?;
    let rows = db.query(&TAKE, values![limit, lease]).await?;
    let mut changes = rows.iter().map(change).collect::<Result<Vec<_>, _>>()?;
    changes.sort_by_key(|change| change.id);
    Ok(changes)
}

fn change(row: &Row) -> Result<StateChange, DbError> {
    Ok(StateChange {
        id: row.number(0)?,
        document: row.parsed(1)?,
        schema: row.parsed(2)?,
        state: row.parsed(3)?,
        at: row.time(4)?,
        traceparent: row.parsed_or_null(5)?,
    })
}
