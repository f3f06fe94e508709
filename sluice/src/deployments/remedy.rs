//! What went wrong with a deployment in words, and what to do about it: which variable holds the
//! key, which setting names the place.
//!
//! It must know nothing of how the call was made.

use super::wire::Silence;
use shared::config::{Deployment, Provider};
use std::{collections::BTreeMap, path::Path};
use toml_edit::Document;

/// What went wrong, and what to do.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub(super) struct Problem {
    /// What kind of thing is wrong: it decides the exit code.
    #[serde(skip)]
    pub(super) kind: ProblemKind,
    /// The HTTP status, when there was one.
    pub(super) status: Option<u16>,
    /// What went wrong.
    pub(super) problem: String,
    /// What to do.
    pub(super) remedy: String,
}

/// What kind of thing is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ProblemKind {
    /// It answers, but cannot be used now, or not for this.
    Unusable,
    /// The configuration is wrong.
    Configuration,
    /// It does not answer.
    Unreachable,
}

/// Where a deployment's key comes from, in words: the variable where there is one.
pub(super) fn key_place(
    file: Option<&Path>,
    environment: &BTreeMap<String, String>,
    deployment: &Deployment,
    index: usize,
) -> String {
    let variable = format!("SLUICE_DEPLOYMENTS__{index}__API_KEY");
    if environment.contains_key(&variable) {
        return format!("the variable {variable}");
    }
    let text = file.and_then(|file| std::fs::read_to_string(file).ok()).unwrap_or_default();
    let written = Document::parse(text.as_str()).ok();
    let all = written.as_ref().and_then(|document| document.get("deployments"));
    let Some(all) = all.and_then(|all| all.as_array_of_tables()).filter(|all| !all.is_empty())
    else {
        return match deployment.provider {
            Provider::Azure => "the variable AZURE_OPENAI_API_KEY".to_owned(),
            _ => "the variable OPENAI_API_KEY".to_owned(),
        };
    };
    let key = all.get(index).and_then(|one| one.get("api_key")).and_then(|key| key.as_str());
    let inside =
        key.and_then(|key| key.split_once("${")).and_then(|(_, rest)| rest.split_once('}'));
    match inside {
        Some((variable, _)) => {
            let name = variable.split(":-").next().unwrap_or(variable);
            format!("the variable {name} (api_key of {:?})", deployment.name)
        }
        None => format!("api_key of {:?} in the configuration", deployment.name),
    }
}

/// What a status that is not 200 means.
pub(super) fn refused(deployment: &Deployment, status: u16, said: &str, key: &str) -> Problem {
    let problem = format!("{status}: {said}");
    let name = deployment.deployment.as_ref().unwrap_or(&deployment.model);
    let azure = deployment.provider == Provider::Azure;
    let (kind, remedy) = match status {
        401 => (ProblemKind::Configuration, format!("the key was refused: check {key}")),
        403 => (
            ProblemKind::Configuration,
            format!("the key may not use it, or the network is not let in: check {key} and the resource's access rules"),
        ),
        404 if azure && said.contains("DeploymentNotFound") => (
            ProblemKind::Configuration,
            format!("there is no deployment {name:?} at this resource: check `deployment`"),
        ),
        404 if azure => (
            ProblemKind::Configuration,
            "nothing is at this address: `endpoint` is the resource without a path, and `api_version` must exist".to_owned(),
        ),
        404 => (
            ProblemKind::Configuration,
            format!("it does not know the model {name:?}, or nothing is at this address: check `model`, and that `endpoint` ends with /v1"),
        ),
        300..=399 | 405 | 410 | 421 => (ProblemKind::Configuration, "this is not the API: check `endpoint`".to_owned()),
        429 => (
            ProblemKind::Unusable,
            "address and key are right, but it has no room now: try again later".to_owned(),
        ),
        400 | 413 | 422 => (
            ProblemKind::Unusable,
            "it takes no question of this form: check `model` and `api_version`".to_owned(),
        ),
        408 | 500..=599 => (ProblemKind::Unreachable, "the service has a fault: try again later".to_owned()),
        _ => (ProblemKind::Unusable, "look at what it says".to_owned()),
    };
    Problem { kind, status: Some(status), problem, remedy }
}

/// What it means that there is no response.
pub(super) fn silent(silence: &Silence) -> Problem {
    let (problem, remedy) = match silence {
        Silence::NoHost(error) => {
            (error.clone(), "the host of `endpoint` has no address: check its spelling and the DNS")
        }
        Silence::Tls(error) => (
            error.clone(),
            "no secure connection: check that `endpoint` begins with the right one of https:// and http://, and that its certificate is trusted here",
        ),
        Silence::NoConnection(error) => (
            error.clone(),
            "no connection: check host and port of `endpoint`, the firewall, and that it runs",
        ),
        Silence::Late(after) => (
            format!("no answer within {} s", after.as_secs()),
            "it is overloaded or hangs: try again, or raise worker.call_timeout_seconds",
        ),
    };
    Problem { kind: ProblemKind::Unreachable, status: None, problem, remedy: remedy.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_named_by_the_variable_that_holds_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("sluice.toml");
        let text = "[[deployments]]\nname = \"a\"\napi_key = \"${KEY_A:-none}\"\n\
                    [[deployments]]\nname = \"b\"\napi_key = \"canary\"\n";
        std::fs::write(&file, text).unwrap();
        let named = |name: &str| Deployment { name: name.into(), ..Deployment::default() };
        let none = BTreeMap::new();
        let place = |name, index| key_place(Some(&file), &none, &named(name), index);
        assert_eq!(place("a", 0), "the variable KEY_A (api_key of \"a\")");
        assert_eq!(place("b", 1), "api_key of \"b\" in the configuration");
        let over = [("SLUICE_DEPLOYMENTS__1__API_KEY".to_owned(), "canary".to_owned())].into();
        let place = key_place(Some(&file), &over, &named("b"), 1);
        assert_eq!(place, "the variable SLUICE_DEPLOYMENTS__1__API_KEY");
        let place = key_place(None, &none, &named("openai"), 0);
        assert_eq!(place, "the variable OPENAI_API_KEY");
    }

    #[test]
    fn every_refusal_has_its_remedy() {
        let azure = Deployment {
            provider: Provider::Azure,
            deployment: Some("d".into()),
            ..Deployment::default()
        };
        let check = |status, said: &str, kind, part: &str| {
            let problem = refused(&azure, status, said, "the variable KEY");
            assert!(problem.kind == kind && problem.remedy.contains(part), "{problem:?}");
        };
        check(401, "", ProblemKind::Configuration, "KEY");
        check(404, "DeploymentNotFound", ProblemKind::Configuration, "\"d\"");
        check(404, "Resource not found", ProblemKind::Configuration, "api_version");
        check(429, "", ProblemKind::Unusable, "no room");
        check(503, "", ProblemKind::Unreachable, "later");
    }
}
