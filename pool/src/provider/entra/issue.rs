//! Asks for a token: over HTTP, or by running `az`.
//!
//! One attempt; when to make the next is its caller's.

use super::credential::Credential;
use super::grant::{self, Granted};
use crate::config::Secret;
use crate::provider::classify::causes;
use crate::provider::fault::shorten;
use crate::provider::headers;
use bytes::BytesMut;
use reqwest::{Client, redirect};
use std::io::ErrorKind;
use std::process::Stdio;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::process::Command;

/// How long a connection to a metadata service may take: it is on this machine, or nowhere.
const LOCAL_CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// The largest response, or file, that is read: tokens have a few KiB.
const TOKEN_BYTES_MAX: usize = 64 * 1024;

/// Why there is no token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum TokenError {
    /// Nobody answers, or not now. The wait is the one that was named.
    Away { message: String, retry_after: Option<Duration> },
    /// It is refused, until something is corrected.
    Refused { status: u16, message: String },
}

/// Why one credential gives no token.
enum Failure {
    /// There is no such credential here: the next one is tried.
    Absent(String),
    Token(TokenError),
}

/// The ways to those who issue tokens.
#[derive(Clone)]
pub(super) struct IssuerClients {
    public: Client,
    /// For addresses of this machine, which no proxy knows.
    local: Client,
}

impl IssuerClients {
    pub(super) fn new(public: Client) -> Result<Self, reqwest::Error> {
        let local = Client::builder()
            .no_proxy()
            .connect_timeout(LOCAL_CONNECT_TIMEOUT)
            .redirect(redirect::Policy::none());
        Ok(Self { public, local: local.build()? })
    }
}

/// A token of the first credential that there is, which is then the only one.
pub(super) async fn issue(
    clients: &IssuerClients,
    credentials: &mut Vec<Credential>,
    scope: &str,
) -> Result<Granted, TokenError> {
    let mut absent = Vec::new();
    for (index, credential) in credentials.iter().enumerate() {
        match ask(clients, credential, scope).await {
            Ok(granted) => {
                let found = credentials.swap_remove(index);
                if !credentials.is_empty() {
                    tracing::info!(credential = %found, "tokens come from this credential");
                }
                *credentials = vec![found];
                return Ok(granted);
            }
            Err(Failure::Absent(message)) => absent.push(message),
            Err(Failure::Token(error)) => return Err(with_absent(error, &absent)),
        }
    }
    let message = absent.join("; ");
    if credentials.len() == 1 {
        // It was there before.
        return Err(TokenError::Away { message, retry_after: None });
    }
    let remedy = "set AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET or \
                  AZURE_FEDERATED_TOKEN_FILE, give this machine a managed identity, or log in with \
                  `az login`";
    let message = format!("there is no credential: {message}: {remedy}");
    Err(TokenError::Refused { status: 401, message })
}

/// What the credentials before it said is a part of the cause.
fn with_absent(error: TokenError, absent: &[String]) -> TokenError {
    match error {
        TokenError::Refused { status, message } if !absent.is_empty() => {
            let message = format!("{message} (before that: {})", absent.join("; "));
            TokenError::Refused { status, message }
        }
        error => error,
    }
}

async fn ask(
    clients: &IssuerClients,
    credential: &Credential,
    scope: &str,
) -> Result<Granted, Failure> {
    let outcome = match credential {
        Credential::AzureCli { tenant } => run_az(tenant.as_deref(), scope).await,
        _ => ask_over_http(clients, credential, scope).await,
    };
    outcome.map_err(|mut failure| {
        let (Failure::Absent(message)
        | Failure::Token(
            TokenError::Away { message, .. } | TokenError::Refused { message, .. },
        )) = &mut failure;
        *message = format!("{credential}: {message}");
        failure
    })
}

async fn ask_over_http(
    clients: &IssuerClients,
    credential: &Credential,
    scope: &str,
) -> Result<Granted, Failure> {
    let assertion = match credential {
        Credential::TokenFile { path, .. } => Some(read(path).await?),
        _ => None,
    };
    let Some(request) = grant::request(credential, scope, assertion.as_ref()) else {
        return Err(refused(401, "it has characters that a header cannot carry".to_owned()));
    };
    let (is_machine, client) = match credential {
        Credential::Machine { .. } => (true, &clients.local),
        Credential::AppService { .. } => (false, &clients.local),
        _ => (false, &clients.public),
    };
    let away = |error: reqwest::Error| away(causes(&error.without_url()), None);
    let mut response = client.execute(request).await.map_err(|error| match error.is_connect() {
        true if is_machine => Failure::Absent("no metadata service answers".to_owned()),
        _ => away(error),
    })?;
    let status = response.status().as_u16();
    let retry_after = headers::named_retry_after(response.headers());
    let mut body = BytesMut::new();
    while let Some(chunk) = response.chunk().await.map_err(away)? {
        if body.len() + chunk.len() > TOKEN_BYTES_MAX {
            return Err(refused(status, "the response is too large for a token".to_owned()));
        }
        body.extend_from_slice(&chunk);
    }
    if status == 200 {
        let granted = grant::granted(&body, unix_seconds());
        return granted.map_err(|message| match is_machine {
            true => Failure::Absent(message),
            false => refused(status, message),
        });
    }
    let body = String::from_utf8_lossy(&body);
    if is_machine && !grant::is_of_entra(&body) {
        return Err(Failure::Absent(format!("what answers is no metadata service ({status})")));
    }
    let secret = match credential {
        Credential::ClientSecret { secret, .. } => Some(secret),
        Credential::AppService { header, .. } => Some(header),
        _ => assertion.as_ref(),
    };
    let message = format!("{status}: {}", without(grant::refusal(status, &body), secret));
    match status {
        // A metadata service that begins, or is updated, says 404 or 410.
        404 | 410 if is_machine => Err(self::away(message, retry_after)),
        408 | 429 | 500.. => Err(self::away(message, retry_after)),
        400 if is_machine => Err(Failure::Absent(message)),
        _ => Err(refused(status, message)),
    }
}

/// The token of another issuer; read anew each time, for it is renewed there.
async fn read(path: &std::path::Path) -> Result<Secret, Failure> {
    let failed = |why: &str| {
        let message = format!("AZURE_FEDERATED_TOKEN_FILE cannot be read: {why}");
        refused(401, message)
    };
    let metadata = tokio::fs::metadata(path).await;
    let metadata = metadata.map_err(|error| failed(&error.to_string()))?;
    if metadata.len() > TOKEN_BYTES_MAX as u64 {
        return Err(failed("it is too large for a token"));
    }
    let text = tokio::fs::read_to_string(path).await;
    let text = text.map_err(|error| failed(&error.to_string()))?;
    match text.trim() {
        "" => Err(failed("it is empty")),
        token => Ok(Secret::new(token)),
    }
}

async fn run_az(tenant: Option<&str>, scope: &str) -> Result<Granted, Failure> {
    let mut command = Command::new("az");
    command.args(["account", "get-access-token", "--output", "json", "--scope", scope]);
    if let Some(tenant) = tenant {
        command.args(["--tenant", tenant]);
    }
    command.stdin(Stdio::null()).kill_on_drop(true);
    let output = command.output().await.map_err(|error| match error.kind() {
        ErrorKind::NotFound => Failure::Absent("`az` is not in the PATH".to_owned()),
        _ => refused(401, format!("`az` cannot be run: {error}")),
    })?;
    if !output.status.success() {
        let said = shorten(&String::from_utf8_lossy(&output.stderr));
        return Err(refused(401, grant::with_remedy(&said)));
    }
    let granted = grant::granted(&output.stdout, unix_seconds());
    granted.map_err(|message| refused(401, message))
}

fn away(message: String, retry_after: Option<Duration>) -> Failure {
    Failure::Token(TokenError::Away { message, retry_after })
}

fn refused(status: u16, message: String) -> Failure {
    Failure::Token(TokenError::Refused { status, message })
}

/// A message that does not show what was sent.
fn without(message: String, secret: Option<&Secret>) -> String {
    match secret.map(Secret::expose).filter(|secret| !secret.is_empty()) {
        Some(secret) => message.replace(secret, "***"),
        None => message,
    }
}

/// Now, in seconds since 1970: some sources say only when a token expires.
#[expect(clippy::disallowed_methods, reason = "an expiry is turned into a duration, once")]
fn unix_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
