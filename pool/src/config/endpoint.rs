//! An endpoint as people paste it: the base of an API, or the address of one of its calls.
//!
//! Azure's portal shows the address of a call ("Target URI"), its documentation the resource's, and
//! every client library wants something else. Pure: no network is used.

use serde::{Deserialize, Serialize};

/// What is wrong with an endpoint, to be read after the setting's name.
pub(crate) const NO_URL: &str = "must be a URL that starts with https:// or http://";
const NO_AZURE_PATH: &str = "has a path that is not Azure OpenAI's: write it up to the host, such as \
                             https://NAME.openai.azure.com, or the whole Target URI of the deployment";
const IS_PROJECT: &str = "is the address of a project, or of model inference: write that of its \
                          resource, such as https://NAME.openai.azure.com";
const IS_AZURE: &str = "is Azure's: set provider = \"azure\" (in the environment: \
                        AZURE_OPENAI_ENDPOINT, AZURE_OPENAI_API_KEY and AZURE_OPENAI_DEPLOYMENT)";
const HAS_QUERY: &str = "has a query: leave out the ? and what follows it, up to /v1";

/// What APIs have below their base, in the order in which it is looked for.
const CALLS: [&str; 5] =
    ["/chat/completions", "/completions", "/responses", "/embeddings", "/models"];

/// Whose addressing a deployment follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Provider {
    /// Azure OpenAI.
    Azure,
    /// api.openai.com.
    OpenAi,
    /// A server that speaks OpenAI's API.
    Compatible,
}

/// What an endpoint says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Endpoint<'a> {
    /// Azure: what stands before `/openai`; others: the base, before `/chat/completions`. Without a
    /// slash at its end.
    pub(crate) base: &'a str,
    /// Azure: the deployment that it names.
    pub(crate) deployment: Option<&'a str>,
    /// Azure: the version of the API that it names; `v1` for the path `/openai/v1`.
    pub(crate) api_version: Option<&'a str>,
}

impl<'a> Endpoint<'a> {
    /// Reads an endpoint of a provider.
    ///
    /// # Errors
    /// The rule that it breaks, with the form that is right.
    pub(crate) fn read(provider: Provider, text: &'a str) -> Result<Self, &'static str> {
        let text = text.trim();
        let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
        let rest = rest.ok_or(NO_URL)?;
        if rest.is_empty()
            || rest.starts_with(['/', '?', '#'])
            || rest.contains(char::is_whitespace)
        {
            return Err(NO_URL);
        }
        let place = text.split(['?', '#']).next().unwrap_or(text);
        let query = text.get(place.len()..).unwrap_or_default();
        let place = place.trim_end_matches('/');
        match provider {
            Provider::Azure => azure(place, query),
            Provider::OpenAi | Provider::Compatible => other(place, query),
        }
    }
}

fn azure<'a>(place: &'a str, query: &'a str) -> Result<Endpoint<'a>, &'static str> {
    let Some((base, path)) = split(place, "openai") else {
        let host = host(place);
        let is_azure = host.contains(".azure.");
        return match place.ends_with(host) {
            true => Ok(Endpoint { base: place, ..Endpoint::default() }),
            false if is_azure && is_elsewhere(place) => Err(IS_PROJECT),
            false if is_azure || without_call(place) != place => Err(NO_AZURE_PATH),
            // A gateway may have a path of its own before Azure's.
            false => Ok(Endpoint { base: place, ..Endpoint::default() }),
        };
    };
    if is_elsewhere(base) {
        return Err(IS_PROJECT);
    }
    let mut pairs =
        query.trim_start_matches('?').split('&').filter_map(|pair| pair.split_once('='));
    let named = pairs.find(|(name, _)| *name == "api-version").map(|(_, version)| version);
    let named = named.filter(|version| !version.is_empty());
    let mut segments = path.split('/').skip(1);
    match (segments.next(), segments.next()) {
        (Some("v1"), _) => Ok(Endpoint { base, deployment: None, api_version: Some("v1") }),
        (Some("deployments"), deployment) => Ok(Endpoint { base, deployment, api_version: named }),
        (None, _) => Ok(Endpoint { base, deployment: None, api_version: named }),
        _ if without_call(path).is_empty() => {
            Ok(Endpoint { base, deployment: None, api_version: named })
        }
        _ => Err(NO_AZURE_PATH),
    }
}

fn other<'a>(place: &'a str, query: &str) -> Result<Endpoint<'a>, &'static str> {
    if split(place, "openai").is_some_and(|(_, path)| path.starts_with("/deployments")) {
        return Err(IS_AZURE);
    }
    if !query.is_empty() {
        return Err(HAS_QUERY);
    }
    Ok(Endpoint { base: without_call(place), ..Endpoint::default() })
}

/// Whether it is an address of Azure AI Foundry where other APIs are.
fn is_elsewhere(place: &str) -> bool {
    let is_inference = [place, without_call(place)].iter().any(|base| base.ends_with("/models"));
    is_inference || place.contains("/api/projects/")
}

/// What stands before a whole segment of the path, and what after it.
fn split<'a>(place: &'a str, segment: &str) -> Option<(&'a str, &'a str)> {
    let host_end = place.find("://").map_or(0, |at| at + 3);
    let mut at = host_end;
    while let Some(found) = place.get(at..)?.find('/') {
        let start = at + found;
        let rest = place.get(start + 1..)?;
        if let Some(after) = rest.strip_prefix(segment)
            && (after.is_empty() || after.starts_with('/'))
        {
            return Some((place.get(..start)?, after));
        }
        at = start + 1;
    }
    None
}

/// The base of an address of a call.
fn without_call(place: &str) -> &str {
    let call = CALLS.iter().find_map(|call| place.strip_suffix(call));
    call.unwrap_or(place).trim_end_matches('/')
}

/// Host and port.
fn host(place: &str) -> &str {
    let rest = place.split_once("://").map_or(place, |(_, rest)| rest);
    rest.split('/').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn azures_addresses_are_understood_as_they_are_pasted() {
        let check = |text: &str, deployment: Option<&str>, api_version: Option<&str>| {
            let expected = Endpoint { base: "https://r.openai.azure.com", deployment, api_version };
            assert_eq!(Endpoint::read(Provider::Azure, text), Ok(expected), "{text}");
        };
        let base = "https://r.openai.azure.com";
        check(base, None, None);
        check(&format!("{base}/"), None, None);
        check(&format!(" {base}/openai/ "), None, None);
        check(&format!("{base}/openai/v1/"), None, Some("v1"));
        check(&format!("{base}/openai/v1/chat/completions"), None, Some("v1"));
        check(&format!("{base}/openai/v1/responses?api-version=preview"), None, Some("v1"));
        check(&format!("{base}/openai/deployments"), None, None);
        check(&format!("{base}/openai/deployments/g-4/"), Some("g-4"), None);
        check(
            &format!(
                "{base}/openai/deployments/g-4/chat/completions?api-version=2025-01-01-preview"
            ),
            Some("g-4"),
            Some("2025-01-01-preview"),
        );
        check(
            &format!("{base}/openai/responses?api-version=2025-04-01-preview"),
            None,
            Some("2025-04-01-preview"),
        );
        // A gateway's own path stays.
        let gateway = Endpoint::read(Provider::Azure, "https://gw.corp/ai/openai/deployments/g");
        let expected =
            Endpoint { base: "https://gw.corp/ai", deployment: Some("g"), api_version: None };
        assert_eq!(gateway, Ok(expected));
        let prefix = Endpoint::read(Provider::Azure, "http://u:p@gw.corp:8080/ai/");
        assert_eq!(prefix.map(|endpoint| endpoint.base), Ok("http://u:p@gw.corp:8080/ai"));
        // `openai` in a host or in another word is no path of Azure's.
        let host = Endpoint::read(Provider::Azure, "https://openai/myopenai/");
        assert_eq!(host.map(|endpoint| endpoint.base), Ok("https://openai/myopenai"));
    }

    #[test]
    fn other_addresses_are_understood_as_they_are_pasted() {
        let check = |text: &str, base: &str| {
            let read = Endpoint::read(Provider::Compatible, text);
            assert_eq!(read, Ok(Endpoint { base, ..Endpoint::default() }), "{text}");
        };
        check("http://h:8000", "http://h:8000");
        check("http://h:8000/v1/", "http://h:8000/v1");
        check("http://h:8000/v1/chat/completions", "http://h:8000/v1");
        check("http://h:8000/v1/chat/completions/", "http://h:8000/v1");
        check("http://h:8000/v1/completions", "http://h:8000/v1");
        check("https://h/api/openai/v1/models", "https://h/api/openai/v1");
    }

    #[test]
    fn what_is_not_understood_is_told_the_right_form() {
        let check = |provider, text: &str, part: &str| {
            let rule = Endpoint::read(provider, text).expect_err(text);
            assert!(rule.contains(part), "{text}: {rule}");
        };
        let azure = Provider::Azure;
        check(azure, "r.openai.azure.com", "starts with https://");
        check(azure, "https://r.services.ai.azure.com/api/projects/p", "NAME.openai.azure.com");
        let inference = "https://r.services.ai.azure.com/models";
        check(azure, inference, "of its resource");
        check(azure, &format!("{inference}/chat/completions?api-version=1"), "of its resource");
        check(azure, "https://r.openai.azure.com/v1", "up to the host");
        check(azure, "https://r.openai.azure.com/openai/v2/chat", "up to the host");
        check(azure, "https://gw.corp/chat/completions", "up to the host");
        let other = Provider::Compatible;
        check(other, "http:///v1", "must be a URL");
        check(other, "http://h /v1", "must be a URL");
        check(other, "http://h/v1?key=1", "leave out the ?");
        let pasted =
            "https://r.openai.azure.com/openai/deployments/g/chat/completions?api-version=1";
        check(other, pasted, "AZURE_OPENAI_ENDPOINT");
    }
}
