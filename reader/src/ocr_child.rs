//! The process that becomes an OCR program: it confines itself, then runs the program in its place.
//!
//! The program reads the image of a hostile file, and is larger than our reader: it sees only
//! programs and libraries of the system and its own data, has no network, and dies with its parent.

use crate::{
    sandbox::{self, ProgramConfinement},
    tesseract::{Tesseract, environment},
};
use serde::{Deserialize, Serialize};
use std::{
    io::{self, Write},
    os::unix::process::CommandExt,
    process::{Command, ExitCode},
};

/// The variable that holds [`OcrSetup`], as JSON.
pub(crate) const OCR_SETUP: &str = "SLUICE_OCR_SETUP";

/// What the parent tells the process.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct OcrSetup {
    pub(crate) confinement: ProgramConfinement,
    pub(crate) tesseract: Tesseract,
    /// Dots per inch of the image.
    pub(crate) dpi: u32,
}

/// Becomes the program. Comes back only where it cannot.
pub(crate) fn main(setup: &str) -> ExitCode {
    let Ok(OcrSetup { confinement, tesseract, dpi }) = serde_json::from_str(setup) else {
        return ExitCode::from(2);
    };
    let mut command = Command::new(&tesseract.program);
    command.args(tesseract.arguments(dpi)).env_clear();
    command.envs(environment(tesseract.data.as_deref()));
    let readable = [Some(&tesseract.program), tesseract.data.as_ref()];
    let error = match sandbox::confine_program(&confinement, readable.into_iter().flatten()) {
        Ok(()) => command.exec().to_string(),
        Err(error) => error.to_string(),
    };
    let _ = write!(io::stderr(), "{error}");
    ExitCode::from(3)
}
