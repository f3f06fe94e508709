//! The way to one deployment: raw HTTP requests and responses.
//!
//! A request is sent once and never repeated, but for one whose address does not exist. Questions of
//! ours are written by async-openai; our HTTP service under it sends them and reads the whole response
//! itself, because that crate repeats failed calls, drops headers, loses the status of bodies that it
//! cannot read, and logs such bodies. The transport must know nothing of quotas, nor of what a body says.

use crate::config::{Auth, DeploymentConfig, PoolError};
use crate::provider::address::Address;
use crate::provider::classify::causes;
use crate::provider::entra::{self, Token, TokenError, TokenSources, Tokens};
use crate::provider::headers::RateLimits;
use crate::typed::chat::CallError;
use crate::typed::stream;
use async_openai::config::OpenAIConfig;
use async_openai::error::OpenAIError;
use async_openai::middleware::HttpRequestFactory;
use bytes::{Bytes, BytesMut};
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName};
use reqwest::{Client, Method, Request, Response, redirect};
use serde_json::{Map, Value};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// How long a connection may take to come about.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// The largest response that is read as a whole.
const RESPONSE_BYTES_MAX: usize = 32 * 1024 * 1024;

const NOT_FOUND: u16 = 404;
const UNAUTHORIZED: u16 = 401;

/// Where chat completions are.
pub(crate) const CHAT: &str = "/chat/completions";

/// Headers of one connection (RFC 9110, 7.6.1), which are not for the next.
const HOP_BY_HOP: [&str; 9] = [
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];
/// Headers that say who calls, or that follow from the body and the address. The client sets its own
/// `accept-encoding`, and decodes what it accepts.
const OF_THE_CALLER: [&str; 8] = [
    "accept-encoding",
    "api-key",
    "authorization",
    "content-length",
    "cookie",
    "expect",
    "host",
    "x-api-key",
];

/// What the ways to all deployments share: connections, and tokens.
pub(crate) struct Connections {
    client: Client,
    tokens: TokenSources,
}

impl Connections {
    /// Without any yet. `call_timeout` is the longest time that a call may take.
    pub(crate) fn new(call_timeout: Duration) -> Result<Self, PoolError> {
        let client = client()?;
        Ok(Self { tokens: TokenSources::new(client.clone(), call_timeout), client })
    }
}

fn client() -> Result<Client, PoolError> {
    let builder = Client::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        // A redirect would carry the key elsewhere.
        .redirect(redirect::Policy::none());
    builder.build().map_err(|error| PoolError::Client(causes(&error)))
}

/// The way to one deployment.
#[derive(Clone)]
pub(crate) struct Transport {
    deployment: String,
    address: Address,
    /// The same with or without `/v1`, and whether that turned out to be the right one.
    other: Option<Address>,
    is_other: Arc<AtomicBool>,
    client: Client,
    /// In place of a key.
    tokens: Option<Arc<Tokens>>,
}

/// What became of a request, on its way through async-openai, which lets only errors through as they
/// are.
#[derive(Debug, thiserror::Error)]
#[error("a response that is not read here")]
struct Unread(Result<RawResponse, NoResponse>);

/// A response that has been read as a whole.
#[derive(Clone, Debug)]
pub(crate) struct RawResponse {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// Why there is no response, or not all of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NoResponse {
    pub(crate) reason: NoResponseReason,
    /// What happened, without an address.
    pub(crate) message: String,
    /// The wait that was named.
    pub(crate) retry_after: Option<Duration>,
}

/// Why there is no response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoResponseReason {
    /// The host has no address. Nothing was sent.
    NoHost,
    /// Another protocol is spoken there, or its certificate is not trusted. Nothing was sent.
    Tls,
    /// No connection came about. Nothing was sent.
    NoConnection,
    /// Who issues its tokens does not answer, or not now. Nothing was sent.
    NoToken,
    /// A token was refused, with this status. Nothing was sent.
    TokenRefused(u16),
    /// It did not answer in time.
    Late,
    /// The connection broke, or the response cannot be read.
    Broken,
}

impl Transport {
    /// The way to this deployment. No network is used.
    pub(crate) fn new(
        connections: &mut Connections,
        config: &DeploymentConfig,
    ) -> Result<Self, PoolError> {
        let (client, address) = (connections.client.clone(), Address::of(config)?);
        let (other, is_other) = (address.with_or_without_version(config), Arc::default());
        let tokens = match config.auth {
            Auth::ApiKey => None,
            Auth::Entra => Some(connections.tokens.of(entra::scope(config), config)?),
        };
        Ok(Self { deployment: config.name.clone(), address, other, is_other, client, tokens })
    }

    /// What its tokens come from, in words; none where it has a key.
    pub(crate) fn credential(&self) -> Option<String> {
        self.tokens.as_ref().map(|tokens| tokens.credential())
    }

    /// The name of the deployment.
    pub(crate) fn deployment(&self) -> &str {
        &self.deployment
    }

    /// What a request calls the model.
    pub(crate) fn model(&self) -> &str {
        &self.address.model
    }

    /// The version of the API in its address, where there is one.
    pub(crate) fn api_version(&self) -> Option<&str> {
        self.address.api_version.as_deref()
    }

    /// A request to this deployment, with its key in place of the caller's; none where the path
    /// leads out of the API. The body stays as it is.
    pub(crate) fn request(
        &self,
        method: Method,
        path: &str,
        headers: HeaderMap,
        body: Bytes,
    ) -> Option<Request> {
        let other = self.other.as_ref().filter(|_| self.is_other.load(Ordering::Relaxed));
        self.request_to(other.unwrap_or(&self.address), method, path, headers, body)
    }

    fn request_to(
        &self,
        address: &Address,
        method: Method,
        path: &str,
        headers: HeaderMap,
        body: Bytes,
    ) -> Option<Request> {
        let mut request = Request::new(method, address.url(path)?);
        let mut headers = end_to_end(headers);
        OF_THE_CALLER.iter().for_each(|name| drop(headers.remove(*name)));
        if let Some((name, value)) = &self.address.key {
            headers.insert(name, value.clone());
        }
        *request.headers_mut() = headers;
        *request.body_mut() = Some(body.into());
        Some(request)
    }

    /// Sends a request once, and gives the response when its headers are there. One whose token is
    /// refused is sent a second time, with a new one: nothing was asked of anybody then.
    pub(crate) async fn send(&self, request: Request) -> Result<Response, NoResponse> {
        let Some(tokens) = &self.tokens else { return Ok(self.client.execute(request).await?) };
        let token = tokens.get().await?;
        let again = request.try_clone();
        let response = self.client.execute(with_token(request, &token)).await?;
        if response.status().as_u16() != UNAUTHORIZED {
            return Ok(response);
        }
        match (again, tokens.other_than(&token).await?) {
            (Some(again), Some(token)) => {
                Ok(self.client.execute(with_token(again, &token)).await?)
            }
            // Its body names the cause.
            _ => Ok(response),
        }
    }

    /// Asks for one chat completion, and reads the response whatever its status.
    pub(crate) async fn chat(&self, body: &Map<String, Value>) -> Result<RawResponse, NoResponse> {
        let transport = self.clone();
        let service = tower::service_fn(move |factory: HttpRequestFactory| {
            let transport = transport.clone();
            async move { transport.exchange(factory).await }
        });
        // The address and the key are the transport's; all is set, else it comes from the environment.
        let unused = OpenAIConfig::new()
            .with_api_base("http://localhost")
            .with_api_key("")
            .with_org_id("")
            .with_project_id("");
        let client = async_openai::Client::build(self.client.clone(), unused);
        let client = client.with_http_service(service);
        let outcome: Result<Value, OpenAIError> = client.chat().create_byot(body).await;
        match outcome {
            Err(OpenAIError::Boxed(error)) => match error.downcast::<Unread>() {
                Ok(unread) => unread.0,
                Err(error) => Err(NoResponse::broken(&causes(&*error))),
            },
            Err(error) => Err(NoResponse::broken(&causes(&error))),
            Ok(_) => Err(NoResponse::broken("the response was read elsewhere")),
        }
    }

    /// Sends once, and reads all of the response, which leaves as an error: see the module.
    async fn exchange(&self, factory: HttpRequestFactory) -> Result<Response, OpenAIError> {
        let written = factory.build().await?;
        let body = written.body().and_then(reqwest::Body::as_bytes).unwrap_or_default();
        let body = Bytes::copy_from_slice(body);
        let read = self.find(written.headers().clone(), body).await;
        Err(OpenAIError::Boxed(Box::new(Unread(read))))
    }

    /// Asks once more with or without `/v1` where an address does not exist: nothing was asked of
    /// anybody then. What does exist is kept.
    async fn find(&self, headers: HeaderMap, body: Bytes) -> Result<RawResponse, NoResponse> {
        let first = self.request(Method::POST, CHAT, headers.clone(), body.clone());
        let first = self.read(first).await?;
        let Some(other) = self.other.as_ref().filter(|_| first.status == NOT_FOUND) else {
            return Ok(first);
        };
        if self.is_other.load(Ordering::Relaxed) {
            return Ok(first);
        }
        let second = self.request_to(other, Method::POST, CHAT, headers, body);
        match self.read(second).await {
            Ok(second) if second.status != NOT_FOUND => {
                self.is_other.store(true, Ordering::Relaxed);
                Ok(second)
            }
            // What is configured is what its owner looks at.
            Ok(_) => Ok(first),
            Err(error) => Err(error),
        }
    }

    async fn read(&self, request: Option<Request>) -> Result<RawResponse, NoResponse> {
        let request = request.ok_or_else(|| NoResponse::broken("it has no address"))?;
        let mut response = self.send(request).await?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        let is_stream = kind.is_some_and(|kind| kind.starts_with("text/event-stream"));
        let mut body = BytesMut::new();
        while let Some(chunk) = response.chunk().await? {
            if body.len() + chunk.len() > RESPONSE_BYTES_MAX {
                return Err(NoResponse::broken("the response is too large"));
            }
            body.extend_from_slice(&chunk);
            if is_stream && stream::is_over(&body) {
                break;
            }
        }
        Ok(RawResponse { status, headers, body: body.freeze() })
    }
}

fn with_token(mut request: Request, token: &Token) -> Request {
    request.headers_mut().insert(AUTHORIZATION, token.header.clone());
    request
}

impl RawResponse {
    /// What it says of its deployment's limiter.
    pub(crate) fn rate_limits(&self) -> RateLimits {
        RateLimits::read(&self.headers)
    }
}

impl NoResponse {
    fn broken(message: &str) -> Self {
        Self { reason: NoResponseReason::Broken, message: message.to_owned(), retry_after: None }
    }

    /// No answer, or no further part of it, within this time.
    pub(crate) fn late(after: Duration) -> Self {
        let message = format!("no answer within {} s", after.as_secs_f64());
        Self { reason: NoResponseReason::Late, message, retry_after: None }
    }

    /// What the caller should do.
    pub(crate) fn error(self, deployment: &str) -> CallError {
        let (deployment, message) = (deployment.to_owned(), self.message);
        match self.reason {
            NoResponseReason::NoHost
            | NoResponseReason::Tls
            | NoResponseReason::NoConnection
            | NoResponseReason::NoToken => CallError::Unreachable { deployment, message },
            NoResponseReason::TokenRefused(status) => {
                CallError::Denied { deployment, status, message }
            }
            NoResponseReason::Late | NoResponseReason::Broken => {
                CallError::Unknown { deployment, status: None, message }
            }
        }
    }
}

impl From<reqwest::Error> for NoResponse {
    fn from(error: reqwest::Error) -> Self {
        // Addresses are no one's business who reads the error.
        let error = error.without_url();
        let message = causes(&error);
        let text = message.to_ascii_lowercase();
        let says = |words: &[&str]| words.iter().any(|word| text.contains(word));
        let reason = if !(error.is_connect() || error.is_builder()) {
            if error.is_timeout() { NoResponseReason::Late } else { NoResponseReason::Broken }
        } else if says(&["dns error", "failed to lookup"]) {
            NoResponseReason::NoHost
        } else if says(&["certificate", "tls", "handshake", "invalidcontenttype"]) {
            NoResponseReason::Tls
        } else {
            NoResponseReason::NoConnection
        };
        Self { reason, message, retry_after: None }
    }
}

impl From<TokenError> for NoResponse {
    fn from(error: TokenError) -> Self {
        let (reason, message, retry_after) = match error {
            TokenError::Away { message, retry_after } => {
                (NoResponseReason::NoToken, message, retry_after)
            }
            TokenError::Refused { status, message } => {
                (NoResponseReason::TokenRefused(status), message, None)
            }
        };
        Self { reason, message: format!("no token from Entra ID: {message}"), retry_after }
    }
}

/// The headers without those of one connection.
pub(crate) fn end_to_end(mut headers: HeaderMap) -> HeaderMap {
    let named: Vec<HeaderName> = headers
        .get_all("connection")
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    named.iter().for_each(|name| drop(headers.remove(name)));
    HOP_BY_HOP.iter().for_each(|name| drop(headers.remove(*name)));
    headers
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Provider, Secret};
    use reqwest::header::HeaderValue;

    #[test]
    fn a_request_has_the_key_of_the_deployment_and_nothing_of_the_caller() {
        let config = DeploymentConfig {
            provider: Provider::Compatible,
            endpoint: "http://h/v1".into(),
            api_key: Some(Secret::new("ours")),
            ..DeploymentConfig::default()
        };
        let mut connections = Connections::new(Duration::MAX).unwrap();
        let transport = Transport::new(&mut connections, &config).unwrap();
        let pairs = [
            ("authorization", "Bearer theirs"),
            ("api-key", "theirs"),
            ("x-api-key", "theirs"),
            ("cookie", "theirs"),
            ("host", "theirs"),
            ("content-length", "1"),
            ("accept-encoding", "gzip"),
            ("connection", "keep-alive, X-Hop"),
            ("x-hop", "theirs"),
            ("te", "trailers"),
            ("traceparent", "00-1"),
            ("content-type", "application/json"),
        ];
        let pair = |(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value));
        let headers = pairs.into_iter().map(pair).collect();
        let body = Bytes::from_static(b"{ \"a\":1.0 }");
        let request = transport.request(Method::POST, "/embeddings", headers, body).unwrap();
        let mut sent: Vec<String> =
            request.headers().iter().map(|(name, value)| format!("{name}: {value:?}")).collect();
        sent.sort();
        let expected = [
            "authorization: Sensitive",
            "content-type: \"application/json\"",
            "traceparent: \"00-1\"",
        ];
        assert_eq!(sent, expected);
        assert_eq!(request.headers()["authorization"], "Bearer ours");
        assert_eq!(request.body().unwrap().as_bytes().unwrap(), b"{ \"a\":1.0 }");
        assert!(transport.request(Method::GET, "/..", HeaderMap::new(), Bytes::new()).is_none());
    }
}
