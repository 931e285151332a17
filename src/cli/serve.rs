//! `cigan serve`: serves a web page to generate and edit images.

use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};

use clap::Args;

use super::browser::open_page;
use super::common::Common;
use super::done::Done;
use super::terminal::Terminal;
use crate::device::Choice;
use crate::error::Result;
use crate::serve::{CommandLine, Listener, models_in, serve, sorted};

/// Default of `--port`.
const PORT: u16 = 8017;

/// Serve a web page to generate and edit images.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  cigan serve M.safetensors --open
  cigan serve runs/00002-align-text-small32 --port 9000
  cigan serve runs                                     # the page switches between models

The page can be reached only from this machine, and it writes nothing to disk. --host makes it
available to other machines, without a password or encryption.")]
pub struct ServeArgs {
    /// Another way to give MODEL, as in other commands.
    #[arg(long = "model", value_name = "MODEL", required_unless_present = "path")]
    pub model: Option<PathBuf>,
    /// Model file or run directory that generates from text, or a folder of them.
    ///
    /// Models in a folder that cannot be opened, or do not generate from text, are named and left out.
    #[arg(value_name = "MODEL", conflicts_with = "model")]
    pub path: Option<PathBuf>,
    /// Port to listen on; 0 chooses a free port.
    #[arg(long, value_name = "N", default_value_t = PORT)]
    pub port: u16,
    /// IP address to listen on.
    #[arg(long, value_name = "ADDRESS", value_parser = address,
        default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    pub host: IpAddr,
    /// Open the page in the browser.
    #[arg(long)]
    pub open: bool,
}

fn address(text: &str) -> Result<IpAddr, String> {
    match text {
        "localhost" => Ok(Ipv4Addr::LOCALHOST.into()),
        _ => text.parse().map_err(|_| "expected an IP address, such as 127.0.0.1".into()),
    }
}

/// The models of `folder` that the page can use. Names the others; if it can use none of them, returns
/// all, so that opening them gives the error.
fn usable(models: Vec<PathBuf>, folder: &Path, terminal: &mut Terminal) -> Vec<PathBuf> {
    if models.len() < 2 {
        return models;
    }
    let total = models.len() as u64;
    let found = sorted(models.clone(), &mut |done| {
        terminal.progress("checking models", done as u64, total);
    });
    for (path, error) in &found.unusable {
        let place = path.display().to_string();
        let place = match error.message.contains(&place) {
            true => String::new(),
            false => format!("{place}: "),
        };
        let hint = error.hint.as_ref().map_or(String::new(), |hint| format!("; {hint}"));
        terminal.warning(&format!("not served: {place}{}{hint}", error.message));
    }
    if !found.without_prompts.is_empty() {
        let names = found.without_prompts.iter().filter_map(|path| path.file_name());
        let names: Vec<_> = names.map(|name| name.to_string_lossy()).collect();
        terminal.note(&format!(
            "not served, because they do not generate images from prompts: {} in {}",
            names.join(", "),
            folder.display()
        ));
    }
    match found.usable.is_empty() {
        true => models,
        false => found.usable,
    }
}

pub(super) fn run(args: &ServeArgs, common: &Common, terminal: &mut Terminal) -> Result<Done> {
    let model = args.model.as_ref().or(args.path.as_ref()).cloned().unwrap_or_default();
    let models = usable(models_in(&model)?, &model, terminal);
    let listener = Listener::bind(args.host, args.port)?;
    let device = common.open_device(terminal)?.device;
    let url = listener.url();
    if !args.host.is_loopback() {
        terminal.warning(&format!(
            "--host {}: everyone who can reach this machine by its IP address can use the page",
            args.host
        ));
    }
    let options = CommandLine {
        model: model.display().to_string(),
        threads: common.threads,
        device: (common.device != Choice::Auto).then(|| common.device.to_string()),
    };
    let interrupt = terminal.interrupt().clone();
    let signal = serve(listener, models, &options, &device, &interrupt, || {
        terminal.print(&url);
        terminal.note("press Ctrl-C to stop");
        if args.open {
            open_page(&url, terminal);
        }
    })?;
    Ok(Done::Interrupted(signal))
}
