//! From the configuration to a worker.

use crate::{
    extract::embedded::AskingLimits,
    measured::{RecentDocuments, Waits},
    worker::{CompiledSchemas, Learned, Settings, Worker},
};
use anyhow::Context;
use pool::{Fleet, Pool, PoolConfig};
use reader::{Children, Engine, Limits, OcrError, Scanning, Tesseract, TextReader};
use shared::{
    config::{self, Config, Scans},
    schema::MODEL_DEFAULT,
    services::Services,
    store::CallLimits,
};
use std::{sync::Arc, thread::available_parallelism, time::Duration};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// Builds a worker. It does nothing until [`crate::consume::run`].
///
/// # Errors
/// When the deployments cannot make a pool, or this binary cannot find itself.
pub fn build(
    config: &Config,
    services: Services,
    draining: CancellationToken,
) -> anyhow::Result<Worker> {
    let call_timeout = Duration::from_secs(config.worker.call_timeout_seconds);
    let deployments = config.deployments.clone();
    let strategies = config.models.iter().map(|one| (one.name.clone(), one.strategy)).collect();
    let pool = Pool::new(PoolConfig { deployments, strategies, call_timeout })?;
    let text = text_reader(config)?;
    let id: Arc<str> = Uuid::new_v4().simple().to_string().into();
    let fleet = Fleet::join(pool.clone(), services.quota.clone(), id.clone());
    Ok(Worker {
        id,
        services,
        pool,
        fleet,
        waits: Waits::default(),
        recent: RecentDocuments::default(),
        text: Arc::new(text),
        schemas: CompiledSchemas::default(),
        learned: Learned::default(),
        assembling: Arc::new(Semaphore::new(available_parallelism().map_or(1, usize::from))),
        settings: Arc::new(settings(config)),
        draining,
    })
}

/// What reads the files of documents: children of this program.
///
/// # Errors
/// When this program cannot be found, to be started again.
pub fn text_reader(config: &Config) -> anyhow::Result<TextReader> {
    let binary = std::env::current_exe().context("find this program, to start it as text child")?;
    let engine = match config.text.engine {
        config::TextEngine::Hayro => Engine::Hayro,
        config::TextEngine::PdfExtract => Engine::PdfExtract,
    };
    let children = Children {
        program: binary,
        arguments: vec!["text-child".into()],
        count_max: config.worker.text_children as usize,
        files_max: config.text.child_files_max,
        memory_kept_bytes_max: config.text.child_memory_kept_bytes_max,
        allow_unsandboxed: config.text.allow_unsandboxed,
    };
    let scanning = Scanning { tesseract: tesseract(config)?, dpi: config.text.scan_dpi };
    TextReader::new(children, engine, limits(config), scanning).context("prepare text children")
}

/// What reads scans, where something is to.
///
/// # Errors
/// When it must be there and is not.
fn tesseract(config: &Config) -> anyhow::Result<Option<Tesseract>> {
    let text = &config.text;
    let find = || Tesseract::find(&text.ocr_program, &text.languages);
    match text.scans {
        Scans::Ocr => Ok(Some(find()?)),
        Scans::Vision | Scans::Fail => Ok(None),
        Scans::Auto => match find() {
            Ok(found) => Ok(Some(found)),
            // Only one that nobody asked for may be missing.
            Err(OcrError::Missing(_)) if text.languages.is_empty() => Ok(None),
            Err(error) => Err(error.into()),
        },
    }
}

fn settings(config: &Config) -> Settings {
    let worker = &config.worker;
    // A schema that names no model is asked of the one that is there.
    let model = config.deployments.first().map_or(MODEL_DEFAULT, |first| &first.model);
    Settings {
        concurrency: worker.concurrency,
        interactive_reserved: worker
            .interactive_reserved
            .unwrap_or_else(|| worker.concurrency.div_ceil(8)),
        call_limits: CallLimits {
            calls_max: worker.calls_max,
            pauses: worker.call_pauses_seconds.iter().copied().map(Duration::from_secs).collect(),
        },
        attempts_max: worker.attempts_max,
        lease: Duration::from_secs(worker.lease_seconds),
        sweep: Duration::from_secs(worker.sweep_seconds),
        job_time_max: Duration::from_secs(worker.job_seconds_max),
        outage_max: Duration::from_secs(worker.outage_seconds_max),
        tokens_output_max: worker.tokens_output_max,
        context_tokens_max: worker.context_tokens_max,
        model: model.to_owned(),
        scans: config.text.scans,
        scan_pages_max: config.text.scan_pages_max,
        members: config.members.clone(),
        asking: AskingLimits {
            embedded: config.text.embedded,
            properties_max: worker.question_properties_max as usize,
        },
        fallback: config
            .models
            .iter()
            .map(|one| (one.name.clone(), config.fallback(&one.name)))
            .collect(),
    }
}

fn limits(config: &Config) -> Limits {
    let worker = &config.worker;
    Limits {
        memory_bytes_max: worker.text_memory_bytes_max,
        cpu_seconds_max: worker.text_seconds_max,
        // A machine with more children than processors gives each less than real time.
        wall: Duration::from_secs(worker.text_seconds_max.saturating_mul(2)),
        output_bytes_max: config.limits.text_bytes_max,
        pages_max: config.limits.pages_max,
        input_bytes_max: config.limits.size_bytes_max,
        image_pixels_max: config.limits.image_pixels_max,
        ocr_seconds_max: config.text.ocr_seconds_max,
        ocr_pages_max: config.text.scan_pages_max,
        ..Limits::default()
    }
}
