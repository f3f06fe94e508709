//! Reads what requests say beside their bodies: ids, query parameters, preferences, small JSON.
//! Every refusal is an [`ApiError`].

use super::{
    app::{Serving, unknown},
    body::BodyChunks,
};
use crate::error::{ApiError, Code};
use axum::{
    body::Body,
    extract::{FromRequestParts, Path, Query},
    http::{HeaderMap, HeaderName, Uri, header, request::Parts},
};
use serde::de::DeserializeOwned;
use shared::document::DocumentId;
use std::{fmt::Display, str::FromStr, time::Duration};

/// The longest that a request may be held open.
const WAIT_SECONDS_MAX: u64 = 60;

/// `Prefer`, RFC 7240.
const PREFER: HeaderName = HeaderName::from_static("prefer");

/// The id in the path.
pub(super) struct Id(pub(super) DocumentId);

impl<S: Send + Sync> FromRequestParts<S> for Id {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let Name(text) = Name::from_request_parts(parts, state).await?;
        Self::parse(&text)
    }
}

impl Id {
    /// Reads an id.
    pub(super) fn parse(text: &str) -> Result<Self, ApiError> {
        Ok(Self(text.parse().map_err(|_| unknown(text))?))
    }
}

/// The name in the path, whatever it is.
pub(super) struct Name(pub(super) String);

impl<S: Send + Sync> FromRequestParts<S> for Name {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        match Path::<String>::from_request_parts(parts, state).await {
            Ok(Path(name)) => Ok(Self(name)),
            // Its percent-encoding gives no UTF-8.
            Err(error) => Err(ApiError::new(Code::UnknownRoute, error.to_string())),
        }
    }
}

/// The query of a request, whose names are known and given once.
#[derive(Debug, Default)]
pub(super) struct Parameters(Vec<(String, String)>);

impl Parameters {
    /// Reads the query. A legal name that ends in `.` stands for all names that start with it.
    pub(super) fn read(uri: &Uri, legal: &[&str]) -> Result<Self, ApiError> {
        let query = Query::<Vec<(String, String)>>::try_from_uri(uri);
        let Query(pairs) = query.map_err(|error| ApiError::parameter("query", error))?;
        for (index, (name, _)) in pairs.iter().enumerate() {
            let fits = |legal: &&str| match legal.ends_with('.') {
                true => name.starts_with(*legal) && name.len() > legal.len(),
                false => *legal == name,
            };
            if !legal.iter().any(fits) {
                let known = if legal.is_empty() { "none".to_owned() } else { legal.join(", ") };
                let name: String = name.chars().take(80).collect();
                let error = ApiError::parameter(&name, "is not a parameter of this call");
                return Err(error.hint(format!("parameters of this call: {known}")));
            }
            if pairs.iter().take(index).any(|(other, _)| other == name) {
                return Err(ApiError::parameter(name, "is given twice"));
            }
        }
        Ok(Self(pairs))
    }

    /// The text of a parameter.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(other, _)| other == name);
        found.map(|(_, value)| value.as_str())
    }

    /// The value of a parameter.
    pub(super) fn value<T: FromStr<Err: Display>>(
        &self,
        name: &str,
    ) -> Result<Option<T>, ApiError> {
        let value = self.text(name).map(str::parse).transpose();
        value.map_err(|error| ApiError::parameter(name, error))
    }

    /// The parameters whose names start with `prefix`, without it.
    pub(super) fn starting_with(&self, prefix: &str) -> Vec<(String, String)> {
        let entry = |(name, value): &(String, String)| {
            Some((name.strip_prefix(prefix)?.to_owned(), value.clone()))
        };
        self.0.iter().filter_map(entry).collect()
    }

    /// How long to wait, from the parameter `wait` in seconds.
    pub(super) fn wait(&self) -> Result<Duration, ApiError> {
        let Some(text) = self.text("wait") else { return Ok(Duration::ZERO) };
        let seconds: u64 = text.parse().map_err(|_| {
            ApiError::parameter("wait", format!("is a number of seconds, 0 to {WAIT_SECONDS_MAX}"))
        })?;
        Ok(Duration::from_secs(seconds.min(WAIT_SECONDS_MAX)))
    }
}

/// How long the client prefers to wait: `Prefer: wait=30`. Preferences that are not understood
/// are ignored, as RFC 7240 wants it.
pub(super) fn preferred_wait(headers: &HeaderMap) -> Option<Duration> {
    let lines = headers.get_all(PREFER).iter().filter_map(|value| value.to_str().ok());
    let preferences = lines.flat_map(|line| line.split(','));
    let wait = |preference: &str| {
        let (name, value) = preference.split(';').next()?.split_once('=')?;
        let is_wait = name.trim().eq_ignore_ascii_case("wait");
        is_wait.then(|| value.trim().trim_matches('"').parse::<u64>().ok()).flatten()
    };
    let seconds = preferences.filter_map(wait).next()?;
    Some(Duration::from_secs(seconds.min(WAIT_SECONDS_MAX)))
}

/// Whether the client has this version already.
pub(super) fn is_known(headers: &HeaderMap, etag: &str) -> bool {
    let lines =
        headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    lines
        .flat_map(|line| line.split(','))
        .map(str::trim)
        .any(|known| known == "*" || known.strip_prefix("W/").unwrap_or(known) == etag)
}

/// The whole body, when it is small enough.
pub(super) async fn small_body(
    serving: &Serving,
    body: Body,
    bytes_max: u64,
) -> Result<Vec<u8>, ApiError> {
    let mut chunks = BodyChunks::new(body);
    let mut bytes = Vec::new();
    while let Some(chunk) = chunks.chunk().await? {
        if (bytes.len() + chunk.len()) as u64 > bytes_max {
            serving.tasks.spawn(chunks.drain(false));
            let detail = format!("the body is larger than {bytes_max} bytes");
            return Err(ApiError::new(Code::TooLarge, detail));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

/// JSON of a known shape.
pub(super) fn json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ApiError> {
    // The message ends with line and column.
    serde_json::from_slice(bytes)
        .map_err(|error| ApiError::new(Code::MalformedJson, error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn preferences() {
        let check = |lines: &[&str], expected: Option<u64>| {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append(PREFER, line.parse().unwrap());
            }
            let expected = expected.map(Duration::from_secs);
            assert_eq!(preferred_wait(&headers), expected, "{lines:?}");
        };
        check(&[], None);
        check(&["wait=30"], Some(30));
        check(&["respond-async, wait=10; x=y"], Some(10));
        check(&["respond-async", "Wait = \"5\""], Some(5));
        check(&["wait=600"], Some(60));
        check(&["wait=soon"], None);
    }

    #[test]
    fn parameters_are_known_and_given_once() {
        let read = |query: &str| {
            let uri = format!("/?{query}").parse().unwrap();
            Parameters::read(&uri, &["limit", "metadata."])
        };
        assert!(read("limit=1&metadata.a=b&metadata.c=d").is_ok());
        for bad in ["limit=1&limit=2", "size=1", "metadata.=x", "metadata=x"] {
            assert_eq!(read(bad).unwrap_err().code(), Code::InvalidParameter, "{bad}");
        }
    }
}
