//! The way to one deployment: its address, its key, and one HTTP request per call.
//!
//! async-openai writes the request; our HTTP service under it sends it and reads the whole response
//! itself, because that crate repeats failed calls, drops headers, loses the status of bodies that
//! it cannot read, and writes such bodies to the log. It must know nothing of quotas.

use super::classify::{self, classify, shorten};
use super::config::{DeploymentConfig, PoolError, Provider};
use super::headers::{self, Limits, Standing};
use crate::chat::{CallError, Request};
use async_openai::Client;
use async_openai::config::OpenAIConfig;
use async_openai::error::OpenAIError;
use async_openai::middleware::HttpRequestFactory;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use reqwest::redirect;
use serde_json::{Value, json};
use std::error::Error;
use std::time::Duration;

/// How long a connection may take to come about.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// The largest response that is read.
const RESPONSE_BYTES_MAX: usize = 32 * 1024 * 1024;

/// The HTTP client that all deployments share.
pub(super) fn client() -> Result<reqwest::Client, PoolError> {
    let builder = reqwest::Client::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        // A redirect would carry the key elsewhere.
        .redirect(redirect::Policy::none());
    builder.build().map_err(|error| PoolError::Client(chain(&error)))
}

/// The way to one deployment.
#[derive(Clone)]
pub(super) struct Transport {
    deployment: String,
    /// What the request calls the model.
    model: String,
    dialect: Dialect,
    client: Client<OpenAIConfig>,
}

/// Where requests differ.
#[derive(Clone, Copy)]
struct Dialect {
    /// Versions of 2024 know only `max_tokens` for all models.
    max_tokens: bool,
    /// Newer models take no other temperature than their own.
    temperature: bool,
}

/// A response that has been read.
pub(super) struct Answered {
    /// The limits that it named.
    pub(super) limits: Limits,
    /// What else it said of the limiter.
    #[allow(dead_code, reason = "the limiter's model learns from it in a later change")]
    pub(super) standing: Standing,
    /// Its body, or what went wrong.
    pub(super) result: Result<Value, CallError>,
}

impl Answered {
    /// What became of a call whose response said nothing of limits.
    pub(super) fn unheard(result: Result<Value, CallError>) -> Self {
        Self { limits: Limits::default(), standing: Standing::default(), result }
    }
}

/// A response on its way through async-openai, which lets through only errors unread.
#[derive(Debug, thiserror::Error)]
#[error("a response of status {status}")]
struct Unread {
    status: u16,
    headers: HeaderMap,
    body: Vec<u8>,
}

/// What the HTTP service adds to a request.
#[derive(Clone)]
struct Wire {
    client: reqwest::Client,
    key: Option<(HeaderName, HeaderValue)>,
    api_version: Option<String>,
}

impl Transport {
    /// The way to this deployment. No network is used.
    pub(super) fn new(
        client: &reqwest::Client,
        config: &DeploymentConfig,
    ) -> Result<Self, PoolError> {
        let endpoint = endpoint(config)?;
        let (base, api_version, model) = match &config.provider {
            Provider::Azure { deployment, api_version } if api_version == "v1" => {
                (format!("{endpoint}/openai/v1"), None, deployment)
            }
            Provider::Azure { deployment, api_version } => {
                let base = format!("{endpoint}/openai/deployments/{deployment}");
                (base, Some(api_version.clone()), &config.model)
            }
            Provider::OpenAi | Provider::Compatible => (endpoint, None, &config.model),
        };
        let dialect = Dialect {
            max_tokens: api_version.as_deref().is_some_and(|version| version.starts_with("2024-")),
            temperature: ["gpt-4", "gpt-3"].iter().any(|start| config.model.starts_with(start)),
        };
        let wire = Wire { client: client.clone(), key: key(config)?, api_version };
        let service = tower::service_fn(move |factory: HttpRequestFactory| {
            let wire = wire.clone();
            async move { wire.exchange(factory).await }
        });
        // All set here, else it would be read from the environment.
        let address = OpenAIConfig::new()
            .with_api_base(base)
            .with_api_key("")
            .with_org_id("")
            .with_project_id("");
        let client = Client::build(client.clone(), address).with_http_service(service);
        Ok(Self { deployment: config.name.clone(), model: model.clone(), dialect, client })
    }

    /// Makes one call. The caller sets the time limit.
    pub(super) async fn call(&self, request: &Request) -> Answered {
        let body = body(&self.model, self.dialect, request);
        let outcome: Result<Value, OpenAIError> = self.client.chat().create_byot(body).await;
        let error = match outcome {
            Ok(body) => return Answered::unheard(Ok(body)),
            Err(error) => error,
        };
        let unread = match error {
            OpenAIError::Boxed(error) => match error.downcast::<Unread>() {
                Ok(unread) => unread,
                Err(error) => return self.failed(false, chain(&*error)),
            },
            OpenAIError::Reqwest(error) => {
                // Addresses are no one's business who reads the error.
                let error = error.without_url();
                let unreachable = error.is_connect() || error.is_builder();
                return self.failed(unreachable, chain(&error));
            }
            error => return self.failed(false, chain(&error)),
        };
        Answered {
            limits: headers::limits(&unread.headers),
            standing: headers::standing(&unread.headers),
            result: self.read(&unread),
        }
    }

    fn read(&self, unread: &Unread) -> Result<Value, CallError> {
        if unread.status != 200 {
            let text = String::from_utf8_lossy(&unread.body);
            return Err(classify(&self.deployment, unread.status, &unread.headers, &text));
        }
        classify::read(&self.deployment, &unread.headers, &unread.body)
    }

    fn failed(&self, unreachable: bool, message: String) -> Answered {
        let deployment = self.deployment.clone();
        let error = if unreachable {
            CallError::Unreachable { deployment, message }
        } else {
            CallError::Unknown { deployment, status: None, message }
        };
        Answered::unheard(Err(error))
    }
}

impl Wire {
    /// Sends once and reads all of the response, which leaves as an error: see the module.
    async fn exchange(self, factory: HttpRequestFactory) -> Result<reqwest::Response, OpenAIError> {
        let mut request = factory.build().await?;
        request.headers_mut().remove(AUTHORIZATION);
        if let Some((name, value)) = self.key {
            request.headers_mut().insert(name, value);
        }
        if let Some(version) = &self.api_version {
            request.url_mut().query_pairs_mut().append_pair("api-version", version);
        }
        let mut response = self.client.execute(request).await?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await? {
            if body.len() + chunk.len() > RESPONSE_BYTES_MAX {
                return Err(OpenAIError::Boxed("the response is too large".into()));
            }
            body.extend_from_slice(&chunk);
        }
        Err(OpenAIError::Boxed(Box::new(Unread { status, headers, body })))
    }
}

/// The request as providers want it. Key order is kept: the schema is part of the cached prefix.
fn body(model: &str, dialect: Dialect, request: &Request) -> Value {
    let mut body = json!({
        "model": model,
        "messages": request.messages,
        "response_format": {
            "type": "json_schema",
            "json_schema": {
                "name": request.schema_name,
                "strict": true,
                "schema": request.schema,
            },
        },
    });
    let limit = if dialect.max_tokens { "max_tokens" } else { "max_completion_tokens" };
    if let Some(fields) = body.as_object_mut() {
        fields.insert(limit.to_owned(), request.tokens_output_max.into());
        if dialect.temperature {
            fields.insert("temperature".to_owned(), 0.into());
        }
    }
    body
}

fn endpoint(config: &DeploymentConfig) -> Result<String, PoolError> {
    let endpoint = config.endpoint.trim().trim_end_matches('/');
    let parsed = reqwest::Url::parse(endpoint).ok();
    match parsed.filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host()) {
        Some(_) => Ok(endpoint.to_owned()),
        None => Err(PoolError::Endpoint {
            name: config.name.clone(),
            endpoint: config.endpoint.clone(),
        }),
    }
}

fn key(config: &DeploymentConfig) -> Result<Option<(HeaderName, HeaderValue)>, PoolError> {
    let Some(key) = &config.api_key else { return Ok(None) };
    let (name, value) = match config.provider {
        Provider::Azure { .. } => (HeaderName::from_static("api-key"), key.reveal().to_owned()),
        Provider::OpenAi | Provider::Compatible => {
            (AUTHORIZATION, format!("Bearer {}", key.reveal()))
        }
    };
    let wrong = |_| PoolError::Key { name: config.name.clone() };
    let mut value = HeaderValue::from_str(&value).map_err(wrong)?;
    value.set_sensitive(true);
    Ok(Some((name, value)))
}

/// An error with all its causes.
fn chain(error: &(dyn Error + 'static)) -> String {
    let mut texts = vec![error.to_string()];
    let mut cause = error.source();
    while let Some(error) = cause {
        texts.push(error.to_string());
        cause = error.source();
    }
    shorten(&texts.join(": "))
}
