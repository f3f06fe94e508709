//! The deployments of models: their settings, and the one that the environment names.
//!
//! It must know nothing of how a deployment is called.

use super::Secret;
use pool::LimiterKind;
use serde::{Deserialize, Serialize, Serializer};
use std::{collections::BTreeMap, fmt};

/// One model deployment.
#[derive(Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Deployment {
    /// Its name in results, metrics and logs; not empty, and no other deployment's.
    pub name: String,
    /// The name that schemas ask for; several deployments may serve one model.
    pub model: String,
    /// How it is addressed.
    pub provider: Provider,
    /// Its URL, http or https; for `openai` by default `https://api.openai.com/v1`. It is printed
    /// without user, password and query.
    #[serde(default, serialize_with = "masked")]
    pub endpoint: String,
    /// The name of the deployment at Azure; default: the model.
    #[serde(default)]
    pub deployment: Option<String>,
    /// Azure's api-version, by default `2024-10-21`; `v1` for the new surface.
    #[serde(default)]
    pub api_version: Option<String>,
    /// Its key; `compatible` may do without.
    #[serde(default)]
    pub api_key: Option<Secret>,
    /// Its quota of tokens per minute; at least 1.
    pub tokens_per_minute: u64,
    /// Its quota of requests per minute, at least 1; default 6 for each 1,000 tokens per minute.
    #[serde(default)]
    pub requests_per_minute: Option<u64>,
    /// Lowest tier first; higher tiers take the overflow.
    #[serde(default)]
    pub tier: u32,
    /// Calls at once; at least 1.
    #[serde(default = "concurrency_max")]
    pub concurrency_max: u32,
    /// How much it gets beside the model's others, where their strategy is `weighted`; above 0.
    #[serde(default = "weight")]
    pub weight: f64,
    /// How its limits behave.
    #[serde(default)]
    pub limiter: LimiterKind,
    /// Whether the room for the answer (`max_tokens`) is charged at admission; `sluice deployments
    /// probe` finds out. By default as the limiter's kind is known to do.
    #[serde(default)]
    pub charge_output: Option<bool>,
    /// How many characters of a question are charged as one token, above 0; by default 4.
    #[serde(default)]
    pub charge_characters_per_token: Option<f64>,
    /// Whether the real use replaces the charge when an answer is complete. By default as the
    /// limiter's kind is known to do.
    #[serde(default)]
    pub charge_settled: Option<bool>,
    /// How it is asked for JSON of a schema.
    #[serde(default)]
    pub mode: Mode,
    /// Money for a million tokens of questions; not negative.
    #[serde(default)]
    pub input_price_per_million: Option<f64>,
    /// Money for a million tokens of answers; not negative.
    #[serde(default)]
    pub output_price_per_million: Option<f64>,
    /// The longest question and answer together, in tokens.
    #[serde(default)]
    pub context_tokens_max: Option<u32>,
}

fn concurrency_max() -> u32 {
    64
}

fn weight() -> f64 {
    1.0
}

impl Default for Deployment {
    fn default() -> Self {
        Self {
            name: String::new(),
            model: String::new(),
            provider: Provider::Openai,
            endpoint: String::new(),
            deployment: None,
            api_version: None,
            api_key: None,
            tokens_per_minute: 30_000,
            requests_per_minute: None,
            tier: 0,
            concurrency_max: concurrency_max(),
            weight: weight(),
            limiter: LimiterKind::Auto,
            charge_output: None,
            charge_characters_per_token: None,
            charge_settled: None,
            mode: Mode::Auto,
            input_price_per_million: None,
            output_price_per_million: None,
            context_tokens_max: None,
        }
    }
}

impl Deployment {
    /// Its quota of requests per minute, at least 1.
    pub fn requests(&self) -> u64 {
        self.requests_per_minute.unwrap_or(self.tokens_per_minute.saturating_mul(6) / 1000).max(1)
    }
}

impl fmt::Debug for Deployment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Like what is serialized: an address may hold a password.
        write!(f, "Deployment {}", serde_json::to_value(self).unwrap_or_default())
    }
}

fn masked<S: Serializer>(url: &str, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&mask(url))
}

/// A URL without what may be secret in it: user and password, and the query.
fn mask(url: &str) -> String {
    let (scheme, rest) = match url.split_once("://") {
        Some((scheme, rest)) => (format!("{scheme}://"), rest),
        None => (String::new(), url),
    };
    // Up to the last @: a password with a / in it must not show either.
    let (user, rest) = match rest.rsplit_once('@') {
        Some((_, rest)) => ("***@", rest),
        None => ("", rest),
    };
    match rest.split_once(['?', '#']) {
        Some((place, _)) => format!("{scheme}{user}{place}?***"),
        None => format!("{scheme}{user}{rest}"),
    }
}

/// How a deployment is addressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Provider {
    /// Azure OpenAI.
    Azure,
    /// api.openai.com.
    Openai,
    /// Anything with OpenAI's API.
    Compatible,
}

/// How a deployment is asked for JSON of a schema.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// In the first of these ways that it turns out to know.
    #[default]
    Auto,
    /// `response_format` of type `json_schema`, strict.
    JsonSchema,
    /// A tool that must be called.
    Tool,
    /// `response_format` of type `json_object`, with the schema in its key `schema`.
    JsonObjectSchema,
    /// `response_format` of type `json_object`, with the schema in the prompt.
    JsonObject,
}

/// The deployment that the environment names, as the providers' own tools read it, and the
/// variable that each of its settings came from.
pub(super) fn from_environment(
    environment: &BTreeMap<String, String>,
) -> Option<(Deployment, Vec<(&'static str, &'static str)>)> {
    let get = |name: &str| environment.get(name).filter(|value| !value.is_empty()).cloned();
    if let Some(key) = get("OPENAI_API_KEY") {
        let base = get("OPENAI_BASE_URL");
        let deployment = Deployment {
            name: "openai".to_owned(),
            model: get("OPENAI_MODEL").unwrap_or_else(|| "gpt-4o".to_owned()),
            provider: if base.is_some() { Provider::Compatible } else { Provider::Openai },
            endpoint: base.unwrap_or_default(),
            api_key: Some(Secret::new(key)),
            requests_per_minute: Some(500),
            ..Deployment::default()
        };
        return Some((deployment, vec![("endpoint", "OPENAI_BASE_URL")]));
    }
    let endpoint = get("AZURE_OPENAI_ENDPOINT")?;
    let deployment = get("AZURE_OPENAI_DEPLOYMENT")?;
    let deployment = Deployment {
        name: "azure".to_owned(),
        model: get("OPENAI_MODEL").unwrap_or_else(|| deployment.clone()),
        provider: Provider::Azure,
        endpoint,
        deployment: Some(deployment),
        api_version: get("OPENAI_API_VERSION"),
        api_key: Some(Secret::new(get("AZURE_OPENAI_API_KEY")?)),
        ..Deployment::default()
    };
    Some((deployment, vec![("endpoint", "AZURE_OPENAI_ENDPOINT")]))
}
