//! Asks a running program whether it can serve, for an image without a shell and `curl`.

use crate::end::End;
use clap::Args;
use reqwest::{Client, Url};
use serde_json::Value;
use shared::error_chain::with_causes;
use std::{io::Write, time::Duration};

/// What is asked where the address has no path.
const READY: &str = "/readyz";

/// Exit code 0: it can. 1: it answers that it cannot. 2: this is no address. 3: nothing answers.
#[derive(Debug, Args)]
pub(crate) struct Health {
    /// The address of an uploader or of a worker that listens; without a path, its /readyz
    #[arg(default_value = "http://127.0.0.1:8080", env = "SLUICE_URL")]
    url: String,
    /// How long an answer may take, in seconds
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=300))]
    timeout: u64,
}

pub(crate) async fn run(health: Health) -> Result<(), End> {
    let no_address = |why: &dyn std::fmt::Display| {
        End::Usage(format!("{:?} is no address: {why}; one is http://127.0.0.1:8080", health.url))
    };
    let mut url = Url::parse(&health.url).map_err(|error| no_address(&error))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(no_address(&"it must begin with http:// or https://"));
    }
    if url.path() == "/" {
        url.set_path(READY);
    }
    // A second installation of the TLS provider is refused and harmless.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let timeout = Duration::from_secs(health.timeout);
    // A proxy of the environment is for the Internet, not for the process next door.
    let client = Client::builder().timeout(timeout).no_proxy().build().map_err(End::usage)?;
    let unreachable = |error: reqwest::Error| {
        End::Unreachable(format!("nothing healthy answers: {}", with_causes(&error)))
    };
    let response = client.get(url).send().await.map_err(unreachable)?;
    let status = response.status();
    let body = response.text().await.map_err(unreachable)?;
    let body: Value = serde_json::from_str(&body).unwrap_or_default();
    let said = body["status"].as_str().unwrap_or(status.as_str());
    let why = ["missing", "degraded"].into_iter().filter_map(|name| body[name].as_array());
    let why: Vec<&str> = why.flatten().filter_map(Value::as_str).collect();
    let message =
        if why.is_empty() { said.to_owned() } else { format!("{said}: {}", why.join("; ")) };
    if !status.is_success() {
        return Err(End::Failed(message));
    }
    Ok(writeln!(std::io::stdout(), "{message}")?)
}
