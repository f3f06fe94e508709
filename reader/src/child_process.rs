//! A child as its parent sees it: started, asked, measured, and ended when it takes too long or
//! breaks.
//!
//! It must know nothing of how a format is read, nor of other children.

use crate::{
    answer::{answer, greeting, member},
    child::{Head, Job, Reply, SETUP, Setup},
    limits::{Limit, Limits, TextError},
};
use rustix::process::Signal;
use std::{ffi::OsString, io, os::unix::process::ExitStatusExt, path::Path, process::Stdio};
use std::{sync::mpsc, thread, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    process::{Child, ChildStdin, ChildStdout, Command},
    runtime::Handle,
    sync::oneshot,
    time::timeout,
};

/// How much of a broken child's last words is read.
const LAST_WORDS_BYTES: u64 = 4096;

/// How long a child has to start. Long, for the machine may be busy.
const START: Duration = Duration::from_secs(20);

/// How long a broken child has to be gone.
const REAP: Duration = Duration::from_secs(5);

/// Starts processes from one thread that lives as long as this does: the kernel ends a child that
/// depends on its parent with the *thread* that started it, and threads of a runtime come and go.
#[derive(Debug)]
pub(super) struct Starter {
    starts: mpsc::Sender<Start>,
}

struct Start {
    runtime: Handle,
    command: Command,
    started: oneshot::Sender<io::Result<Child>>,
}

impl Starter {
    /// # Errors
    /// When no thread can be started.
    pub(super) fn new() -> io::Result<Self> {
        let (starts, received) = mpsc::channel::<Start>();
        let start = move || {
            for Start { runtime, mut command, started } in received {
                let _entered = runtime.enter();
                // Where nobody waits any more the child is dropped, and so killed.
                let _ = started.send(command.spawn());
            }
        };
        thread::Builder::new().name("text-starter".to_owned()).spawn(start)?;
        Ok(Self { starts })
    }

    /// Starts a process; the kernel ends it with this process where it asks for that.
    pub(super) async fn start(&self, command: Command) -> io::Result<Child> {
        let gone = || io::Error::other("the thread that starts children is gone");
        let (started, child) = oneshot::channel();
        let start = Start { runtime: Handle::current(), command, started };
        self.starts.send(start).map_err(|_| gone())?;
        child.await.map_err(|_| gone())?
    }
}

/// A child and the pipes to it.
#[derive(Debug)]
pub(super) struct ChildProcess {
    child: Child,
    input: ChildStdin,
    output: ChildStdout,
    /// The locks that its kernel lacks.
    pub(super) missing: Vec<String>,
    /// How many files it has read.
    pub(super) files: u32,
}

/// What a child gave.
#[derive(Debug)]
pub(super) enum Content {
    /// The text of the file, or the image of a page.
    Reply(Reply),
    /// A file that it carries.
    Member(Vec<u8>),
}

/// Why there was no answer.
#[derive(Debug)]
pub(super) enum Broken {
    /// It took too long. Time is counted anew for each file: no other file is to blame.
    Slow(TextError),
    /// It died, or talked nonsense.
    Dead(TextError),
}

impl ChildProcess {
    /// A child that has said that it is confined.
    pub(super) async fn start(
        starter: &Starter,
        program: &Path,
        arguments: &[OsString],
        setup: &Setup,
    ) -> io::Result<Self> {
        let mut command = Command::new(program);
        // Whatever this process knows, the child must not.
        let setup = serde_json::to_string(setup)?;
        command.args(arguments).env_clear().env(SETUP, setup).current_dir("/");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.kill_on_drop(true);
        let mut child = starter.start(command).await?;
        let gone = || io::Error::other("a child without pipes");
        let input = child.stdin.take().ok_or_else(gone)?;
        let mut output = child.stdout.take().ok_or_else(gone)?;
        let error = match timeout(START, greeting(&mut output)).await {
            Ok(Ok(missing)) => return Ok(Self { child, input, output, missing, files: 0 }),
            Ok(Err(error)) => error,
            Err(_) => return Err(io::Error::other("it did not start in time")),
        };
        // One that cannot be confined says why, and ends.
        let words = last_words(&mut child).await;
        Err(if words.is_empty() { error } else { io::Error::other(words) })
    }

    /// Whether it still runs.
    pub(super) fn is_alive(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Memory of its own, in bytes, that it holds now (proc(5): `statm`, resident without shared);
    /// `None` where that cannot be read.
    pub(super) fn memory_held(&self) -> Option<u64> {
        let statm = std::fs::read_to_string(format!("/proc/{}/statm", self.child.id()?)).ok()?;
        let mut pages = statm.split(' ').skip(1).map(str::parse::<u64>);
        let (resident, shared) = (pages.next()?.ok()?, pages.next()?.ok()?);
        Some(resident.saturating_sub(shared) * rustix::param::page_size() as u64)
    }

    /// Has one file read. After an error the child is of no more use.
    pub(super) async fn read(
        &mut self,
        head: &Head,
        file: &[u8],
        limits: &Limits,
    ) -> Result<Result<Content, TextError>, Broken> {
        match timeout(limits.wall, self.exchange(head, file, limits)).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(self.exit_cause(&error, limits).await),
            Err(_) => Err(Broken::Slow(limits.exceeded(Limit::Wall))),
        }
    }

    async fn exchange(
        &mut self,
        head: &Head,
        file: &[u8],
        limits: &Limits,
    ) -> io::Result<Result<Content, TextError>> {
        let json = serde_json::to_vec(head)?;
        let length = u32::try_from(json.len()).map_err(io::Error::other)?;
        self.input.write_all(&length.to_be_bytes()).await?;
        self.input.write_all(&json).await?;
        self.input.write_all(file).await?;
        self.input.flush().await?;
        self.files += 1;
        Ok(match head.job {
            Job::Text | Job::Image(_) => {
                answer(&mut self.output, head.job, limits).await?.map(Content::Reply)
            }
            Job::Member { bytes_max, .. } => {
                member(&mut self.output, bytes_max).await?.map(Content::Member)
            }
        })
    }

    /// Why the child broke.
    async fn exit_cause(&mut self, error: &io::Error, limits: &Limits) -> Broken {
        let has_ended = matches!(
            error.kind(),
            io::ErrorKind::UnexpectedEof
                | io::ErrorKind::BrokenPipe
                | io::ErrorKind::ConnectionReset
        );
        let status = match has_ended {
            true => timeout(REAP, self.child.wait()).await,
            false => Ok(Err(io::Error::other("it talks nonsense"))),
        };
        let Ok(Ok(status)) = status else {
            let message = format!("reading it broke the reader: {error}");
            return Broken::Dead(TextError::Unreadable(message));
        };
        cause(status.signal(), &last_words(&mut self.child).await, limits)
    }
}

/// What a child that ended wrote to its standard error.
async fn last_words(child: &mut Child) -> String {
    let mut words = Vec::new();
    if let Some(stderr) = child.stderr.take() {
        // What cannot be read is not needed: it only refines the reason.
        let _ = timeout(REAP, stderr.take(LAST_WORDS_BYTES).read_to_end(&mut words)).await;
    }
    String::from_utf8_lossy(&words).into_owned()
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
        check(Some(Signal::XCPU), "", "more than 10 s of processor time");
        check(Some(Signal::ABORT), "memory allocation of 9 bytes failed", "1024 MiB of memory");
        check(Some(Signal::KILL), "", "1024 MiB of memory");
        check(Some(Signal::ABORT), "thread 'x' has overflowed its stack", "nested too deep");
        check(Some(Signal::SEGV), "", "broke the reader: signal 11");
        check(None, "", "broke the reader");
    }
}
