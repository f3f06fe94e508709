//! The parent's side: a small pool of warm children, each killed when it takes too long or breaks.
//!
//! It must know nothing of how a format is read.

use crate::{
    child::{Answer, Head, LIMITS, READY},
    file_type::FileType,
    files::Engine,
    limits::{Limit, Limits, TextError},
    pages::Pages,
};
use bytes::Bytes;
use deadpool::managed::{self, Metrics, Pool, PoolError, RecycleError, RecycleResult};
use rustix::process::Signal;
use std::{
    ffi::OsString, io, os::unix::process::ExitStatusExt, path::PathBuf, process::Stdio,
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    process::{Child, ChildStdin, ChildStdout, Command},
    time::timeout,
};

/// After so many files a child has earned its rest, and what it leaked goes with it.
const FILES_PER_CHILD: u32 = 20;

/// How much of a broken child's last words is read.
const LAST_WORDS_BYTES: u64 = 4096;

/// Every answer that is no text is shorter than this.
const ANSWER_BYTES_MIN: u64 = 4096;

/// How long a child has to start. Long, for the machine may be busy.
const START: Duration = Duration::from_secs(20);

/// How long a broken child has to be gone.
const REAP: Duration = Duration::from_secs(5);

/// Reads files in child processes.
#[derive(Debug)]
pub struct TextReader {
    pool: Pool<Nursery>,
    engine: Engine,
    limits: Limits,
}

impl TextReader {
    /// Children are this program (an absolute path) with these arguments, at most `children_max`
    /// at once. Nothing is started yet.
    pub fn new(
        program: PathBuf,
        arguments: Vec<OsString>,
        engine: Engine,
        limits: Limits,
        children_max: usize,
    ) -> Self {
        let nursery = Nursery { program, arguments, limits: limits.clone() };
        let pool = Pool::builder(nursery).max_size(children_max.max(1)).build();
        // Without time-outs on the pool there is nothing that building could refuse.
        #[expect(clippy::expect_used, reason = "deadpool asks for a runtime only with time-outs")]
        let pool = pool.expect("a pool without time-outs");
        Self { pool, engine, limits }
    }

    /// The text of a file, page by page. Cancel-safe: a child that was busy is killed.
    ///
    /// Waits as long as every child is busy. A document without text is no error: its pages are
    /// empty.
    ///
    /// # Errors
    /// Why there is no text. Only [`TextError::Unavailable`] may end otherwise the next time.
    pub async fn read(&self, bytes: Bytes, file_type: FileType) -> Result<Pages, TextError> {
        let started = tokio::time::Instant::now();
        if bytes.len() as u64 > self.limits.input_bytes_max {
            return Err(self.limits.exceeded(Limit::Input));
        }
        let answer = self.ask(&bytes, file_type).await;
        match &answer {
            Ok(pages) => {
                metrics::histogram!("sluice_text_seconds", "engine" => pages.engine.clone())
                    .record(started.elapsed().as_secs_f64())
            }
            Err(error) => {
                metrics::counter!("sluice_text_failures_total", "reason" => error.label())
                    .increment(1);
            }
        }
        answer
    }

    async fn ask(&self, bytes: &Bytes, file_type: FileType) -> Answer {
        let head = Head { file_type, engine: self.engine, bytes: bytes.len() as u64 };
        let mut slot = self.pool.get().await.map_err(|error| match error {
            PoolError::Backend(error) => unavailable(error),
            other => TextError::Unavailable(other.to_string()),
        })?;
        let mut reader = match slot.reader.take() {
            Some(reader) => reader,
            None => self.nursery().start().await.map_err(unavailable)?,
        };
        // From here on the reader is ours: whoever drops this future kills the child.
        let was_used = reader.files > 0;
        let mut answer = reader.read(&head, bytes, &self.limits).await;
        if was_used && matches!(answer, Err(Broken::Dead(_))) {
            // A child that was used before may have died of another file: ask a fresh one.
            reader = self.nursery().start().await.map_err(unavailable)?;
            answer = reader.read(&head, bytes, &self.limits).await;
        }
        match answer {
            Ok(answer) => {
                slot.reader = Some(reader);
                answer
            }
            Err(Broken::Slow(error) | Broken::Dead(error)) => Err(error),
        }
    }

    fn nursery(&self) -> &Nursery {
        self.pool.manager()
    }
}

fn unavailable(error: io::Error) -> TextError {
    TextError::Unavailable(error.to_string())
}

/// Makes children, and decides which may live on.
#[derive(Debug)]
struct Nursery {
    program: PathBuf,
    arguments: Vec<OsString>,
    limits: Limits,
}

/// The place of one child in the pool; empty while it reads, and after it broke.
#[derive(Debug)]
struct Slot {
    reader: Option<Reader>,
}

impl Nursery {
    /// A child that has said that its limits hold.
    async fn start(&self) -> io::Result<Reader> {
        let limits = serde_json::to_string(&self.limits)?;
        let mut command = Command::new(&self.program);
        // Whatever this process knows, the child must not.
        command.args(&self.arguments).env_clear().env(LIMITS, limits).current_dir("/");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // An interrupt from the terminal is for this process, which then drains: its children
        // must read on.
        command.process_group(0);
        let mut child = command.kill_on_drop(true).spawn()?;
        let gone = || io::Error::other("a child without pipes");
        let input = child.stdin.take().ok_or_else(gone)?;
        let mut output = child.stdout.take().ok_or_else(gone)?;
        let mut greeting = [0; READY.len()];
        match timeout(START, output.read_exact(&mut greeting)).await {
            Ok(Ok(_)) if greeting == READY => Ok(Reader { child, input, output, files: 0 }),
            Ok(Ok(_)) => Err(io::Error::other("it is not a text child")),
            Ok(Err(_)) => Err(io::Error::other("it could not limit itself")),
            Err(_) => Err(io::Error::other("it did not start in time")),
        }
    }
}

impl managed::Manager for Nursery {
    type Type = Slot;
    type Error = io::Error;

    async fn create(&self) -> Result<Slot, io::Error> {
        Ok(Slot { reader: Some(self.start().await?) })
    }

    async fn recycle(&self, slot: &mut Slot, _: &Metrics) -> RecycleResult<io::Error> {
        let is_fit = slot.reader.as_mut().is_some_and(|reader| {
            reader.files < FILES_PER_CHILD && matches!(reader.child.try_wait(), Ok(None))
        });
        if is_fit { Ok(()) } else { Err(RecycleError::message("the child is done")) }
    }
}

/// A child and the pipes to it.
#[derive(Debug)]
struct Reader {
    child: Child,
    input: ChildStdin,
    output: ChildStdout,
    files: u32,
}

/// Why there was no answer.
enum Broken {
    /// It took too long. Time is counted anew for each file: no other file is to blame.
    Slow(TextError),
    /// It died, or talked nonsense.
    Dead(TextError),
}

impl Reader {
    async fn read(&mut self, head: &Head, file: &[u8], limits: &Limits) -> Result<Answer, Broken> {
        match timeout(limits.wall, self.exchange(head, file, limits)).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(self.exit_cause(&error, limits).await),
            Err(_) => Err(Broken::Slow(limits.exceeded(Limit::Wall))),
        }
    }

    async fn exchange(&mut self, head: &Head, file: &[u8], limits: &Limits) -> io::Result<Answer> {
        let head = serde_json::to_vec(head)?;
        let length = u32::try_from(head.len()).map_err(io::Error::other)?;
        self.input.write_all(&length.to_be_bytes()).await?;
        self.input.write_all(&head).await?;
        self.input.write_all(file).await?;
        self.input.flush().await?;
        let length = self.output.read_u32().await?;
        // A child that was taken over could announce anything.
        if u64::from(length) > limits.output_bytes_max.max(ANSWER_BYTES_MIN) {
            return Err(io::Error::other("the answer is too long"));
        }
        let mut answer = vec![0; length as usize];
        self.output.read_exact(&mut answer).await?;
        let answer = serde_json::from_slice(&answer)?;
        self.files += 1;
        Ok(answer)
    }

    /// Why the child broke.
    async fn exit_cause(&mut self, error: &io::Error, limits: &Limits) -> Broken {
        // One that has not died of it, but talks nonsense, is killed.
        let status = match timeout(REAP, self.child.wait()).await {
            Ok(Ok(status)) => status,
            _ => {
                let message = format!("reading it broke the reader: {error}");
                return Broken::Dead(TextError::Unreadable(message));
            }
        };
        let mut words = Vec::new();
        if let Some(stderr) = self.child.stderr.take() {
            // What cannot be read is not needed: it only refines the reason.
            let _ = timeout(REAP, stderr.take(LAST_WORDS_BYTES).read_to_end(&mut words)).await;
        }
        cause(status.signal(), &String::from_utf8_lossy(&words), limits)
    }
}

/// What the end of a child says about the file.
fn cause(signal: Option<i32>, words: &str, limits: &Limits) -> Broken {
    let is = |other: Signal| signal == Some(other.as_raw());
    if is(Signal::XCPU) {
        return Broken::Slow(limits.exceeded(Limit::Cpu));
    }
    if is(Signal::KILL) || (signal.is_some() && words.contains("memory allocation of")) {
        // We did not kill it, so the kernel did: it kills what takes the machine's last memory.
        return Broken::Dead(limits.exceeded(Limit::Memory));
    }
    let how = match signal {
        Some(_) if words.contains("overflowed its stack") => "it is nested too deep".to_owned(),
        Some(signal) => format!("signal {signal}"),
        None => "it ended".to_owned(),
    };
    Broken::Dead(TextError::Unreadable(format!("reading it broke the reader: {how}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_child_says_why() {
        let limits = Limits::default();
        let check = |signal: Option<Signal>, words: &str, expected: &str| {
            let (Broken::Slow(said) | Broken::Dead(said)) =
                cause(signal.map(Signal::as_raw), words, &limits);
            assert!(said.to_string().contains(expected), "{said}");
        };
        check(Some(Signal::XCPU), "", "more than 20 s of processor time");
        check(Some(Signal::ABORT), "memory allocation of 9 bytes failed", "1024 MiB of memory");
        check(Some(Signal::KILL), "", "1024 MiB of memory");
        check(Some(Signal::ABORT), "thread 'x' has overflowed its stack", "nested too deep");
        check(Some(Signal::SEGV), "", "broke the reader: signal 11");
        check(None, "", "broke the reader");
    }
}
