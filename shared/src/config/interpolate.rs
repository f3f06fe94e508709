//! `${VAR}` and `${VAR:-default}` in a text; `$${` stands for `${`.
//!
//! Its messages name variables and never contain the text, nor what a variable holds.

use std::{borrow::Cow, collections::BTreeMap};

/// Puts the environment's values into a text. A variable that is set and empty counts as unset, as
/// for a shell's `:-`. Borrowed is a text that has none.
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
        out.push_str(variable(name, environment)?);
        rest = after;
    }
    out.push_str(rest);
    Ok(Cow::Owned(out))
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
