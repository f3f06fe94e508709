//! The files that an Office document is a ZIP archive of.
//!
//! It must know nothing of what is in them.

use crate::{charset, limits::TextError};
use std::io::{Cursor, Read};
use zip::ZipArchive;

/// What all parts that are read may have together when they are inflated.
const INFLATED_BYTES_MAX: u64 = 256 << 20;

/// An archive, and how much of it may still be inflated.
pub(super) struct Container<'a> {
    archive: ZipArchive<Cursor<&'a [u8]>>,
    left: u64,
}

impl<'a> Container<'a> {
    /// Looks into an archive.
    pub(super) fn open(bytes: &'a [u8]) -> Result<Self, TextError> {
        let archive = ZipArchive::new(Cursor::new(bytes)).map_err(broken)?;
        Ok(Self { archive, left: INFLATED_BYTES_MAX })
    }

    /// The names of its parts.
    pub(super) fn names(&self) -> Vec<String> {
        self.archive.file_names().flatten().map(|name| name.into_owned()).collect()
    }

    /// The text of a part, without a byte order mark; none where there is no such part.
    pub(super) fn text(&mut self, name: &str) -> Result<Option<String>, TextError> {
        let part = match self.archive.by_name(name) {
            Ok(part) => part,
            Err(zip::result::ZipError::FileNotFound) => return Ok(None),
            Err(error) => return Err(broken(error)),
        };
        if part.encrypted() {
            return Err(TextError::PasswordRequired);
        }
        let mut bytes = Vec::new();
        part.take(self.left + 1).read_to_end(&mut bytes).map_err(broken)?;
        self.left = self.left.checked_sub(bytes.len() as u64).ok_or_else(|| {
            TextError::LimitExceeded(format!("{} MiB inflated", INFLATED_BYTES_MAX >> 20))
        })?;
        let text = charset::decode(&bytes, None).map(|text| text.into_owned());
        text.map(Some).ok_or_else(|| broken(format!("{name} is in no character set that is known")))
    }
}

fn broken(error: impl std::fmt::Display) -> TextError {
    TextError::Unreadable(format!("its archive: {error}"))
}
