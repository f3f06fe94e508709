//! One connection to a broker, made when it is first needed and again whenever it is lost.
//!
//! Lapin's own recovery is not used: it knows one host only, gives up, and would declare again
//! what it declared once instead of what is needed.

use super::{
    address::Brokers,
    topology::{self, NotDeclared},
};
use crate::queue::QueueError;
use lapin::{
    Connection, ConnectionProperties,
    tcp::{AMQPUriTcpExt, OwnedTLSConfig},
    uri::AMQPUri,
};
use std::{
    fmt,
    hash::{BuildHasher, RandomState},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::{
    sync::Mutex,
    time::{Instant, timeout},
};

/// How long one host may take to let us in.
const CONNECT_MAX: Duration = Duration::from_secs(5);

/// How long a broker may take to declare queues and exchanges.
const DECLARE_MAX: Duration = Duration::from_secs(15);

/// The pause after a first failure; it doubles with each.
const PAUSE_MIN: Duration = Duration::from_millis(250);

/// The longest pause.
const PAUSE_MAX: Duration = Duration::from_secs(10);

/// A connection for one purpose.
pub(super) struct Link {
    pub(super) brokers: Arc<Brokers>,
    /// How the broker shows it.
    name: &'static str,
    /// Whether queues and exchanges were declared and not lost since.
    declared: AtomicBool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    connection: Option<Arc<Connection>>,
    failures: u32,
    /// No attempt before this time, and why.
    rest: Option<(Instant, QueueError)>,
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Link {
    pub(super) fn new(brokers: Arc<Brokers>, name: &'static str) -> Self {
        Self { brokers, name, declared: AtomicBool::new(false), state: Mutex::default() }
    }

    /// The connection, with queues and exchanges in place; makes it where it is missing. After a
    /// failure it says the same again for a while without asking anybody.
    pub(super) async fn connection(&self) -> Result<Arc<Connection>, QueueError> {
        // Held while connecting, on purpose: other callers wait for this connection instead of
        // making another.
        let mut state = self.state.lock().await;
        let alive = state.connection.clone().filter(|alive| alive.status().connected());
        if let Some(alive) = &alive
            && self.declared.load(Ordering::SeqCst)
        {
            return Ok(Arc::clone(alive));
        }
        if let Some((until, why)) = &state.rest
            && Instant::now() < *until
        {
            return Err(why.clone());
        }
        match self.establish(alive).await {
            Ok(connection) => {
                *state = State { connection: Some(Arc::clone(&connection)), ..State::default() };
                Ok(connection)
            }
            Err(error) => {
                let until = Instant::now() + pause(state.failures);
                state.failures = state.failures.saturating_add(1);
                state.rest = Some((until, error.clone()));
                Err(error)
            }
        }
    }

    /// Something that was declared is not there any more: it is declared again at the next use.
    pub(super) fn undeclared(&self) {
        self.declared.store(false, Ordering::SeqCst);
    }

    async fn establish(
        &self,
        alive: Option<Arc<Connection>>,
    ) -> Result<Arc<Connection>, QueueError> {
        let connection = match alive {
            Some(alive) => alive,
            None => Arc::new(self.connect().await?),
        };
        let declared = timeout(DECLARE_MAX, topology::declare(&connection)).await;
        let declared = declared.unwrap_or_else(|_| {
            let text = format!("no answer within {} s", DECLARE_MAX.as_secs());
            Err(NotDeclared { text, is_other_kind: false })
        });
        declared.map_err(|NotDeclared { text, is_other_kind }| QueueError {
            is_other_kind,
            ..self.brokers.error("declare its queues and exchanges", text)
        })?;
        self.declared.store(true, Ordering::SeqCst);
        Ok(connection)
    }

    /// Tries one host after the other; the error is the last one's.
    async fn connect(&self) -> Result<Connection, QueueError> {
        let mut error = None;
        for uri in self.brokers.shuffled() {
            let host = format!("connect to {}:{}", uri.authority.host, uri.authority.port);
            match timeout(CONNECT_MAX, connect(uri, self.name)).await {
                Ok(Ok(connection)) => return Ok(connection),
                Ok(Err(refused)) => error = Some(self.brokers.refusal(&host, &refused)),
                Err(_) => {
                    let late = format!("no answer within {} s", CONNECT_MAX.as_secs());
                    error = Some(self.brokers.error(&host, late));
                }
            }
        }
        Err(error.unwrap_or_else(|| QueueError::new("there is no host".to_owned())))
    }
}

async fn connect(uri: AMQPUri, name: &str) -> lapin::Result<Connection> {
    let properties = ConnectionProperties::default().with_connection_name(name.into());
    let runtime = async_rs::Runtime::tokio_current();
    let tcp = async |uri: AMQPUri, runtime: async_rs::TokioRuntime| {
        // Lapin's thread would wait for minutes for a host that drops packets.
        let tls = OwnedTLSConfig::default();
        let stream = uri.connect_with_config_async(tls.as_ref(), &runtime);
        match timeout(CONNECT_MAX, stream).await {
            Ok(stream) => stream.map_err(lapin::Error::from),
            Err(late) => Err(std::io::Error::from(late).into()),
        }
    };
    Connection::connector(uri, runtime, tcp, properties).await
}

/// How long to rest after so many failures before this one: it doubles, and the upper half of it
/// is chance, so that many processes do not come back at the same moment.
pub(super) fn pause(failures: u32) -> Duration {
    let longest = PAUSE_MIN.saturating_mul(1 << failures.min(10)).min(PAUSE_MAX);
    let chance = RandomState::new().hash_one(0) as f64 / u64::MAX as f64;
    longest.mul_f64(0.5 + chance / 2.0)
}
