//! One question, one paid answer: look for the saved reply, reserve a call, write the intent down
//! shortly before its time, then pay.
//!
//! It must know nothing of what a question is about, nor of how an answer is checked.

use crate::{
    pay::{Payment, pay, unsent},
    question::{Elsewhere, Question, Unanswered, handed_back, key, pause, reject, saved},
    worker::{Worker, outage},
};
use futures::FutureExt;
use pool::typed::chat::Reply;
use pool::{DeploymentState, Forecast, Need, Pool, Reservation, ReserveError};
use shared::{
    clock,
    document::{FailureCode, Priority, WaitReason, Waiting},
    job::{Claim, Verdict},
    store::Intent,
};
use std::{pin::pin, time::Duration};
use tokio::time::Instant;

/// The longest that a document waits for quota in a worker's hands; one that has to wait longer
/// goes back to the queue.
const WAIT_MAX: Duration = Duration::from_secs(60);

/// How long before its time a call is written into the ledger. Longer than a database write and a
/// look into storage usually take, and short: an intent whose worker dies counts as a call.
const LEAD: Duration = Duration::from_millis(200);

/// An intent that is older than this is given back unsent: the process slept, and the claim may be
/// lost. Far below the shortest lease.
const INTENT_AGE_MAX: Duration = Duration::from_secs(2);

/// How long to wait while another document asks the same question.
const BUSY_PAUSE: Duration = Duration::from_millis(500);

/// How often to look whether a wait has become pointless.
const OUTAGE_LOOK: Duration = Duration::from_millis(250);

/// How long a document rests when no model can answer.
const OUTAGE_PAUSE: Duration = Duration::from_secs(5);

/// A longer wait is shown to those who ask about the document.
const WAIT_SHOWN_MIN: Duration = Duration::from_secs(1);

/// Cutting the room takes off what a question has too much; where output counts less than input, more
/// than once.
const CUTS_MAX: u32 = 4;

/// An answer and how it came.
#[derive(Debug)]
pub(crate) struct Asked {
    /// The reply, saved.
    pub(crate) reply: Reply,
    /// Whether it had been paid before.
    pub(crate) replayed: bool,
    /// Whether it had been paid before this run of the document was asked for: if it is no answer,
    /// the question is open again.
    pub(crate) is_old: bool,
    /// How long the question waited for quota.
    pub(crate) waited: Duration,
}

/// Brings the reply to a question that was paid before, where there is one.
///
/// # Errors
/// When a service does not answer.
pub(crate) async fn replay(
    worker: &Worker,
    claim: &Claim,
    key: &str,
) -> Result<Option<Asked>, Verdict> {
    let Some(reply) = saved(worker, key).await? else { return Ok(None) };
    // The worker that saved the reply may have died before it said so.
    let answered_at = worker.services.store.ledger().adopt_reply(key).await.map_err(outage)?;
    let is_old = answered_at.is_none_or(|answered_at| answered_at < claim.queued_at);
    metrics::counter!("sluice_replayed_calls_total").increment(1);
    Ok(Some(Asked { reply, replayed: true, is_old, waited: Duration::ZERO }))
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
    let question = &fitting(&worker.pool, claim, question);
    let mut waited = Duration::ZERO;
    let interactive = claim.priority == Priority::Interactive;
    let mut need = Need {
        tenant: claim.tenant.as_str().into(),
        deadline: Some(question.deadline),
        ..Need::of(&question.request, interactive, WAIT_MAX)
    };
    loop {
        if let Some(asked) = replay(worker, claim, &key).await? {
            return Ok(Asked { waited, ..asked });
        }
        let since = Instant::now();
        let slot = acquire(worker, claim, &need, outage_max).await?;
        let intended = Instant::now();
        waited += intended - since;
        let Some(intent) = intend(worker, claim, question, &key, slot.deployment()).await? else {
            continue;
        };
        match intent {
            Intent::Call(call) if !may_send(worker, &slot, intended).await => {
                drop(slot);
                unsent(worker, &key, call).await?;
                need.returned = true;
            }
            Intent::Call(call) => {
                let payment = Payment { worker, claim, key: &key, question, need: &need };
                match pay(&payment, call, slot).await? {
                    Some(reply) => {
                        return Ok(Asked { reply, replayed: false, is_old: false, waited });
                    }
                    // A call that had its turn and got no answer goes before its equals.
                    None => need.returned = true,
                }
            }
            // It was saved before the ledger said so: where it is not, it was removed since.
            Intent::Replay => {
                drop(slot);
                if saved(worker, &key).await?.is_none() {
                    worker.services.store.ledger().forget_reply(&key).await.map_err(outage)?;
                }
            }
            Intent::Busy => {
                drop(slot);
                pause(worker, BUSY_PAUSE).await?;
            }
            Intent::Later(pause) => {
                let why = waiting(WaitReason::Outage, Some(slot.deployment().to_owned()), pause);
                return Err(Verdict::Wait { pause, why: Some(why) }.into());
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

/// The question with no more room for its answer than the quota of a whole minute leaves, and with the
/// least that is of use where it leaves less.
fn fitting(pool: &Pool, claim: &Claim, question: &Question) -> Question {
    let mut cut = question.clone();
    for _ in 0..CUTS_MAX {
        let interactive = claim.priority == Priority::Interactive;
        let need = Need::of(&cut.request, interactive, WAIT_MAX);
        let Err(ReserveError::TooLong { tokens, tokens_max }) = pool.forecast(&need) else {
            return cut;
        };
        let excess = u32::try_from(tokens.saturating_sub(tokens_max)).unwrap_or(u32::MAX);
        let room = cut.request.tokens_output_max.saturating_sub(excess.max(1));
        cut.request.tokens_output_max = room.max(question.room_min);
    }
    cut
}

/// Writes a call into the ledger before it is sent. None where the reply has turned up since we looked:
/// the document that asked before may have saved it, and its worker may have died before it said so.
/// Then the question is neither paid again nor given up.
async fn intend(
    worker: &Worker,
    claim: &Claim,
    question: &Question,
    key: &str,
    deployment: &str,
) -> Result<Option<Intent>, Verdict> {
    let ledger = worker.services.store.ledger();
    let limits = &worker.settings.call_limits;
    let intent = ledger.intent(claim, key, &question.label, deployment, limits).await;
    let intent = intent.map_err(outage)?;
    if let Intent::Call(_) | Intent::Capped(_) = intent {
        let found = saved(worker, key).await;
        if !matches!(found, Ok(None)) {
            if let Intent::Call(call) = intent {
                unsent(worker, key, call).await?;
            }
            found?;
            return Ok(None);
        }
    }
    Ok(Some(intent))
}

/// Waits for the time of a call that is in the ledger. False when it must be given back unsent: the
/// worker stops, the deployment has closed, or the intent is too old.
async fn may_send(worker: &Worker, slot: &Reservation, intended: Instant) -> bool {
    let is_ready = tokio::select! {
        biased;
        () = worker.draining.cancelled() => false,
        is_ready = slot.ready() => is_ready,
    };
    is_ready && intended.elapsed() < INTENT_AGE_MAX
}

/// Waits for room at a deployment, until shortly before its time. Forecasts once, and only where
/// there is a wait.
async fn acquire(
    worker: &Worker,
    claim: &Claim,
    need: &Need,
    outage_max: Option<Duration>,
) -> Result<Reservation, Unanswered> {
    if worker.draining.is_cancelled() {
        return Err(handed_back().into());
    }
    let refused = |error| refused(&worker.pool, &need.model, &error);
    let mut slot = pin!(worker.pool.reserve_ahead(need, LEAD));
    if let Some(slot) = slot.as_mut().now_or_never() {
        return slot.map_err(refused);
    }
    let Forecast { deployment, wait } = worker.pool.forecast(need).map_err(refused)?;
    if wait > need.wait_max {
        return Err(refused(ReserveError::Later { deployment, wait }));
    }
    let is_shown = wait > WAIT_SHOWN_MIN;
    if is_shown {
        let why = waiting_for(&worker.pool, &need.model, deployment, wait);
        worker.services.store.work().set_waiting(claim, Some(why)).await.map_err(outage)?;
    }
    let counted = worker.waits.enter(&need.model);
    let slot = tokio::select! {
        biased;
        () = worker.draining.cancelled() => Err(handed_back().into()),
        slot = slot => slot.map_err(refused),
        // Asked after the pool, so that a slot that is there now is taken to try a deployment.
        out = outage_lasts(worker, &need.model, outage_max) => Err(out),
    };
    drop(counted);
    // A document that goes back to the queue says itself what it waits for.
    let is_over = slot.as_ref().map_or_else(|none| none.elsewhere.is_some(), |_| true);
    if is_shown && is_over {
        worker.services.store.work().set_waiting(claim, None).await.map_err(outage)?;
    }
    slot
}

/// Ends when none of the model's deployments could be used for so long, at the latest when an outage
/// lasts longer than a document waits for its end.
async fn outage_lasts(worker: &Worker, model: &str, most: Option<Duration>) -> Unanswered {
    let end = worker.settings.outage_max;
    let most = most.map_or(end, |most| most.min(end));
    let outage = loop {
        match worker.pool.outage(model).filter(|outage| *outage >= most) {
            Some(outage) => break outage,
            None => tokio::time::sleep(OUTAGE_LOOK).await,
        }
    };
    let message = worker.pool.trouble(model);
    let verdict = if outage < end {
        let why = Waiting { message, ..waiting(WaitReason::Outage, None, OUTAGE_PAUSE) };
        Verdict::Wait { pause: OUTAGE_PAUSE, why: Some(why) }
    } else {
        let message = format!(
            "no deployment of {model:?} could be used for {} s (worker.outage_seconds_max): {}; \
             retry the document when one works",
            outage.as_secs(),
            message.unwrap_or_default(),
        );
        reject(FailureCode::DeploymentRejected, message)
    };
    Unanswered { verdict, elsewhere: Some(Elsewhere::Outage) }
}

fn refused(pool: &Pool, model: &str, error: &ReserveError) -> Unanswered {
    let message = error.to_string();
    let elsewhere = match error {
        ReserveError::TooLong { .. } => Some(Elsewhere::Context),
        ReserveError::NoVision { .. } => Some(Elsewhere::Vision),
        ReserveError::NoDeployment { .. }
        | ReserveError::Later { .. }
        | ReserveError::TooLate { .. } => None,
    };
    let verdict = match error {
        ReserveError::NoDeployment { .. } | ReserveError::NoVision { .. } => {
            reject(FailureCode::NoDeployment, message)
        }
        ReserveError::TooLong { .. } => {
            let message = format!(
                "{message} in a minute: raise the quota (tokens_per_minute) of a deployment, or ask \
                 another model"
            );
            reject(FailureCode::LargerThanQuota, message)
        }
        ReserveError::Later { deployment, wait } | ReserveError::TooLate { deployment, wait } => {
            let why = waiting_for(pool, model, deployment.clone(), *wait);
            Verdict::Wait { pause: *wait, why: Some(why) }
        }
    };
    Unanswered { verdict, elsewhere }
}

/// Why a call waits for this deployment, and until when. Its position in the queue is counted when a
/// client asks for the document.
fn waiting_for(pool: &Pool, model: &str, deployment: String, wait: Duration) -> Waiting {
    let rests = |state| matches!(state, DeploymentState::Cooling | DeploymentState::Denied);
    let found = pool.snapshot().into_iter().find(|status| status.name == deployment);
    let (reason, message) = match found.filter(|status| rests(status.state)) {
        Some(status) => (WaitReason::Outage, status.message.or_else(|| pool.trouble(model))),
        None => (WaitReason::Quota, None),
    };
    Waiting { message, ..waiting(reason, Some(deployment), wait) }
}

fn waiting(reason: WaitReason, deployment: Option<String>, wait: Duration) -> Waiting {
    Waiting {
        reason,
        deployment,
        message: None,
        until: clock::now().checked_add(wait).ok(),
        position: None,
    }
}
