//! One call of one deployment beside the pool, with everything that its response says: what the
//! pool learns from many responses, these commands must see in one.
//!
//! It must know nothing of what is asked or why. An error never has a key in it.

use pool::provider::address::{Address, limit_field};
use reqwest::{
    Client, Url,
    header::{HeaderMap, HeaderName, HeaderValue},
    redirect,
};
use serde_json::Value;
use shared::config::Deployment;
use std::{error::Error, time::Duration};
use tokio::time::Instant;

/// How long a connection may take to come about.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// The longest wait that a response is believed to ask for.
const WAIT_MAX: Duration = Duration::from_secs(60);

/// The way to one deployment.
pub(super) struct Wire {
    http: Client,
    url: Url,
    key: Option<(HeaderName, HeaderValue)>,
    model: String,
    limit: &'static str,
}

/// A response, whatever its status.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) limits: Limits,
    /// Its body; null where it is no JSON.
    pub(super) body: Value,
    /// When it was asked for.
    pub(super) sent: Instant,
    /// How long it took.
    pub(super) took: Duration,
}

/// What a response says of limits.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Limits {
    pub(super) limit_tokens: Option<u64>,
    pub(super) limit_requests: Option<u64>,
    pub(super) remaining_tokens: Option<i64>,
    pub(super) remaining_requests: Option<i64>,
    /// A header that only provisioned throughput has.
    pub(super) has_utilisation: bool,
    /// How long a rejected call is asked to wait.
    pub(super) retry_after: Option<Duration>,
}

/// Why there is no response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Silence {
    /// The host has no address.
    NoHost(String),
    /// Something else speaks there, or it has no certificate that is trusted.
    Tls(String),
    /// No connection came about.
    NoConnection(String),
    /// It did not answer in time.
    Late(Duration),
}

impl Wire {
    /// The way to this deployment. No network is used.
    pub(super) fn new(deployment: &Deployment, patience: Duration) -> Result<Self, String> {
        // A second installation of the TLS provider is refused and harmless.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let http = Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(patience)
            // A redirect would carry the key elsewhere.
            .redirect(redirect::Policy::none())
            .build()
            .map_err(|error| chain(&error))?;
        let address = Address::of(&worker::deployment(deployment));
        let address = address.map_err(|error| error.to_string())?;
        let limit = limit_field(address.api_version.as_deref());
        let Address { base, api_version, model, key } = address;
        let mut url = Url::parse(&format!("{base}/chat/completions"))
            .map_err(|error| format!("the endpoint: {error}"))?;
        if let Some(version) = &api_version {
            url.query_pairs_mut().append_pair("api-version", version);
        }
        Ok(Self { http, url, key, model, limit })
    }

    /// Makes one call with these fields beside the model and the room for the answer.
    pub(super) async fn call(&self, fields: &Value, output_max: u32) -> Result<Answer, Silence> {
        let mut body = fields.clone();
        if let Some(fields) = body.as_object_mut() {
            fields.insert("model".to_owned(), self.model.clone().into());
            fields.insert(self.limit.to_owned(), output_max.into());
        }
        let mut request = self.http.post(self.url.clone()).json(&body);
        if let Some((name, value)) = &self.key {
            request = request.header(name, value);
        }
        let sent = Instant::now();
        let silence = |error: reqwest::Error| silence(&error.without_url(), sent.elapsed());
        let response = request.send().await.map_err(silence)?;
        let (status, limits) = (response.status().as_u16(), Limits::read(response.headers()));
        let bytes = response.bytes().await.map_err(silence)?;
        let body = serde_json::from_slice(&bytes).unwrap_or_default();
        Ok(Answer { status, limits, body, sent, took: sent.elapsed() })
    }
}

impl Answer {
    /// What it says went wrong, on one line.
    pub(super) fn message(&self) -> String {
        let text = |pointer| self.body.pointer(pointer).and_then(Value::as_str);
        let code = text("/error/code").or(text("/error/type")).or(text("/code"));
        let message = text("/error/message").or(text("/message")).or(text("/error"));
        let words: Vec<&str> =
            message.unwrap_or("it does not say why").split_whitespace().collect();
        let message: String = words.join(" ").chars().take(200).collect();
        match code.filter(|code| !message.contains(code)) {
            Some(code) => format!("{code}: {message}"),
            None => message,
        }
    }

    /// Tokens of the question and of the answer, as the provider counted them.
    pub(super) fn tokens(&self) -> (u64, u64) {
        let count = |name| self.body.pointer(name).and_then(Value::as_u64).unwrap_or_default();
        (count("/usage/prompt_tokens"), count("/usage/completion_tokens"))
    }
}

impl Limits {
    fn read(headers: &HeaderMap) -> Self {
        let text = |name: &str| headers.get(name)?.to_str().ok().map(str::trim);
        let number = |name: &str| text(name)?.parse::<i64>().ok();
        let limit =
            |name: &str| number(name).and_then(|n| u64::try_from(n).ok()).filter(|n| *n > 0);
        let seconds = |name: &str, unit: f64| {
            let value: f64 = text(name)?.parse().ok()?;
            let value = value * unit;
            (value.is_finite() && value > 0.0)
                .then(|| Duration::from_secs_f64(value.min(86_400.0)).min(WAIT_MAX))
        };
        Self {
            limit_tokens: limit("x-ratelimit-limit-tokens"),
            limit_requests: limit("x-ratelimit-limit-requests"),
            remaining_tokens: number("x-ratelimit-remaining-tokens"),
            remaining_requests: number("x-ratelimit-remaining-requests"),
            has_utilisation: text("azure-openai-deployment-utilization").is_some(),
            retry_after: seconds("retry-after-ms", 0.001).or_else(|| seconds("retry-after", 1.0)),
        }
    }
}

fn silence(error: &reqwest::Error, after: Duration) -> Silence {
    let text = chain(error);
    let lower = text.to_ascii_lowercase();
    if error.is_timeout() && !error.is_connect() {
        Silence::Late(after)
    } else if lower.contains("dns error") || lower.contains("failed to lookup") {
        Silence::NoHost(text)
    } else if ["certificate", "tls", "handshake", "invalidcontenttype"]
        .iter()
        .any(|word| lower.contains(word))
    {
        Silence::Tls(text)
    } else {
        Silence::NoConnection(text)
    }
}

/// An error with all its causes.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use shared::config::Provider;

    #[test]
    fn limits_are_read_and_nonsense_is_not() {
        let check = |pairs: &[(&'static str, &str)], expected: Limits| {
            let pair = |(name, value): &(&'static str, &str)| {
                (HeaderName::from_static(name), value.parse().unwrap())
            };
            assert_eq!(Limits::read(&pairs.iter().map(pair).collect()), expected, "{pairs:?}");
        };
        check(&[], Limits::default());
        check(
            &[("x-ratelimit-limit-tokens", "60000"), ("x-ratelimit-remaining-requests", "-1")],
            Limits {
                limit_tokens: Some(60_000),
                remaining_requests: Some(-1),
                ..Limits::default()
            },
        );
        check(&[("x-ratelimit-limit-tokens", "-1")], Limits::default());
        let wait =
            |ms| Limits { retry_after: Some(Duration::from_millis(ms)), ..Limits::default() };
        check(&[("retry-after-ms", "0"), ("retry-after", "7")], wait(7000));
        check(&[("retry-after-ms", "43"), ("retry-after", "1")], wait(43));
        check(&[("retry-after", "86400")], wait(60_000));
    }

    #[test]
    fn each_provider_has_its_address() {
        let of = |provider, version: Option<&str>| Deployment {
            model: "m".into(),
            deployment: Some("d".into()),
            endpoint: "https://h/x/".into(),
            api_version: version.map(str::to_owned),
            provider,
            ..Deployment::default()
        };
        let check = |deployment, url: &str, model: &str| {
            let wire = Wire::new(&deployment, Duration::from_secs(1)).unwrap();
            assert_eq!((wire.url.as_str(), &*wire.model), (url, model));
        };
        let classic = "https://h/x/openai/deployments/d/chat/completions?api-version=2024-10-21";
        check(of(Provider::Azure, None), classic, "m");
        check(of(Provider::Azure, Some("v1")), "https://h/x/openai/v1/chat/completions", "d");
        check(of(Provider::Compatible, None), "https://h/x/chat/completions", "m");
    }
}
