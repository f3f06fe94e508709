//! What the pool is told: its deployments and how to address and pace each.
//!
//! It must know nothing of configuration files: the caller fills these structs.

use crate::limiter::LimiterKind;
use crate::strategy::Strategy;
use crate::typed::mode::Mode;
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// The pool's configuration.
#[derive(Clone, Debug)]
pub struct PoolConfig {
    /// The deployments; their names are unique.
    pub deployments: Vec<DeploymentConfig>,
    /// What is preferred among the deployments of a model, where it is not the default.
    pub strategies: BTreeMap<String, Strategy>,
    /// The longest that one call may take from its first byte to its last.
    pub call_timeout: Duration,
}

/// One deployment of one model.
#[derive(Clone, Debug)]
pub struct DeploymentConfig {
    /// Unique; names it in logs, metrics and ledgers.
    pub name: String,
    /// The model by the name under which requests ask for it.
    pub model: String,
    /// Whose addressing it follows.
    pub provider: Provider,
    /// Azure: the resource's address without a path; others: the base up to and with `/v1`.
    pub endpoint: String,
    /// The key; none for servers that want none.
    pub api_key: Option<ApiKey>,
    /// The quota of tokens.
    pub tokens_per_minute: u64,
    /// The quota of requests.
    pub requests_per_minute: u64,
    /// Lower tiers are used first; a higher one takes what they cannot send now.
    pub tier: u32,
    /// The most calls at the same time.
    pub concurrency_max: u32,
    /// How much it should get beside the model's others, where they are used by weight.
    pub weight: f64,
    /// How the provider enforces the quota.
    pub limiter: LimiterKind,
    /// What the limiter charges, where that is known better than by its kind.
    pub charge: ChargeConfig,
    /// How it is asked for JSON; none lets the pool find out.
    pub mode: Option<Mode>,
    /// The model's context, input and output together.
    pub context_tokens_max: Option<u32>,
    /// The price of a million tokens of input, in the caller's currency.
    pub input_price_per_million: Option<f64>,
    /// The price of a million tokens of output, in the caller's currency.
    pub output_price_per_million: Option<f64>,
}

/// Whose addressing a deployment follows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Provider {
    /// Azure OpenAI.
    Azure {
        /// The deployment's name at Azure.
        deployment: String,
        /// Such as `2024-10-21`, or `v1` for the addresses without a version.
        api_version: String,
    },
    /// api.openai.com.
    OpenAi,
    /// A server that speaks OpenAI's chat completions.
    Compatible,
}

/// What a limiter charges for a call; what is not known is as its kind is known to do.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ChargeConfig {
    /// Whether the room for the answer is charged at admission.
    pub output: Option<bool>,
    /// How many characters of a question are charged as one token; above 0.
    pub characters_per_token: Option<f64>,
    /// Whether the real use replaces the charge when an answer is complete.
    pub settled: Option<bool>,
}

/// A provider's key: shown nowhere.
#[derive(Clone, PartialEq, Eq)]
pub struct ApiKey(String);

impl ApiKey {
    /// Wraps a key.
    pub fn new(key: impl Into<String>) -> Self {
        Self(key.into())
    }

    /// The key itself.
    pub(super) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("ApiKey(redacted)")
    }
}

/// Why a configuration makes no pool.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PoolError {
    /// There is nothing to call.
    #[error("no deployment is configured")]
    Empty,
    /// Two deployments share a name.
    #[error("two deployments are named {0:?}")]
    DuplicateName(String),
    /// A number that must be at least one is zero, or text that must be there is missing.
    #[error("deployment {name:?}: {field} must not be {value}")]
    Value {
        /// The deployment.
        name: String,
        /// The field.
        field: &'static str,
        /// What it is.
        value: &'static str,
    },
    /// The endpoint is no http(s) address.
    #[error("deployment {name:?}: endpoint {endpoint:?} is not an http(s) address")]
    Endpoint {
        /// The deployment.
        name: String,
        /// What was given.
        endpoint: String,
    },
    /// The key has characters that a header cannot carry.
    #[error("deployment {name:?}: the key has characters that a header cannot carry")]
    Key {
        /// The deployment.
        name: String,
    },
    /// The HTTP client could not be built.
    #[error("the HTTP client could not be built: {0}")]
    Client(String),
}

impl PoolConfig {
    /// Checks all that can be checked without a network.
    pub(super) fn check(&self) -> Result<(), PoolError> {
        if self.deployments.is_empty() {
            return Err(PoolError::Empty);
        }
        for (index, one) in self.deployments.iter().enumerate() {
            if self.deployments.iter().skip(index + 1).any(|other| other.name == one.name) {
                return Err(PoolError::DuplicateName(one.name.clone()));
            }
            one.check()?;
        }
        Ok(())
    }
}

impl DeploymentConfig {
    fn check(&self) -> Result<(), PoolError> {
        let wrong = |field, value| Err(PoolError::Value { name: self.name.clone(), field, value });
        let (azure, version) = match &self.provider {
            Provider::Azure { deployment, api_version } => (deployment.as_str(), &**api_version),
            Provider::OpenAi | Provider::Compatible => ("-", "-"),
        };
        match () {
            () if self.name.is_empty() => wrong("name", "empty"),
            () if self.model.is_empty() => wrong("model", "empty"),
            () if azure.is_empty() => wrong("deployment", "empty"),
            () if version.is_empty() => wrong("api_version", "empty"),
            () if self.tokens_per_minute == 0 => wrong("tokens_per_minute", "0"),
            () if self.requests_per_minute == 0 => wrong("requests_per_minute", "0"),
            () if self.concurrency_max == 0 => wrong("concurrency_max", "0"),
            () if !self.weight.is_finite() => wrong("weight", "infinite"),
            () if self.weight < 0.0 => wrong("weight", "negative"),
            () => Ok(()),
        }
    }
}
