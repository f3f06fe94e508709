//! Waits for a document by looking at its row, until something happens, time is up, or the
//! program stops.

use super::app::{App, Serving};
use crate::error::ApiError;
use shared::document::{Document, DocumentId};
use std::time::Duration;
use tokio::time::Instant;

/// The pause after the first look.
const PAUSE_MIN: Duration = Duration::from_millis(50);

/// The longest pause between two looks.
const PAUSE_MAX: Duration = Duration::from_millis(250);

/// The document as soon as it is as `wanted`, or as it is when time is up.
pub(super) async fn until(
    app: &App,
    serving: &Serving,
    id: &DocumentId,
    wait_max: Duration,
    wanted: impl Fn(&Document) -> bool,
) -> Result<Document, ApiError> {
    let end = Instant::now() + wait_max;
    let mut pause = PAUSE_MIN;
    loop {
        let document = app.document(id).await?;
        let left = end.saturating_duration_since(Instant::now());
        if wanted(&document) || left.is_zero() || serving.stop.is_cancelled() {
            return Ok(document);
        }
        tokio::select! {
            () = serving.stop.cancelled() => {}
            () = tokio::time::sleep(pause.min(left)) => {}
        }
        pause = (pause * 3 / 2).min(PAUSE_MAX);
    }
}
