//! The page of a run without a model that generates images from prompts: it shows the metrics, and
//! the server opens the model as soon as the run has one.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};

use super::answer::{error_response, refusal};
use super::assets::ASSETS;
use super::guard::Guard;
use super::run;
use super::server::{forbidden, secured, serve_until};
use crate::error::{Error, Result};
use crate::interrupt::{Interrupt, Signal};

/// Time between two attempts to open a model.
const INTERVAL: Duration = Duration::from_secs(1);
/// The page, in place of the one that generates images.
const PAGE: &str = "/waiting.html";

/// The end of the wait.
pub enum Waited<T> {
    /// The model of the run.
    Opened(T),
    /// The user interrupted the server.
    Interrupted(Signal),
}

/// What the requests need to know.
struct Waiting {
    run: PathBuf,
    guard: Guard,
}

/// Serves the page of `run` on a socket until `open` returns its model.
///
/// # Errors
/// If the server fails.
pub fn wait<T>(
    socket: TcpListener,
    guard: Guard,
    run: &Path,
    interrupt: &Interrupt,
    mut open: impl FnMut() -> Option<T>,
) -> Result<Waited<T>> {
    let waiting = Arc::new(Waiting { run: run.to_owned(), guard });
    let mut next = Instant::now();
    let waited = serve_until(socket, routes(waiting), || {
        if let Some(signal) = interrupt.requested() {
            return Some(Waited::Interrupted(signal));
        }
        if Instant::now() < next {
            return None;
        }
        let opened = open();
        next = Instant::now() + INTERVAL;
        opened.map(Waited::Opened)
    })?;
    waited.ok_or_else(|| Error::internal("the server ended unexpectedly"))
}

fn routes(waiting: Arc<Waiting>) -> Router {
    let page = ASSETS.iter().find(|asset| asset.path == PAGE);
    let files = ASSETS.iter().filter(|asset| !["/", "/api"].contains(&asset.path));
    files
        .map(|asset| (asset.path, asset))
        .chain(page.map(|page| ("/", page)))
        .fold(Router::new(), |router, (path, asset)| {
            router.route(path, get(|| async { ([(CONTENT_TYPE, asset.kind)], asset.text) }))
        })
        // No model is open yet.
        .route("/api/model", get(|| async { Json(None::<()>) }))
        .route("/api/run", get(state_of_run))
        .fallback(|| async {
            let hint = "wait until the run has one; the page shows its progress";
            refusal(StatusCode::SERVICE_UNAVAILABLE, "the run has no model yet", hint)
        })
        .layer(from_fn_with_state(waiting.clone(), guarded))
        .with_state(waiting)
}

async fn guarded(State(waiting): State<Arc<Waiting>>, request: Request, next: Next) -> Response {
    let response = match waiting.guard.check(request.method(), request.headers()) {
        Ok(()) => next.run(request).await,
        Err(reason) => forbidden(&waiting.guard, &reason),
    };
    secured(response)
}

async fn state_of_run(State(waiting): State<Arc<Waiting>>) -> Response {
    match tokio::task::spawn_blocking(move || run::look(&waiting.run, "")).await {
        Ok(run) => Json(run).into_response(),
        Err(e) => error_response(&Error::internal(format!("reading the run failed: {e}"))),
    }
}
