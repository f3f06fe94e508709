//! The HTTP side: routes, and what is the same for all of them. It calls the verbs of the
//! services and must know nothing of how they work.

mod overview;
mod app;
mod body;
mod request;
mod wait;
mod content;
mod pages;
mod upload;
mod documents;
mod schemas;
mod deployments;
mod health;
mod docs;
mod trace;

use crate::{
    error::{ApiError, Code},
    limits::Limits,
};
use app::{App, Serving};
use axum::{
    Extension, Router,
    http::{Method, Uri},
    serve::ListenerExt,
};
use futures::{FutureExt, future::BoxFuture};
use metrics_exporter_prometheus::PrometheusHandle;
use reader::TextReader;
use shared::services::Services;
use std::{any::Any, io, sync::Arc, time::Duration};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tower_http::{
    catch_panic::CatchPanicLayer,
    request_id::{MakeRequestUuid, PropagateRequestIdLayer, SetRequestIdLayer},
};
use utoipa_axum::{router::OpenApiRouter, routes};

/// How long requests that are under way may take when the program stops. Kubernetes kills after
/// 30 seconds.
const DRAIN_MAX: Duration = Duration::from_secs(25);

/// All routes. The caller has brought the database up to date, keeps schemas in it, and runs the
/// relay of `services.relay`. `text` reads files that open only with the password that comes with
/// them.
pub fn router(
    services: Services,
    limits: Limits,
    metrics: Option<PrometheusHandle>,
    text: Arc<TextReader>,
) -> Router {
    let app = Arc::new(App::new(services, limits, metrics, Some(text)).with_overview());
    let (router, api) = routes().split_for_parts();
    around(with_problems(router.with_state(app).merge(docs::routes(api))))
}

/// The routes by which a worker that runs alone is watched: `/healthz`, `/readyz`, `/metrics`.
pub fn operations(services: Services, limits: Limits, metrics: Option<PrometheusHandle>) -> Router {
    let app = Arc::new(App::new(services, limits, metrics, None));
    let (router, _) = operation().split_for_parts();
    around(with_problems(router.with_state(app)))
}

/// Answers what no route takes with a problem.
fn with_problems(router: Router) -> Router {
    router
        .fallback(async |uri: Uri| {
            let detail = format!("there is nothing at {}", uri.path());
            ApiError::new(Code::UnknownRoute, detail).hint("GET /docs lists every route")
        })
        .method_not_allowed_fallback(async |method: Method, uri: Uri| {
            let detail = format!("{} does not take {method}", uri.path());
            ApiError::new(Code::MethodNotAllowed, detail)
                .hint("the header Allow lists what it takes")
        })
}

/// Answers requests until `stop`; then long-polls end at once with what they have, and other
/// requests are finished for as long as 25 seconds.
///
/// # Errors
/// When the listener breaks.
pub fn serve(
    router: Router,
    listener: TcpListener,
    stop: CancellationToken,
) -> BoxFuture<'static, io::Result<()>> {
    // Boxed: the code of the server is generated in this crate only.
    serve_until(router, listener, stop).boxed()
}

async fn serve_until(
    router: Router,
    listener: TcpListener,
    stop: CancellationToken,
) -> io::Result<()> {
    let serving = Serving::new(stop.clone());
    let router = router.layer(Extension(serving.clone()));
    let listener = listener.tap_io(|stream| {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "answers on this connection may be slower");
        }
    });
    let server = axum::serve(listener, router);
    let server = server.with_graceful_shutdown(stop.clone().cancelled_owned());
    let overdue = async {
        stop.cancelled().await;
        tokio::time::sleep(DRAIN_MAX).await;
    };
    let work = async {
        server.await?;
        serving.tasks.close();
        serving.tasks.wait().await;
        Ok(())
    };
    tokio::select! {
        served = work => served,
        () = overdue => {
            tracing::warn!("requests that did not end in time are cut off");
            Ok(())
        }
    }
}

fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::with_openapi(docs::describe())
        .routes(routes!(upload::upload, documents::list))
        .routes(routes!(documents::show, documents::delete))
        .routes(routes!(content::result))
        .routes(routes!(content::text))
        .routes(routes!(content::source))
        .routes(routes!(pages::list))
        .routes(routes!(pages::show))
        .routes(routes!(documents::attempts))
        .routes(routes!(documents::cancel))
        .routes(routes!(documents::retry))
        .routes(routes!(documents::reprocess))
        .routes(routes!(documents::retry_all))
        .routes(routes!(schemas::list))
        .routes(routes!(schemas::show, schemas::put))
        .routes(routes!(schemas::versions))
        .routes(routes!(deployments::list))
        .routes(routes!(docs::problem))
        .merge(operation())
}

fn operation() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(health::alive))
        .routes(routes!(health::ready))
        .routes(routes!(health::metrics))
}

/// What is around every route, from the outside in: an id for the request, its log line, and a
/// net under panics.
fn around(router: Router) -> Router {
    router
        .layer(CatchPanicLayer::custom(panicked))
        .layer(axum::middleware::from_fn(trace::request))
        .layer(PropagateRequestIdLayer::x_request_id())
        .layer(SetRequestIdLayer::x_request_id(MakeRequestUuid))
}

fn panicked(panic: Box<dyn Any + Send>) -> axum::response::Response {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
    axum::response::IntoResponse::into_response(ApiError::internal(format!("panic: {text}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::{body::Body, http::Request, routing::get};
    use tower::ServiceExt;

    #[tokio::test]
    async fn a_panic_is_a_problem() {
        let broken = async || -> String { panic!("broken on purpose") };
        let router = around(Router::new().route("/", get(broken)));
        let request = Request::get("/").header("x-request-id", "mine").body(Body::empty()).unwrap();
        let response = router.oneshot(request).await.unwrap();
        assert_eq!(response.status(), 500);
        assert_eq!(response.headers()["content-type"], "application/problem+json");
        assert_eq!(response.headers()["x-request-id"], "mine");
        let body = axum::body::to_bytes(response.into_body(), 10_000).await.unwrap();
        let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(body["code"], "internal");
        assert!(!body.to_string().contains("on purpose"), "the cause is for the log");
    }
}
