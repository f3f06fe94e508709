//! The deployment that the environment names; what is configured of one is the pool's.

use pool::{DeploymentConfig, Provider, Secret};
use std::collections::BTreeMap;

/// The deployment that the environment names, as the providers' own tools read it, and the
/// variable that each of its settings came from.
pub(super) fn from_environment(
    environment: &BTreeMap<String, String>,
) -> Option<(DeploymentConfig, Vec<(&'static str, &'static str)>)> {
    let get = |name: &str| environment.get(name).filter(|value| !value.is_empty()).cloned();
    if let Some(key) = get("OPENAI_API_KEY") {
        let base = get("OPENAI_BASE_URL");
        let deployment = DeploymentConfig {
            name: "openai".to_owned(),
            model: get("OPENAI_MODEL").unwrap_or_else(|| "gpt-4o".to_owned()),
            provider: if base.is_some() { Provider::Compatible } else { Provider::OpenAi },
            endpoint: base.unwrap_or_default(),
            api_key: Some(Secret::new(key)),
            requests_per_minute: Some(500),
            ..DeploymentConfig::default()
        };
        return Some((deployment, vec![("endpoint", "OPENAI_BASE_URL")]));
    }
    let mut deployment = DeploymentConfig {
        name: "azure".to_owned(),
        provider: Provider::Azure,
        endpoint: get("AZURE_OPENAI_ENDPOINT")?,
        deployment: get("AZURE_OPENAI_DEPLOYMENT"),
        api_version: get("AZURE_OPENAI_API_VERSION").or_else(|| get("OPENAI_API_VERSION")),
        api_key: Some(Secret::new(get("AZURE_OPENAI_API_KEY")?)),
        ..DeploymentConfig::default()
    };
    // The endpoint may name it, too.
    let named = Some(deployment.provider_model().to_owned()).filter(|name| !name.is_empty())?;
    deployment.model = get("OPENAI_MODEL").unwrap_or(named);
    Some((deployment, vec![("endpoint", "AZURE_OPENAI_ENDPOINT")]))
}
