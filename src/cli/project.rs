//! `cigan project`: finds the latent codes of images by optimisation.

use std::path::PathBuf;
use std::time::Duration;

use burn::tensor::Tensor;
use clap::{Args, ValueEnum};
use image::RgbImage;

use super::choices::choices;
use super::common::{Common, of_model, stopped};
use super::results::{ForceArgs, REPLACE_RESULTS};
use super::terminal::Terminal;
use super::view::{self, unique_names};
use crate::data::open_photos;
use crate::device::IMAGES_AT_ONCE as CHUNK;
use crate::error::Result;
use crate::model::Model;
use crate::picture;
use crate::settings::limits::{MAX_STEPS, within};
use crate::studio::codes_file;
use crate::systems::requests::{ProjectSettings, ProjectSpace, ProjectStart};
use crate::systems::{self, LatentSpace};

/// Find the latent codes of images.
#[derive(Debug, Clone, Args)]
#[command(mut_arg("force", |force| force.help(REPLACE_RESULTS)))]
#[command(after_help = "\
Examples:
  cigan project --model runs/00001-invert-small32 --image bird.jpg --out projected
  cigan project --model M.safetensors --image *.png --steps 300 --gif --out longer
  cigan project --model M.safetensors --image bird.jpg --space w+ --out closer
  cigan project --model M.safetensors --image bird.jpg --start average --out from-mean")]
pub struct ProjectArgs {
    /// Model file or run directory that can invert images.
    #[arg(long, value_name = "MODEL")]
    pub model: PathBuf,
    /// Images to project.
    #[arg(long, value_name = "FILE", num_args = 1.., required = true)]
    pub image: Vec<PathBuf>,
    /// Number of optimisation steps; 0 gives the initial codes.
    #[arg(long, value_name = "N", default_value_t = ProjectSettings::default().steps)]
    pub steps: usize,
    /// Initial code of the optimisation.
    #[arg(long, value_enum, default_value = "encoder")]
    pub start: StartChoice,
    /// Latent space of the codes.
    #[arg(long, value_name = "SPACE", default_value = ProjectSettings::default().space.name(),
        value_parser = choices(&ProjectSpace::ALL, |v| v.name(), |v| v.about()))]
    pub space: ProjectSpace,
    /// Also write an animation of the optimisation as a GIF.
    #[arg(long)]
    pub gif: bool,
    /// Folder for the results.
    #[arg(long, value_name = "DIR", default_value = "out")]
    pub out: PathBuf,
    #[command(flatten)]
    pub force: ForceArgs,
}

/// The values of `--start`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum StartChoice {
    /// The code of the encoder.
    Encoder,
    /// The mean code.
    Average,
}

pub(super) fn run(args: &ProjectArgs, common: &Common, terminal: &mut Terminal) -> Result<()> {
    within("--steps", args.steps, 0..=MAX_STEPS)?;
    let names = unique_names(&args.image);
    let ends = ["-projected.png", "-side-by-side.png", "-steps.gif"];
    let planned: Vec<String> =
        names.iter().flat_map(|name| ends.map(|end| format!("{name}{end}"))).collect();
    args.force.check_folder(&args.out, &planned)?;
    let model = Model::open(&args.model)?;
    let device = common.open_device(terminal)?.device;
    let loaded = systems::open(&model, &device)?;
    let space = loaded.latent_space().map_err(of_model(&args.model))?;
    let warn = &mut |text: &str| terminal.warning(text);
    let photos = open_photos(&args.image, loaded.resolution(), warn)?;
    args.force.create_folder(&args.out, &planned)?;
    let stop = terminal.interrupt().clone();
    let mut found = Vec::new();
    for (part, photos) in photos.chunks(CHUNK).enumerate() {
        let before = part * CHUNK;
        if part > 0 && stop.requested().is_some() {
            break;
        }
        let images = view::batch(photos, loaded.resolution(), &device);
        let projected = project(args, space, images, before, terminal)?;
        for (index, original) in photos.iter().enumerate() {
            projected.write(args, index, &names[before + index], original, &model, terminal)?;
        }
        found.push(projected.codes);
    }
    let codes = Tensor::cat(found, 0);
    let file = args.out.join("codes.safetensors");
    codes_file(codes).write(&file)?;
    terminal.wrote(&file);
    stopped(terminal)
}

/// A batch of images after projection.
struct Projected {
    /// The codes: `[N, layers, dim]`.
    codes: Tensor<3>,
    /// The images of the codes.
    last: Vec<RgbImage>,
    /// The images at some steps, for the animation.
    frames: Vec<Vec<RgbImage>>,
    /// Losses at the start, one for each image.
    first_losses: Vec<f32>,
    /// Losses at the end.
    losses: Vec<f32>,
    /// Number of steps that were done.
    steps: usize,
}

/// Projects a batch of images, which follows `before` earlier images. The user may interrupt it.
fn project(
    args: &ProjectArgs,
    space: &dyn LatentSpace,
    images: Tensor<4>,
    before: usize,
    terminal: &mut Terminal,
) -> Result<Projected> {
    let settings = ProjectSettings { steps: args.steps, space: args.space, ..Default::default() };
    let start = match args.start {
        StartChoice::Encoder => ProjectStart::Encoder,
        StartChoice::Average => ProjectStart::Average,
    };
    let every = args.steps.div_ceil(view::FRAMES).max(1);
    let stop = terminal.interrupt().clone();
    let count = images.dims()[0];
    let (mut last, mut frames) = (Vec::new(), Vec::new());
    let mut first: Option<Vec<f32>> = None;
    let (mut losses, mut steps) = (Vec::new(), 0);
    let codes = space.project(images, start, &settings, &mut |step, image| {
        terminal.progress(
            "projecting",
            (before * args.steps + count * step.index) as u64,
            (args.image.len() * args.steps) as u64,
        );
        first.get_or_insert_with(|| step.losses.clone());
        losses = step.losses.clone();
        steps = step.index;
        let asked = stop.requested().is_some();
        let end = asked || step.index == args.steps;
        if end || (args.gif && step.index % every == 0) {
            let pictures = picture::from_tensor(image.clone());
            if args.gif {
                frames.push(pictures.clone());
            }
            if end {
                last = pictures;
            }
        }
        !asked
    })?;
    Ok(Projected { codes, last, frames, first_losses: first.unwrap_or_default(), losses, steps })
}

impl Projected {
    /// Writes the results of image number `index` of the batch.
    fn write(
        &self,
        args: &ProjectArgs,
        index: usize,
        name: &str,
        original: &RgbImage,
        model: &Model,
        terminal: &mut Terminal,
    ) -> Result<()> {
        let text = [
            ("steps", self.steps.to_string()),
            ("start", format!("{:?}", args.start).to_lowercase()),
            ("space", args.space.name().to_owned()),
            ("model", model.hash().to_owned()),
        ];
        let file = args.out.join(format!("{name}-projected.png"));
        picture::png::write(&file, &self.last[index], &text)?;
        terminal.wrote(&file);
        let cells = [
            ("original", view::visible(original)),
            ("projection", view::visible(&self.last[index])),
        ];
        let file = args.out.join(format!("{name}-side-by-side.png"));
        picture::png::write(&file, &picture::strip(&cells, 4), &text)?;
        terminal.wrote(&file);
        if args.gif {
            let steps: Vec<RgbImage> =
                self.frames.iter().map(|frame| view::visible(&frame[index])).collect();
            let file = args.out.join(format!("{name}-steps.gif"));
            picture::write_gif(&file, &steps, Duration::from_millis(80))?;
            terminal.wrote(&file);
        }
        if let (Some(first), Some(last)) = (self.first_losses.get(index), self.losses.get(index)) {
            terminal.note(&format!("{name}: loss {first:.4} → {last:.4}"));
        }
        Ok(())
    }
}
