//! Before a role begins: the services that it cannot do without must answer, and the database must
//! have its tables and schemas.
//!
//! Machines start in any order, so a service that is away is waited for. One that refuses is not:
//! a wrong password stays wrong.

use crate::end::End;
use shared::{
    blob::BlobError,
    config::Config,
    schema::{self, builtin},
    services::Services,
    store::StoreError,
};
use std::{fmt::Display, time::Duration};
use tokio::time::{Instant, sleep, timeout};

/// How long to rest between two questions.
const PAUSE: Duration = Duration::from_secs(1);

/// How long the queue may take to say whether it lets us in.
const QUEUE_MAX: Duration = Duration::from_secs(10);

/// Waits until database and storage answer, and makes them ready. Who takes uploads starts also where
/// the queue cannot be used yet.
pub(crate) async fn prepare(
    config: &Config,
    services: &Services,
    takes_uploads: bool,
) -> Result<(), End> {
    let patience = Patience::new(Duration::from_secs(config.start_seconds_max));
    let store = &services.store;
    let database = async || match config.migrate {
        true => store.migrate().await,
        false => store.ready().await,
    };
    let unreachable = |error: StoreError| End::Unreachable(tables(error, config.migrate));
    patience.wait("database", StoreError::is_lasting, database).await.map_err(unreachable)?;
    let storage = async || services.blobs.probe().await;
    let refused = |error: BlobError| match error.is_a_setting() {
        true => End::usage(error),
        false => End::unreachable(error),
    };
    patience.wait("storage", BlobError::is_lasting, storage).await.map_err(refused)?;
    queue(services, takes_uploads).await?;
    seed(config, services).await
}

/// What to do where there are no tables.
fn tables(error: StoreError, migrates: bool) -> String {
    let hint =
        if migrates || !error.is_lasting() { "" } else { " (has `sluice migrate` been run?)" };
    format!("{error}{hint}")
}

/// Nobody waits for a queue that is away: uploads go on without it, and consuming begins when it is
/// back. But who is not let in now never will be, and a worker has nothing to do while another queue
/// has the name of its own.
async fn queue(services: &Services, takes_uploads: bool) -> Result<(), End> {
    match timeout(QUEUE_MAX, services.queue.ready()).await {
        Ok(Err(error)) if error.is_lasting() => Err(End::unreachable(error)),
        Ok(Err(error)) if error.is_other_kind() && !takes_uploads => Err(End::unreachable(error)),
        Ok(Err(error)) if error.is_other_kind() => {
            tracing::error!(%error, "uploads are accepted, and no work begins until this is mended");
            Ok(())
        }
        Ok(Err(error)) => {
            tracing::warn!(%error, "the queue does not answer yet: work begins when it does");
            Ok(())
        }
        Err(_) => {
            tracing::warn!("the queue does not answer yet: work begins when it does");
            Ok(())
        }
        Ok(Ok(())) => Ok(()),
    }
}

/// How long services are waited for, all together.
struct Patience {
    seconds: u64,
    until: Instant,
}

impl Patience {
    fn new(patience: Duration) -> Self {
        Self { seconds: patience.as_secs(), until: Instant::now() + patience }
    }

    /// Asks until there is an answer, a refusal, or no patience left.
    async fn wait<E: Display>(
        &self,
        service: &str,
        is_lasting: impl Fn(&E) -> bool,
        ask: impl AsyncFn() -> Result<(), E>,
    ) -> Result<(), E> {
        let mut has_waited = false;
        loop {
            let Err(error) = ask().await else {
                if has_waited {
                    tracing::info!("the {service} answers");
                }
                return Ok(());
            };
            if is_lasting(&error) || Instant::now() + PAUSE > self.until {
                return Err(error);
            }
            if !has_waited {
                let seconds = self.seconds;
                tracing::warn!(
                    %error,
                    "the {service} does not answer yet: it is waited for, at most {seconds} s \
                     (start_seconds_max)"
                );
            }
            has_waited = true;
            sleep(PAUSE).await;
        }
    }
}

/// Keeps the schemas that come with the program and those of the configuration.
async fn seed(config: &Config, services: &Services) -> Result<(), End> {
    for (name, body) in builtin::all() {
        let name = name.parse().map_err(End::usage)?;
        services.store.schemas().seed(&name, body).await.map_err(End::unreachable)?;
        let newest = services.store.schemas().get(&name, None).await.map_err(End::unreachable)?;
        if let Some(newest) = newest {
            services.copy_schema(&newest).await.map_err(End::unreachable)?;
        }
    }
    for entry in &config.schemas {
        let schema = configured(entry)?;
        let kept = services.store.schemas().put(&schema.0, schema.1).await;
        let kept = kept.map_err(End::unreachable)?;
        services.copy_schema(&kept).await.map_err(End::unreachable)?;
    }
    Ok(())
}

fn configured(
    entry: &shared::config::Schema,
) -> Result<(schema::SchemaName, serde_json::Value), End> {
    let name: schema::SchemaName = entry.name.parse().map_err(End::usage)?;
    let mut body = crate::schema::read(&entry.file)?;
    if let Some(object) = body.as_object_mut() {
        let own = object.entry(schema::KEYWORD).or_insert_with(|| serde_json::json!({}));
        if let Some(model) = &entry.model {
            own["model"] = model.clone().into();
        }
        if let Some(instructions) = &entry.instructions {
            own["instructions"] = instructions.clone().into();
        }
        if let Some(effort) = entry.reasoning_effort {
            own["reasoning_effort"] = effort.name().into();
        }
        if !entry.checks.is_empty() {
            own["checks"] = entry.checks.clone().into();
        }
    }
    crate::schema::usable(&entry.file.display().to_string(), &body)?;
    Ok((name, body))
}
