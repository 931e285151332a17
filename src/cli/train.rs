//! `cigan train`: all stages, from a folder of images to a model.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::common::Common;
use super::done::Done;
use super::source::SourceArgs;
use super::terminal::{Terminal, human};
use crate::data::SourceOptions;
use crate::error::{Error, Result, positive};
use crate::pipeline::events::{Choices, WholeOutcome, WholeSink};
use crate::pipeline::schedule::Length;
use crate::pipeline::whole::{self, ResumeRequest, WholeRequest};
use crate::train::space::megabytes;

/// Train a model from a folder of captioned images: all stages, one command.
///
/// Prepares the images, trains the generator, the encoder and the text encoder, generates example
/// images and evaluates the model on held-out images. Before it trains, it measures the speed of
/// every stage and prints what it found, what it chose, and how long training will take.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  cigan train photos/
  cigan train birds --time 2h
  cigan train birds64.zip --kimg 500 --out models
  cigan train --resume runs/00000-train-small32

Then:
  cigan generate --model runs/00000-train-small32 --text \"a small yellow bird\"
  cigan serve runs/00000-train-small32")]
pub struct TrainArgs {
    /// Folder or zip of images, or an archive made by `cigan data prepare`; with --resume, the archive
    /// of the run, if it has been moved.
    #[arg(value_name = "SRC", required_unless_present = "resume")]
    pub src: Option<PathBuf>,
    /// Time for the whole training, such as 30m, 2h or 1h30m [default: the lengths of the preset].
    #[arg(long, value_name = "TIME", conflicts_with_all = ["kimg", "resume"])]
    pub time: Option<Time>,
    /// Length of stage 1 in thousands of images; the other stages keep their proportion to it.
    #[arg(long, value_name = "X", conflicts_with = "resume", allow_negative_numbers = true)]
    pub kimg: Option<f64>,
    /// Image resolution in pixels [default: that of an archive, else 32 on a CPU, 64 on a GPU].
    #[arg(long, value_name = "N", conflicts_with = "resume")]
    pub resolution: Option<u32>,
    /// Preset of all stages; `cigan config show` lists them [default: by resolution].
    #[arg(long, value_name = "NAME", conflicts_with = "resume")]
    pub preset: Option<String>,
    /// Setting that overrides the preset, such as stylegan.r1_gamma=1; may be repeated.
    #[arg(long, value_name = "KEY=VALUE", conflicts_with = "resume")]
    pub set: Vec<String>,
    /// Folder for runs; each run gets a numbered subfolder [default: runs].
    #[arg(long, value_name = "RUNS", conflicts_with = "resume")]
    pub out: Option<PathBuf>,
    /// Also write the metrics of all stages as event files for TensorBoard.
    #[arg(long)]
    pub tensorboard: bool,
    #[command(flatten)]
    pub source: SourceArgs,
    /// Resume a run exactly where it stopped.
    ///
    /// A folder of runs means the newest run of this command in it, and `latest` the newest one in
    /// the folder `runs`.
    #[arg(long, value_name = "RUN")]
    pub resume: Option<PathBuf>,
}

/// A duration such as `2h`, `90m` or `1h30m`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Time(Duration);

impl std::str::FromStr for Time {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let wrong = || "expected hours, minutes or seconds, such as 2h, 1h30m or 45m".to_owned();
        let mut total = 0.0;
        let mut number = String::new();
        for c in text.chars() {
            let unit = match c {
                'h' => 3600.0,
                'm' => 60.0,
                's' => 1.0,
                _ => {
                    number.push(c);
                    continue;
                }
            };
            total += number.parse::<f64>().map_err(|_| wrong())? * unit;
            number.clear();
        }
        match Duration::try_from_secs_f64(total) {
            Ok(time) if number.is_empty() && !time.is_zero() => Ok(Self(time)),
            _ => Err(wrong()),
        }
    }
}

pub(super) fn run(args: &TrainArgs, common: &Common, terminal: &mut Terminal) -> Result<Done> {
    let interrupt = terminal.interrupt().clone();
    let outcome = match (&args.resume, &args.src) {
        (Some(run), _) if args.source.options() != SourceOptions::default() => {
            return Err(Error::user(format!(
                "--resume {}: the images of a run are those that it started with",
                run.display()
            ))
            .hint("omit the flags about SRC, or start a new run"));
        }
        (Some(run), moved) => {
            let request = ResumeRequest {
                run: run.clone(),
                moved: moved.clone(),
                seed: common.seed,
                tensorboard: args.tensorboard,
            };
            whole::resume(&request, common.device, &interrupt, terminal)?
        }
        (None, Some(src)) => {
            let length = match (args.time, args.kimg) {
                (Some(Time(time)), _) => Length::Seconds(time.as_secs_f64()),
                (None, Some(kimg)) => {
                    positive("--kimg", kimg)?;
                    Length::Kimg(kimg)
                }
                (None, None) => Length::Preset,
            };
            let request = WholeRequest {
                system: None,
                src: src.clone(),
                out: args.out.clone(),
                source: args.source.options(),
                resolution: args.resolution,
                preset: args.preset.clone(),
                set: args.set.clone(),
                length,
                seed: common.seed(),
                tensorboard: args.tensorboard,
            };
            whole::train(&request, common.device, &interrupt, terminal)?
        }
        (None, None) => {
            return Err(Error::user("no images are given").hint("give SRC, or --resume RUN"));
        }
    };
    match outcome {
        WholeOutcome::Finished { run } => {
            terminal.wrote(&run.join("index.html"));
            terminal.note(&format!(
                "generate with: cigan generate --model {} --text \"…\"",
                run.display()
            ));
            Ok(Done::Finished)
        }
        WholeOutcome::Interrupted { run, signal } => {
            terminal.note("interrupted; all progress is saved");
            terminal.note(&format!("resume with: cigan train --resume {}", run.display()));
            Ok(Done::Interrupted(signal))
        }
    }
}

impl WholeSink for Terminal {
    fn chosen(&mut self, choices: &Choices) {
        self.note(&choices.facts.summary());
        let why = choices
            .why
            .as_ref()
            .map_or(String::new(), |why| format!(" ({why}; choose another with --preset)"));
        self.note(&format!("device: {}; preset: {}{why}", choices.device, choices.preset));
        for stage in &choices.stages {
            self.note(&format!(
                "  {:<15} {} kimg at {:.1} s/kimg: {}",
                stage.command,
                stage.kimg,
                stage.seconds_per_kimg,
                human(stage.time())
            ));
        }
        self.note(&format!(
            "in total about {}, without snapshots and the evaluation",
            human(choices.time())
        ));
        for sentence in &choices.outlook {
            self.note(sentence);
        }
        if choices.bytes() > 0 {
            let space = megabytes(choices.bytes());
            self.note(&format!("the stages take up to about {space} of disk space"));
        }
        for warning in &choices.warnings {
            self.warning(warning);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_parsed() {
        let seconds = |text: &str| text.parse::<Time>().map(|time| time.0.as_secs_f64());
        assert_eq!(seconds("2h"), Ok(7200.0));
        assert_eq!(seconds("1h30m"), Ok(5400.0));
        assert_eq!(seconds("1.5h"), Ok(5400.0));
        assert_eq!(seconds("45m10s"), Ok(2710.0));
        for wrong in ["", "2", "h", "2h5", "-1h", "0m", "2 h x", "1e400h", "NaNh"] {
            assert!(seconds(wrong).is_err(), "{wrong}");
        }
    }
}
