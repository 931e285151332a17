//! `cigan serve`: serves a web page to generate and edit images.

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;

use clap::Args;

use super::browser::open_page;
use super::common::Common;
use super::done::Done;
use super::terminal::Terminal;
use crate::device::Choice;
use crate::error::Result;
use crate::serve::{CommandLine, Listener, models_in, serve};

/// Default of `--port`.
const PORT: u16 = 8017;

/// Serve a web page to generate and edit images.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  cigan serve --model M.safetensors --open
  cigan serve --model runs/00002-align-text-small32 --port 9000
  cigan serve --model runs                                     # the page switches between models

The page can be reached only from this machine, and it writes nothing to disk. --host makes it
available to other machines, without a password or encryption.")]
pub struct ServeArgs {
    /// Model file or run directory that generates from text, or a folder of them.
    #[arg(long, value_name = "MODEL")]
    pub model: PathBuf,
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

pub(super) fn run(args: &ServeArgs, common: &Common, terminal: &mut Terminal) -> Result<Done> {
    let models = models_in(&args.model)?;
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
        model: args.model.display().to_string(),
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
