//! The answer about one part of a document: asked once, once more when there was nothing in the
//! reply, again with more room when it was cut off, and once more for the fields that do not
//! fit the schema. What still does not fit is set aside.
//!
//! These rounds are a series. A series whose replies give no answer is no answer: where they are
//! older than the run they are read, for a newer program may understand them, and then the next
//! series asks anew. So a good reply is never paid twice, and a useless one never stands in its way.

use crate::{
    ask::Asked,
    assemble::Part,
    extract::{
        compiled::CompiledSchema,
        cut, repair,
        set_aside::set_aside,
        sizes,
        validate::{self, Values},
    },
    fallback::{Answered, ask_any},
    question::Question,
    worker::Worker,
};
use pool::typed::{
    chat::{Answer, ReplyFault, Request},
    json,
};
use serde_json::{Map, Value};
use shared::{
    document::{Failure, FailureCode, Stage},
    extraction::ModelUsed,
    job::{Claim, Verdict},
    schema::validator::Violation,
};
use std::collections::BTreeSet;
use tokio::time::Instant;

/// The least room for an answer, in tokens. An invoice without lines takes about as many.
const ROOM_MIN: u32 = 256;

/// A part of a document, and what is asked about it.
pub(crate) struct Asking<'a> {
    pub(crate) worker: &'a Worker,
    pub(crate) claim: &'a Claim,
    pub(crate) schema: &'a CompiledSchema,
    /// Whether that is all of the document's schema.
    pub(crate) is_all: bool,
    pub(crate) request: &'a Request,
    /// Values that are not asked for: they are known.
    pub(crate) kept: &'a Map<String, Value>,
    /// Counted from 0.
    pub(crate) index: usize,
    /// How many parts there are.
    pub(crate) total: usize,
    /// After this an answer is of no use.
    pub(crate) deadline: Instant,
}

/// Asks about a part, while an answer before the deadline is possible.
///
/// # Errors
/// The verdict on the document when there is no valid answer now, or never will be.
pub(crate) async fn answer(asking: &Asking<'_>) -> Result<Part, Verdict> {
    let mut best: Option<Part> = None;
    let mut number = 1;
    loop {
        let mut series = Series { asking, number, part: Part::default(), is_old: true };
        match series.answer().await? {
            Ok(part) if part.invalid.is_empty() => return Ok(part),
            Ok(part) => {
                let is_worse = |best: &Part| best.invalid.len() < part.invalid.len();
                let part = best.take().filter(is_worse).unwrap_or(part);
                if !series.is_old {
                    return Ok(part);
                }
                best = Some(part);
            }
            Err(failure) if !series.is_old => return best.ok_or(Verdict::Reject(failure)),
            Err(_) => {}
        }
        number += 1;
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

/// What was replied, and the model that was asked.
type Said = Result<(Answer, String), ReplyFault>;

/// The values of a reply, or why it is no JSON.
type Read = Result<Values, String>;

impl Series<'_> {
    /// The values of the part, or why there are none.
    async fn answer(&mut self) -> Result<Result<Part, Failure>, Verdict> {
        let Asking { index, total, request, .. } = *self.asking;
        let label = if total > 1 { format!("part {} of {total}", index + 1) } else { "all".into() };
        let (answer, model) = match self.say(request.clone(), label).await? {
            Ok(said) => said,
            Err(fault) => return Ok(Err(failed(&fault))),
        };
        let mut values = self.read(&answer.content);
        if !values.as_ref().is_ok_and(|values| values.violations.is_empty()) {
            values = self.correct(&answer, model, values).await?;
        }
        Ok(values.map_err(|error| does_not_fit(&error)).and_then(|values| self.part(values)))
    }

    /// The values of a reply, with those that are known.
    fn read(&self, content: &str) -> Read {
        let Asking { schema, kept, total, .. } = *self.asking;
        validate::read(schema, content, kept, total > 1)
    }

    /// Asks for what does not fit, and gives the values with what was replied.
    async fn correct(
        &mut self,
        answer: &Answer,
        model: String,
        values: Read,
    ) -> Result<Read, Verdict> {
        let Asking { schema, index, total, request, .. } = *self.asking;
        let (faults, places) = match &values {
            Ok(values) => {
                let violations = &values.violations;
                let places = violations.iter().map(|v| v.pointer.clone()).collect();
                (violations.iter().map(ToString::to_string).collect(), places)
            }
            Err(error) => (vec![error.clone()], BTreeSet::new()),
        };
        tracing::info!(?faults, "the reply does not fit the schema and is asked for again");
        let keeps_form = |reply: Value| cut::keeps_form(&request.schema, &reply);
        let may_cut = json::read(&answer.content).is_ok_and(keeps_form);
        let shape = cut::cut(&request.schema, &places).filter(|_| may_cut);
        let is_cut = shape.is_some();
        // The model that made the mistake corrects it.
        let request =
            Request { model, ..repair::request(request, &answer.content, &faults, shape) };
        let label = format!("repair of part {} of {total}", index + 1);
        let Ok((second, _)) = self.say(request, label).await? else { return Ok(values) };
        if !is_cut {
            return Ok(self.read(&second.content).or(values));
        }
        Ok(values.map(|mut first| {
            if let Ok(second) = json::read(&second.content) {
                cut::take(&mut first.data, &second, &places);
            }
            let mut both = validate::check(schema, first.data, total > 1);
            both.warnings.splice(..0, first.warnings);
            both
        }))
    }

    /// The values as they are a result, without those that do not fit.
    fn part(&mut self, mut values: Values) -> Result<Part, Failure> {
        let Asking { schema, total, .. } = *self.asking;
        let told = values.violations.iter().take(repair::FAULTS_MAX).map(ToString::to_string);
        self.part.warnings.append(&mut values.warnings);
        self.part.warnings.extend(told);
        let invalid = set_aside(schema, &mut values.data, values.violations, total > 1);
        let invalid = invalid.map_err(|left| cannot_be_met(&left))?;
        Ok(Part { data: values.data, invalid, ..std::mem::take(&mut self.part) })
    }

    /// Asks until there is something in the reply, and all of it: a second time when it was empty, and
    /// again with more room while it was cut off and there is more.
    async fn say(&mut self, request: Request, mut label: String) -> Result<Said, Verdict> {
        let Asking { worker, deadline, .. } = *self.asking;
        if self.number > 1 {
            label.push_str(&format!(", asked anew ({})", self.number));
        }
        let room_min = ROOM_MIN.min(request.tokens_output_max);
        let mut question = Question { request, label, room_min, deadline };
        let mut said = self.ask(&mut question).await?;
        if matches!(said, Err(ReplyFault::Malformed(_))) {
            question.label.push_str(", once more");
            said = self.ask(&mut question).await?;
        }
        let mut rounds = 0;
        while let Err(fault) = &said
            && let Some(room) = larger_room(worker, &question.request, fault, rounds)
        {
            // The same room once more would be paid for nothing.
            question.room_min = question.request.tokens_output_max.saturating_add(1);
            question.request.tokens_output_max = room;
            question.label.push_str(", with more room");
            said = match self.ask(&mut question).await {
                // There is no more room: what was cut off stays so.
                Err(Verdict::Reject(Failure { code: FailureCode::LargerThanQuota, .. })) => break,
                more => more?,
            };
            rounds += 1;
        }
        Ok(said)
    }

    /// Asks once; later rounds go to the model that answered.
    async fn ask(&mut self, question: &mut Question) -> Result<Said, Verdict> {
        let Asking { worker, claim, .. } = *self.asking;
        let Answered { asked, model, warning } = ask_any(worker, claim, question).await?;
        self.is_old &= asked.is_old;
        // The answer for a few fields says nothing of the size of one for all.
        if self.asking.is_all && self.asking.kept.is_empty() {
            learn(worker, claim, question, &asked);
        }
        question.request.model.clone_from(&model);
        let part = &mut self.part;
        part.warnings.extend(warning);
        part.waited += asked.waited;
        if asked.replayed {
            part.replayed += 1;
        } else {
            part.model_ms += asked.reply.duration_ms;
        }
        let said = asked.reply.answer();
        if let Ok(answer) = &said {
            part.warnings.extend(answer.repairs.iter().map(ToString::to_string));
            let deployment = asked.reply.deployment;
            part.model = ModelUsed { deployment, model: answer.model.clone() };
        }
        Ok(said.map(|answer| (answer, model)))
    }
}

/// The room for the same question once more, where it was cut off and there is more.
fn larger_room(worker: &Worker, request: &Request, fault: &ReplyFault, rounds: u32) -> Option<u32> {
    let ReplyFault::Truncated { is_thinking, .. } = fault else { return None };
    let (first, most) =
        (worker.settings.tokens_output_max, worker.pool.tokens_output_max(&request.model));
    sizes::larger(request.tokens_output_max, *is_thinking, rounds, first, most)
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

fn failed(fault: &ReplyFault) -> Failure {
    let code = match fault {
        ReplyFault::Truncated { .. } => FailureCode::OutputTruncated,
        ReplyFault::ContentFiltered => FailureCode::ContentFiltered,
        ReplyFault::Refused(_) => FailureCode::ModelRefused,
        ReplyFault::Malformed(_) => FailureCode::InvalidReply,
    };
    let remedy = match fault {
        ReplyFault::Truncated { is_thinking: true, .. } => {
            ": the model thought until no room was left for its answer; lower reasoning_effort of the \
             deployment or the schema, raise worker.tokens_output_max, or use a model that may answer \
             with more tokens"
        }
        ReplyFault::Truncated { .. } => ": raise worker.tokens_output_max",
        _ => "",
    };
    Failure::new(code, Stage::Model, format!("{fault}{remedy}"))
}

fn cannot_be_met(violations: &[Violation]) -> Failure {
    let violations: Vec<_> = violations.iter().map(ToString::to_string).collect();
    does_not_fit(&format!(
        "{}; the schema cannot be met without: where it allows null, there is a result of the rest",
        violations.join("; ")
    ))
}

fn does_not_fit(why: &str) -> Failure {
    let message = format!("the model's reply does not fit the schema: {why}");
    Failure::new(FailureCode::InvalidReply, Stage::Validation, message)
}
