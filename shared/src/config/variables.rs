//! Which variables of the environment are settings.
//!
//! Kubernetes puts variables into every pod of a namespace for each of its Services
//! (`SLUICE_UPLOADER_SERVICE_HOST`), so not all that starts as ours is ours.

use super::{Config, explain::nearest};
use serde_json::Value;

/// What the variables of settings start with.
const PREFIX: &str = "SLUICE_";

/// Between a section and its key.
const WITHIN: &str = "__";

/// The variables that start with the prefix and are no settings.
const RESERVED: [&str; 6] = [
    "SLUICE_CONFIG",
    "SLUICE_URL",
    "SLUICE_API_KEY",
    "SLUICE_MASTER_KEY",
    "SLUICE_LOG",
    "SLUICE_KILL_AT",
];

/// What a variable is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Variable {
    /// Not for the configuration.
    Other,
    /// It sets the value at these keys.
    Setting(Vec<String>),
    /// Likely not meant for us, with the words for it.
    Foreign(String),
}

/// What the variable of this name is.
pub(super) fn variable(name: &str) -> Variable {
    let Some(rest) = name.strip_prefix(PREFIX).filter(|_| !RESERVED.contains(&name)) else {
        return Variable::Other;
    };
    let keys: Vec<String> = rest.split(WITHIN).map(str::to_lowercase).collect();
    let settings = serde_json::to_value(Config::default()).unwrap_or_default();
    match keys.as_slice() {
        [alone] if settings.get(alone).is_none() => {
            let mut names = Vec::new();
            collect(&settings, PREFIX, &mut names);
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            let near = nearest(name, &names).unwrap_or_default();
            Variable::Foreign(format!(
                "the environment variable {name} is not a setting and is passed over; the nearest \
                 one is {near}"
            ))
        }
        _ => Variable::Setting(keys),
    }
}

/// The variables of all settings.
fn collect(settings: &Value, start: &str, names: &mut Vec<String>) {
    for (key, value) in settings.as_object().into_iter().flatten() {
        let name = format!("{start}{}", key.to_uppercase());
        match value.is_object() {
            true => collect(value, &format!("{name}{WITHIN}"), names),
            false => names.push(name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_settings_are_set() {
        let setting = |name: &str, keys: &[&str]| {
            let keys = keys.iter().map(|key| (*key).to_owned()).collect();
            assert_eq!(variable(name), Variable::Setting(keys), "{name}");
        };
        setting("SLUICE_LISTEN", &["listen"]);
        setting("SLUICE_WORKER", &["worker"]);
        setting("SLUICE_WORKER__CALLS_MAX", &["worker", "calls_max"]);
        setting("SLUICE_WORKR__CALLS_MAX", &["workr", "calls_max"]);
        let foreign = |name: &str, near: &str| {
            let Variable::Foreign(words) = variable(name) else { panic!("{name}") };
            assert!(words.contains(name) && words.ends_with(&format!(" {near}")), "{words}");
        };
        foreign("SLUICE_WORKER_CALLS_MAX", "SLUICE_WORKER__CALLS_MAX");
        foreign("SLUICE_DATABSE", "SLUICE_DATABASE");
        // Of Services called sluice, sluice-uploader and sluice-postgres.
        for name in [
            "SERVICE_HOST",
            "SERVICE_PORT_HTTP",
            "PORT",
            "PORT_8080_TCP",
            "UPLOADER_SERVICE_HOST",
            "UPLOADER_PORT_8080_TCP_ADDR",
            "POSTGRES_SERVICE_PORT",
            "",
        ] {
            let name = format!("SLUICE_{name}");
            assert!(matches!(variable(&name), Variable::Foreign(_)), "{name}");
        }
        for name in ["SLUICE_URL", "SLUICE_LOG", "PATH", "sluice_listen"] {
            assert_eq!(variable(name), Variable::Other, "{name}");
        }
    }
}
