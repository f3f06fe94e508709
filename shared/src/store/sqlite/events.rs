//! The ends of documents, kept until somebody has told them. A table of their own beside the
//! rings: whether a document waits to be rung for must not depend on whether its last end was told.

use super::{
    SqliteStore, now,
    rows::{ms, parsed, time},
};
use crate::{
    document::DocumentId,
    store::{End, StoreError},
};
use rusqlite::{Row, Transaction, params};
use std::time::Duration;

/// Notes that a document has ended as its row says, in the transaction that ends it.
pub(super) fn ended(db: &Transaction<'_>, id: &DocumentId) -> rusqlite::Result<()> {
    let sql = concat!(
        "INSERT INTO events (document, schema, state, at_ms, due_ms)
           SELECT id, schema_name || '@' || schema_version, state, updated_ms, ",
        now!(),
        " FROM documents WHERE id = ?1"
    );
    db.prepare_cached(sql)?.execute([id.as_str()]).map(drop)
}

impl SqliteStore {
    pub(in crate::store) async fn ends(
        &self,
        limit: u32,
        lease: Duration,
    ) -> Result<Vec<End>, StoreError> {
        let any = concat!("SELECT EXISTS (SELECT 1 FROM events WHERE due_ms <= ", now!(), ")");
        let any: bool = self.file.read(|db| db.query_row(any, [], |row| row.get(0))).await?;
        if !any {
            return Ok(Vec::new());
        }
        let sql = concat!(
            "UPDATE events SET due_ms = ",
            now!(),
            " + ?2 WHERE id IN
             (SELECT id FROM events WHERE due_ms <= ",
            now!(),
            " ORDER BY due_ms, id LIMIT ?1)
             RETURNING id, document, schema, state, at_ms"
        );
        let take = move |db: &Transaction<'_>| {
            let mut statement = db.prepare_cached(sql)?;
            let rows = statement.query_map(params![limit, ms(lease)], end)?;
            let mut ends = rows.collect::<rusqlite::Result<Vec<_>>>()?;
            ends.sort_by_key(|end| end.id);
            Ok(ends)
        };
        self.file.write(take).await
    }

    pub(in crate::store) async fn told(&self, ends: Vec<i64>) -> Result<(), StoreError> {
        let delete = move |db: &Transaction<'_>| {
            let mut statement = db.prepare_cached("DELETE FROM events WHERE id = ?1")?;
            for end in ends {
                statement.execute([end])?;
            }
            Ok(())
        };
        self.file.write(delete).await
    }
}

fn end(row: &Row<'_>) -> rusqlite::Result<End> {
    Ok(End {
        id: row.get(0)?,
        document: parsed(row, 1)?,
        schema: parsed(row, 2)?,
        state: parsed(row, 3)?,
        at: time(row, 4)?.unwrap_or_default(),
    })
}
