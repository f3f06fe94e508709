//! The text of a document: from its file in storage, by a child process, and back to storage.

use crate::worker::{Outage, Worker, outage};
use reader::TextError;
use shared::{
    blob::BlobKey,
    document::{Failure, FailureCode, Stage},
    extraction::Pages,
    fault,
    job::{Claim, Verdict},
};

/// Reads and saves the text of a document.
///
/// # Errors
/// When there is no text now, or never will be.
pub(crate) async fn read(worker: &Worker, claim: &Claim) -> Result<Pages, Verdict> {
    let (blobs, store) = (&worker.services.blobs, &worker.services.store);
    let source = blobs.get(&BlobKey::source(&claim.document)).await.map_err(outage)?;
    let gone = || outage(Outage(format!("the file of {} is not in storage", claim.document)));
    let pages = worker.text.read(source.ok_or_else(gone)?, claim.file_type).await;
    let pages = pages.map_err(|error| match failure(&error) {
        Some(failure) => Verdict::Reject(failure),
        None => outage(Outage(error.to_string())),
    })?;
    let text = serde_json::to_vec(&pages).map_err(|error| outage(Outage(error.to_string())))?;
    let key = BlobKey::text(&claim.document, &pages.engine);
    blobs.put_if_absent(&key, text.into()).await.map_err(outage)?;
    let count = u32::try_from(pages.pages.len()).unwrap_or(u32::MAX);
    fault::point("text-saved");
    store.work().text_read(claim, &pages.engine, count).await.map_err(outage)?;
    Ok(pages)
}

/// Refuses a document on whose pages there is nothing to ask about.
///
/// # Errors
/// `no_text`.
pub(crate) fn has_text(pages: &Pages) -> Result<(), Verdict> {
    let count = pages.pages.len();
    if pages.without_text().len() < count {
        return Ok(());
    }
    let message = format!("none of the {count} pages has text: is this a scan?");
    Err(Verdict::Reject(Failure::new(FailureCode::NoText, Stage::Text, message)))
}

/// How the document ends, or `None` when the error says nothing about the document.
fn failure(error: &TextError) -> Option<Failure> {
    let code = match error {
        TextError::PasswordRequired => FailureCode::PasswordRequired,
        TextError::Unreadable(_) => FailureCode::UnreadableDocument,
        TextError::Unsupported(_) => FailureCode::UnsupportedDocument,
        TextError::TooManyPages { .. } => FailureCode::TooManyPages,
        TextError::LimitExceeded(_) => FailureCode::TextLimitExceeded,
        TextError::Unavailable(_) => return None,
    };
    Some(Failure::new(code, Stage::Text, error.to_string()))
}
