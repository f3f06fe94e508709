//! The ends of documents, kept until somebody has told them: noted in the statement that ends one.

use super::{
    PostgresStore, Trouble, all, execute, now, now_once,
    rows::{ms, parsed, time},
    statement,
};
use crate::store::{End, StoreError};
use std::time::Duration;
use tokio_postgres::Row;

/// The UPDATE of one document that ends it, and the note of that.
macro_rules! ending {
    ($($update:expr),+ $(,)?) => {
        concat!(
            "WITH ended AS (",
            $($update),+,
            " RETURNING id, schema_name || '@' || schema_version AS schema, state, updated_ms)
             INSERT INTO events (document, schema, state, at_ms, due_ms)
             SELECT id, schema, state, updated_ms, updated_ms FROM ended"
        )
    };
}
pub(super) use ending;

impl PostgresStore {
    pub(in crate::store) async fn ends(
        &self,
        limit: u32,
        lease: Duration,
    ) -> Result<Vec<End>, StoreError> {
        let sql = concat!(
            "UPDATE events SET due_ms = ",
            now!(),
            " + $2 WHERE id IN
             (SELECT id FROM events WHERE due_ms <= ",
            now_once!(),
            " ORDER BY due_ms, id LIMIT $1 FOR UPDATE SKIP LOCKED)
             RETURNING id, document, schema, state, at_ms"
        );
        statement!(self, |db| {
            let rows = all(db, sql, &[&i64::from(limit), &ms(lease)]).await?;
            let mut ends = rows.iter().map(end).collect::<Result<Vec<_>, Trouble>>()?;
            ends.sort_by_key(|end| end.id);
            Ok(ends)
        })
    }

    pub(in crate::store) async fn told(&self, ends: Vec<i64>) -> Result<(), StoreError> {
        let sql = "DELETE FROM events WHERE id IN
            (SELECT id FROM events WHERE id = ANY($1) ORDER BY id FOR UPDATE)";
        statement!(self, |db| execute(db, sql, &[&ends]).await.map(drop))
    }
}

fn end(row: &Row) -> Result<End, Trouble> {
    Ok(End {
        id: row.try_get(0)?,
        document: parsed(row, 1)?,
        schema: parsed(row, 2)?,
        state: parsed(row, 3)?,
        at: time(row, 4)?.unwrap_or_default(),
    })
}
