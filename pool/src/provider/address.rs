//! Where a deployment is reached, what it calls its model, and its key.
//!
//! It must know nothing of what is asked.

use crate::config::{DeploymentConfig, NO_HEADER, NO_URL, PoolError, Provider};
use reqwest::Url;
use reqwest::header::{AUTHORIZATION, HeaderName, HeaderValue};

/// The paths that Azure's dated versions of the API have below a deployment; others are beside it.
const BELOW_DEPLOYMENTS: [&str; 5] =
    ["/chat/completions", "/completions", "/embeddings", "/images/", "/audio/"];
const API_VERSION: &str = "api-version";

/// Where a deployment is reached, and how.
#[derive(Clone, Debug)]
pub(crate) struct Address {
    /// The base of its API, without a slash at the end: `/chat/completions` follows.
    base: Url,
    /// The base of the paths that are not below a deployment, where they have another.
    beside: Option<Url>,
    /// What `api-version` in the query says, where there is one.
    pub(crate) api_version: Option<String>,
    /// What a request calls the model.
    pub(crate) model: String,
    /// The header that carries its key, marked as sensitive; none for servers that want none.
    pub(crate) key: Option<(HeaderName, HeaderValue)>,
}

impl Address {
    /// The address of this deployment. No network is used.
    pub(crate) fn of(config: &DeploymentConfig) -> Result<Self, PoolError> {
        let endpoint = config.endpoint().map_err(|rule| config.error("endpoint", rule))?;
        let url = |path: &str| {
            let url = Url::parse(&format!("{}{path}", endpoint.base)).ok().filter(Url::has_host);
            url.ok_or_else(|| config.error("endpoint", NO_URL))
        };
        let name = config.provider_model();
        let api_version = config.dated_api_version();
        let (base, beside, model) = match (config.provider, api_version) {
            // The deployment is in the path; what the body calls the model means nothing there.
            (Provider::Azure, Some(_)) => {
                let base = url(&format!("/openai/deployments/{name}"))?;
                (base, Some(url("/openai")?), config.model.as_str())
            }
            (Provider::Azure, None) => (url("/openai/v1")?, None, name),
            (Provider::OpenAi, _) if url("")?.path() == "/" => (url("/v1")?, None, name),
            (Provider::OpenAi | Provider::Compatible, _) => (url("")?, None, name),
        };
        Ok(Self {
            base,
            beside,
            api_version: api_version.map(str::to_owned),
            model: model.to_owned(),
            key: key(config)?,
        })
    }

    /// The same API with `/v1` at the end of its base, or without it where it is there: which of the
    /// two a server has is not always known. None at Azure, whose paths are known.
    pub(crate) fn with_or_without_version(&self, config: &DeploymentConfig) -> Option<Self> {
        if config.provider == Provider::Azure {
            return None;
        }
        let path = self.base.path().trim_end_matches('/');
        let other = match path.strip_suffix("/v1") {
            Some(without) => without.to_owned(),
            None => format!("{path}/v1"),
        };
        let mut address = self.clone();
        address.base.set_path(&other);
        Some(address)
    }

    /// The address of a path of the API, such as `/chat/completions`, which may have a query. Its
    /// `api-version` counts where the deployment has one, and is left out elsewhere. None where the
    /// path leads out of the API.
    pub(crate) fn url(&self, path: &str) -> Option<Url> {
        let path = path.split('#').next().filter(|path| path.starts_with('/'))?;
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let is_beside = !BELOW_DEPLOYMENTS.iter().any(|start| path.starts_with(start));
        let base = self.beside.as_ref().filter(|_| is_beside).unwrap_or(&self.base);
        let mut url = base.clone();
        url.set_query(None);
        let root = base.path().trim_end_matches('/');
        url.set_path(&format!("{root}{path}"));
        // Dots in a path have been resolved by now.
        if !url.path().strip_prefix(root)?.starts_with('/') {
            return None;
        }
        let is_version =
            |pair: &&str| pair.split('=').next().is_some_and(|name| name == API_VERSION);
        let pairs = || query.split('&').filter(|pair| !pair.is_empty());
        let given = pairs().find(is_version).filter(|_| self.api_version.is_some());
        let mut query: Vec<String> =
            pairs().filter(|pair| !is_version(pair)).map(str::to_owned).collect();
        let own = self.api_version.as_ref().map(|version| format!("{API_VERSION}={version}"));
        query.extend(given.map(str::to_owned).or(own));
        url.set_query((!query.is_empty()).then(|| query.join("&")).as_deref());
        Some(url)
    }
}

fn key(config: &DeploymentConfig) -> Result<Option<(HeaderName, HeaderValue)>, PoolError> {
    let Some(key) = &config.api_key else { return Ok(None) };
    let (name, value) = match config.provider {
        Provider::Azure => (HeaderName::from_static("api-key"), key.expose().to_owned()),
        Provider::OpenAi | Provider::Compatible => {
            (AUTHORIZATION, format!("Bearer {}", key.expose()))
        }
    };
    let mut value =
        HeaderValue::from_str(&value).map_err(|_| config.error("api_key", NO_HEADER))?;
    value.set_sensitive(true);
    Ok(Some((name, value)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Secret;

    fn address(provider: Provider, api_version: Option<&str>) -> Address {
        Address::of(&DeploymentConfig {
            model: "m".into(),
            deployment: Some("d".into()),
            endpoint: "https://h/x/".into(),
            api_version: api_version.map(str::to_owned),
            provider,
            ..DeploymentConfig::default()
        })
        .unwrap()
    }

    #[test]
    fn what_is_pasted_names_deployment_and_version() {
        let pasted = "https://h/openai/deployments/g/chat/completions?api-version=2025-01-01";
        let config = DeploymentConfig {
            name: "a".into(),
            model: "gpt-4o".into(),
            endpoint: pasted.into(),
            api_key: Some(Secret::new("k")),
            provider: Provider::Azure,
            ..DeploymentConfig::default()
        };
        let url = |config: &DeploymentConfig| Address::of(config).unwrap().url("/chat/completions");
        assert_eq!(url(&config).unwrap().as_str(), pasted);
        assert_eq!(config.broken_rules().collect::<Vec<_>>(), []);
        // What is configured apart counts.
        let version = Some("2024-10-21".to_owned());
        let older = DeploymentConfig { api_version: version, ..config.clone() };
        let expected = "https://h/openai/deployments/g/chat/completions?api-version=2024-10-21";
        assert_eq!(url(&older).unwrap().as_str(), expected);
        let v1 = DeploymentConfig { endpoint: "https://h/openai/v1".into(), ..config.clone() };
        assert_eq!(url(&v1).unwrap().as_str(), "https://h/openai/v1/chat/completions");
        // Two names of a deployment are one too many.
        let other = DeploymentConfig { deployment: Some("other".into()), ..config };
        let (field, rule) = other.broken_rules().next().unwrap();
        assert!(field == "endpoint" && rule.contains("another deployment"), "{field} {rule}");
        let openai = DeploymentConfig {
            endpoint: "https://api.openai.com".into(),
            provider: Provider::OpenAi,
            ..DeploymentConfig::default()
        };
        assert_eq!(url(&openai).unwrap().as_str(), "https://api.openai.com/v1/chat/completions");
    }

    #[test]
    fn each_provider_has_its_address() {
        let check = |address: &Address, path, expected: Option<&str>| {
            assert_eq!(address.url(path).as_ref().map(Url::as_str), expected, "{path}");
        };
        let classic = address(Provider::Azure, Some("2024-10-21"));
        let v1 = address(Provider::Azure, None);
        let other = address(Provider::Compatible, Some("2024-10-21"));
        let chat = "/chat/completions";
        let below = "https://h/x/openai/deployments/d/chat/completions?api-version=";
        check(&classic, chat, Some(&format!("{below}2024-10-21")));
        check(&v1, chat, Some("https://h/x/openai/v1/chat/completions"));
        check(&other, chat, Some("https://h/x/chat/completions"));
        let config =
            DeploymentConfig { provider: Provider::Compatible, ..DeploymentConfig::default() };
        let with = other.with_or_without_version(&config).unwrap();
        check(&with, chat, Some("https://h/x/v1/chat/completions"));
        let without = with.with_or_without_version(&config).unwrap();
        check(&without, chat, Some("https://h/x/chat/completions"));
        assert_eq!([&*classic.model, &v1.model, &other.model], ["m", "d", "d"]);
        // Responses are beside the deployments.
        let beside = "https://h/x/openai/responses/a?include=b&api-version=2024-10-21";
        check(&classic, "/responses/a?include=b", Some(beside));
        // The caller's version counts where there are versions.
        let given = "/chat/completions?api-version=2025-01-01";
        check(&classic, given, Some(&format!("{below}2025-01-01")));
        check(&v1, given, Some("https://h/x/openai/v1/chat/completions"));
        // No path leads out of the API.
        let outside = [
            "/../a",
            "/%2e%2e/a",
            "/chat/completions/../../../e/chat/completions",
            "/..\\a",
            "chat/completions",
            "",
            "@h2/",
        ];
        for path in outside {
            check(&classic, path, None);
        }
    }
}
