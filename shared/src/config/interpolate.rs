//! `${VAR}`, `${VAR:-default}` and `${file:/run/secrets/NAME}` in a text; `$${` stands for `${`.
//!
//! Its messages name variables and files and never contain the text, nor what these hold.

use std::{borrow::Cow, collections::BTreeMap, fs::File, io::Read};

/// The longest file that is put into a text, in bytes: as long as a Secret of Kubernetes may be.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Puts the values of the environment and of files into a text. A variable that is set and empty
/// counts as unset, as for a shell's `:-`. Of a file the line end at its end is no part, as for a
/// shell's `$(cat FILE)`. Borrowed is a text that has none of them.
pub(super) fn interpolate<'a>(
    text: &'a str,
    environment: &BTreeMap<String, String>,
) -> Result<Cow<'a, str>, String> {
    if !text.contains("${") {
        return Ok(Cow::Borrowed(text));
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, inside)) = rest.split_once("${") {
        if let Some(before) = before.strip_suffix('$') {
            out.push_str(before);
            out.push_str("${");
            rest = inside;
            continue;
        }
        out.push_str(before);
        let Some((name, after)) = inside.split_once('}') else {
            return Err("has a ${ without a }; write $${ for the characters themselves".into());
        };
        match name.strip_prefix("file:") {
            Some(path) => out.push_str(&file(path)?),
            None => out.push_str(variable(name, environment)?),
        }
        rest = after;
    }
    out.push_str(rest);
    Ok(Cow::Owned(out))
}

/// The content of a file.
fn file(path: &str) -> Result<String, String> {
    if !path.starts_with('/') {
        // Not repeated: it may be a part of a password.
        return Err("has a ${file:...} without an absolute path, such as \
                    ${file:/run/secrets/NAME}"
            .into());
    }
    let cannot = |why: &str| format!("needs the file {path}, which {why}");
    let mut bytes = Vec::new();
    let read =
        File::open(path).and_then(|file| file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes));
    read.map_err(|error| cannot(&format!("cannot be read: {error}")))?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(cannot(&format!("is longer than {FILE_BYTES_MAX} bytes")));
    }
    let mut text = String::from_utf8(bytes).map_err(|_| cannot("is not UTF-8 text"))?;
    text.truncate(text.trim_end_matches(['\n', '\r']).len());
    if text.is_empty() { Err(cannot("is empty")) } else { Ok(text) }
}

fn variable<'a>(
    inside: &'a str,
    environment: &'a BTreeMap<String, String>,
) -> Result<&'a str, String> {
    let (name, default) = match inside.split_once(":-") {
        Some((name, default)) => (name, Some(default)),
        None => (inside, None),
    };
    let legal = |c: char| c == '_' || c.is_ascii_alphanumeric();
    if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) || !name.chars().all(legal)
    {
        // Not repeated: it may be a part of a password.
        return Err("has a ${...} with no variable's name in it; write $${ for the characters \
                    themselves"
            .into());
    }
    let value = environment.get(name).map(String::as_str).filter(|value| !value.is_empty());
    value.or(default).ok_or_else(|| {
        format!(
            "needs the environment variable {name}, which is not set (or give a default: \
             ${{{name}:-...}})"
        )
    })
}
