//! tesseract on this machine: where it is, what it can read, and how it is asked.
//!
//! It must know nothing of documents.

use serde::{Deserialize, Serialize};
use std::{
    env,
    ffi::OsString,
    io,
    path::{Path, PathBuf},
    process::{Command, Output},
};

/// Languages to take first where none are configured, by how often documents are in them here.
const USUAL: [&str; 8] = ["eng", "deu", "fra", "spa", "ita", "nld", "por", "pol"];

/// So many languages are read at once where none are configured: each takes its time.
const LANGUAGES_MAX: usize = 4;

/// What is no language: it tells how a page is turned, or finds formulas.
const NO_LANGUAGES: [&str; 2] = ["osd", "equ"];

/// The variable that says where the program's data is.
const DATA_VARIABLE: &str = "TESSDATA_PREFIX";

/// Why there is no OCR.
#[derive(Debug, thiserror::Error)]
pub enum OcrError {
    /// There is no such program.
    #[error(
        "OCR needs tesseract, and there is no {0:?}: install it (on Debian apt-get install \
         tesseract-ocr, on Fedora dnf install tesseract), or set text.ocr_program to where it is"
    )]
    Missing(String),
    /// It is there and does not work.
    #[error("{0} does not work: {1}")]
    Broken(String, String),
    /// A language is not installed.
    #[error(
        "tesseract cannot read {language:?} (text.languages): install it (on Debian apt-get install \
         tesseract-ocr-{package}), or take one of {installed}"
    )]
    Language {
        /// What was asked for.
        language: String,
        /// The name of its package.
        package: String,
        /// What there is.
        installed: String,
    },
}

/// tesseract, found on this machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tesseract {
    /// The program, an absolute path.
    pub(crate) program: PathBuf,
    /// Its name and version, for example `tesseract-5.3.0`.
    pub(crate) engine: String,
    /// What it reads, in the order in which it tries.
    pub(crate) languages: Vec<String>,
    /// Where its data is, if not where it was installed.
    pub(crate) data: Option<PathBuf>,
}

impl Tesseract {
    /// Looks for the program, a path or a name in `PATH`, and for these languages of it; for those that
    /// are installed where there are none.
    ///
    /// # Errors
    /// When it is missing or does not work, or a language is missing; with what to do about it.
    pub fn find(program: &str, languages: &[String]) -> Result<Self, OcrError> {
        let path = look(program).ok_or_else(|| OcrError::Missing(program.to_owned()))?;
        let broken = |why: String| OcrError::Broken(path.display().to_string(), why);
        let data = env::var_os(DATA_VARIABLE).map(PathBuf::from);
        let ask = |argument: &str| {
            let mut command = Command::new(&path);
            command.arg(argument).env_clear().envs(environment(data.as_deref()));
            said(command.output()).map_err(broken)
        };
        let version = ask("--version")?;
        let version = version.split_whitespace().nth(1).unwrap_or_default().to_owned();
        let is_legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-');
        let version: String = version.chars().filter(|c| is_legal(*c)).take(32).collect();
        let listed = ask("--list-langs")?;
        // The first line says where they are.
        let installed = listed.lines().skip(1).map(str::trim).filter(|line| !line.is_empty());
        let installed: Vec<&str> = installed.filter(|name| !NO_LANGUAGES.contains(name)).collect();
        let languages = chosen(&installed, languages)?;
        Ok(Self { program: path, engine: format!("tesseract-{version}"), languages, data })
    }

    /// Its name and version, for example `tesseract-5.3.0`.
    pub fn engine(&self) -> &str {
        &self.engine
    }

    /// The arguments with which it reads an image from its standard input, of so many dots per inch, and
    /// writes hOCR.
    pub(crate) fn arguments(&self, dpi: u32) -> Vec<String> {
        let languages = self.languages.join("+");
        let dpi = dpi.to_string();
        // Sparse text: as much as there is, in any order. Rows and columns are found by the places of
        // words, as everywhere; the program's own columns lose cells.
        let arguments = ["stdin", "stdout", "-l", &languages, "--psm", "11", "--dpi", &dpi];
        let output = ["-c", "tessedit_create_hocr=1", "-c", "hocr_font_info=0"];
        arguments.into_iter().chain(output).map(str::to_owned).collect()
    }
}

/// The whole environment of the program: one thread, for pages are read side by side.
pub(crate) fn environment(data: Option<&Path>) -> impl Iterator<Item = (&'static str, OsString)> {
    let data = data.map(|data| (DATA_VARIABLE, data.as_os_str().to_owned()));
    std::iter::once(("OMP_THREAD_LIMIT", "1".into())).chain(data)
}

/// The languages that are configured, or else the usual ones of those that are installed.
fn chosen(installed: &[&str], configured: &[String]) -> Result<Vec<String>, OcrError> {
    if let Some(missing) = configured.iter().find(|name| !installed.contains(&name.as_str())) {
        return Err(OcrError::Language {
            language: missing.clone(),
            package: missing.replace('_', "-"),
            installed: installed.join(", "),
        });
    }
    if !configured.is_empty() {
        return Ok(configured.to_vec());
    }
    let usual = USUAL.into_iter().filter(|name| installed.contains(name));
    let others = installed.iter().copied().filter(|name| !USUAL.contains(name));
    let found: Vec<_> = usual.chain(others).take(LANGUAGES_MAX).map(str::to_owned).collect();
    match found.is_empty() {
        true => Err(OcrError::Language {
            language: "eng".to_owned(),
            package: "eng".to_owned(),
            installed: "none".to_owned(),
        }),
        false => Ok(found),
    }
}

/// The file that a name stands for.
fn look(program: &str) -> Option<PathBuf> {
    if program.contains('/') {
        return std::fs::canonicalize(program).ok().filter(|path| path.is_file());
    }
    let paths = env::var_os("PATH")?;
    env::split_paths(&paths)
        .filter(|folder| folder.is_absolute())
        .map(|folder| folder.join(program))
        .find(|path| path.is_file())
}

/// What a program wrote, on whichever stream: older versions list on the wrong one.
fn said(output: io::Result<Output>) -> Result<String, String> {
    let output = output.map_err(|error| error.to_string())?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    match output.status.success() {
        true if out.trim().is_empty() => Ok(err),
        true => Ok(out),
        false => Err(format!("{}, {}", output.status, err.trim())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_languages_are_those_that_are_wanted_and_there() {
        let check = |installed: &[&str], configured: &[&str], expected: &[&str]| {
            let configured: Vec<_> = configured.iter().map(|name| (*name).to_owned()).collect();
            assert_eq!(chosen(installed, &configured).unwrap(), expected);
        };
        check(&["deu", "eng"], &[], &["eng", "deu"]);
        check(&["deu", "eng"], &["deu"], &["deu"]);
        check(&["afr", "ell"], &[], &["afr", "ell"]);
        check(&["afr", "ara", "deu", "ell", "eng", "fin"], &[], &["eng", "deu", "afr", "ara"]);
        let refused = chosen(&["eng"], &["chi_sim".to_owned()]).unwrap_err().to_string();
        for part in ["\"chi_sim\"", "apt-get install tesseract-ocr-chi-sim", "one of eng"] {
            assert!(refused.contains(part), "{refused}");
        }
        assert!(chosen(&[], &[]).is_err());
    }

    #[test]
    fn a_program_that_is_missing_or_another_is_told_with_the_remedy() {
        let missing = Tesseract::find("no-such-ocr", &[]).unwrap_err().to_string();
        for part in ["no-such-ocr", "install", "text.ocr_program"] {
            assert!(missing.contains(part), "{missing}");
        }
        let other = Tesseract::find("false", &[]).unwrap_err().to_string();
        assert!(other.contains("false does not work"), "{other}");
    }
}
