//! Values that are legal by their type and make no sense.
//!
//! It must know nothing of where the values came from; so it says the value apart from the rule,
//! and who prints both decides whether the value may be shown.

use super::{AuthMode, Config, Scans, explain::nearest, model};
use std::net::ToSocketAddrs;

/// A value that makes no sense.
pub(super) struct Fault {
    /// Where it is, such as `worker.concurrency` or `deployments[1].endpoint`.
    pub(super) path: String,
    /// The value itself, where it helps; it may be secret if it came out of the environment.
    pub(super) value: Option<String>,
    /// What it breaks, to be read after the path: "must be at least 1".
    pub(super) rule: String,
}

/// What is wrong with a configuration, in the order of its settings.
pub(super) fn faults(config: &Config) -> Vec<Fault> {
    let mut faults = Vec::new();
    address(config, &mut faults);
    ranges(config, &mut faults);
    for (index, deployment) in config.deployments.iter().enumerate() {
        let earlier = config.deployments.get(..index).unwrap_or_default();
        let path = |key: &str| format!("deployments[{index}].{key}");
        if !deployment.name.is_empty() && earlier.iter().any(|one| one.name == deployment.name) {
            faults.push(fault(&path("name"), "is the name of another deployment, too"));
        }
        faults.extend(deployment.broken_rules().map(|(key, rule)| fault(&path(key), rule)));
    }
    models(config, &mut faults);
    // An uploader may know of no deployments.
    let sees = config.deployments.is_empty() || config.deployments.iter().any(|one| one.vision);
    if config.text.scans == Scans::Vision && !sees {
        let rule =
            "is vision, and no deployment has vision = true: set that where a model takes images";
        faults.push(fault("text.scans", rule));
    }
    faults
}

/// A model must be there, and a chain of models must end.
fn models(config: &Config, faults: &mut Vec<Fault>) {
    let served: Vec<&str> = config.deployments.iter().map(|one| one.model.as_str()).collect();
    // An uploader may know of no deployments.
    let missing = |name: &str| {
        let near = nearest(name, &served).filter(|_| !served.contains(&name))?;
        Some(format!("is served by no deployment; did you mean {near:?}?"))
    };
    for (index, model) in config.models.iter().enumerate() {
        let earlier = config.models.get(..index).unwrap_or_default();
        let name = format!("models[{index}].name");
        if model.name.is_empty() {
            faults.push(fault(&name, "is empty"));
        } else if earlier.iter().any(|other| other.name == model.name) {
            faults.push(fault(&name, "is the name of another model, too"));
        } else if let Some(rule) = missing(&model.name) {
            faults.push(fault(&name, &rule));
        }
        for (at, next) in model.fallback.iter().enumerate() {
            let rule = match model::cycle(&config.models, &model.name, next) {
                _ if *next == model.name => Some("is the model itself".to_owned()),
                Some(way) => Some(format!("leads back to the model: {}", way.join(" -> "))),
                None => missing(next),
            };
            let path = format!("models[{index}].fallback[{at}]");
            faults.extend(rule.map(|rule| fault(&path, &rule)));
        }
    }
}

fn fault(path: &str, rule: &str) -> Fault {
    Fault { path: path.to_owned(), value: None, rule: rule.to_owned() }
}

fn address(config: &Config, faults: &mut Vec<Fault>) {
    let mut addresses = config.listen.to_socket_addrs().into_iter().flatten().peekable();
    if addresses.peek().is_none() {
        faults.push(fault("listen", "is not an address: write for example 127.0.0.1:8080"));
    } else if config.auth.mode == AuthMode::None
        && !config.auth.allow_unauthenticated
        && !addresses.all(|a| a.ip().is_loopback())
    {
        let rule = "is reachable from outside while auth.mode is none: listen on 127.0.0.1, or \
                    where the network lets only the right callers through, set \
                    auth.allow_unauthenticated";
        faults.push(fault("listen", rule));
    }
    if config.auth.mode == AuthMode::Keys {
        let rule = "keys is not part of this version yet: use none, on loopback";
        faults.push(fault("auth.mode", rule));
    }
}

fn ranges(config: &Config, faults: &mut Vec<Fault>) {
    let (limits, worker) = (&config.limits, &config.worker);
    let reserved = worker.interactive_reserved.unwrap_or_default();
    let text = &config.text;
    let memory_kept = config.text.child_memory_kept_bytes_max;
    let ranges = [
        ("start_seconds_max", config.start_seconds_max, 0, 3600),
        ("limits.size_bytes_max", limits.size_bytes_max, 1, u64::MAX),
        ("limits.pages_max", limits.pages_max.into(), 1, 1_000_000),
        ("limits.files_max", limits.files_max.into(), 1, 10_000),
        ("limits.metadata_bytes_max", limits.metadata_bytes_max, 2, u64::MAX),
        ("limits.schema_bytes_max", limits.schema_bytes_max, 2, u64::MAX),
        ("limits.queue_length_max", limits.queue_length_max, 1, u64::MAX),
        ("limits.text_bytes_max", limits.text_bytes_max, 1, u64::MAX),
        ("worker.concurrency", worker.concurrency.into(), 1, 10_000),
        ("worker.interactive_reserved", reserved.into(), 0, 10_000),
        ("worker.calls_max", worker.calls_max.into(), 1, 100),
        ("worker.attempts_max", worker.attempts_max.into(), 1, 1000),
        ("worker.lease_seconds", worker.lease_seconds, 1, 3600),
        ("worker.sweep_seconds", worker.sweep_seconds, 1, 3600),
        ("worker.call_timeout_seconds", worker.call_timeout_seconds, 1, 840),
        ("worker.job_seconds_max", worker.job_seconds_max, 10, 1500),
        ("worker.outage_seconds_max", worker.outage_seconds_max, 1, 2_592_000),
        ("worker.text_seconds_max", worker.text_seconds_max, 1, 600),
        ("worker.text_memory_bytes_max", worker.text_memory_bytes_max, 256 << 20, u64::MAX),
        ("worker.text_children", worker.text_children.into(), 1, 1000),
        ("text.child_files_max", config.text.child_files_max.into(), 1, 100_000),
        ("text.child_memory_kept_bytes_max", memory_kept, 1 << 20, u64::MAX),
        ("limits.image_pixels_max", limits.image_pixels_max, 10_000, 1_000_000_000),
        ("text.ocr_seconds_max", text.ocr_seconds_max, 1, 600),
        ("text.scan_dpi", text.scan_dpi.into(), 72, 400),
        ("text.scan_pages_max", text.scan_pages_max.into(), 0, 100_000),
        ("members.count_max", config.members.count_max.into(), 1, 1000),
        ("members.bytes_max", config.members.bytes_max, 1, u64::MAX),
        ("members.depth_max", config.members.depth_max.into(), 1, 10),
        ("worker.tokens_output_max", worker.tokens_output_max.into(), 16, 1_000_000),
        ("worker.question_properties_max", worker.question_properties_max.into(), 1, 5000),
        ("worker.context_tokens_max", worker.context_tokens_max.into(), 1000, 10_000_000),
    ];
    let ranges = ranges.map(|(path, value, least, most)| (path.to_owned(), value, least, most));
    let pauses = worker.call_pauses_seconds.iter().enumerate();
    let pauses = pauses.map(|(index, seconds)| {
        (format!("worker.call_pauses_seconds[{index}]"), *seconds, 0, 3600)
    });
    for (path, value, least, most) in ranges.into_iter().chain(pauses) {
        let rule = match value {
            value if value < least => format!("must be at least {least}"),
            value if value > most => format!("must be at most {most}"),
            _ => continue,
        };
        faults.push(Fault { path, value: Some(value.to_string()), rule });
    }
}
