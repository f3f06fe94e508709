//! The payment for one question: make the call that the ledger expects, save the reply before
//! anything looks into it, and write down how the call ended.
//!
//! An interactive call that takes longer than nearly all others may be made a second time at another
//! deployment, as an intent of its own: the first answer is used, and both calls are counted. It must know nothing of what a question is about, nor of when that is worth it.

use crate::{
    question::{Elsewhere, Question, Unanswered, reject, save},
    worker::{Worker, outage},
};
use futures::future::{Either, select};
use pool::typed::chat::{CallError, Refusal, Reply};
use pool::{Need, Reservation, Usage};
use shared::{
    document::FailureCode,
    fault,
    job::{Claim, Verdict},
    store::{CallEnd, Intent},
};
use std::{pin::pin, sync::OnceLock, time::Duration};
use tokio::time::Instant;

/// One question that is paid for.
pub(crate) struct Payment<'a> {
    pub(crate) worker: &'a Worker,
    pub(crate) claim: &'a Claim,
    /// The key of the reply.
    pub(crate) key: &'a str,
    pub(crate) question: &'a Question,
    pub(crate) need: &'a Need,
}

/// A call in the ledger, and how it ended.
struct Ended {
    call: i64,
    took: Duration,
    result: Result<Reply, CallError>,
}

/// A call that was made beside the one that counts.
enum Other {
    Failed {
        call: i64,
        took: Duration,
        error: CallError,
    },
    /// Another was answered first.
    GivenUp {
        call: i64,
        took: Duration,
        is_sent: bool,
    },
}

/// Makes the call that the ledger expects. `None` asks to begin again.
///
/// # Errors
/// When there is no reply now, or never will be.
pub(crate) async fn pay(
    payment: &Payment<'_>,
    call: i64,
    slot: Reservation,
) -> Result<Option<Reply>, Unanswered> {
    fault::point("intended");
    let (ended, other) = race(payment, call, slot).await;
    // An answer is written down first: from then on nobody asks again.
    let result = close(payment, ended).await;
    match other {
        // What it says of the question counts only where the last call brought no answer either:
        // then that one says it again.
        Some(Other::Failed { call, took, error }) => failed(payment, call, took, &error).await?,
        Some(Other::GivenUp { call, is_sent: false, .. }) => {
            unsent(payment.worker, payment.key, call).await?;
        }
        Some(Other::GivenUp { call, took, .. }) => {
            let error = "given up: another call was answered first".to_owned();
            call_ended(payment, call, CallEnd::Unknown { status: None, error }, took).await?;
        }
        None => {}
    }
    fault::point("call-ended");
    result
}

/// Makes the call, and a second one where that is worth it. The first answer counts; where there is
/// none, the last failure.
async fn race(payment: &Payment<'_>, call: i64, slot: Reservation) -> (Ended, Option<Other>) {
    let (sent_to, sent) = (slot.deployment().to_owned(), Instant::now());
    let mut first = pin!(send(payment, call, slot));
    let slot = tokio::select! {
        biased;
        ended = &mut first => return (ended, None),
        slot = payment.worker.pool.second(payment.need, &sent_to, sent) => slot,
    };
    // Nothing else goes on meanwhile: what is written into the ledger must be known here.
    let Some(again) = intend(payment, slot.deployment()).await else {
        drop(slot);
        return (first.await, None);
    };
    metrics::counter!("sluice_hedged_calls_total").increment(1);
    let sent_again = OnceLock::new();
    let second = pin!(async {
        let _ = sent_again.set(Instant::now());
        send(payment, again, slot).await
    });
    let given_up = |call, sent: Option<Instant>| {
        let took = sent.map(|sent| sent.elapsed()).unwrap_or_default();
        Other::GivenUp { call, took, is_sent: sent.is_some() }
    };
    let (ended, other) = match select(first, second).await {
        Either::Left((Ended { call, took, result: Err(error) }, second))
            if sent_again.get().is_some() =>
        {
            (second.await, Other::Failed { call, took, error })
        }
        Either::Right((Ended { call, took, result: Err(error) }, first)) => {
            (first.await, Other::Failed { call, took, error })
        }
        Either::Left((ended, _)) => (ended, given_up(again, sent_again.get().copied())),
        Either::Right((ended, _)) => (ended, given_up(call, Some(sent))),
    };
    (ended, Some(other))
}

/// Makes one call.
async fn send(payment: &Payment<'_>, call: i64, slot: Reservation) -> Ended {
    let started = Instant::now();
    let result = slot.send(&payment.question.request).await;
    Ended { call, took: started.elapsed(), result }
}

/// Writes a second call down; none where the ledger wants none.
async fn intend(payment: &Payment<'_>, deployment: &str) -> Option<i64> {
    let Payment { worker, claim, key, question, .. } = payment;
    let (ledger, limits) = (worker.services.store.ledger(), &worker.settings.call_limits);
    match ledger.intent(claim, key, &question.label, deployment, limits).await {
        Ok(Intent::Call(call)) => Some(call),
        Ok(_) => None,
        Err(error) => {
            tracing::debug!(%error, "no second call is made");
            None
        }
    }
}

/// Closes a call that was never made.
///
/// # Errors
/// When the database does not answer.
pub(crate) async fn unsent(worker: &Worker, key: &str, call: i64) -> Result<(), Verdict> {
    let end = CallEnd::Unbilled { status: None, error: "nothing was sent".to_owned() };
    worker.services.store.ledger().call_ended(call, key, end, Duration::ZERO).await.map_err(outage)
}

/// Saves the reply and writes down how the call ended. `None` asks to begin again.
async fn close(payment: &Payment<'_>, ended: Ended) -> Result<Option<Reply>, Unanswered> {
    let Payment { worker, key, .. } = payment;
    let Ended { call, took, result } = ended;
    match result {
        Ok(reply) => {
            fault::point("answered");
            let usage = reply.usage();
            let reply = save(worker, key, reply).await?;
            fault::point("reply-saved");
            let error = reply.answer().err().map(|fault| fault.to_string());
            let Usage { tokens_input, tokens_cached, tokens_output, .. } = usage;
            let end = CallEnd::Answered { tokens_input, tokens_cached, tokens_output, error };
            call_ended(payment, call, end, took).await?;
            Ok(Some(reply))
        }
        Err(error) => {
            failed(payment, call, took, &error).await?;
            verdict(error)
        }
    }
}

/// Writes down that a call brought no answer.
async fn failed(
    payment: &Payment<'_>,
    call: i64,
    took: Duration,
    error: &CallError,
) -> Result<(), Verdict> {
    let (status, text) = (error.status(), error.to_string());
    let end = if error.is_unbilled() {
        CallEnd::Unbilled { status, error: text }
    } else {
        CallEnd::Unknown { status, error: text }
    };
    call_ended(payment, call, end, took).await
}

async fn call_ended(
    payment: &Payment<'_>,
    call: i64,
    end: CallEnd,
    took: Duration,
) -> Result<(), Verdict> {
    let store = &payment.worker.services.store;
    store.ledger().call_ended(call, payment.key, end, took).await.map_err(outage)
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
        | CallError::Refused { why: Refusal::Mode | Refusal::Images, .. }
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
