//! One question, one paid answer: look for the saved reply, write the intent down, call, save the
//! reply before anything looks into it.
//!
//! It must know nothing of what a question is about, nor of how an answer is checked.

use crate::{
    chat::{CallError, Refusal, Reply, Request},
    pool::{AcquireError, Need, Slot},
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

/// Brings the reply to a question: the saved one where there is one, a paid one otherwise.
///
/// # Errors
/// The verdict on the document when there is no reply now, or never will be.
pub(crate) async fn ask(
    worker: &Worker,
    claim: &Claim,
    question: &Question,
) -> Result<Asked, Verdict> {
    let key = key(claim, question);
    let mut waited = Duration::ZERO;
    loop {
        if let Some(reply) = saved(worker, &key).await? {
            // The reply may have been saved by somebody who died before saying so.
            worker.services.store.adopt_reply(&key).await.map_err(outage)?;
            metrics::counter!("sluice_replayed_calls_total").increment(1);
            return Ok(Asked { reply, replayed: true, waited });
        }
        let since = Instant::now();
        let slot = acquire(worker, claim, question).await?;
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
                None => continue,
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
                return Err(reject(FailureCode::CallsExhausted, message));
            }
            Intent::Lost => return Err(Verdict::Done),
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
) -> Result<Option<Reply>, Verdict> {
    fault::point("intended");
    let started = Instant::now();
    let sent = slot.send(&question.request).await;
    let took = started.elapsed();
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
    result
}

/// What a failed call means for the document: `Ok(None)` to ask again, at once or when the pool
/// lets it.
fn verdict(error: CallError) -> Result<Option<Reply>, Verdict> {
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
            Err(reject(FailureCode::ContextTooLong, message))
        }
        CallError::Refused { why: Refusal::ContentFiltered, .. } => {
            Err(reject(FailureCode::ContentFiltered, message))
        }
        CallError::Refused { why: Refusal::Schema, .. } => {
            Err(reject(FailureCode::SchemaRejected, message))
        }
        CallError::Refused { why: Refusal::Other, .. } => {
            Err(reject(FailureCode::DeploymentRejected, message))
        }
    }
}

/// Waits for room at a deployment.
async fn acquire(worker: &Worker, claim: &Claim, question: &Question) -> Result<Slot, Verdict> {
    let interactive = claim.priority == Priority::Interactive;
    let need = Need::of(&question.request, interactive, WAIT_MAX);
    let forecast = worker.pool.forecast(&need).map_err(|error| refused(&error))?;
    let told = forecast.wait > WAIT_TOLD;
    if told {
        let why = waiting(WaitReason::Quota, Some(forecast.deployment), forecast.wait);
        worker.services.store.waiting(claim, Some(why)).await.map_err(outage)?;
    }
    let slot = tokio::select! {
        biased;
        () = worker.draining.cancelled() => Err(handed_back()),
        slot = worker.pool.acquire(&need) => slot.map_err(|error| refused(&error)),
    }?;
    if told {
        worker.services.store.waiting(claim, None).await.map_err(outage)?;
    }
    Ok(slot)
}

fn refused(error: &AcquireError) -> Verdict {
    let message = error.to_string();
    match error {
        AcquireError::NoDeployment { .. } => reject(FailureCode::NoDeployment, message),
        AcquireError::TooLong { .. } => reject(FailureCode::ContextTooLong, message),
        AcquireError::Denied { .. } => reject(FailureCode::DeploymentRejected, message),
        AcquireError::Later { deployment, wait } => {
            let why = waiting(WaitReason::Quota, Some(deployment.clone()), *wait);
            Verdict::Wait { pause: *wait, why: Some(why) }
        }
    }
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

fn waiting(reason: WaitReason, deployment: Option<String>, wait: Duration) -> Waiting {
    let until = clock::now().checked_add(wait).ok();
    Waiting { reason, deployment, until, position: None }
}

fn reject(code: FailureCode, message: String) -> Verdict {
    Verdict::Reject(Failure::new(code, Stage::Model, message))
}
