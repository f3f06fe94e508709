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
    let endpoint = get("AZURE_OPENAI_ENDPOINT")?;
    let deployment = get("AZURE_OPENAI_DEPLOYMENT")?;
    let deployment = DeploymentConfig {
        name: "azure".to_owned(),
        model: get("OPENAI_MODEL").unwrap_or_else(|| deployment.clone()),
        provider: Provider::Azure,
        endpoint,
        deployment: Some(deployment),
        api_version: get("OPENAI_API_VERSION"),
        api_key: Some(Secret::new(get("AZURE_OPENAI_API_KEY")?)),
        ..DeploymentConfig::default()
    };
    Some((deployment, vec![("endpoint", "AZURE_OPENAI_ENDPOINT")]))
}
