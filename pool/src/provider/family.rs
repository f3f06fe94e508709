//! What is known of the families of models, by the name that the provider gives a model: our own
//! name of it may say anything.

use crate::config::DeploymentConfig;

/// What is known of a family.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Family {
    /// How many input tokens one output token weighs on provisioned throughput.
    pub(crate) output_weight: f64,
    /// Whether its models take a temperature; others answer 400 to it.
    pub(crate) takes_temperature: bool,
}

/// By the start of the name. Weights are those of Azure's page on provisioned throughput.
const FAMILIES: [(&str, Family); 6] = [
    ("gpt-3", Family { output_weight: 4.0, takes_temperature: true }),
    ("gpt-4", Family { output_weight: 4.0, takes_temperature: true }),
    ("gpt-5", Family { output_weight: 8.0, takes_temperature: false }),
    ("o1", Family { output_weight: 4.0, takes_temperature: false }),
    ("o3", Family { output_weight: 4.0, takes_temperature: false }),
    ("o4", Family { output_weight: 4.0, takes_temperature: false }),
];

/// The weight of a family that is not known: the highest, as too high a weight costs only pace.
const OUTPUT_WEIGHT_DEFAULT: f64 = 8.0;

/// The family of the model that a provider names so, such as `gpt-4o-2024-08-06`.
pub(crate) fn family(model: &str) -> Option<Family> {
    let found = FAMILIES.iter().find(|(start, _)| model.starts_with(start));
    found.map(|(_, family)| *family)
}

/// How many input tokens one output token weighs at a deployment: as configured, or as the family of
/// the model that the provider names in its responses or, until it has, in the configuration.
pub(crate) fn output_weight(config: &DeploymentConfig, named: Option<&str>) -> f64 {
    let family = || family(named.unwrap_or(config.provider_model()));
    let weight = config.output_weight.or_else(|| family().map(|family| family.output_weight));
    weight.unwrap_or(OUTPUT_WEIGHT_DEFAULT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_weighs_as_its_family() {
        let table = [
            ("gpt-4o-2024-08-06", 4.0),
            ("gpt-4.1-mini", 4.0),
            ("gpt-35-turbo", 4.0),
            ("o4-mini", 4.0),
            ("gpt-5.1", 8.0),
            ("production", 8.0),
            ("", 8.0),
        ];
        let config = |deployment: &str| DeploymentConfig {
            model: "gpt-4o".into(),
            deployment: Some(deployment.into()),
            ..DeploymentConfig::default()
        };
        for (model, expected) in table {
            assert_eq!(output_weight(&config(model), None), expected, "{model}");
            assert_eq!(output_weight(&config("x"), Some(model)), expected, "{model}");
        }
        let configured = DeploymentConfig { output_weight: Some(3.0), ..config("gpt-4o") };
        assert_eq!(output_weight(&configured, Some("gpt-5")), 3.0);
        assert!(family("gpt-4o").is_some_and(|family| family.takes_temperature));
        assert!(family("gpt-5-mini").is_some_and(|family| !family.takes_temperature));
        assert_eq!(family("production"), None);
    }
}
