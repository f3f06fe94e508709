//! Logs to stderr and metrics for Prometheus.

use crate::end::End;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use shared::config::{Log, LogFormat};
use std::io::IsTerminal;
use tracing_subscriber::EnvFilter;

/// The upper bounds of the histograms of seconds.
const SECONDS: [f64; 14] =
    [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0];

/// What the program was built from, where its build says so.
const COMMIT: &str = match option_env!("SLUICE_COMMIT") {
    Some(commit) => commit,
    None => "unknown",
};

/// What is never logged, whatever is asked for. The client of RabbitMQ logs every retry as an error,
/// and what it sends, the password too, at the level of traces; whatever matters of it is in our own
/// messages. The signer of S3 requests logs the token of a session with what it signs.
const SILENCES: [&str; 2] = ["lapin=off", "aws_sigv4=info"];

/// Starts logging: for people on a terminal, as JSON otherwise. `level` overrides the
/// configuration; `SLUICE_LOG` overrides both.
pub(crate) fn init(log: &Log, level: Option<&str>) {
    let level = level.unwrap_or(&log.level);
    let directives = std::env::var("SLUICE_LOG").unwrap_or_else(|_| level.to_owned());
    let filter = EnvFilter::try_new(directives).unwrap_or_else(|_| EnvFilter::new("info"));
    let silences = SILENCES.iter().filter_map(|silence| silence.parse().ok());
    let filter = silences.fold(filter, EnvFilter::add_directive);
    let human = match log.format {
        LogFormat::Human => true,
        LogFormat::Json => false,
        LogFormat::Auto => std::io::stderr().is_terminal(),
    };
    let logger = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // A second start, in one process with a demo, changes nothing.
    let _ = if human {
        logger.with_target(false).try_init()
    } else {
        logger.json().flatten_event(true).try_init()
    };
}

/// Starts to collect metrics.
pub(crate) fn metrics() -> Result<PrometheusHandle, End> {
    let builder = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS)
        .map_err(End::usage)?;
    let handle = builder.install_recorder().map_err(End::usage)?;
    pool::describe_metrics();
    reader::describe_metrics();
    uploader::describe_metrics();
    worker::describe_metrics();
    metrics::describe_gauge!(
        "sluice_build_info",
        metrics::Unit::Count,
        "1, with the version of the program and the commit that it was built from"
    );
    let labels = [("version", env!("CARGO_PKG_VERSION")), ("commit", COMMIT)];
    metrics::gauge!("sluice_build_info", &labels).set(1.0);
    Ok(handle)
}
