//! The answer about one part of a document: asked once, again with more room when it was cut off, and
//! once more with the faults when it does not fit the schema.

use crate::{
    ask::Asked,
    assemble::Part,
    extract::{compiled::CompiledSchema, repair, sizes, validate},
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
use std::time::Duration;
use tokio::time::Instant;

/// Asks about part `index` of `total`, while an answer before `deadline` is possible.
///
/// # Errors
/// The verdict on the document when there is no valid answer now, or never will be.
pub(crate) async fn answer(
    worker: &Worker,
    claim: &Claim,
    schema: &CompiledSchema,
    mut request: Request,
    index: usize,
    total: usize,
    deadline: Instant,
) -> Result<Part, Verdict> {
    let label = if total > 1 { format!("part {} of {total}", index + 1) } else { "all".into() };
    let mut part = Part {
        data: Value::Null,
        model: ModelUsed::default(),
        replayed: 0,
        waited: Duration::ZERO,
        model_ms: 0,
        warnings: Vec::new(),
    };
    let read = if total > 1 { validate::part } else { validate::whole };
    let question = Question { request: request.clone(), label, deadline };
    let (first, model) = say(worker, claim, question, &mut part).await?;
    let faults = match read(schema, &first.content) {
        Ok(data) => return Ok(Part { data, ..part }),
        Err(faults) => faults,
    };
    tracing::info!(?faults, "the reply does not fit the schema and is asked for again");
    // The model that made the mistake corrects it.
    request.model = model;
    let request = repair::request(&request, &first.content, &faults);
    let label = format!("repair of part {} of {total}", index + 1);
    let (second, _) = say(worker, claim, Question { request, label, deadline }, &mut part).await?;
    match read(schema, &second.content) {
        Ok(data) => Ok(Part { data, ..part }),
        Err(faults) => {
            let message =
                format!("the model's reply does not fit the schema: {}", faults.join("; "));
            let failure = Failure::new(FailureCode::InvalidReply, Stage::Validation, message);
            Err(Verdict::Reject(failure))
        }
    }
}

/// Asks until the answer is whole: with more room when it was cut off. Gives the answer and the model
/// that was asked for it.
async fn say(
    worker: &Worker,
    claim: &Claim,
    mut question: Question,
    part: &mut Part,
) -> Result<(Answer, String), Verdict> {
    let mut answered = ask_any(worker, claim, &question).await?;
    let mut rounds = 0;
    loop {
        learn(worker, claim, &question, &answered.asked);
        let fault = match note(part, &answered) {
            Ok(answer) => return Ok((answer, answered.model)),
            Err(fault) => fault,
        };
        question.request.model = answered.model;
        let Some(room) = larger_room(worker, &question.request, &fault, rounds) else {
            return Err(rejected(&fault));
        };
        question.request.tokens_output_max = room;
        question.label.push_str(", with more room");
        answered = match ask_any(worker, claim, &question).await {
            // No deployment takes so much at once: what was cut off stays so.
            Err(Verdict::Reject(Failure { code: FailureCode::ContextTooLong, .. })) => {
                return Err(rejected(&fault));
            }
            answered => answered?,
        };
        rounds += 1;
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

fn note(part: &mut Part, answered: &Answered) -> Result<Answer, ReplyFault> {
    let Answered { asked, warning, .. } = answered;
    part.warnings.extend(warning.clone());
    part.waited += asked.waited;
    if asked.replayed {
        part.replayed += 1;
    } else {
        part.model_ms += asked.reply.duration_ms;
    }
    let answer = asked.reply.answer()?;
    part.warnings.extend(answer.repairs.iter().map(ToString::to_string));
    part.model =
        ModelUsed { deployment: asked.reply.deployment.clone(), model: answer.model.clone() };
    Ok(answer)
}

fn rejected(fault: &ReplyFault) -> Verdict {
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
    Verdict::Reject(Failure::new(code, Stage::Model, format!("{fault}{remedy}")))
}
