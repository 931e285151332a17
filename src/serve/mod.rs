//! `serve`: one page, on one's own machine, that draws and edits with a model.
//!
//! The page (`page/`) talks to `server.rs`; what it asks for (`request.rs`) waits in one line
//! (`queue.rs`) for one worker (`work.rs`), which owns the model and the device. Nothing is kept on
//! the disk, and no path comes from the browser. Drawing and editing are [`crate::studio`]'s, as
//! they are of the commands.

mod command_line;
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

/// Words of the model that the page offers.
const WORDS: usize = 40;

/// What the page is told about the model.
#[derive(Debug, Clone, Serialize)]
struct About {
    /// File or run, as it was given.
    name: String,
    resolution: usize,
    /// Nothing is optimised: strength and steps mean nothing.
    direct: bool,
    /// Why pictures cannot be edited, where they cannot.
    no_edits: Option<String>,
    strength: f64,
    edit_strength: f64,
    truncation: f64,
    preserve: f64,
    steps: usize,
    /// Most pictures of a grid.
    most: usize,
    /// Frequent words that the model knows.
    words: Vec<String>,
    /// They are phrases, which commas part.
    phrases: bool,
    /// Seeds at first.
    seeds: &'static str,
    /// How far neighbours of a seed are at first.
    vary_by: f64,
    version: &'static str,
}

/// What all requests share.
struct Shared {
    about: About,
    tokenizer: Tokenizer,
    queue: Queue,
    command_line: CommandLine,
    guard: guard::Guard,
    /// Sizes of a code, as (vectors, numbers of a vector).
    sizes: Vec<[usize; 2]>,
}

impl Shared {
    /// Layers of W+.
    fn num_ws(&self) -> usize {
        self.sizes.iter().map(|[vectors, _]| *vectors).max().unwrap_or(0)
    }

    /// A code that came from a page.
    fn code(&self, values: &[f32]) -> Result<request::EditInput> {
        let size = self.sizes.iter().find(|[vectors, dim]| vectors * dim == values.len());
        match size {
            Some(&size) if values.iter().all(|v| v.is_finite()) => {
                Ok(request::EditInput::Code { values: values.to_vec(), size })
            }
            _ => {
                let known = self.sizes.iter().map(|[vectors, dim]| (vectors * dim).to_string());
                let known: Vec<String> = known.collect();
                Err(Error::user(format!("a code of {} numbers", values.len()))
                    .hint(format!("this model has {}, all finite", known.join(" or "))))
            }
        }
    }
}

/// An address that is taken, so that nobody else can take it.
pub struct Listener {
    listener: TcpListener,
    address: SocketAddr,
}

impl Listener {
    /// Takes `port` on `host`; 0 takes any that is free.
    ///
    /// # Errors
    /// If it is not free, or not this machine's.
    pub fn bind(host: IpAddr, port: u16) -> Result<Self> {
        let taken = |e: std::io::Error| {
            let hint = match e.kind() {
                std::io::ErrorKind::AddrInUse => "give another --port, or 0 for any that is free",
                std::io::ErrorKind::PermissionDenied => "give a --port above 1023",
                _ => "give an address of this machine; 127.0.0.1 is always one",
            };
            Error::user(format!("--host {host} --port {port}: {e}")).hint(hint)
        };
        let listener = TcpListener::bind((host, port)).map_err(taken)?;
        listener.set_nonblocking(true).map_err(taken)?;
        let address = listener.local_addr().map_err(taken)?;
        Ok(Self { listener, address })
    }

    /// Where the page is.
    pub fn url(&self) -> String {
        let mut address = self.address;
        if address.ip().is_unspecified() {
            // Every address of the machine; the nearest of them.
            address.set_ip(std::net::Ipv4Addr::LOCALHOST.into());
        }
        format!("http://{address}/")
    }
}

/// Serves the page until the user asks for an end; → what asked.
///
/// # Errors
/// If the model is not of stage 3 (nor text-conditional), or the worker fails.
pub fn serve(
    door: Listener,
    model: &Model,
    command_line: CommandLine,
    device: &Device,
    interrupt: &Interrupt,
    ready: impl FnOnce(),
) -> Result<Signal> {
    let studio = Studio::open(model, device)?;
    let can = studio.capabilities();
    let edits = studio.check_edits();
    let usual = GuidanceSettings::default();
    let about = About {
        name: command_line.model.clone(),
        resolution: studio.resolution(),
        direct: !can.strength,
        no_edits: edits.err().map(|e| e.message),
        strength: usual.strength,
        edit_strength: GuidanceSettings::for_edits().strength,
        truncation: usual.truncation,
        preserve: usual.preserve,
        steps: usual.steps,
        most: request::MOST_PICTURES,
        words: studio.tokenizer().common(WORDS),
        phrases: studio.tokenizer().knows_phrases(),
        seeds: DEFAULT_SEEDS,
        vary_by: VARY_BY,
        version: env!("CARGO_PKG_VERSION"),
    };
    let shared = Arc::new(Shared {
        about,
        tokenizer: studio.tokenizer().clone(),
        queue: Queue::default(),
        command_line,
        guard: guard::Guard::new(door.address),
        sizes: studio.code_sizes(),
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
        let ended = server::run(door.listener, shared.clone(), interrupt, || work.is_finished());
        shared.queue.close();
        let worked = work.join();
        match (ended?, worked) {
            (Some(signal), Ok(())) => Ok(signal),
            _ => Err(Error::internal("the worker of the page ended")),
        }
    })
}
