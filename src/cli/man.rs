//! `cigan man`: writes the manual pages, for packagers.

use std::path::{Path, PathBuf};

use clap::{Args, Command};
use clap_mangen::Man;

use super::terminal::Terminal;
use crate::error::{Error, Result};

/// Write the manual pages, one per command.
#[derive(Debug, Clone, Args)]
#[command(hide = true)]
#[command(after_help = "\
Examples:
  cigan man --out man && man ./man/cigan-generate.1")]
pub struct ManArgs {
    /// Folder for the pages.
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
}

/// Writes the pages of `program`.
pub(super) fn run(args: &ManArgs, program: Command, terminal: &mut Terminal) -> Result<()> {
    super::common::create_folder(&args.out)?;
    // `help` gets no page because it would only repeat the others.
    let mut command = program.disable_help_subcommand(true);
    // This gives the subcommands their full names (`cigan-data-prepare`) and the global flags.
    command.build();
    write_pages(&command, &args.out, terminal)
}

/// Writes the pages of a command and its subcommands, except hidden ones.
fn write_pages(command: &Command, folder: &Path, terminal: &mut Terminal) -> Result<()> {
    let page = Man::new(command.clone())
        .source(concat!("cigan ", env!("CARGO_PKG_VERSION")))
        .manual("cigan manual")
        .generate_to(folder)
        .map_err(|e| Error::io(folder, "write a manual page to", e))?;
    terminal.wrote(&page);
    command
        .get_subcommands()
        .filter(|sub| !sub.is_hide_set())
        .try_for_each(|sub| write_pages(sub, folder, terminal))
}
