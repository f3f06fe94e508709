//! The description of the API: generated from the handlers, shown at `/docs` without the
//! Internet, with every problem and failure code and its meaning.

use super::request::Name;
use crate::error::{ApiError, Code, Problem};
use axum::{Json, Router, response::Redirect, routing::get};
use serde::Serialize;
use shared::document::FailureCode;
use std::fmt::Write;
use utoipa::{OpenApi, ToSchema};
use utoipa_swagger_ui::SwaggerUi;

const INTRODUCTION: &str = "Documents in, typed JSON out. Upload with `POST /v1/documents`, wait \
    with `GET /v1/documents/{id}?wait=20`, read `GET /v1/documents/{id}/result`.\n\n\
    Every error is `application/problem+json` (RFC 9457) with a stable `code` and `retryable`. \
    Every answer has an `X-Request-Id`, yours if you send one. Ids sort by time. Lists are \
    `{data, has_more, next}` with `limit` and `after`.";

#[derive(OpenApi)]
#[openapi(
    info(title = "Sluice", license(name = "Apache-2.0", identifier = "Apache-2.0")),
    tags(
        (name = "documents", description = "Upload, follow, read, run again, delete"),
        (name = "schemas", description = "What to extract"),
        (name = "operation", description = "For those who run it"),
    ),
    components(schemas(Problem)),
)]
struct Api;

/// The description without its routes.
pub(super) fn describe() -> utoipa::openapi::OpenApi {
    let mut api = Api::openapi();
    api.info.description = Some(description());
    api
}

fn description() -> String {
    let mut text = format!("{INTRODUCTION}\n\n## Problem codes\n\n");
    text.push_str("| code | status | retryable | meaning |\n| --- | --- | --- | --- |\n");
    for code in Code::ALL {
        let about = code.about();
        let (name, status, title) = (about.name, about.status.as_u16(), about.title);
        let retryable = if about.retryable { "yes" } else { "no" };
        // Writing to a String cannot fail.
        let _ = writeln!(text, "| `{name}` | {status} | {retryable} | {title} |");
    }
    text.push_str(
        "\n## Failure codes of documents\n\n| code | retryable | meaning |\n| --- | --- | --- |\n",
    );
    for code in FailureCode::ALL {
        let name = serde_json::to_value(code).unwrap_or_default();
        let name = name.as_str().unwrap_or_default();
        let retryable = if code.is_retryable() { "yes" } else { "no" };
        let _ = writeln!(text, "| `{name}` | {retryable} | {} |", meaning(code));
    }
    text
}

#[rustfmt::skip]
fn meaning(code: FailureCode) -> &'static str {
    match code {
        FailureCode::UnreadableDocument => "The file is damaged beyond reading",
        FailureCode::PasswordRequired => "The file opens only with a password",
        FailureCode::UnsupportedDocument => "The file is only a cover: a PDF portfolio, whose documents are attachments, or a dynamic XFA form. The message says what to upload instead",
        FailureCode::NoText => "No page has any text: a scan, or an empty document",
        FailureCode::TooManyPages => "The document has more pages than `limits.pages_max`",
        FailureCode::TextLimitExceeded => "Reading the file took more time, memory or output than `[worker]` allows",
        FailureCode::ContextTooLong => "The document is too long for every deployment of its model",
        FailureCode::LargerThanQuota => "The question counts more than a whole minute's quota of every deployment, even with the least room for its answer",
        FailureCode::OutputTruncated => "The model's output was cut off again in the largest room that it could get",
        FailureCode::ModelRefused => "The model refused to answer",
        FailureCode::ContentFiltered => "The provider's content filter stopped the question or the answer",
        FailureCode::InvalidReply => "The reply was no answer that fits the schema, nor was the one after it was asked again; a retry asks anew",
        FailureCode::NoDeployment => "No deployment serves the model that the schema asks for",
        FailureCode::DeploymentRejected => "A deployment does not take the question in any form, or none of the model could be used for `worker.outage_seconds_max`",
        FailureCode::SchemaRejected => "The deployment does not accept the schema",
        FailureCode::CallsExhausted => "The model was paid `worker.calls_max` times without an answer that arrived",
        FailureCode::AttemptsExhausted => "The document was tried `worker.attempts_max` times",
    }
}

/// What a problem code means.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ProblemMeaning {
    /// The code.
    code: &'static str,
    /// The status of its answers.
    status: u16,
    /// Whether the same request may go right later.
    retryable: bool,
    /// What it means.
    title: &'static str,
}

/// What a problem code means: where the `type` of a problem leads
#[utoipa::path(
    get, path = "/problems/{code}", tag = "operation",
    params(("code" = String, Path, description = "The code")),
    responses(
        (status = 200, description = "Its meaning", body = ProblemMeaning),
        (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn problem(Name(name): Name) -> Result<Json<ProblemMeaning>, ApiError> {
    let about = Code::ALL.map(Code::about).into_iter().find(|about| about.name == name);
    let about = about.ok_or_else(|| {
        ApiError::new(Code::UnknownRoute, "no problem has this code").hint("GET /docs lists them")
    })?;
    let status = about.status.as_u16();
    let (code, retryable, title) = (about.name, about.retryable, about.title);
    Ok(Json(ProblemMeaning { code, status, retryable, title }))
}

/// `/openapi.json`, `/docs`, and `/` which leads there.
pub(super) fn routes(api: utoipa::openapi::OpenApi) -> Router {
    let pages = Router::from(SwaggerUi::new("/docs").url("/openapi.json", api));
    let home = async || Redirect::temporary("/docs/");
    pages.route("/", get(home))
}
