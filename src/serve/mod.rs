//! `serve`: a local web page that generates and edits images with a model.
//!
//! The page (`page/`) sends requests (`request.rs`) to the server (`server.rs`). They wait in a
//! queue (`queue.rs`) for one worker (`work.rs`), which owns the model and the device and answers
//! with events (`event.rs`). The server writes nothing to disk and opens no path that the browser
//! sends. [`crate::studio`] generates and edits, as it does for the commands.

mod command_line;
mod connections;
mod event;
mod guard;
mod queue;
mod request;
mod server;
mod work;

use std::net::{IpAddr, SocketAddr, TcpListener};
use std::sync::Arc;

use burn::tensor::Device;
use serde::Serialize;

use crate::error::{Error, Result};
use crate::interrupt::{Interrupt, Signal};
use crate::language::Tokenizer;
use crate::model::Model;
use crate::studio::{DEFAULT_SEEDS, Studio};
use crate::systems::guidance::GuidanceSettings;
use crate::systems::requests::VARY_BY;

pub use command_line::CommandLine;

use queue::Queue;

/// Number of known words that the page shows.
const WORDS: usize = 40;

/// Description of the model for the page; the fields are the keys of `/api/model`.
#[derive(Debug, Clone, Serialize)]
struct About {
    /// The model's file or run, as the user gave it.
    name: String,
    resolution: usize,
    /// Whether the model generates without optimisation, so that strength and steps have no effect.
    direct: bool,
    /// Reason why the model cannot edit images, if it cannot.
    no_edits: Option<String>,
    strength: f64,
    edit_strength: f64,
    truncation: f64,
    preserve: f64,
    steps: usize,
    /// Largest number of images in a grid.
    most: usize,
    /// Frequent words or phrases that the model knows.
    words: Vec<String>,
    /// Whether `words` are phrases, which commas separate.
    phrases: bool,
    /// Initial seeds.
    seeds: &'static str,
    /// Initial distance of neighbours from their seed.
    vary_by: f64,
    version: &'static str,
}

/// State that all requests share.
struct Shared {
    about: About,
    tokenizer: Tokenizer,
    queue: Queue,
    command_line: CommandLine,
    guard: guard::Guard,
    /// Shapes that a latent code may have, as `[vectors, numbers per vector]`.
    sizes: Vec<[usize; 2]>,
    /// What helps if the model cannot edit images.
    no_edits_hint: String,
}

impl Shared {
    /// Number of layers in W+.
    fn num_ws(&self) -> usize {
        self.sizes.iter().map(|[vectors, _]| *vectors).max().unwrap_or(0)
    }

    /// Checks a latent code that a page sent.
    fn code(&self, values: &[f32]) -> Result<request::EditInput> {
        let size = self.sizes.iter().find(|[vectors, dim]| vectors * dim == values.len());
        match size {
            Some(&size) if values.iter().all(|v| v.is_finite()) => {
                Ok(request::EditInput::Code { values: values.to_vec(), size })
            }
            _ => {
                let known = self.sizes.iter().map(|[vectors, dim]| (vectors * dim).to_string());
                let known: Vec<String> = known.collect();
                Err(Error::user(format!("the latent code has {} numbers", values.len()))
                    .hint(format!("this model needs {} finite numbers", known.join(" or "))))
            }
        }
    }
}

/// A TCP listener for the page, bound to its address.
pub struct Listener {
    listener: TcpListener,
    address: SocketAddr,
}

impl Listener {
    /// Binds to `port` on `host`; port 0 selects any free port.
    ///
    /// # Errors
    /// If the port is in use or not permitted, or `host` is not an address of this machine.
    pub fn bind(host: IpAddr, port: u16) -> Result<Self> {
        let failed = |e: std::io::Error| {
            let hint = match e.kind() {
                std::io::ErrorKind::AddrInUse => "use another --port, or 0 for any free port",
                std::io::ErrorKind::PermissionDenied => "use a --port above 1023",
                _ => "use an address of this machine, such as 127.0.0.1",
            };
            Error::user(format!("--host {host} --port {port}: {e}")).hint(hint)
        };
        let listener = TcpListener::bind((host, port)).map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        Ok(Self { listener, address })
    }

    /// URL of the page.
    pub fn url(&self) -> String {
        let mut address = self.address;
        if address.ip().is_unspecified() {
            // The server listens on all addresses; a browser on this machine needs a concrete one.
            address.set_ip(std::net::Ipv4Addr::LOCALHOST.into());
        }
        format!("http://{address}/")
    }
}

/// Parses and checks bytes as requests of the page, for fuzzing.
#[doc(hidden)]
pub fn check_requests(bytes: &[u8], tokenizer: &Tokenizer) {
    let line = CommandLine { model: "MODEL".to_owned(), device: None, threads: None };
    if let Ok(request) = serde_json::from_slice::<request::DrawRequest>(bytes) {
        line.draw(&request, false);
        let _ = request.check(tokenizer);
    }
    if let Ok(request) = serde_json::from_slice::<request::EditRequest>(bytes) {
        line.edit(&request);
        let values = request.code.iter().flat_map(|code| code.values.clone()).collect();
        let input = request::EditInput::Code { values, size: [1, 8] };
        let _ = request.check(input, tokenizer, 8);
    }
}

/// Serves the page until the user interrupts it, and returns the signal. Calls `ready` once the
/// model is loaded.
///
/// # Errors
/// If the model does not generate images from prompts, or the server or the worker fails.
pub fn serve(
    listener: Listener,
    model: &Model,
    command_line: CommandLine,
    device: &Device,
    interrupt: &Interrupt,
    ready: impl FnOnce(),
) -> Result<Signal> {
    let studio = Studio::open(model, device)?;
    let can = studio.capabilities();
    let no_edits = studio.check_edits().err();
    let no_edits_hint = no_edits.as_ref().and_then(|e| e.hint.clone()).unwrap_or_default();
    let defaults = can.guidance();
    let about = About {
        name: command_line.model.clone(),
        resolution: studio.resolution(),
        direct: !can.strength,
        no_edits: no_edits.map(|e| e.message),
        strength: defaults.strength,
        edit_strength: GuidanceSettings::for_edits().strength,
        truncation: defaults.truncation,
        preserve: defaults.preserve,
        steps: defaults.steps,
        most: request::MAX_IMAGES,
        words: studio.tokenizer().common(WORDS),
        phrases: studio.tokenizer().is_phrase_based(),
        seeds: DEFAULT_SEEDS,
        vary_by: VARY_BY,
        version: env!("CARGO_PKG_VERSION"),
    };
    let shared = Arc::new(Shared {
        about,
        tokenizer: studio.tokenizer().clone(),
        queue: Queue::default(),
        command_line,
        guard: guard::Guard::new(listener.address),
        sizes: studio.code_sizes(),
        no_edits_hint,
    });
    let worker = work::Worker { studio: &studio, model, device };
    std::thread::scope(|scope| {
        let queue = &shared.queue;
        let work = scope.spawn(move || {
            while let Some(job) = queue.next() {
                worker.run(job);
            }
        });
        ready();
        let ended =
            server::run(listener.listener, shared.clone(), interrupt, || work.is_finished());
        shared.queue.close();
        let worked = work.join();
        match (ended?, worked) {
            (Some(signal), Ok(())) => Ok(signal),
            _ => Err(Error::internal("the worker thread ended unexpectedly")),
        }
    })
}
