//! `cigan demo`: runs the whole pipeline on synthetic birds.

use std::path::PathBuf;

use clap::Args;

use super::browser::open_page;
use super::common::Common;
use super::done::Done;
use super::terminal::Terminal;
use crate::error::Result;
use crate::pipeline::demo::{self, DemoRequest};
use crate::pipeline::events::WholeOutcome;

/// Run the whole pipeline on synthetic birds with captions.
///
/// The demo needs no data and no internet connection, and takes minutes on two CPU cores. It
/// demonstrates that the pipeline works; after such short training, the images are not good. An
/// interrupted demo continues when it is run again.
///
/// Its page begins with pictures of a model that was trained for hours on photographs of birds, which is
/// part of the program. Its photographs are for non-commercial research, and so is that model.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  cigan demo --open
  cigan demo --out my-demo --device cpu")]
pub struct DemoArgs {
    /// Folder for the data, runs, images and index.html.
    #[arg(long, value_name = "DIR", default_value = "demo")]
    pub out: PathBuf,
    /// Open the page in the browser.
    #[arg(long)]
    pub open: bool,
    /// Write to a folder that contains other files; they are kept.
    #[arg(long)]
    pub force: bool,
}

pub(super) fn run(
    args: &DemoArgs,
    example: Option<&'static [u8]>,
    common: &Common,
    terminal: &mut Terminal,
) -> Result<Done> {
    let request = DemoRequest {
        seed: common.seed(),
        force: args.force,
        example,
        ..DemoRequest::new(args.out.clone())
    };
    let interrupt = terminal.interrupt().clone();
    match demo::run(&request, common.device, &interrupt, terminal)? {
        WholeOutcome::Finished { run } => {
            let page = run.join("index.html");
            terminal.wrote(&page);
            if args.open {
                open_page(&page, terminal);
            }
            Ok(Done::Finished)
        }
        WholeOutcome::Interrupted { signal, .. } => {
            terminal.note("interrupted; run `cigan demo` again to continue");
            Ok(Done::Interrupted(signal))
        }
    }
}
