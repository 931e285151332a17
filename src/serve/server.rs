//! HTTP: the page, what it asks for, and what it is told.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::multipart::{Multipart, MultipartRejection};
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, extract::rejection::BytesRejection};
use image::{ImageDecoder, RgbImage};
use tokio::sync::Semaphore;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;

use super::Shared;
use super::event::{Event, EventSender};
use super::guard::page;
use super::queue::{Acceptance, Job};
use super::request::{DrawRequest, EditInput, EditRequest, Work};
use crate::data::photo;
use crate::error::{Error, Kind, Result};
use crate::interrupt::{Interrupt, Signal};

/// Largest request without a picture.
const MOST_TEXT: usize = 256 << 10;
/// Largest picture file.
const MOST_UPLOAD: usize = 32 << 20;
/// Most pixels of one, and most bytes of them: some kinds take eight a pixel.
const MOST_PIXELS: u64 = 64_000_000;
const MOST_BYTES: u64 = 256 << 20;
/// Requests with pictures that are received at once, and for how long.
const RECEIVING: usize = 8;
const PATIENCE: Duration = Duration::from_secs(60);
/// Pictures that are decoded at once. Each may take half a gigabyte: its own bytes, and as many
/// again while it is turned upright and made RGB.
const DECODING: usize = 2;
/// Between two looks at whether the user asked for an end.
const LOOK: Duration = Duration::from_millis(100);

/// What may stand on the page: its own files, and pictures that it was sent.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
                      img-src 'self' data: blob:; form-action 'none'; frame-ancestors 'none'; \
                      base-uri 'none'";

#[derive(Clone)]
struct App {
    shared: Arc<Shared>,
    receiving: Arc<Semaphore>,
    decoding: Arc<Semaphore>,
}

/// Serves until the user asks for an end (→ the signal) or `broken` says that nobody works any
/// more (→ nothing).
///
/// # Errors
/// If the system does not let it listen.
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
        let server = std::future::IntoFuture::into_future(axum::serve(listener, routes(app)));
        let end = async {
            loop {
                if interrupt.requested().is_some() || broken() {
                    return interrupt.requested();
                }
                tokio::time::sleep(LOOK).await;
            }
        };
        // Open connections are not waited for: what they wait for is given up.
        tokio::select! {
            served = server => served.map(|()| None).map_err(failed),
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
        .route("/api/generate", post(draw).layer(DefaultBodyLimit::max(MOST_TEXT)))
        // Room for the text and the borders around the picture.
        .route("/api/edit", post(edit).layer(DefaultBodyLimit::max(MOST_UPLOAD + MOST_TEXT)))
        .fallback(|| async { refusal(StatusCode::NOT_FOUND, "there is nothing here", None) })
        .method_not_allowed_fallback(|| async {
            refusal(StatusCode::METHOD_NOT_ALLOWED, "not in this way", None)
        })
        .layer(from_fn_with_state(app.clone(), guarded))
        .with_state(app)
}

/// Refuses foreign requests, and tells the browser what the page may do.
async fn guarded(State(app): State<App>, request: Request, next: Next) -> Response {
    let mut response = match app.shared.guard.check(request.method(), request.headers()) {
        Ok(()) => next.run(request).await,
        Err(reason) => {
            let hint = "open the page at the address that `cigan serve` prints, or by the machine's address in numbers";
            refusal(StatusCode::FORBIDDEN, &format!("refused: {reason}"), Some(hint))
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

fn refusal(status: StatusCode, message: &str, hint: Option<&str>) -> Response {
    let hint = hint.map(str::to_owned);
    (status, Json(Event::Error { message: message.to_owned(), hint })).into_response()
}

fn busy(message: &str) -> Response {
    refusal(StatusCode::SERVICE_UNAVAILABLE, message, Some("wait for the others"))
}

/// What could not be received.
fn unreceived(status: StatusCode, reason: &str) -> Response {
    let large = status == StatusCode::PAYLOAD_TOO_LARGE;
    let limit = format!("{} MB is the most for a picture", MOST_UPLOAD >> 20);
    refusal(status, reason, large.then_some(limit.as_str()))
}

/// What the user can mend, said as the command line says it.
fn unwell(error: &Error) -> Response {
    let status = match error.kind {
        Kind::User => StatusCode::BAD_REQUEST,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    };
    (status, Json(Event::from(error))).into_response()
}

async fn about(State(app): State<App>) -> impl IntoResponse {
    Json(app.shared.about.clone())
}

async fn draw(
    State(app): State<App>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let body = match body {
        Ok(body) => body,
        Err(rejection) => return unreceived(rejection.status(), &rejection.body_text()),
    };
    let request: DrawRequest = match serde_json::from_slice(&body) {
        Ok(request) => request,
        Err(e) => return refusal(StatusCode::BAD_REQUEST, &format!("not understood: {e}"), None),
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
        Err(error) => unwell(&error),
    }
}

async fn edit(
    State(app): State<App>,
    headers: HeaderMap,
    form: Result<Multipart, MultipartRejection>,
) -> Response {
    if let Some(reason) = &app.shared.about.no_edits {
        return refusal(StatusCode::CONFLICT, reason, None);
    }
    let form = match form {
        Ok(form) => form,
        Err(rejection) => return unreceived(rejection.status(), &rejection.body_text()),
    };
    let Ok(_place) = app.receiving.try_acquire() else {
        return busy("too many pictures are being sent");
    };
    let (request, picture) = match tokio::time::timeout(PATIENCE, fields(form)).await {
        Ok(Ok(fields)) => fields,
        Ok(Err(refused)) => return *refused,
        Err(_) => return refusal(StatusCode::REQUEST_TIMEOUT, "the picture does not arrive", None),
    };
    let command = app.shared.command_line.edit(&request);
    let input = match (&request.code, picture) {
        (Some(code), None) => app.shared.code(&code.values),
        (None, Some(picture)) => {
            let (side, name) = (app.shared.about.resolution, format!("--image {}", request.name));
            let Ok(place) = app.decoding.clone().acquire_owned().await else {
                return busy("the page is closing");
            };
            // Whoever goes away does not stop the decoder: it keeps its place until it is done.
            let decode = move || {
                let _place = place;
                open_upload(&name, &picture, side)
            };
            match tokio::task::spawn_blocking(decode).await {
                Ok(read) => read.map(EditInput::Picture),
                Err(e) => Err(Error::internal(format!("reading the picture failed: {e}"))),
            }
        }
        _ => Err(Error::user("an edit takes a picture, or the code of one")),
    };
    let checked =
        input.and_then(|input| request.check(input, &app.shared.tokenizer, app.shared.num_ws()));
    match checked {
        Ok((work, warning)) => {
            accept(&app, &headers, work, Acceptance { command, warning, seeds: Vec::new() })
        }
        Err(error) => unwell(&error),
    }
}

/// The fields of an edit: `ask` (JSON) and, unless that has a code, `image` (a file).
async fn fields(mut form: Multipart) -> Result<(EditRequest, Option<Bytes>), Box<Response>> {
    let wrong = |status, message: &str| Box::new(refusal(status, message, None));
    let (mut request, mut picture) = (None, None);
    loop {
        let field = match form.next_field().await {
            Ok(Some(field)) => field,
            Ok(None) => break,
            Err(e) => return Err(Box::new(unreceived(e.status(), &e.body_text()))),
        };
        let name = field.name().unwrap_or_default().to_owned();
        let bytes =
            field.bytes().await.map_err(|e| Box::new(unreceived(e.status(), &e.body_text())))?;
        match name.as_str() {
            "ask" if bytes.len() > MOST_TEXT => {
                return Err(wrong(StatusCode::PAYLOAD_TOO_LARGE, "the field `ask` is too large"));
            }
            "ask" => {
                request = Some(serde_json::from_slice(&bytes).map_err(|e| {
                    wrong(StatusCode::BAD_REQUEST, &format!("not understood: {e}"))
                })?);
            }
            "image" => picture = Some(bytes),
            other => {
                let message = format!("not understood: a field `{other}`");
                return Err(wrong(StatusCode::BAD_REQUEST, &message));
            }
        }
    }
    match request {
        Some(request) => Ok((request, picture)),
        None => Err(wrong(StatusCode::BAD_REQUEST, "the field `ask` is missing")),
    }
}

/// A picture of the model's size. Its size is looked at before it is unpacked.
fn open_upload(name: &str, bytes: &[u8], side: usize) -> Result<RgbImage> {
    let size = image::ImageReader::new(std::io::Cursor::new(bytes))
        .with_guessed_format()
        .ok()
        .and_then(|reader| reader.into_decoder().ok())
        .map(|decoder| (decoder.dimensions(), decoder.total_bytes()));
    // What has no size is no picture, which is said where it is read.
    if let Some(((width, height), bytes)) = size
        && (u64::from(width) * u64::from(height) > MOST_PIXELS || bytes > MOST_BYTES)
    {
        return Err(Error::user(format!("{name}: {width}×{height} pixels are too many"))
            .hint("make it smaller; the model cuts out a square and shrinks it anyway"));
    }
    photo(name, bytes, side)
}

/// Puts the work in line and answers with what becomes of it, line by line.
fn accept(app: &App, headers: &HeaderMap, work: Work, said: Acceptance) -> Response {
    let Some(page) = page(headers) else {
        return refusal(StatusCode::FORBIDDEN, "refused: no name of a page", None);
    };
    let (answers, listener) = EventSender::channel();
    let job = Job { page, work, answers, cancelled: Arc::new(AtomicBool::new(false)) };
    if app.shared.queue.push(job, said).is_err() {
        return busy("too many pages are waiting");
    }
    let lines = ReceiverStream::new(listener).map(Ok::<_, std::convert::Infallible>);
    let kind = [(CONTENT_TYPE, "application/x-ndjson")];
    (kind, Body::from_stream(lines)).into_response()
}
