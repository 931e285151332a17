//! `cigan data prepare | synth | info`: creates data archives and shows their contents.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::archive_info;
use super::common::Common;
use super::source::SourceArgs;
use super::tables::counted;
use super::terminal::Terminal;
use crate::data::synth::{self, SynthOptions};
use crate::data::{self, PrepareEvent, PrepareOptions, Split, Summary};
use crate::error::Result;
use crate::interrupt::Interrupt;

/// Default of `--resolution`.
const RESOLUTION: u32 = 64;
/// Number of skipped files that `data prepare` lists by name.
const SKIPPED: usize = 50;

/// Create and inspect data archives.
#[derive(Debug, Clone, Args)]
pub struct DataArgs {
    #[command(subcommand)]
    pub command: DataCommand,
}

#[derive(Debug, Clone, Subcommand)]
pub enum DataCommand {
    Prepare(PrepareArgs),
    Synth(SynthArgs),
    Info(InfoArgs),
}

/// Convert a folder or zip of images with captions to an archive.
///
/// Files that cannot be used are skipped and listed with the reason. The split of the source is
/// kept; if it has no validation split, a tenth of the training split becomes the validation split.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  cigan data prepare birds --out birds64.zip
  cigan data prepare birds --out birds256.zip --resolution 256 --cub-split class
  cigan data prepare recipe1M --out food.zip --split train
  cigan data prepare photos/ --out photos.zip --crop none
  cigan data prepare ffhq256.zip --out faces64.zip

Layouts, at the top of the folder or zip or up to two folders down:
  cub       images.txt, train_test_split.txt, … and text/<class>/<name>.txt
  recipe1m  layer1.json, layer2.json, det_ingrs.json, and the images
  folder    images at any depth; captions in metadata.jsonl or metadata.csv (file_name, text),
            or in NAME.txt next to NAME.jpg, one per line; classes in dataset.json
  zip       the same in a zip, or an archive of cigan or the official StyleGAN2 dataset tool")]
pub struct PrepareArgs {
    /// Folder or zip to read.
    #[arg(value_name = "SRC")]
    pub src: PathBuf,
    /// Archive to write; replaced only once the new one is complete.
    #[arg(long, value_name = "FILE.zip")]
    pub out: PathBuf,
    /// Image resolution in pixels: a power of two from 4 to 1024 (the paper uses 256).
    #[arg(long, value_name = "N", default_value_t = RESOLUTION)]
    pub resolution: u32,
    /// Split to keep.
    #[arg(long, value_enum, default_value_t)]
    pub split: SplitChoice,
    #[command(flatten)]
    pub source: SourceArgs,
}

/// The values of `--split`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum SplitChoice {
    #[default]
    All,
    Train,
    Val,
    Test,
}

impl SplitChoice {
    fn split(self) -> Option<Split> {
        match self {
            SplitChoice::All => None,
            SplitChoice::Train => Some(Split::Train),
            SplitChoice::Val => Some(Split::Val),
            SplitChoice::Test => Some(Split::Test),
        }
    }
}

/// Create an archive of synthetic birds with captions and known attributes.
///
/// The same --seed gives the same birds at every resolution; use another seed for a test set. At
/// 32×32 pixels and above, every part of a bird can be recognised.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  cigan data synth --out synth.zip --count 5000 --resolution 32
  cigan data synth --out fresh.zip --count 1000 --resolution 32 --seed 1")]
pub struct SynthArgs {
    /// Archive to write; replaced only once the new one is complete.
    #[arg(long, value_name = "FILE.zip")]
    pub out: PathBuf,
    /// Number of images.
    #[arg(long, value_name = "N")]
    pub count: usize,
    /// Image resolution in pixels: a power of two from 4 to 1024.
    #[arg(long, value_name = "N", default_value_t = RESOLUTION)]
    pub resolution: u32,
}

/// Show what an archive contains.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  cigan data info birds64.zip
  cigan data info birds64.zip --json")]
pub struct InfoArgs {
    /// Archive to read.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Print the result as a JSON object.
    #[arg(long)]
    pub json: bool,
}

/// The output of a `cigan data` command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataOutput {
    /// The result, for standard output.
    pub stdout: String,
    /// Messages about the work done and the skipped files, for standard error.
    pub remarks: Vec<String>,
}

/// Runs a `cigan data` command and prints its output.
pub(super) fn run(args: &DataArgs, common: &Common, terminal: &mut Terminal) -> Result<()> {
    let stop = terminal.interrupt().clone();
    let mut skipped = Vec::new();
    let result = execute(args, common.seed(), &stop, &mut |event| match event {
        PrepareEvent::Progress { done, total } => {
            terminal.progress("preparing", done as u64, total as u64);
        }
        // Skipped files are listed at the end, where the progress bar does not hide them.
        PrepareEvent::Skipped(file) => skipped.push(file),
        PrepareEvent::Listed { .. } => {}
    });
    let output = result.inspect_err(|_| {
        // There is no archive that lists them.
        for file in &skipped {
            terminal.detail(&format!("  {}: {}", file.file, file.reason));
        }
    })?;
    for remark in &output.remarks {
        terminal.note(remark);
    }
    terminal.print(&output.stdout);
    Ok(())
}

/// Runs a `cigan data` command. `events` receives its progress.
///
/// # Errors
/// If the source or archive cannot be read or written, or the user interrupts the command.
pub fn execute(
    args: &DataArgs,
    seed: u64,
    stop: &Interrupt,
    events: &mut dyn FnMut(PrepareEvent),
) -> Result<DataOutput> {
    match &args.command {
        DataCommand::Prepare(args) => {
            let options = PrepareOptions {
                src: args.src.clone(),
                out: args.out.clone(),
                source: args.source.options(),
                resolution: args.resolution,
                split: args.split.split(),
                stop: stop.clone(),
            };
            Ok(written(&data::prepare(&options, events)?))
        }
        DataCommand::Synth(args) => {
            let options = SynthOptions {
                out: args.out.clone(),
                count: args.count,
                resolution: args.resolution,
                seed,
                stop: stop.clone(),
            };
            Ok(written(&synth::synth(&options, events)?))
        }
        DataCommand::Info(args) => {
            let stdout = archive_info::describe(&args.file, args.json)?;
            Ok(DataOutput { stdout, remarks: Vec::new() })
        }
    }
}

fn written(summary: &Summary) -> DataOutput {
    let source = &summary.source;
    let splits: Vec<String> =
        summary.splits.iter().map(|(split, count)| format!("{split} {count}")).collect();
    let mut remarks = summary.notes.clone();
    if summary.lists_more {
        let out = summary.out.display();
        remarks.push(format!("`cigan data info {out}` lists the names that are counted here"));
    }
    remarks.extend([
        format!(
            "{} of {r}×{r} from {}, crop {}, split {} ({})",
            counted(summary.images, "image"),
            source.format,
            source.crop,
            source.split,
            splits.join(", "),
            r = summary.resolution,
        ),
        format!(
            "{} of {}",
            counted(summary.captions, "caption"),
            counted(summary.captioned, "image")
        ),
    ]);
    let without = summary.images - summary.captioned;
    if without > 0 {
        let (images, have) = (counted(without, "image"), if without == 1 { "has" } else { "have" });
        remarks.push(format!(
            "{images} {have} no captions; `align-text` and `train-baseline` skip such images"
        ));
    }
    if !summary.skipped.is_empty() {
        remarks.push(format!("files skipped: {}", summary.skipped.len()));
        let shown = summary.skipped.iter().take(SKIPPED);
        remarks.extend(shown.map(|s| format!("  {}: {}", s.file, s.reason)));
        if summary.skipped.len() > SKIPPED {
            let out = summary.out.display();
            let more = summary.skipped.len() - SKIPPED;
            remarks.push(format!("  and {more} more; `cigan data info {out}` lists them all"));
        }
    }
    DataOutput { stdout: format!("{}\n", summary.out.display()), remarks }
}
