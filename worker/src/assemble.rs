//! From the answers about the parts of a document to its extraction, with the evidence. Pure, but
//! not quick: a long document takes a processor for a while.
//!
//! It must know nothing of how answers are got, nor of where an extraction is kept.

use crate::extract::{
    compiled::CompiledSchema,
    document_text::DocumentText,
    embedded::Known,
    evidence, form, merge, role, rules,
    set_aside::{Invalid, set_aside},
    shown,
};
use serde_json::Value;
use shared::{
    document::{DocumentState, Failure, FailureCode, PageRange, Stage},
    extraction::{
        Candidate, Check, Extraction, Field, FieldStatus, ModelUsed, Pages, TextUsed, Timings,
        Usage,
    },
    job::{Claim, Verdict},
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
    /// The pages of which it has something.
    pub(crate) pages: PageRange,
    /// Why there is nothing, where there never will be.
    pub(crate) lost: Option<Failure>,
}

/// A part of several about which there will never be an answer, if that is what the verdict says.
///
/// # Errors
/// Every other verdict: it is about the document.
pub(crate) fn lost(verdict: Verdict, is_only: bool) -> Result<Part, Verdict> {
    use FailureCode::{ContentFiltered, InvalidReply, ModelRefused, OutputTruncated};
    let is_of_part =
        |code| matches!(code, OutputTruncated | ModelRefused | ContentFiltered | InvalidReply);
    match verdict {
        Verdict::Reject(failure) if !is_only && is_of_part(failure.code) => {
            Ok(Part { lost: Some(failure), ..Part::default() })
        }
        verdict => Err(verdict),
    }
}

/// The extraction of a document from its parts, in the order of its text.
///
/// # Errors
/// When the parts together do not fit the schema.
pub(crate) fn assemble(
    claim: &Claim,
    schema: &CompiledSchema,
    pages: &Pages,
    known: &Known,
    mut parts: Vec<Part>,
    usage: Usage,
    timings_ms: Timings,
) -> Result<Extraction, Failure> {
    let mut warnings = warnings(pages, known, &parts);
    let is_lost = |part: &Part| part.lost.is_some();
    if known.is_empty()
        && parts.iter().all(is_lost)
        && let Some(failure) = parts.iter_mut().find_map(|part| part.lost.take())
    {
        return Err(failure);
    }
    let lacks_parts = parts.iter().any(is_lost);
    let answered = parts.iter().rfind(|part| !is_lost(part));
    let model = answered.map(|part| part.model.clone()).unwrap_or_default();
    prefer_printed(schema, pages, &mut parts);
    let (data, invalid) = whole(schema, known, parts, &mut warnings)?;
    let state = match pages.are_incomplete() || lacks_parts || !invalid.is_empty() {
        true => DocumentState::Partial,
        false => DocumentState::Succeeded,
    };
    let checks = rules::check(&schema.schema, &data);
    Ok(Extraction {
        document: claim.document.clone(),
        schema: claim.schema.clone(),
        state,
        fields: fields(schema, &data, known, invalid, pages, &checks),
        checks,
        data,
        usage,
        model,
        text: text_used(pages),
        timings_ms,
        warnings,
    })
}

/// Of single values that several parts have, those go that do not stand in the pages of their part,
/// where another part's does.
fn prefer_printed(schema: &CompiledSchema, pages: &Pages, parts: &mut [Part]) {
    if parts.len() < 2 {
        return;
    }
    let found = parts.iter().map(|part| {
        let own = pages.pages.iter().filter(|page| part.pages.contains(page.number));
        let own = Pages { pages: own.cloned().collect(), ..Pages::default() };
        evidence::find(&schema.schema, &part.data, &DocumentText::new(&own))
    });
    let found: Vec<_> = found.collect();
    let status = |part: usize, place: &str| Some(found.get(part)?.get(place)?.status);
    let mut values: Vec<_> = parts.iter_mut().map(|part| &mut part.data).collect();
    merge::prefer_printed(&mut values, status);
}

/// The values of all parts, and what does not fit: of the parts, and of the whole that they make.
fn whole(
    schema: &CompiledSchema,
    known: &Known,
    parts: Vec<Part>,
    warnings: &mut Vec<String>,
) -> Result<(Value, Vec<Invalid>), Failure> {
    // The values of a single part were checked as a whole when its answer came.
    let is_merged = parts.len() != 1 || !known.is_empty();
    let (values, invalid): (Vec<_>, Vec<_>) =
        parts.into_iter().map(|part| (part.data, part.invalid)).unzip();
    let mut moved = merge::moved(&values, invalid);
    let found = merge::merge(&schema.schema, values);
    let (mut data, odd) = known.with(&schema.schema, found);
    warnings.extend(odd);
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
    known: &Known,
    invalid: Vec<Invalid>,
    pages: &Pages,
    checks: &[Check],
) -> BTreeMap<String, Field> {
    let text = DocumentText::new(pages);
    let found = evidence::find(&schema.schema, data, &text);
    let mut fields = role::judge(&schema.schema, data, &text, found);
    shown::judge(pages, &mut fields);
    form::judge(data, &text, checks, &mut fields);
    known.judge(data, &text, &mut fields);
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
        tokens_cached: usage.tokens_cached + spent.tokens_cached,
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
fn warnings(pages: &Pages, known: &Known, parts: &[Part]) -> Vec<String> {
    let unread = pages.pages.iter().filter_map(|page| match &page.error {
        Some(error) => Some(format!("page {} could not be read: {error}", page.number)),
        None if page.is_picture => Some(format!(
            "page {} is a picture: what it shows was not read (docs/scans.md)",
            page.number
        )),
        None if page.is_shown => Some(format!(
            "page {} has no text: the model was shown its image, and nothing proves what it saw",
            page.number
        )),
        None => None,
    });
    let lost = parts.iter().filter_map(|part| {
        let failure = part.lost.as_ref()?;
        Some(format!("{}: there is no answer about them: {}", part.pages, failure.message))
    });
    let mut warnings: Vec<_> = unread.chain(lost).chain(pages.warnings.iter().cloned()).collect();
    warnings.extend(known.warnings.iter().cloned());
    for warning in parts.iter().flat_map(|part| &part.warnings) {
        if !warnings.contains(warning) {
            warnings.push(warning.clone());
        }
    }
    warnings
}
