//! Where the servers of the tests are: as the environment says, or started when a test first asks.
//! The integration tests themselves live in `it/`.

#![expect(clippy::panic, reason = "a test fails by panicking")]
#![expect(clippy::print_stderr, reason = "a test that is skipped says so")]

use std::{
    collections::BTreeMap,
    path::Path,
    process::{Command, Stdio},
    sync::{Mutex, PoisonError},
};

/// The value of a variable that `tests/services` exports. Where it is not set and `tests/run` runs
/// the test, its server is started. Otherwise the test says SKIPPED, and fails in CI.
///
/// # Panics
/// In CI when there is no server, and everywhere when a server does not start.
pub fn server(variable: &str) -> Option<String> {
    if let Ok(value) = std::env::var(variable) {
        return Some(value);
    }
    if std::env::var_os("SLUICE_TEST_START").is_some() {
        return Some(started(variable));
    }
    assert!(std::env::var_os("CI").is_none(), "{variable} is missing");
    eprintln!("SKIPPED: {variable} is missing: use tests/run, or eval \"$(tests/services start)\"");
    None
}

/// Whether the tests have this server, started or not.
///
/// # Panics
/// As [`server`].
pub fn has_server(variable: &str) -> bool {
    std::env::var_os("SLUICE_TEST_START").is_some() || server(variable).is_some()
}

/// The value of a variable once its server has started.
fn started(variable: &str) -> String {
    static EXPORTS: Mutex<BTreeMap<&str, String>> = Mutex::new(BTreeMap::new());
    let service = match variable.split('_').nth(2) {
        Some("AMQP") => "rabbit",
        Some("POSTGRES") => "postgres",
        Some("REDIS") => "redis",
        Some("S3") => "s3",
        _ => panic!("no server has {variable}"),
    };
    // The others wait for it. One that failed is tried again.
    let mut exports = EXPORTS.lock().unwrap_or_else(PoisonError::into_inner);
    let exports = exports.entry(service).or_insert_with(|| start(service));
    exported(exports, variable).unwrap_or_else(|| panic!("{service} exports no {variable}"))
}

fn start(service: &str) -> String {
    let mut command = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("services"));
    command.args(["ensure", service]).stdin(Stdio::null()).stderr(Stdio::inherit());
    match command.output() {
        Ok(output) if output.status.success() => String::from_utf8_lossy(&output.stdout).into(),
        output => panic!("tests/services ensure {service}: {output:?}"),
    }
}

/// What `tests/services` exported under this name.
pub fn exported(exports: &str, name: &str) -> Option<String> {
    let line = exports.lines().find_map(|line| line.strip_prefix(&format!("export {name}=")));
    Some(line?.trim_matches('\'').to_owned())
}
