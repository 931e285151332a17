//! `serve`: a local web page that generates and edits images with a model.
//!
//! The page (`page/`) sends requests (`request.rs`) to the server (`server.rs`). They wait in a
//! queue (`queue.rs`) for one worker (`work.rs`), which owns the model and the device and answers
//! with events (`event.rs`). The server writes nothing to disk and opens no path that the browser
//! sends. [`crate::studio`] generates and edits, as it does for the commands.

mod about;
mod answer;
mod assets;
mod command_line;
mod connections;
mod event;
mod explore;
mod guard;
mod opened;
mod queue;
mod request;
mod run;
mod server;
mod upload;
mod waiting;
mod wording;
mod work;

use std::net::{IpAddr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;

use burn::tensor::Device;

use crate::error::{Error, Result};
use crate::interrupt::{Interrupt, Signal};
use crate::language::PromptTokenizer;
use crate::run_files::newest_model;

pub use command_line::CommandLine;

use opened::Models;
use queue::Queue;

pub use opened::{Sorted, models_in, sorted};

/// State that all requests share.
struct Shared {
    models: Models,
    queue: Queue,
    guard: guard::Guard,
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
pub fn check_requests(bytes: &[u8], tokenizer: &dyn PromptTokenizer) {
    let line = CommandLine { model: "MODEL".to_owned(), device: None, threads: None };
    if let Ok(request) = serde_json::from_slice::<request::DrawRequest>(bytes) {
        line.draw(&request, false);
        let _ = request.check(tokenizer, true);
    }
    if let Ok(request) = serde_json::from_slice::<request::EditRequest>(bytes) {
        line.edit(&request, false, 0);
        let codes: Vec<Vec<f32>> = request.code.iter().map(|code| code.values.clone()).collect();
        let Ok(codes) = request::CodeBatch::of(&codes, &[[1, 8]]) else { return };
        let input = request::EditInput::Code(codes);
        let _ = request.check(input, tokenizer, 8);
    }
    if let Ok(request) = serde_json::from_slice::<explore::RenderRequest>(bytes) {
        let _ = request.check_for(&[[1, 8], [4, 8]], 32);
    }
}

/// Serves the page until the user interrupts it, and returns the signal. The first of `models` that
/// generates images from prompts is opened; the page can switch to the others. While the only one is
/// a run that trains and has no such model yet, a page shows its progress. Calls `ready` once the
/// page can be opened.
///
/// # Errors
/// If no model generates images from prompts and no run trains one, or the server or the worker
/// fails.
pub fn serve(
    listener: Listener,
    models: Vec<PathBuf>,
    options: &CommandLine,
    device: &Device,
    interrupt: &Interrupt,
    ready: impl FnOnce(),
) -> Result<Signal> {
    let mut ready = Some(ready);
    let guard = guard::Guard::new(listener.address);
    let (opened, known) = match (opened::open_first(&models, options, device), &models[..]) {
        (Ok(found), _) => found,
        (Err(_), [run]) if run::is_training(run) => {
            if let Some(ready) = ready.take() {
                ready();
            }
            let mut tried = newest_model(run).ok();
            let open = || {
                let newest = newest_model(run).ok().filter(|file| Some(file) != tried.as_ref())?;
                tried = Some(newest);
                opened::open(&models, 0, options, device).ok()
            };
            let socket = listener.listener.try_clone();
            let socket =
                socket.map_err(|e| Error::internal(format!("cannot serve: {e}")).caused_by(e))?;
            match waiting::wait(socket, guard.clone(), run, interrupt, open)? {
                waiting::Waited::Opened(found) => found,
                waiting::Waited::Interrupted(signal) => return Ok(signal),
            }
        }
        (Err(error), _) => return Err(error),
    };
    let shared =
        Arc::new(Shared { models: Models::new(models, known), queue: Queue::default(), guard });
    std::thread::scope(|scope| {
        let models = &shared.models;
        let queue = &shared.queue;
        let mut worker = work::Worker { opened, models, options, device };
        let work = scope.spawn(move || {
            while let Some(job) = queue.next() {
                worker.run(job);
            }
        });
        if let Some(ready) = ready.take() {
            ready();
        }
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
