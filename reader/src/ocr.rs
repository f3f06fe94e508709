//! OCR as the parent sees it: a process for each page, measured, and ended when it takes too long.
//!
//! It must know nothing of how an image came to be, nor of what a page says.

use crate::{
    child_process::Starter,
    hocr::{self, Scanned},
    limits::{Limit, Limits, TextError},
    ocr_child::{OCR_SETUP, OcrSetup},
    pages::Page,
    picture::PageImage,
    sandbox::ProgramConfinement,
    tesseract::Tesseract,
};
use rustix::process::Signal;
use std::{ffi::OsString, io, os::unix::process::ExitStatusExt, path::Path, process::Stdio};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    process::Command,
    sync::Semaphore,
    time::timeout,
};

/// How much of what the program complains about is read.
const COMPLAINT_BYTES: u64 = 2000;

/// The program and what a page may cost.
#[derive(Debug)]
pub(crate) struct Ocr {
    pub(crate) tesseract: Tesseract,
    turns: Semaphore,
    limits: Limits,
    allow_unsandboxed: bool,
}

impl Ocr {
    /// So many pages are read at once, each with the memory of `limits` and its time for OCR.
    pub(crate) fn new(
        tesseract: Tesseract,
        limits: &Limits,
        count_max: usize,
        allow_unsandboxed: bool,
    ) -> Self {
        // Its time is counted by page and not by file.
        let wall = limits.ocr_wall();
        let limits = Limits { cpu_seconds_max: limits.ocr_seconds_max, wall, ..limits.clone() };
        Self { tesseract, turns: Semaphore::new(count_max), limits, allow_unsandboxed }
    }

    /// Reads the image of a page. `program` and `arguments` start this program's own child.
    ///
    /// # Errors
    /// [`TextError::Unavailable`] where the program cannot run, else why it cannot read this image.
    pub(crate) async fn read(
        &self,
        starter: &Starter,
        (program, arguments): (&Path, &[OsString]),
        image: &PageImage,
        page: &Page,
    ) -> Result<Scanned, TextError> {
        let gone = |error: &dyn ToString| TextError::Unavailable(error.to_string());
        let _turn = self.turns.acquire().await.map_err(|error| gone(&error))?;
        let (width, height) = (image.width as f32, image.height as f32);
        let scale = [page.width / width, page.height / height];
        let dpi = (72.0 / scale[0].max(f32::EPSILON)).clamp(70.0, 2400.0) as u32;
        let setup = OcrSetup {
            confinement: ProgramConfinement {
                parent: std::process::id(),
                memory_bytes_max: self.limits.memory_bytes_max,
                cpu_seconds_max: self.limits.cpu_seconds_max,
                allow_missing: self.allow_unsandboxed,
            },
            tesseract: self.tesseract.clone(),
            dpi,
        };
        let setup = serde_json::to_string(&setup).map_err(|error| gone(&error))?;
        let mut command = Command::new(program);
        command.args(arguments).env_clear().env(OCR_SETUP, setup).current_dir("/");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.kill_on_drop(true);
        let started = tokio::time::Instant::now();
        let run = self.run(starter, command, &image.png);
        let hocr = match timeout(self.limits.wall, run).await {
            Ok(hocr) => hocr?,
            Err(_) => return Err(self.limits.exceeded(Limit::Wall)),
        };
        metrics::histogram!("sluice_ocr_seconds").record(started.elapsed().as_secs_f64());
        hocr::read(&hocr, scale)
            .map_err(|error| TextError::Unreadable(format!("OCR gave no hOCR: {error}")))
    }

    async fn run(
        &self,
        starter: &Starter,
        command: Command,
        png: &[u8],
    ) -> Result<String, TextError> {
        let cannot = |error: io::Error| TextError::Unavailable(format!("OCR: {error}"));
        let mut child = starter.start(command).await.map_err(cannot)?;
        let pipes = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (Some(mut input), Some(output), Some(errors)) = pipes else {
            return Err(cannot(io::Error::other("a process without pipes")));
        };
        let write = async move {
            // One that ends early says why on its own.
            let _ = input.write_all(png).await;
        };
        let (mut hocr, mut complaint) = (Vec::new(), Vec::new());
        let bytes_max = self.limits.output_bytes_max;
        let read = output.take(bytes_max + 1);
        let complain = async {
            let mut errors = errors;
            let _ = (&mut errors).take(COMPLAINT_BYTES).read_to_end(&mut complaint).await;
            // A full pipe would stop it.
            let _ = tokio::io::copy(&mut errors, &mut tokio::io::sink()).await;
        };
        let mut read = read;
        let read = async { read.read_to_end(&mut hocr).await };
        let ((), read, ()) = tokio::join!(write, read, complain);
        read.map_err(cannot)?;
        if hocr.len() as u64 > bytes_max {
            return Err(self.limits.exceeded(Limit::Output));
        }
        let status = child.wait().await.map_err(cannot)?;
        let complaint = String::from_utf8_lossy(&complaint);
        if status.success() {
            return String::from_utf8(hocr)
                .map_err(|_| TextError::Unreadable("OCR gave no UTF-8".to_owned()));
        }
        // Only our own process ends so, before it becomes the program.
        if status.code() == Some(3) || status.code() == Some(2) {
            return Err(cannot(io::Error::other(complaint.into_owned())));
        }
        Err(self.cause(status.signal(), &complaint))
    }

    /// What the end of the program says about the image.
    fn cause(&self, signal: Option<i32>, complaint: &str) -> TextError {
        let is = |other: Signal| signal == Some(other.as_raw());
        if is(Signal::XCPU) || is(Signal::KILL) {
            return self.limits.exceeded(Limit::Cpu);
        }
        if ["bad_alloc", "cannot allocate", "malloc"].iter().any(|what| complaint.contains(what)) {
            return self.limits.exceeded(Limit::Memory);
        }
        let said = complaint.lines().last().unwrap_or_default();
        let said: String = said.chars().take(200).collect();
        TextError::Unreadable(format!("OCR broke: {said}"))
    }
}
