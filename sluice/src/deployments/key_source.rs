//! Where the key of a deployment comes from, in words: which variable holds it.

use pool::{DeploymentConfig, Provider};
use std::collections::BTreeMap;
use std::path::Path;
use toml_edit::Document;

/// Where a deployment's key comes from, in words: the variable where there is one.
pub(super) fn key_source(
    file: Option<&Path>,
    environment: &BTreeMap<String, String>,
    deployment: &DeploymentConfig,
    index: usize,
) -> String {
    let variable = format!("SLUICE_DEPLOYMENTS__{index}__API_KEY");
    if environment.contains_key(&variable) {
        return format!("the variable {variable}");
    }
    let text = file.and_then(|file| std::fs::read_to_string(file).ok()).unwrap_or_default();
    let written = Document::parse(text.as_str()).ok();
    let all = written.as_ref().and_then(|document| document.get("deployments"));
    let Some(all) = all.and_then(|all| all.as_array_of_tables()).filter(|all| !all.is_empty())
    else {
        return match deployment.provider {
            Provider::Azure => "the variable AZURE_OPENAI_API_KEY".to_owned(),
            _ => "the variable OPENAI_API_KEY".to_owned(),
        };
    };
    let key = all.get(index).and_then(|one| one.get("api_key")).and_then(|key| key.as_str());
    let inside =
        key.and_then(|key| key.split_once("${")).and_then(|(_, rest)| rest.split_once('}'));
    match inside {
        Some((variable, _)) => {
            let name = variable.split(":-").next().unwrap_or(variable);
            format!("the variable {name} (api_key of {:?})", deployment.name)
        }
        None => format!("api_key of {:?} in the configuration", deployment.name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_named_by_the_variable_that_holds_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("sluice.toml");
        let text = "[[deployments]]\nname = \"a\"\napi_key = \"${KEY_A:-none}\"\n\
                    [[deployments]]\nname = \"b\"\napi_key = \"canary\"\n";
        std::fs::write(&file, text).unwrap();
        let named =
            |name: &str| DeploymentConfig { name: name.into(), ..DeploymentConfig::default() };
        let none = BTreeMap::new();
        let place = |name, index| key_source(Some(&file), &none, &named(name), index);
        assert_eq!(place("a", 0), "the variable KEY_A (api_key of \"a\")");
        assert_eq!(place("b", 1), "api_key of \"b\" in the configuration");
        let over = [("SLUICE_DEPLOYMENTS__1__API_KEY".to_owned(), "canary".to_owned())].into();
        let place = key_source(Some(&file), &over, &named("b"), 1);
        assert_eq!(place, "the variable SLUICE_DEPLOYMENTS__1__API_KEY");
        let place = key_source(None, &none, &named("openai"), 0);
        assert_eq!(place, "the variable OPENAI_API_KEY");
    }
}
