//! Requests with an image: reading their form, and decoding the image.

use std::future::Future;
use std::time::{Duration, Instant};

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::extract::multipart::{Multipart, MultipartError, MultipartRejection};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use image::ImageDecoder;
use serde::Serialize;

use super::answer::{
    App, MAX_TEXT, RELOAD, accept, busy, error_response, large_text, refusal, rejected_body,
    too_slow,
};
use super::event::Blob;
use super::queue::Acceptance;
use super::request::{CodeBatch, EditInput, EditRequest};
use crate::data::{Photo, photo};
use crate::error::{Error, Result};
use crate::picture;

/// Largest image file, in bytes.
pub const MAX_UPLOAD: usize = 32 << 20;
/// Largest number of pixels of an image, and of bytes once decoded: some formats have eight bytes
/// per pixel.
const MAX_PIXELS: u64 = 64_000_000;
const MAX_BYTES: u64 = 256 << 20;
/// Number of uploads that are received at once, the time that another one waits for its turn, and the
/// longest time that one may take.
pub const RECEIVING: usize = 8;
const TURN_TIMEOUT: Duration = Duration::from_secs(10);
const UPLOAD_TIMEOUT: Duration = Duration::from_secs(60);
/// Lowest speed of an upload in bytes per second, after a grace period. A slower upload would keep
/// others waiting.
const UPLOAD_SPEED: f64 = 64.0 * 1024.0;
const GRACE: Duration = Duration::from_secs(4);
/// Number of images that are decoded at once. Each may take half a gigabyte: its own bytes, and as
/// many again while it is rotated upright and converted to RGB.
pub const DECODING: usize = 2;

/// The hint for uploads that are too large.
fn large_image() -> String {
    format!("an image may have at most {} MiB; use a smaller one", MAX_UPLOAD >> 20)
}

/// `/api/edit`: edits an image that was uploaded, or that has a code.
pub async fn edit(
    State(app): State<App>,
    headers: HeaderMap,
    form: Result<Multipart, MultipartRejection>,
) -> Response {
    let known = app.shared.models.known();
    if let Some(reason) = &known.about.no_edits {
        return refusal(StatusCode::CONFLICT, reason, &known.no_edits_hint);
    }
    let Form { ask, image } = match received(&app, form).await {
        Ok(form) => form,
        Err(refused) => return *refused,
    };
    let request: EditRequest = match ask.as_deref().map(serde_json::from_slice) {
        Some(Ok(request)) => request,
        Some(Err(e)) => {
            return refusal(StatusCode::BAD_REQUEST, &format!("invalid request: {e}"), RELOAD);
        }
        None => return refusal(StatusCode::BAD_REQUEST, "the field `ask` is missing", RELOAD),
    };
    let command = known.command_line.edit(&request, known.about.direct_edits, known.about.project);
    let mut damage = None;
    let input =
        match (&request.code, image) {
            (Some(code), None) => {
                let codes = std::slice::from_ref(&code.values);
                CodeBatch::of(codes, &known.sizes).map(EditInput::Code)
            }
            (None, Some(image)) => {
                match decoded(&app, known.about.resolution, &request.name, image).await {
                    Ok(read) => read.map(|photo| {
                        damage = photo.warning;
                        EditInput::Image(photo.image)
                    }),
                    Err(refused) => return *refused,
                }
            }
            _ => Err(Error::user("an edit needs either an image or the code of one")
                .hint("reload the page")),
        };
    let checked = input.and_then(|input| request.check(input, &*known.tokenizer, known.num_ws()));
    match checked {
        Ok((work, words)) => {
            let warnings: Vec<String> = damage.into_iter().chain(words).collect();
            let warning = (!warnings.is_empty()).then(|| warnings.join("; "));
            let acceptance = Acceptance { command, warning, seeds: Vec::new() };
            accept(&app, &headers, known.index, work, acceptance)
        }
        Err(error) => error_response(&error),
    }
}

/// An uploaded image as the model sees it.
#[derive(Serialize)]
struct Look {
    /// The image, cropped to a square and resized, as a PNG file.
    picture: Blob,
    /// A warning that the file is damaged.
    warning: Option<String>,
}

/// `/api/look`: checks an image before it is edited, and shows what the model will see of it.
pub async fn look(State(app): State<App>, form: Result<Multipart, MultipartRejection>) -> Response {
    let image = match received(&app, form).await {
        Ok(Form { image: Some(image), ask: None }) => image,
        Ok(_) => {
            let message = "the form must have the field `image` and no other";
            return refusal(StatusCode::BAD_REQUEST, message, RELOAD);
        }
        Err(refused) => return *refused,
    };
    let side = app.shared.models.known().about.resolution;
    let photo = match decoded(&app, side, "the file", image).await {
        Ok(photo) => photo,
        Err(refused) => return *refused,
    };
    let look = photo.and_then(|Photo { image, warning }| {
        Ok(Look { picture: Blob::new(&picture::png::encode(&image, &[])?), warning })
    });
    match look {
        Ok(look) => Json(look).into_response(),
        Err(error) => error_response(&error),
    }
}

/// Receives a form once it is its turn.
async fn received(
    app: &App,
    form: Result<Multipart, MultipartRejection>,
) -> Result<Form, Box<Response>> {
    let form = form.map_err(|rejection| {
        Box::new(rejected_body(rejection.status(), &rejection.body_text(), &large_image()))
    })?;
    let turn = tokio::time::timeout(TURN_TIMEOUT, app.receiving.acquire()).await;
    let Ok(Ok(_permit)) = turn else {
        return Err(Box::new(busy("too many images are being uploaded")));
    };
    let read = tokio::time::timeout(UPLOAD_TIMEOUT, fields(form)).await;
    read.unwrap_or_else(|_| Err(Box::new(too_slow("the upload"))))
}

/// Decodes an upload. The outer error is a server that is about to end.
async fn decoded(
    app: &App,
    side: usize,
    name: &str,
    image: Bytes,
) -> Result<Result<Photo>, Box<Response>> {
    let name = name.to_owned();
    let Ok(permit) = app.decoding.clone().acquire_owned().await else {
        return Err(Box::new(busy("the server is closing")));
    };
    // A closed connection does not stop the decoder, so the decoder holds the permit.
    let decode = move || {
        let _permit = permit;
        open_upload(&name, &image, side)
    };
    Ok(match tokio::task::spawn_blocking(decode).await {
        Ok(read) => read,
        Err(e) => Err(Error::internal(format!("reading the image failed: {e}"))),
    })
}

/// The fields of a form: `ask` (JSON) and `image` (a file).
#[derive(Default)]
struct Form {
    ask: Option<Vec<u8>>,
    image: Option<Bytes>,
}

/// Reads the fields of a form.
async fn fields(mut form: Multipart) -> Result<Form, Box<Response>> {
    let refused = |message: &str| Box::new(refusal(StatusCode::BAD_REQUEST, message, RELOAD));
    let slow = || Box::new(too_slow("the upload"));
    let rejected =
        |e: MultipartError| Box::new(rejected_body(e.status(), &e.body_text(), &large_image()));
    let mut read = Form::default();
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
        match name.as_str() {
            "ask" if bytes.len() > MAX_TEXT => {
                let message = "the field `ask` is too large";
                let status = StatusCode::PAYLOAD_TOO_LARGE;
                return Err(Box::new(refusal(status, message, &large_text())));
            }
            "ask" => read.ask = Some(bytes),
            "image" => read.image = Some(bytes.into()),
            other => {
                let message = format!("invalid request: unknown field `{other}`");
                return Err(refused(&message));
            }
        }
    }
    Ok(read)
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
fn open_upload(name: &str, bytes: &[u8], side: usize) -> Result<Photo> {
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
