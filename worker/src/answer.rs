//! The answer about one part of a document: asked once, once more with double the room when it
//! was cut off, and once more with the faults when it does not fit the schema.
//!
//! These rounds are a series. A series whose replies give no answer is no answer: where they are
//! older than the run they are read, for a newer program may understand them, and then the next
//! series asks anew. So a good reply is never paid twice, and a useless one never stands in its way.

use crate::{
    ask::Asked,
    assemble::Part,
    extract::{compiled::CompiledSchema, repair, validate},
    fallback::{Answered, ask_any},
    question::Question,
    worker::Worker,
};
use pool::typed::chat::{Answer, ReplyFault, Request};
use serde_json::Value;
use shared::{
    document::{Failure, FailureCode, Stage},
    extraction::ModelUsed,
    job::{Claim, Verdict},
};
use tokio::time::Instant;

/// How often one run asks anew because there was nothing at all in a reply.
const GLITCHES_MAX: u32 = 1;

/// A part of a document, and what is asked about it.
pub(crate) struct Asking<'a> {
    pub(crate) worker: &'a Worker,
    pub(crate) claim: &'a Claim,
    pub(crate) schema: &'a CompiledSchema,
    pub(crate) request: &'a Request,
    /// Counted from 0.
    pub(crate) index: usize,
    /// How many parts there are.
    pub(crate) total: usize,
    /// After this an answer is of no use.
    pub(crate) deadline: Instant,
}

/// Why a series of rounds ended without an answer.
struct Useless {
    failure: Failure,
    /// There was nothing in the reply: neither an answer nor a reason why there is none.
    is_glitch: bool,
}

/// Asks about a part, while an answer before the deadline is possible.
///
/// # Errors
/// The verdict on the document when there is no valid answer now, or never will be.
pub(crate) async fn answer(asking: &Asking<'_>) -> Result<Part, Verdict> {
    let mut glitches = 0;
    let mut number = 1;
    loop {
        let mut series = Series { asking, number, part: Part::default(), is_old: true };
        number += 1;
        let useless = match series.answer().await? {
            Ok(part) => return Ok(part),
            Err(useless) => useless,
        };
        if series.is_old {
            continue;
        }
        glitches += u32::from(useless.is_glitch);
        if !useless.is_glitch || glitches > GLITCHES_MAX {
            return Err(Verdict::Reject(useless.failure));
        }
        tracing::info!(reason = useless.failure.message, "there is nothing in the reply");
    }
}

/// One series of rounds.
struct Series<'a> {
    asking: &'a Asking<'a>,
    /// Counted from 1.
    number: u32,
    part: Part,
    /// Whether all of its replies are older than the run.
    is_old: bool,
}

impl Series<'_> {
    async fn answer(&mut self) -> Result<Result<Part, Useless>, Verdict> {
        let Asking { schema, index, total, .. } = *self.asking;
        let read = if total > 1 { validate::part } else { validate::whole };
        let request = self.asking.request.clone();
        let part = format!("part {} of {total}", index + 1);
        let label = if total > 1 { part.clone() } else { "all".to_owned() };
        let (first, model) = match self.say(request.clone(), label).await? {
            Ok(answer) => answer,
            Err(fault) => return Ok(Err(useless(&fault))),
        };
        let faults = match read(schema, &first.content) {
            Ok(data) => return Ok(Ok(self.part(data))),
            Err(faults) => faults,
        };
        tracing::info!(?faults, "the reply does not fit the schema and is asked for again");
        // The model that made the mistake corrects it.
        let request = Request { model, ..repair::request(&request, &first.content, &faults) };
        let (second, _) = match self.say(request, format!("repair of {part}")).await? {
            Ok(answer) => answer,
            Err(fault) => return Ok(Err(useless(&fault))),
        };
        Ok(read(schema, &second.content).map(|data| self.part(data)).map_err(|faults| {
            let message =
                format!("the model's reply does not fit the schema: {}", faults.join("; "));
            let failure = Failure::new(FailureCode::InvalidReply, Stage::Validation, message);
            Useless { failure, is_glitch: false }
        }))
    }

    fn part(&mut self, data: Value) -> Part {
        Part { data, ..std::mem::take(&mut self.part) }
    }

    /// Asks until the answer is whole: a second time, with double the room, when it was cut off.
    /// Gives the answer and the model that was asked for it.
    async fn say(
        &mut self,
        request: Request,
        mut label: String,
    ) -> Result<Result<(Answer, String), ReplyFault>, Verdict> {
        let Asking { worker, deadline, .. } = *self.asking;
        if self.number > 1 {
            label.push_str(&format!(", asked anew ({})", self.number));
        }
        let mut question = Question { request, label, deadline };
        let answered = self.ask(&question).await?;
        let fault = match self.note(&answered) {
            Ok(answer) => return Ok(Ok((answer, answered.model))),
            Err(fault) => fault,
        };
        if !matches!(fault, ReplyFault::Truncated { .. }) {
            return Ok(Err(fault));
        }
        question.request.model = answered.model;
        // What was learned was too little: then there is all the room that a first answer may have.
        let double = question.request.tokens_output_max.saturating_mul(2);
        question.request.tokens_output_max = double.max(worker.settings.tokens_output_max);
        question.label.push_str(", with more room");
        let answered = self.ask(&question).await?;
        Ok(self.note(&answered).map(|answer| (answer, answered.model)))
    }

    async fn ask(&mut self, question: &Question) -> Result<Answered, Verdict> {
        let Asking { worker, claim, .. } = *self.asking;
        let answered = ask_any(worker, claim, question).await?;
        self.is_old &= answered.asked.is_old;
        learn(worker, claim, question, &answered.asked);
        Ok(answered)
    }

    fn note(&mut self, answered: &Answered) -> Result<Answer, ReplyFault> {
        let (part, Answered { asked, warning, .. }) = (&mut self.part, answered);
        part.warnings.extend(warning.clone());
        part.waited += asked.waited;
        if asked.replayed {
            part.replayed += 1;
        } else {
            part.model_ms += asked.reply.duration_ms;
        }
        let answer = asked.reply.answer()?;
        part.model =
            ModelUsed { deployment: asked.reply.deployment.clone(), model: answer.model.clone() };
        Ok(answer)
    }
}

/// What the provider counted says how large the next ones will be.
fn learn(worker: &Worker, claim: &Claim, question: &Question, asked: &Asked) {
    if asked.replayed {
        return;
    }
    let was_cut = matches!(asked.reply.answer(), Err(ReplyFault::Truncated { .. }));
    let length = question.request.length();
    let (_, tokens_output) = asked.reply.tokens();
    worker.learned.learn(&claim.schema, length, tokens_output, was_cut);
}

fn useless(fault: &ReplyFault) -> Useless {
    let code = match fault {
        ReplyFault::Truncated { .. } => FailureCode::OutputTruncated,
        ReplyFault::ContentFiltered => FailureCode::ContentFiltered,
        ReplyFault::Refused(_) => FailureCode::ModelRefused,
        ReplyFault::Malformed(_) => FailureCode::InvalidReply,
    };
    let failure = Failure::new(code, Stage::Model, fault.to_string());
    Useless { failure, is_glitch: matches!(fault, ReplyFault::Malformed(_)) }
}
