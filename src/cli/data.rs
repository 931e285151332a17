//! `cigan data prepare | synth | info`: arguments → options → library call → what is to be printed.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::common::Common;
use super::terminal::Terminal;
use crate::data::synth::{self, SynthOptions};
use crate::data::{
    self, Archive, Crop, CubSplit, Format, Info, PrepareEvent, PrepareOptions, Split, Summary,
};
use crate::error::{Error, Result};
use crate::interrupt::Interrupt;

/// Side of the images that `prepare` and `synth` make unless told otherwise.
const RESOLUTION: u32 = 64;

/// Make and inspect data archives.
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

/// Turn captioned images, as they lie on the disk, into one archive.
///
/// Files that cannot be used are skipped and listed by name, with the reason. The split of the
/// source is kept; where it has no validation part, a tenth of its training part becomes that.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  cigan data prepare birds --out birds64.zip
  cigan data prepare birds --out birds256.zip --resolution 256 --cub-split class
  cigan data prepare recipe1M --out food.zip --split train
  cigan data prepare photos/ --out photos.zip --crop none
  cigan data prepare ffhq256.zip --out faces64.zip

Layouts:
  cub       images.txt, bounding_boxes.txt, … and text/<class>/<name>.txt
  recipe1m  layer1.json, layer2.json, det_ingrs.json, and the images
  folder    images at any depth; captions in metadata.jsonl or metadata.csv (file_name, text),
            or in NAME.txt beside NAME.jpg, one a line
  zip       of the official StyleGAN2 dataset tool, or our own")]
pub struct PrepareArgs {
    /// Folder or zip to read.
    #[arg(value_name = "SRC")]
    pub src: PathBuf,
    /// Archive to write; replaced only once the new one is complete.
    #[arg(long, value_name = "FILE.zip")]
    pub out: PathBuf,
    /// Layout of SRC.
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
    /// Side of the images in pixels: a power of two, 4 to 1024 (the paper's is 256).
    #[arg(long, value_name = "N", default_value_t = RESOLUTION)]
    pub resolution: u32,
    /// What is cut out of each picture before it becomes square.
    #[arg(long, value_enum, default_value_t)]
    pub crop: Crop,
    /// Which part of the data to keep.
    #[arg(long, value_enum, default_value_t)]
    pub split: SplitChoice,
    /// Which split of CUB.
    #[arg(long, value_enum, default_value_t)]
    pub cub_split: CubSplit,
}

/// `--split`.
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

/// Draw captioned birds whose attributes are known.
///
/// The same --seed draws the same birds at every resolution; another seed draws others, which
/// makes a test set. Every part is readable from 32×32 on.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  cigan data synth --out synth.zip --count 5000 --resolution 32
  cigan data synth --out fresh.zip --count 1000 --resolution 32 --seed 1")]
pub struct SynthArgs {
    /// Archive to write; replaced only once the new one is complete.
    #[arg(long, value_name = "FILE.zip")]
    pub out: PathBuf,
    /// Number of birds.
    #[arg(long, value_name = "N")]
    pub count: usize,
    /// Side of the images in pixels: a power of two, 4 to 1024.
    #[arg(long, value_name = "N", default_value_t = RESOLUTION)]
    pub resolution: u32,
}

/// Count what an archive holds.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  cigan data info birds64.zip
  cigan data info birds64.zip --json")]
pub struct InfoArgs {
    /// Archive to read.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
}

/// What a command has to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataOutput {
    /// For standard output: data.
    pub stdout: String,
    /// For standard error: what was done, and what was skipped.
    pub remarks: Vec<String>,
}

/// Runs `cigan data …` and prints what it has to say.
pub(super) fn run(args: &DataArgs, common: &Common, terminal: &mut Terminal) -> Result<()> {
    let stop = terminal.interrupt().clone();
    let output = execute(args, common.seed(), &stop, &mut |event| match event {
        PrepareEvent::Progress { done, total } => {
            terminal.progress("preparing", done as u64, total as u64);
        }
        // What was skipped is listed at the end, where it can be read.
        PrepareEvent::Listed { .. } | PrepareEvent::Skipped(_) => {}
    })?;
    for remark in &output.remarks {
        terminal.note(remark);
    }
    terminal.print(&output.stdout);
    Ok(())
}

/// Runs `cigan data …`; `events` hears of the progress.
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
                format: args.format,
                resolution: args.resolution,
                crop: args.crop,
                split: args.split.split(),
                cub_split: args.cub_split,
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
        DataCommand::Info(args) => info(args),
    }
}

fn written(summary: &Summary) -> DataOutput {
    let source = &summary.source;
    let splits: Vec<String> =
        summary.splits.iter().map(|(split, count)| format!("{split} {count}")).collect();
    let mut remarks = vec![
        format!(
            "{} images of {r}×{r} from {}, crop {}, split {} ({})",
            summary.images,
            source.format,
            source.crop,
            source.split,
            splits.join(", "),
            r = summary.resolution,
        ),
        format!("{} captions of {} images", summary.captions, summary.captioned),
    ];
    let without = summary.images - summary.captioned;
    if without > 0 {
        remarks.push(format!("{without} images have no captions: stages 1 and 2 use them"));
    }
    if !summary.skipped.is_empty() {
        remarks.push(format!("{} skipped:", summary.skipped.len()));
        remarks.extend(summary.skipped.iter().map(|s| format!("  {}: {}", s.file, s.reason)));
    }
    DataOutput { stdout: format!("{}\n", summary.out.display()), remarks }
}

fn info(args: &InfoArgs) -> Result<DataOutput> {
    let archive = Archive::open(&args.file)?;
    let info = Info::of(&archive);
    let manifest = archive.manifest();
    if args.json {
        let json = serde_json::to_string(&info).map_err(|e| Error::internal(e.to_string()))?;
        return Ok(DataOutput { stdout: json + "\n", remarks: Vec::new() });
    }
    let splits: Vec<String> =
        info.splits.iter().map(|(split, count)| format!("{split} {count}")).collect();
    let mut rows = vec![
        ("images", info.images.to_string()),
        ("resolution", format!("{r}×{r}", r = info.resolution)),
        ("splits", splits.join(", ")),
        ("captioned", info.captioned.to_string()),
        ("captions", info.captions.to_string()),
        ("vocabulary", format!("{} words", info.vocabulary)),
        ("classes", archive.classes().to_string()),
        ("source", manifest.source.format.clone()),
        ("crop", manifest.source.crop.clone()),
        ("split rule", manifest.source.split.clone()),
        ("skipped", info.skipped.to_string()),
        ("hash", archive.hash()?.to_owned()),
    ];
    rows.extend(manifest.skipped.iter().map(|s| ("", format!("{}: {}", s.file, s.reason))));
    let stdout = rows.iter().map(|(name, value)| format!("{name:<12}{value}\n")).collect();
    Ok(DataOutput { stdout, remarks: Vec::new() })
}
