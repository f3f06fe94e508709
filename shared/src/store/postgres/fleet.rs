//! Who is alive and what they say, and who waits before whom.

use super::{
    PostgresStore, Trouble, all, execute, maybe, now, now_once, one,
    rows::{json, ms, number, parsed, time, to_json},
    statement,
};
use crate::{
    document::DocumentId,
    fleet::WorkerReport,
    schema::SchemaRef,
    store::{Backlog, StoreError},
};
use std::time::Duration;
use tokio_postgres::Row;

impl PostgresStore {
    pub(in crate::store) async fn worker_alive(
        &self,
        worker: &str,
        report: WorkerReport,
        within: Duration,
    ) -> Result<u32, StoreError> {
        // Statements of their own and not one transaction: a worker lets go of its own rows before
        // it takes others', or two that come back after a pause would wait for each other.
        let here = concat!(
            "INSERT INTO workers VALUES ($1, ",
            now!(),
            ") ON CONFLICT (id) DO UPDATE SET seen_ms = excluded.seen_ms"
        );
        let says = concat!(
            "INSERT INTO worker_reports VALUES ($1, ",
            now!(),
            " + $2, $3) ON CONFLICT (worker) DO UPDATE
               SET until_ms = excluded.until_ms, body = excluded.body"
        );
        let count = concat!(
            "WITH gone AS (
               DELETE FROM workers WHERE id IN (
                 SELECT id FROM workers WHERE seen_ms < ",
            now_once!(),
            " - $1::bigint FOR UPDATE SKIP LOCKED)),
             silent AS (
               DELETE FROM worker_reports WHERE worker IN (
                 SELECT worker FROM worker_reports WHERE until_ms <= ",
            now_once!(),
            " FOR UPDATE SKIP LOCKED))
             SELECT count(*) FROM workers WHERE seen_ms >= ",
            now_once!(),
            " - $1::bigint"
        );
        statement!(self, |db| {
            execute(db, here, &[&worker]).await?;
            execute(db, says, &[&worker, &ms(within), &to_json(&report)?]).await?;
            number(&one(db, count, &[&ms(within)]).await?, 0)
        })
    }

    pub(in crate::store) async fn worker_gone(&self, worker: &str) -> Result<(), StoreError> {
        statement!(self, |db| {
            let says = "DELETE FROM worker_reports WHERE worker = $1";
            execute(db, says, &[&worker]).await?;
            execute(db, "DELETE FROM workers WHERE id = $1", &[&worker]).await.map(drop)
        })
    }

    pub(in crate::store) async fn workers(&self) -> Result<Vec<WorkerReport>, StoreError> {
        let sql = concat!(
            "SELECT body FROM worker_reports WHERE until_ms > ",
            now_once!(),
            " ORDER BY worker"
        );
        let report = |row: &Row| json(row, 0);
        statement!(self, |db| {
            let rows = all(db, sql, &[]).await?;
            let reports = rows.iter().map(report).collect::<Result<Vec<Option<_>>, Trouble>>()?;
            Ok(reports.into_iter().flatten().collect())
        })
    }

    pub(in crate::store) async fn ahead(
        &self,
        id: &DocumentId,
        most: u32,
    ) -> Result<Option<u32>, StoreError> {
        // Those in work are in a line only while they wait for the same deployment.
        let own =
            "SELECT state, priority, queued_ms, waiting::jsonb ->> 'deployment' FROM documents
            WHERE id = $1 AND deleted_ms IS NULL
              AND (state = 'queued' OR (state = 'processing' AND waiting IS NOT NULL))";
        let same = "SELECT count(*) FROM (SELECT 1 FROM documents
            WHERE state = $1 AND deleted_ms IS NULL AND priority = $3
              AND ($1 = 'queued' OR waiting::jsonb ->> 'deployment' = $2)
              AND (queued_ms, id) < ($4, $5) LIMIT $6) AS same";
        let higher = "SELECT count(*) FROM (SELECT 1 FROM documents
            WHERE state = $1 AND deleted_ms IS NULL AND priority = 'interactive'
              AND ($1 = 'queued' OR waiting::jsonb ->> 'deployment' = $2)
              AND $3 <> 'interactive' LIMIT $4) AS higher";
        let most = i64::from(most);
        statement!(self, |db| {
            let Some(row) = maybe(db, own, &[&id.as_str()]).await? else { return Ok(None) };
            let (state, priority): (String, String) = (row.try_get(0)?, row.try_get(1)?);
            let (queued, deployment): (i64, Option<String>) = (row.try_get(2)?, row.try_get(3)?);
            let id = id.as_str();
            let same =
                one(db, same, &[&state, &deployment, &priority, &queued, &id, &most]).await?;
            let higher = one(db, higher, &[&state, &deployment, &priority, &most]).await?;
            let (same, higher): (u32, u32) = (number(&same, 0)?, number(&higher, 0)?);
            Ok(Some(same.saturating_add(higher)))
        })
    }

    pub(in crate::store) async fn backlog(&self, most: u32) -> Result<Vec<Backlog>, StoreError> {
        let sql = concat!(
            "SELECT schema_name, schema_version, count(*),
               max(due_ms) FILTER (WHERE due_ms > ",
            now_once!(),
            ") FROM (SELECT schema_name, schema_version, due_ms FROM documents
               WHERE state = 'queued' AND deleted_ms IS NULL
               ORDER BY priority, queued_ms, id LIMIT $1) AS first
             GROUP BY schema_name, schema_version ORDER BY schema_name, schema_version"
        );
        let backlog = |row: &Row| {
            Ok(Backlog {
                schema: SchemaRef { name: parsed(row, 0)?, version: number(row, 1)? },
                documents: number(row, 2)?,
                due: time(row, 3)?,
            })
        };
        statement!(self, |db| {
            all(db, sql, &[&i64::from(most)]).await?.iter().map(backlog).collect()
        })
    }
}
