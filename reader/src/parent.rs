//! The parent's side: a small pool of warm children. One that broke, grew, or read enough files is
//! replaced.
//!
//! It must know nothing of how a format is read.

use crate::{
    answer::is_fault,
    child::{Head, Job, Setup},
    child_process::{Broken, ChildProcess, Content, Starter},
    file_type::FileType,
    files::Engine,
    limits::{Limit, Limits, TextError},
    pages::Pages,
    sandbox::Confinement,
};
use bytes::Bytes;
use deadpool::managed::{self, Metrics, Pool, PoolError, RecycleError, RecycleResult};
use std::{ffi::OsString, io, path::PathBuf};

/// What children are, and how long each is kept.
#[derive(Clone, Debug)]
pub struct Children {
    /// The program, an absolute path.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<OsString>,
    /// How many there are at most.
    pub count_max: usize,
    /// After so many files a child is replaced, and what it leaked goes with it.
    pub files_max: u32,
    /// A child that holds more memory of its own than this after a file is replaced, in bytes.
    pub memory_kept_bytes_max: u64,
    /// Whether they may read where the kernel lacks Landlock or seccomp filters.
    pub allow_unsandboxed: bool,
}

/// Reads files in child processes.
#[derive(Debug)]
pub struct TextReader {
    pool: Pool<ChildPool>,
    engine: Engine,
    limits: Limits,
}

impl TextReader {
    /// No child is started yet.
    ///
    /// # Errors
    /// When the thread that will start children cannot be started.
    pub fn new(children: Children, engine: Engine, limits: Limits) -> io::Result<Self> {
        let count_max = children.count_max.max(1);
        let confinement = Confinement {
            parent: std::process::id(),
            memory_bytes_max: limits.memory_bytes_max,
            allow_missing: children.allow_unsandboxed,
        };
        let setup = Setup { confinement, limits: limits.clone() };
        let manager = ChildPool { starter: Starter::new()?, children, setup };
        let pool = Pool::builder(manager).max_size(count_max).build().map_err(io::Error::other)?;
        Ok(Self { pool, engine, limits })
    }

    /// Starts a child, so that a machine on which no document can be read is known at once. Gives
    /// the locks that its kernel lacks, where they may be missing.
    ///
    /// # Errors
    /// [`TextError::Unavailable`], with what to do about it.
    pub async fn check(&self) -> Result<Vec<String>, TextError> {
        let slot = self.slot().await?;
        Ok(slot.child.as_ref().map(|child| child.missing.clone()).unwrap_or_default())
    }

    /// The text of a file, page by page, and the names of the files that it carries. Cancel-safe: a
    /// child that was busy is killed.
    ///
    /// Waits as long as every child is busy. A document without text is no error: its pages are
    /// empty.
    ///
    /// # Errors
    /// Why there is no text. Only [`TextError::Unavailable`] may end otherwise the next time.
    pub async fn read(&self, bytes: Bytes, file_type: FileType) -> Result<Pages, TextError> {
        self.read_locked(bytes, file_type, "").await
    }

    /// The same for a file that may open only with this password. The password goes nowhere but to
    /// the child that reads the file.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub async fn read_locked(
        &self,
        bytes: Bytes,
        file_type: FileType,
        password: &str,
    ) -> Result<Pages, TextError> {
        let started = tokio::time::Instant::now();
        let answer = match self.ask(&bytes, file_type, Job::Text, password).await {
            Ok(Content::Text(pages)) => Ok(pages),
            Ok(Content::Member(_)) => Err(TextError::Unavailable("it gave no text".to_owned())),
            Err(error) => Err(error),
        };
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

    /// The bytes of a file that a file carries: of the one with this number among
    /// [`Pages::members`], counted from 0. At most `bytes_max`. Cancel-safe, as [`Self::read`].
    ///
    /// # Errors
    /// Why it cannot be had. Only [`TextError::Unavailable`] may end otherwise the next time.
    pub async fn member(
        &self,
        bytes: Bytes,
        file_type: FileType,
        number: usize,
        bytes_max: u64,
    ) -> Result<Bytes, TextError> {
        match self.ask(&bytes, file_type, Job::Member { number, bytes_max }, "").await? {
            Content::Member(bytes) => Ok(bytes.into()),
            Content::Text(_) => Err(TextError::Unavailable("it gave no file".to_owned())),
        }
    }

    async fn ask(
        &self,
        bytes: &Bytes,
        file_type: FileType,
        job: Job,
        password: &str,
    ) -> Result<Content, TextError> {
        if bytes.len() as u64 > self.limits.input_bytes_max {
            return Err(self.limits.exceeded(Limit::Input));
        }
        let (length, password) = (bytes.len() as u64, password.to_owned());
        let head = Head { file_type, engine: self.engine, bytes: length, job, password };
        let mut slot = self.slot().await?;
        let children = self.pool.manager();
        let mut child = match slot.child.take() {
            Some(child) => child,
            None => children.start().await.map_err(unavailable)?,
        };
        // From here on the child is ours: whoever drops this future kills it.
        let was_used = child.files > 0;
        let mut answer = child.read(&head, bytes, &self.limits).await;
        if was_used && matches!(answer, Err(Broken::Dead(_))) {
            // A child that was used before may have died of another file: ask a fresh one.
            child = children.start().await.map_err(unavailable)?;
            answer = child.read(&head, bytes, &self.limits).await;
        }
        match answer {
            Ok(answer) => {
                let is_broken = match &answer {
                    Ok(Content::Text(pages)) => is_fault(Ok(pages)),
                    Ok(Content::Member(_)) => false,
                    Err(error) => is_fault(Err(error)),
                };
                let is_kept = children.is_kept(&child) && !is_broken;
                slot.child = is_kept.then_some(child);
                answer
            }
            Err(Broken::Slow(error) | Broken::Dead(error)) => Err(error),
        }
    }

    async fn slot(&self) -> Result<managed::Object<ChildPool>, TextError> {
        self.pool.get().await.map_err(|error| match error {
            PoolError::Backend(error) => unavailable(error),
            other => TextError::Unavailable(other.to_string()),
        })
    }
}

fn unavailable(error: io::Error) -> TextError {
    TextError::Unavailable(error.to_string())
}

/// Makes children, and decides which may live on.
#[derive(Debug)]
struct ChildPool {
    starter: Starter,
    children: Children,
    setup: Setup,
}

/// The place of one child in the pool; empty while it reads, and after it was given up.
#[derive(Debug)]
struct Slot {
    child: Option<ChildProcess>,
}

impl ChildPool {
    async fn start(&self) -> io::Result<ChildProcess> {
        let Children { program, arguments, .. } = &self.children;
        ChildProcess::start(&self.starter, program, arguments, &self.setup).await
    }

    fn is_kept(&self, child: &ChildProcess) -> bool {
        let is_small = |held| held <= self.children.memory_kept_bytes_max;
        child.files < self.children.files_max && child.memory_held().is_some_and(is_small)
    }
}

impl managed::Manager for ChildPool {
    type Type = Slot;
    type Error = io::Error;

    async fn create(&self) -> Result<Slot, io::Error> {
        Ok(Slot { child: Some(self.start().await?) })
    }

    async fn recycle(&self, slot: &mut Slot, _: &Metrics) -> RecycleResult<io::Error> {
        match slot.child.as_mut().is_some_and(ChildProcess::is_alive) {
            true => Ok(()),
            false => Err(RecycleError::message("the child is gone")),
        }
    }
}
