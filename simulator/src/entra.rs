//! A stand-in for Microsoft Entra ID and for the metadata services of managed identities: who gets a
//! token, and which tokens are let in. Time is an argument; the network is unknown here.

use crate::fault::{Call, Fault, FaultKind, FaultPlan, Stage};
use crate::stats::TokenStats;
use anyhow::{Context as _, ensure};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use std::time::Duration;

/// Whom it issues tokens to, and how they live.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EntraConfig {
    /// The tenant in the address of its token endpoint.
    pub tenant: String,
    /// The one application that it knows, and the user-assigned identity.
    pub client_id: String,
    /// The application's secret; none is right unless set.
    pub client_secret: Option<String>,
    /// The token of another issuer that stands for the application; none is right unless set.
    pub federated_token: Option<String>,
    /// What `x-identity-header` must say; there is no App Service unless set.
    pub identity_header: Option<String>,
    /// Whether a machine has a managed identity.
    pub machine: bool,
    /// How long a token says that it lives.
    pub token_seconds: u64,
    /// How long deployments accept it; as long as it says, unless set.
    pub accepted_seconds: Option<f64>,
    /// What goes wrong with those who ask for tokens, and when: `unavailable`, `server_error` and
    /// `no_capacity` (429).
    pub faults: Vec<Fault>,
}

impl Default for EntraConfig {
    fn default() -> Self {
        Self {
            tenant: "contoso.example".to_owned(),
            client_id: "11111111-2222-3333-4444-555555555555".to_owned(),
            client_secret: None,
            federated_token: None,
            identity_header: None,
            machine: false,
            token_seconds: 3_600,
            accepted_seconds: None,
            faults: Vec::new(),
        }
    }
}

impl EntraConfig {
    pub(crate) fn validate(&self) -> anyhow::Result<()> {
        let accepted = self.accepted_seconds.unwrap_or_default();
        ensure!(
            accepted.is_finite() && accepted >= 0.0,
            "`entra.accepted_seconds` must be 0 or more"
        );
        for (index, fault) in self.faults.iter().enumerate() {
            fault.validate().with_context(|| format!("`entra.faults[{index}]`"))?;
            let is_before = fault.kind.stage() == Stage::BeforeLimiter;
            ensure!(
                is_before,
                "`entra.faults[{index}]`: no token endpoint has a fault of this kind"
            );
        }
        Ok(())
    }
}

/// What stands behind a request for a token.
#[derive(Debug)]
pub(crate) enum Proof<'a> {
    Secret(&'a str),
    Assertion(&'a str),
    Machine,
    AppService(&'a str),
}

/// A request for a token.
#[derive(Debug)]
pub(crate) struct TokenRequest<'a> {
    /// Managed identities have none.
    pub(crate) tenant: Option<&'a str>,
    /// None asks for the system-assigned identity.
    pub(crate) client_id: Option<&'a str>,
    pub(crate) scope: &'a str,
    pub(crate) proof: Proof<'a>,
}

/// Why there is no token.
#[derive(Debug, PartialEq)]
pub(crate) enum TokenRefusal {
    Fault {
        kind: FaultKind,
        retry_after: Option<f64>,
    },
    /// A status, a code of OAuth, and what is said.
    Wrong(u16, &'static str, String),
}

/// An issuer at work.
#[derive(Debug)]
pub(crate) struct Issuer {
    config: EntraConfig,
    /// The scopes that deployments have.
    scopes: Vec<String>,
    fault_plan: FaultPlan,
    tokens: Vec<IssuedToken>,
    stats: TokenStats,
}

#[derive(Debug)]
struct IssuedToken {
    value: String,
    scope: String,
    until: Duration,
}

impl Issuer {
    pub(crate) fn new(config: EntraConfig, scopes: Vec<String>) -> Self {
        let fault_plan = FaultPlan::new(&config.faults);
        Self { config, scopes, fault_plan, tokens: Vec::new(), stats: TokenStats::default() }
    }

    pub(crate) fn stats(&self) -> &TokenStats {
        &self.stats
    }

    /// A token and how many seconds it says that it lives.
    pub(crate) fn issue(
        &mut self,
        now: Duration,
        request: &TokenRequest<'_>,
    ) -> Result<(String, u64), TokenRefusal> {
        let call = Call { at: now, text: "", tokens: 0, mode: None, is_repair: false };
        let fault = self.fault_plan.trigger(Stage::BeforeLimiter, &call);
        let fault = fault.map(|fault| (fault.kind, fault.seconds));
        let refusal = match fault {
            Some((kind, retry_after)) => Some(TokenRefusal::Fault { kind, retry_after }),
            None => self.wrong(request),
        };
        if let Some(refusal) = refusal {
            self.stats.refused += 1;
            return Err(refusal);
        }
        self.stats.issued += 1;
        let last = self.tokens.iter().rfind(|issued| issued.scope == request.scope);
        self.stats.early += u64::from(last.is_some_and(|last| now < last.until));
        let digest = Sha256::digest(format!("{} {}", self.stats.issued, request.scope));
        let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        let value = format!("entra-token-{hex}");
        let seconds = self.config.accepted_seconds.unwrap_or(self.config.token_seconds as f64);
        let until = now + Duration::from_secs_f64(seconds);
        let scope = request.scope.to_owned();
        self.tokens.push(IssuedToken { value: value.clone(), scope, until });
        Ok((value, self.config.token_seconds))
    }

    /// The codes are those that Entra ID answers with.
    fn wrong(&self, request: &TokenRequest<'_>) -> Option<TokenRefusal> {
        let wrong = |status, code, said: String| Some(TokenRefusal::Wrong(status, code, said));
        let of_tenant = |tenant| tenant != self.config.tenant;
        if let Some(tenant) = request.tenant.filter(|tenant| of_tenant(*tenant)) {
            let said = format!("AADSTS90002: Tenant '{tenant}' not found.");
            return wrong(400, "invalid_request", said);
        }
        let is_other = request.client_id.is_some_and(|id| id != self.config.client_id);
        let is_right = |given: &str, right: &Option<String>| right.as_deref() == Some(given);
        match request.proof {
            Proof::Machine if is_other || !self.config.machine => {
                return wrong(400, "invalid_request", "Identity not found".to_owned());
            }
            Proof::AppService(_) if is_other => {
                return wrong(400, "invalid_request", "No User Assigned identity found".to_owned());
            }
            Proof::Secret(_) | Proof::Assertion(_) if is_other || request.client_id.is_none() => {
                let said = "AADSTS700016: Application was not found in the directory.";
                return wrong(400, "unauthorized_client", said.to_owned());
            }
            Proof::Secret(secret) if !is_right(secret, &self.config.client_secret) => {
                let said = format!("AADSTS7000215: Invalid client secret provided: '{secret}'.");
                return wrong(401, "invalid_client", said);
            }
            Proof::Assertion(token) if !is_right(token, &self.config.federated_token) => {
                let said = "AADSTS700213: No matching federated identity record found.";
                return wrong(401, "invalid_client", said.to_owned());
            }
            Proof::AppService(header) if !is_right(header, &self.config.identity_header) => {
                return wrong(401, "invalid_client", "wrong x-identity-header".to_owned());
            }
            _ => {}
        }
        if self.scopes.iter().any(|scope| scope == request.scope) {
            return None;
        }
        let said = format!("AADSTS500011: The resource {} was not found.", request.scope);
        wrong(400, "invalid_resource", said)
    }

    /// Whether a deployment with this scope lets a call with this token in.
    pub(crate) fn lets_in(&mut self, now: Duration, token: Option<&str>, scope: &str) -> bool {
        let is_right = |issued: &IssuedToken| {
            Some(&*issued.value) == token && issued.scope == scope && now < issued.until
        };
        let is_in = self.tokens.iter().any(is_right);
        self.stats.denied_calls += u64::from(!is_in);
        is_in
    }

    /// No token that was issued is accepted any more.
    pub(crate) fn revoke(&mut self) {
        self.tokens.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn issuer() -> Issuer {
        let config = EntraConfig {
            client_secret: Some("right".to_owned()),
            machine: true,
            accepted_seconds: Some(2.0),
            ..EntraConfig::default()
        };
        Issuer::new(config, vec!["s/.default".to_owned()])
    }

    #[test]
    fn a_token_is_accepted_for_its_scope_while_it_lives() {
        let mut issuer = issuer();
        let machine = TokenRequest {
            tenant: None,
            client_id: None,
            scope: "s/.default",
            proof: Proof::Machine,
        };
        let (token, seconds) = issuer.issue(Duration::ZERO, &machine).unwrap();
        assert_eq!(seconds, 3_600);
        let at = Duration::from_secs;
        assert!(issuer.lets_in(at(1), Some(&token), "s/.default"));
        assert!(!issuer.lets_in(at(1), Some(&token), "t/.default"));
        assert!(!issuer.lets_in(at(1), None, "s/.default"));
        assert!(!issuer.lets_in(at(2), Some(&token), "s/.default"));
        let (next, _) = issuer.issue(at(2), &machine).unwrap();
        assert_ne!(token, next);
        issuer.revoke();
        assert!(!issuer.lets_in(at(2), Some(&next), "s/.default"));
        assert_eq!((issuer.stats().issued, issuer.stats().denied_calls), (2, 4));
    }

    #[test]
    fn what_is_wrong_has_its_code() {
        let mut issuer = issuer();
        let mut check = |tenant, client_id, scope, secret, expected: &str| {
            let proof = Proof::Secret(secret);
            let request = TokenRequest { tenant: Some(tenant), client_id, scope, proof };
            let said = match issuer.issue(Duration::ZERO, &request) {
                Ok(_) => "issued".to_owned(),
                Err(TokenRefusal::Wrong(_, _, said)) => said,
                Err(fault) => format!("{fault:?}"),
            };
            assert!(said.starts_with(expected), "{said}");
        };
        let EntraConfig { tenant, client_id, .. } = EntraConfig::default();
        let (tenant, client) = (&*tenant, Some(&*client_id));
        check(tenant, client, "s/.default", "right", "issued");
        check("other", client, "s/.default", "right", "AADSTS90002");
        check(tenant, Some("other"), "s/.default", "right", "AADSTS700016");
        check(tenant, None, "s/.default", "right", "AADSTS700016");
        check(tenant, client, "s/.default", "wrong", "AADSTS7000215");
        check(tenant, client, "t/.default", "right", "AADSTS500011");
    }
}
