//! Where the books of the models lie in Redis: read, and written where nobody was faster.
//!
//! It must know nothing of what stands in a book, nor of when it is asked for.

use crate::pool::Book;
use deadpool_redis::{
    Pool,
    redis::{Script, ScriptInvocation},
};
use sha2::{Digest, Sha256};
use shared::{quota::QuotaError, schema::hexadecimal};
use std::{sync::Arc, time::Duration};
use tokio::time::{Instant, timeout};

/// How long one question to Redis may take, with its connection.
pub(super) const ASK_MAX: Duration = Duration::from_millis(1500);
/// A book that nobody has written into for so long says nothing any more.
const KEPT: Duration = Duration::from_secs(24 * 3600);
/// A worker that has said nothing for so long is not counted.
const COUNTED: Duration = Duration::from_secs(5);

/// The slot of a cluster is chosen by what stands in braces: all keys are in one.
const PREFIX: &str = "sluice:{quota}:";

/// The books in Redis, for one worker.
pub(super) struct Shelf {
    redis: Pool,
    script: Script,
    worker: Arc<str>,
}

/// What Redis answered.
pub(super) struct Found {
    /// Whether what was to be written is written.
    pub(super) is_written: bool,
    /// Its clock, in milliseconds, at the latest when the answer was here.
    pub(super) time_ms: f64,
    /// When the answer was here.
    pub(super) here: Instant,
    /// How many workers have said something lately.
    pub(super) workers: u32,
    /// What tells this state of the book from all others.
    pub(super) version: String,
    /// The epoch of the book; empty where there is none.
    pub(super) epoch: String,
    /// The book; none where there is none, or it was not asked for.
    book: String,
}

type Raw = (u8, u64, u64, u32, String, String, String);

impl Shelf {
    pub(super) fn new(redis: Pool, worker: Arc<str>) -> Self {
        Self { redis, script: Script::new(include_str!("book.lua")), worker }
    }

    /// Only says that this worker lives, and which book there is.
    pub(super) async fn beat(&self, model: &str) -> Result<Found, QuotaError> {
        self.ask(model, "beat", "", "", "").await
    }

    /// Reads the book.
    pub(super) async fn read(&self, model: &str) -> Result<Found, QuotaError> {
        self.ask(model, "", "", "", "").await
    }

    /// Writes the book where it is still as it was found; otherwise finds it as it is now.
    pub(super) async fn write(
        &self,
        model: &str,
        found: &Found,
        book: &Book,
    ) -> Result<Found, QuotaError> {
        let text = serde_json::to_string(book).map_err(QuotaError::new)?;
        // By chance, so that no version comes twice, whatever Redis forgets.
        let version = uuid::Uuid::new_v4().simple().to_string();
        self.ask(model, &found.version, &version, &book.epoch().to_string(), &text).await
    }

    async fn ask(
        &self,
        model: &str,
        expected: &str,
        version: &str,
        epoch: &str,
        book: &str,
    ) -> Result<Found, QuotaError> {
        let ask = async {
            let mut connection = self.redis.get().await.map_err(QuotaError::new)?;
            let mut ask: ScriptInvocation<'_> = self.script.prepare_invoke();
            let key = key(model);
            ask.key(&key).key(format!("{key}:workers")).arg(&*self.worker).arg(expected);
            ask.arg(version).arg(epoch).arg(book).arg(ms(KEPT)).arg(ms(COUNTED));
            let raw: Raw = ask.invoke_async(&mut connection).await.map_err(QuotaError::new)?;
            Ok(raw)
        };
        let late = |_| QuotaError::new("no answer in time");
        let raw = timeout(ASK_MAX, ask).await.map_err(late)??;
        let (is_written, seconds, micros, workers, version, epoch, book) = raw;
        Ok(Found {
            is_written: is_written == 1,
            time_ms: seconds as f64 * 1_000.0 + micros as f64 / 1_000.0,
            here: Instant::now(),
            workers,
            version,
            epoch,
            book,
        })
    }
}

impl Found {
    /// The book that was found. One that cannot be read, because another version of this program
    /// wrote it, is as good as none.
    pub(super) fn book(&self) -> Option<Book> {
        if self.book.is_empty() {
            return None;
        }
        serde_json::from_str(&self.book)
            .inspect_err(|error| tracing::warn!(%error, "the book of the quota cannot be read"))
            .ok()
    }
}

fn key(model: &str) -> String {
    let hash = hexadecimal(&Sha256::digest(model));
    format!("{PREFIX}{}", hash.get(..32).unwrap_or(&hash))
}

fn ms(duration: Duration) -> u64 {
    duration.as_millis().try_into().unwrap_or(u64::MAX)
}
