//! The HTTP API as a client sees it: with patience for "later", and errors in words.

use crate::end::End;
use clap::Args;
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode};
use serde_json::Value;
use shared::error_chain::with_causes;
use std::time::Duration;

/// How often a call that was told "later" is made again.
const PATIENCE: u32 = 8;

/// Where a running uploader listens.
#[derive(Clone, Debug, Args)]
pub(crate) struct Server {
    /// The address of the uploader
    #[arg(long, global = true, env = "SLUICE_URL", default_value = "http://127.0.0.1:8080")]
    pub(crate) url: String,
}

/// A client of one uploader. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Api {
    http: Client,
    base: String,
}

impl Api {
    pub(crate) fn new(base: &str) -> Result<Self, End> {
        // A second installation of the TLS provider is refused and harmless.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let http = Client::builder()
            .connect_timeout(Duration::from_secs(5))
            .build()
            .map_err(End::usage)?;
        Ok(Self { http, base: base.trim_end_matches('/').to_owned() })
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.base))
    }

    /// Gets JSON.
    pub(crate) async fn get(&self, path: &str) -> Result<Value, End> {
        self.json(|| self.request(Method::GET, path)).await
    }

    /// Makes a call and reads JSON. A call that is told "later" (429, 503) is made again when it
    /// was told to.
    pub(crate) async fn json(&self, make: impl Fn() -> RequestBuilder) -> Result<Value, End> {
        let response = self.send(make).await?;
        let bytes = response.bytes().await.map_err(|error| self.broken(&error))?;
        if bytes.is_empty() {
            return Ok(Value::Null);
        }
        let unreadable =
            |error| End::Failed(format!("{} does not answer JSON: {error}", self.base));
        serde_json::from_slice(&bytes).map_err(unreadable)
    }

    /// Makes a call and reads text.
    pub(crate) async fn text(&self, make: impl Fn() -> RequestBuilder) -> Result<String, End> {
        self.send(make).await?.text().await.map_err(|error| self.broken(&error))
    }

    async fn send(&self, make: impl Fn() -> RequestBuilder) -> Result<Response, End> {
        let mut tries = 0;
        loop {
            tries += 1;
            let response = make().send().await.map_err(|error| self.broken(&error))?;
            let status = response.status();
            if status.is_success() {
                return Ok(response);
            }
            let later = matches!(status.as_u16(), 429 | 503);
            if later && tries < PATIENCE {
                tokio::time::sleep(retry_after(&response)).await;
                continue;
            }
            let problem: Value = response.json().await.unwrap_or_default();
            let message = said(status, &problem);
            return Err(if later { End::Unreachable(message) } else { End::Failed(message) });
        }
    }

    fn broken(&self, error: &reqwest::Error) -> End {
        let base = &self.base;
        if error.is_connect() {
            return End::Unreachable(format!(
                "nothing answers at {base}: start `sluice up`, or name another address with --url"
            ));
        }
        End::Unreachable(format!("{base}: {}", with_causes(error)))
    }
}

fn retry_after(response: &Response) -> Duration {
    let header = response.headers().get("retry-after").and_then(|value| value.to_str().ok());
    let seconds = header.and_then(|text| text.parse().ok()).unwrap_or(1_u64);
    Duration::from_secs(seconds.clamp(1, 60))
}

fn said(status: StatusCode, problem: &Value) -> String {
    let text = |name: &str| problem.get(name).and_then(Value::as_str);
    let detail = text("detail").or(text("title")).unwrap_or("no further explanation");
    let hint = text("hint").map(|hint| format!(" ({hint})")).unwrap_or_default();
    match text("code") {
        Some(code) => format!("{detail}{hint} [{code}]"),
        None => format!("{status}: {detail}{hint}"),
    }
}

/// A path segment, safe to put into a URL.
pub(crate) fn segment(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~@".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}
