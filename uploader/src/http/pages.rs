//! The pages of a document: their sizes, and where each word stands.

use super::{
    app::App,
    content::saved_pages,
    request::{Id, Parameters},
};
use crate::error::{ApiError, Code};
use axum::{
    Json,
    extract::{Path, State, rejection::PathRejection},
    http::Uri,
};
use serde::Serialize;
use shared::{
    document::DocumentId,
    extraction::{Origin, Page, Word},
};
use std::sync::Arc;
use utoipa::ToSchema;

/// The most words of one page that are shown.
const WORDS_MAX: usize = 20_000;

/// The pages of a document
#[derive(Serialize, ToSchema)]
pub(super) struct PageList {
    data: Vec<PageSummary>,
    has_more: bool,
    next: Option<String>,
}

/// One page of a document
#[derive(Serialize, ToSchema)]
struct PageSummary {
    /// Counted from 1.
    number: u32,
    /// In PDF points, as it is shown; 0 where the format has no pages of a size.
    width: f32,
    /// In PDF points, as it is shown; 0 where the format has no pages of a size.
    height: f32,
    /// How many words with a place it has.
    words: usize,
    /// Whether it is a picture, as of a scanner: what it shows was not read.
    is_picture: bool,
    /// Why it could not be read in full, when it could not.
    error: Option<String>,
}

impl PageSummary {
    fn of(page: &Page) -> Self {
        Self {
            number: page.number,
            width: page.width,
            height: page.height,
            words: page.words.len(),
            is_picture: page.is_picture,
            error: page.error.clone(),
        }
    }
}

/// The words of one page
#[derive(Serialize, ToSchema)]
pub(super) struct PageWords {
    /// Counted from 1.
    number: u32,
    /// In PDF points, as it is shown; 0 where the format has no pages of a size.
    width: f32,
    /// In PDF points, as it is shown; 0 where the format has no pages of a size.
    height: f32,
    /// In reading order, at most 20,000.
    words: Vec<PlacedWord>,
    /// Where there are words that a reader does not see. What they say is not kept.
    hidden: Vec<[f32; 4]>,
}

/// A word and its place
#[derive(Serialize, ToSchema)]
struct PlacedWord {
    text: String,
    /// Left, bottom, right, top in PDF points from the lower left corner of the page as it is shown.
    #[serde(rename = "box")]
    bounds: [f32; 4],
    origin: Origin,
}

/// The pages of a document
#[utoipa::path(
    get, path = "/v1/documents/{id}/pages", tag = "documents",
    params(("id" = String, Path, description = "The document")),
    responses(
        (status = 200, description = "The pages", body = PageList),
        (status = 409, description = "`no_text_yet`", body = crate::error::Problem, content_type = "application/problem+json"),
        (status = "default", description = "A problem", body = crate::error::Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn list(
    State(app): State<Arc<App>>,
    Id(id): Id,
    uri: Uri,
) -> Result<Json<PageList>, ApiError> {
    Parameters::read(&uri, &[])?;
    let pages = saved_pages(&app, &id).await?.pages;
    let data = pages.iter().map(PageSummary::of).collect();
    Ok(Json(PageList { data, has_more: false, next: None }))
}

/// The words of one page, and where they stand
#[utoipa::path(
    get, path = "/v1/documents/{id}/pages/{page}", tag = "documents",
    params(
        ("id" = String, Path, description = "The document"),
        ("page" = u32, Path, description = "The page, counted from 1"),
    ),
    responses(
        (status = 200, description = "The words", body = PageWords),
        (status = 404, description = "`unknown_page`", body = crate::error::Problem, content_type = "application/problem+json"),
        (status = 409, description = "`no_text_yet`", body = crate::error::Problem, content_type = "application/problem+json"),
        (status = "default", description = "A problem", body = crate::error::Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn show(
    State(app): State<Arc<App>>,
    path: Result<Path<(String, String)>, PathRejection>,
    uri: Uri,
) -> Result<Json<PageWords>, ApiError> {
    Parameters::read(&uri, &[])?;
    // Its percent-encoding gives no UTF-8.
    let unknown = |error: PathRejection| ApiError::new(Code::UnknownRoute, error.to_string());
    let Path((id, number)) = path.map_err(unknown)?;
    let Id(id) = Id::parse(&id)?;
    let pages = saved_pages(&app, &id).await?.pages;
    let page = one(&pages, &id, &number)?;
    let word = |word: &Word| {
        let text = page.text.get(word.start as usize..word.end as usize).unwrap_or_default();
        PlacedWord { text: text.to_owned(), bounds: word.bounds, origin: word.origin }
    };
    Ok(Json(PageWords {
        number: page.number,
        width: page.width,
        height: page.height,
        words: page.words.iter().take(WORDS_MAX).map(word).collect(),
        hidden: page.hidden.clone(),
    }))
}

fn one<'a>(pages: &'a [Page], id: &DocumentId, number: &str) -> Result<&'a Page, ApiError> {
    let page = pages.iter().find(|page| number.parse() == Ok(page.number));
    page.ok_or_else(|| {
        let count = pages.len();
        let number: String = number.chars().take(20).collect();
        ApiError::new(Code::UnknownPage, format!("{id} has {count} pages and no page {number}"))
    })
}
