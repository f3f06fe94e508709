//! Documents that are made of a document: of the files that it carries, and of the ranges of its
//! pages that are documents of their own.
//!
//! Their ids follow from the document and the part, their files are written before their rows, and
//! the rows come in one transaction: whoever dies when, the next attempt makes the same ones, once.

use crate::{
    ended,
    extract::several::{self, Start},
    read::source,
    worker::{Outage, Worker, outage},
};
use bytes::Bytes;
use reader::{FileType, Format, Member, TextError};
use sha2::{Digest, Sha256};
use shared::{
    blob::BlobKey,
    config::Attachments,
    document::{Failure, FailureCode, PageRange, Part, SplitMode, Stage},
    extraction::Pages,
    fault,
    job::{Claim, Verdict},
    schema::hexadecimal,
    store::NewMember,
};

/// Makes documents of what the document carries, and gives what is left to ask about. A cover, or a
/// file that holds several documents and is to be split, ends here.
///
/// # Errors
/// The verdict where nothing is left to ask about, or a service does not answer.
pub(crate) async fn divide(
    worker: &Worker,
    claim: &Claim,
    mut pages: Pages,
) -> Result<Pages, Verdict> {
    let mut made = attachments(worker, claim, &mut pages).await?;
    let starts = several::starts(&pages);
    let ranges = match mode(worker, claim) {
        SplitMode::Auto => several::ranges(&pages, &starts),
        SplitMode::Warn | SplitMode::Off => Vec::new(),
    };
    if ranges.is_empty() && mode(worker, claim) != SplitMode::Off {
        pages.warnings.extend(starts.first().map(Start::warning));
    }
    for (number, range) in (0..).zip(&ranges) {
        let member = range_member(claim, number, *range);
        pages.warnings.push(format!("{range} of the file: a document of its own, {}", member.id));
        made.push(member);
    }
    let (is_split, is_empty) = (pages.is_cover || !ranges.is_empty(), made.is_empty());
    if is_split && is_empty {
        return Err(Verdict::Reject(only_cover(&pages)));
    }
    if !is_empty {
        insert(worker, claim, made).await?;
    }
    if !is_split {
        return Ok(pages);
    }
    fault::point("members-inserted");
    if worker.services.store.work().split(claim, &pages.warnings).await.map_err(outage)? {
        ended::split(claim);
    }
    Err(Verdict::Done)
}

/// What is to become of a file with several documents. A part is not taken apart once more.
fn mode(worker: &Worker, claim: &Claim) -> SplitMode {
    let asked = claim.split.unwrap_or(worker.settings.members.split);
    let is_part = claim.parent.as_ref().is_some_and(|p| matches!(p.part, Part::Pages(_)));
    if is_part && asked == SplitMode::Auto { SplitMode::Warn } else { asked }
}

/// The documents to be made of the files that a document carries. Each that is none is named in the
/// warnings, with the reason.
async fn attachments(
    worker: &Worker,
    claim: &Claim,
    pages: &mut Pages,
) -> Result<Vec<NewMember>, Verdict> {
    let limits = &worker.settings.members;
    let reason = match (limits.attachments, &claim.saved_text) {
        _ if pages.members.is_empty() => return Ok(Vec::new()),
        (Attachments::Warn, _) => Some("members.attachments is \"warn\"".to_owned()),
        (_, Some(_)) => Some("it opens only with the password, which is not kept".to_owned()),
        _ if claim.depth >= limits.depth_max => {
            Some(format!("members.depth_max is {}", limits.depth_max))
        }
        _ => None,
    };
    if let Some(reason) = reason {
        let unread =
            |member: &Member| format!("the attachment {} was not read: {reason}", member.name);
        pages.warnings.extend(pages.members.iter().map(unread));
        return Ok(Vec::new());
    }
    let file = source(worker, claim).await?;
    let (mut made, mut bytes_left) = (Vec::new(), limits.bytes_max);
    for (number, member) in pages.members.iter().enumerate() {
        let name = &member.name;
        let taken = match made.len() < limits.count_max as usize {
            true => attachment(worker, claim, &file, number, member, bytes_left).await?,
            false => Err(format!("members.count_max is {}", limits.count_max)),
        };
        let said = match taken {
            Ok(taken) => {
                bytes_left = bytes_left.saturating_sub(taken.size_bytes);
                let said = format!("the attachment {name} is a document of its own: {}", taken.id);
                made.push(taken);
                said
            }
            Err(reason) => format!("the attachment {name} was not read: {reason}"),
        };
        pages.warnings.push(said);
    }
    Ok(made)
}

/// The document to be made of the attachment of this number, with its file in storage; or why there is
/// none.
async fn attachment(
    worker: &Worker,
    claim: &Claim,
    file: &Bytes,
    number: usize,
    member: &Member,
    bytes_left: u64,
) -> Result<Result<NewMember, String>, Verdict> {
    let taken = worker.text.member(file, claim.file_type, number, bytes_left).await;
    let bytes = match taken {
        Ok(bytes) => bytes,
        Err(error @ TextError::Unavailable(_)) => return Err(outage(Outage(error.to_string()))),
        Err(TextError::LimitExceeded(what)) => {
            return Ok(Err(format!("it takes more than {what}; members.bytes_max sets the limit")));
        }
        Err(error) => return Ok(Err(error.to_string())),
    };
    let head = bytes.get(..Format::SNIFF_BYTES).unwrap_or(&bytes);
    let file_type = FileType::sniff(head, &member.name, member.content_type.as_deref());
    let Some(file_type) = file_type.filter(|_| !bytes.is_empty()) else {
        return Ok(Err("it is of no format that is read".to_owned()));
    };
    let sha256 = hexadecimal(&Sha256::digest(&bytes));
    let id = claim.document.of_part(u32::try_from(number).unwrap_or(u32::MAX), &sha256);
    let (source, size_bytes) = (BlobKey::member(&claim.document, &id), bytes.len() as u64);
    worker.services.blobs.put_if_absent(&source, bytes).await.map_err(outage)?;
    fault::point("member-saved");
    let (part, filename) = (Part::Attachment(member.name.clone()), member.name.clone());
    Ok(Ok(NewMember { id, part, source, filename, file_type, size_bytes, sha256 }))
}

/// The document to be made of some pages of the claimed one. Its file is the same.
fn range_member(claim: &Claim, number: u32, range: PageRange) -> NewMember {
    NewMember {
        id: claim.document.of_part(number, &range.to_string()),
        part: Part::Pages(range),
        source: claim.source.clone(),
        filename: claim.filename.clone(),
        file_type: claim.file_type,
        size_bytes: claim.size_bytes,
        sha256: claim.sha256.clone(),
    }
}

/// Inserts them, and keeps beside them what their rows say.
async fn insert(worker: &Worker, claim: &Claim, made: Vec<NewMember>) -> Result<(), Verdict> {
    let services = &worker.services;
    fault::point("members-saved");
    let inserted = services.store.members().insert(claim, made).await.map_err(outage)?;
    // Lost to somebody else, cancelled or deleted: there is nothing to do any more.
    let inserted = inserted.ok_or(Verdict::Done)?;
    fault::point("members-accepted");
    for document in inserted {
        // Only now: nobody is to make a document again of which there was never a row.
        let about = serde_json::to_vec(&document).unwrap_or_default();
        let key = BlobKey::about(&document.id);
        services.blobs.put_if_absent(&key, about.into()).await.map_err(outage)?;
    }
    services.relay.nudge();
    Ok(())
}

/// Why a portfolio ends without a result.
fn only_cover(pages: &Pages) -> Failure {
    let message = format!(
        "its page is only a cover for what is attached to it, and none of that could be read ({}): \
         upload it as documents of their own",
        pages.warnings.join("; ")
    );
    Failure::new(FailureCode::UnsupportedDocument, Stage::Text, message)
}
