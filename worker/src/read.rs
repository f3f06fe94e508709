//! The text of a document: from its file in storage, by a child process, and back to storage.

use crate::worker::{Outage, Worker, outage};
use bytes::Bytes;
use reader::TextError;
use shared::{
    blob::BlobKey,
    document::{Failure, FailureCode, Part, Stage},
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
    let mut pages = match saved(worker, claim).await? {
        Some(pages) => pages,
        None => read_file(worker, claim).await?,
    };
    if let Some(Part::Pages(range)) = claim.parent.as_ref().map(|parent| &parent.part) {
        pages.pages.retain(|page| range.contains(page.number));
        // What the file carries and what is odd about it is said of the whole.
        (pages.members, pages.warnings) = (Vec::new(), Vec::new());
    }
    let text = serde_json::to_vec(&pages).map_err(|error| outage(Outage(error.to_string())))?;
    let key = BlobKey::text(&claim.document, &pages.engine);
    blobs.put_if_absent(&key, text.into()).await.map_err(outage)?;
    let count = u32::try_from(pages.pages.len()).unwrap_or(u32::MAX);
    fault::point("text-saved");
    store.work().text_read(claim, &pages.engine, count).await.map_err(outage)?;
    Ok(pages)
}

/// The text of the document's file.
async fn read_file(worker: &Worker, claim: &Claim) -> Result<Pages, Verdict> {
    let pages = worker.text.read(source(worker, claim).await?, claim.file_type).await;
    pages.map_err(|error| match failure(&error) {
        Some(failure) => Verdict::Reject(failure),
        None => outage(Outage(error.to_string())),
    })
}

/// The file of a document.
///
/// # Errors
/// When storage does not answer or does not have it.
pub(crate) async fn source(worker: &Worker, claim: &Claim) -> Result<Bytes, Verdict> {
    let source = worker.services.blobs.get(&claim.source).await.map_err(outage)?;
    source
        .ok_or_else(|| outage(Outage(format!("the file of {} is not in storage", claim.document))))
}

/// The text, where it is not to be read from the file.
async fn saved(worker: &Worker, claim: &Claim) -> Result<Option<Pages>, Verdict> {
    let Some((document, engine)) = &claim.saved_text else { return Ok(None) };
    let bytes =
        worker.services.blobs.get(&BlobKey::text(document, engine)).await.map_err(outage)?;
    let pages = bytes.map(|bytes| serde_json::from_slice(&bytes)).transpose();
    pages.map_err(|error| outage(Outage(format!("a saved text cannot be read: {error}"))))
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
    let remedy = match error {
        TextError::PasswordRequired => {
            ": upload it again, with the password in the field `password`"
        }
        _ => "",
    };
    Some(Failure::new(code, Stage::Text, format!("{error}{remedy}")))
}
