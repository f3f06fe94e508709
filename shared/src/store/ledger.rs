//! The ledger of calls: each call of a model is written down before it is made, so that no
//! question is paid for more often than allowed.

use super::{
    DbError, Result, Store,
    db::{Access, Db},
    sql::Sql,
    value::{Row, values},
    work::claim_is_live,
};
use crate::{
    document::{Attempt, DocumentId},
    job::Claim,
};
use jiff::Timestamp;
use std::time::Duration;

/// The answer to an intent: may the model be called for this question now?
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Intent {
    /// Yes: this call is in the ledger.
    Call(i64),
    /// No: the reply exists. Read it from storage.
    Replay,
    /// No: another document asks the same question now. Look again later.
    Busy,
    /// No: a call of this question may have been paid for nothing. Ask again after this.
    Later(Duration),
    /// No: the model may have been paid so often already.
    Capped(u32),
    /// No: the claim is lost.
    Lost,
}

/// How often, and how soon again, one question may be paid for without a reply.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CallLimits {
    /// Payments at most.
    pub calls_max: u32,
    /// How long the question rests after each call whose outcome is unknown. After more calls than
    /// there are pauses, the last counts; without any there is no rest.
    pub pauses: Vec<Duration>,
}

impl CallLimits {
    /// How long a question rests after so many calls.
    fn pause(&self, calls: u32) -> Duration {
        let index = usize::try_from(calls).unwrap_or(usize::MAX).checked_sub(1);
        let pause = index.map(|index| self.pauses.get(index).or(self.pauses.last()));
        pause.flatten().copied().unwrap_or_default()
    }
}

/// How a call ended, for the ledger.
#[derive(Clone, Debug)]
pub enum CallEnd {
    /// The reply is in storage.
    Answered {
        /// Tokens of the question.
        tokens_input: u64,
        /// Those of them that the provider's cache had.
        tokens_cached: u64,
        /// Tokens of the answer.
        tokens_output: u64,
        /// Why the reply answers nothing, where it does not.
        error: Option<String>,
    },
    /// Certainly nothing was paid: the count is given back, once.
    Unbilled {
        /// The HTTP status, when there was one.
        status: Option<u16>,
        /// What happened.
        error: String,
    },
    /// It may have been paid: it stays counted.
    Unknown {
        /// The HTTP status, when there was one.
        status: Option<u16>,
        /// What happened.
        error: String,
    },
}

/// What one run of a document spent at one deployment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Spent {
    /// The deployment.
    pub deployment: String,
    /// Calls that may have been paid.
    pub calls: u32,
    /// Tokens of the questions.
    pub tokens_input: u64,
    /// Those of them that the provider's cache had.
    pub tokens_cached: u64,
    /// Tokens of the answers.
    pub tokens_output: u64,
}

/// The arguments of [`Ledger::intent`].
#[derive(Clone)]
struct IntentRequest {
    claim: Claim,
    question: String,
    label: String,
    deployment: String,
    limits: CallLimits,
}

/// The calls of models.
#[derive(Clone, Copy, Debug)]
pub struct Ledger<'a>(pub(super) &'a Store);

impl Ledger<'_> {
    /// Asks whether a model may be called for `question` now, and if so writes the call down.
    /// `label` names the question for people.
    ///
    /// # Errors
    /// When the database does not answer; no call may be made then.
    pub async fn intent(
        self,
        claim: &Claim,
        question: &str,
        label: &str,
        deployment: &str,
        limits: &CallLimits,
    ) -> Result<Intent> {
        let request = IntentRequest {
            claim: claim.clone(),
            question: question.to_owned(),
            label: label.to_owned(),
            deployment: deployment.to_owned(),
            limits: limits.clone(),
        };
        self.0.run(Access::Transaction, request, |db, request| Box::pin(intent(db, request))).await
    }

    /// Closes a call. The first end counts, a later one changes nothing.
    ///
    /// # Errors
    /// When the database does not answer; the call stays counted.
    pub async fn call_ended(
        self,
        call: i64,
        question: &str,
        end: CallEnd,
        took: Duration,
    ) -> Result<()> {
        let arguments = (call, question.to_owned(), end, took);
        let ended =
            self.0.run(Access::Transaction, arguments, |db, (call, question, end, took)| {
                Box::pin(call_ended(db, *call, question, end, *took))
            });
        ended.await
    }

    /// Notes that storage holds a reply to a question, where the ledger does not know it as
    /// answered, and gives the time of the reply. A reply whose worker died before it said so
    /// counts as of the last call: it cannot be older. `None` where the ledger does not know the
    /// question, as after the loss of a database.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn adopt_reply(self, question: &str) -> Result<Option<Timestamp>> {
        let adopted = self.0.run(Access::Transaction, question.to_owned(), |db, question| {
            Box::pin(adopt_reply(db, question))
        });
        adopted.await
    }

    /// Notes that the reply to this question is not in storage any more: it went with the last
    /// document that asked. The question may be paid for again.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn forget_reply(self, question: &str) -> Result<()> {
        static FORGET: Sql = Sql::new(
            "UPDATE questions SET answered_ms = NULL, calls = 0, owner = NULL WHERE key = $1
             AND answered_ms IS NOT NULL",
        );
        self.0.execute(&FORGET, values![question]).await.map(drop)
    }

    /// What this run spent so far, by deployment.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn spent(self, claim: &Claim) -> Result<Vec<Spent>> {
        static SPENT: Sql = Sql::new(
            "SELECT deployment, count(*), CAST(coalesce(sum(tokens_input), 0) AS BIGINT),
               CAST(coalesce(sum(tokens_output), 0) AS BIGINT),
               CAST(coalesce(sum(tokens_cached), 0) AS BIGINT)
             FROM calls WHERE document = $1 AND run = $2 AND outcome <> 'unbilled'
             GROUP BY deployment",
        );
        let spent = |row: &Row| {
            Ok(Spent {
                deployment: row.text(0)?.to_owned(),
                calls: row.number(1)?,
                tokens_input: row.number(2)?,
                tokens_output: row.number(3)?,
                tokens_cached: row.number(4)?,
            })
        };
        let mut spent = self.0.query(&SPENT, values![&claim.document, claim.run], spent).await?;
        spent.sort_by(|one, other| one.deployment.cmp(&other.deployment));
        Ok(spent)
    }

    /// The calls that were made for a document, oldest first.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn attempts(self, id: &DocumentId) -> Result<Vec<Attempt>> {
        static ATTEMPTS: Sql = Sql::new(
            "SELECT label, deployment, outcome, status, error, tokens_input, tokens_output,
               started_ms, ended_ms, duration_ms, tokens_cached FROM calls WHERE document = $1 ORDER BY id",
        );
        self.0.query(&ATTEMPTS, values![id], attempt).await
    }

    /// The keys of the questions that were asked for a document.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn questions(self, id: &DocumentId) -> Result<Vec<String>> {
        static QUESTIONS: Sql =
            Sql::new("SELECT DISTINCT question FROM calls WHERE document = $1 ORDER BY question");
        self.0.query(&QUESTIONS, values![id], |row| Ok(row.text(0)?.to_owned())).await
    }
}

async fn adopt_reply(db: &Db<'_>, question: &str) -> Result<Option<Timestamp>, DbError> {
    static ADOPT: Sql = Sql::new(
        "UPDATE questions SET owner = NULL, answered_ms = coalesce(
           (SELECT max(started_ms) FROM calls WHERE question = $1 AND outcome <> 'unbilled'), {now})
         WHERE key = $1 AND answered_ms IS NULL",
    );
    static WHEN: Sql = Sql::new("SELECT answered_ms FROM questions WHERE key = $1");
    db.execute(&ADOPT, values![question]).await?;
    let row = db.first(&WHEN, values![question]).await?;
    row.map(|row| row.time(0)).transpose()
}

/// Storage holds a reply to the question `$1`, which arrived now.
static ANSWERED: Sql = Sql::new(
    "UPDATE questions SET answered_ms = {now}, owner = NULL
     WHERE key = $1 AND answered_ms IS NULL",
);

fn attempt(row: &Row) -> Result<Attempt, DbError> {
    Ok(Attempt {
        question: row.text(0)?.to_owned(),
        deployment: row.text(1)?.to_owned(),
        outcome: row.text(2)?.to_owned(),
        status: row.number_or_null(3)?,
        error: row.text_or_null(4)?.map(str::to_owned),
        tokens_input: row.number_or_null(5)?,
        tokens_output: row.number_or_null(6)?,
        started_at: row.time(7)?,
        ended_at: row.time_or_null(8)?,
        duration_ms: row.number_or_null(9)?,
        tokens_cached: row.number_or_null(10)?,
    })
}

/// Another document with the same question waits for this transaction: first at its document, so
/// that no worker takes that over, then at the question, so that two documents cannot both pay.
async fn intent(db: &Db<'_>, request: &IntentRequest) -> Result<Intent, DbError> {
    static LIVE: Sql =
        Sql::new(concat!("SELECT id FROM documents WHERE ", claim_is_live!(), " {lock}"));
    // Changing nothing locks the row and returns it, whether it is new or old.
    static QUESTION: Sql = Sql::new(
        "INSERT INTO questions (key) VALUES ($1)
         ON CONFLICT (key) DO UPDATE SET key = excluded.key
         RETURNING calls, answered_ms IS NOT NULL",
    );
    // The owner of a question is busy with it while its own claim is live. A statement of its own:
    // it must see what was written while the one above waited.
    static OWNER: Sql = Sql::new(
        "SELECT id FROM questions JOIN documents ON id = owner AND fence = owner_fence
         WHERE key = $1 AND id <> $2 AND state = 'processing' AND lease_until_ms > {now}",
    );
    static COUNT: Sql = Sql::new(
        "UPDATE questions SET calls = calls + 1, owner = $2, owner_fence = $3 WHERE key = $1",
    );
    static CALL: Sql = Sql::new(
        "INSERT INTO calls (question, label, document, run, fence, deployment, started_ms)
         VALUES ($1, $2, $3, $4, $5, $6, {now}) RETURNING id",
    );
    let IntentRequest { claim, question, label, deployment, limits } = request;
    let (id, fence) = (&claim.document, claim.fence);
    if db.first(&LIVE, values![id, fence]).await?.is_none() {
        return Ok(Intent::Lost);
    }
    let known = db.one(&QUESTION, values![question]).await?;
    let (calls, is_answered): (u32, bool) = (known.number(0)?, known.flag(1)?);
    if is_answered {
        return Ok(Intent::Replay);
    }
    if db.first(&OWNER, values![question, id]).await?.is_some() {
        return Ok(Intent::Busy);
    }
    let calls = match calls >= limits.calls_max && allow_anew(db, question, id).await? {
        true => 0,
        false => calls,
    };
    if calls >= limits.calls_max {
        return Ok(Intent::Capped(calls));
    }
    if let Some(rest) = rest(db, question, limits.pause(calls)).await? {
        return Ok(Intent::Later(rest));
    }
    db.execute(&COUNT, values![question, id, fence]).await?;
    let values = values![question, label, id, claim.run, fence, deployment];
    Ok(Intent::Call(db.one(&CALL, values).await?.number(0)?))
}

/// Who uploads a document, or asks for another run, after the last call for its question allows as many
/// calls anew. True where that is so.
async fn allow_anew(db: &Db<'_>, question: &str, id: &DocumentId) -> Result<bool, DbError> {
    static CALLED: Sql = Sql::new(
        "SELECT calls.id FROM calls JOIN documents ON documents.id = $2
         WHERE question = $1 AND outcome <> 'unbilled' AND started_ms >= queued_ms LIMIT 1",
    );
    // As where a run is asked for: what ends unpaid later must not give back a count that is gone.
    static CLOSE: Sql = Sql::new(
        "UPDATE calls SET outcome = 'unknown', ended_ms = {now},
           error = 'another upload allowed calls anew during the call'
         WHERE question = $1 AND outcome = 'open'",
    );
    static RESET: Sql = Sql::new("UPDATE questions SET calls = 0 WHERE key = $1");
    if db.first(&CALLED, values![question, id]).await?.is_some() {
        return Ok(false);
    }
    db.execute(&CLOSE, values![question]).await?;
    db.execute(&RESET, values![question]).await?;
    Ok(true)
}

/// How long a question still rests, where it does.
async fn rest(db: &Db<'_>, question: &str, pause: Duration) -> Result<Option<Duration>, DbError> {
    static REST: Sql = Sql::new(
        "SELECT max(ended_ms) + $2 - {now} FROM calls WHERE question = $1 AND outcome = 'unknown'",
    );
    if pause.is_zero() {
        return Ok(None);
    }
    let left: Option<i64> = db.one(&REST, values![question, pause]).await?.number_or_null(0)?;
    let left = left.and_then(|left| u64::try_from(left).ok()).filter(|left| *left > 0);
    Ok(left.map(Duration::from_millis))
}

async fn call_ended(
    db: &Db<'_>,
    call: i64,
    question: &str,
    end: &CallEnd,
    took: Duration,
) -> Result<(), DbError> {
    // An answer is certain whatever was noted before; everything else closes once.
    static CLOSE: Sql = Sql::new(
        "UPDATE calls SET outcome = $2, status = $3, error = $4, tokens_input = $5,
           tokens_output = $6, duration_ms = $7, tokens_cached = $8, ended_ms = {now}
         WHERE id = $1 AND (outcome = 'open' OR (outcome = 'unknown' AND $2 = 'answered'))",
    );
    static GIVE_BACK: Sql = Sql::new(
        "UPDATE questions SET calls = CASE WHEN calls > 0 THEN calls - 1 ELSE 0 END
         WHERE key = $1",
    );
    // Only the claim that owns the question may free it: this call may belong to a claim that was
    // lost while another call is open.
    static FREE: Sql = Sql::new(
        "UPDATE questions SET owner = NULL WHERE key = $1
         AND (owner, owner_fence) = (SELECT document, fence FROM calls WHERE id = $2)",
    );
    let (outcome, status, error, tokens) = match end {
        CallEnd::Answered { tokens_input, tokens_cached, tokens_output, error } => {
            let tokens = (*tokens_input, *tokens_output, *tokens_cached);
            ("answered", Some(200), error.as_ref(), Some(tokens))
        }
        CallEnd::Unbilled { status, error } => ("unbilled", *status, Some(error), None),
        CallEnd::Unknown { status, error } => ("unknown", *status, Some(error), None),
    };
    let (input, output) = (tokens.map(|t| t.0), tokens.map(|t| t.1));
    let (status, cached) = (status.map(u32::from), tokens.map(|t| t.2));
    let values = values![call, outcome, status, error, input, output, took, cached];
    let is_closed = db.execute(&CLOSE, values).await? == 1;
    if matches!(end, CallEnd::Answered { .. }) {
        return db.execute(&ANSWERED, values![question]).await.map(drop);
    }
    if is_closed && matches!(end, CallEnd::Unbilled { .. }) {
        db.execute(&GIVE_BACK, values![question]).await?;
    }
    db.execute(&FREE, values![question, call]).await.map(drop)
}
