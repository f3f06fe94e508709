//! What is shown of a configuration: never a secret, and every setting in the example.

use super::tests::{AZURE, azure, environment, parse};
use super::*;
use serde_json::json;
use std::collections::BTreeSet;

#[test]
fn secrets_are_never_shown() {
    let text = azure("").replacen("https://a", "https://u@canary:canary/canary@h/v1?key=canary", 1);
    let text = format!("[auth]\nmaster_key = \"${{SLUICE_MASTER_KEY}}\"\n{text}");
    let pairs = [("SLUICE_MASTER_KEY", "canary"), ("SLUICE_DEPLOYMENTS__0__API_KEY", "canary")];
    let config = parse(&text, &pairs).unwrap();
    let secret = config.auth.master_key.as_ref().unwrap();
    assert_eq!(secret.expose(), "canary");
    let shown = format!("{config:?} {config:#?} {} {secret} {secret:?}", config.redacted());
    assert!(shown.contains("***") && !shown.contains("canary"), "{shown}");
    assert_eq!(config.redacted()["deployments"][0]["endpoint"], "https://***@h/v1?***");
    let auth = json!({"mode": "none", "master_key": "***", "allow_unauthenticated": false});
    assert_eq!(config.redacted()["auth"], auth);
}

#[test]
fn secrets_are_in_no_error() {
    let key = |value: &str| format!("{AZURE}api_key = {value}\n");
    for text in [
        key("777000"),
        key("777000.5"),
        key("sk-777000"),
        key("'777000"),
        key("['777000']"),
        key("{ a = '777000' }"),
        key("1979-05-27T07:32:00.777000Z\nx = 1"),
        key("'${777000}'"),
        key("'a${777000'"),
        key("'777000'\ntier = 'x'"),
        "auth = '777000'".to_owned(),
        "deployments = '777000'".to_owned(),
        "deployments = ['777000']".to_owned(),
        "[auth]\nmode = '777000'".to_owned(),
        "[auth]\nmode = '777000, expected `777000`'".to_owned(),
        "[auth]\nmaster_key = 777000".to_owned(),
        "storage = 's3://777000@b'".to_owned(),
        "listen = 'http://u:777000@h'".to_owned(),
        azure("").replace("https://a", "ftp://u:777000@a"),
    ] {
        let error = parse(&text, &[]).expect_err(&text).to_string();
        assert!(!error.contains("777000"), "{error}");
    }
    // Whatever the setting, what a variable holds is not repeated.
    let settings = serde_json::to_value(Config::default()).unwrap();
    for (section, keys) in settings.as_object().unwrap() {
        let keys = keys.as_object().into_iter().flat_map(|keys| keys.keys());
        let paths = keys.map(|key| format!("{section}__{key}")).chain([section.clone()]);
        for path in paths {
            for value in ["canary", "-777000", "777000777000777000777000", "777000.5"] {
                let name = format!("SLUICE_{}", path.to_uppercase());
                let Err(error) = parse("", &[(&name, value)]) else { continue };
                let error = error.to_string();
                assert!(error.contains(&name), "{error}");
                assert!(!error.contains("canary") && !error.contains("777000"), "{error}");
            }
        }
    }
}

/// Every `section.key` of a value; elements of lists count as one.
fn keys(value: &serde_json::Value, path: &str, found: &mut BTreeSet<String>) {
    match value {
        serde_json::Value::Object(entries) => {
            entries.iter().for_each(|(key, value)| keys(value, &format!("{path}.{key}"), found));
        }
        serde_json::Value::Array(items) if items.iter().any(serde_json::Value::is_object) => {
            items.iter().for_each(|item| keys(item, path, found));
        }
        _ => drop(found.insert(path.to_owned())),
    }
}

#[test]
fn the_example_has_every_setting_and_its_default() {
    let text = include_str!("../../../deploy/sluice.example.toml");
    let pairs = [("AZURE_KEY_SWEDEN", "k"), ("AZURE_KEY_FRANCE", "k"), ("SLUICE_MASTER_KEY", "k")];
    let read = |text: &str| load::read("deploy/sluice.example.toml", text, &environment(&pairs));
    let mut defaults = Config::default().redacted();
    let mut shown = read(text).unwrap().redacted();
    for json in [&mut defaults, &mut shown] {
        // They depend on the machine.
        json["worker"]["concurrency"].take();
        json["worker"]["interactive_reserved"].take();
        json["worker"]["text_children"].take();
        json["deployments"].take();
    }
    assert_eq!(shown, defaults);
    // What is commented out is legal as well, and with it every setting is there, with a comment.
    let settings = |line: &&str| line.contains(" = ") || line.contains("[[");
    let lines = text.lines().skip(3).map(|line| line.strip_prefix("# ").unwrap_or(line));
    let whole: String = lines.clone().map(|line| format!("{line}\n")).collect();
    let config = read(&whole).unwrap();
    let (mut all, mut given) = (BTreeSet::new(), BTreeSet::new());
    keys(&config.redacted(), "", &mut all);
    let given_values = toml_edit::de::from_str::<serde_json::Value>(&whole).unwrap();
    keys(&given_values, "", &mut given);
    assert_eq!(given, all);
    let least = whole.split("the least that one needs").next().unwrap_or_default();
    for line in least.lines().filter(settings) {
        let bare = ["[[deployments]]", "[limits]"].contains(&line);
        assert!(bare || line.contains(" # "), "{line} has no comment");
    }
}
