//! Where a deployment is reached, what it calls its model, and its key.
//!
//! It must know nothing of what is asked.

use crate::config::{DeploymentConfig, PoolError, Provider};
use reqwest::header::{AUTHORIZATION, HeaderName, HeaderValue};

/// Where a deployment is reached, and how.
#[derive(Clone, Debug)]
pub struct Address {
    /// The base of its API, without a slash at the end: `/chat/completions` follows.
    pub base: String,
    /// What `api-version` in the query says, where there is one.
    pub api_version: Option<String>,
    /// What a request calls the model.
    pub model: String,
    /// The header that carries its key, marked as sensitive; none for servers that want none.
    pub key: Option<(HeaderName, HeaderValue)>,
}

impl Address {
    /// The address of this deployment. No network is used.
    ///
    /// # Errors
    /// When the endpoint is no http(s) address, or a header cannot carry the key.
    pub fn of(config: &DeploymentConfig) -> Result<Self, PoolError> {
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
        Ok(Self { base, api_version, model: model.clone(), key: key(config)? })
    }
}

/// The field of a request that limits the answer.
pub fn limit_field(api_version: Option<&str>) -> &'static str {
    // Versions of 2024 know only `max_tokens` for all models.
    let is_old = api_version.is_some_and(|version| version.starts_with("2024-"));
    if is_old { "max_tokens" } else { "max_completion_tokens" }
}

/// What was configured, if it is an address.
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
