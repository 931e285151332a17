//! The command line: one file per command. No other module prints.

mod align_text;
mod archive_info;
mod attributes;
mod bench;
mod browser;
mod choices;
mod codes;
mod common;
mod config;
mod data;
mod demo;
mod devices;
mod done;
mod edit;
mod edit_inputs;
mod evaluate;
mod export;
mod generate;
mod guided;
mod import;
mod info;
mod interpolate;
mod invert;
mod judges;
mod man;
mod mix;
mod picture_info;
mod project;
mod prompts;
mod rank_by;
mod restyle;
mod results;
mod sample;
mod serve;
mod source;
mod strengths;
mod tables;
mod terminal;
mod train;
mod train_baseline;
mod train_captioner;
mod train_damsm;
mod train_style;
mod train_stylegan;
mod training;
mod verify;
mod view;

use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::device::on_worker;
use crate::error::{Error, Result};
use crate::interrupt::Interrupt;
use crate::ranks::{self, Launched};
use crate::systems::SYSTEMS;
use common::Common;
use done::Done;
use terminal::Terminal;

/// Train CI-GAN on captioned images, then generate and edit images from text.
#[derive(Debug, Parser)]
#[command(name = "cigan", version, propagate_version = true, max_term_width = 100)]
#[command(after_help = "\
From a folder of captioned images to images generated from text:
  cigan train birds --time 2h
  cigan generate --model runs/00000-train-small32 --text \"a small yellow bird\" --out pictures

The same, one stage at a time:
  cigan data prepare birds --out birds32.zip --resolution 32
  cigan train-stylegan --data birds32.zip --preset small32
  cigan invert --data birds32.zip --model runs/00000-train-stylegan-small32 --preset small32
  cigan align-text --data birds32.zip --model runs/00001-invert-small32 --preset small32

To try it without your own data: cigan demo")]
struct Cli {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Demo(demo::DemoArgs),
    Data(data::DataArgs),
    Train(train::TrainArgs),
    TrainStylegan(train_stylegan::TrainStyleganArgs),
    Invert(invert::InvertArgs),
    AlignText(align_text::AlignTextArgs),
    TrainDamsm(train_damsm::TrainDamsmArgs),
    TrainCaptioner(train_captioner::TrainCaptionerArgs),
    TrainBaseline(train_baseline::TrainBaselineArgs),
    TrainStyle(train_style::TrainStyleArgs),
    Generate(generate::GenerateArgs),
    Edit(edit::EditArgs),
    Project(project::ProjectArgs),
    Sample(sample::SampleArgs),
    Interpolate(interpolate::InterpolateArgs),
    Mix(mix::MixArgs),
    Restyle(restyle::RestyleArgs),
    Serve(serve::ServeArgs),
    Evaluate(evaluate::EvaluateArgs),
    Import(import::ImportArgs),
    Export(export::ExportArgs),
    Bench(bench::BenchArgs),
    Info(info::InfoArgs),
    Verify(verify::VerifyArgs),
    Devices(devices::DevicesArgs),
    Config(config::ConfigArgs),
    Man(man::ManArgs),
    /// Print shell completions.
    #[command(after_help = "\
Examples:
  cigan completions bash > ~/.local/share/bash-completion/completions/cigan")]
    Completions {
        /// Shell to generate completions for.
        shell: clap_complete::Shell,
    },
}

/// Parses the arguments, runs the command and prints its error, if any. `example` is the file of the
/// model that `cigan demo` shows, if the program contains it.
pub fn main(example: Option<&'static [u8]>) -> ExitCode {
    match ranks::launched() {
        // Rank 0 prints for all, also the error of another rank, and its exit code is that of the job.
        // Any other exit code would make mpirun end the job before rank 0 has printed the error.
        Some(launched) if launched.rank > 0 => {
            run(Some(launched), example);
            ExitCode::SUCCESS
        }
        launched => run(launched, example),
    }
}

fn run(launched: Option<Launched>, example: Option<&'static [u8]>) -> ExitCode {
    let prints = launched.is_none_or(|launched| launched.rank == 0);
    let parsed = Cli::command().try_get_matches().and_then(|matches| {
        let command = matches.subcommand_name().unwrap_or_default().to_owned();
        Ok((command, Cli::from_arg_matches(&matches)?))
    });
    let (command, cli) = match parsed {
        Ok(parsed) => parsed,
        Err(error) => {
            if prints {
                let _ = error.print();
            }
            // Help and the version are printed without MPI, which a process can start only once.
            if !error.use_stderr() {
                return ExitCode::SUCCESS;
            }
            ranks::fail_to_join(unparsed(&error));
            return ExitCode::from(2);
        }
    };
    terminal::report_bugs();
    let (interrupt, signal_error) = match Interrupt::install() {
        Ok(interrupt) => (interrupt, None),
        Err(error) => (Interrupt::manual(), Some(error)),
    };
    let mut terminal = Terminal::new(cli.common.quiet, cli.common.verbose, interrupt);
    if !prints {
        terminal.silence();
    }
    if let Some(error) = signal_error {
        terminal.warning(&error.message);
    }
    let on_ranks = SYSTEMS.commands_on_ranks();
    let refused = match launched {
        Some(launched) if !on_ranks.contains(&command.as_str()) => Err(launched.refusal(&on_ranks)),
        _ => Ok(()),
    };
    let done = refused.and_then(|()| dispatch(cli, example, &mut terminal)).and_then(|done| {
        terminal.check_results()?;
        Ok(done)
    });
    match done {
        Ok(Done::Finished) => ExitCode::SUCCESS,
        Ok(Done::Interrupted(signal)) => ExitCode::from(signal.exit_code() as u8),
        Err(error) => {
            terminal.error(&error);
            let code = error.kind.exit_code();
            ranks::fail_to_join(error);
            ExitCode::from(code as u8)
        }
    }
}

/// What another rank prints about arguments that could not be parsed.
fn unparsed(error: &clap::Error) -> Error {
    if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        return Error::user("its arguments name no command")
            .hint("give all ranks the same command");
    }
    // The usage and the tips follow after an empty line.
    let text = error.render().to_string();
    let lines = text.lines().map(str::trim).take_while(|line| !line.is_empty());
    let text = lines.collect::<Vec<_>>().join(" ");
    Error::user(text.trim_start_matches("error: "))
        .hint("correct the arguments of that rank; `--help` lists them")
}

fn dispatch(cli: Cli, example: Option<&'static [u8]>, terminal: &mut Terminal) -> Result<Done> {
    let Cli { common, command } = cli;
    common.use_threads()?;
    match command {
        Command::Demo(args) => return demo::run(&args, example, &common, terminal),
        Command::Data(args) => data::run(&args, &common, terminal)?,
        Command::Train(args) => return train::run(&args, &common, terminal),
        Command::TrainStylegan(args) => return train_stylegan::run(&args, &common, terminal),
        Command::Invert(args) => return invert::run(&args, &common, terminal),
        Command::AlignText(args) => return align_text::run(&args, &common, terminal),
        Command::TrainDamsm(args) => return train_damsm::run(&args, &common, terminal),
        Command::TrainCaptioner(args) => return train_captioner::run(&args, &common, terminal),
        Command::TrainStyle(args) => return train_style::run(&args, &common, terminal),
        Command::TrainBaseline(args) => return train_baseline::run(&args, &common, terminal),
        Command::Generate(args) => on_worker(|| generate::run(&args, &common, terminal))?,
        Command::Edit(args) => on_worker(|| edit::run(&args, &common, terminal))?,
        Command::Project(args) => on_worker(|| project::run(&args, &common, terminal))?,
        Command::Sample(args) => on_worker(|| sample::run(&args, &common, terminal))?,
        Command::Interpolate(args) => on_worker(|| interpolate::run(&args, &common, terminal))?,
        Command::Mix(args) => on_worker(|| mix::run(&args, &common, terminal))?,
        Command::Restyle(args) => on_worker(|| restyle::run(&args, &common, terminal))?,
        Command::Serve(args) => return serve::run(&args, &common, terminal),
        Command::Import(args) => import::run(&args, terminal)?,
        Command::Export(args) => export::run(&args, terminal)?,
        Command::Evaluate(args) => on_worker(|| evaluate::run(&args, &common, terminal))?,
        Command::Bench(args) => on_worker(|| bench::run(&args, &common, terminal))?,
        Command::Info(args) => info::run(&args, terminal)?,
        Command::Verify(args) => verify::run(&args, terminal)?,
        Command::Devices(args) => on_worker(|| devices::run(&args, &common, terminal))?,
        Command::Config(args) => config::run(&args, terminal)?,
        Command::Man(args) => man::run(&args, Cli::command(), terminal)?,
        Command::Completions { shell } => {
            let mut text = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "cigan", &mut text);
            terminal.print(&String::from_utf8_lossy(&text));
        }
    }
    Ok(Done::Finished)
}
