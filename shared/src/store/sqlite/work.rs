//! What a worker does: claim, hold, ask whether it may pay, and end.

use super::{
    SqliteStore,
    events::changed,
    intake::ring,
    now,
    rows::{CLAIM, claim, ms, to_json},
};
use crate::{
    document::{DocumentId, DocumentState, Failure, Waiting},
    job::Claim,
    store::{CallEnd, Intent, Spent, StoreError},
};
use rusqlite::{OptionalExtension, Transaction, named_params, params};
use std::time::Duration;

/// The row is this claim's, and its lease has not run out.
const OURS: &str =
    concat!("id = :id AND fence = :fence AND state = 'processing' AND lease_until_ms > ", now!());

impl SqliteStore {
    pub(in crate::store) async fn claim(
        &self,
        id: &DocumentId,
        worker: &str,
        lease: Duration,
    ) -> Result<Option<Claim>, StoreError> {
        let (id, worker) = (id.clone(), worker.to_owned());
        let sql = format!(
            concat!(
                "UPDATE documents SET state = 'processing', fence = fence + 1,
                   attempts = attempts + 1, worker = :worker, waiting = NULL,
                   lease_until_ms = ",
                now!(),
                " + :lease, updated_ms = ",
                now!(),
                "
                 WHERE id = :id AND state IN ('queued', 'processing') AND deleted_ms IS NULL
                   AND due_ms <= ",
                now!(),
                "
                   AND (lease_until_ms IS NULL OR lease_until_ms <= ",
                now!(),
                ")
                 RETURNING {}"
            ),
            CLAIM
        );
        let take = move |db: &Transaction<'_>| {
            let values =
                named_params! { ":id": id.as_str(), ":worker": worker, ":lease": ms(lease) };
            let taken = db.prepare_cached(&sql)?.query_row(values, claim).optional()?;
            if taken.is_some() {
                // Whoever made these calls is dead or asleep, and its claim is gone.
                let orphans = concat!(
                    "UPDATE calls SET outcome = 'unknown', ended_ms = ",
                    now!(),
                    ", error = 'the worker stopped during the call'
                     WHERE document = ?1 AND outcome = 'open'"
                );
                db.prepare_cached(orphans)?.execute([id.as_str()])?;
                changed(db, &id)?;
            }
            Ok(taken)
        };
        self.file.write(take).await
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
            " + ?3
             WHERE id = ?1 AND fence = ?2 AND state = 'processing'"
        );
        let (id, fence) = (claim.document.clone(), claim.fence);
        let beat = move |db: &Transaction<'_>| {
            db.prepare_cached(sql)?.execute(params![id.as_str(), fence, ms(lease)])
        };
        Ok(self.file.write(beat).await? == 1)
    }

    pub(in crate::store) async fn waiting(
        &self,
        claim: &Claim,
        why: Option<Waiting>,
    ) -> Result<(), StoreError> {
        let sql = format!("UPDATE documents SET waiting = :waiting WHERE {OURS}");
        let (id, fence) = (claim.document.clone(), claim.fence);
        let write = move |db: &Transaction<'_>| {
            let waiting = why.as_ref().map(to_json).transpose()?;
            let values = named_params! { ":id": id.as_str(), ":fence": fence, ":waiting": waiting };
            db.prepare_cached(&sql)?.execute(values).map(drop)
        };
        self.file.write(write).await
    }

    pub(in crate::store) async fn text_read(
        &self,
        claim: &Claim,
        engine: &str,
        pages: u32,
    ) -> Result<(), StoreError> {
        let sql =
            format!("UPDATE documents SET text_engine = :engine, pages = :pages WHERE {OURS}");
        let (id, fence, engine) = (claim.document.clone(), claim.fence, engine.to_owned());
        let write = move |db: &Transaction<'_>| {
            let values = named_params! {
                ":id": id.as_str(), ":fence": fence, ":engine": engine, ":pages": pages,
            };
            db.prepare_cached(&sql)?.execute(values).map(drop)
        };
        self.file.write(write).await
    }

    pub(in crate::store) async fn intent(
        &self,
        claim: &Claim,
        question: &str,
        label: &str,
        deployment: &str,
        calls_max: u32,
    ) -> Result<Intent, StoreError> {
        let claim = claim.clone();
        let (question, label) = (question.to_owned(), label.to_owned());
        let deployment = deployment.to_owned();
        let ask = move |db: &Transaction<'_>| {
            intent(db, &claim, &question, &label, &deployment, calls_max)
        };
        self.file.write(ask).await
    }

    pub(in crate::store) async fn call_ended(
        &self,
        call: i64,
        question: &str,
        end: CallEnd,
        took: Duration,
    ) -> Result<(), StoreError> {
        let question = question.to_owned();
        self.file.write(move |db| call_ended(db, call, &question, &end, took)).await
    }

    pub(in crate::store) async fn adopt_reply(&self, question: &str) -> Result<(), StoreError> {
        let question = question.to_owned();
        self.file.write(move |db| answered(db, &question)).await
    }

    pub(in crate::store) async fn forget_reply(&self, question: &str) -> Result<(), StoreError> {
        let sql = "UPDATE questions SET answered_ms = NULL, calls = 0, owner = NULL WHERE key = ?1
            AND answered_ms IS NOT NULL";
        let question = question.to_owned();
        let forget = move |db: &Transaction<'_>| db.prepare_cached(sql)?.execute([question]);
        self.file.write(forget).await.map(drop)
    }

    pub(in crate::store) async fn spent(&self, claim: &Claim) -> Result<Vec<Spent>, StoreError> {
        let sql = "SELECT deployment, count(*), coalesce(sum(tokens_input), 0),
              coalesce(sum(tokens_output), 0)
            FROM calls WHERE document = ?1 AND run = ?2 AND outcome <> 'unbilled'
            GROUP BY deployment ORDER BY deployment";
        let (id, run) = (claim.document.clone(), claim.run);
        let read = move |db: &rusqlite::Connection| {
            let mut statement = db.prepare_cached(sql)?;
            let spent = |row: &rusqlite::Row<'_>| {
                Ok(Spent {
                    deployment: row.get(0)?,
                    calls: row.get(1)?,
                    tokens_input: row.get(2)?,
                    tokens_output: row.get(3)?,
                })
            };
            let rows = statement.query_map(params![id.as_str(), run], spent)?;
            rows.collect()
        };
        self.file.read(read).await
    }

    pub(in crate::store) async fn finish(
        &self,
        claim: &Claim,
        state: DocumentState,
    ) -> Result<bool, StoreError> {
        let sql = concat!(
            "UPDATE documents SET state = ?3, finished_ms = ",
            now!(),
            ", updated_ms = ",
            now!(),
            ", lease_until_ms = NULL, waiting = NULL, failure = NULL
             WHERE id = ?1 AND run = ?2 AND state IN ('queued', 'processing')
               AND deleted_ms IS NULL"
        );
        let (id, run) = (claim.document.clone(), claim.run);
        let finish = move |db: &Transaction<'_>| {
            let values = params![id.as_str(), run, state.as_str()];
            let has_ended = db.prepare_cached(sql)?.execute(values)? == 1;
            if has_ended {
                changed(db, &id)?;
            }
            Ok(has_ended)
        };
        self.file.write(finish).await
    }

    pub(in crate::store) async fn fail(
        &self,
        claim: &Claim,
        failure: Failure,
    ) -> Result<bool, StoreError> {
        let sql = concat!(
            "UPDATE documents SET state = 'failed', failure = ?3, finished_ms = ",
            now!(),
            ", updated_ms = ",
            now!(),
            ", lease_until_ms = NULL, waiting = NULL
             WHERE id = ?1 AND fence = ?2 AND state = 'processing'"
        );
        let (id, fence) = (claim.document.clone(), claim.fence);
        let fail = move |db: &Transaction<'_>| {
            let values = params![id.as_str(), fence, to_json(&failure)?];
            let has_ended = db.prepare_cached(sql)?.execute(values)? == 1;
            if has_ended {
                changed(db, &id)?;
            }
            Ok(has_ended)
        };
        self.file.write(fail).await
    }

    pub(in crate::store) async fn release(
        &self,
        claim: &Claim,
        pause: Duration,
        why: Option<Waiting>,
        attempt_counts: bool,
    ) -> Result<bool, StoreError> {
        let sql = concat!(
            "UPDATE documents SET state = 'queued', lease_until_ms = NULL, worker = NULL,
               waiting = ?3, due_ms = ",
            now!(),
            " + ?4, rung_ms = ",
            now!(),
            " + ?4,
               updated_ms = ",
            now!(),
            ", attempts = attempts - ?5
             WHERE id = ?1 AND fence = ?2 AND state = 'processing'"
        );
        let (id, fence) = (claim.document.clone(), claim.fence);
        let release = move |db: &Transaction<'_>| {
            let waiting = why.as_ref().map(to_json).transpose()?;
            let refund = i64::from(!attempt_counts);
            let values = params![id.as_str(), fence, waiting, ms(pause), refund];
            let is_ours = db.prepare_cached(sql)?.execute(values)? == 1;
            if is_ours {
                ring(db, &id, ms(pause))?;
                changed(db, &id)?;
            }
            Ok(is_ours)
        };
        self.file.write(release).await
    }
}

fn intent(
    db: &Transaction<'_>,
    claim: &Claim,
    question: &str,
    label: &str,
    deployment: &str,
    calls_max: u32,
) -> rusqlite::Result<Intent> {
    let ours = format!("SELECT 1 FROM documents WHERE {OURS}");
    let values = named_params! { ":id": claim.document.as_str(), ":fence": claim.fence };
    if db.prepare_cached(&ours)?.query_row(values, |_| Ok(())).optional()?.is_none() {
        return Ok(Intent::Lost);
    }
    // The owner of a question is busy with it while its own claim is alive.
    let known = concat!(
        "SELECT answered_ms IS NOT NULL, calls, EXISTS (SELECT 1 FROM documents
           WHERE id = owner AND fence = owner_fence AND id <> ?2
             AND state = 'processing' AND lease_until_ms > ",
        now!(),
        ")
         FROM questions WHERE key = ?1"
    );
    let read = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?));
    let known: Option<(bool, u32, bool)> = db
        .prepare_cached(known)?
        .query_row(params![question, claim.document.as_str()], read)
        .optional()?;
    match known {
        Some((true, _, _)) => return Ok(Intent::Replay),
        Some((_, _, true)) => return Ok(Intent::Busy),
        Some((_, calls, _)) if calls >= calls_max => return Ok(Intent::Capped(calls)),
        _ => {}
    }
    let count = "INSERT INTO questions (key, calls, owner, owner_fence) VALUES (?1, 1, ?2, ?3)
        ON CONFLICT (key) DO UPDATE SET calls = calls + 1, owner = ?2, owner_fence = ?3";
    db.prepare_cached(count)?.execute(params![question, claim.document.as_str(), claim.fence])?;
    let call = concat!(
        "INSERT INTO calls (question, label, document, run, fence, deployment, started_ms)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ",
        now!(),
        ") RETURNING id"
    );
    let document = claim.document.as_str();
    let values = params![question, label, document, claim.run, claim.fence, deployment];
    db.prepare_cached(call)?.query_row(values, |row| row.get(0)).map(Intent::Call)
}

fn call_ended(
    db: &Transaction<'_>,
    call: i64,
    question: &str,
    end: &CallEnd,
    took: Duration,
) -> rusqlite::Result<()> {
    let (outcome, status, error, tokens) = match end {
        CallEnd::Answered { tokens_input, tokens_output } => {
            ("answered", Some(200), None, Some((*tokens_input, *tokens_output)))
        }
        CallEnd::Unbilled { status, error } => ("unbilled", *status, Some(error), None),
        CallEnd::Unknown { status, error } => ("unknown", *status, Some(error), None),
    };
    // An answer is the truth whatever was believed before; everything else closes once.
    let sql = concat!(
        "UPDATE calls SET outcome = ?2, status = ?3, error = ?4, tokens_input = ?5,
           tokens_output = ?6, duration_ms = ?7, ended_ms = ",
        now!(),
        "
         WHERE id = ?1 AND (outcome = 'open' OR (outcome = 'unknown' AND ?2 = 'answered'))"
    );
    let (input, output) = (tokens.map(|t| t.0), tokens.map(|t| t.1));
    let values = params![call, outcome, status, error, input, output, ms(took)];
    let closed = db.prepare_cached(sql)?.execute(values)? == 1;
    if matches!(end, CallEnd::Answered { .. }) {
        return answered(db, question);
    }
    if closed && matches!(end, CallEnd::Unbilled { .. }) {
        let back = "UPDATE questions SET calls = max(calls - 1, 0) WHERE key = ?1";
        db.prepare_cached(back)?.execute([question])?;
    }
    // Only the claim that asks may say that nobody asks: this call may be one that was given up
    // for dead, and another is under way.
    let free = "UPDATE questions SET owner = NULL WHERE key = ?1
        AND (owner, owner_fence) = (SELECT document, fence FROM calls WHERE id = ?2)";
    db.prepare_cached(free)?.execute(params![question, call]).map(drop)
}

fn answered(db: &Transaction<'_>, question: &str) -> rusqlite::Result<()> {
    let sql = concat!(
        "UPDATE questions SET answered_ms = ",
        now!(),
        ", owner = NULL
         WHERE key = ?1 AND answered_ms IS NULL"
    );
    db.prepare_cached(sql)?.execute([question]).map(drop)
}
