//! What can be configured, with every default and limit.
//!
//! It must know nothing of what the settings are used for.

mod address;
mod deployment;
mod explain;
mod variables;
mod interpolate;
mod model;
mod position;
mod check;
mod load;

pub use address::{DatabaseAddress, QueueAddress, QuotaAddress, S3, StorageAddress};
pub use model::Model;
pub use pool::Secret;

use crate::{document::SplitMode, schema::Embedded};
use pool::{DeploymentConfig, Effort};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
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
    /// Where the uploader listens: host and port; on loopback while `auth.mode` is `none`.
    pub listen: String,
    /// Where bytes are kept.
    pub storage: StorageAddress,
    /// The database.
    pub database: DatabaseAddress,
    /// What carries messages.
    pub queue: QueueAddress,
    /// Who counts the quota.
    pub quota: QuotaAddress,
    /// Whether to bring the database up to date at start.
    pub migrate: bool,
    /// How long to wait at start for a database or a storage that does not answer, in seconds; 0 to
    /// 3600.
    pub start_seconds_max: u64,
    /// Limits of uploads.
    pub limits: Limits,
    /// How a worker works.
    pub worker: Worker,
    /// How text is read.
    pub text: Text,
    /// Documents that are made of others: what a file carries, and what a stack holds.
    pub members: Members,
    /// Who may call.
    pub auth: Auth,
    /// What is logged.
    pub log: Log,
    /// The model deployments.
    pub deployments: Vec<DeploymentConfig>,
    /// The models, where their deployments are not used as by default.
    pub models: Vec<Model>,
    /// Schemas beside the built-in ones.
    pub schemas: Vec<Schema>,
    /// What is odd and does not stop it, each a sentence for the log; it cannot be set.
    #[serde(skip)]
    pub warnings: Vec<String>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:8080".to_owned(),
            storage: StorageAddress::Dir("./sluice-data/blobs".into()),
            database: DatabaseAddress::Sqlite("./sluice-data/sluice.db".into()),
            queue: QueueAddress::Embedded,
            quota: QuotaAddress::Local,
            migrate: true,
            start_seconds_max: 60,
            limits: Limits::default(),
            worker: Worker::default(),
            text: Text::default(),
            members: Members::default(),
            auth: Auth::default(),
            log: Log::default(),
            deployments: Vec::new(),
            models: Vec::new(),
            schemas: Vec::new(),
            warnings: Vec::new(),
        }
    }
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
        /// The largest file, in bytes; at least 1.
        size_bytes_max: u64 = 104_857_600,
        /// The most pages of a document; 1 to 1,000,000.
        pages_max: u32 = 2000,
        /// The most files of one request; 1 to 10,000.
        files_max: u32 = 100,
        /// The most metadata of a document, in bytes of JSON; at least 2.
        metadata_bytes_max: u64 = 16_384,
        /// The longest schema, in bytes of JSON; at least 2.
        schema_bytes_max: u64 = 262_144,
        /// The most documents that wait before uploads are refused for now (503); at least 1.
        queue_length_max: u64 = 1_000_000,
        /// The most text of one document, in bytes; at least 1.
        text_bytes_max: u64 = 67_108_864,
        /// The most pixels of an image that is uploaded, 10,000 to 1,000,000,000; each takes up to eight
        /// bytes of `worker.text_memory_bytes_max` while it is read.
        image_pixels_max: u64 = 64_000_000,
    }
}

section! {
    /// How a worker works.
    Worker {
        /// Where a worker that runs alone answers `/healthz`, `/readyz` and `/metrics`, for example
        /// `0.0.0.0:9090`; nowhere by default. (With an uploader beside it, the uploader does.)
        listen: Option<String> = None,
        /// Documents in work at once, 1 to 10,000; default 4 for each core.
        concurrency: u32 = cores() * 4,
        /// How many of these are kept for interactive documents, 0 to 10,000; one is always left for
        /// the others. Default one for every 8.
        interactive_reserved: Option<u32> = None,
        /// Payments at most per question whose outcome is unknown, 1 to 100; 1 never pays twice.
        calls_max: u32 = 5,
        /// How long a question rests after each call whose outcome is unknown before it may be paid for
        /// again, in seconds, at most 3600 each; after more calls than there are, the last counts.
        /// Without any there is no rest.
        call_pauses_seconds: Vec<u64> = vec![0, 5, 30, 300],
        /// How often a document is taken up before it is given up; 1 to 1000.
        attempts_max: u32 = 10,
        /// How long a claim lasts without a heartbeat, in seconds; 1 to 3600.
        lease_seconds: u64 = 60,
        /// How often to look for documents that were left behind, in seconds; 1 to 3600.
        sweep_seconds: u64 = 5,
        /// How long a call of a model may take, in seconds; 1 to 840.
        call_timeout_seconds: u64 = 120,
        /// How long one document may be in work at a stretch, in seconds; 10 to 1500.
        job_seconds_max: u64 = 900,
        /// How long documents wait while no deployment of their model can be used, whether it fails or
        /// refuses the key, in seconds, 1 to 2,592,000 (30 days); then they fail. A worker that starts
        /// counts anew.
        outage_seconds_max: u64 = 86_400,
        /// Processor time for reading one document, in seconds; 1 to 600.
        text_seconds_max: u64 = 10,
        /// Address space for reading one document, in bytes; at least 256 MiB.
        text_memory_bytes_max: u64 = 1_073_741_824,
        /// Child processes that read at once, 1 to 1000; default one for each core.
        text_children: u32 = cores(),
        /// The room for a first answer, thinking included, in tokens, 16 to 1,000,000. One that was cut
        /// off gets double, or more where the model still thought. What answers of a schema took
        /// before counts more.
        tokens_output_max: u32 = 4096,
        /// The most properties of a schema that are asked for in one question, over all its objects, 1 to
        /// 5000: Azure takes 100, and models lose some of more. A larger schema is asked in several
        /// questions, each about the whole document.
        question_properties_max: u32 = 100,
        /// The longest question where a deployment does not say, in tokens; 1000 to 10,000,000.
        context_tokens_max: u32 = 120_000,
    }
}

section! {
    /// How text is read.
    Text {
        /// What reads PDF.
        engine: TextEngine = TextEngine::Hayro,
        /// What is done with the values of electronic invoices and of the fields of forms; a schema may
        /// say otherwise (`x-sluice.embedded`).
        embedded: Embedded = Embedded::Trusted,
        /// After so many documents a child process is replaced, 1 to 100,000.
        child_files_max: u32 = 20,
        /// A child process that holds more memory after a document is replaced, in bytes; at least 1 MiB.
        child_memory_kept_bytes_max: u64 = 33_554_432,
        /// Whether documents are read where the kernel cannot lock the reading process in (Landlock,
        /// seccomp). Its limits of memory and time hold all the same.
        allow_unsandboxed: bool = false,
        /// What becomes of pages without text, such as those of a scanner.
        scans: Scans = Scans::Auto,
        /// The languages for OCR, as tesseract names them, such as `eng` and `deu`; by default those that
        /// are installed, at most four.
        languages: Vec<String> = Vec::new(),
        /// The program for OCR: tesseract 4 or newer, a path or a name to look for in `PATH`.
        ocr_program: String = "tesseract".to_owned(),
        /// Processor time for OCR of one page, in seconds; 1 to 600.
        ocr_seconds_max: u64 = 60,
        /// How finely pages are drawn for OCR and for models, in dots per inch; 72 to 400.
        scan_dpi: u16 = 200,
        /// The most pages of a document that are read by OCR or shown to models; 0 to 100,000.
        scan_pages_max: u32 = 200,
    }
}

/// What becomes of pages without text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scans {
    /// OCR where tesseract is installed, else vision where a deployment of the model has it, else
    /// they are named as not read.
    Auto,
    /// Models are shown them: only deployments with `vision = true` are asked.
    Vision,
    /// tesseract reads them; without it nothing starts.
    Ocr,
    /// A document with such a page fails.
    Fail,
}

section! {
    /// Documents that are made of others.
    Members {
        /// What becomes of files that are attached to e-mails and PDFs.
        attachments: Attachments = Attachments::Documents,
        /// What becomes of a file that holds several documents, where the upload does not say.
        split: SplitMode = SplitMode::Warn,
        /// The most attachments of one document that become documents; 1 to 1000.
        count_max: u32 = 100,
        /// All of these together, in bytes; at least 1. (A document fails whose file is larger than
        /// `limits.size_bytes_max`, as it would not be taken as an upload.)
        bytes_max: u64 = 104_857_600,
        /// How deep: 1 takes what an upload carries, 2 also what that carries; 1 to 10.
        depth_max: u32 = 2,
    }
}

/// What becomes of files that are attached to others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Attachments {
    /// Each that can be read becomes a document of its own.
    Documents,
    /// They are named in a warning, and not read.
    Warn,
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
        /// Whether `listen` may be reachable from other machines while `mode` is `none`: something
        /// else, such as the network or an ingress, then decides who may call.
        allow_unauthenticated: bool = false,
    }
}

/// Whether callers need a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum AuthMode {
    /// Every client may do everything: only on loopback.
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
    /// Instructions to the model beyond it.
    #[serde(default)]
    pub instructions: Option<String>,
    /// How hard the model should think; none leaves it to the deployment.
    #[serde(default)]
    pub reasoning_effort: Option<Effort>,
    /// Rules that the values must keep.
    #[serde(default)]
    pub checks: Vec<String>,
}

/// Reads the configuration: the file where one is named, else `./sluice.toml` where there is one,
/// else the defaults; then `SLUICE_SECTION__KEY` from the environment goes over it. Other variables
/// that start with `SLUICE_`, such as those that Kubernetes makes of a Service, become warnings. A
/// file has at most 1 MiB.
///
/// With no `[[deployments]]` there is the one that the environment names as the providers' own
/// tools do: `OPENAI_API_KEY` (with `OPENAI_BASE_URL`, and `OPENAI_MODEL`, by default `gpt-4o`)
/// makes the deployment `openai`; else `AZURE_OPENAI_ENDPOINT`, `AZURE_OPENAI_API_KEY` and
/// `AZURE_OPENAI_DEPLOYMENT` make `azure`. OpenAI wins where both are there. Either has the
/// limits that its responses name, or no more than `OPENAI_TOKENS_PER_MINUTE`.
///
/// # Errors
/// When something is wrong with it; the message names file, line, key and remedy, and never a
/// value that came out of the environment or is a secret. Impossible values are all named, one a
/// line; anything else is named alone.
pub fn load(
    path: Option<&Path>,
    environment: &BTreeMap<String, String>,
) -> Result<Config, ConfigError> {
    let found = Path::new("sluice.toml");
    let path = path.or_else(|| found.exists().then_some(found));
    let text = path.map(load::text_of).transpose()?.unwrap_or_default();
    let file = path.map_or_else(|| "sluice.toml".to_owned(), |path| path.display().to_string());
    let mut config = load::read(&file, &text, environment)?;
    let folder = path.and_then(Path::parent).unwrap_or(Path::new(""));
    for schema in &mut config.schemas {
        schema.file = folder.join(&schema.file);
    }
    Ok(config)
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
             sluice.toml, where auth = \"entra\" needs no key; `sluice demo` needs none"
                .to_owned(),
        ))
    }

    /// The models that answer in place of this one, in order, when it cannot.
    pub fn fallback(&self, model: &str) -> Vec<String> {
        model::chain(&self.models, model)
    }

    /// The configuration as JSON: secrets are `***`, and so are passwords and queries in URLs.
    pub fn redacted(&self) -> serde_json::Value {
        serde_json::to_value(self).unwrap_or_default()
    }
}

fn cores() -> u32 {
    std::thread::available_parallelism().map_or(2, |n| u32::try_from(n.get()).unwrap_or(2))
}

#[cfg(test)]
mod tests;

#[cfg(test)]
mod shown_tests;
