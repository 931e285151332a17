//! `cigan interpolate`: writes an animation that interpolates between samples.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};

use super::codes::CodeArgs;
use super::common::{Common, of_model};
use super::results::{ForceArgs, REPLACE_FILE};
use super::terminal::Terminal;
use super::view;
use crate::device::IMAGES_AT_ONCE as CHUNK;
use crate::error::{Error, Result};
use crate::model::Model;
use crate::picture::{self, AnimationFormat};
use crate::studio::{Film, Seeds, Space};
use crate::systems;
use crate::systems::guidance::GuidanceSettings;

/// Duration of a frame.
const DELAY: Duration = Duration::from_millis(50);

/// Create a looping animation that interpolates between samples, or between prompts.
#[derive(Debug, Clone, Args)]
#[command(mut_arg("force", |force| force.help(REPLACE_FILE)))]
#[command(after_help = "\
Examples:
  cigan interpolate --model RUN --seeds 1,2,3 --out loop.gif
  cigan interpolate --model RUN --seeds 0-7 --space w --frames 40 --truncation 0.7 --out long.gif
  cigan interpolate --model RUN --texts \"a red bird\" \"a blue bird\" --seeds 3 --out texts.gif")]
pub struct InterpolateArgs {
    /// Model file or run directory.
    #[arg(long, value_name = "MODEL")]
    pub model: PathBuf,
    /// Seeds of the samples, two or more, such as 1,2,3. With --texts, a single seed [default: 0].
    #[arg(long, value_name = "SEEDS", required_unless_present = "texts")]
    pub seeds: Option<Seeds>,
    /// Prompts to interpolate between, at least two; all images have the same seed.
    #[arg(
        long,
        value_name = "TEXT",
        num_args = 1..,
        conflicts_with_all = ["space", "class", "cutoff"]
    )]
    pub texts: Vec<String>,
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
    #[command(flatten)]
    pub force: ForceArgs,
}

/// The values of `--space`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SpaceName {
    /// The input of the mapping network, along great circles.
    Z,
    /// The output of the mapping network, along straight lines.
    W,
}

impl From<SpaceName> for Space {
    fn from(name: SpaceName) -> Self {
        match name {
            SpaceName::Z => Space::Z,
            SpaceName::W => Space::W,
        }
    }
}

pub(super) fn run(args: &InterpolateArgs, common: &Common, terminal: &mut Terminal) -> Result<()> {
    let seeds = args.seeds.as_ref().map_or(&[0][..], |seeds| &seeds.0);
    let of_texts = !args.texts.is_empty();
    let (flag, stops) =
        if of_texts { ("--texts", args.texts.len()) } else { ("--seeds", seeds.len()) };
    if stops < 2 {
        let such = if of_texts { "prompts" } else { "seeds, such as 1,2,3" };
        return Err(Error::user(format!("{flag}: only {stops} given"))
            .hint(format!("give two or more {such}")));
    }
    if of_texts && seeds.len() > 1 {
        return Err(Error::user(format!("--seeds: {} given with --texts", seeds.len()))
            .hint("give one seed, because all images between prompts share it"));
    }
    let total = stops.saturating_mul(args.frames);
    if !(1..=10_000).contains(&total) {
        return Err(Error::user(format!(
            "--frames {}: the animation has {total} frames",
            args.frames
        ))
        .hint("choose --frames so that there are 1 to 10000 frames in total"));
    }
    let format = AnimationFormat::of("--out", &args.out)?;
    args.force.create_file(&args.out)?;
    terminal.exit_when_interrupted();
    let model = Model::open(&args.model)?;
    let device = common.open_device(terminal)?.device;
    let loaded = systems::open(&model, &device)?;
    let film = if of_texts {
        let space = loaded.text_to_image().map_err(of_model(&args.model))?;
        let settings = GuidanceSettings {
            truncation: f64::from(args.codes.truncation),
            ..loaded.capabilities().guidance()
        };
        settings.check()?;
        for text in &args.texts {
            let source = format!("--texts {text:?}");
            space.check_weights(text).map_err(|e| e.context(&source))?;
            if let Some(warning) = space.tokenizer().check_prompt(&source, text)?.warning() {
                terminal.warning(&format!("{source}: {warning}"));
            }
        }
        Film::between_texts(space, &args.texts, seeds[0], &settings)?
    } else {
        let styles = loaded.styles().map_err(of_model(&args.model))?;
        let truncation = args.codes.truncation(styles)?;
        Film::between_seeds(&*loaded, seeds, args.space.into(), args.codes.class, truncation)?
    };
    let mut frames = Vec::with_capacity(total);
    for start in (0..total).step_by(CHUNK) {
        let count = CHUNK.min(total - start);
        let images = film.images(start..start + count, args.frames)?;
        frames.extend(picture::from_tensor(images).iter().map(view::visible));
        terminal.progress("drawing", (start + count) as u64, total as u64);
    }
    picture::write_animation(&args.out, format, &frames, DELAY)?;
    terminal.wrote(&args.out);
    Ok(())
}
