//! The HTTP server: routes and limits.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, FromRequest, Request, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::sync::Semaphore;

use super::answer::{
    App, MAX_TEXT, RELOAD, accept, error_response, large_text, refusal, rejected_body, too_slow,
};
use super::assets::ASSETS;
use super::explore::{DirectionsRequest, Exploration, RenderRequest, TextsRequest};
use super::guard::Guard;
use super::queue::Acceptance;
use super::request::{DrawRequest, Work};
use super::upload::{self, DECODING, MAX_UPLOAD, RECEIVING};
use super::{Shared, connections, run};
use crate::error::Error;
use crate::interrupt::{Interrupt, Signal};

/// Time in which a request without an image must arrive.
const TEXT_TIMEOUT: Duration = Duration::from_secs(10);
/// Time between two checks for an interrupt.
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// Hint for addresses and methods that the page does not use.
const NO_ROUTE: &str =
    "open the address that `cigan serve` prints; /api describes the requests of programs";

/// Content security policy: the page may use its own files and inline images only.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
                      img-src 'self' data: blob:; form-action 'none'; frame-ancestors 'none'; \
                      base-uri 'none'";

/// Largest request with latent codes, in bytes: 64 codes of 18 layers with 512 numbers each.
const MAX_CODES: usize = 16 << 20;

/// Serves until the user interrupts it, and returns the signal. Returns `None` once `broken`
/// reports that the worker has ended.
///
/// # Errors
/// If the system refuses the listener or the runtime.
pub fn run(
    listener: std::net::TcpListener,
    shared: Arc<Shared>,
    interrupt: &Interrupt,
    broken: impl Fn() -> bool,
) -> crate::error::Result<Option<Signal>> {
    let [receiving, decoding] = [RECEIVING, DECODING].map(|n| Arc::new(Semaphore::new(n)));
    let app = App { shared, receiving, decoding };
    let ended = serve_until(listener, routes(app), || match interrupt.requested() {
        Some(signal) => Some(Some(signal)),
        None => broken().then_some(None),
    })?;
    Ok(ended.flatten())
}

/// Serves until `end` returns a value. It is called several times a second.
///
/// # Errors
/// If the system refuses the listener or the runtime.
pub fn serve_until<T>(
    listener: std::net::TcpListener,
    routes: Router,
    mut end: impl FnMut() -> Option<T>,
) -> crate::error::Result<Option<T>> {
    let failed = |e: std::io::Error| Error::internal(format!("cannot serve: {e}")).caused_by(e);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(failed)?.block_on(async {
        let listener = tokio::net::TcpListener::from_std(listener).map_err(failed)?;
        let server = connections::serve(listener, routes);
        let end = async {
            loop {
                if let Some(value) = end() {
                    return value;
                }
                tokio::time::sleep(POLL_INTERVAL).await;
            }
        };
        // Open connections are dropped; their jobs are cancelled.
        tokio::select! {
            () = server => Ok(None),
            value = end => Ok(Some(value)),
        }
    })
}

fn routes(app: App) -> Router {
    let assets = ASSETS.iter().fold(Router::new(), |router, asset| {
        router.route(asset.path, get(|| async { ([(CONTENT_TYPE, asset.kind)], asset.text) }))
    });
    assets
        .route("/api/model", get(about).post(open).layer(DefaultBodyLimit::max(MAX_TEXT)))
        .route("/api/models", get(models))
        .route("/api/run", get(training_run))
        .route("/api/generate", post(draw).layer(DefaultBodyLimit::max(MAX_TEXT)))
        // Allows for the JSON field and the multipart boundaries as well.
        .route("/api/edit", post(upload::edit).layer(DefaultBodyLimit::max(MAX_UPLOAD + MAX_TEXT)))
        .route("/api/look", post(upload::look).layer(DefaultBodyLimit::max(MAX_UPLOAD + MAX_TEXT)))
        .route(
            "/api/directions",
            post(explore::<DirectionsRequest>).layer(DefaultBodyLimit::max(MAX_TEXT)),
        )
        .route("/api/texts", post(explore::<TextsRequest>).layer(DefaultBodyLimit::max(MAX_TEXT)))
        .route(
            "/api/render",
            post(explore::<RenderRequest>).layer(DefaultBodyLimit::max(MAX_CODES)),
        )
        .fallback(|| async { refusal(StatusCode::NOT_FOUND, "page not found", NO_ROUTE) })
        .method_not_allowed_fallback(|| async {
            refusal(StatusCode::METHOD_NOT_ALLOWED, "method not allowed", NO_ROUTE)
        })
        .layer(from_fn_with_state(app.clone(), guarded))
        .with_state(app)
}

/// Refuses requests of other pages and adds the security headers to every response.
async fn guarded(State(app): State<App>, request: Request, next: Next) -> Response {
    let response = match app.shared.guard.check(request.method(), request.headers()) {
        Ok(()) if !app.is_for_open_model(request.headers()) => refusal(
            StatusCode::CONFLICT,
            "another page has opened another model",
            "reload the page",
        ),
        Ok(()) => next.run(request).await,
        Err(reason) => forbidden(&app.shared.guard, &reason),
    };
    secured(response)
}

/// Response to a request that the guard refused.
pub fn forbidden(guard: &Guard, reason: &str) -> Response {
    let port = guard.port();
    let hint = format!(
        "open the address that `cigan serve` prints; through a tunnel, use the same port on \
         both sides (ssh -L {port}:127.0.0.1:{port} HOST), or choose another with --port"
    );
    refusal(StatusCode::FORBIDDEN, &format!("refused: {reason}"), &hint)
}

/// Adds the security headers to a response.
pub fn secured(mut response: Response) -> Response {
    let headers = response.headers_mut();
    for (name, value) in [
        ("content-security-policy", POLICY),
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "DENY"),
        ("referrer-policy", "no-referrer"),
        ("cross-origin-resource-policy", "same-origin"),
        ("cross-origin-opener-policy", "same-origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

async fn about(State(app): State<App>) -> impl IntoResponse {
    Json(app.shared.models.known().about.clone())
}

async fn models(State(app): State<App>) -> impl IntoResponse {
    Json(app.shared.models.list())
}

/// The training run of the open model, or null.
async fn training_run(State(app): State<App>) -> Response {
    let known = app.shared.models.known();
    let path = app.shared.models.paths()[known.index].clone();
    match tokio::task::spawn_blocking(move || run::look(&path, &known.file)).await {
        Ok(run) => Json(run).into_response(),
        Err(e) => error_response(&Error::internal(format!("reading the run failed: {e}"))),
    }
}

/// A request to open another model.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct OpenRequest {
    /// Its index in `/api/models`.
    open: usize,
}

/// Opens another model, for all pages.
async fn open(State(app): State<App>, headers: HeaderMap, request: Request) -> Response {
    let OpenRequest { open } = match received(request).await {
        Ok(request) => request,
        Err(refused) => return *refused,
    };
    let models = app.shared.models.paths().len();
    if open >= models {
        let message = format!("open {open}: there are {models} models, counted from 0");
        return refusal(StatusCode::BAD_REQUEST, &message, "GET /api/models lists them");
    }
    accept(&app, &headers, open, Work::Open(open), Acceptance::default())
}

/// Receives a request in JSON.
async fn received<T: DeserializeOwned>(request: Request) -> Result<T, Box<Response>> {
    let body = match tokio::time::timeout(TEXT_TIMEOUT, Bytes::from_request(request, &())).await {
        Ok(Ok(body)) => body,
        Ok(Err(rejection)) => {
            let (status, reason) = (rejection.status(), rejection.body_text());
            return Err(Box::new(rejected_body(status, &reason, &large_text())));
        }
        Err(_) => return Err(Box::new(too_slow("the request"))),
    };
    serde_json::from_slice(&body).map_err(|e| {
        let message = format!("invalid request: {e}");
        Box::new(refusal(StatusCode::BAD_REQUEST, &message, RELOAD))
    })
}

async fn draw(State(app): State<App>, headers: HeaderMap, request: Request) -> Response {
    let request: DrawRequest = match received(request).await {
        Ok(request) => request,
        Err(refused) => return *refused,
    };
    let known = app.shared.models.known();
    let command = known.command_line.draw(&request, known.about.direct);
    match request.check(&*known.tokenizer, known.about.candidates) {
        Ok((work, warning)) => {
            let seeds = match &work {
                Work::Draw { seeds, keep: None, .. } => seeds.iter().map(u64::to_string).collect(),
                _ => Vec::new(),
            };
            accept(&app, &headers, known.index, work, Acceptance { command, warning, seeds })
        }
        Err(error) => error_response(&error),
    }
}

/// Explores the latent space.
async fn explore<T: DeserializeOwned + Exploration>(
    State(app): State<App>,
    headers: HeaderMap,
    request: Request,
) -> Response {
    let request: T = match received(request).await {
        Ok(request) => request,
        Err(refused) => return *refused,
    };
    let known = app.shared.models.known();
    match request.check(&known) {
        Ok(work) => {
            let command = match &work {
                Work::Render { .. } => known.command_line.render(),
                _ => String::new(),
            };
            accept(
                &app,
                &headers,
                known.index,
                work,
                Acceptance { command, ..Acceptance::default() },
            )
        }
        Err(error) => error_response(&error),
    }
}
