//! The text of a document: from its file in storage, by a child process, and back to storage; and
//! the images of the pages that have none.

use crate::{
    extract::compiled::CompiledSchema,
    worker::{Outage, Worker, outage},
};
use bytes::Bytes;
use reader::{PageImage, TextError};
use shared::{
    blob::BlobKey,
    config::Scans,
    document::{Failure, FailureCode, Part, Stage},
    extraction::{Page, Pages},
    fault,
    job::{Claim, Verdict},
};
use std::collections::BTreeMap;

/// The images that models are shown, by the number of their page.
pub(crate) type Images = BTreeMap<u32, PageImage>;

/// The longest side of an image that models are shown, in pixels: they make larger ones smaller.
const SIDE_SHOWN: u32 = 2048;

/// The most bytes of all images of a document, which a worker holds until it is answered.
const IMAGES_BYTES_MAX: usize = 64 << 20;

/// What to do where nothing reads scans.
const REMEDY: &str = "install tesseract where the worker runs, or set vision = true on a deployment \
                      whose model takes images (docs/scans.md)";

/// Reads and saves the text of a document, and makes images of the pages without any where models
/// are to see them.
///
/// # Errors
/// When there is no text now, or never will be.
pub(crate) async fn read(
    worker: &Worker,
    claim: &Claim,
    schema: &CompiledSchema,
) -> Result<(Pages, Images), Verdict> {
    let (blobs, store) = (&worker.services.blobs, &worker.services.store);
    let mut pages = match saved(worker, claim).await? {
        Some(pages) => pages,
        None => {
            let source = source(worker, claim).await?;
            worker.text.read(&source, claim.file_type).await.map_err(refused)?
        }
    };
    if let Some(Part::Pages(range)) = claim.parent.as_ref().map(|parent| &parent.part) {
        pages.pages.retain(|page| range.contains(page.number));
        // What the file carries and what is odd about it is said of the whole.
        (pages.members, pages.warnings) = (Vec::new(), Vec::new());
        pages.e_invoices.clear();
    }
    // Of a saved text: they are to be shown again.
    for page in pages.pages.iter_mut().filter(|page| page.is_shown) {
        (page.is_shown, page.is_picture) = (false, true);
    }
    let images = match are_shown(worker, worker.model(schema), &pages).map_err(Verdict::Reject)? {
        true => show(worker, claim, &mut pages).await?,
        false => Images::new(),
    };
    let text = serde_json::to_vec(&pages).map_err(|error| outage(Outage(error.to_string())))?;
    let key = BlobKey::text(&claim.document, &pages.engine);
    blobs.put_if_absent(&key, text.into()).await.map_err(outage)?;
    let count = u32::try_from(pages.pages.len()).unwrap_or(u32::MAX);
    fault::point("text-saved");
    store.work().text_read(claim, &pages.engine, count).await.map_err(outage)?;
    Ok((pages, images))
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
pub(crate) fn has_text(pages: &Pages, images: &Images) -> Result<(), Verdict> {
    match pages.without_text().len() < pages.pages.len() || !images.is_empty() {
        true => Ok(()),
        false => Err(Verdict::Reject(no_text(pages))),
    }
}

/// Whether models are shown the pages that were not read.
///
/// # Errors
/// When there are such pages, and the settings want none.
fn are_shown(worker: &Worker, model: &str, pages: &Pages) -> Result<bool, Failure> {
    let sees = || worker.models(model).any(|model| worker.pool.sees(model));
    let picture = pages.pages.iter().find(|page| page.is_picture);
    let fail = |code, message| Err(Failure::new(code, Stage::Text, message));
    match worker.settings.scans {
        Scans::Auto => Ok(sees()),
        Scans::Ocr => Ok(false),
        Scans::Vision if picture.is_some() && !sees() => {
            let message = format!(
                "there are pages without text, text.scans is \"vision\", and no deployment of \
                 {model:?} has vision = true"
            );
            fail(FailureCode::NoDeployment, message)
        }
        Scans::Vision => Ok(true),
        Scans::Fail => match picture {
            Some(page) => {
                let number = page.number;
                let message = format!("page {number} is a picture, and text.scans is \"fail\"");
                fail(FailureCode::NoText, message)
            }
            None => Ok(false),
        },
    }
}

/// Makes images of the pages that were not read, and marks these as shown.
async fn show(worker: &Worker, claim: &Claim, pages: &mut Pages) -> Result<Images, Verdict> {
    let most = worker.settings.scan_pages_max;
    let mut images = Images::new();
    if !pages.pages.iter().any(Page::is_unread) {
        return Ok(images);
    }
    let source = source(worker, claim).await?;
    let mut bytes = 0;
    for page in pages.pages.iter_mut().filter(|page| page.is_unread()) {
        let is_full = images.len() as u64 >= u64::from(most);
        if is_full || bytes > IMAGES_BYTES_MAX {
            page.error.get_or_insert_with(|| {
                let megabytes = IMAGES_BYTES_MAX >> 20;
                format!(
                    "models are shown no more than {most} pages of a document (text.scan_pages_max) \
                     and {megabytes} MiB of images: split it, or install tesseract"
                )
            });
            continue;
        }
        let unread = std::mem::take(page);
        match worker.text.image(&source, claim.file_type, unread.number, SIDE_SHOWN).await {
            Ok(image) if image.is_blank => *page = Page { is_picture: false, ..unread },
            Ok(image) => {
                bytes += image.png.len();
                images.insert(unread.number, image);
                *page = as_shown(unread);
            }
            // Formats without images stay as they are.
            Err(TextError::Unsupported(_)) => *page = unread,
            Err(error @ TextError::Unavailable(_)) => return Err(refused(error)),
            Err(error) => {
                let why = unread.error.clone().unwrap_or_else(|| error.to_string());
                *page = Page { error: Some(why), ..unread };
            }
        }
    }
    Ok(images)
}

/// A page of which models see the image. Letters that were read wrongly would only mislead.
fn as_shown(page: Page) -> Page {
    let is_wrong = page.error.is_some();
    let page = Page { is_shown: true, is_picture: false, error: None, ..page };
    match is_wrong {
        true => Page { text: String::new(), words: Vec::new(), ..page },
        false => page,
    }
}

fn no_text(pages: &Pages) -> Failure {
    let count = pages.pages.len();
    let message = match pages.pages.iter().find_map(|page| page.error.as_deref()) {
        Some(error) => format!("none of the {count} pages has text: {error}"),
        None => format!("none of the {count} pages has text: if it is a scan, {REMEDY}"),
    };
    Failure::new(FailureCode::NoText, Stage::Text, message)
}

/// What it means that a file could not be read.
fn refused(error: TextError) -> Verdict {
    match failure(&error) {
        Some(failure) => Verdict::Reject(failure),
        None => outage(Outage(error.to_string())),
    }
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
