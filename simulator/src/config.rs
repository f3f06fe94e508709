//! The configuration of the simulator: which deployments exist, how they limit, how fast they
//! answer and how they fail. It must never know how a limiter works.

use crate::entra::EntraConfig;
use crate::fault::Fault;
use crate::request::Mode;
use crate::script::ScriptedAnswer;
use anyhow::{Context as _, bail, ensure};
use serde::Deserialize;
use std::collections::HashSet;
use std::path::Path;

/// Everything the simulator is told before it starts.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The address to listen on; port 0 takes a free one.
    #[serde(default = "default_listen")]
    pub listen: String,
    /// Makes latencies and made-up faults repeatable.
    #[serde(default = "default_seed")]
    pub seed: u64,
    /// What certain prompts are answered with, whichever deployment they reach.
    #[serde(default)]
    pub answers: Vec<ScriptedAnswer>,
    /// Who issues tokens, where deployments want them.
    #[serde(default)]
    pub entra: EntraConfig,
    /// The deployments it pretends to be.
    pub deployments: Vec<DeploymentConfig>,
}

/// One pretended deployment.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeploymentConfig {
    /// The name in the address or in `model`.
    pub name: String,
    /// The model it serves; the name of the deployment unless set.
    pub model: Option<String>,
    /// Which generation of limiter it has.
    #[serde(default)]
    pub kind: Kind,
    /// The limit of tokens a minute (for `ptu`: input-token equivalents a minute).
    pub tokens_per_minute: u64,
    /// The limit of requests a minute; not used by `ptu`.
    #[serde(default = "default_requests_per_minute")]
    pub requests_per_minute: u64,
    /// What a call is charged when it is admitted; each key has a default for its kind.
    #[serde(default)]
    pub charge: ChargeConfig,
    /// Whether the real use replaces the estimate at the end; only `ptu` does so unless set.
    pub settle: Option<bool>,
    /// How many seconds of its rate a `ptu` or `burst_bucket` deployment lets through at once.
    #[serde(default = "default_burst_seconds")]
    pub burst_seconds: f64,
    /// When the minute of a counter begins, in seconds after the simulator's start.
    #[serde(default = "default_phase_seconds")]
    pub phase_seconds: f64,
    /// How many input tokens one output token weighs on a `ptu` deployment.
    #[serde(default = "default_output_weight")]
    pub output_weight: f64,
    /// Prompts above this many estimated tokens are refused.
    #[serde(default = "default_context_tokens_max")]
    pub context_tokens_max: u64,
    /// A larger `max_tokens` is refused.
    #[serde(default = "default_output_tokens_max")]
    pub output_tokens_max: u64,
    /// The only key that is let in; any key is, unless set.
    pub api_key: Option<String>,
    /// Only tokens for this scope are let in, such as
    /// `https://cognitiveservices.azure.com/.default`; no token is needed unless set.
    pub entra_scope: Option<String>,
    /// How long answers take.
    #[serde(default)]
    pub latency: Latency,
    /// The ways of asking for JSON that are understood; all unless set.
    #[serde(default = "default_modes")]
    pub modes: Vec<Mode>,
    /// Whether the model takes images; others answer 400 to them.
    #[serde(default = "default_vision")]
    pub vision: bool,
    /// What goes wrong, and when.
    #[serde(default)]
    pub faults: Vec<Fault>,
}

/// Which limiter a deployment has.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Two sliding logs, as Azure had in 2023 and 2024.
    Window,
    /// Two buckets that refill all the time, as Azure has since 2025.
    #[default]
    Bucket,
    /// One bucket that refills all the time and is charged prompt and room at admission; nothing is
    /// given back.
    TokenBucket,
    /// The same, but it holds only `burst_seconds` of its rate.
    BurstBucket,
    /// A counter that starts anew every minute at `phase_seconds`; prompt and room count at
    /// admission, and nothing is given back.
    FixedWindow,
    /// The same, and of the minute before the part that lies within the last sixty seconds counts,
    /// too.
    SlidingCounter,
    /// A counter of what an answer really used, which counts when it is complete, as in gateways that
    /// learn of it only then: a call passes while anything is left.
    AnswerCounter,
    /// Provisioned throughput: one leaky bucket of utilisation.
    Ptu,
}

/// How the prompt counts at admission.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum PromptCharge {
    /// Not at all.
    None,
    /// One token for four characters, and one for each message.
    Chars4,
}

/// The keys of `charge`; what is absent has the default of the kind.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChargeConfig {
    /// How the prompt counts.
    pub prompt: Option<PromptCharge>,
    /// Whether `max_tokens` counts.
    pub max_out: Option<bool>,
    /// What counts when `max_tokens` is absent.
    pub default_max_out: Option<u64>,
}

/// How a call is charged, all defaults filled in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Charge {
    /// How the prompt counts.
    pub prompt: PromptCharge,
    /// Whether `max_tokens` counts.
    pub max_out: bool,
    /// What counts when `max_tokens` is absent.
    pub default_max_out: u64,
}

/// How long a deployment takes; each pair is a range to draw from.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields, default)]
pub struct Latency {
    /// Milliseconds to the first token.
    pub ttft_ms: [f64; 2],
    /// Output tokens a second; 0 means at once.
    pub tokens_per_second: [f64; 2],
    /// Milliseconds to a refusal.
    pub rejection_ms: [f64; 2],
}

impl Default for Latency {
    fn default() -> Self {
        Self {
            ttft_ms: [300.0, 800.0],
            tokens_per_second: [50.0, 140.0],
            rejection_ms: [20.0, 50.0],
        }
    }
}

impl Latency {
    /// No delay at all, for tests.
    pub const NONE: Self =
        Self { ttft_ms: [0.0; 2], tokens_per_second: [0.0; 2], rejection_ms: [0.0; 2] };
}

impl DeploymentConfig {
    /// A deployment with the defaults of its kind.
    pub fn new(name: &str, kind: Kind, tokens_per_minute: u64, requests_per_minute: u64) -> Self {
        Self {
            name: name.to_owned(),
            model: None,
            kind,
            tokens_per_minute,
            requests_per_minute,
            charge: ChargeConfig::default(),
            settle: None,
            burst_seconds: default_burst_seconds(),
            phase_seconds: default_phase_seconds(),
            output_weight: default_output_weight(),
            context_tokens_max: default_context_tokens_max(),
            output_tokens_max: default_output_tokens_max(),
            api_key: None,
            entra_scope: None,
            latency: Latency::default(),
            modes: default_modes(),
            vision: default_vision(),
            faults: Vec::new(),
        }
    }

    /// The model it serves.
    pub fn model(&self) -> &str {
        self.model.as_deref().unwrap_or(&self.name)
    }

    /// How a call is charged.
    pub fn charge(&self) -> Charge {
        let (max_out, default_max_out) = match self.kind {
            Kind::Window
            | Kind::TokenBucket
            | Kind::BurstBucket
            | Kind::FixedWindow
            | Kind::SlidingCounter
            | Kind::Ptu => (true, 640),
            Kind::Bucket | Kind::AnswerCounter => (false, 0),
        };
        Charge {
            prompt: self.charge.prompt.unwrap_or(PromptCharge::Chars4),
            max_out: self.charge.max_out.unwrap_or(max_out),
            default_max_out: self.charge.default_max_out.unwrap_or(default_max_out),
        }
    }

    /// Whether the real use replaces the estimate when an answer is done.
    pub fn settles(&self) -> bool {
        self.settle.unwrap_or(matches!(self.kind, Kind::Ptu | Kind::AnswerCounter))
    }

    fn validate(&self) -> anyhow::Result<()> {
        let name = &self.name;
        ensure!(!name.trim().is_empty(), "a deployment has an empty `name`");
        ensure!(self.tokens_per_minute > 0, "{name}: `tokens_per_minute` must be above 0");
        ensure!(self.requests_per_minute > 0, "{name}: `requests_per_minute` must be above 0");
        for (key, value) in
            [("burst_seconds", self.burst_seconds), ("output_weight", self.output_weight)]
        {
            ensure!(value.is_finite() && value > 0.0, "{name}: `{key}` must be above 0");
        }
        ensure!(self.phase_seconds.is_finite(), "{name}: `phase_seconds` must be a number");
        ensure!(self.context_tokens_max > 0, "{name}: `context_tokens_max` must be above 0");
        ensure!(self.output_tokens_max > 0, "{name}: `output_tokens_max` must be above 0");
        let latency = &self.latency;
        for (key, [low, high]) in [
            ("ttft_ms", latency.ttft_ms),
            ("tokens_per_second", latency.tokens_per_second),
            ("rejection_ms", latency.rejection_ms),
        ] {
            let sound = low.is_finite() && high.is_finite() && (0.0..=high).contains(&low);
            ensure!(sound, "{name}: `latency.{key}` must be [low, high] with 0 <= low <= high");
        }
        for (index, fault) in self.faults.iter().enumerate() {
            fault.validate().with_context(|| format!("{name}: `faults[{index}]`"))?;
        }
        Ok(())
    }
}

impl Config {
    /// Reads and checks a configuration file.
    pub fn load(path: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("cannot read {}", path.display()))?;
        let mut config = Self::parse(&text).with_context(|| format!("in {}", path.display()))?;
        let folder = path.parent().unwrap_or(Path::new(""));
        config.answers.iter_mut().for_each(|answer| answer.resolve(folder));
        Ok(config)
    }

    /// Reads and checks the text of a configuration file.
    pub fn parse(text: &str) -> anyhow::Result<Self> {
        let config: Self = toml::from_str(text).context("the configuration is not understood")?;
        config.validate()?;
        Ok(config)
    }

    /// Checks what the types cannot say; errors name the deployment and the key.
    pub fn validate(&self) -> anyhow::Result<()> {
        ensure!(!self.deployments.is_empty(), "`deployments` is empty: name at least one");
        self.entra.validate()?;
        let mut names = HashSet::new();
        for deployment in &self.deployments {
            deployment.validate()?;
            if !names.insert(deployment.name.as_str()) {
                bail!("{}: two deployments have this `name`", deployment.name);
            }
        }
        Ok(())
    }

    /// Two quick deployments for `sluice demo`: one of each generation of limiter.
    pub fn demo() -> Self {
        let latency = Latency {
            ttft_ms: [60.0, 150.0],
            tokens_per_second: [800.0, 1_500.0],
            rejection_ms: [5.0, 15.0],
        };
        let deployment = |name, kind, tokens_per_minute, requests_per_minute| DeploymentConfig {
            model: Some("gpt-4o".to_owned()),
            latency,
            ..DeploymentConfig::new(name, kind, tokens_per_minute, requests_per_minute)
        };
        Self {
            listen: "127.0.0.1:0".to_owned(),
            seed: 1,
            answers: Vec::new(),
            entra: EntraConfig::default(),
            deployments: vec![
                deployment("sweden", Kind::Bucket, 60_000, 360),
                deployment("france", Kind::Window, 30_000, 180),
            ],
        }
    }
}

fn default_listen() -> String {
    "127.0.0.1:8089".to_owned()
}

fn default_seed() -> u64 {
    1
}

fn default_requests_per_minute() -> u64 {
    1_000
}

fn default_burst_seconds() -> f64 {
    10.0
}

fn default_phase_seconds() -> f64 {
    17.0
}

fn default_output_weight() -> f64 {
    4.0
}

fn default_context_tokens_max() -> u64 {
    128_000
}

fn default_output_tokens_max() -> u64 {
    16_384
}

fn default_vision() -> bool {
    true
}

fn default_modes() -> Vec<Mode> {
    Mode::ALL.to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_error(toml: &str, expected: &str) {
        let error = format!("{:#}", Config::parse(toml).expect_err("the configuration is wrong"));
        assert!(error.contains(expected), "{error:?} does not say {expected:?}");
    }

    #[test]
    fn errors_name_the_deployment_and_the_key() {
        check_error("deployments = []", "`deployments` is empty");
        check_error(
            "[[deployments]]\nname = \"a\"\ntokens_per_minute = 0",
            "a: `tokens_per_minute` must be above 0",
        );
        check_error(
            "[[deployments]]\nname = \"a\"\ntokens_per_minute = 1\nlatency.ttft_ms = [2, 1]",
            "a: `latency.ttft_ms`",
        );
        check_error(
            "[[deployments]]\nname = \"a\"\ntokens_per_minute = 1\nfaults = [{ kind = \"external_load\" }]",
            "a: `faults[0]`: `percent`",
        );
        check_error("[[deployments]]\nname = \"a\"\ntokens_per_minute = 1\nspeed = 1", "speed");
        check_error(
            "[[deployments]]\nname = \"a\"\ntokens_per_minute = 1\n\
             [[deployments]]\nname = \"a\"\ntokens_per_minute = 1",
            "a: two deployments",
        );
    }

    #[test]
    fn each_kind_has_its_charge() {
        let charge = |kind| DeploymentConfig::new("a", kind, 1, 1).charge();
        assert_eq!(
            charge(Kind::Window),
            Charge { prompt: PromptCharge::Chars4, max_out: true, default_max_out: 640 }
        );
        assert_eq!(
            charge(Kind::Bucket),
            Charge { prompt: PromptCharge::Chars4, max_out: false, default_max_out: 0 }
        );
    }

    #[test]
    fn the_demo_is_valid() {
        Config::demo().validate().expect("valid");
    }
}
