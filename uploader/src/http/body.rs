//! The body of a request as a stream of chunks with limits: it may not stall, and a parser may not
//! buffer it without end.

use crate::error::{ApiError, Code};
use axum::body::{Body, BodyDataStream};
use bytes::Bytes;
use futures::{Stream, StreamExt};
use shared::error_chain::causes;
use std::{
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

/// How long a body may pause.
const PAUSE_MAX: Duration = Duration::from_secs(60);

/// The most bytes given out in one go: a parser that reads until nothing is ready must stop and
/// yield, however fast the client is.
const RUN_BYTES_MAX: usize = 256 * 1024;

/// The most bytes that a parser may buffer before it yields something: headers of a part that never
/// end, a first boundary that never comes.
const UNPARSED_BYTES_MAX: usize = 1024 * 1024;

/// How much of a refused body is still read, and for how long: a client that is busy sending must see
/// the answer rather than a broken connection.
const DRAIN_BYTES_MAX: usize = 64 * 1024 * 1024;
const DRAIN_MAX: Duration = Duration::from_secs(2);

/// The body. Clones share it.
#[derive(Clone, Debug)]
pub(super) struct BodyChunks(Arc<Mutex<Inner>>);

#[derive(Debug)]
struct Inner {
    body: BodyDataStream,
    begun: bool,
    run: usize,
    unparsed: usize,
    fault: Option<Fault>,
}

#[derive(Clone, Debug, thiserror::Error)]
enum Fault {
    #[error("{0}")]
    Broken(String),
    #[error("the headers of a part, or what stands before the first boundary, do not end")]
    Unparsed,
}

impl BodyChunks {
    pub(super) fn new(body: Body) -> Self {
        let body = body.into_data_stream();
        Self(Arc::new(Mutex::new(Inner { body, begun: false, run: 0, unparsed: 0, fault: None })))
    }

    /// The next chunk.
    ///
    /// # Errors
    /// When the body breaks off or stalls.
    pub(super) async fn chunk(&mut self) -> Result<Option<Bytes>, ApiError> {
        let next = unstalled(self.next()).await?;
        self.progress();
        match next {
            None => Ok(None),
            Some(Ok(chunk)) => Ok(Some(chunk)),
            Some(Err(error)) => Err(self.error(error)),
        }
    }

    /// Notes that the parser has yielded something.
    pub(super) fn progress(&self) {
        self.inner().unparsed = 0;
    }

    /// What a parser's error means: the body broke off, or it was not what the parser expects.
    pub(super) fn error(&self, parser: impl ToString) -> ApiError {
        match self.inner().fault.clone() {
            Some(Fault::Broken(why)) => {
                ApiError::new(Code::IncompleteBody, format!("the body broke off: {why}"))
            }
            Some(unparsed) => ApiError::new(Code::MalformedMultipart, unparsed.to_string()),
            None => ApiError::new(Code::MalformedMultipart, parser.to_string()),
        }
    }

    /// Reads what is left of a body that was refused, within bounds. A client that waits for
    /// permission (`Expect: 100-continue`) does not get it here.
    pub(super) async fn drain(mut self, waits_for_100: bool) {
        if waits_for_100 && !self.inner().begun {
            return;
        }
        let drain = async {
            let mut left = DRAIN_BYTES_MAX;
            while let Some(Ok(chunk)) = self.next().await {
                self.progress();
                left = left.saturating_sub(chunk.len());
                if left == 0 {
                    break;
                }
            }
        };
        // A client that sends for longer gets a broken connection.
        let _ = tokio::time::timeout(DRAIN_MAX, drain).await;
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Stream for BodyChunks {
    type Item = Result<Bytes, axum::Error>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut inner = self.inner();
        if inner.run >= RUN_BYTES_MAX {
            inner.run = 0;
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        let polled = inner.body.poll_next_unpin(context);
        inner.begun = true;
        match &polled {
            Poll::Pending => inner.run = 0,
            Poll::Ready(None) => {}
            Poll::Ready(Some(Err(error))) => inner.fault = Some(Fault::Broken(reason(error))),
            Poll::Ready(Some(Ok(chunk))) => {
                inner.run += chunk.len();
                inner.unparsed += chunk.len();
                if inner.unparsed > UNPARSED_BYTES_MAX {
                    inner.fault = Some(Fault::Unparsed);
                    return Poll::Ready(Some(Err(axum::Error::new(Fault::Unparsed))));
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
pub(super) async fn unstalled<T>(step: impl Future<Output = T>) -> Result<T, ApiError> {
    tokio::time::timeout(PAUSE_MAX, step).await.map_err(|_| {
        let detail = format!("no byte arrived for {} seconds", PAUSE_MAX.as_secs());
        ApiError::new(Code::UploadStalled, detail)
    })
}

/// The innermost cause: the outer errors only say that a body was read.
fn reason(error: &axum::Error) -> String {
    causes(error).last().map_or_else(|| error.to_string(), ToString::to_string)
}
