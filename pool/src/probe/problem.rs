//! What went wrong with a deployment in words, and what to do about it: which setting to look at.
//!
//! It must know nothing of how the call was made.

use crate::config::{Auth, DeploymentConfig, Provider};
use crate::provider::transport::{NoResponse, NoResponseReason};
use serde::Serialize;

/// What went wrong, and what to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// What kind of thing is wrong: it decides the exit code.
    #[serde(skip)]
    pub kind: ProblemKind,
    /// The HTTP status, when there was one.
    pub status: Option<u16>,
    /// What went wrong.
    pub problem: String,
    /// What to do.
    pub remedy: String,
}

/// What kind of thing is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProblemKind {
    /// It answers, but cannot be used now, or not for this.
    Unusable,
    /// The configuration is wrong.
    Configuration,
    /// It does not answer.
    Unreachable,
}

/// What a status that is not 200 means.
pub(super) fn refused(
    deployment: &DeploymentConfig,
    status: u16,
    said: &str,
    key: &str,
) -> Problem {
    let problem = format!("{status}: {said}");
    let name = deployment.provider_model();
    let azure = deployment.provider == Provider::Azure;
    let (kind, remedy) = match status {
        401 | 403 if deployment.auth == Auth::Entra => (
            ProblemKind::Configuration,
            "the token was refused: give the identity the role \"Cognitive Services OpenAI User\" at the resource (that takes some minutes), and check that `endpoint` names the resource by its own subdomain, `entra_scope`, and the resource's access rules".to_owned(),
        ),
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
pub(super) fn silent(error: NoResponse) -> Problem {
    let remedy = match error.reason {
        NoResponseReason::NoHost => {
            "the host of `endpoint` has no address: check its spelling and the DNS"
        }
        NoResponseReason::Tls => {
            "no secure connection: check that `endpoint` begins with the right one of https:// and http://, and that its certificate is trusted here"
        }
        NoResponseReason::NoConnection | NoResponseReason::Broken => {
            "no connection: check host and port of `endpoint`, the firewall, and that it runs"
        }
        NoResponseReason::NoToken => {
            "try again later; check that this machine reaches who issues the tokens, over a proxy where there is one"
        }
        NoResponseReason::TokenRefused(_) => {
            "correct the credential, or the variables of the environment that name it"
        }
        NoResponseReason::Late => {
            "it is overloaded or hangs: try again, or raise worker.call_timeout_seconds"
        }
    };
    let kind = match error.reason {
        NoResponseReason::TokenRefused(_) => ProblemKind::Configuration,
        _ => ProblemKind::Unreachable,
    };
    let remedy = remedy.to_owned();
    Problem { kind, status: None, problem: error.message, remedy }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_refusal_has_its_remedy() {
        let azure = DeploymentConfig {
            provider: Provider::Azure,
            deployment: Some("d".into()),
            ..DeploymentConfig::default()
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
        let entra = DeploymentConfig { auth: Auth::Entra, ..azure.clone() };
        let problem = refused(&entra, 401, "", "the variable KEY");
        assert!(problem.remedy.contains("role") && !problem.remedy.contains("KEY"), "{problem:?}");
    }
}
