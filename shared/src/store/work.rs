//! What a worker does with a document: claim it, hold its lease, and end its work.

use super::{
    DbError, Result, Store,
    db::{Access, Db},
    documents::{parent, source},
    sql::{Change, Sql},
    value::{Row, to_json, to_searchable_json, values},
};
use crate::{
    document::{DocumentId, DocumentState, Failure, FileType, Part, Waiting},
    job::Claim,
    schema::SchemaRef,
};
use std::time::Duration;

/// Documents in the hands of workers.
#[derive(Clone, Copy, Debug)]
pub struct Work<'a>(pub(super) &'a Store);

impl Work<'_> {
    /// Takes a document for `lease`, unless it has ended, is not due, or has a live lease.
    ///
    /// # Errors
    /// When the database does not answer; the lease of a claim that was made runs out.
    pub async fn claim(
        self,
        id: &DocumentId,
        worker: &str,
        lease: Duration,
    ) -> Result<Option<Claim>> {
        let arguments = (id.clone(), worker.to_owned(), lease);
        let claimed = self.0.run(Access::Transaction, arguments, |db, (id, worker, lease)| {
            Box::pin(claim(db, id, worker, *lease))
        });
        claimed.await
    }

    /// Prolongs the lease. False when the claim is lost: stop.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn heartbeat(self, claim: &Claim, lease: Duration) -> Result<bool> {
        // A lease that ran out can be prolonged until another worker claims the document.
        static HEARTBEAT: Sql = Sql::new(
            "UPDATE documents SET lease_until_ms = {now} + $3
             WHERE id = $1 AND fence = $2 AND state = 'processing'",
        );
        let values = values![&claim.document, claim.fence, lease];
        Ok(self.0.execute(&HEARTBEAT, values).await? == 1)
    }

    /// Shows why the document waits while it is held.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn set_waiting(self, claim: &Claim, why: Option<Waiting>) -> Result<()> {
        static WAITING: Sql =
            Sql::new(concat!("UPDATE documents SET waiting = $3 WHERE ", claim_is_live!()));
        let why = why.as_ref().map(to_json).transpose()?;
        self.0.execute(&WAITING, values![&claim.document, claim.fence, why]).await.map(drop)
    }

    /// Notes which engine read the text, and how many pages it found.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn text_read(self, claim: &Claim, engine: &str, pages: u32) -> Result<()> {
        static TEXT: Sql = Sql::new(concat!(
            "UPDATE documents SET text_engine = $3, pages = $4 WHERE ",
            claim_is_live!()
        ));
        let values = values![&claim.document, claim.fence, engine, pages];
        self.0.execute(&TEXT, values).await.map(drop)
    }

    /// Notes about how many pages of a long document there is an answer.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn pages_done(self, claim: &Claim, pages: u32) -> Result<()> {
        // The parts are asked about side by side, and a page may be in two of them.
        static DONE: Sql = Sql::new(concat!(
            "UPDATE documents SET pages_done = CASE WHEN $3 > pages THEN pages ELSE $3 END
             WHERE coalesce(pages_done, 0) < $3 AND ",
            claim_is_live!()
        ));
        self.0.execute(&DONE, values![&claim.document, claim.fence, pages]).await.map(drop)
    }

    /// Makes the result of this run visible, unless the document has ended. It does not check the
    /// lease: every worker with the saved reply may finish. False when it had ended already.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn finish(self, claim: &Claim, state: DocumentState) -> Result<bool> {
        static FINISH: Change = Change::new(
            "UPDATE documents SET state = $3, finished_ms = {now}, updated_ms = {now},
               lease_until_ms = NULL, waiting = NULL, failure = NULL, pages_done = NULL
             WHERE id = $1 AND run = $2 AND state IN ('queued', 'processing')
               AND deleted_ms IS NULL",
            "id",
        )
        .with_event();
        self.0.change(&FINISH, values![&claim.document, claim.run, state]).await
    }

    /// Ends the document as one that was split: those that were made of it have the results. It has
    /// none, and says why in `warnings`. False when the claim is lost.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn split(self, claim: &Claim, warnings: &[String]) -> Result<bool> {
        static SPLIT: Change = Change::new(
            "UPDATE documents SET state = 'split', warnings = $3, finished_ms = {now},
               updated_ms = {now}, lease_until_ms = NULL, waiting = NULL
             WHERE id = $1 AND fence = $2 AND state = 'processing'",
            "id",
        )
        .with_event();
        let warnings = to_json(&warnings)?;
        self.0.change(&SPLIT, values![&claim.document, claim.fence, warnings]).await
    }

    /// Ends the document without a result, unless the claim is lost.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn fail(self, claim: &Claim, failure: Failure) -> Result<bool> {
        static FAIL: Change = Change::new(
            "UPDATE documents SET state = 'failed', failure = $3, finished_ms = {now},
               updated_ms = {now}, lease_until_ms = NULL, waiting = NULL, pages_done = NULL
             WHERE id = $1 AND fence = $2 AND state = 'processing'",
            "id",
        )
        .with_event();
        let failure = to_searchable_json(&failure)?;
        self.0.change(&FAIL, values![&claim.document, claim.fence, failure]).await
    }

    /// Puts the document back into the queue, due after `pause`, unless the claim is lost. Without
    /// `attempt_counts` the attempt is taken back.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn release(
        self,
        claim: &Claim,
        pause: Duration,
        why: Option<Waiting>,
        attempt_counts: bool,
    ) -> Result<bool> {
        static RELEASE: Change = Change::new(
            "UPDATE documents SET state = 'queued', lease_until_ms = NULL, worker = NULL,
               waiting = $3, due_ms = {now} + $4, enqueued_ms = {now} + $4, updated_ms = {now},
               attempts = attempts - $5
             WHERE id = $1 AND fence = $2 AND state = 'processing'",
            "id",
        )
        .with_event()
        .with_entry();
        let why = why.as_ref().map(to_json).transpose()?;
        let refund = i64::from(!attempt_counts);
        self.0.change(&RELEASE, values![&claim.document, claim.fence, why, pause, refund]).await
    }
}

/// The row `$1` has the fence `$2`, and its lease has not run out.
macro_rules! claim_is_live {
    () => {
        "id = $1 AND fence = $2 AND state = 'processing' AND lease_until_ms > {now}"
    };
}
pub(super) use claim_is_live;

async fn claim(
    db: &Db<'_>,
    id: &DocumentId,
    worker: &str,
    lease: Duration,
) -> Result<Option<Claim>, DbError> {
    // Of several at once the first takes the row; the others wait for it and find it taken.
    static CLAIM: Change = Change::new(
        "UPDATE documents SET state = 'processing', fence = fence + 1, attempts = attempts + 1,
           worker = $2, waiting = NULL, lease_until_ms = {now} + $3, updated_ms = {now},
           pages_done = NULL
         WHERE id = $1 AND state IN ('queued', 'processing') AND deleted_ms IS NULL
           AND due_ms <= {now} AND (lease_until_ms IS NULL OR lease_until_ms <= {now})",
        "id, tenant, fence, run, attempts, schema_name, schema_version, content_type, sha256,
         priority, queued_ms, updated_ms, parent, part, depth, source, split, locked, text_engine,
         filename, size_bytes",
    )
    .with_event();
    // The worker that made these calls has lost its claim. A statement of its own: it must see
    // what was written while the one above waited.
    static ORPHANS: Sql = Sql::new(
        "UPDATE calls SET outcome = 'unknown', ended_ms = {now},
           error = 'the worker stopped during the call'
         WHERE document = $1 AND outcome = 'open'",
    );
    let claimed = db.change(&CLAIM, values![id, worker, lease]).await?;
    let Some(row) = claimed.first() else { return Ok(None) };
    db.execute(&ORPHANS, values![id]).await?;
    let mut claim = claim_of(row)?;
    if let Some(parent) = claim.parent.as_ref().filter(|parent| is_range(&parent.part)) {
        // Its text is a part of what was read.
        static ENGINE: Sql = Sql::new("SELECT text_engine FROM documents WHERE id = $1");
        let engine = db.first(&ENGINE, values![&parent.id]).await?;
        let engine = engine.as_ref().map(|row| row.text_or_null(0)).transpose()?.flatten();
        claim.saved_text = engine.map(|engine| (parent.id.clone(), engine.to_owned()));
    }
    Ok(Some(claim))
}

fn is_range(part: &Part) -> bool {
    matches!(part, Part::Pages(_))
}

fn claim_of(row: &Row) -> Result<Claim, DbError> {
    Ok(Claim {
        document: row.parsed(0)?,
        tenant: row.text(1)?.to_owned(),
        fence: row.number(2)?,
        run: row.number(3)?,
        attempts: row.number(4)?,
        schema: SchemaRef { name: row.parsed(5)?, version: row.number(6)? },
        file_type: FileType::from_media_type(row.text(7)?),
        sha256: row.text(8)?.to_owned(),
        priority: row.parsed(9)?,
        queued_at: row.time(10)?,
        claimed_at: row.time(11)?,
        parent: parent(row, 12, 13)?,
        depth: row.number(14)?,
        source: source(row, 0, 15)?,
        split: row.parsed_or_null(16)?,
        filename: row.text(19)?.to_owned(),
        size_bytes: row.number(20)?,
        saved_text: match (row.flag(17)?, row.text_or_null(18)?) {
            (true, Some(engine)) => Some((row.parsed(0)?, engine.to_owned())),
            _ => None,
        },
    })
}
