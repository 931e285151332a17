//! Events that the server sends to a page as lines of JSON.

use axum::body::Bytes;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use tokio::sync::mpsc;

use super::wording::for_page;
use crate::error::{Error, Kind};

/// Hint of errors that are bugs.
const BUG: &str = "this is a bug in cigan; please report it with the request that led to it";

/// Lines that are buffered for a slow reader.
const LINES: usize = 16;
/// Buffered lines that frames leave free for events that must not be lost.
const RESERVED: usize = 6;

/// A file's bytes in Base64.
#[derive(Debug, Clone, Serialize)]
#[serde(transparent)]
pub struct Blob(String);

impl Blob {
    /// Encodes the bytes of a file.
    pub fn new(bytes: &[u8]) -> Self {
        Self(STANDARD.encode(bytes))
    }
}

/// An event of a job; one line of JSON.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "event", rename_all = "lowercase")]
pub enum Event {
    /// The job was added to the queue.
    Accepted {
        /// Jobs ahead of it.
        ahead: usize,
        /// The equivalent command line.
        command: String,
        /// A warning about words of the prompt that the model does not know, or about a damaged image.
        warning: Option<String>,
        /// The seed of every image, as a string because JavaScript rounds large numbers.
        seeds: Vec<String>,
    },
    /// Progress of the projection that refines the inversion.
    Refining { step: usize, steps: usize },
    /// Images after a step of the optimisation, as PNG files.
    Frame { step: usize, steps: usize, pictures: Vec<Blob> },
    /// The cropped and resized input and its inversion G(E(x)), as PNG files.
    Inverted { original: Blob, inversion: Blob },
    /// The job is done.
    Done(Box<Done>),
    /// The job failed.
    Error { message: String, hint: Option<String> },
}

/// The result of a job.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Done {
    /// PNG files whose text chunks describe how the images were made.
    pub pictures: Vec<Blob>,
    /// Strengths of the strip.
    pub strengths: Vec<f64>,
    /// PNG files of all images, for each strength.
    pub strip: Vec<Vec<Blob>>,
    /// The latent codes, as a safetensors file.
    pub codes: Option<Blob>,
    /// Directions or codes of texts, as numbers to add to codes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub vectors: Vec<Vec<f32>>,
    /// The share of the variance of each direction.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub shares: Vec<f64>,
    /// An animation, as a GIF or WebP file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub film: Option<Blob>,
    /// The seed of every picture, if other than those accepted.
    pub seeds: Vec<String>,
    /// Number of optimisation steps.
    pub steps: usize,
    /// A remark about the result.
    pub note: Option<String>,
    /// Wall time in seconds.
    pub seconds: f64,
}

impl From<&Error> for Event {
    fn from(error: &Error) -> Self {
        let bug = || (error.kind == Kind::Internal).then(|| BUG.to_owned());
        let hint = error.hint.as_deref().map(for_page).or_else(bug);
        Event::Error { message: for_page(&error.message), hint }
    }
}

/// The receiving end of a job's events, as lines of JSON.
pub type EventReceiver = mpsc::Receiver<Bytes>;

/// The sending end of a job's events.
pub struct EventSender(mpsc::Sender<Bytes>);

impl EventSender {
    /// Creates a bounded channel.
    pub fn channel() -> (Self, EventReceiver) {
        let (sender, listener) = mpsc::channel(LINES);
        (Self(sender), listener)
    }

    /// Whether the receiver is gone.
    pub fn closed(&self) -> bool {
        self.0.is_closed()
    }

    /// Whether the reader keeps up, so that it is worth drawing a frame. The worker never waits.
    pub fn keeps_up(&self) -> bool {
        self.0.capacity() > RESERVED
    }

    /// Sends an event. It is dropped if the buffer is full or the receiver is gone.
    pub fn send(&self, event: &Event) {
        if let Ok(mut line) = serde_json::to_vec(event) {
            line.push(b'\n');
            let _ = self.0.try_send(line.into());
        }
    }
}
