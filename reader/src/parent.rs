//! The parent's side: a small pool of warm children. One that broke, grew, or read enough files is
//! replaced.
//!
//! It must know nothing of how a format is read.

use crate::{
    answer::is_fault,
    child::{Head, Job, Reply, Setup},
    child_process::{Broken, ChildProcess, Content, Starter},
    file_type::FileType,
    files::Engine,
    limits::{Limit, Limits, TextError},
    ocr::Ocr,
    pages::{Page, Pages},
    pdf,
    picture::{ImageJob, PageImage, SIDE_MAX},
    sandbox::Confinement,
    scanned,
    tesseract::Tesseract,
};
use bytes::Bytes;
use deadpool::managed::{self, Metrics, Pool, PoolError, RecycleError, RecycleResult};
use std::{
    ffi::OsString,
    io,
    path::PathBuf,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

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
    /// Since the start: the files that were read, and for how many microseconds.
    files: AtomicU64,
    reading_us: AtomicU64,
    ocr: Option<Ocr>,
    dpi: u16,
}

/// How pages are read that only an image shows.
#[derive(Clone, Debug)]
pub struct Scanning {
    /// What reads them; without it they stay without text.
    pub tesseract: Option<Tesseract>,
    /// How finely they are drawn, in dots per inch.
    pub dpi: u16,
}

impl Default for Scanning {
    fn default() -> Self {
        Self { tesseract: None, dpi: 200 }
    }
}

impl TextReader {
    /// No child is started yet.
    ///
    /// # Errors
    /// When the thread that will start children cannot be started.
    pub fn new(
        children: Children,
        engine: Engine,
        limits: Limits,
        scanning: Scanning,
    ) -> io::Result<Self> {
        let count_max = children.count_max.max(1);
        let confinement = Confinement {
            parent: std::process::id(),
            memory_bytes_max: limits.memory_bytes_max,
            allow_missing: children.allow_unsandboxed,
        };
        let Scanning { tesseract, dpi } = scanning;
        let allow = children.allow_unsandboxed;
        let ocr = tesseract.map(|found| Ocr::new(found, &limits, count_max, allow));
        let setup = Setup { confinement, limits: limits.clone() };
        let manager = ChildPool { starter: Starter::new()?, children, setup };
        let pool = Pool::builder(manager).max_size(count_max).build().map_err(io::Error::other)?;
        let [files, reading_us] = [(); 2].map(|()| AtomicU64::default());
        Ok(Self { pool, engine, limits, files, reading_us, ocr, dpi })
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

    /// The mean time that a child took to read a file, the wait for one excluded; none before the
    /// first.
    pub fn reading_mean(&self) -> Option<Duration> {
        let files = self.files.load(Relaxed);
        Some(Duration::from_micros(self.reading_us.load(Relaxed).checked_div(files)?))
    }

    /// The text of a file, page by page; that of pages without any by OCR, where there is OCR.
    /// Names the files that it carries. Cancel-safe: a child that was busy is killed.
    ///
    /// Waits as long as every child is busy. A document without text is no error: its pages are
    /// empty.
    ///
    /// # Errors
    /// Why there is no text. Only [`TextError::Unavailable`] may end otherwise the next time.
    pub async fn read(&self, bytes: &Bytes, file_type: FileType) -> Result<Pages, TextError> {
        self.read_locked(bytes, file_type, "").await
    }

    /// The same for a file that may open only with this password. The password goes nowhere but to
    /// the child that reads the file.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub async fn read_locked(
        &self,
        bytes: &Bytes,
        file_type: FileType,
        password: &str,
    ) -> Result<Pages, TextError> {
        let pages = self.text(bytes, file_type, password).await?;
        match &self.ocr {
            Some(ocr) if file_type.format.has_page_images() => {
                self.scan(ocr, (bytes, file_type, password), pages).await
            }
            _ => Ok(pages),
        }
    }

    /// Reads by OCR what has no text.
    async fn scan(
        &self,
        ocr: &Ocr,
        file: (&Bytes, FileType, &str),
        mut pages: Pages,
    ) -> Result<Pages, TextError> {
        let mut looked = 0;
        for page in pages.pages.iter_mut().filter(|page| page.is_unread()) {
            looked += 1;
            let unread = std::mem::take(page);
            if looked > self.limits.ocr_pages_max {
                let most = self.limits.ocr_pages_max;
                let why =
                    format!("no more than {most} pages are read by OCR (text.scan_pages_max)");
                *page = scanned::failed(unread, &why);
                continue;
            }
            let (read, said) = self.scan_page(ocr, file, unread).await?;
            *page = read;
            pages.warnings.extend(said);
        }
        if looked > 0 {
            // What is read again with other settings is another text.
            pages.engine = format!("{}+{}-{}", pages.engine, ocr.tesseract.engine, self.dpi);
        }
        pdf::finish(pages)
    }

    /// A page as OCR reads it, and what to tell of that. A page that cannot be read says why.
    async fn scan_page(
        &self,
        ocr: &Ocr,
        file: (&Bytes, FileType, &str),
        page: Page,
    ) -> Result<(Page, Option<String>), TextError> {
        let image = match self.image_locked(file, page.number, SIDE_MAX).await {
            Ok(image) if image.is_blank => return Ok((scanned::blank(page), None)),
            Ok(image) => image,
            Err(error @ TextError::Unavailable(_)) => return Err(error),
            Err(error) => return Ok((scanned::failed(page, &error.to_string()), None)),
        };
        let ChildPool { starter, children, .. } = self.pool.manager();
        let child = (children.program.as_path(), children.arguments.as_slice());
        match ocr.read(starter, child, &image, &page).await {
            Ok(read) => Ok(scanned::read_by_ocr(page, &read)),
            Err(error @ TextError::Unavailable(_)) => Err(error),
            Err(error) => Ok((scanned::failed(page, &error.to_string()), None)),
        }
    }

    async fn text(
        &self,
        bytes: &Bytes,
        file_type: FileType,
        password: &str,
    ) -> Result<Pages, TextError> {
        let started = tokio::time::Instant::now();
        let answer = match self.ask(bytes, file_type, Job::Text, password).await {
            Ok(Content::Reply(Reply::Pages(pages))) => Ok(pages),
            Ok(_) => Err(other()),
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

    /// Whether a file opens only with a password. Cancel-safe as [`TextReader::read`].
    ///
    /// # Errors
    /// When nobody can say now: [`TextError::Unavailable`].
    pub async fn is_locked(&self, bytes: &Bytes, file_type: FileType) -> Result<bool, TextError> {
        match self.text(bytes, file_type, "").await {
            Err(TextError::PasswordRequired) => Ok(true),
            Err(error @ TextError::Unavailable(_)) => Err(error),
            _ => Ok(false),
        }
    }

    /// The image of a page, counted from 1, with no side longer than `side_max` pixels, nor than
    /// [`SIDE_MAX`].
    /// Cancel-safe as [`TextReader::read`].
    ///
    /// # Errors
    /// Why there is none. Only [`TextError::Unavailable`] may end otherwise the next time.
    pub async fn image(
        &self,
        bytes: &Bytes,
        file_type: FileType,
        page: u32,
        side_max: u32,
    ) -> Result<PageImage, TextError> {
        self.image_locked((bytes, file_type, ""), page, side_max).await
    }

    async fn image_locked(
        &self,
        (bytes, file_type, password): (&Bytes, FileType, &str),
        page: u32,
        side_max: u32,
    ) -> Result<PageImage, TextError> {
        let job = ImageJob { page, dpi: self.dpi, side_max };
        match self.ask(bytes, file_type, Job::Image(job), password).await? {
            Content::Reply(Reply::Image(image)) => Ok(image),
            _ => Err(other()),
        }
    }

    /// The bytes of a file that a file carries: of the one with this number among
    /// [`Pages::members`], counted from 0. At most `bytes_max`. Cancel-safe, as [`Self::read`].
    ///
    /// # Errors
    /// Why it cannot be had. Only [`TextError::Unavailable`] may end otherwise the next time.
    pub async fn member(
        &self,
        bytes: &Bytes,
        file_type: FileType,
        number: usize,
        bytes_max: u64,
    ) -> Result<Bytes, TextError> {
        match self.ask(bytes, file_type, Job::Member { number, bytes_max }, "").await? {
            Content::Member(bytes) => Ok(bytes.into()),
            Content::Reply(_) => Err(other()),
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
        let started = tokio::time::Instant::now();
        // From here on the child is ours: whoever drops this future kills it.
        let was_used = child.files > 0;
        let mut answer = child.read(&head, bytes, &self.limits).await;
        if was_used && matches!(answer, Err(Broken::Dead(_))) {
            // A child that was used before may have died of another file: ask a fresh one.
            child = children.start().await.map_err(unavailable)?;
            answer = child.read(&head, bytes, &self.limits).await;
        }
        let took = u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.files.fetch_add(1, Relaxed);
        self.reading_us.fetch_add(took, Relaxed);
        match answer {
            Ok(answer) => {
                let is_broken = match &answer {
                    Ok(Content::Reply(Reply::Pages(pages))) => is_fault(Ok(pages)),
                    Ok(_) => false,
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

/// What cannot be: answers of the wrong kind are not believed.
fn other() -> TextError {
    TextError::Unreadable("the reader answered something else".to_owned())
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
