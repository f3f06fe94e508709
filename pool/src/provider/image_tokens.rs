//! How many tokens an image counts as, by the name that the provider gives a model.
//!
//! The formulas are those of OpenAI's guide "Images and vision", section "Calculating costs", for
//! `detail: high`; Azure's guide on vision-enabled models has the same for those that it offers.

use crate::config::DeploymentConfig;

/// Tiles: an image is made to fit into this square,
const SQUARE: f64 = 2048.0;
/// then its shorter side is made no longer than this,
const SHORT_SIDE: f64 = 768.0;
/// and counted in squares of this side.
const TILE: f64 = 512.0;

/// Patches: an image is counted in squares of this side,
const PATCH: f64 = 32.0;
/// and made smaller where there are more than this.
const PATCHES_MAX: f64 = 1536.0;

/// How a family counts. Sides are in pixels.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Rule {
    /// So many tokens for any image, and so many for each tile.
    Tiles(f64, f64),
    /// So many tokens for each patch.
    Patches(f64),
}

/// By the start of the name; the longer goes before the shorter.
const RULES: [(&str, Rule); 12] = [
    ("gpt-4.1-mini", Rule::Patches(1.62)),
    ("gpt-4.1-nano", Rule::Patches(2.46)),
    ("gpt-4o-mini", Rule::Tiles(2833.0, 5667.0)),
    ("gpt-5-mini", Rule::Patches(1.62)),
    ("gpt-5-nano", Rule::Patches(2.46)),
    ("o4-mini", Rule::Patches(1.72)),
    ("gpt-4", Rule::Tiles(85.0, 170.0)),
    ("gpt-5", Rule::Tiles(70.0, 140.0)),
    ("o1", Rule::Tiles(75.0, 150.0)),
    ("o3", Rule::Tiles(75.0, 150.0)),
    ("o4", Rule::Patches(1.72)),
    ("computer-use", Rule::Tiles(65.0, 129.0)),
];

/// The rule of a family that is not known: the dearest of patches. gpt-4o-mini counts up to seven times
/// that, so a deployment of it under another name has `image_tokens`, until a response names the model.
const RULE_DEFAULT: Rule = Rule::Patches(2.46);

/// What an image of this width and height counts as at a deployment: as configured, or as the family
/// of its model counts.
pub(crate) fn image_tokens(
    config: &DeploymentConfig,
    named: Option<&str>,
    size: (u32, u32),
) -> u64 {
    let model = named.unwrap_or(config.provider_model());
    let found = RULES.iter().find(|(start, _)| model.starts_with(start));
    let rule = found.map_or(RULE_DEFAULT, |(_, rule)| *rule);
    config.image_tokens.unwrap_or_else(|| rule.tokens(size))
}

impl Rule {
    fn tokens(self, (width, height): (u32, u32)) -> u64 {
        let (width, height) = (f64::from(width.max(1)), f64::from(height.max(1)));
        let tokens = match self {
            Self::Tiles(base, tile) => {
                let fit = (SQUARE / width.max(height)).min(1.0);
                let fit = fit * (SHORT_SIDE / (width.min(height) * fit)).min(1.0);
                base + tile * (width * fit / TILE).ceil() * (height * fit / TILE).ceil()
            }
            Self::Patches(tokens) => tokens * patches(width, height),
        };
        tokens.ceil() as u64
    }
}

fn patches(width: f64, height: f64) -> f64 {
    let count = |width: f64, height: f64| (width / PATCH).ceil() * (height / PATCH).ceil();
    if count(width, height) <= PATCHES_MAX {
        return count(width, height);
    }
    let fit = (PATCH * PATCH * PATCHES_MAX / (width * height)).sqrt();
    let (across, down) = (width * fit / PATCH, height * fit / PATCH);
    let fit = fit * (across.floor() / across).min(down.floor() / down);
    count((width * fit).round(), (height * fit).round()).min(PATCHES_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(model: &str, size: (u32, u32)) -> u64 {
        let config = DeploymentConfig { model: model.to_owned(), ..DeploymentConfig::default() };
        image_tokens(&config, None, size)
    }

    /// The examples of OpenAI's guide.
    #[test]
    fn images_count_as_the_provider_says() {
        for (model, size, expected) in [
            ("gpt-4o", (1024, 1024), 765),
            ("gpt-4o-2024-08-06", (2048, 4096), 1105),
            ("gpt-4.1", (512, 512), 255),
            ("gpt-4o-mini", (1024, 1024), 2833 + 4 * 5667),
            ("gpt-5", (1024, 1024), 630),
            ("o1", (1024, 1024), 675),
            ("gpt-4.1-mini", (1024, 1024), 1659),
            ("gpt-4.1-mini", (1800, 2400), 2353),
            ("o4-mini", (32, 32), 2),
        ] {
            assert_eq!(of(model, size), expected, "{model} {size:?}");
        }
    }

    #[test]
    fn what_is_configured_or_unknown_is_never_less_than_it_may_be() {
        assert!(of("production", (1654, 2339)) > of("gpt-4o", (1654, 2339)));
        let config = DeploymentConfig { image_tokens: Some(9), ..DeploymentConfig::default() };
        assert_eq!(image_tokens(&config, Some("gpt-4o"), (1024, 1024)), 9);
    }
}
