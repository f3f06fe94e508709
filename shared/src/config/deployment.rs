//! The deployment that the environment names; what is configured of one is the pool's.

use super::ConfigError;
use pool::{DeploymentConfig, Provider, Secret};
use std::collections::BTreeMap;

const TOKENS_PER_MINUTE: &str = "OPENAI_TOKENS_PER_MINUTE";

/// A deployment, and the variable that each of its settings came from.
type Named = (DeploymentConfig, Vec<(&'static str, &'static str)>);

/// The deployment that the environment names, as the providers' own tools read it, and the
/// variable that each of its settings came from.
pub(super) fn from_environment(
    environment: &BTreeMap<String, String>,
) -> Result<Option<Named>, ConfigError> {
    let get = |name: &str| environment.get(name).filter(|value| !value.is_empty()).cloned();
    let tokens_per_minute = get(TOKENS_PER_MINUTE).map(|text| text.trim().parse()).transpose();
    let tokens_per_minute = tokens_per_minute.map_err(|_| {
        let rule = "must be a whole number of at least 1, such as 30000";
        ConfigError(format!("the environment variable {TOKENS_PER_MINUTE} {rule}"))
    })?;
    if let Some(key) = get("OPENAI_API_KEY") {
        let base = get("OPENAI_BASE_URL");
        let deployment = DeploymentConfig {
            name: "openai".to_owned(),
            model: get("OPENAI_MODEL").unwrap_or_else(|| "gpt-4o".to_owned()),
            provider: if base.is_some() { Provider::Compatible } else { Provider::OpenAi },
            endpoint: base.unwrap_or_default(),
            api_key: Some(Secret::new(key)),
            tokens_per_minute,
            ..DeploymentConfig::default()
        };
        let variables = [("endpoint", "OPENAI_BASE_URL"), ("tokens_per_minute", TOKENS_PER_MINUTE)];
        return Ok(Some((deployment, variables.to_vec())));
    }
    let (Some(endpoint), Some(key)) = (get("AZURE_OPENAI_ENDPOINT"), get("AZURE_OPENAI_API_KEY"))
    else {
        return Ok(None);
    };
    let mut deployment = DeploymentConfig {
        name: "azure".to_owned(),
        provider: Provider::Azure,
        endpoint,
        deployment: get("AZURE_OPENAI_DEPLOYMENT"),
        api_version: get("AZURE_OPENAI_API_VERSION").or_else(|| get("OPENAI_API_VERSION")),
        api_key: Some(Secret::new(key)),
        tokens_per_minute,
        ..DeploymentConfig::default()
    };
    // The endpoint may name it, too.
    let named = deployment.provider_model().to_owned();
    if named.is_empty() {
        return Ok(None);
    }
    deployment.model = get("OPENAI_MODEL").unwrap_or(named);
    let variables =
        [("endpoint", "AZURE_OPENAI_ENDPOINT"), ("tokens_per_minute", TOKENS_PER_MINUTE)];
    Ok(Some((deployment, variables.to_vec())))
}
