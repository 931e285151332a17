//! The HTTP server: routes, limits and responses.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use axum::Json;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::multipart::{Multipart, MultipartError, MultipartRejection};
use axum::extract::{DefaultBodyLimit, FromRequest, Request, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use image::{ImageDecoder, RgbImage};
use tokio::sync::Semaphore;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;

use super::event::{Event, EventSender};
use super::guard::page;
use super::queue::{Acceptance, Job};
use super::request::{DrawRequest, EditInput, EditRequest, Work};
use super::{Shared, connections};
use crate::data::photo;
use crate::error::{Error, Kind, Result};
use crate::interrupt::{Interrupt, Signal};

/// Largest request without an image, in bytes.
const MAX_TEXT: usize = 256 << 10;
/// Largest image file, in bytes.
const MAX_UPLOAD: usize = 32 << 20;
/// Largest number of pixels of an image, and of bytes once decoded: some formats have eight bytes
/// per pixel.
const MAX_PIXELS: u64 = 64_000_000;
const MAX_BYTES: u64 = 256 << 20;
/// Time in which a request without an image must arrive.
const TEXT_TIMEOUT: Duration = Duration::from_secs(10);
/// Number of uploads that are received at once, the time that another one waits for its turn, and the
/// longest time that one may take.
const RECEIVING: usize = 8;
const TURN_TIMEOUT: Duration = Duration::from_secs(10);
const UPLOAD_TIMEOUT: Duration = Duration::from_secs(60);
/// Least speed of an upload in bytes per second, after a grace period. A slower one would keep others
/// from their turn.
const UPLOAD_SPEED: f64 = 64.0 * 1024.0;
const GRACE: Duration = Duration::from_secs(4);
/// Number of images that are decoded at once. Each may take half a gigabyte: its own bytes, and as
/// many again while it is rotated upright and converted to RGB.
const DECODING: usize = 2;
/// Time between two checks for an interrupt.
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// Hint for requests that only another version of the page sends.
const RELOAD: &str = "reload the page; another version of cigan may have sent it";

/// Hint for addresses and methods that the page does not use.
const NO_ROUTE: &str = "open the address that `cigan serve` prints; programs GET /api/model, and \
                        POST to /api/generate and /api/edit";

/// Content security policy: the page may use its own files and inline images only.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
                      img-src 'self' data: blob:; form-action 'none'; frame-ancestors 'none'; \
                      base-uri 'none'";

#[derive(Clone)]
struct App {
    shared: Arc<Shared>,
    receiving: Arc<Semaphore>,
    decoding: Arc<Semaphore>,
}

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
) -> Result<Option<Signal>> {
    let failed = |e: std::io::Error| Error::internal(format!("cannot serve: {e}")).caused_by(e);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(failed)?.block_on(async {
        let listener = tokio::net::TcpListener::from_std(listener).map_err(failed)?;
        let [receiving, decoding] = [RECEIVING, DECODING].map(|n| Arc::new(Semaphore::new(n)));
        let app = App { shared, receiving, decoding };
        let server = connections::serve(listener, routes(app));
        let end = async {
            loop {
                if interrupt.requested().is_some() || broken() {
                    return interrupt.requested();
                }
                tokio::time::sleep(POLL_INTERVAL).await;
            }
        };
        // Open connections are dropped; their jobs are cancelled.
        tokio::select! {
            () = server => Ok(None),
            signal = end => Ok(signal),
        }
    })
}

fn routes(app: App) -> Router {
    Router::new()
        .route("/", get(|| file("text/html", include_str!("page/index.html"))))
        .route("/style.css", get(|| file("text/css", include_str!("page/style.css"))))
        .route("/app.js", get(|| script(include_str!("page/app.js"))))
        .route("/request.js", get(|| script(include_str!("page/request.js"))))
        .route("/dom.js", get(|| script(include_str!("page/dom.js"))))
        .route("/editor.js", get(|| script(include_str!("page/editor.js"))))
        .route("/files.js", get(|| script(include_str!("page/files.js"))))
        .route("/form.js", get(|| script(include_str!("page/form.js"))))
        .route("/grid.js", get(|| script(include_str!("page/grid.js"))))
        .route("/icon.svg", get(|| file("image/svg+xml", include_str!("page/icon.svg"))))
        .route("/api/model", get(about))
        .route("/api/generate", post(draw).layer(DefaultBodyLimit::max(MAX_TEXT)))
        // Allows for the JSON field and the multipart boundaries as well.
        .route("/api/edit", post(edit).layer(DefaultBodyLimit::max(MAX_UPLOAD + MAX_TEXT)))
        .fallback(|| async { refusal(StatusCode::NOT_FOUND, "page not found", NO_ROUTE) })
        .method_not_allowed_fallback(|| async {
            refusal(StatusCode::METHOD_NOT_ALLOWED, "method not allowed", NO_ROUTE)
        })
        .layer(from_fn_with_state(app.clone(), guarded))
        .with_state(app)
}

/// Refuses requests of other pages and adds the security headers to every response.
async fn guarded(State(app): State<App>, request: Request, next: Next) -> Response {
    let mut response = match app.shared.guard.check(request.method(), request.headers()) {
        Ok(()) => next.run(request).await,
        Err(reason) => {
            let port = app.shared.guard.port();
            let hint = format!(
                "open the address that `cigan serve` prints; through a tunnel, use the same port on \
                 both sides (ssh -L {port}:127.0.0.1:{port} HOST), or choose another with --port"
            );
            refusal(StatusCode::FORBIDDEN, &format!("refused: {reason}"), &hint)
        }
    };
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

async fn file(kind: &'static str, text: &'static str) -> impl IntoResponse {
    let kind =
        if kind.starts_with("text/") { format!("{kind}; charset=utf-8") } else { kind.into() };
    ([(CONTENT_TYPE, kind)], text)
}

async fn script(text: &'static str) -> impl IntoResponse {
    file("text/javascript", text).await
}

/// Response to a request that is not served.
fn refusal(status: StatusCode, message: &str, hint: &str) -> Response {
    let (message, hint) = (message.to_owned(), Some(hint.to_owned()));
    (status, Json(Event::Error { message, hint })).into_response()
}

fn busy(message: &str) -> Response {
    refusal(StatusCode::SERVICE_UNAVAILABLE, message, "try again when other requests have finished")
}

/// Response to a request whose body could not be received; `large` is the hint for one that is too
/// large.
fn rejected_body(status: StatusCode, reason: &str, large: &str) -> Response {
    let is_large = status == StatusCode::PAYLOAD_TOO_LARGE;
    refusal(status, reason, if is_large { large } else { RELOAD })
}

/// The hint for uploads that are too large.
fn large_image() -> String {
    format!("an image may have at most {} MiB; use a smaller one", MAX_UPLOAD >> 20)
}

/// The hint for texts that are too large.
fn large_text() -> String {
    format!("shorten the prompt; a request may have at most {} KiB", MAX_TEXT >> 10)
}

/// Response with the message and the hint of an error, as the command line prints them.
fn error_response(error: &Error) -> Response {
    let status = match error.kind {
        Kind::User => StatusCode::BAD_REQUEST,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    };
    (status, Json(Event::from(error))).into_response()
}

async fn about(State(app): State<App>) -> impl IntoResponse {
    Json(app.shared.about.clone())
}

async fn draw(State(app): State<App>, headers: HeaderMap, request: Request) -> Response {
    let body = match tokio::time::timeout(TEXT_TIMEOUT, Bytes::from_request(request, &())).await {
        Ok(Ok(body)) => body,
        Ok(Err(rejection)) => {
            return rejected_body(rejection.status(), &rejection.body_text(), &large_text());
        }
        Err(_) => return too_slow("the request"),
    };
    let request: DrawRequest = match serde_json::from_slice(&body) {
        Ok(request) => request,
        Err(e) => {
            let message = format!("invalid request: {e}");
            return refusal(StatusCode::BAD_REQUEST, &message, RELOAD);
        }
    };
    let command = app.shared.command_line.draw(&request, app.shared.about.direct);
    match request.check(&app.shared.tokenizer) {
        Ok((work, warning)) => {
            let seeds = match &work {
                Work::Draw { seeds, .. } => seeds.iter().map(u64::to_string).collect(),
                _ => Vec::new(),
            };
            accept(&app, &headers, work, Acceptance { command, warning, seeds })
        }
        Err(error) => error_response(&error),
    }
}

async fn edit(
    State(app): State<App>,
    headers: HeaderMap,
    form: Result<Multipart, MultipartRejection>,
) -> Response {
    if let Some(reason) = &app.shared.about.no_edits {
        return refusal(StatusCode::CONFLICT, reason, &app.shared.no_edits_hint);
    }
    let form = match form {
        Ok(form) => form,
        Err(rejection) => {
            return rejected_body(rejection.status(), &rejection.body_text(), &large_image());
        }
    };
    let turn = tokio::time::timeout(TURN_TIMEOUT, app.receiving.acquire()).await;
    let Ok(Ok(_permit)) = turn else {
        return busy("too many images are being uploaded");
    };
    let (request, picture) = match tokio::time::timeout(UPLOAD_TIMEOUT, fields(form)).await {
        Ok(Ok(fields)) => fields,
        Ok(Err(refused)) => return *refused,
        Err(_) => return too_slow("the upload"),
    };
    let command = app.shared.command_line.edit(&request);
    let input = match (&request.code, picture) {
        (Some(code), None) => app.shared.code(&code.values),
        (None, Some(picture)) => {
            let (side, name) = (app.shared.about.resolution, format!("--image {}", request.name));
            let Ok(permit) = app.decoding.clone().acquire_owned().await else {
                return busy("the server is closing");
            };
            // A closed connection does not stop the decoder, so the decoder holds the permit.
            let decode = move || {
                let _permit = permit;
                open_upload(&name, &picture, side)
            };
            match tokio::task::spawn_blocking(decode).await {
                Ok(read) => read.map(EditInput::Image),
                Err(e) => Err(Error::internal(format!("reading the image failed: {e}"))),
            }
        }
        _ => {
            Err(Error::user("an edit needs either an image or the code of one")
                .hint("reload the page"))
        }
    };
    let checked =
        input.and_then(|input| request.check(input, &app.shared.tokenizer, app.shared.num_ws()));
    match checked {
        Ok((work, warning)) => {
            accept(&app, &headers, work, Acceptance { command, warning, seeds: Vec::new() })
        }
        Err(error) => error_response(&error),
    }
}

/// Response to a request that arrives too slowly.
fn too_slow(what: &str) -> Response {
    let message = format!("{what} took too long");
    refusal(StatusCode::REQUEST_TIMEOUT, &message, "try again with a faster connection")
}

/// Reads the form fields of an edit: `ask` (JSON) and, unless it contains a code, `image` (a file).
async fn fields(mut form: Multipart) -> Result<(EditRequest, Option<Bytes>), Box<Response>> {
    let refused = |message: &str| Box::new(refusal(StatusCode::BAD_REQUEST, message, RELOAD));
    let slow = || Box::new(too_slow("the upload"));
    let rejected =
        |e: MultipartError| Box::new(rejected_body(e.status(), &e.body_text(), &large_image()));
    let (mut request, mut picture) = (None, None);
    let mut speed = UploadSpeed { began: Instant::now(), received: 0 };
    loop {
        let field = match speed.wait(form.next_field()).await.ok_or_else(slow)? {
            Ok(Some(field)) => field,
            Ok(None) => break,
            Err(e) => return Err(rejected(e)),
        };
        let name = field.name().unwrap_or_default().to_owned();
        let mut field = field;
        let mut bytes = Vec::new();
        loop {
            match speed.wait(field.chunk()).await.ok_or_else(slow)? {
                Ok(Some(chunk)) => {
                    speed.received += chunk.len();
                    bytes.extend_from_slice(&chunk);
                }
                Ok(None) => break,
                Err(e) => return Err(rejected(e)),
            }
        }
        let bytes = Bytes::from(bytes);
        match name.as_str() {
            "ask" if bytes.len() > MAX_TEXT => {
                let message = "the field `ask` is too large";
                let status = StatusCode::PAYLOAD_TOO_LARGE;
                return Err(Box::new(refusal(status, message, &large_text())));
            }
            "ask" => {
                let read = serde_json::from_slice(&bytes);
                request = Some(read.map_err(|e| refused(&format!("invalid request: {e}")))?);
            }
            "image" => picture = Some(bytes),
            other => {
                let message = format!("invalid request: unknown field `{other}`");
                return Err(refused(&message));
            }
        }
    }
    match request {
        Some(request) => Ok((request, picture)),
        None => Err(refused("the field `ask` is missing")),
    }
}

/// The speed of an upload.
struct UploadSpeed {
    began: Instant,
    received: usize,
}

impl UploadSpeed {
    /// Waits for a part of the upload. `None` if it arrives so late that the upload is too slow.
    async fn wait<T>(&self, part: impl Future<Output = T>) -> Option<T> {
        let due = GRACE + Duration::from_secs_f64(self.received as f64 / UPLOAD_SPEED);
        let left = due.saturating_sub(self.began.elapsed());
        tokio::time::timeout(left, part).await.ok()
    }
}

/// Decodes an upload, and crops and resizes it to `side` × `side` pixels. Its size is checked
/// before it is decoded.
fn open_upload(name: &str, bytes: &[u8], side: usize) -> Result<RgbImage> {
    let size = image::ImageReader::new(std::io::Cursor::new(bytes))
        .with_guessed_format()
        .ok()
        .and_then(|reader| reader.into_decoder().ok())
        .map(|decoder| (decoder.dimensions(), decoder.total_bytes()));
    // If the size is unknown, the file is not an image; `photo` below reports that.
    if let Some(((width, height), bytes)) = size
        && (u64::from(width) * u64::from(height) > MAX_PIXELS || bytes > MAX_BYTES)
    {
        return Err(Error::user(format!(
            "{name}: the image is too large, {width}×{height} pixels"
        ))
        .hint("use a smaller image; it is cropped to a square and resized anyway"));
    }
    photo(name, bytes, side)
}

/// Adds the work to the queue and responds with a stream of its events.
fn accept(app: &App, headers: &HeaderMap, work: Work, acceptance: Acceptance) -> Response {
    let Some(page) = page(headers) else {
        return refusal(StatusCode::FORBIDDEN, "refused: the page has no identifier", RELOAD);
    };
    let (events, receiver) = EventSender::channel();
    let job = Job { page, work, events, cancelled: Arc::new(AtomicBool::new(false)) };
    if app.shared.queue.push(job, acceptance).is_err() {
        return busy("too many requests are waiting");
    }
    let lines = ReceiverStream::new(receiver).map(Ok::<_, std::convert::Infallible>);
    let kind = [(CONTENT_TYPE, "application/x-ndjson")];
    (kind, Body::from_stream(lines)).into_response()
}
