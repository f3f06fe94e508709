//! What can be configured, with every default and limit.
//!
//! It must know nothing of what the settings are used for.

mod load;
mod secret;

pub use secret::Secret;
use serde::{Deserialize, Serialize, Serializer, de::Error as _};
use std::{
    collections::BTreeMap,
    net::ToSocketAddrs,
    path::{Path, PathBuf},
};

/// The configuration cannot be used; the message names file, line, key and remedy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ConfigError(pub(crate) String);

/// Everything that can be configured.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where the uploader listens.
    pub listen: String,
    /// Where bytes are kept.
    pub storage: Storage,
    /// Where the truth is kept.
    pub database: Database,
    /// What carries messages.
    pub queue: Queue,
    /// Who counts the quota.
    pub quota: Quota,
    /// Whether to bring the database up to date at start.
    pub migrate: bool,
    /// Limits of uploads.
    pub limits: Limits,
    /// How a worker works.
    pub worker: Worker,
    /// How text is read.
    pub text: Text,
    /// Who may call.
    pub auth: Auth,
    /// What is logged.
    pub log: Log,
    /// The model deployments.
    pub deployments: Vec<Deployment>,
    /// Schemas beside the built-in ones.
    pub schemas: Vec<Schema>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:8080".to_owned(),
            storage: Storage::Dir("./sluice-data/blobs".into()),
            database: Database::Sqlite("./sluice-data/sluice.db".into()),
            queue: Queue::Embedded,
            quota: Quota::Local,
            migrate: true,
            limits: Limits::default(),
            worker: Worker::default(),
            text: Text::default(),
            auth: Auth::default(),
            log: Log::default(),
            deployments: Vec::new(),
            schemas: Vec::new(),
        }
    }
}

/// Makes an enum that is written as a URL.
macro_rules! url {
    ($(#[$doc:meta])* $name:ident, $parse:ident, $show:ident) => {
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                $parse(&String::deserialize(deserializer)?).map_err(D::Error::custom)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&$show(self))
            }
        }
    };
}

/// Where bytes are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Storage {
    /// `dir:PATH`: files in a folder.
    Dir(PathBuf),
}

url!(Storage, storage, show_storage);

fn storage(url: &str) -> Result<Storage, String> {
    match url.split_once(':') {
        Some(("dir", path)) if !path.is_empty() => Ok(Storage::Dir(path.into())),
        Some(("s3", _)) => Err(later("s3://", "dir:PATH")),
        _ => Err("is not a storage: use dir:PATH".to_owned()),
    }
}

fn show_storage(storage: &Storage) -> String {
    let Storage::Dir(path) = storage;
    format!("dir:{}", path.display())
}

/// Where the truth is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Database {
    /// `sqlite:PATH`: one file.
    Sqlite(PathBuf),
}

url!(Database, database, show_database);

fn database(url: &str) -> Result<Database, String> {
    match url.split_once(':') {
        Some(("sqlite", path)) if !path.is_empty() => Ok(Database::Sqlite(path.into())),
        Some(("postgres" | "postgresql", _)) => Err(later("postgres://", "sqlite:PATH")),
        _ => Err("is not a database: use sqlite:PATH".to_owned()),
    }
}

fn show_database(database: &Database) -> String {
    let Database::Sqlite(path) = database;
    format!("sqlite:{}", path.display())
}

/// What carries messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Queue {
    /// `embedded`: a table of the database.
    Embedded,
}

url!(Queue, queue, show_queue);

fn queue(url: &str) -> Result<Queue, String> {
    match url.split(':').next() {
        Some("embedded") => Ok(Queue::Embedded),
        Some("amqp" | "amqps") => Err(later("amqp://", "embedded")),
        _ => Err("is not a queue: use embedded".to_owned()),
    }
}

fn show_queue(_: &Queue) -> String {
    "embedded".to_owned()
}

/// Who counts the quota.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quota {
    /// `local`: each worker, by its share among the workers of the database.
    Local,
}

url!(Quota, quota, show_quota);

fn quota(url: &str) -> Result<Quota, String> {
    match url.split(':').next() {
        Some("local") => Ok(Quota::Local),
        Some("redis" | "rediss") => Err(later("redis://", "local")),
        _ => Err("is not a quota: use local".to_owned()),
    }
}

fn show_quota(_: &Quota) -> String {
    "local".to_owned()
}

fn later(form: &str, instead: &str) -> String {
    format!("{form} is not part of this version yet: use {instead}")
}

/// Makes a section whose settings have defaults.
macro_rules! section {
    ($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $type:ty = $default:expr,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Deserialize, Serialize)]
        #[serde(deny_unknown_fields, default)]
        pub struct $name {
            $($(#[$field_doc])* pub $field: $type,)*
        }

        impl Default for $name {
            fn default() -> Self {
                Self { $($field: $default,)* }
            }
        }
    };
}

section! {
    /// Limits of what is taken in.
    Limits {
        /// The largest file, in bytes.
        size_bytes_max: u64 = 104_857_600,
        /// The most pages of a document.
        pages_max: u32 = 2000,
        /// The most files of one request.
        files_max: u32 = 100,
        /// The most metadata of a document, in bytes of JSON.
        metadata_bytes_max: u64 = 16_384,
        /// The longest schema, in bytes of JSON.
        schema_bytes_max: u64 = 262_144,
        /// The most documents that wait before uploads are told to come later.
        queue_length_max: u64 = 1_000_000,
        /// The most text of one document, in bytes.
        text_bytes_max: u64 = 67_108_864,
    }
}

section! {
    /// How a worker works.
    Worker {
        /// Documents in work at once; default 4 for each core.
        concurrency: u32 = cores() * 4,
        /// Payments at most per question whose outcome is unknown; 1 never pays twice.
        calls_max: u32 = 2,
        /// How often a document is taken up before it is given up.
        attempts_max: u32 = 10,
        /// How long a claim lasts without a sign of life.
        lease_seconds: u64 = 60,
        /// How often to look for documents that were left behind.
        sweep_seconds: u64 = 5,
        /// How long a call of a model may take.
        call_timeout_seconds: u64 = 120,
        /// How long one document may be in work at a stretch.
        job_seconds_max: u64 = 900,
        /// Processor time for reading one document.
        text_seconds_max: u64 = 20,
        /// Address space for reading one document.
        text_memory_bytes_max: u64 = 1_073_741_824,
        /// Child processes that read at once; default one for each core.
        text_children: u32 = cores(),
        /// The room for a first answer, in tokens; a second one gets double.
        tokens_output_max: u32 = 4096,
        /// The longest question, in tokens, where a deployment does not say.
        context_tokens_max: u32 = 120_000,
    }
}

section! {
    /// How text is read.
    Text {
        /// What reads PDF.
        engine: TextEngine = TextEngine::Hayro,
    }
}

/// What reads PDF.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum TextEngine {
    /// hayro with rows: tables stay readable.
    Hayro,
    /// pdf-extract: plain text in the order of the file.
    PdfExtract,
}

section! {
    /// Who may call.
    Auth {
        /// Whether callers need a key.
        mode: AuthMode = AuthMode::None,
        /// The key that makes keys.
        master_key: Option<Secret> = None,
    }
}

/// Whether callers need a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum AuthMode {
    /// Anybody who can reach the address may do anything: only on loopback.
    None,
    /// Every call carries a key.
    Keys,
}

section! {
    /// What is logged.
    Log {
        /// In which form.
        format: LogFormat = LogFormat::Auto,
        /// From which level on: error, warn, info, debug, trace, or directives such as
        /// `info,worker=debug`.
        level: String = "info".to_owned(),
    }
}

/// The form of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogFormat {
    /// For people on a terminal, JSON otherwise.
    Auto,
    /// For people.
    Human,
    /// One JSON object a line.
    Json,
}

/// One model deployment.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Deployment {
    /// Its name in results, metrics and logs.
    pub name: String,
    /// The name that schemas ask for; several deployments may serve one model.
    pub model: String,
    /// How it is addressed.
    pub provider: Provider,
    /// Its URL; for `openai` there is a default.
    #[serde(default)]
    pub endpoint: String,
    /// The name of the deployment at Azure; default: the model.
    #[serde(default)]
    pub deployment: Option<String>,
    /// Azure's api-version; `v1` for the new surface.
    #[serde(default)]
    pub api_version: Option<String>,
    /// Its key.
    #[serde(default)]
    pub api_key: Option<Secret>,
    /// Its quota of tokens.
    pub tokens_per_minute: u64,
    /// Its quota of requests; default 6 for each 1,000 tokens per minute.
    #[serde(default)]
    pub requests_per_minute: Option<u64>,
    /// Lowest tier first; higher tiers take the overflow.
    #[serde(default)]
    pub tier: u32,
    /// Calls at once.
    #[serde(default = "concurrency_max")]
    pub concurrency_max: u32,
    /// How its limits behave.
    #[serde(default)]
    pub limiter: Limiter,
    /// Money for a million tokens of questions.
    #[serde(default)]
    pub input_price_per_million: Option<f64>,
    /// Money for a million tokens of answers.
    #[serde(default)]
    pub output_price_per_million: Option<f64>,
    /// The longest question and answer together, in tokens.
    #[serde(default)]
    pub context_tokens_max: Option<u32>,
}

fn concurrency_max() -> u32 {
    64
}

impl Default for Deployment {
    fn default() -> Self {
        Self {
            name: String::new(),
            model: String::new(),
            provider: Provider::Openai,
            endpoint: String::new(),
            deployment: None,
            api_version: None,
            api_key: None,
            tokens_per_minute: 30_000,
            requests_per_minute: None,
            tier: 0,
            concurrency_max: concurrency_max(),
            limiter: Limiter::Auto,
            input_price_per_million: None,
            output_price_per_million: None,
            context_tokens_max: None,
        }
    }
}

impl Deployment {
    /// Its quota of requests per minute.
    pub fn requests(&self) -> u64 {
        self.requests_per_minute.unwrap_or(self.tokens_per_minute * 6 / 1000).max(1)
    }
}

/// How a deployment is addressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Provider {
    /// Azure OpenAI.
    Azure,
    /// api.openai.com.
    Openai,
    /// Anything with OpenAI's API.
    Compatible,
}

/// How a deployment's limits behave.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Limiter {
    /// So that it fits each of the others.
    #[default]
    Auto,
    /// Sliding windows.
    Window,
    /// Buckets that fill continuously.
    Bucket,
    /// Provisioned throughput.
    Ptu,
}

/// A schema beside the built-in ones.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Schema {
    /// Its name.
    pub name: String,
    /// The model that it asks for.
    #[serde(default)]
    pub model: Option<String>,
    /// A file with a JSON Schema, relative to the configuration.
    pub file: PathBuf,
    /// What the model is told beyond it.
    #[serde(default)]
    pub instructions: Option<String>,
    /// Rules that the values must keep.
    #[serde(default)]
    pub checks: Vec<String>,
}

/// Reads the configuration: the file where one is named, else `./sluice.toml` where there is one,
/// else the defaults; then what the environment says.
///
/// # Errors
/// When something is wrong with it; the message names file, line, key and remedy.
pub fn load(
    path: Option<&Path>,
    environment: &BTreeMap<String, String>,
) -> Result<Config, ConfigError> {
    let found = Path::new("sluice.toml");
    let path = path.or_else(|| found.exists().then_some(found));
    let text = path.map(load::text_of).transpose()?.unwrap_or_default();
    let file = path.map_or_else(|| "sluice.toml".to_owned(), |path| path.display().to_string());
    let mut config = parse(&file, &text, environment)?;
    let folder = path.and_then(Path::parent).unwrap_or(Path::new(""));
    for schema in &mut config.schemas {
        schema.file = folder.join(&schema.file);
    }
    Ok(config)
}

/// Reads the configuration from text.
fn parse(
    file: &str,
    text: &str,
    environment: &BTreeMap<String, String>,
) -> Result<Config, ConfigError> {
    let mut config = load::read(file, text, environment)?;
    if config.deployments.is_empty() {
        config.deployments.extend(from_environment(environment));
    }
    for deployment in &mut config.deployments {
        if deployment.provider == Provider::Openai && deployment.endpoint.is_empty() {
            deployment.endpoint = "https://api.openai.com/v1".to_owned();
        }
    }
    for (path, fault) in config.faults() {
        return Err(ConfigError(format!("{}{path} {fault}", load::place(file, text, &path))));
    }
    Ok(config)
}

/// The deployment that the environment names, as the providers' own tools read it.
fn from_environment(environment: &BTreeMap<String, String>) -> Option<Deployment> {
    let get = |name: &str| environment.get(name).filter(|value| !value.is_empty()).cloned();
    if let Some(key) = get("OPENAI_API_KEY") {
        let base = get("OPENAI_BASE_URL");
        return Some(Deployment {
            name: "openai".to_owned(),
            model: get("OPENAI_MODEL").unwrap_or_else(|| "gpt-4o".to_owned()),
            provider: if base.is_some() { Provider::Compatible } else { Provider::Openai },
            endpoint: base.unwrap_or_default(),
            api_key: Some(Secret::new(key)),
            requests_per_minute: Some(500),
            ..Deployment::default()
        });
    }
    let endpoint = get("AZURE_OPENAI_ENDPOINT")?;
    let deployment = get("AZURE_OPENAI_DEPLOYMENT")?;
    Some(Deployment {
        name: "azure".to_owned(),
        model: get("OPENAI_MODEL").unwrap_or_else(|| deployment.clone()),
        provider: Provider::Azure,
        endpoint,
        deployment: Some(deployment),
        api_version: get("OPENAI_API_VERSION"),
        api_key: Some(Secret::new(get("AZURE_OPENAI_API_KEY")?)),
        ..Deployment::default()
    })
}

impl Config {
    /// Refuses to work without a deployment.
    ///
    /// # Errors
    /// When none is configured; the message names the remedies.
    pub fn deployments_required(&self) -> Result<(), ConfigError> {
        if !self.deployments.is_empty() {
            return Ok(());
        }
        Err(ConfigError(
            "no model deployment is configured: set OPENAI_API_KEY, or AZURE_OPENAI_ENDPOINT, \
             AZURE_OPENAI_API_KEY and AZURE_OPENAI_DEPLOYMENT, or write [[deployments]] into \
             sluice.toml; `sluice demo` needs none"
                .to_owned(),
        ))
    }

    /// The configuration as JSON, without secrets.
    pub fn redacted(&self) -> serde_json::Value {
        serde_json::to_value(self).unwrap_or_default()
    }

    /// Values that are legal by their type and make no sense, by path.
    fn faults(&self) -> Vec<(String, String)> {
        let mut faults = Vec::new();
        let mut fault = |path: &str, what: &str| faults.push((path.to_owned(), what.to_owned()));
        let worker = &self.worker;
        let ranges = [
            ("limits.size_bytes_max", self.limits.size_bytes_max, 1, u64::MAX),
            ("limits.pages_max", self.limits.pages_max.into(), 1, 1_000_000),
            ("limits.files_max", self.limits.files_max.into(), 1, 10_000),
            ("worker.concurrency", worker.concurrency.into(), 1, 10_000),
            ("worker.calls_max", worker.calls_max.into(), 1, 100),
            ("worker.attempts_max", worker.attempts_max.into(), 1, 1000),
            ("worker.lease_seconds", worker.lease_seconds, 1, 3600),
            ("worker.sweep_seconds", worker.sweep_seconds, 1, 3600),
            ("worker.call_timeout_seconds", worker.call_timeout_seconds, 1, 840),
            ("worker.job_seconds_max", worker.job_seconds_max, 10, 1500),
            ("worker.text_seconds_max", worker.text_seconds_max, 1, 600),
            ("worker.text_memory_bytes_max", worker.text_memory_bytes_max, 64 << 20, u64::MAX),
            ("worker.text_children", worker.text_children.into(), 1, 1000),
            ("worker.tokens_output_max", worker.tokens_output_max.into(), 16, 1_000_000),
            ("worker.context_tokens_max", worker.context_tokens_max.into(), 1000, 10_000_000),
        ];
        for (path, value, least, most) in ranges {
            if value < least {
                fault(path, &format!("is {value}: it must be at least {least}"));
            } else if value > most {
                fault(path, &format!("is {value}: it must be at most {most}"));
            }
        }
        let mut addresses = self.listen.to_socket_addrs().into_iter().flatten().peekable();
        if addresses.peek().is_none() {
            fault("listen", "is not an address: write for example 127.0.0.1:8080");
        } else if self.auth.mode == AuthMode::None && !addresses.all(|a| a.ip().is_loopback()) {
            fault("listen", "is reachable from outside while auth.mode is none: listen on 127.0.0.1");
        }
        if self.auth.mode == AuthMode::Keys {
            fault("auth.mode", "keys is not part of this version yet: use none, on loopback");
        }
        self.deployment_faults(&mut fault);
        faults
    }

    fn deployment_faults(&self, fault: &mut impl FnMut(&str, &str)) {
        for (index, deployment) in self.deployments.iter().enumerate() {
            let path = |key: &str| format!("deployments[{index}].{key}");
            let earlier = self.deployments.get(..index).unwrap_or_default();
            if deployment.name.is_empty() {
                fault(&path("name"), "is empty");
            } else if earlier.iter().any(|other| other.name == deployment.name) {
                fault(&path("name"), "is the name of another deployment, too");
            }
            if deployment.model.is_empty() {
                fault(&path("model"), "is empty");
            }
            let url = ["http://", "https://"].iter().any(|http| deployment.endpoint.starts_with(http));
            if !url {
                fault(&path("endpoint"), "must be a URL that starts with https:// or http://");
            }
            if deployment.tokens_per_minute == 0 {
                fault(&path("tokens_per_minute"), "is 0: it must be at least 1");
            }
            if deployment.concurrency_max == 0 {
                fault(&path("concurrency_max"), "is 0: it must be at least 1");
            }
            let keyless = deployment.api_key.as_ref().is_none_or(|key| key.expose().is_empty());
            if keyless && deployment.provider != Provider::Compatible {
                fault(&path("api_key"), "is missing: write for example \"${AZURE_KEY}\"");
            }
        }
    }
}

fn cores() -> u32 {
    std::thread::available_parallelism().map_or(2, |n| u32::try_from(n.get()).unwrap_or(2))
}

#[cfg(test)]
mod tests;
