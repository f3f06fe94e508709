//! Keeps the tokens of a scope: one for all deployments that have it, refreshed in the background.
//!
//! One task for each scope asks for tokens, so there is one attempt at a time. It begins with the first
//! call, and ends with the last of those that hold the tokens. It refreshes at half of what is left of
//! a token's life; once there is no valid token any more, only calls ask for one, as seldom as the
//! pool lets them.

use super::credential::{Credential, credentials};
use super::issue::{IssuerClients, TokenError, issue};
use crate::config::{DeploymentConfig, PoolError};
use crate::provider::classify::causes;
use reqwest::Client;
use reqwest::header::HeaderValue;
use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep_until, timeout};

/// The longest that an attempt may take.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(10);
/// The shortest time between two refreshes.
const REFRESH_PAUSE_MIN: Duration = Duration::from_secs(1);
/// How many calls may wait for the task before further ones wait for a place.
const ASKS_MAX: usize = 64;

/// The tokens of all scopes.
pub(crate) struct TokenSources {
    client: Client,
    attempt_timeout: Duration,
    by_scope: BTreeMap<String, Arc<Tokens>>,
}

/// The tokens of one scope.
pub(crate) struct Tokens {
    issuer: Issuer,
    started: OnceLock<Started>,
}

/// A token as a header.
#[derive(Clone)]
pub(crate) struct Token {
    /// `Bearer` and the token, marked as sensitive.
    pub(crate) header: HeaderValue,
    expires: Instant,
    /// What it was got with, in words.
    credential: Arc<str>,
}

struct Started {
    current: watch::Receiver<Option<Token>>,
    asks: mpsc::Sender<Ask>,
}

/// A call that waits for a token.
struct Ask {
    at: Instant,
    reply: oneshot::Sender<Result<Token, TokenError>>,
}

#[derive(Clone)]
struct Issuer {
    clients: IssuerClients,
    credentials: Vec<Credential>,
    scope: String,
    attempt_timeout: Duration,
}

impl TokenSources {
    /// No token may take longer than half of a call's longest time, so that one that does not come is
    /// no call without an answer.
    pub(crate) fn new(client: Client, call_timeout: Duration) -> Self {
        let attempt_timeout = ATTEMPT_TIMEOUT.min(call_timeout / 2);
        Self { client, attempt_timeout, by_scope: BTreeMap::new() }
    }

    /// The tokens of a deployment: those of all that have its scope, as the credential is the same.
    ///
    /// # Errors
    /// When the environment names half of a credential, or the HTTP client cannot be built.
    pub(crate) fn of(
        &mut self,
        scope: String,
        config: &DeploymentConfig,
    ) -> Result<Arc<Tokens>, PoolError> {
        if let Some(tokens) = self.by_scope.get(&scope) {
            return Ok(Arc::clone(tokens));
        }
        let credentials = credentials(|name| std::env::var(name).ok())
            .map_err(|rule| config.error("auth", rule))?;
        let clients = IssuerClients::new(self.client.clone())
            .map_err(|error| PoolError::Client(causes(&error)))?;
        let attempt_timeout = self.attempt_timeout;
        let issuer = Issuer { clients, credentials, scope: scope.clone(), attempt_timeout };
        let tokens = Arc::new(Tokens { issuer, started: OnceLock::new() });
        self.by_scope.insert(scope, Arc::clone(&tokens));
        Ok(tokens)
    }
}

impl Tokens {
    /// A valid token: at once where there is one.
    pub(crate) async fn get(&self) -> Result<Token, TokenError> {
        let current = self.started().current.borrow().clone();
        match current.filter(|token| token.expires > Instant::now()) {
            Some(token) => Ok(token),
            None => self.ask().await,
        }
    }

    /// Another token than one that was refused; none where the same is issued again, as managed
    /// identities and `az` do while it lives.
    pub(crate) async fn other_than(&self, refused: &Token) -> Result<Option<Token>, TokenError> {
        let is_other = |token: &Token| token.header != refused.header;
        // Somebody else may have been refused before.
        let current = self.started().current.borrow().clone().filter(is_other);
        match current.filter(|token| token.expires > Instant::now()) {
            Some(token) => Ok(Some(token)),
            None => Ok(Some(self.ask().await?).filter(is_other)),
        }
    }

    /// The credential that tokens come from, in words; before the first all that are tried.
    pub(crate) fn credential(&self) -> String {
        let started = self.started.get();
        if let Some(token) = started.and_then(|started| started.current.borrow().clone()) {
            return token.credential.to_string();
        }
        let names: Vec<String> = self.issuer.credentials.iter().map(ToString::to_string).collect();
        names.join(", else ")
    }

    /// The result of an attempt that ends from now on.
    async fn ask(&self) -> Result<Token, TokenError> {
        let (reply, answer) = oneshot::channel();
        let ask = Ask { at: Instant::now(), reply };
        let ended = || TokenError::Away {
            message: "the task that asks for tokens has ended".to_owned(),
            retry_after: None,
        };
        self.started().asks.send(ask).await.map_err(|_| ended())?;
        answer.await.unwrap_or_else(|_| Err(ended()))
    }

    fn started(&self) -> &Started {
        self.started.get_or_init(|| {
            let (publish, current) = watch::channel(None);
            let (asks, asked) = mpsc::channel(ASKS_MAX);
            tokio::spawn(keep(self.issuer.clone(), publish, asked));
            Started { current, asks }
        })
    }
}

/// Asks for tokens, for those that wait and ahead of time, until nobody holds them.
async fn keep(
    mut issuer: Issuer,
    publish: watch::Sender<Option<Token>>,
    mut asked: mpsc::Receiver<Ask>,
) {
    let mut refresh_at = None;
    let mut last: Option<(Instant, Result<Token, TokenError>)> = None;
    loop {
        let refresh = async {
            match refresh_at {
                Some(at) => sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        let ask = tokio::select! {
            ask = asked.recv() => match ask {
                Some(ask) => Some(ask),
                None => return,
            },
            () = refresh => None,
        };
        let outcome = match (&ask, last.take()) {
            // It was asked for while the last attempt was made.
            (Some(ask), Some((ended, outcome))) if ended >= ask.at => {
                last = Some((ended, outcome.clone()));
                outcome
            }
            _ => {
                let outcome = issuer.attempt().await;
                let now = Instant::now();
                if let Ok(token) = &outcome {
                    publish.send_replace(Some(token.clone()));
                }
                let expires = publish.borrow().as_ref().map(|token| token.expires);
                refresh_at = expires.and_then(|expires| next_refresh(expires, now));
                if let (Err(error), None) = (&outcome, &ask) {
                    tracing::warn!(
                        error = error.message(),
                        "the token cannot be refreshed: it is used until it expires"
                    );
                }
                last = Some((now, outcome.clone()));
                outcome
            }
        };
        if let Some(ask) = ask {
            // A call that was given up waits no more.
            let _ = ask.reply.send(outcome);
        }
    }
}

/// At half of what is left; none where there is no time for that.
fn next_refresh(expires: Instant, now: Instant) -> Option<Instant> {
    let half = expires.saturating_duration_since(now) / 2;
    let at = now + half.max(REFRESH_PAUSE_MIN);
    (at < expires).then_some(at)
}

impl Issuer {
    async fn attempt(&mut self) -> Result<Token, TokenError> {
        let asked = Instant::now();
        let issued = issue(&self.clients, &mut self.credentials, &self.scope);
        let granted = timeout(self.attempt_timeout, issued).await.unwrap_or_else(|_| {
            let message = format!("no token within {} s", self.attempt_timeout.as_secs_f64());
            Err(TokenError::Away { message, retry_after: None })
        })?;
        let header = HeaderValue::from_str(&format!("Bearer {}", granted.token.expose()));
        let Ok(mut header) = header else {
            let message = "the token has characters that a header cannot carry".to_owned();
            return Err(TokenError::Refused { status: 200, message });
        };
        header.set_sensitive(true);
        // Its life began before it came.
        let credential = self.credentials.first().map(ToString::to_string).unwrap_or_default();
        Ok(Token { header, expires: asked + granted.lifetime, credential: credential.into() })
    }
}

impl TokenError {
    /// What happened.
    pub(crate) fn message(&self) -> &str {
        match self {
            Self::Away { message, .. } | Self::Refused { message, .. } => message,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_refreshed_at_half_of_what_is_left() {
        let now = Instant::now();
        let seconds = Duration::from_secs_f64;
        let check = |left: f64, expected: Option<f64>| {
            let next = next_refresh(now + seconds(left), now);
            assert_eq!(next, expected.map(|after| now + seconds(after)), "{left}");
        };
        check(3600.0, Some(1800.0));
        check(4.0, Some(2.0));
        check(1.5, Some(1.0));
        check(1.0, None);
        check(0.0, None);
    }
}
