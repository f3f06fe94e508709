//! The changes of documents' states, kept until somebody has told them: noted in the statement that
//! changes one.

use super::{
    PostgresStore, Trouble, all, execute, now, now_once, one,
    rows::{ms, parsed, parsed_or_null, time},
    statement, transaction,
};
use crate::store::{StateChange, StoreError};
use std::time::Duration;
use tokio_postgres::Row;

/// Held by the one relay that takes changes, so that two never tell those of one document at once.
/// The number means nothing, but must stay the same.
const TAKE_LOCK: i64 = 0x51_1c_e0_02;

/// The UPDATE or INSERT of one document that changes its state, and the note of that.
macro_rules! changing {
    ($($update:expr),+ $(,)?) => {
        concat!(
            "WITH changed AS (",
            $($update),+,
            " RETURNING id, schema_name || '@' || schema_version AS schema, state, updated_ms)
             INSERT INTO events (document, schema, state, at_ms, due_ms)
             SELECT id, schema, state, updated_ms, updated_ms FROM changed"
        )
    };
}
pub(super) use changing;

/// The same as a part of a longer statement, where `changed` gives whole rows.
macro_rules! noting {
    () => {
        "told AS (
           INSERT INTO events (document, schema, state, at_ms, due_ms)
           SELECT id, schema_name || '@' || schema_version, state, updated_ms, updated_ms
           FROM changed)"
    };
}
pub(super) use noting;

impl PostgresStore {
    pub(in crate::store) async fn changes(
        &self,
        limit: u32,
        lease: Duration,
    ) -> Result<Vec<StateChange>, StoreError> {
        // A look without the lock first: mostly there is nothing to do.
        let any = concat!("SELECT EXISTS (SELECT 1 FROM events WHERE due_ms <= ", now_once!(), ")");
        let any: bool = statement!(self, |db| Ok(one(db, any, &[]).await?.try_get(0)?))?;
        if !any {
            return Ok(Vec::new());
        }
        let lock = "SELECT pg_advisory_xact_lock($1)";
        // A statement of its own, because it must see what was taken while the one above waited.
        // In order of their ids, so that whatever is earlier of the same document is among them,
        // unless another relay has it: then this one waits.
        let sql = concat!(
            "UPDATE events SET due_ms = ",
            now!(),
            " + $2 WHERE id IN
             (SELECT id FROM events AS due WHERE due_ms <= ",
            now_once!(),
            " AND NOT EXISTS (SELECT 1 FROM events AS earlier
                 WHERE earlier.document = due.document AND earlier.id < due.id
                   AND earlier.due_ms > ",
            now_once!(),
            ")
              ORDER BY id LIMIT $1)
             RETURNING id, document, schema, state, at_ms,
               (SELECT traceparent FROM documents WHERE documents.id = events.document)"
        );
        transaction!(self, |db| {
            execute(db, lock, &[&TAKE_LOCK]).await?;
            let rows = all(db, sql, &[&i64::from(limit), &ms(lease)]).await?;
            let mut changes = rows.iter().map(change).collect::<Result<Vec<_>, Trouble>>()?;
            changes.sort_by_key(|change| change.id);
            Ok(changes)
        })
    }

    pub(in crate::store) async fn told(&self, changes: Vec<i64>) -> Result<(), StoreError> {
        let sql = "DELETE FROM events WHERE id IN
            (SELECT id FROM events WHERE id = ANY($1) ORDER BY id FOR UPDATE)";
        statement!(self, |db| execute(db, sql, &[&changes]).await.map(drop))
    }
}

fn change(row: &Row) -> Result<StateChange, Trouble> {
    Ok(StateChange {
        id: row.try_get(0)?,
        document: parsed(row, 1)?,
        schema: parsed(row, 2)?,
        state: parsed(row, 3)?,
        at: time(row, 4)?.unwrap_or_default(),
        traceparent: parsed_or_null(row, 5)?,
    })
}
