//! What a worker does: claim, hold, ask whether it may pay, and end.

use super::{
    PostgresStore, Trouble, all,
    events::{changing, noting},
    execute, maybe, now, one,
    rows::{CLAIM, claim, ms, number, to_json, to_number, to_searchable_json, to_text},
    statement, transaction,
};
use crate::{
    document::{DocumentId, DocumentState, Failure, Waiting},
    job::Claim,
    store::{CallEnd, Intent, Spent, StoreError},
};
use deadpool_postgres::Transaction;
use std::time::Duration;
use tokio_postgres::Row;

/// The row is this claim's, and its lease has not run out.
const OURS: &str =
    concat!("id = $1 AND fence = $2 AND state = 'processing' AND lease_until_ms > ", now!());

impl PostgresStore {
    pub(in crate::store) async fn claim(
        &self,
        id: &DocumentId,
        worker: &str,
        lease: Duration,
    ) -> Result<Option<Claim>, StoreError> {
        // Of several at once the first takes the row; the others wait for it, look at it again,
        // and find it taken.
        let sql = format!(
            concat!(
                "WITH changed AS (
                 UPDATE documents SET state = 'processing', fence = fence + 1,
                   attempts = attempts + 1, worker = $2, waiting = NULL,
                   lease_until_ms = ",
                now!(),
                " + $3, updated_ms = ",
                now!(),
                "
                 WHERE id = $1 AND state IN ('queued', 'processing') AND deleted_ms IS NULL
                   AND due_ms <= ",
                now!(),
                "
                   AND (lease_until_ms IS NULL OR lease_until_ms <= ",
                now!(),
                ")
                 RETURNING *),
                 ",
                noting!(),
                " SELECT {} FROM changed"
            ),
            CLAIM
        );
        // Whoever made these calls is dead or asleep, and its claim is gone. A statement of its
        // own, because it must see what was written while the one above waited.
        let orphans = concat!(
            "UPDATE calls SET outcome = 'unknown', ended_ms = ",
            now!(),
            ", error = 'the worker stopped during the call'
             WHERE document = $1 AND outcome = 'open'"
        );
        transaction!(self, |db| {
            let taken = maybe(db, &sql, &[&id.as_str(), &worker, &ms(lease)]).await?;
            if taken.is_some() {
                execute(db, orphans, &[&id.as_str()]).await?;
            }
            taken.map(|row| claim(&row)).transpose()
        })
    }

    pub(in crate::store) async fn heartbeat(
        &self,
        claim: &Claim,
        lease: Duration,
    ) -> Result<bool, StoreError> {
        // A lease that ran out but that nobody took is still ours to prolong.
        let sql = concat!(
            "UPDATE documents SET lease_until_ms = ",
            now!(),
            " + $3
             WHERE id = $1 AND fence = $2 AND state = 'processing'"
        );
        statement!(self, |db| {
            let values: super::Values<'_> = &[&claim.document.as_str(), &claim.fence, &ms(lease)];
            Ok(execute(db, sql, values).await? == 1)
        })
    }

    pub(in crate::store) async fn waiting(
        &self,
        claim: &Claim,
        why: Option<Waiting>,
    ) -> Result<(), StoreError> {
        let sql = format!("UPDATE documents SET waiting = $3 WHERE {OURS}");
        statement!(self, |db| {
            let why = why.as_ref().map(to_json).transpose()?;
            execute(db, &sql, &[&claim.document.as_str(), &claim.fence, &why]).await.map(drop)
        })
    }

    pub(in crate::store) async fn text_read(
        &self,
        claim: &Claim,
        engine: &str,
        pages: u32,
    ) -> Result<(), StoreError> {
        let sql = format!("UPDATE documents SET text_engine = $3, pages = $4 WHERE {OURS}");
        statement!(self, |db| {
            let pages = i64::from(pages);
            let values: super::Values<'_> =
                &[&claim.document.as_str(), &claim.fence, &engine, &pages];
            execute(db, &sql, values).await.map(drop)
        })
    }

    pub(in crate::store) async fn intent(
        &self,
        claim: &Claim,
        question: &str,
        label: &str,
        deployment: &str,
        calls_max: u32,
    ) -> Result<Intent, StoreError> {
        transaction!(self, |db| intent(db, claim, question, label, deployment, calls_max).await)
    }

    pub(in crate::store) async fn call_ended(
        &self,
        call: i64,
        question: &str,
        end: CallEnd,
        took: Duration,
    ) -> Result<(), StoreError> {
        transaction!(self, |db| call_ended(db, call, question, &end, took).await)
    }

    pub(in crate::store) async fn adopt_reply(&self, question: &str) -> Result<(), StoreError> {
        statement!(self, |db| execute(db, ANSWERED, &[&question]).await.map(drop))
    }

    pub(in crate::store) async fn forget_reply(&self, question: &str) -> Result<(), StoreError> {
        let sql = "UPDATE questions SET answered_ms = NULL, calls = 0, owner = NULL WHERE key = $1
            AND answered_ms IS NOT NULL";
        statement!(self, |db| execute(db, sql, &[&question]).await.map(drop))
    }

    pub(in crate::store) async fn spent(&self, claim: &Claim) -> Result<Vec<Spent>, StoreError> {
        let sql = "SELECT deployment, count(*), coalesce(sum(tokens_input), 0)::bigint,
              coalesce(sum(tokens_output), 0)::bigint
            FROM calls WHERE document = $1 AND run = $2 AND outcome <> 'unbilled'
            GROUP BY deployment ORDER BY deployment COLLATE \"C\"";
        let spent = |row: &Row| {
            Ok(Spent {
                deployment: row.try_get(0)?,
                calls: number(row, 1)?,
                tokens_input: number(row, 2)?,
                tokens_output: number(row, 3)?,
            })
        };
        statement!(self, |db| {
            let rows = all(db, sql, &[&claim.document.as_str(), &i64::from(claim.run)]).await?;
            rows.iter().map(spent).collect()
        })
    }

    pub(in crate::store) async fn finish(
        &self,
        claim: &Claim,
        state: DocumentState,
    ) -> Result<bool, StoreError> {
        let sql = changing!(
            "UPDATE documents SET state = $3, finished_ms = ",
            now!(),
            ", updated_ms = ",
            now!(),
            ", lease_until_ms = NULL, waiting = NULL, failure = NULL
             WHERE id = $1 AND run = $2 AND state IN ('queued', 'processing')
               AND deleted_ms IS NULL"
        );
        statement!(self, |db| {
            let run = i64::from(claim.run);
            let values: super::Values<'_> = &[&claim.document.as_str(), &run, &state.as_str()];
            Ok(execute(db, sql, values).await? == 1)
        })
    }

    pub(in crate::store) async fn fail(
        &self,
        claim: &Claim,
        failure: Failure,
    ) -> Result<bool, StoreError> {
        let sql = changing!(
            "UPDATE documents SET state = 'failed', failure = $3, finished_ms = ",
            now!(),
            ", updated_ms = ",
            now!(),
            ", lease_until_ms = NULL, waiting = NULL
             WHERE id = $1 AND fence = $2 AND state = 'processing'"
        );
        statement!(self, |db| {
            let failure = to_searchable_json(&failure)?;
            let values: super::Values<'_> = &[&claim.document.as_str(), &claim.fence, &failure];
            Ok(execute(db, sql, values).await? == 1)
        })
    }

    pub(in crate::store) async fn release(
        &self,
        claim: &Claim,
        pause: Duration,
        why: Option<Waiting>,
        attempt_counts: bool,
    ) -> Result<bool, StoreError> {
        let sql = concat!(
            "WITH changed AS (
               UPDATE documents SET state = 'queued', lease_until_ms = NULL, worker = NULL,
                 waiting = $3, due_ms = ",
            now!(),
            " + $4, rung_ms = ",
            now!(),
            " + $4, updated_ms = ",
            now!(),
            ", attempts = attempts - $5
               WHERE id = $1 AND fence = $2 AND state = 'processing'
               RETURNING *),
             ",
            noting!(),
            " INSERT INTO outbox (document, priority, due_ms)
             SELECT id, priority, due_ms FROM changed"
        );
        statement!(self, |db| {
            let why = why.as_ref().map(to_json).transpose()?;
            let refund = i64::from(!attempt_counts);
            let values: super::Values<'_> =
                &[&claim.document.as_str(), &claim.fence, &why, &ms(pause), &refund];
            Ok(execute(db, sql, values).await? == 1)
        })
    }
}

/// Whoever asks the same question meanwhile waits for this transaction: first at the document, so
/// that nobody takes it over, then at the question, so that two documents cannot both pay.
async fn intent(
    db: &Transaction<'_>,
    claim: &Claim,
    question: &str,
    label: &str,
    deployment: &str,
    calls_max: u32,
) -> Result<Intent, Trouble> {
    let id = claim.document.as_str();
    let ours = format!("SELECT 1 FROM documents WHERE {OURS} FOR UPDATE");
    if maybe(db, &ours, &[&id, &claim.fence]).await?.is_none() {
        return Ok(Intent::Lost);
    }
    // Changing nothing locks the row, be it new or old, and gives it as it is now.
    let lock = "INSERT INTO questions (key) VALUES ($1)
        ON CONFLICT (key) DO UPDATE SET key = excluded.key
        RETURNING calls, answered_ms IS NOT NULL";
    let row = one(db, lock, &[&question]).await?;
    let (calls, is_answered): (u32, bool) = (number(&row, 0)?, row.try_get(1)?);
    if is_answered {
        return Ok(Intent::Replay);
    }
    // The owner of a question is busy with it while its own claim is alive. A statement of its
    // own, because it must see what was written while the one above waited.
    let owner = concat!(
        "SELECT 1 FROM questions JOIN documents ON id = owner AND fence = owner_fence
         WHERE key = $1 AND id <> $2 AND state = 'processing' AND lease_until_ms > ",
        now!()
    );
    if maybe(db, owner, &[&question, &id]).await?.is_some() {
        return Ok(Intent::Busy);
    }
    if calls >= calls_max {
        return Ok(Intent::Capped(calls));
    }
    let call = concat!(
        "WITH counted AS (
           UPDATE questions SET calls = calls + 1, owner = $3, owner_fence = $5 WHERE key = $1)
         INSERT INTO calls (question, label, document, run, fence, deployment, started_ms)
         VALUES ($1, $2, $3, $4, $5, $6, ",
        now!(),
        ") RETURNING id"
    );
    let run = i64::from(claim.run);
    let values: super::Values<'_> =
        &[&question, &to_text(label), &id, &run, &claim.fence, &deployment];
    Ok(Intent::Call(one(db, call, values).await?.try_get(0)?))
}

async fn call_ended(
    db: &Transaction<'_>,
    call: i64,
    question: &str,
    end: &CallEnd,
    took: Duration,
) -> Result<(), Trouble> {
    let (outcome, status, error, tokens) = match end {
        CallEnd::Answered { tokens_input, tokens_output } => {
            ("answered", Some(200), None, Some((*tokens_input, *tokens_output)))
        }
        CallEnd::Unbilled { status, error } => ("unbilled", *status, Some(error), None),
        CallEnd::Unknown { status, error } => ("unknown", *status, Some(error), None),
    };
    // An answer is the truth whatever was believed before; everything else closes once.
    let sql = concat!(
        "UPDATE calls SET outcome = $2, status = $3, error = $4, tokens_input = $5,
           tokens_output = $6, duration_ms = $7, ended_ms = ",
        now!(),
        "
         WHERE id = $1 AND (outcome = 'open' OR (outcome = 'unknown' AND $2 = 'answered'))"
    );
    let (input, output) = (tokens.map(|t| to_number(t.0)), tokens.map(|t| to_number(t.1)));
    let (status, error) = (status.map(i64::from), error.map(|error| to_text(error)));
    let values: super::Values<'_> = &[&call, &outcome, &status, &error, &input, &output, &ms(took)];
    let closed = execute(db, sql, values).await? == 1;
    if matches!(end, CallEnd::Answered { .. }) {
        return execute(db, ANSWERED, &[&question]).await.map(drop);
    }
    if closed && matches!(end, CallEnd::Unbilled { .. }) {
        let back = "UPDATE questions SET calls = greatest(calls - 1, 0) WHERE key = $1";
        execute(db, back, &[&question]).await?;
    }
    // Only the claim that asks may say that nobody asks: this call may be one that was given up
    // for dead, and another is under way.
    let free = "UPDATE questions SET owner = NULL WHERE key = $1
        AND (owner, owner_fence) = (SELECT document, fence FROM calls WHERE id = $2)";
    execute(db, free, &[&question, &call]).await.map(drop)
}

/// There is a reply in storage for this question.
const ANSWERED: &str = concat!(
    "UPDATE questions SET answered_ms = ",
    now!(),
    ", owner = NULL
     WHERE key = $1 AND answered_ms IS NULL"
);
