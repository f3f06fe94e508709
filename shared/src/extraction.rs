//! What is found in a document: its text by page, and the fields with the evidence for each.
//!
//! Plain data. It must know nothing of how text is read or models are asked.

pub use reader::{
    Bounds, EInvoice, FormField, FormValue, Origin, Page, Pages, PartyRole, Term, TermGroup, Terms,
    Word,
};

use crate::{
    document::{DocumentId, DocumentState},
    schema::SchemaRef,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// The typed fields of one document, as `GET /v1/documents/{id}/result` shows them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Extraction {
    /// The document.
    pub document: DocumentId,
    /// The schema and its version, as `name@version`.
    #[schema(value_type = String, example = "invoice@1")]
    pub schema: SchemaRef,
    /// `succeeded` or `partial`.
    pub state: DocumentState,
    /// The values. They always validate against the schema.
    #[schema(value_type = Object)]
    pub data: Value,
    /// For every value of `data`, by its JSON pointer, whether and where it stands in the text.
    pub fields: BTreeMap<String, Field>,
    /// The rules of the schema, and whether they hold.
    pub checks: Vec<Check>,
    /// What it cost.
    pub usage: Usage,
    /// Who answered.
    pub model: ModelUsed,
    /// What was read.
    pub text: TextUsed,
    /// Where the time went.
    pub timings_ms: Timings,
    /// What a reader should know before trusting this.
    pub warnings: Vec<String>,
}

/// Whether a value was proven from the document's own text. Worked out by code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum FieldStatus {
    /// It stands in the text (numbers, dates and spacing are compared by value), and its role is
    /// supported: by a label beside it, by its form and other values, by its place, or because it is
    /// the only one of its kind.
    Verified,
    /// It stands in the text, but nothing tells that it is what the field says, or the same words
    /// may as well say something else: `reason` tells what is unsure, and `candidates` has the other
    /// reading.
    Printed,
    /// Something contradicts it: what is printed, a label, its own form, or other values. `reason`
    /// tells what, and `candidates` has what is printed instead.
    Conflict,
    /// It is not printed as such, and need not be (a choice, a yes or no, a field that its schema
    /// marks as not printed); or it may stand on a page that models were shown as an image, which
    /// proves nothing.
    Inferred,
    /// It should be printed and is not: treat it as a possible invention.
    NotFound,
    /// The model's value did not fit the schema, nor did the one after it was asked again: it is not
    /// in `data`, where there is null, or nothing where the schema does not allow that. `candidates`
    /// has what the model said. For a list: items of it were left out.
    Invalid,
    /// It is null.
    Missing,
}

impl FieldStatus {
    /// The name in JSON and in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Verified => "verified",
            Self::Printed => "printed",
            Self::Conflict => "conflict",
            Self::Inferred => "inferred",
            Self::NotFound => "not_found",
            Self::Invalid => "invalid",
            Self::Missing => "missing",
        }
    }
}

/// Why a value is `printed` or in `conflict`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// The figures or words may be read as another value, or be a part of something longer.
    Ambiguous,
    /// It is not printed letter by letter, only much alike.
    Spelling,
    /// It is printed with the other sign.
    Sign,
    /// A date is printed whose day and month are swapped.
    DayOrder,
    /// Its day is printed with another time.
    Time,
    /// It breaks the rules of its kind: the check digits of an IBAN, the form of a VAT number.
    Form,
    /// It is later than a date that cannot be before it.
    Dates,
    /// It does not add up with other amounts.
    Amounts,
    /// A check of the schema that includes it fails.
    Check,
    /// The electronic invoice says it, and the pages say something else.
    Embedded,
    /// Nothing beside it tells that it is what the field says, and others could be.
    Unlabelled,
    /// It is labelled as something else, or is itself a label.
    Label,
    /// A label names another value for this field.
    Place,
    /// Another field that cannot be equal has the same value.
    SharedPlace,
}

/// Where a value is from that no model gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum FieldSource {
    /// The electronic invoice that the document is or carries.
    Embedded,
    /// A field of the document's form.
    Form,
}

/// One value and its evidence.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Field {
    /// Whether it was proven.
    pub status: FieldStatus,
    /// Where it stands; empty unless the status is `verified`, `printed` or `conflict`, or the only page
    /// that models were shown as an image: then there is no quote. At most
    /// [`Field::EVIDENCE_MAX`] places.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub evidence: Vec<Evidence>,
    /// Why the status is `printed` or `conflict`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
    /// The words beside its first place that name it, as they are printed; in conflict by `label`,
    /// those that name something else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// Values that were given or are printed and do not stand in `data`. At most
    /// [`Field::CANDIDATES_MAX`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub candidates: Vec<Candidate>,
    /// Where the value is from; none where a model gave it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<FieldSource>,
}

impl Field {
    /// The most places that are listed for one value.
    pub const EVIDENCE_MAX: usize = 5;
    /// The most values that are listed beside the one in `data`.
    pub const CANDIDATES_MAX: usize = 3;

    /// One without evidence.
    pub fn of(status: FieldStatus) -> Self {
        Self {
            status,
            evidence: Vec::new(),
            reason: None,
            label: None,
            candidates: Vec::new(),
            source: None,
        }
    }
}

/// A value for a field that does not stand in `data`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Candidate {
    /// The value as the model gave it, or as the text may be read.
    #[schema(value_type = Object)]
    pub value: Value,
    /// Where it is printed; null for what only the model gave.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<Evidence>,
}

/// A place in the text.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Evidence {
    /// Counted from 1.
    pub page: u32,
    /// The words exactly as they stand in the page's text.
    pub quote: String,
    /// Left, bottom, right, top in PDF points from the lower left corner of the page, where the
    /// engine reports it.
    #[serde(default, rename = "box", skip_serializing_if = "Option::is_none")]
    pub bounds: Option<[f32; 4]>,
}

/// One rule of the schema, and whether it holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Check {
    /// The rule as the schema says it.
    pub rule: String,
    /// Whether it holds; null when a value that it needs is missing.
    pub ok: Option<bool>,
    /// What was compared, when it does not hold or could not be checked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// What an extraction cost.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Usage {
    /// Calls of a model that were made for this document and may have been paid.
    pub calls: u32,
    /// Questions that a stored reply answered.
    pub replayed: u32,
    /// Tokens of the questions that were paid, as the provider counted them.
    pub tokens_input: u64,
    /// Those of them that the provider's cache had, which it may charge less for.
    #[serde(default)]
    pub tokens_cached: u64,
    /// Tokens of the answers that were paid, as the provider counted them.
    pub tokens_output: u64,
    /// Money, in the currency of the configured prices; null when no price is configured.
    pub cost: Option<f64>,
}

/// Who answered.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ModelUsed {
    /// The name of the deployment in the configuration.
    pub deployment: String,
    /// The model as it named itself.
    pub model: String,
}

/// What was read.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TextUsed {
    /// Name and version of the engine.
    pub engine: String,
    /// How many pages there are.
    pub pages: u32,
    /// The numbers of the pages on which there is no text.
    pub pages_without_text: Vec<u32>,
}

/// Where the time went, in milliseconds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Timings {
    /// From accepted to the start of the attempt that finished it.
    pub queued: u64,
    /// Reading the text.
    pub text: u64,
    /// Waiting for the deployments' quota.
    pub waited_for_quota: u64,
    /// Calls of the model.
    pub model: u64,
    /// From accepted to the end.
    pub total: u64,
}
