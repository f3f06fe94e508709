//! From serde's messages to ones for people who edit a configuration.
//!
//! They never contain a value: serde's do, and a value may be secret even where it is of the wrong
//! type.

/// Why a value was refused, to be read after its path. `literal` tells that it stands in the file
/// as it is: then the message may say what kind of value it is.
pub(super) fn explain(message: &str, literal: bool) -> String {
    if let Some((_, wanted)) = message.strip_prefix("unknown variant ").and_then(expected) {
        let names = names(wanted);
        let given = message.split('`').nth(1).filter(|_| literal).unwrap_or_default();
        let near = nearest(given, &names).filter(|near| strsim::jaro_winkler(given, near) > 0.7);
        let hint = near.map(|near| format!("; did you mean {near}?")).unwrap_or_default();
        return format!("must be {}{hint}", either(&names));
    }
    let wrong = ["invalid type: ", "invalid value: ", "invalid length "];
    let Some(rest) = wrong.iter().find_map(|start| message.strip_prefix(start)) else {
        // One of our own, which keep values out.
        return message.to_owned();
    };
    let Some((given, wanted)) = expected(rest) else {
        return "has a value that cannot be used".to_owned();
    };
    let wanted = match wanted {
        "u32" => "a whole number from 0 to 4294967295",
        "u64" => "a whole number from 0 on",
        "f64" => "a number",
        "a boolean" => "true or false",
        "a sequence" => "a list",
        wanted if wanted.contains("string") => "text",
        wanted if wanted.starts_with("struct ") => "a section",
        _ => return "has a value that cannot be used".to_owned(),
    };
    match kind(given).filter(|kind| literal && !wanted.starts_with(kind)) {
        Some(kind) => format!("must be {wanted}, not {kind}"),
        None => format!("must be {wanted}"),
    }
}

/// The legal names in serde's list of them: `` one of `a`, `b` `` or `` `a` or `b` ``.
pub(super) fn names(wanted: &str) -> Vec<&str> {
    wanted.split('`').skip(1).step_by(2).collect()
}

/// What serde got, and what it expected. The last ", expected " counts: the one before it may be
/// in a value.
pub(super) fn expected(message: &str) -> Option<(&str, &str)> {
    message.rsplit_once(", expected ")
}

/// The legal key that looks most like a wrong one.
pub(super) fn nearest<'a>(wrong: &str, legal: &[&'a str]) -> Option<&'a str> {
    let likeness = |name: &str| strsim::jaro_winkler(wrong, name);
    legal.iter().copied().max_by(|a, b| likeness(a).total_cmp(&likeness(b)))
}

fn kind(given: &str) -> Option<&'static str> {
    let kinds = [
        ("string ", "text"),
        ("integer ", "a whole number"),
        ("floating point ", "a fraction"),
        ("boolean ", "true or false"),
        ("map", "a section"),
        ("sequence", "a list"),
    ];
    kinds.into_iter().find(|(start, _)| given.starts_with(start)).map(|(_, kind)| kind)
}

fn either(names: &[&str]) -> String {
    match names.split_last() {
        Some((last, [])) => (*last).to_owned(),
        Some((last, first)) => format!("{} or {last}", first.join(", ")),
        None => "something else".to_owned(),
    }
}
