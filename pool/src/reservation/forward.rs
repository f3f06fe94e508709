//! One raw request on a reservation: its response passes as it comes, and what it shows of its
//! tokens settles the reservation.
//!
//! It must know nothing of what the bodies are for.

use super::{Ended, Reservation};
use crate::limiter::LimiterHints;
use crate::provider::classify::classify;
use crate::provider::headers::RateLimits;
use crate::provider::tap::{Tap, Tapped};
use crate::provider::transport::{NoResponse, end_to_end};
use crate::typed::chat::{CallError, Refusal};
use crate::typed::usage::Usage;
use bytes::Bytes;
use futures::{Stream, StreamExt, stream};
use reqwest::header::HeaderMap;
use reqwest::{Method, Response, StatusCode};
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::timeout;

/// What is read of the body of a response that is no success, to find out what it means.
const ERROR_BYTES_MAX: usize = 64 * 1024;

/// A response to a forwarded request.
#[derive(Debug)]
pub struct Forwarded {
    /// The provider's status.
    pub status: StatusCode,
    /// The provider's headers, without those of the connection.
    pub headers: HeaderMap,
    /// What the caller should do, where the status is no success. The reservation is settled then.
    pub error: Option<CallError>,
    /// The provider's own bytes.
    pub body: ForwardedBody,
    /// How the call ended, when the body has: nothing comes where the response is no success.
    pub outcome: oneshot::Receiver<ForwardOutcome>,
}

/// How the body of a forwarded response ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ForwardOutcome {
    /// The tokens that were used.
    pub usage: Usage,
    /// Whether the provider did not say what it used: then the tokens of the answer are estimated
    /// by its length, and those of the question are 0.
    pub is_estimated: bool,
    /// Whether the answer came to its end.
    pub is_complete: bool,
}

/// The body of a response on its way. An error is its last item. Where it is dropped before its end
/// the call stays charged, for nobody knows what it cost.
pub struct ForwardedBody(Pin<Box<dyn Stream<Item = Result<Bytes, CallError>> + Send>>);

impl Stream for ForwardedBody {
    type Item = Result<Bytes, CallError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.as_mut().poll_next(context)
    }
}

impl fmt::Debug for ForwardedBody {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("ForwardedBody")
    }
}

impl Reservation {
    /// Sends one request to the reserved deployment, once: to its address and with its key. `path`
    /// is one of the API such as `/chat/completions`, and may have a query. Of the headers those that
    /// name the caller and those of its connection are left out; the body stays as it is, so it
    /// names the model as [`Self::provider_model`] does.
    ///
    /// The response comes with its headers, its body as it arrives. What the body shows of its
    /// tokens settles the reservation when it ends or fails. When the future, or the body, is
    /// dropped before, the call stays charged.
    ///
    /// # Errors
    /// When no response came, or the path is not one of the API.
    pub async fn forward(
        mut self,
        method: Method,
        path: &str,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<Forwarded, CallError> {
        let client = self.client()?;
        let Some(request) = client.transport.request(method, path, headers, body) else {
            let (deployment, why) = (self.deployment.clone(), Refusal::Other);
            let message = format!("{path:?} is no path of the API");
            return Err(CallError::Refused { deployment, status: 404, why, message });
        };
        let call_timeout = self.model_pool.call_timeout;
        self.start();
        let sent = timeout(call_timeout, client.transport.send(request)).await;
        let response = match sent.unwrap_or_else(|_| Err(NoResponse::late(call_timeout))) {
            Ok(response) => response,
            Err(error) => {
                let limits = RateLimits { retry_after: error.retry_after, ..RateLimits::default() };
                let error = error.error(&self.deployment);
                self.settle(&Ended::failed(&error, limits.hints()));
                return Err(error);
            }
        };
        if response.status().is_success() {
            Ok(self.relay(response))
        } else {
            Ok(self.rejected(response).await)
        }
    }

    /// What requests to the reserved deployment call the model.
    pub fn provider_model(&self) -> &str {
        let client = self.model_pool.clients.get(self.index);
        client.map_or("", |client| client.transport.model())
    }

    /// A success: its body is read as it passes.
    fn relay(self, response: Response) -> Forwarded {
        let (status, headers) = (response.status(), response.headers().clone());
        let (ended, outcome) = oneshot::channel();
        let relay = Relay {
            tap: Some(Tap::new(status.as_u16(), &headers)),
            hints: RateLimits::read(&headers).hints(),
            idle_max: self.model_pool.call_timeout,
            response,
            reservation: self,
            ended: Some(ended),
        };
        let body = stream::unfold(Some(relay), async |relay| {
            let mut relay = relay?;
            let item = relay.next().await?;
            let rest = item.is_ok().then_some(relay);
            Some((item, rest))
        });
        let (headers, body) = (end_to_end(headers), ForwardedBody(Box::pin(body)));
        Forwarded { status, headers, error: None, body, outcome }
    }

    /// No success: what it means is found out before it is passed on, and settles the reservation.
    async fn rejected(mut self, mut response: Response) -> Forwarded {
        let (status, headers) = (response.status(), response.headers().clone());
        let idle_max = self.model_pool.call_timeout;
        let (mut chunks, mut text, mut is_whole) = (Vec::new(), Vec::new(), false);
        while text.len() < ERROR_BYTES_MAX {
            match chunk(&mut response, idle_max).await {
                Ok(Some(bytes)) => {
                    text.extend_from_slice(&bytes);
                    chunks.push(Ok(bytes));
                }
                Ok(None) => {
                    is_whole = true;
                    break;
                }
                Err(error) => {
                    is_whole = true;
                    chunks.push(Err(error.error(&self.deployment)));
                    break;
                }
            }
        }
        let text = String::from_utf8_lossy(&text);
        let error = classify(&self.deployment, status.as_u16(), &headers, &text);
        self.settle(&Ended::failed(&error, RateLimits::read(&headers).hints()));
        let deployment = self.deployment.clone();
        let rest = stream::unfold(Some(response).filter(|_| !is_whole), move |response| {
            let deployment = deployment.clone();
            async move {
                let mut response = response?;
                match chunk(&mut response, idle_max).await.transpose()? {
                    Ok(bytes) => Some((Ok(bytes), Some(response))),
                    Err(error) => Some((Err(error.error(&deployment)), None)),
                }
            }
        });
        let body = ForwardedBody(Box::pin(stream::iter(chunks).chain(rest)));
        let (headers, (_, outcome)) = (end_to_end(headers), oneshot::channel());
        Forwarded { status, headers, error: Some(error), body, outcome }
    }
}

/// The next bytes of a body.
async fn chunk(response: &mut Response, idle_max: Duration) -> Result<Option<Bytes>, NoResponse> {
    let next = timeout(idle_max, response.chunk()).await;
    Ok(next.map_err(|_| NoResponse::late(idle_max))??)
}

/// A body on its way. It settles its reservation once: at the end of the answer, when it fails, or
/// when it is dropped after the provider has said what the answer used.
struct Relay {
    response: Response,
    /// None from the end of the answer on.
    tap: Option<Tap>,
    hints: LimiterHints,
    idle_max: Duration,
    reservation: Reservation,
    ended: Option<oneshot::Sender<ForwardOutcome>>,
}

impl Relay {
    async fn next(&mut self) -> Option<Result<Bytes, CallError>> {
        match chunk(&mut self.response, self.idle_max).await {
            Ok(Some(bytes)) => {
                if let Some(tap) = &mut self.tap {
                    tap.push(&bytes);
                    // Who reads an answer may leave as soon as it has all of it.
                    if tap.is_complete() {
                        self.finish();
                    }
                }
                Some(Ok(bytes))
            }
            Ok(None) => {
                self.finish();
                None
            }
            Err(error) => {
                let error = error.error(&self.reservation.deployment);
                if let Some(tap) = self.tap.take() {
                    self.reservation.settle(&Ended::failed(&error, self.hints));
                    self.report(tap.so_far(), !tap.has_usage(), false);
                }
                Some(Err(error))
            }
        }
    }

    /// The answer is complete.
    fn finish(&mut self) {
        let Some(tap) = self.tap.take() else { return };
        let so_far = tap.so_far();
        let Tapped { result, is_estimated, model } = tap.finish(&self.reservation.deployment);
        let (usage, is_complete) = (*result.as_ref().unwrap_or(&so_far), result.is_ok());
        let (result, hints) = (result.as_ref().copied(), self.hints);
        self.reservation.settle(&Ended { result, hints, model: model.as_deref() });
        self.report(usage, is_estimated, is_complete);
    }

    fn report(&mut self, usage: Usage, is_estimated: bool, is_complete: bool) {
        if let Some(ended) = self.ended.take() {
            // The caller may not want to know.
            let _ = ended.send(ForwardOutcome { usage, is_estimated, is_complete });
        }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        let Some(tap) = self.tap.take() else { return };
        let usage = tap.so_far();
        if tap.has_usage() {
            let (result, hints) = (Ok(usage), self.hints);
            self.reservation.settle(&Ended { result, hints, model: None });
        }
        self.report(usage, !tap.has_usage(), false);
    }
}
