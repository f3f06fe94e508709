//! What a child says, held against what it may say. A child that a file has taken over may say
//! anything, and the worker goes on.
//!
//! It must know nothing of processes.

use crate::{
    child::{Answer, HEAD_BYTES_MAX, READY},
    limits::{Limits, TextError},
    pages::Pages,
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
    limits: &Limits,
) -> io::Result<Answer> {
    let frame = frame(output, limits.output_bytes_max.max(ANSWER_BYTES_MIN)).await?;
    checked(serde_json::from_slice(&frame)?, limits).map_err(io::Error::other)
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
fn checked(answer: Answer, limits: &Limits) -> Result<Answer, &'static str> {
    match &answer {
        Ok(pages) if !is_engine(&pages.engine) => Err("the answer names no engine"),
        Ok(pages) if !are_numbered(pages, limits.pages_max) => Err("the pages are not in order"),
        // An outage is for the parent to say: it would make the document wait for ever.
        Err(TextError::Unavailable(_)) => Err("a child that runs is not unavailable"),
        Err(
            TextError::Unreadable(why)
            | TextError::LimitExceeded(why)
            | TextError::Unsupported(why),
        ) if why.chars().count() > REASON_CHARS_MAX => Err("the reason is too long"),
        _ => Ok(answer),
    }
}

fn is_engine(name: &str) -> bool {
    let is_legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '+' | '-' | '_');
    (1..=ENGINE_BYTES_MAX).contains(&name.len()) && name.chars().all(is_legal)
}

fn are_numbered(pages: &Pages, pages_max: u32) -> bool {
    let numbers = pages.pages.iter().map(|page| page.number);
    pages.pages.len() <= pages_max as usize && numbers.eq((1..).take(pages.pages.len()))
}

/// Whether something broke while the child read, so that nobody knows in what state it is.
pub(super) fn is_fault(answer: &Answer) -> bool {
    match answer {
        Ok(pages) => pages.pages.iter().any(|page| page.error.is_some()),
        Err(TextError::Unreadable(_) | TextError::LimitExceeded(_)) => true,
        Err(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Page;
    use proptest::prelude::*;

    fn pages(engine: &str, numbers: &[u32]) -> Answer {
        let page = |number: &u32| Page { number: *number, text: "é\n".into(), ..Page::default() };
        let pages = numbers.iter().map(page).collect();
        Ok(Pages { engine: engine.into(), pages, warnings: vec!["odd".into()], ..Pages::default() })
    }

    fn framed(answer: &Answer) -> Vec<u8> {
        let json = serde_json::to_vec(answer).unwrap();
        [u32::try_from(json.len()).unwrap().to_be_bytes().to_vec(), json].concat()
    }

    fn heard(bytes: &[u8]) -> io::Result<Answer> {
        let limits = Limits { output_bytes_max: 1 << 16, pages_max: 3, ..Limits::default() };
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(answer(&mut &*bytes, &limits))
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
            if let Ok(Ok(pages)) = heard(&bytes) {
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
