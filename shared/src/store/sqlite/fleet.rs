//! Who is alive and what they say, and who waits before whom.

use super::{
    SqliteStore, now,
    rows::{json, ms, parsed, time, to_json},
};
use crate::{
    document::DocumentId,
    fleet::WorkerReport,
    schema::SchemaRef,
    store::{Backlog, StoreError},
};
use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};
use std::time::Duration;

impl SqliteStore {
    pub(in crate::store) async fn worker_alive(
        &self,
        worker: &str,
        report: WorkerReport,
        within: Duration,
    ) -> Result<u32, StoreError> {
        let worker = worker.to_owned();
        let alive = move |db: &Transaction<'_>| {
            let here = concat!(
                "INSERT INTO workers VALUES (?1, ",
                now!(),
                ")
                 ON CONFLICT (id) DO UPDATE SET seen_ms = excluded.seen_ms"
            );
            db.prepare_cached(here)?.execute([&worker])?;
            let says = concat!(
                "INSERT INTO worker_reports VALUES (?1, ",
                now!(),
                " + ?2, ?3)
                 ON CONFLICT (worker) DO UPDATE
                 SET until_ms = excluded.until_ms, body = excluded.body"
            );
            let body = to_json(&report)?;
            db.prepare_cached(says)?.execute(params![worker, ms(within), body])?;
            let gone = concat!("DELETE FROM workers WHERE seen_ms < ", now!(), " - ?1");
            db.prepare_cached(gone)?.execute([ms(within)])?;
            let silent = concat!("DELETE FROM worker_reports WHERE until_ms <= ", now!());
            db.prepare_cached(silent)?.execute([])?;
            db.query_row("SELECT count(*) FROM workers", [], |row| row.get(0))
        };
        self.file.write(alive).await
    }

    pub(in crate::store) async fn worker_gone(&self, worker: &str) -> Result<(), StoreError> {
        let worker = worker.to_owned();
        let gone = move |db: &Transaction<'_>| {
            db.execute("DELETE FROM worker_reports WHERE worker = ?1", [&worker])?;
            db.execute("DELETE FROM workers WHERE id = ?1", [&worker]).map(drop)
        };
        self.file.write(gone).await
    }

    pub(in crate::store) async fn workers(&self) -> Result<Vec<WorkerReport>, StoreError> {
        let sql = concat!(
            "SELECT body FROM worker_reports WHERE until_ms > ",
            now!(),
            " ORDER BY worker"
        );
        let read = |db: &Connection| {
            let mut statement = db.prepare_cached(sql)?;
            let rows = statement.query_map([], |row| json(row, 0))?;
            let reports = rows.collect::<rusqlite::Result<Vec<Option<_>>>>()?;
            Ok(reports.into_iter().flatten().collect())
        };
        self.file.read(read).await
    }

    pub(in crate::store) async fn ahead(
        &self,
        id: &DocumentId,
        most: u32,
    ) -> Result<Option<u32>, StoreError> {
        // Those in work are in a line only while they wait for the same deployment.
        let own = "SELECT state, priority, queued_ms, waiting ->> 'deployment' FROM documents
            WHERE id = ?1 AND deleted_ms IS NULL
              AND (state = 'queued' OR (state = 'processing' AND waiting IS NOT NULL))";
        let same = "SELECT count(*) FROM (SELECT 1 FROM documents
            WHERE state = ?1 AND deleted_ms IS NULL AND priority = ?3
              AND (?1 = 'queued' OR waiting ->> 'deployment' = ?2)
              AND (queued_ms, id) < (?4, ?5) LIMIT ?6)";
        let higher = "SELECT count(*) FROM (SELECT 1 FROM documents
            WHERE state = ?1 AND deleted_ms IS NULL AND priority = 'interactive'
              AND (?1 = 'queued' OR waiting ->> 'deployment' = ?2)
              AND ?3 <> 'interactive' LIMIT ?4)";
        let id = id.clone();
        let count = move |db: &Connection| {
            type Place = (String, String, i64, Option<String>);
            let place = |row: &Row<'_>| -> rusqlite::Result<Place> {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
            };
            let place = db.prepare_cached(own)?.query_row([id.as_str()], place).optional()?;
            let Some((state, priority, queued, deployment)) = place else { return Ok(None) };
            let values = params![state, deployment, priority, queued, id.as_str(), most];
            let same: u32 = db.prepare_cached(same)?.query_row(values, |row| row.get(0))?;
            let values = params![state, deployment, priority, most];
            let higher: u32 = db.prepare_cached(higher)?.query_row(values, |row| row.get(0))?;
            Ok(Some(same.saturating_add(higher)))
        };
        self.file.read(count).await
    }

    pub(in crate::store) async fn backlog(&self, most: u32) -> Result<Vec<Backlog>, StoreError> {
        let sql = concat!(
            "SELECT schema_name, schema_version, count(*),
               max(due_ms) FILTER (WHERE due_ms > ",
            now!(),
            ") FROM (SELECT schema_name, schema_version, due_ms FROM documents
               WHERE state = 'queued' AND deleted_ms IS NULL
               ORDER BY priority, queued_ms, id LIMIT ?1)
             GROUP BY schema_name, schema_version ORDER BY schema_name, schema_version"
        );
        let read = move |db: &Connection| {
            let mut statement = db.prepare_cached(sql)?;
            let rows = statement.query_map([most], |row| {
                Ok(Backlog {
                    schema: SchemaRef { name: parsed(row, 0)?, version: row.get(1)? },
                    documents: row.get(2)?,
                    due: time(row, 3)?,
                })
            })?;
            rows.collect()
        };
        self.file.read(read).await
    }
}
