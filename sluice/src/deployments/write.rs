//! Findings as lines of the configuration: printed, or put into the file, whose comments and
//! formatting stay as they are.

use crate::end::End;
use pool::probe::Findings;
use std::{io::Write, path::Path};
use toml_edit::{DocumentMut, Item, Table, Value};

/// The settings that follow from the findings.
pub(super) fn settings(found: &Findings) -> Vec<(&'static str, Value)> {
    let mut settings: Vec<(&'static str, Value)> = Vec::new();
    if let Some(kind) = found.limiter {
        settings.push(("limiter", kind.name().into()));
    }
    if let Some(charged) = found.charge_output {
        settings.push(("charge_output", charged.into()));
    }
    if let Some(characters) = found.charge_characters_per_token {
        settings.push(("charge_characters_per_token", characters.into()));
    }
    if let Some(settled) = found.charge_settled {
        settings.push(("charge_settled", settled.into()));
    }
    settings
}

/// The settings as they are pasted.
pub(super) fn lines(settings: &[(&'static str, Value)]) -> String {
    settings.iter().map(|(key, value)| format!("{key} = {}\n", value.to_string().trim())).collect()
}

/// Puts the settings of the deployment of this name into the text of a configuration.
fn amend(text: &str, name: &str, settings: &[(&'static str, Value)]) -> Result<String, String> {
    let mut document: DocumentMut =
        text.parse().map_err(|error: toml_edit::TomlError| error.message().to_owned())?;
    let missing = || format!("it has no [[deployments]] named {name:?}");
    let all = document.get_mut("deployments").and_then(Item::as_array_of_tables_mut);
    let all = all.ok_or_else(missing)?;
    let is_named = |one: &Table| one.get("name").and_then(Item::as_str) == Some(name);
    let place = all.iter().position(is_named);
    let deployment = place.and_then(|place| all.get_mut(place)).ok_or_else(missing)?;
    for (key, value) in settings {
        match deployment.get_mut(key).and_then(Item::as_value_mut) {
            // A comment after the value stays.
            Some(old) => {
                let decor = old.decor().clone();
                *old = value.clone();
                *old.decor_mut() = decor;
            }
            None => drop(deployment.insert(key, Item::Value(value.clone()))),
        }
    }
    Ok(document.to_string())
}

/// Puts the settings into the file, all or nothing.
pub(super) fn write(
    file: &Path,
    name: &str,
    settings: &[(&'static str, Value)],
) -> Result<(), End> {
    let refuse = |why: &dyn std::fmt::Display| End::Usage(format!("{}: {why}", file.display()));
    let file = file.canonicalize().map_err(|error| refuse(&error))?;
    let text = std::fs::read_to_string(&file).map_err(|error| refuse(&error))?;
    let text = amend(&text, name, settings).map_err(|error| refuse(&error))?;
    let folder = file.parent().unwrap_or(Path::new("."));
    // Beside it, with its rights, and then in its place: nobody reads half of it.
    let mut new = tempfile::NamedTempFile::new_in(folder).map_err(|error| refuse(&error))?;
    let rights = std::fs::metadata(&file).map_err(|error| refuse(&error))?.permissions();
    new.write_all(text.as_bytes()).map_err(|error| refuse(&error))?;
    new.as_file().set_permissions(rights).map_err(|error| refuse(&error))?;
    new.as_file().sync_all().map_err(|error| refuse(&error))?;
    new.persist(&file).map(drop).map_err(|error| refuse(&error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use pool::LimiterKind;

    fn found() -> Findings {
        Findings {
            limiter: Some(LimiterKind::Bucket),
            charge_output: Some(false),
            charge_characters_per_token: Some(4.0),
            ..Findings::default()
        }
    }

    #[test]
    fn comments_and_the_rest_stay_as_they_are() {
        let text = "# ours\nlisten = \"x\"\n\n[[deployments]]  # one\nname = \"a\"\nmodel = \"m\"\n\n\
                    [[deployments]]\nname = \"b\" # two\nlimiter   = \"auto\"   # or window\n\
                    api_key = \"${KEY}\"\n\n# the end\n[log]\nlevel = \"info\"\n";
        let amended = amend(text, "b", &settings(&found())).unwrap();
        let expected = text.replace("\"auto\"   # or", "\"bucket\"   # or").replace(
            "\"${KEY}\"\n",
            "\"${KEY}\"\ncharge_output = false\ncharge_characters_per_token = 4.0\n",
        );
        assert_eq!(amended, expected);
        // Again changes nothing.
        assert_eq!(amend(&amended, "b", &settings(&found())).unwrap(), amended);
        assert!(amend(text, "c", &[]).unwrap_err().contains("\"c\""));
        assert!(amend("x = 1", "a", &[]).is_err());
    }

    #[test]
    fn the_file_keeps_its_rights() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("sluice.toml");
        std::fs::write(&file, "[[deployments]]\nname = \"a\"\n").unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o640)).unwrap();
        write(&file, "a", &settings(&found())).unwrap();
        let text = std::fs::read_to_string(&file).unwrap();
        assert!(text.contains("limiter = \"bucket\""), "{text}");
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o640);
        assert!(matches!(write(&file, "b", &[]), Err(End::Usage(_))));
    }

    #[test]
    fn what_is_not_known_is_not_set() {
        assert_eq!(lines(&settings(&Findings::default())), "");
        let expected =
            "limiter = \"bucket\"\ncharge_output = false\ncharge_characters_per_token = 4.0\n";
        assert_eq!(lines(&settings(&found())), expected);
    }
}
