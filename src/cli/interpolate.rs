//! `cigan interpolate`: writes an animation that interpolates between samples.

use std::path::PathBuf;
use std::time::Duration;

use burn::tensor::Tensor;
use clap::{Args, ValueEnum};

use super::codes::CodeArgs;
use super::common::{Common, prepare_file};
use super::terminal::Terminal;
use super::view;
use crate::error::{Error, Result};
use crate::model::Model;
use crate::picture::{self, AnimationFormat};
use crate::studio::{Seeds, great_circle};
use crate::systems::{self, SampleNoise};

/// Number of images per batch.
const CHUNK: usize = 32;
/// Duration of a frame.
const DELAY: Duration = Duration::from_millis(50);

/// Create a looping animation that interpolates between samples.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  cigan interpolate --model RUN --seeds 1,2,3 --out birds.gif
  cigan interpolate --model RUN --seeds 0-7 --space w --frames 40 --truncation 0.7 --out birds.gif")]
pub struct InterpolateArgs {
    /// Model file or run directory.
    #[arg(long, value_name = "MODEL")]
    pub model: PathBuf,
    /// Seeds of the samples, at least two, such as 1,2,3.
    #[arg(long, value_name = "SEEDS")]
    pub seeds: Seeds,
    /// Number of frames from one sample to the next.
    #[arg(long, value_name = "N", default_value_t = 24)]
    pub frames: usize,
    /// Latent space to interpolate in.
    #[arg(long, value_enum, default_value = "w")]
    pub space: SpaceName,
    #[command(flatten)]
    pub codes: CodeArgs,
    /// File to write: .gif, .webp, .png (an animated PNG), or .mp4 if `ffmpeg` is installed.
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
}

/// The values of `--space`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SpaceName {
    /// The input of the mapping network, along great circles.
    Z,
    /// The output of the mapping network, along straight lines.
    W,
}

pub(super) fn run(args: &InterpolateArgs, common: &Common, terminal: &mut Terminal) -> Result<()> {
    let seeds = &args.seeds.0;
    if seeds.len() < 2 {
        return Err(Error::user(format!("--seeds: only {} given", seeds.len()))
            .hint("give two or more seeds, such as 1,2,3"));
    }
    let total = seeds.len().saturating_mul(args.frames);
    if !(1..=10_000).contains(&total) {
        return Err(Error::user(format!(
            "--frames {}: the animation has {total} frames",
            args.frames
        ))
        .hint("choose --frames so that there are 1 to 10000 frames in total"));
    }
    let format = AnimationFormat::of("--out", &args.out)?;
    prepare_file(&args.out)?;
    terminal.exit_when_interrupted();
    let model = Model::open(&args.model)?;
    let device = common.open_device(terminal)?.device;
    let loaded = systems::open(&model, &device)?;
    let styles = loaded.styles()?;
    styles.check_z()?;
    let psi = args.codes.truncation(styles)?;
    let mut frames = Vec::with_capacity(total);
    let z = styles.z(seeds);
    let map = |z: Tensor<2>| styles.map(z, args.codes.class, psi);
    let stops = match args.space {
        SpaceName::Z => None,
        SpaceName::W => Some(map(z.clone())?),
    };
    let place = |frame: usize| {
        let (from, step) = (frame / args.frames, frame % args.frames);
        (from, (from + 1) % seeds.len(), step as f64 / args.frames as f64)
    };
    for start in (0..total).step_by(CHUNK) {
        let count = CHUNK.min(total - start);
        let parts = (start..start + count)
            .map(|frame| {
                let (from, to, at) = place(frame);
                match &stops {
                    Some(ws) => {
                        let stop = |i: usize| ws.clone().narrow(0, i, 1);
                        Ok(stop(from) * (1.0 - at) + stop(to) * at)
                    }
                    None => {
                        let stop = |i: usize| z.clone().narrow(0, i, 1);
                        map(great_circle(stop(from), stop(to), at))
                    }
                }
            })
            .collect::<Result<_>>()?;
        let images = styles.render(Tensor::cat(parts, 0), SampleNoise::Constant, &[]);
        frames.extend(picture::from_tensor(images).iter().map(view::visible));
        terminal.progress("drawing", (start + count) as u64, total as u64);
    }
    picture::write_animation(&args.out, format, &frames, DELAY)?;
    terminal.wrote(&args.out);
    Ok(())
}
