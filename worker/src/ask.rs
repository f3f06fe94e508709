//! One question, one paid answer: look for the saved reply, write the intent down, call, save the
//! reply before anything looks into it.
//!
//! It must know nothing of what a question is about, nor of how an answer is checked.

use crate::{
    chat::{CallError, Refusal, Reply, Request},
    pool::{AcquireError, DeploymentState, Need, Pool, Slot},
    worker::{Outage, Worker, outage},
};
use bytes::Bytes;
use sha2::{Digest, Sha256};
use shared::{
    blob::{BlobKey, Put},
    clock,
    document::{Failure, FailureCode, Priority, Stage, WaitReason, Waiting},
    fault,
    job::{Claim, Verdict},
    schema::hexadecimal,
    store::{CallEnd, Intent},
};
use std::time::Duration;
use tokio::time::Instant;

/// The longest that a document waits for quota in a worker's hands; one that has to wait longer
/// goes back to the queue.
const WAIT_MAX: Duration = Duration::from_secs(60);

/// How long to look away while another document asks the same question.
const BUSY_PAUSE: Duration = Duration::from_millis(500);

/// How long to wait after a call that may have been paid: what broke it may break the next.
const UNKNOWN_PAUSE: Duration = Duration::from_secs(1);

/// How often to look whether a wait has become pointless.
const OUTAGE_LOOK: Duration = Duration::from_millis(250);

/// How long to look away when no model can answer.
const OUTAGE_PAUSE: Duration = Duration::from_secs(5);

/// A wait that is worth telling about.
const WAIT_TOLD: Duration = Duration::from_secs(1);

/// A question and who asks it.
#[derive(Clone, Debug)]
pub(crate) struct Question {
    /// What is asked.
    pub(crate) request: Request,
    /// For people: which part, which round. Part of the key, so that a second round of the same
    /// words (with more room for the answer) is a question of its own.
    pub(crate) label: String,
    /// When an answer is of no use any more: its document will have gone back to the queue.
    pub(crate) deadline: Instant,
}

/// An answer and how it came.
#[derive(Debug)]
pub(crate) struct Asked {
    /// The reply, saved.
    pub(crate) reply: Reply,
    /// Whether it had been paid before.
    pub(crate) replayed: bool,
    /// How long the question waited for quota.
    pub(crate) waited: Duration,
}

/// Why there is no answer.
#[derive(Debug)]
pub(crate) struct Unanswered {
    /// What that means for the document.
    pub(crate) verdict: Verdict,
    /// Whether another model may do better, and why.
    pub(crate) elsewhere: Option<Elsewhere>,
}

/// Why another model may answer where this one cannot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Elsewhere {
    /// The question is too long for this one.
    Context,
    /// None of its deployments can be used.
    Outage,
}

impl From<Verdict> for Unanswered {
    fn from(verdict: Verdict) -> Self {
        Self { verdict, elsewhere: None }
    }
}

/// The key of a reply: who asks, about which bytes, and everything that decides the answer. Text
/// engine and prompt version are in the messages.
pub(crate) fn key(claim: &Claim, question: &Question) -> String {
    let mut hash = Sha256::new();
    for part in [claim.tenant.as_str(), &claim.sha256, &question.label] {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part.as_bytes());
    }
    hash.update(question.request.fingerprint());
    hexadecimal(&hash.finalize())
}

/// Brings the reply to a question that was paid before, where there is one.
///
/// # Errors
/// When a service does not answer.
pub(crate) async fn replay(
    worker: &Worker,
    claim: &Claim,
    question: &Question,
) -> Result<Option<Asked>, Verdict> {
    let key = key(claim, question);
    let Some(reply) = saved(worker, &key).await? else { return Ok(None) };
    // The reply may have been saved by somebody who died before saying so.
    worker.services.store.adopt_reply(&key).await.map_err(outage)?;
    metrics::counter!("sluice_replayed_calls_total").increment(1);
    Ok(Some(Asked { reply, replayed: true, waited: Duration::ZERO }))
}

/// Brings the reply to a question: the saved one where there is one, a paid one otherwise. While
/// none of the model's deployments can be used it waits no longer than `outage_max`.
///
/// # Errors
/// When there is no reply now, or never will be.
pub(crate) async fn ask(
    worker: &Worker,
    claim: &Claim,
    question: &Question,
    outage_max: Option<Duration>,
) -> Result<Asked, Unanswered> {
    let key = key(claim, question);
    let mut waited = Duration::ZERO;
    // Who had its turn and got no answer does not queue up again.
    let mut returned = false;
    loop {
        if let Some(asked) = replay(worker, claim, question).await? {
            return Ok(Asked { waited, ..asked });
        }
        let since = Instant::now();
        let slot = acquire(worker, claim, question, returned, outage_max).await?;
        waited += since.elapsed();
        let store = &worker.services.store;
        let calls_max = worker.settings.calls_max;
        let intent = store.intent(claim, &key, &question.label, slot.deployment(), calls_max);
        let intent = intent.await.map_err(outage)?;
        // Whoever asked before us may have saved the reply after we looked, and died before saying
        // so: then it is neither paid again nor given up.
        if let Intent::Call(_) | Intent::Capped(_) = intent {
            let found = saved(worker, &key).await;
            if !matches!(found, Ok(None)) {
                if let Intent::Call(call) = intent {
                    unsent(worker, &key, call).await?;
                }
                found?;
                continue;
            }
        }
        match intent {
            Intent::Call(call) => match pay(worker, &key, call, slot, question).await? {
                Some(reply) => return Ok(Asked { reply, replayed: false, waited }),
                None => returned = true,
            },
            // It was saved before the ledger said so: where it is not, it was removed since.
            Intent::Replay => {
                drop(slot);
                if saved(worker, &key).await?.is_none() {
                    worker.services.store.forget_reply(&key).await.map_err(outage)?;
                }
            }
            Intent::Busy => {
                drop(slot);
                pause(worker, BUSY_PAUSE).await?;
            }
            Intent::Capped(calls) => {
                let message = format!(
                    "the model was called {calls} times and no answer arrived; \
                     retry the document to allow more calls"
                );
                return Err(reject(FailureCode::CallsExhausted, message).into());
            }
            Intent::Lost => return Err(Verdict::Done.into()),
        }
    }
}

/// Closes a call that was never made.
async fn unsent(worker: &Worker, key: &str, call: i64) -> Result<(), Verdict> {
    let end = CallEnd::Unbilled { status: None, error: "nothing was sent".to_owned() };
    worker.services.store.call_ended(call, key, end, Duration::ZERO).await.map_err(outage)
}

/// Makes the call that the ledger expects. `None` asks to begin again.
async fn pay(
    worker: &Worker,
    key: &str,
    call: i64,
    slot: Slot,
    question: &Question,
) -> Result<Option<Reply>, Unanswered> {
    fault::point("intended");
    let started = Instant::now();
    let sent = slot.send(&question.request).await;
    let took = started.elapsed();
    let is_unknown = matches!(sent, Err(CallError::Unknown { .. }));
    let (end, result) = match sent {
        Ok(reply) => {
            fault::point("answered");
            let (tokens_input, tokens_output) = reply.tokens();
            let reply = save(worker, key, reply).await?;
            fault::point("reply-saved");
            (CallEnd::Answered { tokens_input, tokens_output }, Ok(Some(reply)))
        }
        Err(error) => {
            let (status, text) = (error.status(), error.to_string());
            let end = if error.is_unbilled() {
                CallEnd::Unbilled { status, error: text }
            } else {
                CallEnd::Unknown { status, error: text }
            };
            (end, verdict(error))
        }
    };
    worker.services.store.call_ended(call, key, end, took).await.map_err(outage)?;
    fault::point("call-ended");
    if is_unknown {
        pause(worker, UNKNOWN_PAUSE).await?;
    }
    result
}

/// What a failed call means for the document: `Ok(None)` to ask again, at once or when the pool
/// lets it.
fn verdict(error: CallError) -> Result<Option<Reply>, Unanswered> {
    let message = error.to_string();
    match error {
        CallError::Throttled { .. }
        | CallError::Unreachable { .. }
        | CallError::Unavailable { .. }
        | CallError::Denied { .. }
        | CallError::Refused { why: Refusal::Mode, .. }
        | CallError::Unknown { .. } => {
            tracing::info!(error = message, "the call is made again");
            Ok(None)
        }
        CallError::Refused { why: Refusal::ContextTooLong, .. } => {
            let verdict = reject(FailureCode::ContextTooLong, message);
            Err(Unanswered { verdict, elsewhere: Some(Elsewhere::Context) })
        }
        CallError::Refused { why: Refusal::ContentFiltered, .. } => {
            Err(reject(FailureCode::ContentFiltered, message).into())
        }
        CallError::Refused { why: Refusal::Schema, .. } => {
            Err(reject(FailureCode::SchemaRejected, message).into())
        }
        CallError::Refused { why: Refusal::Other, .. } => {
            Err(reject(FailureCode::DeploymentRejected, message).into())
        }
    }
}

/// Waits for room at a deployment.
async fn acquire(
    worker: &Worker,
    claim: &Claim,
    question: &Question,
    returned: bool,
    outage_max: Option<Duration>,
) -> Result<Slot, Unanswered> {
    let interactive = claim.priority == Priority::Interactive;
    let need = Need {
        returned,
        tenant: claim.tenant.as_str().into(),
        deadline: Some(question.deadline),
        ..Need::of(&question.request, interactive, WAIT_MAX)
    };
    let forecast = worker.pool.forecast(&need).map_err(|error| refused(&worker.pool, &error))?;
    let told = forecast.wait > WAIT_TOLD;
    if told {
        let why = waiting(&worker.pool, forecast.deployment, forecast.wait);
        worker.services.store.waiting(claim, Some(why)).await.map_err(outage)?;
    }
    let in_line = worker.waits.enter(&need.model);
    let slot = tokio::select! {
        biased;
        () = worker.draining.cancelled() => Err(handed_back().into()),
        slot = worker.pool.acquire(&need) => slot.map_err(|error| refused(&worker.pool, &error)),
        // Asked after the pool, so that a slot that is there now is taken to try a deployment.
        out = outage_lasts(worker, &need.model, outage_max) => Err(out),
    };
    drop(in_line);
    // Who goes back to the queue says himself what he waits for.
    let is_over = slot.as_ref().map_or_else(|none| none.elsewhere.is_some(), |_| true);
    if told && is_over {
        worker.services.store.waiting(claim, None).await.map_err(outage)?;
    }
    slot
}

/// Ends when none of the model's deployments could be used for so long.
async fn outage_lasts(worker: &Worker, model: &str, most: Option<Duration>) -> Unanswered {
    let Some(most) = most else { return std::future::pending().await };
    while worker.pool.outage(model).is_none_or(|outage| outage < most) {
        tokio::time::sleep(OUTAGE_LOOK).await;
    }
    let until = clock::now().checked_add(OUTAGE_PAUSE).ok();
    let why = Waiting { reason: WaitReason::Outage, deployment: None, until, position: None };
    let verdict = Verdict::Wait { pause: OUTAGE_PAUSE, why: Some(why) };
    Unanswered { verdict, elsewhere: Some(Elsewhere::Outage) }
}

fn refused(pool: &Pool, error: &AcquireError) -> Unanswered {
    let message = error.to_string();
    let elsewhere = match error {
        AcquireError::TooLong { .. } => Some(Elsewhere::Context),
        AcquireError::Denied { .. } => Some(Elsewhere::Outage),
        AcquireError::NoDeployment { .. }
        | AcquireError::Later { .. }
        | AcquireError::TooLate { .. } => None,
    };
    let verdict = match error {
        AcquireError::NoDeployment { .. } => reject(FailureCode::NoDeployment, message),
        AcquireError::TooLong { .. } => reject(FailureCode::ContextTooLong, message),
        AcquireError::Denied { .. } => reject(FailureCode::DeploymentRejected, message),
        AcquireError::Later { deployment, wait } | AcquireError::TooLate { deployment, wait } => {
            let why = waiting(pool, deployment.clone(), *wait);
            Verdict::Wait { pause: *wait, why: Some(why) }
        }
    };
    Unanswered { verdict, elsewhere }
}

/// The saved reply to a question.
async fn saved(worker: &Worker, key: &str) -> Result<Option<Reply>, Verdict> {
    let bytes = worker.services.blobs.get(&BlobKey::reply(key)).await.map_err(outage)?;
    let reply = bytes.map(|bytes| serde_json::from_slice(&bytes)).transpose();
    reply.map_err(|error| outage(Outage(format!("the saved reply {key} cannot be read: {error}"))))
}

/// Saves a reply, and gives the one that is saved: somebody may have been first.
async fn save(worker: &Worker, key: &str, reply: Reply) -> Result<Reply, Verdict> {
    let bytes = serde_json::to_vec(&reply).map_err(|error| outage(Outage(error.to_string())))?;
    let place = BlobKey::reply(key);
    // This answer was paid for: try hard before giving it up.
    let mut pauses = [1, 2, 4, 8, 15].into_iter().map(Duration::from_secs);
    loop {
        match worker.services.blobs.put_if_absent(&place, Bytes::from(bytes.clone())).await {
            Ok(Put::Stored) => return Ok(reply),
            Ok(Put::Exists) => return Ok(saved(worker, key).await?.unwrap_or(reply)),
            Err(error) => match pauses.next() {
                Some(pause) => tokio::time::sleep(pause).await,
                None => return Err(outage(error)),
            },
        }
    }
}

async fn pause(worker: &Worker, pause: Duration) -> Result<(), Verdict> {
    tokio::select! {
        () = worker.draining.cancelled() => Err(handed_back()),
        () = tokio::time::sleep(pause) => Ok(()),
    }
}

fn handed_back() -> Verdict {
    Verdict::Wait { pause: Duration::ZERO, why: None }
}

/// Why a call waits for this deployment, and until when. Its place in the line would be stale when
/// it is read.
fn waiting(pool: &Pool, deployment: String, wait: Duration) -> Waiting {
    let until = clock::now().checked_add(wait).ok();
    let rests = |state| matches!(state, DeploymentState::Cooling | DeploymentState::Denied);
    let found = pool.snapshot().into_iter().find(|status| status.name == deployment);
    let reason = match found.is_some_and(|status| rests(status.state)) {
        true => WaitReason::Outage,
        false => WaitReason::Quota,
    };
    Waiting { reason, deployment: Some(deployment), until, position: None }
}

fn reject(code: FailureCode, message: String) -> Verdict {
    Verdict::Reject(Failure::new(code, Stage::Model, message))
}
