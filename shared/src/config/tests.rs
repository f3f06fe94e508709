//! What is refused and how that reads, and what goes over what.

use super::*;
use proptest::prelude::*;
use std::borrow::Cow;

pub(super) fn environment(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

pub(super) fn parse(text: &str, pairs: &[(&str, &str)]) -> Result<Config, ConfigError> {
    load::read("sluice.toml", text, &environment(pairs))
}

fn refused(text: &str, pairs: &[(&str, &str)], expected: &str) {
    let error = parse(text, pairs).expect_err(text);
    assert_eq!(error.to_string(), expected, "{text}");
}

/// The file alone; `sluice.toml:` stands before what is expected.
fn check(text: &str, expected: &str) {
    refused(text, &[], &format!("sluice.toml:{expected}"));
}

pub(super) const AZURE: &str = "[[deployments]]\nname = \"a\"\nmodel = \"m\"\nprovider = \"azure\"\n\
    endpoint = \"https://a\"\ntokens_per_minute = 1000\n";

/// A legal deployment, with a line after it that is line 8.
pub(super) fn azure(line: &str) -> String {
    format!("{AZURE}api_key = \"k\"\n{line}\n")
}

#[test]
fn what_is_no_setting_is_named_with_the_nearest_that_is() {
    check(
        "listen = \"127.0.0.1:1\"\n\n[worker]\nconcurency = 3\n",
        "4: worker.concurency is not a setting; did you mean worker.concurrency?",
    );
    check("listn = \"x\"", "1: listn is not a setting; did you mean listen?");
    check("[log]\nog = 1", "2: log.og is not a setting; did you mean log.format?");
    check("[text]\ntext = 1", "2: text.text is not a setting; did you mean text.engine?");
    check("\n\"li`st.en\" = 1", "2: li`st.en is not a setting; did you mean listen?");
    check("log = { lvl = 1 }", "1: log.lvl is not a setting; did you mean log.level?");
    check(
        &azure("endpont = 1"),
        "8: deployments[0].endpont is not a setting; did you mean deployments[0].endpoint?",
    );
    check(
        "deployments = [\n  { nme = 1 },\n]",
        "2: deployments[0].nme is not a setting; did you mean deployments[0].name?",
    );
    check(
        &format!("{}[[schemas]]\nname = \"n\"\nfle = \"f\"", azure("")),
        "11: schemas[0].fle is not a setting; did you mean schemas[0].file?",
    );
}

#[test]
fn a_wrong_type_is_named_without_the_value() {
    for (text, expected) in [
        (
            "[worker]\ncalls_max = \"two\"",
            "2: worker.calls_max must be a whole number from 0 to 4294967295, not text",
        ),
        (
            "[limits]\npages_max = -1",
            "2: limits.pages_max must be a whole number from 0 to 4294967295",
        ),
        (
            "[limits]\nsize_bytes_max = 1.5",
            "2: limits.size_bytes_max must be a whole number from 0 on, not a fraction",
        ),
        ("migrate = 1", "1: migrate must be true or false, not a whole number"),
        ("listen = true", "1: listen must be text, not true or false"),
        ("listen = []", "1: listen must be text, not a list"),
        ("worker = 3", "1: worker must be a section, not a whole number"),
        ("worker = [3]", "1: worker must be a section, not a list"),
        ("deployments = [\n[]]", "2: deployments[0] must be a section, not a list"),
        ("deployments = 3", "1: deployments must be a list, not a whole number"),
        ("storage = 3", "1: storage must be text, not a whole number"),
        ("[text]\nengine = \"x\"", "2: text.engine must be hayro or pdf-extract"),
        ("[text]\nengine = 3", "2: text.engine must be text"),
        ("[log]\nformat = \"x\"", "2: log.format must be auto, human or json"),
        ("[auth]\nmode = \"x\"", "2: auth.mode must be none or keys"),
        ("[[deployments]]\nname = 'n'", "1: deployments[0].model is missing"),
        ("\n[[schemas]]\nname = 'n'", "2: schemas[0].file is missing"),
    ] {
        check(text, expected);
    }
    for (line, expected) in [
        (
            "limiter = 'x'",
            "8: deployments[0].limiter must be auto, window, fixed_window, bucket or ptu",
        ),
        (
            "limiter = 'windows'",
            "8: deployments[0].limiter must be auto, window, fixed_window, bucket or ptu; did you mean window?",
        ),
        ("weight = 'x'", "8: deployments[0].weight must be a number, not text"),
        (
            "mode = 'json'",
            "8: deployments[0].mode must be auto, json_schema, tool, json_object_schema, \
             json_object or prompt; did you mean json_object?",
        ),
        (
            "input_price_per_million = 'x'",
            "8: deployments[0].input_price_per_million must be a number, not text",
        ),
        (
            "input_price_per_million = nan",
            "8: deployments[0].input_price_per_million must be a finite number",
        ),
    ] {
        check(&azure(line), expected);
    }
    let text = AZURE.replace("azure", "x");
    check(&text, "4: deployments[0].provider must be azure, openai or compatible");
}

#[test]
fn what_is_not_toml_is_named_by_line() {
    for (text, expected) in [
        (
            "listen = \n",
            "1: this is not TOML: string values must be quoted, expected literal string",
        ),
        ("migrate = true\nmigrate = true", "2: this is not TOML: duplicate key"),
    ] {
        check(text, expected);
    }
}

#[test]
fn backends_are_named_by_their_addresses() {
    for (text, expected) in [
        (
            "storage = 's3://'",
            "storage: names no bucket: use dir:PATH or s3://BUCKET/PREFIX?endpoint=http://HOST:9000; keys belong into AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
        ),
        (
            "storage = 's3://key:canary@b'",
            "storage: names no bucket: use dir:PATH or s3://BUCKET/PREFIX?endpoint=http://HOST:9000; keys belong into AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
        ),
        (
            "storage = 's3://b/p?endpoint=h:1'",
            "storage: endpoint must start with http:// or https://",
        ),
        ("storage = 's3://b/p?path_style=yes'", "storage: path_style must be true or false"),
        (
            "storage = 's3://b/p?secret=canary'",
            "storage: secret is not an option: use endpoint, public_endpoint, region, path_style, checksums or unconditional",
        ),
        (
            "database = 'postgres:canary'",
            "database is not a database: use sqlite:PATH or postgres://USER:PASSWORD@HOST/DATABASE",
        ),
        (
            "queue = 'amqp://'",
            "queue is not a queue: use embedded or amqp://USER:PASSWORD@HOST:5672/VHOST",
        ),
        ("quota = 'redis://'", "quota is not a quota: use local or redis://HOST:6379"),
        (
            "storage = 'dir:'",
            "storage is not a storage: use dir:PATH or s3://BUCKET/PREFIX?endpoint=http://HOST:9000",
        ),
        (
            "database = 'x'",
            "database is not a database: use sqlite:PATH or postgres://USER:PASSWORD@HOST/DATABASE",
        ),
        (
            "queue = 'kafka'",
            "queue is not a queue: use embedded or amqp://USER:PASSWORD@HOST:5672/VHOST",
        ),
        (
            "queue = 'embedded:x'",
            "queue is not a queue: use embedded or amqp://USER:PASSWORD@HOST:5672/VHOST",
        ),
        ("quota = 'x'", "quota is not a quota: use local or redis://HOST:6379"),
        (
            "[auth]\nmode = 'keys'",
            "auth.mode keys is not part of this version yet: use none, on loopback",
        ),
    ] {
        let line = text.lines().count();
        check(text, &format!("{line}: {expected}"));
    }
    let config = parse("storage = 'dir:/b'\ndatabase = 'sqlite:/d'", &[]).unwrap();
    assert_eq!(config.storage, StorageAddress::Dir("/b".into()));
    assert_eq!(config.database, DatabaseAddress::Sqlite("/d".into()));
}

#[test]
fn addresses_are_shown_without_their_passwords() {
    let text = "storage = 's3://b/a/b/?endpoint=http://h:9/&public_endpoint=https://p/&region=eu&path_style&checksums=false'\n\
                database = 'postgres://u:canary@h/d?sslmode=require&password=canary'\n\
                queue = 'amqps://u:canary@a:1,b:2/v'\nquota = 'redis://:canary@h'";
    let shown = serde_json::to_value(parse(text, &[]).unwrap()).unwrap();
    assert_eq!(
        shown["storage"],
        "s3://b/a/b?endpoint=http://h:9&public_endpoint=https://p&region=eu&path_style=true&checksums=false"
    );
    assert_eq!(shown["database"], "postgres://u:***@h/d");
    assert_eq!(shown["queue"], "amqps://u:***@a:1,b:2/v");
    assert_eq!(shown["quota"], "redis://:***@h");
}

#[test]
fn impossible_values_are_named_with_the_remedy() {
    for (text, expected) in [
        ("[worker]\nlease_seconds = 0", "2: worker.lease_seconds is 0: it must be at least 1"),
        (
            "[worker]\nlease_seconds = 3601",
            "2: worker.lease_seconds is 3601: it must be at most 3600",
        ),
        ("[worker]\ncalls_max = 0", "2: worker.calls_max is 0: it must be at least 1"),
        (
            "[worker]\ncall_pauses_seconds = [0, 3601]",
            "2: worker.call_pauses_seconds[1] is 3601: it must be at most 3600",
        ),
        (
            "[worker]\ninteractive_reserved = 10001",
            "2: worker.interactive_reserved is 10001: it must be at most 10000",
        ),
        (
            "[limits]\nqueue_length_max = 0",
            "2: limits.queue_length_max is 0: it must be at least 1",
        ),
        (
            "listen = '0.0.0.0:80'",
            "1: listen is reachable from outside while auth.mode is none: listen on 127.0.0.1, or \
             where the network lets only the right callers through, set auth.allow_unauthenticated",
        ),
        ("listen = 'x'", "1: listen is not an address: write for example 127.0.0.1:8080"),
    ] {
        check(text, expected);
    }
    for (from, to, expected) in [
        ("name = \"a\"", "name = ''", "2: deployments[0].name is empty"),
        ("model = \"m\"", "model = ''", "3: deployments[0].model is empty"),
        (
            "https://a",
            "ftp://a",
            "5: deployments[0].endpoint must be a URL that starts with https:// or http://",
        ),
        ("= 1000", "= 0", "6: deployments[0].tokens_per_minute must be at least 1"),
        (
            "api_key = \"k\"",
            "",
            "1: deployments[0].api_key is missing: write for example \"${AZURE_KEY}\", or \
             auth = \"entra\" where keys are switched off",
        ),
        ("\n\n", "\ndeployment = ''", "8: deployments[0].deployment is empty"),
        (
            "\n\n",
            "\nrequests_per_minute = 0",
            "8: deployments[0].requests_per_minute must be at least 1",
        ),
        ("\n\n", "\nconcurrency_max = 0", "8: deployments[0].concurrency_max must be at least 1"),
        ("\n\n", "\nweight = 0", "8: deployments[0].weight must be a number above 0"),
        ("\n\n", "\nweight = -1.5", "8: deployments[0].weight must be a number above 0"),
        ("\n\n", "\noutput_weight = 0", "8: deployments[0].output_weight must be a number above 0"),
        (
            "\n\n",
            "\noutput_price_per_million = -1.0",
            "8: deployments[0].output_price_per_million must be a number that is not negative",
        ),
    ] {
        check(&azure("").replacen(from, to, 1), expected);
    }
    check(&azure("").repeat(2), "10: deployments[1].name is the name of another deployment, too");
    check(
        "[worker]\ncalls_max = 0\nlease_seconds = 0",
        "2: worker.calls_max is 0: it must be at least 1\n\
         sluice.toml:3: worker.lease_seconds is 0: it must be at least 1",
    );
}

#[test]
fn variables_are_put_into_text() {
    let pairs = [("A", "one"), ("B", ""), ("C", "${A}")];
    let check = |text: &str, expected: Result<&str, &str>| {
        let put = interpolate::interpolate(text, &environment(&pairs));
        assert_eq!(put.as_deref().map_err(String::as_str), expected, "{text}");
    };
    check("no $A {A} $", Ok("no $A {A} $"));
    check("x${A}y${A}", Ok("xoneyone"));
    check("${NO:-two}${NO:-}${B:-three}", Ok("twothree"));
    check("${C}", Ok("${A}"));
    check("$${A} $$${A}", Ok("${A} $${A}"));
    check("${NO:-a:-b}", Ok("a:-b"));
    let unset =
        "needs the environment variable NO, which is not set (or give a default: ${NO:-...})";
    check("${NO}", Err(unset));
    check("${NO:x}", Err(NAMELESS));
    check("pass${}word", Err(NAMELESS));
    check("${1A}", Err(NAMELESS));
    check("${A", Err("has a ${ without a }; write $${ for the characters themselves"));
    super::tests::check(
        &format!("{AZURE}api_key = \"${{NO}}\""),
        &format!("7: deployments[0].api_key {unset}"),
    );
}

#[test]
fn files_are_put_into_text() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path.display().to_string()
    };
    let put = |text: &str| {
        interpolate::interpolate(text, &environment(&[("A", "one")])).map(Cow::into_owned)
    };
    // As `kubectl create secret` writes it, and as an editor does.
    let (bare, lined) = (file("bare", b"pass word"), file("lined", b"pass word\r\n"));
    assert_eq!(put(&format!("x${{file:{bare}}}y")).unwrap(), "xpass wordy");
    assert_eq!(put(&format!("${{A}}${{file:{lined}}}")).unwrap(), "onepass word");
    // What is in a file is no template, and may have line ends within.
    let nested = file("nested", b"${A}\nb\n");
    assert_eq!(put(&format!("${{file:{nested}}}")).unwrap(), "${A}\nb");
    assert_eq!(put(&format!("$${{file:{bare}}}")).unwrap(), format!("${{file:{bare}}}"));
    let refused = |text: &str, expected: &str| {
        let error = put(text).expect_err(text);
        assert!(error.contains(expected) && !error.contains("pass word"), "{error}");
    };
    let gone = folder.path().join("gone").display().to_string();
    refused(&format!("${{file:{gone}}}"), &format!("needs the file {gone}, which cannot be read"));
    refused(&format!("${{file:{}}}", file("empty", b"\n")), "which is empty");
    refused(&format!("${{file:{}}}", file("binary", b"pass word\xff")), "which is not UTF-8");
    refused(&format!("${{file:{}}}", file("long", &vec![b'a'; (1 << 20) + 1])), "longer than");
    refused("${file:secret}", "without an absolute path");
    refused("${file:}", "without an absolute path");
    // It is a secret as one of a variable is: no message repeats it, and it may be a number.
    let text = format!("{AZURE}api_key = \"k\"\ntier = \"${{file:{bare}}}\"\n");
    let error = parse(&text, &[]).unwrap_err().to_string();
    assert!(error.starts_with("sluice.toml:8: deployments[0].tier"), "{error}");
    assert!(!error.contains("pass word"), "{error}");
    let text = format!("[worker]\nconcurrency = \"${{file:{}}}\"", file("number", b"7\n"));
    assert_eq!(parse(&text, &[]).unwrap().worker.concurrency, 7);
}

const NAMELESS: &str =
    "has a ${...} with no variable's name in it; write $${ for the characters themselves";

#[test]
fn the_environment_goes_over_the_file() {
    let text = "[worker]\nconcurrency = \"${N:-5}\"\ncalls_max = 3\n[log]\nlevel = \"$${x}\"\n";
    let config = parse(text, &[("SLUICE_WORKER__CALLS_MAX", "7"), ("SLUICE_MIGRATE", "false")]);
    let config = config.unwrap();
    assert_eq!((config.worker.concurrency, config.worker.calls_max), (5, 7));
    assert_eq!((config.log.level.as_str(), config.migrate), ("${x}", false));
    assert_eq!(parse(text, &[("N", "9")]).unwrap().worker.concurrency, 9);
    let text = azure("").replace("\"k\"", "\"${K}\"");
    let config = parse(
        &text,
        &[
            ("K", "12345"),
            ("SLUICE_DEPLOYMENTS__0__TIER", "2"),
            ("SLUICE_DEPLOYMENTS__0__INPUT_PRICE_PER_MILLION", "3"),
            ("SLUICE_DEPLOYMENTS__0__MODEL", "4"),
        ],
    );
    let deployment = config.unwrap().deployments.remove(0);
    assert_eq!(deployment.api_key.as_ref().unwrap().expose(), "12345");
    assert_eq!((deployment.tier, deployment.input_price_per_million), (2, Some(3.0)));
    assert_eq!(deployment.model, "4");
    let reserved = ["CONFIG", "URL", "API_KEY", "MASTER_KEY", "LOG", "KILL_AT"];
    let reserved = reserved.map(|name| format!("SLUICE_{name}"));
    parse("", &reserved.each_ref().map(|name| (name.as_str(), "x"))).unwrap();
}

#[test]
fn who_listens_without_keys_beyond_loopback_says_so() {
    let open = "listen = \"0.0.0.0:8080\"\n[auth]\nallow_unauthenticated = true";
    let config = parse(open, &[]).unwrap();
    assert_eq!(config.warnings.len(), 1, "{:?}", config.warnings);
    assert!(config.warnings[0].contains("may do everything"), "{:?}", config.warnings);
    assert!(parse(&open.replace("true", "false"), &[]).is_err());
}

#[test]
fn what_kubernetes_puts_into_a_pod_is_a_warning() {
    let host = ("SLUICE_UPLOADER_SERVICE_HOST", "10.0.0.7");
    let port = ("SLUICE_UPLOADER_PORT", "tcp://10.0.0.7:8080");
    let config = parse("", &[host, port, ("SLUICE_LISTEN", "127.0.0.1:9")]).unwrap();
    assert_eq!(config.listen, "127.0.0.1:9");
    assert_eq!(config.warnings.len(), 2, "{:?}", config.warnings);
    assert!(config.warnings.iter().all(|warning| !warning.contains("10.0.0.7")));
}

#[test]
fn what_is_wrong_in_the_environment_is_named_by_variable() {
    for (name, expected) in [
        ("WORKER__CALLS", "worker.calls is not a setting; did you mean worker.calls_max?"),
        ("WORKR__CALLS_MAX", "workr is not a setting; did you mean worker?"),
        ("WORKER__CALLS_MAX", "worker.calls_max must be a whole number from 0 to 4294967295"),
        ("MIGRATE", "migrate must be true or false"),
        ("WORKER", "worker must be a section"),
        ("LISTEN__X", "listen must be text, not a section"),
        ("LOG__LEVEL__X", "there is no log.level.x to override"),
        ("QUEUE", "queue is not a queue: use embedded or amqp://USER:PASSWORD@HOST:5672/VHOST"),
        ("AUTH__MODE", "auth.mode must be none or keys"),
        ("DEPLOYMENTS__0__API_KEY", "there is no deployments[0].api_key to override"),
    ] {
        let (name, text) = (format!("SLUICE_{name}"), "[log]\nlevel = 'info'");
        let expected = format!("the environment variable {name}: {expected}");
        refused(text, &[(&name, "sk-canary")], &expected);
    }
    refused(
        &azure(""),
        &[("SLUICE_DEPLOYMENTS__1__API_KEY", "sk-canary")],
        "the environment variable SLUICE_DEPLOYMENTS__1__API_KEY: there is no \
         deployments[1].api_key to override",
    );
    refused(
        "[worker]\nlease_seconds = 5",
        &[("SLUICE_WORKER__LEASE_SECONDS", "777000")],
        "the environment variable SLUICE_WORKER__LEASE_SECONDS: worker.lease_seconds must be at \
         most 3600",
    );
    for (text, expected) in [
        (
            "storage = '${L}'",
            "1: storage is not a storage: use dir:PATH or s3://BUCKET/PREFIX?endpoint=http://HOST:9000",
        ),
        ("\nworker.lease_seconds = '${L}'", "2: worker.lease_seconds must be at most 3600"),
    ] {
        refused(text, &[("L", "777000")], &format!("sluice.toml:{expected}"));
    }
    refused(
        "",
        &[("OPENAI_API_KEY", "sk-canary"), ("OPENAI_BASE_URL", "ftp://canary")],
        "the environment variable OPENAI_BASE_URL: deployments[0].endpoint must be a URL that \
         starts with https:// or http://",
    );
}

#[test]
fn providers_own_variables_make_a_deployment() {
    let azure = [
        ("AZURE_OPENAI_ENDPOINT", "https://x.openai.azure.com"),
        ("AZURE_OPENAI_API_KEY", "sk-canary"),
        ("AZURE_OPENAI_DEPLOYMENT", "mine"),
    ];
    let base = ("OPENAI_BASE_URL", "http://h/v1");
    let key = ("OPENAI_API_KEY", "sk-canary");
    let model = ("OPENAI_MODEL", "m");
    let both = [&azure[..], &[key]].concat();
    let named = [&azure[..], &[model]].concat();
    for (pairs, expected) in [
        (&[key][..], ["openai", "gpt-4o", "openai", "https://api.openai.com/v1"]),
        (&[key, base, model], ["openai", "m", "compatible", "http://h/v1"]),
        (&azure, ["azure", "mine", "azure", "https://x.openai.azure.com"]),
        (&named, ["azure", "m", "azure", "https://x.openai.azure.com"]),
        (&both, ["openai", "gpt-4o", "openai", "https://api.openai.com/v1"]),
    ] {
        let config = parse("", pairs).unwrap();
        config.deployments_required().unwrap();
        let shown = &config.redacted()["deployments"][0];
        let keys = ["name", "model", "provider", "endpoint"];
        assert_eq!(keys.map(|key| shown[key].as_str().unwrap_or_default()), expected);
        // No limit is invented.
        assert_eq!(shown["tokens_per_minute"], serde_json::Value::Null);
        let limit = ("OPENAI_TOKENS_PER_MINUTE", "7000");
        let limited = parse("", &[pairs, &[limit]].concat()).unwrap();
        assert_eq!(limited.redacted()["deployments"][0]["tokens_per_minute"], 7000);
    }
    for (value, rule) in [
        ("30k", " must be a whole number of at least 1, such as 30000"),
        ("0", ": deployments[0].tokens_per_minute must be at least 1"),
    ] {
        let expected = format!("the environment variable OPENAI_TOKENS_PER_MINUTE{rule}");
        refused("", &[key, ("OPENAI_TOKENS_PER_MINUTE", value)], &expected);
    }
    assert!(parse("", &azure[..2]).unwrap().deployments.is_empty());
    // The portal's Target URI names the deployment, too.
    let uri = "https://x.openai.azure.com/openai/deployments/mine/chat/completions?api-version=1";
    let pasted = [("AZURE_OPENAI_ENDPOINT", uri), azure[1]];
    assert_eq!(parse("", &pasted).unwrap().deployments[0].model, "mine");
    refused(
        "",
        &[("OPENAI_BASE_URL", uri), key],
        "the environment variable OPENAI_BASE_URL: deployments[0].endpoint is Azure's: set \
         provider = \"azure\" (in the environment: AZURE_OPENAI_ENDPOINT, AZURE_OPENAI_API_KEY and \
         AZURE_OPENAI_DEPLOYMENT)",
    );
    assert_eq!(parse(&self::azure(""), &both).unwrap().deployments[0].name, "a");
    assert_eq!(
        Config::default().deployments_required().unwrap_err().to_string(),
        "no model deployment is configured: set OPENAI_API_KEY, or AZURE_OPENAI_ENDPOINT, \
         AZURE_OPENAI_API_KEY and AZURE_OPENAI_DEPLOYMENT, or write [[deployments]] into \
         sluice.toml, where auth = \"entra\" needs no key; `sluice demo` needs none"
    );
}

#[test]
fn requests_follow_from_tokens() {
    let requests = |tokens_per_minute, requests_per_minute| {
        DeploymentConfig { tokens_per_minute, requests_per_minute, ..DeploymentConfig::default() }
            .requests()
    };
    assert_eq!(requests(Some(60_000), None), Some(360));
    assert_eq!(requests(Some(60_000), Some(7)), Some(7));
    assert_eq!(requests(Some(1), None), Some(1));
    assert_eq!(requests(Some(u64::MAX / 5), None), Some(u64::MAX / 1000));
    assert_eq!((requests(None, None), requests(None, Some(0))), (None, Some(1)));
}

#[test]
fn files_are_found_and_schemas_lie_beside_them() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s.toml");
    let at = path.display();
    let none = BTreeMap::new();
    let error = load(Some(&path), &none).unwrap_err().to_string();
    assert_eq!(error, format!("{at}: No such file or directory (os error 2)"));
    std::fs::write(&path, "[[schemas]]\nname = 'n'\nfile = 's/n.json'").unwrap();
    let config = load(Some(&path), &none).unwrap();
    assert_eq!(config.schemas[0].file, folder.path().join("s/n.json"));
    std::fs::write(&path, b"\xff").unwrap();
    let error = load(Some(&path), &none).unwrap_err().to_string();
    assert_eq!(error, format!("{at}: is not UTF-8 text"));
    std::fs::write(&path, " ".repeat(1_048_577)).unwrap();
    let error = load(Some(&path), &none).unwrap_err().to_string();
    assert_eq!(error, format!("{at}: is longer than 1048576 bytes"));
    // The tests' own folder has no sluice.toml.
    assert_eq!(load(None, &none).unwrap().redacted(), Config::default().redacted());
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(
        text in ".{0,200}",
        close in "[a-z.\\[\\]0-9=\"${}:\n-]{0,80}",
        name in "SLUICE_[A-Z_0-9]{0,20}",
    ) {
        let pairs = [(name.as_str(), text.as_str())];
        for file in [&text, &close, &azure(&close)] {
            let _ = parse(file, &[]);
            let _ = parse(file, &pairs);
        }
    }

    #[test]
    fn no_legal_toml_makes_it_panic(
        key in prop::sample::select(vec!["listen", "worker", "worker.calls_max", "log", "deployments",
            "deployments.name", "schemas", "'a.b[0]'", "'['", "''"]),
        value in prop::sample::select(vec!["1", "-1", "nan", "1e400", "true", "'x'", "'${A}'", "[]",
            "[[]]", "[{}]", "[1, {}]", "{}", "{a=1}", "1979-05-27", "9223372036854775807"]),
    ) {
        let _ = parse(&format!("{key} = {value}"), &[("A", "1")]);
    }
}

#[test]
fn models_are_there_and_their_chains_end() {
    let strategies = "balanced, least-busy, cheapest, lowest-latency, round-robin or weighted";
    for (lines, expected) in [
        (
            "[[models]]\nname = 'm'\nstrategy = 'least-bussy'",
            format!("10: models[0].strategy must be {strategies}; did you mean least-busy?"),
        ),
        (
            "[[models]]\nname = 'm'\nstrategy = 'x'",
            format!("10: models[0].strategy must be {strategies}"),
        ),
        (
            "[[models]]\nname = 'm'\nfalback = []",
            "10: models[0].falback is not a setting; did you mean models[0].fallback?".to_owned(),
        ),
        (
            "models = 3",
            "8: deployments[0].models is not a setting; did you mean \
            deployments[0].model?"
                .to_owned(),
        ),
        ("[[models]]", "8: models[0].name is missing".to_owned()),
        ("[[models]]\nname = ''", "9: models[0].name is empty".to_owned()),
        (
            "[[models]]\nname = 'n'",
            "9: models[0].name is served by no deployment; did you mean \"m\"?".to_owned(),
        ),
        (
            "[[models]]\nname = 'm'\n[[models]]\nname = 'm'",
            "11: models[1].name is the name of another model, too".to_owned(),
        ),
        (
            "[[models]]\nname = 'm'\nfallback = ['m']",
            "10: models[0].fallback[0] is the model itself".to_owned(),
        ),
        (
            "[[models]]\nname = 'm'\nfallback = ['mm']",
            "10: models[0].fallback[0] is served by no deployment; did you mean \"m\"?".to_owned(),
        ),
    ] {
        check(&azure(lines), &expected);
    }
    let other = azure("").replace("\"a\"", "\"b\"").replace("\"m\"", "\"n\"");
    let models = "[[models]]\nname = 'm'\nfallback = ['n']\n[[models]]\nname = 'n'\n";
    let text = format!("{}{other}{models}", azure(""));
    check(
        &format!("{text}fallback = ['m']"),
        "19: models[0].fallback[0] leads back to the model: m -> n -> m\n\
         sluice.toml:22: models[1].fallback[0] leads back to the model: n -> m -> n",
    );
    let config = parse(&text, &[]).unwrap();
    assert_eq!(config.fallback("m"), ["n"]);
    assert!(config.fallback("n").is_empty());
    assert_eq!(config.models[0].strategy, pool::Strategy::Balanced);
}
