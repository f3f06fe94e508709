//! A question, its key, its saved reply, and what it means when there is none.
//!
//! It must know nothing of how a question is asked or paid.

use crate::worker::{Outage, Worker, outage};
use bytes::Bytes;
use pool::typed::chat::{Reply, Request};
use sha2::{Digest, Sha256};
use shared::{
    blob::{BlobKey, Put},
    document::{Failure, FailureCode, Stage},
    job::{Claim, Verdict},
    schema::hexadecimal,
};
use std::time::Duration;
use tokio::time::Instant;

/// A question and who asks it.
#[derive(Clone, Debug)]
pub(crate) struct Question {
    /// What is asked.
    pub(crate) request: Request,
    /// For people: which part, which round. Part of the key, so that a second round of the same
    /// words (with more room for the answer) is a question of its own.
    pub(crate) label: String,
    /// The least room for an answer that is of use, in tokens: where the quota of a whole minute leaves
    /// less than the request asks for, it gets what is left.
    pub(crate) room_min: u32,
    /// After this an answer is of no use: its document will have gone back to the queue.
    pub(crate) deadline: Instant,
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
    /// The question has images, and none of its deployments takes any.
    Vision,
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

/// The saved reply to a question.
///
/// # Errors
/// When storage does not answer, or the reply cannot be read.
pub(crate) async fn saved(worker: &Worker, key: &str) -> Result<Option<Reply>, Verdict> {
    let bytes = worker.services.blobs.get(&BlobKey::reply(key)).await.map_err(outage)?;
    let reply = bytes.map(|bytes| serde_json::from_slice(&bytes)).transpose();
    reply.map_err(|error| outage(Outage(format!("the saved reply {key} cannot be read: {error}"))))
}

/// Saves a reply, and gives the saved one: another worker may have been first.
///
/// # Errors
/// When storage does not answer for half a minute.
pub(crate) async fn save(worker: &Worker, key: &str, reply: Reply) -> Result<Reply, Verdict> {
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

/// Sleeps for so long.
///
/// # Errors
/// When the worker is to stop.
pub(crate) async fn pause(worker: &Worker, pause: Duration) -> Result<(), Verdict> {
    tokio::select! {
        () = worker.draining.cancelled() => Err(handed_back()),
        () = tokio::time::sleep(pause) => Ok(()),
    }
}

/// The document goes back to the queue at once.
pub(crate) fn handed_back() -> Verdict {
    Verdict::Wait { pause: Duration::ZERO, why: None }
}

/// The document fails.
pub(crate) fn reject(code: FailureCode, message: String) -> Verdict {
    Verdict::Reject(Failure::new(code, Stage::Model, message))
}
