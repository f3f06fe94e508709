//! The changes of documents' states, kept until somebody has told them. A table of their own beside
//! the rings: whether a document waits to be rung for must not depend on what was told of it.

use super::{
    SqliteStore, now,
    rows::{ms, parsed, parsed_or_null, time},
};
use crate::{
    document::DocumentId,
    store::{StateChange, StoreError},
};
use rusqlite::{Row, Transaction, params};
use std::time::Duration;

/// Notes that a document has come to the state of its row, in the transaction that brought it
/// there.
pub(super) fn changed(db: &Transaction<'_>, id: &DocumentId) -> rusqlite::Result<()> {
    let sql = concat!(
        "INSERT INTO events (document, schema, state, at_ms, due_ms)
           SELECT id, schema_name || '@' || schema_version, state, updated_ms, ",
        now!(),
        " FROM documents WHERE id = ?1"
    );
    db.prepare_cached(sql)?.execute([id.as_str()]).map(drop)
}

impl SqliteStore {
    pub(in crate::store) async fn changes(
        &self,
        limit: u32,
        lease: Duration,
    ) -> Result<Vec<StateChange>, StoreError> {
        let any = concat!("SELECT EXISTS (SELECT 1 FROM events WHERE due_ms <= ", now!(), ")");
        let any: bool = self.file.read(|db| db.query_row(any, [], |row| row.get(0))).await?;
        if !any {
            return Ok(Vec::new());
        }
        // In order of their ids, so that whatever is earlier of the same document is among them,
        // unless another relay has it: then this one waits.
        let sql = concat!(
            "UPDATE events SET due_ms = ",
            now!(),
            " + ?2 WHERE id IN
             (SELECT id FROM events AS due WHERE due_ms <= ",
            now!(),
            " AND NOT EXISTS (SELECT 1 FROM events AS earlier
                 WHERE earlier.document = due.document AND earlier.id < due.id
                   AND earlier.due_ms > ",
            now!(),
            ")
              ORDER BY id LIMIT ?1)
             RETURNING id, document, schema, state, at_ms,
               (SELECT traceparent FROM documents WHERE documents.id = events.document)"
        );
        let take = move |db: &Transaction<'_>| {
            let mut statement = db.prepare_cached(sql)?;
            let rows = statement.query_map(params![limit, ms(lease)], change)?;
            let mut changes = rows.collect::<rusqlite::Result<Vec<_>>>()?;
            changes.sort_by_key(|change| change.id);
            Ok(changes)
        };
        self.file.write(take).await
    }

    pub(in crate::store) async fn told(&self, changes: Vec<i64>) -> Result<(), StoreError> {
        let delete = move |db: &Transaction<'_>| {
            let mut statement = db.prepare_cached("DELETE FROM events WHERE id = ?1")?;
            for change in changes {
                statement.execute([change])?;
            }
            Ok(())
        };
        self.file.write(delete).await
    }
}

fn change(row: &Row<'_>) -> rusqlite::Result<StateChange> {
    Ok(StateChange {
        id: row.get(0)?,
        document: parsed(row, 1)?,
        schema: parsed(row, 2)?,
        state: parsed(row, 3)?,
        at: time(row, 4)?.unwrap_or_default(),
        traceparent: parsed_or_null(row, 5)?,
    })
}
