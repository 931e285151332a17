//! `cigan bench`: measures the speed of training, generating and editing on this machine.

use clap::{Args, ValueEnum};
use serde_json::{Map, Value, json};

use super::common::Common;
use super::terminal::Terminal;
use crate::error::Result;
use crate::speed::SpeedRequest;
use crate::train::peak_mb;

/// Measure the speed of training, generating or editing with random weights.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
`train` times rounds of 16 iterations of stage 1 with two mapping layers, R1 every 16 iterations,
path length regularisation every 4, and the moving average of G.
`generate` and `edit` time all optimisation steps of a batch of images. A warm-up comes first.

Examples:
  cigan bench train --resolution 32 --channel-base 2048 --channel-max 128 --threads 2
  cigan bench train --resolution 64 --channel-base 4096 --channel-max 128 --aug --json")]
pub struct BenchArgs {
    /// Task to measure.
    #[arg(value_enum)]
    pub work: Work,
    /// Image resolution in pixels.
    #[arg(long, value_name = "N", default_value_t = 32)]
    pub resolution: usize,
    /// Feature maps of a layer, multiplied by its resolution.
    #[arg(long, value_name = "N", default_value_t = 2048)]
    pub channel_base: usize,
    /// Maximum number of feature maps of a layer.
    #[arg(long, value_name = "N", default_value_t = 128)]
    pub channel_max: usize,
    /// Batch size.
    #[arg(long, value_name = "N", default_value_t = 16)]
    pub batch: usize,
    /// Apply all augmentations, each with probability 0.3.
    #[arg(long)]
    pub aug: bool,
    /// Number of rounds of 16 iterations (`train`) or of batches (`generate`, `edit`).
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub rounds: usize,
    /// Print the result as a JSON object.
    #[arg(long)]
    pub json: bool,
}

/// The task of `cigan bench`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Work {
    /// Training iterations of stage 1.
    Train,
    /// Generating images from text.
    Generate,
    /// Editing images, with the preservation term.
    Edit,
}

pub(super) fn run(args: &BenchArgs, common: &Common, terminal: &mut Terminal) -> Result<()> {
    let request = SpeedRequest {
        resolution: args.resolution,
        channel_base: args.channel_base,
        channel_max: args.channel_max,
        batch: args.batch,
        augmented: args.aug,
        rounds: args.rounds,
        seed: common.seed(),
    };
    terminal.exit_when_interrupted();
    request.check()?;
    let opened = common.open_device(terminal)?;
    request.fits(&opened)?;
    let mut object = json!({
        "device": opened.name,
        "threads": rayon::current_num_threads(),
        "resolution": args.resolution,
        "channel_base": args.channel_base,
        "channel_max": args.channel_max,
        "batch": args.batch,
    });
    let interrupt = terminal.interrupt().clone();
    let found = match args.work {
        Work::Train => {
            let mut progress = |done, all| terminal.progress("training", done, all);
            let speed = request.training(&opened.device, &interrupt, &mut progress)?;
            let parts = speed.parts.iter();
            let parts: Map<String, Value> = parts
                .map(|(name, seconds)| ((*name).to_owned(), rounded(*seconds).into()))
                .collect();
            json!({
                "work": "train",
                "aug": args.aug,
                "iterations": speed.iterations,
                "sec_per_kimg": rounded(speed.seconds_per_kimg),
                "parts_sec_per_kimg": parts,
            })
        }
        Work::Generate | Work::Edit => {
            let edit = args.work == Work::Edit;
            let mut progress = |done, all| terminal.progress("optimising", done, all);
            let speed = request.guidance(edit, &opened.device, &mut progress)?;
            json!({
                "work": if edit { "edit" } else { "generate" },
                "steps": speed.steps,
                "sec_per_batch": rounded(speed.seconds_per_batch),
                "sec_per_image": rounded(speed.seconds_per_batch / args.batch as f64),
            })
        }
    };
    if let (Some(object), Some(found)) = (object.as_object_mut(), found.as_object()) {
        object.extend(found.clone());
        object.insert("peak_mb".into(), peak_mb().into());
    }
    if args.json {
        terminal.print(&object.to_string());
    } else {
        let lines = object.as_object().into_iter().flatten().map(|(name, value)| match value {
            Value::String(text) => format!("{name:<16}{text}"),
            other => format!("{name:<16}{other}"),
        });
        terminal.print(&lines.collect::<Vec<_>>().join("\n"));
    }
    Ok(())
}

/// Rounds to four significant digits: more would be noise.
fn rounded(value: f64) -> f64 {
    let digits = 10f64.powf(3.0 - value.abs().max(1e-9).log10().floor());
    (value * digits).round() / digits
}
