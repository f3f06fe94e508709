//! What keeps the system going: rings, sweeps and purges.

use super::{
    SqliteStore, now,
    rows::{ms, parsed, parsed_or_null},
};
use crate::{
    document::DocumentId,
    store::{Purge, Ring, StoreError},
};
use rusqlite::{Connection, Transaction, named_params, params};
use std::time::Duration;

impl SqliteStore {
    pub(in crate::store) async fn rings(
        &self,
        limit: u32,
        lease: Duration,
    ) -> Result<Vec<Ring>, StoreError> {
        // A look without the write lock first: mostly there is nothing to do.
        let any = concat!("SELECT EXISTS (SELECT 1 FROM outbox WHERE due_ms <= ", now!(), ")");
        let any: bool = self.file.read(|db| db.query_row(any, [], |row| row.get(0))).await?;
        if !any {
            return Ok(Vec::new());
        }
        let sql = concat!(
            "UPDATE outbox SET due_ms = ",
            now!(),
            " + ?2 WHERE id IN
             (SELECT id FROM outbox WHERE due_ms <= ",
            now!(),
            " ORDER BY due_ms, id LIMIT ?1)
             RETURNING id, document, priority,
               (SELECT traceparent FROM documents WHERE documents.id = outbox.document)"
        );
        let take = move |db: &Transaction<'_>| {
            let mut statement = db.prepare_cached(sql)?;
            let ring = |row: &rusqlite::Row<'_>| {
                Ok(Ring {
                    id: row.get(0)?,
                    document: parsed(row, 1)?,
                    priority: parsed(row, 2)?,
                    traceparent: parsed_or_null(row, 3)?,
                })
            };
            let rows = statement.query_map(params![limit, ms(lease)], ring)?;
            let mut rings = rows.collect::<rusqlite::Result<Vec<_>>>()?;
            rings.sort_by_key(|ring| ring.id);
            Ok(rings)
        };
        self.file.write(take).await
    }

    pub(in crate::store) async fn ring(&self, id: &DocumentId) -> Result<bool, StoreError> {
        let sql = concat!(
            "INSERT INTO outbox (document, priority, due_ms)
               SELECT id, priority, max(due_ms, ",
            now!(),
            ") FROM documents
               WHERE id = ?1 AND state IN ('queued', 'processing') AND deleted_ms IS NULL
                 AND NOT EXISTS (SELECT 1 FROM outbox WHERE document = ?1)"
        );
        let id = id.clone();
        let ring = move |db: &Transaction<'_>| db.prepare_cached(sql)?.execute([id.as_str()]);
        Ok(self.file.write(ring).await? == 1)
    }

    pub(in crate::store) async fn rung(&self, rings: Vec<i64>) -> Result<(), StoreError> {
        let delete = move |db: &Transaction<'_>| {
            let mut statement = db.prepare_cached("DELETE FROM outbox WHERE id = ?1")?;
            for ring in rings {
                statement.execute([ring])?;
            }
            Ok(())
        };
        self.file.write(delete).await
    }

    pub(in crate::store) async fn sweep(&self, silence: Duration) -> Result<u64, StoreError> {
        // Two kinds of silence: a lease that ran out (ring at once, then not again before another
        // lease could have run out), and a ring that was confirmed and led to nothing.
        let due = concat!(
            "FROM documents WHERE deleted_ms IS NULL AND (
               (state = 'processing' AND lease_until_ms <= ",
            now!(),
            "
                 AND rung_ms <= lease_until_ms)
               OR (state IN ('queued', 'processing') AND rung_ms <= ",
            now!(),
            " - :silence
                 AND due_ms <= ",
            now!(),
            "
                 AND (lease_until_ms IS NULL OR lease_until_ms <= ",
            now!(),
            ")))
             AND NOT EXISTS (SELECT 1 FROM outbox WHERE outbox.document = documents.id)"
        );
        let any = format!("SELECT EXISTS (SELECT 1 {due})");
        let silence = ms(silence);
        let look = move |db: &Connection| {
            let values = named_params! { ":silence": silence };
            db.prepare_cached(&any)?.query_row(values, |row| row.get(0))
        };
        if !self.file.read::<bool>(look).await? {
            return Ok(0);
        }
        let ring = format!(
            concat!(
                "INSERT INTO outbox (document, priority, due_ms)
                     SELECT id, priority, ",
                now!(),
                " {}"
            ),
            due
        );
        let note = concat!(
            "UPDATE documents SET rung_ms = ",
            now!(),
            " WHERE id IN (SELECT document FROM outbox) AND rung_ms < ",
            now!()
        );
        let sweep = move |db: &Transaction<'_>| {
            let rung = db.execute(&ring, named_params! { ":silence": silence })?;
            db.execute(note, [])?;
            Ok(rung as u64)
        };
        self.file.write(sweep).await
    }

    pub(in crate::store) async fn purges(&self) -> Result<Vec<Purge>, StoreError> {
        self.file.read(purges).await
    }

    pub(in crate::store) async fn purged(
        &self,
        id: &DocumentId,
        again: Option<Duration>,
    ) -> Result<(), StoreError> {
        let id = id.clone();
        let write = move |db: &Transaction<'_>| {
            let questions = format!("DELETE FROM questions WHERE key IN ({LONELY_QUESTIONS})");
            db.execute(&questions, [id.as_str()])?;
            let later = concat!("UPDATE documents SET purge_ms = ", now!(), " + ?2 WHERE id = ?1");
            db.execute(later, params![id.as_str(), again.map(ms)]).map(drop)
        };
        self.file.write(write).await
    }
}

/// Questions of a document that no document asks which is still there.
const LONELY_QUESTIONS: &str = "SELECT DISTINCT question FROM calls AS c WHERE c.document = ?1
    AND NOT EXISTS (SELECT 1 FROM documents AS mine JOIN documents AS other
      ON other.tenant = mine.tenant AND other.sha256 = mine.sha256
      WHERE mine.id = ?1 AND other.id <> ?1 AND other.deleted_ms IS NULL)";

fn purges(db: &Connection) -> rusqlite::Result<Vec<Purge>> {
    let due = concat!(
        "SELECT id FROM documents WHERE purge_ms <= ",
        now!(),
        " ORDER BY purge_ms LIMIT 100"
    );
    let mut due = db.prepare_cached(due)?;
    let ids = due.query_map([], |row| parsed(row, 0))?;
    let ids = ids.collect::<rusqlite::Result<Vec<DocumentId>>>()?;
    let mut lonely = db.prepare_cached(LONELY_QUESTIONS)?;
    let mut purges = Vec::with_capacity(ids.len());
    for document in ids {
        let questions = lonely.query_map([document.as_str()], |row| row.get(0))?;
        let questions = questions.collect::<rusqlite::Result<_>>()?;
        purges.push(Purge { document, questions });
    }
    Ok(purges)
}
