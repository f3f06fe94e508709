//! The models: how each one's deployments are used, and who answers in its place.
//!
//! It must know nothing of how a deployment is called.

use pool::Strategy;
use serde::{Deserialize, Serialize};

/// A model, where its deployments are not used as by default.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Model {
    /// Its name, as deployments have it in `model`; no other section's.
    pub name: String,
    /// Which of its deployments is preferred among those that have room.
    #[serde(default)]
    pub strategy: Strategy,
    /// The models that are asked, in this order, when a question is too long for this one or none
    /// of its deployments can be used; each followed by its own.
    #[serde(default)]
    pub fallback: Vec<String>,
}

/// The models to ask in place of this one, in order, each once.
pub(super) fn chain(models: &[Model], name: &str) -> Vec<String> {
    let mut chain = Vec::new();
    follow(models, name, name, &mut chain);
    chain
}

fn follow(models: &[Model], first: &str, name: &str, chain: &mut Vec<String>) {
    let Some(model) = models.iter().find(|model| model.name == name) else { return };
    for next in &model.fallback {
        // A cycle is refused elsewhere; it must not be walked for ever all the same.
        if next != first && !chain.contains(next) {
            chain.push(next.clone());
            follow(models, first, next, chain);
        }
    }
}

/// The way from a model's fallback back to the model, where there is one.
pub(super) fn cycle(models: &[Model], name: &str, fallback: &str) -> Option<Vec<String>> {
    let mut way = vec![name.to_owned()];
    is_cycle(models, name, fallback, &mut way).then_some(way)
}

fn is_cycle(models: &[Model], name: &str, at: &str, way: &mut Vec<String>) -> bool {
    let is_new = !way.iter().any(|known| known == at);
    way.push(at.to_owned());
    if at == name {
        return true;
    }
    let model = models.iter().find(|model| is_new && model.name == at);
    let mut fallback = model.into_iter().flat_map(|model| &model.fallback);
    let found = fallback.any(|next| is_cycle(models, name, next, way));
    if !found {
        way.pop();
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn models(given: &[(&str, &[&str])]) -> Vec<Model> {
        let model = |&(name, fallback): &(&str, &[&str])| Model {
            name: name.to_owned(),
            strategy: Strategy::Balanced,
            fallback: fallback.iter().map(|&name| name.to_owned()).collect(),
        };
        given.iter().map(model).collect()
    }

    #[test]
    fn a_chain_has_each_model_once() {
        let models = models(&[("a", &["b", "c"]), ("b", &["d", "c"]), ("c", &["e"])]);
        assert_eq!(chain(&models, "a"), ["b", "d", "c", "e"]);
        assert_eq!(chain(&models, "c"), ["e"]);
        assert!(chain(&models, "e").is_empty());
    }

    #[test]
    fn a_cycle_is_found_and_ends() {
        let models = models(&[("a", &["x", "b"]), ("b", &["c"]), ("c", &["b", "a"])]);
        assert_eq!(cycle(&models, "a", "b").unwrap(), ["a", "b", "c", "a"]);
        assert_eq!(cycle(&models, "a", "x"), None);
        assert_eq!(cycle(&models, "b", "c").unwrap(), ["b", "c", "b"]);
        assert_eq!(chain(&models, "a"), ["x", "b", "c"]);
    }
}
