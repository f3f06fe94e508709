//! Which credentials the environment names. Order and names are those of `DefaultAzureCredential` in
//! Azure's own libraries: <https://learn.microsoft.com/azure/developer/intro/passwordless-overview>.
//!
//! Pure: the environment is an argument.

use crate::config::Secret;
use reqwest::Url;
use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;

const AUTHORITY: &str = "https://login.microsoftonline.com";
/// Where a virtual machine asks for tokens of its identity (IMDS). The variable is the one that
/// Azure's libraries know.
const IMDS: &str = "http://169.254.169.254";
const IMDS_VARIABLE: &str = "AZURE_POD_IDENTITY_AUTHORITY_HOST";

const NO_APPLICATION: &str = "is \"entra\", and AZURE_CLIENT_SECRET or AZURE_FEDERATED_TOKEN_FILE \
                              is set: set AZURE_TENANT_ID and AZURE_CLIENT_ID, too";
const NO_AUTHORITY: &str = "is \"entra\", and AZURE_AUTHORITY_HOST or AZURE_TENANT_ID is not \
                            understood: the first starts with https://, the second is a GUID or a domain";
const NO_ENDPOINT: &str = "is \"entra\", and IDENTITY_ENDPOINT or AZURE_POD_IDENTITY_AUTHORITY_HOST \
                           is no URL: unset it, it is set by Azure where it is needed";
const CERTIFICATE: &str = "is \"entra\", and AZURE_CLIENT_CERTIFICATE_PATH is set: certificates are not \
                           supported; use AZURE_CLIENT_SECRET, AZURE_FEDERATED_TOKEN_FILE or a \
                           managed identity";

/// What a token is asked for with.
#[derive(Clone, Debug)]
pub(super) enum Credential {
    /// The secret of a registered application.
    ClientSecret { application: Application, secret: Secret },
    /// A file that holds a token of another issuer, such as a Kubernetes cluster, which renews it.
    TokenFile { application: Application, path: PathBuf },
    /// The managed identity of App Service, Functions or Container Apps.
    AppService { endpoint: Url, header: Secret, client_id: Option<String> },
    /// The managed identity of a virtual machine.
    Machine { endpoint: Url, client_id: Option<String> },
    /// The account that is logged in with `az`.
    AzureCli { tenant: Option<String> },
}

/// A registered application.
#[derive(Clone, Debug)]
pub(super) struct Application {
    pub(super) client_id: String,
    /// The token endpoint of its tenant.
    pub(super) token_url: Url,
}

/// The credentials to try, in order. The first that has given a token is the only one from then on.
///
/// # Errors
/// What is wrong with the environment, to be read after `auth`.
pub(super) fn credentials(
    variable: impl Fn(&str) -> Option<String>,
) -> Result<Vec<Credential>, &'static str> {
    let get = |name: &str| {
        let value = variable(name)?.trim().to_owned();
        (!value.is_empty()).then_some(value)
    };
    let (client_id, tenant) = (get("AZURE_CLIENT_ID"), get("AZURE_TENANT_ID"));
    let (secret, file) = (get("AZURE_CLIENT_SECRET"), get("AZURE_FEDERATED_TOKEN_FILE"));
    if secret.is_some() || file.is_some() {
        let client_id = client_id.ok_or(NO_APPLICATION)?;
        let tenant = tenant.ok_or(NO_APPLICATION)?;
        let token_url = token_url(get("AZURE_AUTHORITY_HOST").as_deref(), &tenant);
        let application = Application { client_id, token_url: token_url.ok_or(NO_AUTHORITY)? };
        return Ok(match (secret, file) {
            (Some(secret), _) => {
                vec![Credential::ClientSecret { application, secret: Secret::new(secret) }]
            }
            (None, Some(path)) => vec![Credential::TokenFile { application, path: path.into() }],
            (None, None) => Vec::new(),
        });
    }
    if get("AZURE_CLIENT_CERTIFICATE_PATH").is_some() {
        return Err(CERTIFICATE);
    }
    if let (Some(endpoint), Some(header)) = (get("IDENTITY_ENDPOINT"), get("IDENTITY_HEADER")) {
        let endpoint = Url::parse(&endpoint).map_err(|_| NO_ENDPOINT)?;
        return Ok(vec![Credential::AppService {
            endpoint,
            header: Secret::new(header),
            client_id,
        }]);
    }
    let host = get(IMDS_VARIABLE).unwrap_or_else(|| IMDS.to_owned());
    let endpoint = format!("{}/metadata/identity/oauth2/token", host.trim_end_matches('/'));
    let endpoint = Url::parse(&endpoint).map_err(|_| NO_ENDPOINT)?;
    Ok(vec![Credential::Machine { endpoint, client_id }, Credential::AzureCli { tenant }])
}

/// The token endpoint of a tenant. A secret goes over TLS, or stays on this machine.
fn token_url(authority: Option<&str>, tenant: &str) -> Option<Url> {
    let is_legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.');
    if !tenant.chars().all(is_legal) || tenant.starts_with('.') {
        return None;
    }
    let authority = authority.unwrap_or(AUTHORITY).trim_end_matches('/');
    let scheme = if authority.contains("://") { "" } else { "https://" };
    let url = Url::parse(&format!("{scheme}{authority}/{tenant}/oauth2/v2.0/token")).ok()?;
    let host = url.host_str()?;
    let address = host.trim_matches(['[', ']']).parse::<IpAddr>();
    let is_here = host == "localhost" || address.is_ok_and(|address| address.is_loopback());
    (url.scheme() == "https" || url.scheme() == "http" && is_here).then_some(url)
}

impl fmt::Display for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let identity = |client_id: &Option<String>| match client_id {
            Some(client_id) => format!("the managed identity {client_id}"),
            None => "the system-assigned managed identity".to_owned(),
        };
        match self {
            Self::ClientSecret { application: Application { client_id, .. }, .. } => {
                write!(f, "AZURE_CLIENT_SECRET of application {client_id}")
            }
            Self::TokenFile { application: Application { client_id, .. }, .. } => {
                write!(f, "AZURE_FEDERATED_TOKEN_FILE for application {client_id}")
            }
            Self::AppService { client_id, .. } => {
                write!(f, "{} at IDENTITY_ENDPOINT", identity(client_id))
            }
            Self::Machine { client_id, .. } => write!(f, "{} of this machine", identity(client_id)),
            Self::AzureCli { .. } => write!(f, "the account of the Azure CLI"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(variables: &[(&str, &str)]) -> Result<Vec<String>, &'static str> {
        let variable = |name: &str| {
            let found = variables.iter().find(|(key, _)| *key == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        Ok(credentials(variable)?.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn the_environment_names_the_credential_in_the_order_of_azures_libraries() {
        let secret = ("AZURE_CLIENT_SECRET", "s");
        let file = ("AZURE_FEDERATED_TOKEN_FILE", "/var/run/token");
        let (client, tenant) = (("AZURE_CLIENT_ID", "app"), ("AZURE_TENANT_ID", "contoso.com"));
        let endpoint = ("IDENTITY_ENDPOINT", "http://127.0.0.1:41741/msi/token");
        let header = ("IDENTITY_HEADER", "h");
        let check = |variables: &[(&str, &str)], expected: &[&str]| {
            assert_eq!(named(variables).unwrap(), expected, "{variables:?}");
        };
        let all = [secret, file, client, tenant, endpoint, header];
        check(&all, &["AZURE_CLIENT_SECRET of application app"]);
        check(&all[1..], &["AZURE_FEDERATED_TOKEN_FILE for application app"]);
        check(&all[2..], &["the managed identity app at IDENTITY_ENDPOINT"]);
        check(&all[4..], &["the system-assigned managed identity at IDENTITY_ENDPOINT"]);
        let cli = "the account of the Azure CLI";
        let machine = "the system-assigned managed identity of this machine";
        // A header alone is not App Service's.
        check(&all[5..], &[machine, cli]);
        check(&[], &[machine, cli]);
        check(&[client], &["the managed identity app of this machine", cli]);
        // Empty is as good as not set: Kubernetes and compose files leave such behind.
        check(&[("AZURE_CLIENT_SECRET", " ")], &[machine, cli]);
        assert!(named(&[secret, client]).unwrap_err().contains("AZURE_TENANT_ID"));
        assert!(named(&[file]).unwrap_err().contains("AZURE_CLIENT_ID"));
        let certificate = named(&[("AZURE_CLIENT_CERTIFICATE_PATH", "c.pem")]).unwrap_err();
        assert!(certificate.contains("not supported"), "{certificate}");
    }

    #[test]
    fn a_secret_goes_over_tls_or_stays_here() {
        let url = |authority, tenant| token_url(authority, tenant).map(|url| url.to_string());
        let check = |authority, tenant, expected: Option<&str>| {
            assert_eq!(url(authority, tenant).as_deref(), expected, "{authority:?} {tenant}");
        };
        let path = "/contoso.com/oauth2/v2.0/token";
        let public = format!("https://login.microsoftonline.com{path}");
        check(None, "contoso.com", Some(&public));
        let government = format!("https://login.microsoftonline.us{path}");
        check(Some("https://login.microsoftonline.us/"), "contoso.com", Some(&government));
        check(Some("login.microsoftonline.us"), "contoso.com", Some(&government));
        let local = format!("http://127.0.0.1:80{path}").replace(":80", "");
        check(Some("http://127.0.0.1:80"), "contoso.com", Some(&local));
        check(Some("http://login.example"), "contoso.com", None);
        check(Some("http://127.0.0.1.example"), "contoso.com", None);
        check(None, "a/../b", None);
        check(None, "..", None);
        check(None, "a?b", None);
    }

    #[test]
    fn nothing_that_is_printed_shows_a_secret() {
        let variable = |name: &str| Some(format!("http://canary-{name}"));
        let tenant = |name: &str| match name {
            "AZURE_TENANT_ID" => Some("t".to_owned()),
            "AZURE_AUTHORITY_HOST" => None,
            name => Some(format!("canary-{name}")),
        };
        let app_service = |name: &str| match name {
            "AZURE_CLIENT_SECRET" | "AZURE_FEDERATED_TOKEN_FILE" => None,
            "AZURE_CLIENT_CERTIFICATE_PATH" => None,
            name => variable(name),
        };
        for found in [credentials(tenant).unwrap(), credentials(app_service).unwrap()] {
            let shown = format!("{found:?} {}", found[0]);
            assert!(!shown.contains("canary-AZURE_CLIENT_SECRET"), "{shown}");
            assert!(!shown.contains("canary-IDENTITY_HEADER"), "{shown}");
        }
    }
}
