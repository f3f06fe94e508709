//! The requests that ask for a token, and what their responses say. Pure.
//!
//! - Microsoft identity platform, OAuth 2.0 client credentials flow:
//!   <https://learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow>
//! - IMDS: <https://learn.microsoft.com/entra/identity/managed-identities-azure-resources/how-to-use-vm-token>
//! - App Service: <https://learn.microsoft.com/azure/app-service/overview-managed-identity>

use super::credential::{Application, Credential};
use crate::config::{DEFAULT_SCOPE, DeploymentConfig, Secret};
use crate::provider::fault::{Fault, shorten};
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, Request, Url};
use serde::Deserialize;
use serde_json::Value;
use std::time::Duration;

/// How long a token is taken to live that does not say so.
const LIFETIME_DEFAULT: Duration = Duration::from_secs(300);
/// No token is believed to live longer.
const LIFETIME_MAX: Duration = Duration::from_secs(24 * 3600);

const IMDS_VERSION: &str = "2018-02-01";
const APP_SERVICE_VERSION: &str = "2019-08-01";
const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// A token that was granted.
#[derive(Debug)]
pub(super) struct Granted {
    pub(super) token: Secret,
    /// How long it still lives.
    pub(super) lifetime: Duration,
}

/// The scope of a deployment's tokens: the one that is configured, else that of its host.
pub(crate) fn scope(config: &DeploymentConfig) -> String {
    if let Some(scope) = &config.entra_scope {
        return scope.clone();
    }
    let base = config.endpoint().map_or("", |endpoint| endpoint.base);
    let url = Url::parse(base).ok();
    let host = url.as_ref().and_then(Url::host_str).unwrap_or_default();
    let resource = match host {
        host if host.ends_with(".services.ai.azure.com") => "https://ai.azure.com",
        host if host.ends_with(".azure.us") => "https://cognitiveservices.azure.us",
        host if host.ends_with(".azure.cn") => "https://cognitiveservices.azure.cn",
        _ => "https://cognitiveservices.azure.com",
    };
    format!("{resource}{DEFAULT_SCOPE}")
}

/// The request for a token; none for a credential that is asked otherwise. `assertion` is what stands
/// in the file of a [`Credential::TokenFile`].
pub(super) fn request(
    credential: &Credential,
    scope: &str,
    assertion: Option<&Secret>,
) -> Option<Request> {
    match credential {
        Credential::ClientSecret { application, secret } => {
            Some(post(application, scope, &[("client_secret", secret.expose())]))
        }
        Credential::TokenFile { application, .. } => {
            let proof =
                [("client_assertion_type", JWT_BEARER), ("client_assertion", assertion?.expose())];
            Some(post(application, scope, &proof))
        }
        Credential::Machine { endpoint, client_id } => {
            let header = (HeaderName::from_static("metadata"), HeaderValue::from_static("true"));
            Some(get(endpoint, IMDS_VERSION, scope, client_id.as_deref(), header))
        }
        Credential::AppService { endpoint, header, client_id } => {
            let mut value = HeaderValue::from_str(header.expose()).ok()?;
            value.set_sensitive(true);
            let header = (HeaderName::from_static("x-identity-header"), value);
            Some(get(endpoint, APP_SERVICE_VERSION, scope, client_id.as_deref(), header))
        }
        Credential::AzureCli { .. } => None,
    }
}

fn post(application: &Application, scope: &str, proof: &[(&str, &str)]) -> Request {
    let url = application.token_url.clone();
    // What a form's body is, a URL's query is, too.
    let mut form = url.clone();
    form.set_query(None);
    form.query_pairs_mut()
        .append_pair("grant_type", "client_credentials")
        .append_pair("client_id", &application.client_id)
        .append_pair("scope", scope)
        .extend_pairs(proof);
    let mut request = Request::new(Method::POST, url);
    let kind = HeaderValue::from_static("application/x-www-form-urlencoded");
    request.headers_mut().insert(CONTENT_TYPE, kind);
    *request.body_mut() = Some(form.query().unwrap_or_default().to_owned().into());
    request
}

fn get(
    endpoint: &Url,
    version: &str,
    scope: &str,
    client_id: Option<&str>,
    header: (HeaderName, HeaderValue),
) -> Request {
    let mut url = endpoint.clone();
    let resource = scope.strip_suffix(DEFAULT_SCOPE).unwrap_or(scope);
    url.query_pairs_mut().append_pair("api-version", version).append_pair("resource", resource);
    if let Some(client_id) = client_id {
        url.query_pairs_mut().append_pair("client_id", client_id);
    }
    let mut request = Request::new(Method::GET, url);
    *request.headers_mut() = HeaderMap::from_iter([header]);
    request
}

/// A response with a token in it; `accessToken` is how the Azure CLI writes it.
#[derive(Deserialize)]
struct Response {
    #[serde(alias = "accessToken")]
    access_token: Secret,
    /// In seconds from now.
    #[serde(default)]
    expires_in: Value,
    /// In seconds since 1970.
    #[serde(default)]
    expires_on: Value,
}

/// Reads a response with a token in it. `now` is in seconds since 1970.
///
/// # Errors
/// What is wrong with it, without showing it.
pub(super) fn granted(body: &[u8], now: u64) -> Result<Granted, String> {
    // An error of serde would show a part of the body.
    let response: Response = serde_json::from_slice(body)
        .map_err(|_| "the response has no access_token in it".to_owned())?;
    let seconds = |value: &Value| match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    };
    let left = |on: f64| on - now as f64;
    let seconds = seconds(&response.expires_in).or(seconds(&response.expires_on).map(left));
    let lifetime = seconds.filter(|seconds| seconds.is_finite()).map_or(LIFETIME_DEFAULT, |left| {
        Duration::from_secs_f64(left.clamp(0.0, LIFETIME_MAX.as_secs_f64()))
    });
    Ok(Granted { token: response.access_token, lifetime })
}

/// Whether a response without a token is one of Entra ID or of Azure's metadata service. Other clouds
/// have another service at the same address, and proxies answer for hosts that are not there.
pub(super) fn is_of_entra(body: &str) -> bool {
    let value: Value = serde_json::from_str(body).unwrap_or_default();
    value.get("error").is_some_and(Value::is_string)
}

/// What a response without a token says, on one line, and the remedy where it is known.
pub(super) fn refusal(status: u16, body: &str) -> String {
    let value: Value = serde_json::from_str(body).unwrap_or_default();
    let said = match value.get("error_description").and_then(Value::as_str) {
        // Trace and correlation id follow.
        Some(said) => shorten(said.split("Trace ID:").next().unwrap_or(said)),
        None => Fault::read(body).message(status),
    };
    with_remedy(&said)
}

/// What was said, and what to do about it. The codes are those of
/// <https://learn.microsoft.com/entra/identity-platform/reference-error-codes>.
pub(super) fn with_remedy(said: &str) -> String {
    let code = said
        .split("AADSTS")
        .nth(1)
        .map(|rest| rest.chars().take_while(char::is_ascii_digit).collect::<String>());
    let remedy = match code.as_deref() {
        Some("7000215") => "set AZURE_CLIENT_SECRET to the value of a secret, not to its id",
        Some("7000222") => "the secret has expired: make a new one and set AZURE_CLIENT_SECRET",
        Some("700016") => "check AZURE_CLIENT_ID, and that AZURE_TENANT_ID is the application's",
        Some("90002" | "900023" | "50059") => "check AZURE_TENANT_ID and AZURE_AUTHORITY_HOST",
        Some("70021" | "700211" | "700212" | "700213" | "700223") => {
            "give the application a federated credential for the issuer, subject and audience of \
             the token in AZURE_FEDERATED_TOKEN_FILE"
        }
        Some("700024" | "50027" | "5002738") => {
            "the token in AZURE_FEDERATED_TOKEN_FILE is not valid now: whoever writes that file must \
             renew it"
        }
        Some("500011" | "70011" | "1002012" | "65001") => "check entra_scope of the deployment",
        Some("53003" | "530034" | "53000") => "a rule of conditional access forbids it",
        Some(_) => "look the code up at https://login.microsoftonline.com/error",
        None if said.contains("Identity not found") => {
            "give this machine a managed identity, or set AZURE_CLIENT_ID to the one that it has"
        }
        None if said.contains("az login") => "log in with `az login`",
        None => return said.to_owned(),
    };
    format!("{}: {remedy}", said.trim_end_matches(['.', ' ']))
}

#[cfg(test)]
mod tests {
    use super::super::credential::credentials;
    use super::*;

    const SCOPE: &str = "https://cognitiveservices.azure.com/.default";

    fn asked(variables: &[(&str, &str)]) -> Request {
        let variable = |name: &str| {
            let found = variables.iter().find(|(key, _)| *key == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        let credential = credentials(variable).unwrap().remove(0);
        request(&credential, SCOPE, Some(&Secret::new("a+b/c="))).unwrap()
    }

    fn body(request: &Request) -> &str {
        str::from_utf8(request.body().unwrap().as_bytes().unwrap()).unwrap()
    }

    #[test]
    fn an_application_proves_itself_in_a_form() {
        let application = [("AZURE_TENANT_ID", "t"), ("AZURE_CLIENT_ID", "c")];
        let with = |more| asked(&[application[0], application[1], more]);
        let secret = with(("AZURE_CLIENT_SECRET", "p&q =~%"));
        let url = "https://login.microsoftonline.com/t/oauth2/v2.0/token";
        assert_eq!((secret.method().as_str(), secret.url().as_str()), ("POST", url));
        let start = "grant_type=client_credentials&client_id=c\
                     &scope=https%3A%2F%2Fcognitiveservices.azure.com%2F.default";
        assert_eq!(body(&secret), format!("{start}&client_secret=p%26q+%3D%7E%25"));
        let file = with(("AZURE_FEDERATED_TOKEN_FILE", "/token"));
        let kind = "urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer";
        let proof = format!("&client_assertion_type={kind}&client_assertion=a%2Bb%2Fc%3D");
        assert_eq!(body(&file), format!("{start}{proof}"));
    }

    #[test]
    fn a_managed_identity_is_asked_for_a_resource() {
        let machine = asked(&[]);
        let query = "resource=https%3A%2F%2Fcognitiveservices.azure.com";
        let url = format!(
            "http://169.254.169.254/metadata/identity/oauth2/token?api-version=2018-02-01&{query}"
        );
        assert_eq!((machine.method().as_str(), machine.url().as_str()), ("GET", &*url));
        assert_eq!(machine.headers()["metadata"], "true");
        let named = asked(&[("AZURE_CLIENT_ID", "c")]);
        assert_eq!(named.url().as_str(), format!("{url}&client_id=c"));
        let endpoint = ("IDENTITY_ENDPOINT", "http://localhost:42356/msi/token?x=1");
        let service = asked(&[endpoint, ("IDENTITY_HEADER", "h")]);
        let url = format!("http://localhost:42356/msi/token?x=1&api-version=2019-08-01&{query}");
        assert_eq!(service.url().as_str(), url);
        assert_eq!(service.headers()["x-identity-header"], "h");
        assert!(service.headers()["x-identity-header"].is_sensitive());
    }

    /// The bodies are those that Microsoft's documentation shows.
    #[test]
    fn each_source_has_its_way_to_say_how_long_a_token_lives() {
        let check = |body: &str, seconds: u64| {
            let granted = granted(body.as_bytes(), 1_586_984_000).unwrap();
            let found = (granted.token.expose(), granted.lifetime.as_secs());
            assert_eq!(found, ("eyJ0", seconds), "{body}");
        };
        check(r#"{"token_type":"Bearer","expires_in":3599,"access_token":"eyJ0"}"#, 3599);
        check(
            r#"{"access_token":"eyJ0","refresh_token":"","expires_in":"3599",
                "expires_on":"1506484173","not_before":"1506480273",
                "resource":"https://management.azure.com/","token_type":"Bearer"}"#,
            3599,
        );
        check(
            r#"{"access_token":"eyJ0","expires_on":"1586984735","resource":"https://vault.azure.net",
                "token_type":"Bearer","client_id":"5E29463D-71DA-4FE0-8E69-999B57DB23B0"}"#,
            735,
        );
        check(
            r#"{"accessToken":"eyJ0","expiresOn":"2020-04-15 21:05:35.000000",
                "expires_on":1586984735,"subscription":"s","tenant":"t","tokenType":"Bearer"}"#,
            735,
        );
        check(r#"{"accessToken":"eyJ0","expiresOn":"2020-04-15 21:05:35.000000"}"#, 300);
        check(r#"{"access_token":"eyJ0","expires_on":"1506484173"}"#, 0);
        check(r#"{"access_token":"eyJ0","expires_in":1e99}"#, 86_400);
        for wrong in ["", "eyJ0", r#"{"token":"eyJ0"}"#, r#"{"access_token":1,"x":"eyJ0"}"#] {
            assert!(!granted(wrong.as_bytes(), 0).unwrap_err().contains("eyJ0"));
        }
    }

    #[test]
    fn a_refusal_names_its_code_and_the_remedy() {
        let check = |status, body: &str, parts: &[&str]| {
            let said = refusal(status, body);
            for part in parts {
                assert!(said.contains(part), "{said} lacks {part}");
            }
            assert!(!said.contains("Trace") && !said.contains('\n'), "{said}");
        };
        check(
            401,
            r#"{"error":"invalid_client","error_description":"AADSTS7000215: Invalid client secret provided. Ensure the secret being sent in the request is the client secret value, not the client secret ID, for a secret added to app 'c'. Trace ID: 1 Correlation ID: 2 Timestamp: 3","error_codes":[7000215],"error_uri":"https://login.microsoftonline.com/error?code=7000215"}"#,
            &["AADSTS7000215", "AZURE_CLIENT_SECRET"],
        );
        check(
            400,
            r#"{"error":"unauthorized_client","error_description":"AADSTS700016: Application with identifier 'c' was not found in the directory 'Contoso'.\r\nTrace ID: 1\r\nCorrelation ID: 2"}"#,
            &["AADSTS700016", "AZURE_CLIENT_ID"],
        );
        check(
            400,
            r#"{"error":"invalid_request","error_description":"Identity not found"}"#,
            &["AZURE_CLIENT_ID"],
        );
        check(
            400,
            r#"{"error":"x","error_description":"AADSTS123: y."}"#,
            &["AADSTS123: y: look", "login.microsoftonline.com/error"],
        );
        check(400, r#"{"statusCode":400,"message":"No identity"}"#, &["No identity"]);
        check(403, "<html>", &["markup"]);
        check(403, "", &["status 403"]);
    }

    #[test]
    fn another_service_at_the_address_is_no_metadata_service() {
        let check = |body: &str, expected: bool| assert_eq!(is_of_entra(body), expected, "{body}");
        check(r#"{"error":"invalid_request","error_description":"Identity not found"}"#, true);
        check(r#"{"error":"unknown","error_description":"Failed to retrieve token"}"#, true);
        // Amazon's, Google's, a desktop's proxy, a gateway's.
        check("<?xml version=\"1.0\"?><html><title>401 - Unauthorized</title></html>", false);
        check("Missing Metadata-Flavor:Google header.\n", false);
        check("connecting to 169.254.169.254:80: a socket operation was attempted", false);
        check(r#"{"error":{"code":403,"message":"denied destination"}}"#, false);
        check("", false);
    }

    #[test]
    fn the_scope_follows_the_host() {
        use crate::config::Provider;
        let check = |endpoint: &str, expected: &str| {
            let (provider, endpoint) = (Provider::Azure, endpoint.to_owned());
            let config = DeploymentConfig { provider, endpoint, ..DeploymentConfig::default() };
            assert_eq!(scope(&config), expected);
            let entra_scope = Some("api://gateway/.default".to_owned());
            assert_eq!(
                scope(&DeploymentConfig { entra_scope, ..config }),
                "api://gateway/.default"
            );
        };
        check("https://r.openai.azure.com", SCOPE);
        check("https://R.OpenAI.Azure.com/openai/v1/", SCOPE);
        check("https://r.cognitiveservices.azure.com", SCOPE);
        check("https://gw.corp/ai", SCOPE);
        check("https://r.services.ai.azure.com/openai/v1", "https://ai.azure.com/.default");
        check("https://r.openai.azure.us", "https://cognitiveservices.azure.us/.default");
        check("https://r.openai.azure.cn", "https://cognitiveservices.azure.cn/.default");
    }
}
