//! What a child says, held against what it may say. A child that a file has taken over may say
//! anything, and the worker goes on.
//!
//! It must know nothing of processes.

use crate::{
    child::{Answer, HEAD_BYTES_MAX, Job, MemberAnswer, READY, Reply},
    limits::{Limits, TextError},
    pages::{Member, Pages},
    picture::{PageImage, SIDE_MAX},
};
use std::io;
use tokio::io::{AsyncRead, AsyncReadExt};

/// Every answer that is no text is shorter than this.
const ANSWER_BYTES_MIN: u64 = 4096;

/// The longest name of an engine; it becomes part of a file name.
const ENGINE_BYTES_MAX: usize = 64;

/// The longest reason for which a document cannot be read, in characters.
const REASON_CHARS_MAX: usize = 500;

/// The greeting of a child that is confined: the locks that its kernel lacks.
///
/// # Errors
/// When it ends or says something else.
pub(super) async fn greeting(output: &mut (impl AsyncRead + Unpin)) -> io::Result<Vec<String>> {
    let mut ready = [0; READY.len()];
    output.read_exact(&mut ready).await?;
    if ready != READY {
        return Err(io::Error::other("it is not a text child of this version"));
    }
    Ok(serde_json::from_slice(&frame(output, HEAD_BYTES_MAX.into()).await?)?)
}

/// The answer about one file.
///
/// # Errors
/// When it ends early, is longer than allowed, or is no answer.
pub(super) async fn answer(
    output: &mut (impl AsyncRead + Unpin),
    job: Job,
    limits: &Limits,
) -> io::Result<Answer> {
    let json = frame(output, limits.output_bytes_max.max(ANSWER_BYTES_MIN)).await?;
    let mut answer: Answer = serde_json::from_slice(&json)?;
    if let Ok(Reply::Image(image)) = &mut answer {
        image.png = frame(output, limits.image_bytes_max).await?.into();
    }
    checked(answer, job, limits).map_err(io::Error::other)
}

/// The bytes of a file that was taken out of another, at most so many.
///
/// # Errors
/// When it ends early, is longer than allowed, or is no answer.
pub(super) async fn member(
    output: &mut (impl AsyncRead + Unpin),
    bytes_max: u64,
) -> io::Result<Result<Vec<u8>, TextError>> {
    let frame = frame(output, ANSWER_BYTES_MIN).await?;
    let length = match serde_json::from_slice::<MemberAnswer>(&frame)? {
        Ok(length) if length <= bytes_max => length,
        Ok(_) => return Err(io::Error::other("the file is too long")),
        Err(error) => return error_checked(error).map(Err).map_err(io::Error::other),
    };
    let mut bytes = Vec::new();
    output.take(length).read_to_end(&mut bytes).await?;
    if (bytes.len() as u64) < length {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(Ok(bytes))
}

/// Bytes after their length in four. Takes memory only for what really comes.
async fn frame(output: &mut (impl AsyncRead + Unpin), bytes_max: u64) -> io::Result<Vec<u8>> {
    let length = u64::from(output.read_u32().await?);
    if length > bytes_max {
        return Err(io::Error::other("the answer is too long"));
    }
    let mut frame = Vec::new();
    output.take(length).read_to_end(&mut frame).await?;
    if (frame.len() as u64) < length {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(frame)
}

/// The answer, if a child that does its work could have given it.
fn checked(answer: Answer, job: Job, limits: &Limits) -> Result<Answer, &'static str> {
    match answer {
        Ok(Reply::Pages(_)) if job != Job::Text => Err("there is text in place of an image"),
        Ok(Reply::Image(_)) if job == Job::Text => Err("there is an image in place of text"),
        Ok(Reply::Image(image)) if !is_png(&image) => Err("the image is not what it says"),
        Ok(Reply::Pages(pages)) if !is_engine(&pages.engine) => Err("the answer names no engine"),
        Ok(Reply::Pages(pages)) if !are_numbered(&pages, limits.pages_max) => {
            Err("the pages are not in order")
        }
        Ok(Reply::Pages(pages)) if !are_few(&pages.members) => Err("there are too many members"),
        Ok(reply) => Ok(Ok(reply)),
        Err(error) => error_checked(error).map(Err),
    }
}

/// The error, if a child that does its work could have given it.
fn error_checked(error: TextError) -> Result<TextError, &'static str> {
    match &error {
        // An outage is for the parent to say: it would make the document wait for ever.
        TextError::Unavailable(_) => Err("a child that runs is not unavailable"),
        TextError::Unreadable(why)
        | TextError::LimitExceeded(why)
        | TextError::Unsupported(why)
            if why.chars().count() > REASON_CHARS_MAX =>
        {
            Err("the reason is too long")
        }
        _ => Ok(error),
    }
}

fn are_few(members: &[Member]) -> bool {
    let is_short = |member: &Member| {
        let kind = member.content_type.as_ref().map_or(0, |kind| kind.chars().count());
        member.name.chars().count().max(kind) <= Member::NAME_CHARS_MAX
    };
    members.len() <= Pages::MEMBERS_MAX && members.iter().all(is_short)
}

fn is_engine(name: &str) -> bool {
    let is_legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '+' | '-' | '_');
    (1..=ENGINE_BYTES_MAX).contains(&name.len()) && name.chars().all(is_legal)
}

/// Whether the image is a PNG that begins with its head, of the size that is told and allowed (ISO/IEC
/// 15948, 11.2.2).
fn is_png(image: &PageImage) -> bool {
    let is_allowed = |side: u32| (1..=SIDE_MAX).contains(&side);
    let head = [
        b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR".as_slice(),
        &image.width.to_be_bytes(),
        &image.height.to_be_bytes(),
    ];
    is_allowed(image.width) && is_allowed(image.height) && image.png.starts_with(&head.concat())
}

fn are_numbered(pages: &Pages, pages_max: u32) -> bool {
    let numbers = pages.pages.iter().map(|page| page.number);
    pages.pages.len() <= pages_max as usize && numbers.eq((1..).take(pages.pages.len()))
}

/// Whether something broke while the child read, so that nobody knows in what state it is.
pub(super) fn is_fault(pages: Result<&Pages, &TextError>) -> bool {
    match pages {
        Ok(pages) => pages.pages.iter().any(|page| page.error.is_some()),
        Err(TextError::Unreadable(_) | TextError::LimitExceeded(_)) => true,
        Err(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Page, picture::ImageJob};
    use proptest::prelude::*;

    fn pages(engine: &str, numbers: &[u32]) -> Answer {
        let page = |number: &u32| Page { number: *number, text: "é\n".into(), ..Page::default() };
        let pages = numbers.iter().map(page).collect();
        let pages = Pages {
            engine: engine.into(),
            pages,
            warnings: vec!["odd".into()],
            ..Pages::default()
        };
        Ok(Reply::Pages(pages))
    }

    fn framed(answer: &Answer) -> Vec<u8> {
        let frame = |bytes: &[u8]| {
            [u32::try_from(bytes.len()).unwrap().to_be_bytes().to_vec(), bytes.to_vec()].concat()
        };
        let json = frame(&serde_json::to_vec(answer).unwrap());
        match answer {
            Ok(Reply::Image(image)) => [json, frame(&image.png)].concat(),
            _ => json,
        }
    }

    fn heard(bytes: &[u8]) -> io::Result<Answer> {
        heard_of(Job::Text, bytes)
    }

    fn heard_of(job: Job, bytes: &[u8]) -> io::Result<Answer> {
        let limits = Limits { output_bytes_max: 1 << 16, pages_max: 3, ..Limits::default() };
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(answer(&mut &*bytes, job, &limits))
    }

    #[test]
    fn only_what_a_child_may_say_is_believed() {
        let check = |answer: Answer, is_right: bool| {
            let heard = heard(&framed(&answer));
            assert_eq!(heard.ok(), is_right.then_some(answer));
        };
        check(pages("hayro-0.9+rows-1", &[1, 2, 3]), true);
        check(pages("hayro", &[1, 2, 3, 4]), false);
        check(pages("hayro", &[1, 3]), false);
        check(pages("hayro", &[0]), false);
        check(pages("../../../etc/passwd", &[1]), false);
        check(pages("", &[1]), false);
        check(pages(&"x".repeat(65), &[1]), false);
        check(Err(TextError::PasswordRequired), true);
        check(Err(TextError::Unreadable("damaged".into())), true);
        check(Err(TextError::Unreadable("x".repeat(501))), false);
        check(Err(TextError::Unavailable("wait for me".into())), false);
    }

    #[test]
    fn only_an_image_that_is_what_it_says_is_believed() {
        let job = Job::Image(ImageJob { page: 1, dpi: 150, side_max: 9 });
        let png = |width: u32, height: u32| {
            let start = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR".as_slice();
            [start, &width.to_be_bytes(), &height.to_be_bytes(), b"more"].concat()
        };
        let image = |width, height, png: Vec<u8>| {
            Ok(Reply::Image(PageImage { png: png.into(), width, height, is_blank: false }))
        };
        let check = |answer: Answer, is_right: bool| {
            let heard = heard_of(job, &framed(&answer));
            assert_eq!(heard.ok(), is_right.then_some(answer));
        };
        check(image(20, 30, png(20, 30)), true);
        check(image(20, 30, png(20, 31)), false);
        check(image(0, 30, png(0, 30)), false);
        check(image(SIDE_MAX + 1, 30, png(SIDE_MAX + 1, 30)), false);
        check(image(20, 30, b"GIF89a".to_vec()), false);
        check(image(20, 30, Vec::new()), false);
        check(pages("hayro", &[1]), false);
        assert!(heard(&framed(&image(20, 30, png(20, 30)))).is_err(), "text was asked for");
    }

    #[test]
    fn nothing_is_kept_for_bytes_that_never_come() {
        let end = heard(&(1_u32 << 16).to_be_bytes()).unwrap_err();
        assert_eq!(end.kind(), io::ErrorKind::UnexpectedEof);
        let end = heard(&((1_u32 << 16) + 1).to_be_bytes()).unwrap_err();
        assert_eq!(end.to_string(), "the answer is too long");
    }

    proptest! {
        /// However an answer is cut, changed or followed by more: it is an error, or an answer that
        /// a child may give.
        #[test]
        fn no_answer_breaks_the_parent(
            cut in 0_usize..200,
            changes in prop::collection::vec((0_usize..200, any::<u8>()), 0..4),
            more in prop::collection::vec(any::<u8>(), 0..9),
        ) {
            let mut bytes = framed(&pages("hayro", &[1, 2]));
            for (at, byte) in changes {
                if let Some(changed) = bytes.get_mut(at) { *changed = byte }
            }
            bytes.truncate(cut);
            bytes.extend(more);
            if let Ok(Ok(Reply::Pages(pages))) = heard(&bytes) {
                prop_assert!(is_engine(&pages.engine) && are_numbered(&pages, 3));
            }
        }

        #[test]
        fn no_bytes_break_the_parent(bytes in prop::collection::vec(any::<u8>(), 0..99)) {
            let length = u32::try_from(bytes.len()).unwrap().to_be_bytes();
            let _ = heard(&bytes);
            let _ = heard(&[length.to_vec(), bytes].concat());
        }
    }
}
