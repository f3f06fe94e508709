//! The body of a request, piece by piece, watched: it may not stall, and a parser that reads it
//! may not hoard it.

use crate::error::{ApiError, Code};
use axum::body::{Body, BodyDataStream};
use bytes::Bytes;
use futures::{Stream, StreamExt};
use std::{
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

/// How long a body may pause.
const PAUSE_MAX: Duration = Duration::from_secs(60);

/// The most bytes handed out in one go: a parser that reads until nothing is ready must stop and
/// give on what it has, however fast the client is.
const RUN_BYTES_MAX: usize = 256 * 1024;

/// The most bytes that a parser may swallow without making anything of them: headers of a part
/// that never end, a first boundary that never comes.
const HOARD_BYTES_MAX: usize = 1024 * 1024;

/// How much of a refused body is still read, and how long, so that a client that is busy sending
/// sees the answer rather than a broken connection.
const DRAIN_BYTES_MAX: usize = 64 * 1024 * 1024;
const DRAIN_MAX: Duration = Duration::from_secs(2);

/// The body. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Pieces(Arc<Mutex<Watched>>);

#[derive(Debug)]
struct Watched {
    body: BodyDataStream,
    begun: bool,
    run: usize,
    hoard: usize,
    fault: Option<Fault>,
}

#[derive(Clone, Debug, thiserror::Error)]
enum Fault {
    #[error("{0}")]
    Broken(String),
    #[error("the headers of a part, or what stands before the first boundary, do not end")]
    Hoarded,
}

impl Pieces {
    pub(crate) fn new(body: Body) -> Self {
        let body = body.into_data_stream();
        Self(Arc::new(Mutex::new(Watched { body, begun: false, run: 0, hoard: 0, fault: None })))
    }

    /// The next piece.
    ///
    /// # Errors
    /// When the body breaks off or stalls.
    pub(crate) async fn piece(&mut self) -> Result<Option<Bytes>, ApiError> {
        let next = unstalled(self.next()).await?;
        self.progress();
        match next {
            None => Ok(None),
            Some(Ok(piece)) => Ok(Some(piece)),
            Some(Err(error)) => Err(self.error(error)),
        }
    }

    /// Says that the parser has made something of what it read.
    pub(crate) fn progress(&self) {
        self.watched().hoard = 0;
    }

    /// What a parser's error means: the body broke off, or it was not what the parser expects.
    pub(crate) fn error(&self, parser: impl ToString) -> ApiError {
        match self.watched().fault.clone() {
            Some(Fault::Broken(why)) => {
                ApiError::new(Code::IncompleteBody, format!("the body broke off: {why}"))
            }
            Some(hoarded) => ApiError::new(Code::MalformedMultipart, hoarded.to_string()),
            None => ApiError::new(Code::MalformedMultipart, parser.to_string()),
        }
    }

    /// Reads what is left of a body that was refused, within bounds. A client that waits to be
    /// told to go on (`Expect: 100-continue`) is not told so here.
    pub(crate) async fn drain(mut self, waits_for_100: bool) {
        if waits_for_100 && !self.watched().begun {
            return;
        }
        let drain = async {
            let mut left = DRAIN_BYTES_MAX;
            while let Some(Ok(piece)) = self.next().await {
                self.progress();
                left = left.saturating_sub(piece.len());
                if left == 0 {
                    break;
                }
            }
        };
        // Whoever sends for longer than that has been told.
        let _ = tokio::time::timeout(DRAIN_MAX, drain).await;
    }

    fn watched(&self) -> MutexGuard<'_, Watched> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Stream for Pieces {
    type Item = Result<Bytes, axum::Error>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut watched = self.watched();
        if watched.run >= RUN_BYTES_MAX {
            watched.run = 0;
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        let polled = watched.body.poll_next_unpin(context);
        watched.begun = true;
        match &polled {
            Poll::Pending => watched.run = 0,
            Poll::Ready(None) => {}
            Poll::Ready(Some(Err(error))) => watched.fault = Some(Fault::Broken(reason(error))),
            Poll::Ready(Some(Ok(piece))) => {
                watched.run += piece.len();
                watched.hoard += piece.len();
                if watched.hoard > HOARD_BYTES_MAX {
                    watched.fault = Some(Fault::Hoarded);
                    return Poll::Ready(Some(Err(axum::Error::new(Fault::Hoarded))));
                }
            }
        }
        polled
    }
}

/// Waits for a step of reading, as long as a body may pause.
///
/// # Errors
/// When it takes longer.
pub(crate) async fn unstalled<T>(step: impl Future<Output = T>) -> Result<T, ApiError> {
    tokio::time::timeout(PAUSE_MAX, step).await.map_err(|_| {
        let detail = format!("no byte arrived for {} seconds", PAUSE_MAX.as_secs());
        ApiError::new(Code::UploadStalled, detail)
    })
}

/// The innermost cause: what is around it says only that a body was read.
fn reason(error: &axum::Error) -> String {
    let mut error: &dyn std::error::Error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}
