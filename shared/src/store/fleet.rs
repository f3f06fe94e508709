//! The workers that are alive, and what they report.

use super::{
    DbError, Result, Store,
    db::{Access, Db},
    sql::Sql,
    value::{to_json, values},
};
use crate::fleet::WorkerReport;
use std::time::Duration;

/// The workers.
#[derive(Clone, Copy, Debug)]
pub struct Fleet<'a>(pub(super) &'a Store);

impl Fleet<'_> {
    /// A worker is alive. Its report is shown until the next one, or for `lifetime`. Gives how many
    /// workers have reported within `lifetime`.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn report(
        self,
        worker: &str,
        report: &WorkerReport,
        lifetime: Duration,
    ) -> Result<u32> {
        let arguments = (worker.to_owned(), to_json(report)?, lifetime);
        // Not one transaction: a worker lets go of its own rows before it removes others', or two
        // that come back after a pause would wait for each other.
        let alive = self.0.run(Access::Write, arguments, |db, (worker, report, lifetime)| {
            Box::pin(heartbeat(db, worker, report, *lifetime))
        });
        alive.await
    }

    /// The reports of the workers that are alive.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn reports(self) -> Result<Vec<WorkerReport>> {
        static REPORTS: Sql =
            Sql::new("SELECT body FROM worker_reports WHERE until_ms > {now_once} ORDER BY worker");
        self.0.query(&REPORTS, values![], |row| Ok(row.json(0)?.unwrap_or_default())).await
    }

    /// A worker has stopped.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn leave(self, worker: &str) -> Result<()> {
        let left =
            self.0.run(Access::Write, worker.to_owned(), |db, worker| Box::pin(leave(db, worker)));
        left.await
    }
}

async fn heartbeat(
    db: &Db<'_>,
    worker: &str,
    report: &str,
    lifetime: Duration,
) -> Result<u32, DbError> {
    static ALIVE: Sql = Sql::new(
        "INSERT INTO workers (id, heartbeat_ms) VALUES ($1, {now})
         ON CONFLICT (id) DO UPDATE SET heartbeat_ms = excluded.heartbeat_ms",
    );
    static REPORT: Sql = Sql::new(
        "INSERT INTO worker_reports (worker, until_ms, body) VALUES ($1, {now} + $2, $3)
         ON CONFLICT (worker) DO UPDATE SET until_ms = excluded.until_ms, body = excluded.body",
    );
    static DEAD: Sql = Sql::new(
        "DELETE FROM workers WHERE id IN (SELECT id FROM workers
           WHERE heartbeat_ms < {now_once} - CAST($1 AS BIGINT) {skip_locked})",
    );
    static EXPIRED: Sql = Sql::new(
        "DELETE FROM worker_reports WHERE worker IN (SELECT worker FROM worker_reports
           WHERE until_ms <= {now_once} {skip_locked})",
    );
    static COUNT: Sql = Sql::new(
        "SELECT count(*) FROM workers WHERE heartbeat_ms >= {now_once} - CAST($1 AS BIGINT)",
    );
    db.execute(&ALIVE, values![worker]).await?;
    db.execute(&REPORT, values![worker, lifetime, report]).await?;
    db.execute(&DEAD, values![lifetime]).await?;
    db.execute(&EXPIRED, values![]).await?;
    db.one(&COUNT, values![lifetime]).await?.number(0)
}

async fn leave(db: &Db<'_>, worker: &str) -> Result<(), DbError> {
    static REPORT: Sql = Sql::new("DELETE FROM worker_reports WHERE worker = $1");
    static WORKER: Sql = Sql::new("DELETE FROM workers WHERE id = $1");
    db.execute(&REPORT, values![worker]).await?;
    db.execute(&WORKER, values![worker]).await.map(drop)
}
