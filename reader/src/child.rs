//! The child: confines itself before it reads a byte, then answers one file after the other, until
//! its input ends.
//!
//! It holds no key, no connection and no file. It must know nothing of the parent but the frames
//! on its standard streams.

use crate::{
    file_type::FileType,
    files::{self, Engine},
    limits::{Limit, Limits, TextError},
    ocr_child::{self, OCR_SETUP},
    pages::Pages,
    panic,
    picture::{ImageJob, PageImage},
    sandbox::{self, Confinement},
};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde::{Deserialize, Serialize};
use std::{
    any::Any,
    io::{self, ErrorKind, Read, Write},
    panic::{AssertUnwindSafe, catch_unwind},
    process::ExitCode,
};

/// The variable that holds [`Setup`], as JSON.
pub(super) const SETUP: &str = "SLUICE_TEXT_SETUP";

/// What the parent tells its child.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Setup {
    pub(super) confinement: Confinement,
    pub(super) limits: Limits,
}

/// What the child says once, as soon as it is confined. A program that does not say it is no child.
/// A frame follows: JSON, a list of the locks that the kernel lacks.
pub(super) const READY: [u8; 8] = *b"sluice 3";

/// The longest head of a file, and the longest greeting.
pub(super) const HEAD_BYTES_MAX: u32 = 4096;

/// What comes before a file's bytes.
#[derive(Serialize, Deserialize)]
pub(super) struct Head {
    pub(super) file_type: FileType,
    pub(super) engine: Engine,
    pub(super) bytes: u64,
    pub(super) job: Job,
    /// For a PDF that opens only with it; empty for all others.
    pub(super) password: String,
}

/// What to do with a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Job {
    /// Read its text. An [`Answer`] comes back.
    Text,
    /// Take out the file of this number that it carries, counted from 0, of at most so many bytes. A
    /// [`MemberAnswer`] comes back, and the bytes after it.
    Member { number: usize, bytes_max: u64 },
    /// The image of a page. An [`Answer`] comes back.
    Image(ImageJob),
}

/// What comes back: JSON, after its length in four bytes, the most significant first. The bytes of
/// an image follow in the same way.
pub(super) type Answer = Result<Reply, TextError>;

/// What was wanted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Reply {
    Pages(Pages),
    Image(PageImage),
}

/// What comes back of a file that was taken out: how many bytes follow.
pub(super) type MemberAnswer = Result<u64, TextError>;

/// Runs the child to its end: the body of the hidden subcommand that [`TextReader`] starts. Where it is
/// to read a page by OCR, it becomes the OCR program.
///
/// [`TextReader`]: crate::TextReader
pub fn main() -> ExitCode {
    if let Ok(setup) = std::env::var(OCR_SETUP) {
        return ocr_child::main(&setup);
    }
    let setup = std::env::var(SETUP).ok().and_then(|text| serde_json::from_str(&text).ok());
    let Some(Setup { confinement, limits }) = setup else {
        return ExitCode::from(2);
    };
    match sandbox::run(confinement, move |missing| serve(&limits, &missing)) {
        Ok(Ok(())) => ExitCode::SUCCESS,
        Ok(Err(_)) => ExitCode::FAILURE,
        Err(error) => {
            let _ = write!(io::stderr(), "{error}");
            ExitCode::from(3)
        }
    }
}

/// Allows the next file its processor time, on top of what was used before.
fn allow_time(seconds: u64) -> io::Result<()> {
    let used = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime).tv_sec;
    let until = u64::try_from(used).unwrap_or_default().saturating_add(seconds).saturating_add(1);
    let maximum = getrlimit(Resource::Cpu).maximum;
    Ok(setrlimit(Resource::Cpu, Rlimit { current: Some(until), maximum })?)
}

fn serve(limits: &Limits, missing: &[String]) -> io::Result<()> {
    // A page that breaks the reader is reported by its number, not by a trace: standard error is
    // for why it cannot start, and for the last words of a runtime that aborts.
    std::panic::set_hook(Box::new(|_| {}));
    let (mut input, mut output) = (io::stdin().lock(), io::stdout().lock());
    output.write_all(&READY)?;
    send(&mut output, &serde_json::to_vec(missing)?)?;
    loop {
        let head = match frame(&mut input) {
            Ok(head) => head,
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(()),
            Err(error) => return Err(error),
        };
        let head: Head = serde_json::from_slice(&head)?;
        allow_time(limits.cpu_seconds_max)?;
        let mut bytes = Vec::new();
        if head.bytes > limits.input_bytes_max {
            return Err(io::Error::other("the file is too long"));
        }
        input.by_ref().take(head.bytes).read_to_end(&mut bytes)?;
        if (bytes.len() as u64) < head.bytes {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        match head.job {
            Job::Text | Job::Image(_) => {
                let answer = read(&head, &bytes, limits);
                let mut json = serde_json::to_vec(&answer)?;
                if json.len() as u64 > limits.output_bytes_max {
                    json = serde_json::to_vec(&Answer::Err(limits.exceeded(Limit::Output)))?;
                }
                send(&mut output, &json)?;
                if let Ok(Reply::Image(image)) = &answer {
                    send(&mut output, &image.png)?;
                }
            }
            Job::Member { number, bytes_max } => {
                let (answer, bytes) = match member(&head, &bytes, number, bytes_max) {
                    Ok(bytes) => (MemberAnswer::Ok(bytes.len() as u64), bytes),
                    Err(error) => (Err(error), Vec::new()),
                };
                send(&mut output, &serde_json::to_vec(&answer)?)?;
                output.write_all(&bytes)?;
                output.flush()?;
            }
        }
    }
}

fn send(output: &mut impl Write, frame: &[u8]) -> io::Result<()> {
    let length = u32::try_from(frame.len()).map_err(io::Error::other)?;
    output.write_all(&length.to_be_bytes())?;
    output.write_all(frame)?;
    output.flush()
}

fn frame(input: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut length = [0; 4];
    input.read_exact(&mut length)?;
    let length = u32::from_be_bytes(length);
    if length > HEAD_BYTES_MAX {
        return Err(io::Error::other("the head is too long"));
    }
    let mut frame = vec![0; length as usize];
    input.read_exact(&mut frame)?;
    Ok(frame)
}

/// Does what is wanted of one file, and survives a reader that panics.
pub(super) fn read(head: &Head, bytes: &[u8], limits: &Limits) -> Answer {
    survived(|| match head.job {
        Job::Image(job) => {
            files::image(head.file_type, bytes, job, limits, &head.password).map(Reply::Image)
        }
        _ => files::read(head.file_type, head.engine, bytes, limits, &head.password)
            .map(Reply::Pages),
    })
}

/// Takes out a file that a file carries, and survives a reader that panics.
pub(super) fn member(
    head: &Head,
    bytes: &[u8],
    number: usize,
    bytes_max: u64,
) -> Result<Vec<u8>, TextError> {
    let Head { file_type, password, .. } = head;
    survived(|| files::member(*file_type, bytes, number, bytes_max, password))
}

fn survived<T>(read: impl FnOnce() -> Result<T, TextError>) -> Result<T, TextError> {
    let broken =
        |panic: Box<dyn Any + Send>| Err(TextError::Unreadable(panic::reason(panic.as_ref())));
    catch_unwind(AssertUnwindSafe(read)).unwrap_or_else(broken)
}
