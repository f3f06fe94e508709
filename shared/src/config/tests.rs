use super::*;
use proptest::prelude::*;

fn environment(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn refused(text: &str, pairs: &[(&str, &str)], expected: &str) {
    let error = parse("sluice.toml", text, &environment(pairs)).unwrap_err();
    assert_eq!(error.to_string(), expected);
}

const AZURE: &str = "[[deployments]]\nname = \"a\"\nmodel = \"m\"\nprovider = \"azure\"\n\
    endpoint = \"https://a\"\ntokens_per_minute = 1000\n";

#[test]
fn what_is_wrong_is_named_by_file_line_and_key() {
    refused(
        "listen = \"127.0.0.1:1\"\n\n[worker]\nconcurency = 3\n",
        &[],
        "sluice.toml:4: worker.concurency is not a setting; did you mean worker.concurrency?",
    );
    refused("listn = \"x\"", &[], "sluice.toml:1: listn is not a setting; did you mean listen?");
    refused(
        "[worker]\ncalls_max = \"two\"",
        &[],
        "sluice.toml:2: worker.calls_max: invalid type: string \"two\", expected u32",
    );
    refused(
        "[worker]\nlease_seconds = 0",
        &[],
        "sluice.toml:2: worker.lease_seconds is 0: it must be at least 1",
    );
    refused(
        "storage = \"s3://bucket\"",
        &[],
        "sluice.toml:1: storage: s3:// is not part of this version yet: use dir:PATH",
    );
    refused("queue = \"kafka\"", &[], "sluice.toml:1: queue: is not a queue: use embedded");
    refused("listen = \n", &[], "sluice.toml:1: this is not TOML: string values must be quoted, expected literal string");
    refused(
        "listen = \"0.0.0.0:80\"",
        &[],
        "sluice.toml:1: listen is reachable from outside while auth.mode is none: listen on 127.0.0.1",
    );
    refused(
        &format!("{AZURE}api_key = \"${{NOPE}}\""),
        &[],
        "sluice.toml:7: deployments[0].api_key needs the environment variable NOPE, which is not \
         set (or give a default: ${NOPE:-...})",
    );
    refused(
        &format!("{AZURE}api_key = \"k\"\nendpont = 1"),
        &[],
        "sluice.toml:8: deployments[0].endpont is not a setting; did you mean deployments[0].endpoint?",
    );
    refused(AZURE, &[], "sluice.toml:1: deployments[0].api_key is missing: write for example \"${AZURE_KEY}\"");
}

#[test]
fn the_environment_goes_over_the_file() {
    let text = "[worker]\nconcurrency = \"${N:-5}\"\ncalls_max = 3\n[log]\nlevel = \"$${x}\"\n";
    let config = parse("f", text, &environment(&[("SLUICE_WORKER__CALLS_MAX", "7")])).unwrap();
    assert_eq!((config.worker.concurrency, config.worker.calls_max), (5, 7));
    assert_eq!(config.log.level, "${x}");
    let config = parse("f", text, &environment(&[("N", "9")])).unwrap();
    assert_eq!(config.worker.concurrency, 9);
    let keyed = format!("{AZURE}api_key = \"${{K}}\"");
    let over = environment(&[("K", "12345"), ("SLUICE_DEPLOYMENTS__0__TIER", "2")]);
    let config = parse("f", &keyed, &over).unwrap();
    let deployment = &config.deployments[0];
    assert_eq!((deployment.api_key.as_ref().unwrap().expose(), deployment.tier), ("12345", 2));
    refused(
        "",
        &[("SLUICE_WORKER__CALLS", "1")],
        "the environment variable SLUICE_WORKER__CALLS: worker.calls is not a setting; did you mean worker.calls_max?",
    );
    refused(
        "",
        &[("SLUICE_WORKER__CALLS_MAX", "sk-canary")],
        "the environment variable SLUICE_WORKER__CALLS_MAX: worker.calls_max: expected u32",
    );
}

#[test]
fn providers_own_variables_make_a_deployment() {
    let config = parse("f", "", &environment(&[("OPENAI_API_KEY", "sk-canary")])).unwrap();
    assert_eq!(config.deployments[0].endpoint, "https://api.openai.com/v1");
    config.deployments_required().unwrap();
    let azure = [
        ("AZURE_OPENAI_ENDPOINT", "https://x.openai.azure.com"),
        ("AZURE_OPENAI_API_KEY", "sk-canary"),
        ("AZURE_OPENAI_DEPLOYMENT", "mine"),
    ];
    let config = parse("f", "", &environment(&azure)).unwrap();
    assert_eq!(config.deployments[0].model, "mine");
    let error = Config::default().deployments_required().unwrap_err().to_string();
    for part in ["OPENAI_API_KEY", "AZURE_OPENAI_ENDPOINT", "sluice demo"] {
        assert!(error.contains(part), "{error}");
    }
}

#[test]
fn secrets_are_never_shown() {
    let config = parse("f", "", &environment(&[("OPENAI_API_KEY", "sk-canary")])).unwrap();
    let shown = format!("{config:?} {}", config.redacted());
    assert!(shown.contains("***") && !shown.contains("canary"), "{shown}");
}

#[test]
fn the_example_has_every_setting() {
    let text = include_str!("../../../deploy/sluice.example.toml");
    let keys = environment(&[("AZURE_KEY_SWEDEN", "k"), ("AZURE_KEY_FRANCE", "k")]);
    let config = parse("deploy/sluice.example.toml", text, &keys).unwrap();
    assert!(config.deployments.len() >= 2);
    let defaults = serde_json::to_value(Config::default()).unwrap();
    for (section, value) in defaults.as_object().unwrap() {
        assert!(text.contains(section.as_str()), "{section} is missing");
        for key in value.as_object().into_iter().flat_map(|keys| keys.keys()) {
            assert!(text.contains(&format!("{key} ")), "{section}.{key} is missing");
        }
    }
    let deployment = serde_json::to_value(Deployment::default()).unwrap();
    for key in deployment.as_object().unwrap().keys() {
        assert!(text.contains(&format!("{key} ")), "deployments.{key} is missing");
    }
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in ".{0,200}", path in "[a-z.\\[\\]0-9=\"${}:\n-]{0,80}") {
        let _ = parse("f", &text, &BTreeMap::new());
        let _ = parse("f", &path, &BTreeMap::new());
    }
}
