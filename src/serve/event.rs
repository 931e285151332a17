//! What a page is told while it waits: lines of JSON.

use axum::body::Bytes;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use tokio::sync::mpsc;

use crate::error::Error;

/// Lines that wait for a slow reader.
const LINES: usize = 16;
/// Lines kept free for what must not be lost.
const RESERVED: usize = 6;

/// A picture or a file, as JSON can hold it.
#[derive(Debug, Clone, Serialize)]
#[serde(transparent)]
pub struct Blob(String);

impl Blob {
    /// Of a file's bytes.
    pub fn new(bytes: &[u8]) -> Self {
        Self(STANDARD.encode(bytes))
    }
}

/// One line.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "event", rename_all = "lowercase")]
pub enum Event {
    /// The job waits or begins.
    Accepted {
        /// Jobs ahead of it.
        ahead: usize,
        /// The command that does the same.
        command: String,
        /// What of the text is not understood.
        warning: Option<String>,
        /// The seed of every picture, in digits: JavaScript rounds larger numbers.
        seeds: Vec<String>,
    },
    /// The inversion is brought nearer to the picture.
    Refining { step: usize, steps: usize },
    /// The optimisation goes on; PNG files.
    Frame { step: usize, steps: usize, pictures: Vec<Blob> },
    /// The picture as the model sees it, and as G makes it; PNG files.
    Inverted { original: Blob, inversion: Blob },
    /// All is done.
    Done(Box<Done>),
    /// What went wrong, and what to do about it.
    Error { message: String, hint: Option<String> },
}

/// The end of a job.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Done {
    /// PNG files, with how they were made in their text.
    pub pictures: Vec<Blob>,
    /// Strengths of the strip.
    pub strengths: Vec<f64>,
    /// For each strength, PNG files.
    pub strip: Vec<Vec<Blob>>,
    /// A safetensors file.
    pub codes: Option<Blob>,
    /// Steps that were made.
    pub steps: usize,
    /// Something good to know.
    pub note: Option<String>,
    /// Wall time.
    pub seconds: f64,
}

impl From<&Error> for Event {
    fn from(error: &Error) -> Self {
        Event::Error { message: error.message.clone(), hint: error.hint.clone() }
    }
}

/// The end that is read.
pub type EventReceiver = mpsc::Receiver<Bytes>;

/// The end that is written.
pub struct EventSender(mpsc::Sender<Bytes>);

impl EventSender {
    /// Both ends.
    pub fn channel() -> (Self, EventReceiver) {
        let (sender, listener) = mpsc::channel(LINES);
        (Self(sender), listener)
    }

    /// Whether nobody listens any more.
    pub fn closed(&self) -> bool {
        self.0.is_closed()
    }

    /// Whether the reader keeps up, so that a frame is worth drawing. The worker never waits for a
    /// reader.
    pub fn eager(&self) -> bool {
        self.0.capacity() > RESERVED
    }

    /// Sends a line. One that finds neither room nor reader is lost.
    pub fn send(&self, answer: &Event) {
        if let Ok(mut line) = serde_json::to_vec(answer) {
            line.push(b'\n');
            let _ = self.0.try_send(line.into());
        }
    }
}
