//! One deployment: its settings, their defaults and their rules.

use super::{Endpoint, PoolError, Provider, Secret};
use crate::limiter::LimiterKind;
use crate::typed::effort::Effort;
use crate::typed::mode::{self, Mode};
use serde::{Deserialize, Serialize, Serializer};
use std::fmt;

/// Azure's version of the API where none is configured.
const AZURE_API_VERSION: &str = "v1";
const CONCURRENCY_MAX: u32 = 64;
/// The same while no limit is known: then nothing else bounds what a server gets.
const CONCURRENCY_UNLIMITED: u32 = 8;
const WEIGHT: f64 = 1.0;
/// The range of characters that may be charged as one token.
const CHARACTERS_PER_TOKEN: std::ops::RangeInclusive<f64> = 0.1..=100.0;

const EMPTY: &str = "is empty";
const AT_LEAST_ONE: &str = "must be at least 1";
const ABOVE_ZERO: &str = "must be a number above 0";
const NOT_NEGATIVE: &str = "must be a number that is not negative";
const TWO_DEPLOYMENTS: &str = "names another deployment than the setting `deployment` does: leave one \
                               of them out";
const NO_KEY: &str = "is missing: write for example \"${AZURE_KEY}\"";
const NO_KEY_AT_AZURE: &str = "is missing: write for example \"${AZURE_KEY}\", or auth = \"entra\" \
                               where keys are switched off";
const KEY_BESIDE_ENTRA: &str = "is set, and auth = \"entra\" needs no key: leave one of them out";
const ENTRA_ELSEWHERE: &str = "is \"entra\", which api.openai.com does not take: use an api_key";
const SCOPE_WITHOUT_ENTRA: &str = "is for auth = \"entra\": leave it out, or set that";
/// What the scope of a token ends with whose permissions were granted beforehand.
pub(crate) const DEFAULT_SCOPE: &str = "/.default";
const NO_SCOPE: &str =
    "must end with /.default, such as https://cognitiveservices.azure.com/.default";
pub(crate) const NO_HEADER: &str = "has characters that a header cannot carry";

/// How a deployment is told who calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Auth {
    /// By its key.
    #[default]
    ApiKey,
    /// By a token of Microsoft Entra ID. The environment names the credential, as for Azure's own
    /// tools: a client secret, a federated token, a managed identity or the Azure CLI.
    Entra,
}

/// One deployment of one model.
#[derive(Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct DeploymentConfig {
    /// Its name in results, metrics and logs; not empty, and no other deployment's.
    pub name: String,
    /// The model by the name under which requests ask for it; several deployments may serve one.
    pub model: String,
    /// Whose addressing it follows.
    pub provider: Provider,
    /// Azure: the resource's address, or the Target URI that the portal shows, which also names
    /// deployment and api-version; others: the base up to and with `/v1`. It is shown without user,
    /// password and query.
    #[serde(default, serialize_with = "masked")]
    pub endpoint: String,
    /// What the provider calls it: the deployment's name at Azure, the model's elsewhere. By default
    /// the one that the endpoint names, else `model`.
    #[serde(default)]
    pub deployment: Option<String>,
    /// Azure's api-version, by default `v1`: the addresses without a version. A date, such as
    /// `2024-10-21`, for the older ones.
    #[serde(default)]
    pub api_version: Option<String>,
    /// Its key; only `compatible` may do without.
    #[serde(default)]
    pub api_key: Option<Secret>,
    /// How it is told who calls; by default by the key.
    #[serde(default)]
    pub auth: Auth,
    /// The scope of its tokens, with `auth = "entra"`. By default the one of its host:
    /// `https://ai.azure.com/.default` for `services.ai.azure.com`, else
    /// `https://cognitiveservices.azure.com/.default`.
    #[serde(default)]
    pub entra_scope: Option<String>,
    /// Its quota of tokens per minute; at least 1. By default what its responses name, and where they
    /// name none there is no limit until it rejects a call.
    #[serde(default)]
    pub tokens_per_minute: Option<u64>,
    /// Its quota of requests per minute, at least 1; by default 6 for each 1,000 tokens per minute,
    /// where those are configured.
    #[serde(default)]
    pub requests_per_minute: Option<u64>,
    /// Lower tiers are used first; a higher one takes what they cannot send now.
    #[serde(default)]
    pub tier: u32,
    /// The most calls at the same time; at least 1. By default 64, and 8 while no limit is known.
    #[serde(default)]
    pub concurrency_max: Option<u32>,
    /// How much it gets beside the model's others, where their strategy is `weighted`; above 0.
    #[serde(default = "weight")]
    pub weight: f64,
    /// How the provider enforces the quota.
    #[serde(default)]
    pub limiter: LimiterKind,
    /// Whether the room for the answer (`max_tokens`) is charged at admission. By default as the
    /// limiter's kind is known to do.
    #[serde(default)]
    pub charge_output: Option<bool>,
    /// How many characters of a question are charged as one token, 0.1 to 100; by default 4.
    #[serde(default)]
    pub charge_characters_per_token: Option<f64>,
    /// Whether the real use replaces the charge when an answer is complete. By default as the
    /// limiter's kind is known to do.
    #[serde(default)]
    pub charge_settled: Option<bool>,
    /// How many input tokens one output token weighs on provisioned throughput, above 0. By default
    /// that of the family of the model that the provider names.
    #[serde(default)]
    pub output_weight: Option<f64>,
    /// How it is asked for JSON of a schema; none (`auto`) lets the pool find out.
    #[serde(default, with = "mode::setting")]
    pub mode: Option<Mode>,
    /// How hard the model should think, where the schema does not say; none leaves it to the model.
    #[serde(default)]
    pub reasoning_effort: Option<Effort>,
    /// The price of a million tokens of input, in the caller's currency; not negative.
    #[serde(default)]
    pub input_price_per_million: Option<f64>,
    /// The price of a million tokens of input that the provider has in its cache; not negative. Default:
    /// the price of others.
    #[serde(default)]
    pub cached_input_price_per_million: Option<f64>,
    /// The price of a million tokens of output, in the caller's currency; not negative.
    #[serde(default)]
    pub output_price_per_million: Option<f64>,
    /// The longest question and answer together, in tokens; at least 1.
    #[serde(default)]
    pub context_tokens_max: Option<u32>,
    /// Whether its model takes images: only then it is shown scans.
    #[serde(default)]
    pub vision: bool,
    /// The tokens that an image counts as; by default what OpenAI's formula for the family of its model
    /// gives.
    #[serde(default)]
    pub image_tokens: Option<u64>,
}

fn weight() -> f64 {
    WEIGHT
}

impl Default for DeploymentConfig {
    fn default() -> Self {
        Self {
            name: String::new(),
            model: String::new(),
            provider: Provider::OpenAi,
            endpoint: String::new(),
            deployment: None,
            api_version: None,
            api_key: None,
            auth: Auth::ApiKey,
            entra_scope: None,
            tokens_per_minute: None,
            requests_per_minute: None,
            tier: 0,
            concurrency_max: None,
            weight: WEIGHT,
            limiter: LimiterKind::Auto,
            charge_output: None,
            charge_characters_per_token: None,
            charge_settled: None,
            output_weight: None,
            mode: None,
            reasoning_effort: None,
            input_price_per_million: None,
            cached_input_price_per_million: None,
            output_price_per_million: None,
            context_tokens_max: None,
            vision: false,
            image_tokens: None,
        }
    }
}

impl DeploymentConfig {
    /// Its quota of requests per minute, at least 1; none where nothing is configured.
    pub fn requests(&self) -> Option<u64> {
        let by_tokens = || Some(self.tokens_per_minute?.saturating_mul(6) / 1000);
        self.requests_per_minute.or_else(by_tokens).map(|requests| requests.max(1))
    }

    /// The most calls at the same time, by whether a limit of its tokens is known.
    pub(crate) fn concurrency(&self, is_limited: bool) -> u32 {
        let default = if is_limited { CONCURRENCY_MAX } else { CONCURRENCY_UNLIMITED };
        self.concurrency_max.unwrap_or(default)
    }

    /// What the provider calls it: see [`Self::deployment`].
    pub fn provider_model(&self) -> &str {
        let named = || self.endpoint().ok()?.deployment;
        self.deployment.as_deref().or_else(named).unwrap_or(&self.model)
    }

    /// What the endpoint says, or the rule that it breaks.
    pub(crate) fn endpoint(&self) -> Result<Endpoint<'_>, &'static str> {
        Endpoint::read(self.provider, &self.endpoint)
    }

    /// Azure's api-version; none for the addresses without one, and for other providers.
    pub(crate) fn dated_api_version(&self) -> Option<&str> {
        let named = || self.endpoint().ok()?.api_version;
        let version = self.api_version.as_deref().or_else(named).unwrap_or(AZURE_API_VERSION);
        (self.provider == Provider::Azure && version != "v1").then_some(version)
    }

    /// The rules that it breaks: the setting, and the rule as it is read after the setting's name.
    pub fn broken_rules(&self) -> impl Iterator<Item = (&'static str, &'static str)> {
        let negative =
            |price: Option<f64>| price.is_some_and(|price| !price.is_finite() || price < 0.0);
        let is_empty = |text: &Option<String>| text.as_ref().is_some_and(String::is_empty);
        let positive = |number: f64| number.is_finite() && number > 0.0;
        let keyless = self.api_key.as_ref().is_none_or(|key| key.expose().is_empty());
        let is_entra = self.auth == Auth::Entra;
        let is_missing = keyless && !is_entra;
        let is_other_scope = |scope: &String| !scope.ends_with(DEFAULT_SCOPE);
        let characters = self.charge_characters_per_token;
        let endpoint = self.endpoint();
        let named = endpoint.ok().and_then(|endpoint| endpoint.deployment);
        let is_other = |own: &str| named.is_some_and(|named| named != own);
        let rules = [
            ("name", self.name.is_empty(), EMPTY),
            ("model", self.model.is_empty(), EMPTY),
            ("endpoint", endpoint.is_err(), endpoint.err().unwrap_or_default()),
            ("endpoint", self.deployment.as_deref().is_some_and(is_other), TWO_DEPLOYMENTS),
            ("deployment", is_empty(&self.deployment), EMPTY),
            ("api_version", is_empty(&self.api_version), EMPTY),
            ("api_key", is_missing && self.provider == Provider::Azure, NO_KEY_AT_AZURE),
            ("api_key", is_missing && self.provider == Provider::OpenAi, NO_KEY),
            ("api_key", is_entra && !keyless, KEY_BESIDE_ENTRA),
            ("auth", is_entra && self.provider == Provider::OpenAi, ENTRA_ELSEWHERE),
            ("entra_scope", self.entra_scope.is_some() && !is_entra, SCOPE_WITHOUT_ENTRA),
            ("entra_scope", self.entra_scope.as_ref().is_some_and(is_other_scope), NO_SCOPE),
            ("tokens_per_minute", self.tokens_per_minute == Some(0), AT_LEAST_ONE),
            ("requests_per_minute", self.requests_per_minute == Some(0), AT_LEAST_ONE),
            ("concurrency_max", self.concurrency_max == Some(0), AT_LEAST_ONE),
            (
                "charge_characters_per_token",
                characters.is_some_and(|characters| !CHARACTERS_PER_TOKEN.contains(&characters)),
                "must be a number from 0.1 to 100",
            ),
            ("output_weight", !self.output_weight.is_none_or(positive), ABOVE_ZERO),
            ("weight", !positive(self.weight), ABOVE_ZERO),
            ("input_price_per_million", negative(self.input_price_per_million), NOT_NEGATIVE),
            (
                "cached_input_price_per_million",
                negative(self.cached_input_price_per_million),
                NOT_NEGATIVE,
            ),
            ("output_price_per_million", negative(self.output_price_per_million), NOT_NEGATIVE),
            ("context_tokens_max", self.context_tokens_max == Some(0), AT_LEAST_ONE),
        ];
        rules.into_iter().filter(|(_, is_broken, _)| *is_broken).map(|(key, _, rule)| (key, rule))
    }

    /// The error that one of its settings breaks a rule.
    pub(crate) fn error(&self, field: &'static str, rule: &'static str) -> PoolError {
        PoolError::Setting { name: self.name.clone(), field, rule }
    }
}

impl fmt::Debug for DeploymentConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Like what is serialized: an address may hold a password.
        write!(f, "DeploymentConfig {}", serde_json::to_value(self).unwrap_or_default())
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
