//! From the answers about the parts of a document to its extraction, with the evidence. Pure, but
//! not quick: a long document takes a processor for a while.
//!
//! It must know nothing of how answers are got, nor of where an extraction is kept.

use crate::extract::{
    compiled::CompiledSchema,
    document_text::DocumentText,
    evidence, form, merge, role, rules,
    set_aside::{Invalid, set_aside},
    several,
};
use serde_json::Value;
use shared::{
    document::{DocumentState, Failure, FailureCode, Stage},
    extraction::{
        Candidate, Check, Extraction, Field, FieldStatus, ModelUsed, Pages, TextUsed, Timings,
        Usage,
    },
    job::Claim,
    store::Spent,
};
use std::{collections::BTreeMap, time::Duration};

/// What was found in one part of a document.
#[derive(Debug, Default)]
pub(crate) struct Part {
    /// The values; they validate against the schema.
    pub(crate) data: Value,
    /// What the model gave and does not fit it.
    pub(crate) invalid: Vec<Invalid>,
    /// The deployment and the model that answered.
    pub(crate) model: ModelUsed,
    /// How many saved replies were used.
    pub(crate) replayed: u32,
    /// How long the questions waited for quota.
    pub(crate) waited: Duration,
    /// How long the calls took that were made now.
    pub(crate) model_ms: u64,
    /// What a reader should know about the model that answered.
    pub(crate) warnings: Vec<String>,
}

/// The extraction of a document from its parts, in the order of its text.
///
/// # Errors
/// When the parts together do not fit the schema.
pub(crate) fn assemble(
    claim: &Claim,
    schema: &CompiledSchema,
    pages: &Pages,
    parts: Vec<Part>,
    usage: Usage,
    timings_ms: Timings,
) -> Result<Extraction, Failure> {
    let warnings = warnings(pages, &parts);
    let model = parts.last().map(|part| part.model.clone()).unwrap_or_default();
    let (data, invalid) = whole(schema, parts)?;
    let state = match pages.are_incomplete() || !invalid.is_empty() {
        true => DocumentState::Partial,
        false => DocumentState::Succeeded,
    };
    let checks = rules::check(&schema.schema, &data);
    Ok(Extraction {
        document: claim.document.clone(),
        schema: claim.schema.clone(),
        state,
        fields: fields(schema, &data, invalid, pages, &checks),
        checks,
        data,
        usage,
        model,
        text: text_used(pages),
        timings_ms,
        warnings,
    })
}

/// The values of all parts, and what does not fit: of the parts, and of the whole that they make.
fn whole(schema: &CompiledSchema, parts: Vec<Part>) -> Result<(Value, Vec<Invalid>), Failure> {
    // The values of a single part were checked as a whole when its answer came.
    let is_merged = parts.len() != 1;
    let (values, invalid): (Vec<_>, Vec<_>) =
        parts.into_iter().map(|part| (part.data, part.invalid)).unzip();
    let mut moved = merge::moved(&values, invalid);
    let mut data = merge::merge(&schema.schema, values);
    if is_merged {
        // Another part may have what one gave in vain. Of a list, items are missing all the same.
        let is_there = |value: &Value| !value.is_null() && !value.is_array();
        moved.retain(|invalid| !data.pointer(&invalid.pointer).is_some_and(is_there));
        let violations = schema.check(&data, false);
        let aside = set_aside(schema, &mut data, violations, false).map_err(|left| {
            let left: Vec<_> = left.iter().map(ToString::to_string).collect();
            let message = format!("the parts do not make a whole: {}", left.join("; "));
            Failure::new(FailureCode::InvalidReply, Stage::Validation, message)
        })?;
        moved.extend(aside);
    }
    Ok((data, moved))
}

/// The evidence for each value, what contradicts it, and what was given for those that are not there.
fn fields(
    schema: &CompiledSchema,
    data: &Value,
    invalid: Vec<Invalid>,
    pages: &Pages,
    checks: &[Check],
) -> BTreeMap<String, Field> {
    let text = DocumentText::new(pages);
    let found = evidence::find(&schema.schema, data, &text);
    let mut fields = role::judge(&schema.schema, data, &text, found);
    form::judge(data, &text, checks, &mut fields);
    for Invalid { pointer, value } in invalid {
        let field = fields.entry(pointer).or_insert_with(|| Field::of(FieldStatus::Invalid));
        field.status = FieldStatus::Invalid;
        if field.candidates.len() < Field::CANDIDATES_MAX && !value.is_null() {
            field.candidates.push(Candidate { value, evidence: None });
        }
    }
    fields
}

/// What the document cost. `cost_of` gives the price of what was spent at one deployment.
pub(crate) fn usage(
    spent: &[Spent],
    parts: &[Part],
    cost_of: impl Fn(&Spent) -> Option<f64>,
) -> Usage {
    let replayed = parts.iter().map(|part| part.replayed).sum();
    spent.iter().fold(Usage { replayed, ..Usage::default() }, |usage, spent| Usage {
        calls: usage.calls + spent.calls,
        replayed,
        tokens_input: usage.tokens_input + spent.tokens_input,
        tokens_output: usage.tokens_output + spent.tokens_output,
        cost: cost_of(spent).map(|cost| cost + usage.cost.unwrap_or_default()).or(usage.cost),
    })
}

/// How long the document waited and was in work: `took` in all, `text` of that for its text.
pub(crate) fn timings(claim: &Claim, took: Duration, text: Duration, parts: &[Part]) -> Timings {
    let ms = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    let queued = claim.claimed_at.as_millisecond() - claim.queued_at.as_millisecond();
    let queued = u64::try_from(queued).unwrap_or_default();
    Timings {
        queued,
        text: ms(text),
        waited_for_quota: ms(parts.iter().map(|part| part.waited).max().unwrap_or_default()),
        model: parts.iter().map(|part| part.model_ms).max().unwrap_or_default(),
        total: queued + ms(took),
    }
}

fn text_used(pages: &Pages) -> TextUsed {
    TextUsed {
        engine: pages.engine.clone(),
        pages: u32::try_from(pages.pages.len()).unwrap_or(u32::MAX),
        pages_without_text: pages.without_text(),
    }
}

/// What a reader should know of the text, then of the answers, each once.
fn warnings(pages: &Pages, parts: &[Part]) -> Vec<String> {
    let unread = pages.pages.iter().filter_map(|page| match &page.error {
        Some(error) => Some(format!("page {} could not be read: {error}", page.number)),
        None if page.is_picture => {
            Some(format!("page {} is a picture: what it shows was not read", page.number))
        }
        None => None,
    });
    let several = several::warning(pages);
    let mut warnings: Vec<_> =
        unread.chain(pages.warnings.iter().cloned()).chain(several).collect();
    for warning in parts.iter().flat_map(|part| &part.warnings) {
        if !warnings.contains(warning) {
            warnings.push(warning.clone());
        }
    }
    warnings
}
