//! `cigan import`: converts networks of other programs.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::builder::PossibleValuesParser;
use clap::error::ErrorKind;
use clap::{Arg, ArgMatches, Args, Command, FromArgMatches, Subcommand, value_parser};

use super::common::prepare_model;
use super::results::{ForceArgs, REPLACE_FILE, check_not_input};
use super::terminal::Terminal;
use crate::error::Result;
use crate::systems::{ImportOption, ImportOptions, SYSTEMS};
use crate::weights;

/// Import networks that were trained with another program.
#[derive(Debug, Clone, Args)]
pub struct ImportArgs {
    #[command(subcommand)]
    from: From,
}

/// One of the imports that the systems declare, as a subcommand.
#[derive(Debug, Clone)]
struct From {
    /// Name of the import.
    name: String,
    args: FileArgs,
    options: ImportOptions,
}

/// The arguments that all imports share.
#[derive(Debug, Clone, Args)]
#[command(mut_arg("force", |force| force.help(REPLACE_FILE)))]
struct FileArgs {
    /// File in safetensors format, or a PyTorch file: a state dict or a TorchScript archive. Code in
    /// it is not run.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Model file to write.
    #[arg(long, value_name = "MODEL.safetensors")]
    out: PathBuf,
    #[command(flatten)]
    force: ForceArgs,
}

impl FromArgMatches for From {
    fn from_arg_matches(matches: &ArgMatches) -> std::result::Result<Self, clap::Error> {
        let Some((name, matches)) = matches.subcommand() else {
            return Err(clap::Error::new(ErrorKind::MissingSubcommand));
        };
        let declared = SYSTEMS.imports().filter(|import| import.name == name);
        let options = declared.flat_map(|import| import.options).fold(
            ImportOptions::default(),
            |options, option| match matches.get_raw(option.name).and_then(|mut raw| raw.next()) {
                Some(value) => options.with(option.name, value),
                None => options,
            },
        );
        let args = FileArgs::from_arg_matches(matches)?;
        Ok(Self { name: name.to_owned(), args, options })
    }

    fn update_from_arg_matches(
        &mut self,
        matches: &ArgMatches,
    ) -> std::result::Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl Subcommand for From {
    fn augment_subcommands(command: Command) -> Command {
        command.subcommands(SYSTEMS.imports().map(|import| {
            // The doc comment of the arguments would replace a description that is set before.
            let command = FileArgs::augment_args(Command::new(import.name));
            let command = command.args(import.options.iter().map(argument));
            command.about(import.about).after_help(import.details)
        }))
    }

    fn augment_subcommands_for_update(command: Command) -> Command {
        Self::augment_subcommands(command)
    }

    fn has_subcommand(name: &str) -> bool {
        SYSTEMS.imports().any(|import| import.name == name)
    }
}

/// The flag of an option.
fn argument(option: &ImportOption) -> Arg {
    let flag = Arg::new(option.name).long(option.name).value_name(option.value).help(option.about);
    match option.choices {
        [] => flag.value_parser(value_parser!(OsString)),
        choices => flag.value_parser(PossibleValuesParser::new(choices)),
    }
}

pub(super) fn run(args: &ImportArgs, terminal: &mut Terminal) -> Result<()> {
    let From { name, args, options } = &args.from;
    prepare_model(&args.out)?;
    let read = options.values().map(Path::new);
    check_not_input(&args.out, read.chain([args.file.as_path()]))?;
    args.force.check_file(&args.out)?;
    let file = weights::read(&args.file, |_| true)?;
    let imported =
        SYSTEMS.import(name, file, options).map_err(|e| e.context(args.file.display()))?;
    terminal.note(&imported.description);
    imported.model.into_file().sealed().write(&args.out)?;
    terminal.wrote(&args.out);
    Ok(())
}
