//! Deployments without keys: each credential gives tokens, tokens are renewed in time, and where there
//! is none documents wait. No token, secret or assertion is ever shown.

use crate::{
    harness::{Place, fast, fixture, id, letter, run, until},
    proxy::{Proxy, Wire},
};
use serde_json::{Value, json};
use simulator::{DeploymentConfig, EntraConfig};
use std::{os::unix::fs::PermissionsExt, path::Path};

const SCOPE: &str = "https://cognitiveservices.azure.com/.default";
const SECRET: &str = "canary-secret~+/=";
const ASSERTION: &str = "canary-assertion";
const HEADER: &str = "canary-header";

/// What every token of the simulation begins with.
const TOKEN: &str = "entra-token-";

fn keyless(name: &str) -> DeploymentConfig {
    DeploymentConfig { entra_scope: Some(SCOPE.to_owned()), ..fast(name) }
}

/// All sources issue tokens.
fn entra() -> EntraConfig {
    EntraConfig {
        client_secret: Some(SECRET.to_owned()),
        federated_token: Some(ASSERTION.to_owned()),
        identity_header: Some(HEADER.to_owned()),
        machine: true,
        ..EntraConfig::default()
    }
}

async fn place(entra: EntraConfig) -> Place {
    Place::with_tokens(vec![keyless("sweden")], entra).await
}

/// The application's names, and where it gets tokens.
fn application(authority: &str) -> Vec<(&'static str, String)> {
    let EntraConfig { tenant, client_id, .. } = EntraConfig::default();
    vec![
        ("AZURE_TENANT_ID", tenant),
        ("AZURE_CLIENT_ID", client_id),
        ("AZURE_AUTHORITY_HOST", authority.to_owned()),
    ]
}

/// The application's names with its secret.
fn with_secret(authority: &str) -> Vec<(&'static str, String)> {
    let mut variables = application(authority);
    variables.push(("AZURE_CLIENT_SECRET", SECRET.to_owned()));
    variables
}

async fn start(place: &Place, variables: &[(&'static str, String)]) -> crate::harness::Process {
    let mut all: Vec<(&str, &str)> =
        variables.iter().map(|(name, value)| (*name, &**value)).collect();
    all.push(("SLUICE_LOG", "trace"));
    place.start_with("up", &all).await
}

/// Nothing of what must not be shown is in a text.
fn clean(what: &str, text: &str) {
    for secret in [TOKEN, SECRET, ASSERTION, HEADER, "canary-secret~%2B%2F%3D"] {
        assert!(!text.contains(secret), "{what} shows {secret}");
    }
}

/// Documents succeed with these variables, and nothing secret is shown. Gives what
/// `sluice deployments check` prints.
async fn works(place: &Place, variables: Vec<(&'static str, String)>) -> Value {
    let up = start(place, &variables).await;
    for number in 0..3 {
        let document = place.upload("a.txt", "generic", letter(number)).await;
        place.extraction(&document).await;
        clean(
            "a document",
            &place.get(&format!("/v1/documents/{}", id(&document))).await.to_string(),
        );
    }
    let tokens = place.tokens().await;
    assert_eq!(tokens, json!({ "issued": 1, "early": 0, "refused": 0, "denied_calls": 0 }));
    clean("the list of deployments", &place.get("/v1/deployments").await.to_string());
    assert!(up.terminate().await.success());
    let log = place.log();
    assert!(log.contains("\"level\":\"TRACE\""), "nothing was logged at trace level");
    clean("the log", &log);
    let variables: Vec<_> = variables.iter().map(|(name, value)| (*name, &**value)).collect();
    let arguments = ["--config", "sluice.toml", "deployments", "check", "-o", "json"];
    let (code, out, err) = run(&arguments, place.folder.path(), &variables).await;
    assert_eq!(code, 0, "{out}{err}");
    clean("the check", &format!("{out}{err}"));
    let checked: Value = serde_json::from_str(&out).unwrap();
    checked[0].clone()
}

#[tokio::test]
async fn an_application_proves_itself_by_its_secret() {
    let place = place(entra()).await;
    let checked = works(&place, with_secret(&place.simulation.url())).await;
    let credential = checked["credential"].as_str().unwrap();
    assert!(credential.starts_with("AZURE_CLIENT_SECRET of application"), "{checked}");
}

#[tokio::test]
async fn an_application_proves_itself_by_a_token_file_that_is_renewed() {
    let place = place(EntraConfig { token_seconds: 4, ..entra() }).await;
    let file = place.folder.path().join("federated");
    std::fs::write(&file, "stale").unwrap();
    let mut variables = application(&place.simulation.url());
    variables.push(("AZURE_FEDERATED_TOKEN_FILE", file.display().to_string()));
    let _up = start(&place, &variables).await;
    let document = place.upload("a.txt", "generic", letter(1)).await;
    let waiting = waits(&place, &document).await;
    assert!(
        waiting.contains("AADSTS700213") && waiting.contains("federated credential"),
        "{waiting}"
    );
    // Whoever writes the file replaces it; nothing is started anew.
    std::fs::write(&file, format!("{ASSERTION}\n")).unwrap();
    place.extraction(&document).await;
    // Wrong again: a refresh finds out before any call does.
    std::fs::remove_file(&file).unwrap();
    until("the refresh fails", async || {
        place.log().contains("the token cannot be refreshed").then_some(())
    })
    .await;
    assert!(place.log().contains("AZURE_FEDERATED_TOKEN_FILE cannot be read"));
    clean("the log", &place.log());
}

#[tokio::test]
async fn a_machine_has_an_identity() {
    let place = place(entra()).await;
    let variables = vec![("AZURE_POD_IDENTITY_AUTHORITY_HOST", place.simulation.url())];
    let checked = works(&place, variables).await;
    assert_eq!(checked["credential"], "the system-assigned managed identity of this machine");
}

#[tokio::test]
async fn a_machine_has_an_identity_of_this_name() {
    let place = place(entra()).await;
    let client_id = EntraConfig::default().client_id;
    let variables = vec![
        ("AZURE_POD_IDENTITY_AUTHORITY_HOST", place.simulation.url()),
        ("AZURE_CLIENT_ID", client_id.clone()),
    ];
    let checked = works(&place, variables).await;
    assert_eq!(checked["credential"], format!("the managed identity {client_id} of this machine"));
}

#[tokio::test]
async fn an_app_service_has_an_identity() {
    let place = place(entra()).await;
    let endpoint = format!("{}/msi/token", place.simulation.url());
    let variables = vec![("IDENTITY_ENDPOINT", endpoint), ("IDENTITY_HEADER", HEADER.to_owned())];
    let checked = works(&place, variables).await;
    let expected = "the system-assigned managed identity at IDENTITY_ENDPOINT";
    assert_eq!(checked["credential"], expected);
}

/// Puts an `az` into a folder, and gives a PATH with only that before what a shell needs.
fn az(folder: &Path, script: &str) -> String {
    let bin = folder.join("bin");
    std::fs::create_dir_all(&bin).unwrap();
    let file = bin.join("az");
    std::fs::write(&file, format!("#!/bin/sh\n{script}\n")).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
    format!("{}:/usr/bin:/bin", bin.display())
}

#[tokio::test]
async fn a_developer_is_logged_in_with_the_azure_cli() {
    let place = place(entra()).await;
    // The token that this account has; `az` only says it.
    let token_url = format!("{}/metadata/identity/oauth2/token", place.simulation.url());
    let query = [("api-version", "1"), ("resource", "https://cognitiveservices.azure.com")];
    let request = place.http.get(token_url).header("metadata", "true").query(&query);
    let issued: Value = request.send().await.unwrap().json().await.unwrap();
    let expires_on: u64 = issued["expires_on"].as_str().unwrap().parse().unwrap();
    let token = json!({
        "accessToken": issued["access_token"], "expiresOn": "2026-01-01 00:00:00.000000",
        "expires_on": expires_on, "subscription": "s", "tenant": "t", "tokenType": "Bearer",
    });
    let script = format!(
        "case \"$*\" in 'account get-access-token --output json --scope {SCOPE}') ;; \
         *) echo \"ERROR: unrecognized arguments: $*\" >&2; exit 2 ;; esac\necho '{token}'"
    );
    let path = az(place.folder.path(), &script);
    // Something answers in place of a metadata service, as in other clouds and behind some proxies.
    let other = Proxy::start("127.0.0.1:1").await;
    other.set(Wire::Unavailable);
    let nobody = ("AZURE_POD_IDENTITY_AUTHORITY_HOST", format!("http://{}", other.address));
    let checked = works(&place, vec![nobody, ("PATH", path)]).await;
    assert_eq!(checked["credential"], "the account of the Azure CLI");
}

/// Waits until a document says that it waits for an outage, and gives the cause.
async fn waits(place: &Place, document: &Value) -> String {
    let path = format!("/v1/documents/{}", id(document));
    until("it says why it waits", async || {
        let document = place.get(&path).await;
        let waiting = &document["waiting"];
        let is_outage = waiting["reason"] == "outage" && waiting["message"].is_string();
        is_outage.then(|| waiting["message"].as_str().unwrap_or_default().to_owned())
    })
    .await
}

#[tokio::test]
async fn a_wrong_secret_is_an_outage_that_names_the_remedy() {
    let place = place(EntraConfig { client_secret: Some("another".to_owned()), ..entra() }).await;
    let variables = with_secret(&place.simulation.url());
    let _up = start(&place, &variables).await;
    let document = place.upload("a.txt", "generic", letter(1)).await;
    let message = waits(&place, &document).await;
    assert!(
        message.contains("AADSTS7000215") && message.contains("AZURE_CLIENT_SECRET"),
        "{message}"
    );
    let list = until("the alarm is raised", async || {
        let list = place.get("/v1/deployments").await;
        (list["data"][0]["state"] == "denied").then_some(list)
    })
    .await;
    clean("the list of deployments", &list.to_string());
    clean("the cause", &message);
    clean("the log", &place.log());
    let variables: Vec<_> = variables.iter().map(|(name, value)| (*name, &**value)).collect();
    let arguments = ["--config", "sluice.toml", "deployments", "check"];
    let (code, out, err) = run(&arguments, place.folder.path(), &variables).await;
    assert_eq!(code, 2, "{out}{err}");
    assert!(out.contains("AADSTS7000215"), "{out}");
    clean("the check", &format!("{out}{err}"));
}

#[tokio::test]
async fn where_there_is_no_credential_each_way_to_one_is_named() {
    let place = place(entra()).await;
    let path = az(
        place.folder.path(),
        "echo \"ERROR: Please run 'az login' to setup account.\" >&2; exit 1",
    );
    let nobody = ("AZURE_POD_IDENTITY_AUTHORITY_HOST", "http://127.0.0.1:1".to_owned());
    let check = async |path: &str, parts: &[&str]| {
        let variables = [(nobody.0, &*nobody.1), ("PATH", path)];
        let arguments = ["--config", "sluice.toml", "deployments", "check"];
        let (code, out, err) = run(&arguments, place.folder.path(), &variables).await;
        assert_eq!(code, 2, "{out}{err}");
        parts.iter().for_each(|part| assert!(out.contains(part), "{part}: {out}"));
    };
    check(&path, &["log in with `az login`", "no metadata service answers"]).await;
    let nowhere = place.folder.path().display().to_string();
    check(&nowhere, &["`az` is not in the PATH", "AZURE_FEDERATED_TOKEN_FILE"]).await;
}

#[tokio::test]
async fn half_of_a_credential_is_refused_at_the_start() {
    let place = place(entra()).await;
    let variables = [("AZURE_CLIENT_SECRET", SECRET), ("AZURE_CLIENT_ID", "c")];
    for command in [&["worker"][..], &["deployments", "check"]] {
        let mut arguments = vec!["--config", "sluice.toml"];
        arguments.extend(command);
        let (code, out, err) = run(&arguments, place.folder.path(), &variables).await;
        assert_eq!(code, 2, "{command:?}: {out}{err}");
        assert!(format!("{out}{err}").contains("AZURE_TENANT_ID"), "{command:?}: {out}{err}");
    }
}

#[tokio::test]
async fn a_token_is_refreshed_before_it_expires() {
    let place = place(EntraConfig { token_seconds: 6, ..entra() }).await;
    let _up = start(&place, &with_secret(&place.simulation.url())).await;
    let document = place.upload("a.txt", "generic", letter(1)).await;
    place.extraction(&document).await;
    // Nobody calls, and still there is a token.
    until("there were three tokens", async || {
        (place.tokens().await["issued"].as_u64() >= Some(3)).then_some(())
    })
    .await;
    let document = place.upload("a.txt", "generic", letter(2)).await;
    place.extraction(&document).await;
    let tokens = place.tokens().await;
    let issued = tokens["issued"].as_u64().unwrap();
    let expected =
        json!({ "issued": issued, "early": issued - 1, "refused": 0, "denied_calls": 0 });
    assert_eq!(tokens, expected);
}

#[tokio::test]
async fn a_refused_token_is_renewed_and_the_same_call_made_again() {
    let place = Place::with_tokens(vec![keyless("sweden"), keyless("france")], entra()).await;
    let _up = start(&place, &with_secret(&place.simulation.url())).await;
    let document = place.upload("a.txt", "generic", letter(1)).await;
    place.extraction(&document).await;
    let url = format!("{}/simulator/revoke", place.simulation.url());
    assert!(place.http.post(url).send().await.unwrap().status().is_success());
    let document = place.upload("a.txt", "generic", letter(2)).await;
    place.extraction(&document).await;
    // Two deployments share a token.
    let expected = json!({ "issued": 2, "early": 0, "refused": 0, "denied_calls": 1 });
    assert_eq!(place.tokens().await, expected);
    assert_eq!(place.paid().await.into_values().collect::<Vec<_>>(), [1, 1]);
    let ended = place.get(&format!("/v1/documents/{}", id(&document))).await;
    assert_eq!(ended["attempts"], 1, "{ended}");
    assert!(!place.log().contains("refuses calls"), "nobody is told of a token that was renewed");
}

#[tokio::test]
async fn a_token_that_expires_early_is_renewed() {
    let place = place(EntraConfig { accepted_seconds: Some(2.0), ..entra() }).await;
    let _up = start(&place, &with_secret(&place.simulation.url())).await;
    let mut number = 0;
    until("two tokens have expired", async || {
        number += 1;
        let document = place.upload("a.txt", "generic", letter(number)).await;
        place.extraction(&document).await;
        (place.tokens().await["issued"].as_u64() >= Some(3)).then_some(())
    })
    .await;
    let tokens = place.tokens().await;
    assert_eq!(tokens, json!({ "issued": 3, "early": 0, "refused": 0, "denied_calls": 2 }));
    assert_eq!(place.paid().await.into_values().max(), Some(1), "none is paid twice");
    assert!(!place.log().contains("refuses calls"), "nobody is told of a token that was renewed");
}

#[tokio::test]
async fn documents_wait_while_a_deployment_refuses_every_token() {
    // Tokens are refused at once, as those of an identity without a role are.
    let place = place(EntraConfig { accepted_seconds: Some(0.0), ..entra() }).await;
    let _up = start(&place, &with_secret(&place.simulation.url())).await;
    let document = place.upload("a.txt", "generic", letter(1)).await;
    let message = waits(&place, &document).await;
    assert!(message.contains("401") && message.contains("Unauthorized"), "{message}");
    let tokens = place.tokens().await;
    // Each call asks for one token beyond the one it had, and is made twice.
    assert!(tokens["denied_calls"].as_u64() >= Some(2), "{tokens}");
    assert!(tokens["issued"].as_u64() <= tokens["denied_calls"].as_u64(), "{tokens}");
}

#[tokio::test]
async fn documents_wait_while_nobody_issues_tokens() {
    let place = place(entra()).await;
    let url = place.simulation.url();
    let proxy = Proxy::start(url.strip_prefix("http://").unwrap()).await;
    let mut variables = with_secret(&format!("http://{}", proxy.address));
    // A token takes at most half of this.
    variables.push(("SLUICE_WORKER__CALL_TIMEOUT_SECONDS", "4".to_owned()));
    let _up = start(&place, &variables).await;
    let mut number = 0;
    for wire in [Wire::Cut, Wire::Unavailable, Wire::Hang] {
        proxy.set(wire);
        let mut documents = Vec::new();
        for _ in 0..5 {
            number += 1;
            documents.push(place.upload("a.txt", "generic", letter(number)).await);
        }
        let message = waits(&place, &documents[0]).await;
        assert!(message.contains("no token from Entra ID"), "{wire:?}: {message}");
        proxy.set(Wire::Pass);
        for document in &documents {
            place.extraction(document).await;
        }
        // The next outage meets no token.
        let url = format!("{}/simulator/revoke", place.simulation.url());
        assert!(place.http.post(url).send().await.unwrap().status().is_success());
    }
    assert!(proxy.sent().contains("client_secret="), "tokens were asked for there");
    assert_eq!(place.paid().await.into_values().collect::<Vec<_>>(), [1; 15]);
    assert!(!place.log().contains("no answer from"), "no outcome is unknown");
    clean("the log", &place.log());
}

#[tokio::test]
async fn a_token_endpoint_that_is_busy_or_broken_is_waited_for() {
    let faults = json!([
        { "kind": "no_capacity", "times": 2, "seconds": 1.0 },
        { "kind": "server_error", "times": 2 },
        { "kind": "unavailable", "times": 1 },
    ]);
    let faults = serde_json::from_value(faults).unwrap();
    let place = place(EntraConfig { faults, ..entra() }).await;
    let _up = start(&place, &with_secret(&place.simulation.url())).await;
    let name = "invoice-en-classic.pdf";
    let bytes = fixture(&format!("documents/{name}"));
    let document = place.upload(name, "invoice", bytes).await;
    place.extraction(&document).await;
    let tokens = place.tokens().await;
    assert_eq!((&tokens["issued"], &tokens["refused"]), (&json!(1), &json!(5)), "{tokens}");
}

#[tokio::test]
async fn a_configuration_says_how_it_authenticates() {
    let place = place(entra()).await;
    let file = place.folder.path().join("sluice.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    let check = async |auth: &str, parts: &[&str]| {
        std::fs::write(&file, text.replace("auth = \"entra\"", auth)).unwrap();
        let arguments = ["--config", "sluice.toml", "config", "check"];
        let (code, out, err) =
            run(&arguments, place.folder.path(), &[("KEY", "canary-secret")]).await;
        let said = format!("{out}{err}");
        assert_eq!(code, if parts.is_empty() { 0 } else { 2 }, "{auth}: {said}");
        parts.iter().for_each(|part| assert!(said.contains(part), "{auth}: {said}"));
        clean("the error", &said);
    };
    check("auth = \"entra\"", &[]).await;
    check("auth = \"api_key\"\napi_key = \"k\"", &[]).await;
    check("auth = \"entra\"\nentra_scope = \"api://gateway/.default\"", &[]).await;
    check("", &["api_key", "${AZURE_KEY}", "auth = \"entra\""]).await;
    check("auth = \"entra\"\napi_key = \"${KEY}\"", &["leave one of them out"]).await;
    check("auth = \"entra\"\nentra_scope = \"https://ai.azure.com\"", &["/.default"]).await;
    check("api_key = \"k\"\nentra_scope = \"https://ai.azure.com/.default\"", &["auth"]).await;
    check("auth = \"oauth\"", &["api_key", "entra"]).await;
}
