//! `cigan serve`: a page to play with.

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;

use clap::Args;

use super::Done;
use super::common::Common;
use super::terminal::Terminal;
use crate::device::Choice;
use crate::error::Result;
use crate::model::Model;
use crate::serve::{CommandLine, Listener, serve};

/// Port of the page unless told otherwise.
const PORT: u16 = 8017;

/// Open a page to draw and edit with a model.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  cigan serve --model M.safetensors --open
  cigan serve --model runs/00002-align-text-birds32 --port 9000

The page is for this machine alone and keeps nothing on the disk. --host opens it to others, with
neither password nor encryption.")]
pub struct ServeArgs {
    /// Model or run of stage 3, or of `train-stylegan --condition text`.
    #[arg(long, value_name = "MODEL")]
    pub model: PathBuf,
    /// Port of the page; 0 takes any that is free.
    #[arg(long, value_name = "N", default_value_t = PORT)]
    pub port: u16,
    /// Address of this machine at which the page is.
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
        _ => text.parse().map_err(|_| "expected an address in numbers, such as 127.0.0.1".into()),
    }
}

pub(super) fn run(args: &ServeArgs, common: &Common, terminal: &mut Terminal) -> Result<Done> {
    let model = Model::open(&args.model)?;
    let listener = Listener::bind(args.host, args.port)?;
    let device = common.open_device(terminal)?.device;
    let url = listener.url();
    if !args.host.is_loopback() {
        terminal.warning(&format!(
            "--host {}: whoever reaches this machine can use the page, by its address in numbers",
            args.host
        ));
    }
    let command_line = CommandLine {
        model: args.model.display().to_string(),
        threads: common.threads,
        device: (common.device != Choice::Auto).then(|| common.device.to_string()),
    };
    let interrupt = terminal.interrupt().clone();
    let signal = serve(listener, &model, command_line, &device, &interrupt, || {
        terminal.print(&url);
        terminal.note("the page is there until Ctrl-C");
        if args.open
            && let Err(e) = open::that_detached(&url)
        {
            terminal.warning(&format!("--open: no browser could be started: {e}"));
        }
    })?;
    Ok(Done::Interrupted(signal))
}
