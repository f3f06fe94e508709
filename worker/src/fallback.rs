//! A question and the models that may answer it: the first that can.
//!
//! The same question to another model is a question of its own, with its own place in the ledger:
//! what was paid for one is never paid again for the other. It must know nothing of how a question
//! is asked.

use crate::{
    ask::{Asked, ask, replay},
    question::{Elsewhere, Question, Unanswered, key},
    worker::Worker,
};
use shared::{
    document::Priority,
    job::{Claim, Verdict},
};
use std::time::Duration;

/// How long an interactive document waits for a model that is out.
const OUTAGE_INTERACTIVE: Duration = Duration::from_secs(2);

/// How long a bulk document does.
const OUTAGE_BULK: Duration = Duration::from_secs(10);

/// An answer, and which of the models gave it.
#[derive(Debug)]
pub(crate) struct Answered {
    /// The answer.
    pub(crate) asked: Asked,
    /// The model that was asked.
    pub(crate) model: String,
    /// What a reader should know, when it is not the one that was to answer.
    pub(crate) warning: Option<String>,
}

/// Brings the reply of the first model of the chain that can give one.
///
/// # Errors
/// The verdict on the document when none can.
pub(crate) async fn ask_any(
    worker: &Worker,
    claim: &Claim,
    question: &Question,
) -> Result<Answered, Verdict> {
    let first = &question.request.model;
    let others = worker.settings.fallback.get(first).map(Vec::as_slice).unwrap_or_default();
    if let Some(answered) = paid_before(worker, claim, question, others).await? {
        return Ok(answered);
    }
    let wait = match claim.priority {
        Priority::Interactive => OUTAGE_INTERACTIVE,
        Priority::Bulk => OUTAGE_BULK,
    };
    let mut question = question.clone();
    let (mut why, mut verdicts): (Option<Elsewhere>, Vec<Verdict>) = (None, Vec::new());
    for model in std::iter::once(first).chain(others) {
        question.request.model.clone_from(model);
        let outage_max = (!others.is_empty()).then_some(wait);
        let unanswered = match ask(worker, claim, &question, outage_max).await {
            Ok(asked) => {
                let warning = why.map(|why| warning(first, model, why.name()));
                return Ok(Answered { asked, model: model.clone(), warning });
            }
            Err(unanswered) => unanswered,
        };
        let Unanswered { verdict, elsewhere } = unanswered;
        let Some(elsewhere) = elsewhere else { return Err(verdict) };
        tracing::info!(%model, reason = elsewhere.name(), "the model cannot answer");
        // The reason why the first one did not answer is the one that counts.
        why = why.or(Some(elsewhere));
        verdicts.push(verdict);
    }
    Err(mildest(verdicts))
}

/// The answer of another model that was paid for this question before, unless the first model's is
/// there: a document that is taken up again must not be paid twice because a model is back.
async fn paid_before(
    worker: &Worker,
    claim: &Claim,
    question: &Question,
    others: &[String],
) -> Result<Option<Answered>, Verdict> {
    if others.is_empty() {
        return Ok(None);
    }
    let first = &question.request.model;
    let mut question = question.clone();
    for model in std::iter::once(first).chain(others) {
        question.request.model.clone_from(model);
        if let Some(asked) = replay(worker, claim, &key(claim, &question)).await? {
            let warning = (model != first).then(|| warning(first, model, "already paid"));
            return Ok(Some(Answered { asked, model: model.clone(), warning }));
        }
    }
    Ok(None)
}

/// The verdict on a document that no model answers: a wait where one may come back, else that of the
/// first model.
fn mildest(verdicts: Vec<Verdict>) -> Verdict {
    let is_wait = |verdict: &Verdict| matches!(verdict, Verdict::Wait { .. });
    let index = verdicts.iter().position(is_wait).unwrap_or_default();
    verdicts.into_iter().nth(index).unwrap_or(Verdict::Done)
}

fn warning(from: &str, to: &str, why: &str) -> String {
    format!("fallback: {from} -> {to} ({why})")
}

impl Elsewhere {
    fn name(self) -> &'static str {
        match self {
            Self::Context => "context",
            Self::Outage => "outage",
            Self::Vision => "vision",
        }
    }
}
