//! The state that the handlers of requests share, and their answers.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use axum::Json;
use axum::body::Body;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use tokio::sync::Semaphore;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;

use super::Shared;
use super::event::{Event, EventSender};
use super::guard::page;
use super::queue::{Acceptance, Job};
use super::request::Work;
use crate::error::{Error, Kind};

/// Largest request without an image, in bytes.
pub const MAX_TEXT: usize = 256 << 10;
/// Hint for requests that this version of the page does not send.
pub const RELOAD: &str = "if the page sent this, reload it; `/api` describes the requests";

/// The state that the handlers of requests share.
#[derive(Clone)]
pub struct App {
    pub shared: Arc<Shared>,
    /// Limits the uploads that are received at once.
    pub receiving: Arc<Semaphore>,
    /// Limits the images that are decoded at once.
    pub decoding: Arc<Semaphore>,
}

impl App {
    /// Whether a request is for the open model, if it names one. Pages name the one that they show.
    pub fn is_for_open_model(&self, headers: &HeaderMap) -> bool {
        let named = headers.get("x-cigan-model").map(|hash| hash.as_bytes());
        named.is_none_or(|hash| hash == self.shared.models.known().about.hash.as_bytes())
    }
}

/// Response to a request that is not served.
pub fn refusal(status: StatusCode, message: &str, hint: &str) -> Response {
    let (message, hint) = (message.to_owned(), Some(hint.to_owned()));
    (status, Json(Event::Error { message, hint })).into_response()
}

pub fn busy(message: &str) -> Response {
    refusal(StatusCode::SERVICE_UNAVAILABLE, message, "try again when other requests have finished")
}

/// Response to a request that arrives too slowly.
pub fn too_slow(what: &str) -> Response {
    let message = format!("{what} took too long");
    refusal(StatusCode::REQUEST_TIMEOUT, &message, "try again with a faster connection")
}

/// Response to a request whose body could not be received; `large` is the hint for one that is too
/// large.
pub fn rejected_body(status: StatusCode, reason: &str, large: &str) -> Response {
    let is_large = status == StatusCode::PAYLOAD_TOO_LARGE;
    refusal(status, reason, if is_large { large } else { RELOAD })
}

/// The hint for texts that are too large.
pub fn large_text() -> String {
    format!("shorten the prompt; a request may have at most {} KiB", MAX_TEXT >> 10)
}

/// Response with the message and the hint of an error, as the command line prints them.
pub fn error_response(error: &Error) -> Response {
    let status = match error.kind {
        Kind::User => StatusCode::BAD_REQUEST,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    };
    (status, Json(Event::from(error))).into_response()
}

/// Adds work for a model to the queue and responds with a stream of its events.
pub fn accept(
    app: &App,
    headers: &HeaderMap,
    model: usize,
    work: Work,
    acceptance: Acceptance,
) -> Response {
    let Some(page) = page(headers) else {
        return refusal(StatusCode::FORBIDDEN, "refused: the page has no identifier", RELOAD);
    };
    let (events, receiver) = EventSender::channel();
    let job = Job { page, model, work, events, cancelled: Arc::new(AtomicBool::new(false)) };
    if app.shared.queue.push(job, acceptance).is_err() {
        return busy("too many requests are waiting");
    }
    let lines = ReceiverStream::new(receiver).map(Ok::<_, std::convert::Infallible>);
    let kind = [(CONTENT_TYPE, "application/x-ndjson")];
    (kind, Body::from_stream(lines)).into_response()
}
