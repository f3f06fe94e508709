//! What keeps the system going: rings, sweeps and purges.

use super::{
    PostgresStore, Trouble, all, execute, now, now_once,
    rows::{ms, parsed, parsed_or_null},
    statement, transaction,
};
use crate::{
    document::DocumentId,
    store::{Purge, Ring, StoreError},
};
use std::time::Duration;
use tokio_postgres::Row;

/// How many documents one sweep rings for, of each kind: what is left is for the next one.
const SWEEP_MAX: i64 = 10_000;

impl PostgresStore {
    pub(in crate::store) async fn rings(
        &self,
        limit: u32,
        lease: Duration,
    ) -> Result<Vec<Ring>, StoreError> {
        let sql = concat!(
            "UPDATE outbox SET due_ms = ",
            now!(),
            " + $2 WHERE id IN
             (SELECT id FROM outbox WHERE due_ms <= ",
            now_once!(),
            " ORDER BY due_ms, id LIMIT $1 FOR UPDATE SKIP LOCKED)
             RETURNING id, document, priority,
               (SELECT traceparent FROM documents WHERE documents.id = outbox.document)"
        );
        let ring = |row: &Row| {
            Ok(Ring {
                id: row.try_get(0)?,
                document: parsed(row, 1)?,
                priority: parsed(row, 2)?,
                traceparent: parsed_or_null(row, 3)?,
            })
        };
        statement!(self, |db| {
            let rows = all(db, sql, &[&i64::from(limit), &ms(lease)]).await?;
            let mut rings = rows.iter().map(ring).collect::<Result<Vec<_>, Trouble>>()?;
            rings.sort_by_key(|ring| ring.id);
            Ok(rings)
        })
    }

    pub(in crate::store) async fn ring(&self, id: &DocumentId) -> Result<bool, StoreError> {
        let sql = concat!(
            "INSERT INTO outbox (document, priority, due_ms)
               SELECT id, priority, greatest(due_ms, ",
            now!(),
            ") FROM documents
               WHERE id = $1 AND state IN ('queued', 'processing') AND deleted_ms IS NULL
                 AND NOT EXISTS (SELECT 1 FROM outbox WHERE document = $1)"
        );
        statement!(self, |db| Ok(execute(db, sql, &[&id.as_str()]).await? == 1))
    }

    pub(in crate::store) async fn rung(&self, rings: Vec<i64>) -> Result<(), StoreError> {
        // Two relays may have sent the same ring: they lock in one order.
        let sql = "DELETE FROM outbox WHERE id IN
            (SELECT id FROM outbox WHERE id = ANY($1) ORDER BY id FOR UPDATE)";
        statement!(self, |db| execute(db, sql, &[&rings]).await.map(drop))
    }

    pub(in crate::store) async fn sweep(&self, silence: Duration) -> Result<u64, StoreError> {
        // Two kinds of silence: a lease that ran out (ring at once, then not again before another
        // lease could have run out), and a ring that was confirmed and led to nothing. A row that
        // somebody holds at this moment is being worked on.
        // Each kind is looked for by the index that is in its order.
        let sql = concat!(
            "WITH late AS (
               SELECT id FROM documents
               WHERE state = 'processing' AND deleted_ms IS NULL AND rung_ms <= lease_until_ms
                 AND lease_until_ms <= ",
            now_once!(),
            "
                 AND NOT EXISTS (SELECT 1 FROM outbox WHERE outbox.document = documents.id)
               ORDER BY lease_until_ms LIMIT $2 FOR UPDATE SKIP LOCKED),
             silent AS (
               SELECT id FROM documents
               WHERE state IN ('queued', 'processing') AND deleted_ms IS NULL
                 AND rung_ms <= ",
            now_once!(),
            " - $1::bigint AND due_ms <= ",
            now_once!(),
            "
                 AND (lease_until_ms IS NULL OR lease_until_ms <= ",
            now_once!(),
            ")
                 AND NOT EXISTS (SELECT 1 FROM outbox WHERE outbox.document = documents.id)
               ORDER BY rung_ms LIMIT $2 FOR UPDATE SKIP LOCKED),
             noted AS (
               UPDATE documents SET rung_ms = ",
            now!(),
            " WHERE id IN (SELECT id FROM late UNION SELECT id FROM silent)
               RETURNING id, priority, rung_ms)
             INSERT INTO outbox (document, priority, due_ms)
             SELECT id, priority, rung_ms FROM noted"
        );
        statement!(self, |db| execute(db, sql, &[&ms(silence), &SWEEP_MAX]).await)
    }

    pub(in crate::store) async fn purges(&self) -> Result<Vec<Purge>, StoreError> {
        // Without a lock, which would be gone before anything is removed: two may remove the same.
        let sql = format!(
            concat!(
                "SELECT id, ARRAY({}) FROM documents AS gone WHERE purge_ms <= ",
                now_once!(),
                " ORDER BY purge_ms LIMIT 100"
            ),
            lonely_questions("gone.id")
        );
        let purge = |row: &Row| Ok(Purge { document: parsed(row, 0)?, questions: row.try_get(1)? });
        statement!(self, |db| all(db, &sql, &[]).await?.iter().map(purge).collect())
    }

    pub(in crate::store) async fn purged(
        &self,
        id: &DocumentId,
        again: Option<Duration>,
    ) -> Result<(), StoreError> {
        let later = concat!("UPDATE documents SET purge_ms = ", now!(), " + $2 WHERE id = $1");
        let lonely = lonely_questions("$1");
        let lock =
            format!("SELECT 1 FROM questions WHERE key IN ({lonely}) ORDER BY key FOR UPDATE");
        // A statement of its own, because it must see who began to ask while the one above waited.
        let forget = format!("DELETE FROM questions WHERE key IN ({lonely})");
        transaction!(self, |db| {
            execute(db, later, &[&id.as_str(), &again.map(ms)]).await?;
            all(db, &lock, &[&id.as_str()]).await?;
            execute(db, &forget, &[&id.as_str()]).await.map(drop)
        })
    }
}

/// Questions of a document that no document asks which is still there.
fn lonely_questions(document: &str) -> String {
    format!(
        "SELECT DISTINCT question FROM calls AS c WHERE c.document = {document}
         AND NOT EXISTS (SELECT 1 FROM documents AS mine JOIN documents AS other
           ON other.tenant = mine.tenant AND other.sha256 = mine.sha256
           WHERE mine.id = {document} AND other.id <> {document} AND other.deleted_ms IS NULL)"
    )
}
