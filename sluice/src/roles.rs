//! Runs uploader and worker, together or alone, until told to stop: softly first, then hard.

use crate::{end::End, membership, start, telemetry};
use shared::{config::Config, services::Services};
use std::{net::SocketAddr, sync::Arc, time::Duration};
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;
use worker::{report::report, worker::Worker};

/// What a worker may take beyond its longest call to end what it has begun.
const GRACE: Duration = Duration::from_secs(10);

/// Which roles this process plays.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Roles {
    pub(crate) uploader: bool,
    pub(crate) worker: bool,
}

/// A process at work.
#[derive(Debug)]
pub(crate) struct Running {
    /// Where the uploader listens.
    pub(crate) address: Option<SocketAddr>,
    soft: CancellationToken,
    hard: CancellationToken,
    background: CancellationToken,
    roles: Vec<JoinHandle<()>>,
    helpers: Vec<JoinHandle<()>>,
    grace: Duration,
}

/// Runs until a signal: the first one drains, the second one ends at once.
pub(crate) async fn run(config: Config, roles: Roles) -> Result<(), End> {
    let running = start(config, roles).await?;
    if let Some(address) = running.address {
        tracing::info!(
            "listening on http://{address}{}",
            if roles.uploader { ", documentation at /docs" } else { "" }
        );
    }
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} }
    tracing::info!(
        "draining: what runs is finished, what waits goes back; signal again to stop now"
    );
    let hard = running.hard.clone();
    let stopped = running.stop();
    tokio::pin!(stopped);
    tokio::select! {
        () = &mut stopped => return Ok(()),
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    hard.cancel();
    stopped.await;
    Ok(())
}

/// Starts the roles and returns when they are ready.
pub(crate) async fn start(config: Config, roles: Roles) -> Result<Running, End> {
    if roles.worker {
        config.deployments_required().map_err(End::usage)?;
    }
    // Both TLS users share one provider; a second installation is refused and harmless.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let metrics = telemetry::metrics().ok();
    let services = Services::open(&config).map_err(End::usage)?;
    start::prepare(&config, &services, roles.uploader).await?;
    let [soft, hard, background] = [(); 3].map(|()| CancellationToken::new());
    let mut running = Running {
        address: None,
        soft: soft.clone(),
        hard: hard.clone(),
        background: background.clone(),
        roles: Vec::new(),
        helpers: Vec::new(),
        grace: Duration::from_secs(config.worker.call_timeout_seconds) + GRACE,
    };
    let mut text = None;
    if roles.worker {
        let worker = worker::build(&config, services.clone(), soft.clone()).map_err(End::usage)?;
        for missing in worker.text.check().await.map_err(|error| End::Usage(error.to_string()))? {
            tracing::warn!("hostile files are not fully locked in: {missing}");
        }
        text = Some(Arc::clone(&worker.text));
        let sweep = worker::sweep::run(worker.clone(), background.clone());
        running.helpers.push(tokio::spawn(sweep));
        let fleet = worker.fleet.clone().run(background.clone());
        running.helpers.push(tokio::spawn(fleet));
        running.helpers.push(tokio::spawn(register(&worker, background.clone())));
        running.roles.push(tokio::spawn(worker::consume::run(worker, hard)));
    }
    let listen = match roles.uploader {
        true => Some(&config.listen),
        false => config.worker.listen.as_ref(),
    };
    if let Some(listen) = listen {
        let listener = TcpListener::bind(listen)
            .await
            .map_err(|error| End::Usage(format!("cannot listen on {listen}: {error}")))?;
        running.address = Some(listener.local_addr()?);
        let limits = uploader::Limits::from(&config);
        let router = match roles.uploader {
            true => {
                let own = || worker::text_reader(&config).map(Arc::new).map_err(End::usage);
                let text = text.map_or_else(own, Ok)?;
                uploader::router(services.clone(), limits, metrics, text)
            }
            false => uploader::operations(services.clone(), limits, metrics),
        };
        // A worker is watched until it has drained.
        let stop = if roles.uploader { soft } else { background.clone() };
        let serve = uploader::serve(router, listener, stop);
        let ended = if roles.uploader { &mut running.roles } else { &mut running.helpers };
        ended.push(tokio::spawn(async move {
            if let Err(error) = serve.await {
                tracing::error!(%error, "the uploader stopped");
            }
        }));
    }
    let relay = async move { services.relay.run(background).await };
    running.helpers.push(tokio::spawn(relay));
    Ok(running)
}

/// Counts the worker as a member of the pool, until `stop`.
fn register(worker: &Worker, stop: CancellationToken) -> impl Future<Output = ()> + use<> {
    let (store, member) = (worker.services.store.clone(), Arc::clone(&worker.id));
    let (fleet, worker) = (worker.fleet.clone(), worker.clone());
    let report = move || report(&worker);
    membership::run(store, member, fleet, report, stop)
}

impl Running {
    /// Drains, for as long as the longest call and a little may take, then ends what is left.
    pub(crate) async fn stop(self) {
        self.soft.cancel();
        let mut roles = futures::future::join_all(self.roles);
        if tokio::time::timeout(self.grace, &mut roles).await.is_err() {
            self.hard.cancel();
            roles.await;
        }
        // The relay goes last: it publishes what the worker put back.
        self.background.cancel();
        futures::future::join_all(self.helpers).await;
    }
}
