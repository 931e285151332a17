//! `cigan project`: finds the latent codes of images by optimisation.

use std::path::PathBuf;
use std::time::Duration;

use burn::tensor::Tensor;
use clap::{Args, ValueEnum};
use image::RgbImage;

use super::choices::choices;
use super::common::{Common, of_model, stopped};
use super::results::{ForceArgs, REPLACE_RESULTS, TUNED, check_not_input};
use super::terminal::Terminal;
use super::view::{self, unique_names};
use crate::data::open_photos;
use crate::device::IMAGES_AT_ONCE as CHUNK;
use crate::error::{Error, Result};
use crate::model::Model;
use crate::picture;
use crate::settings::limits::{MAX_STEPS, within};
use crate::studio::codes_file;
use crate::systems::requests::{ProjectSettings, ProjectSpace, ProjectStart, TuneSettings};
use crate::systems::{self, LatentSpace};

/// Find the latent codes of images.
#[derive(Debug, Clone, Args)]
#[command(mut_arg("force", |force| force.help(REPLACE_RESULTS)))]
#[command(after_help = "\
Examples:
  cigan project --model runs/00001-invert-small32 --image bird.jpg --out projected
  cigan project --model M.safetensors --image *.png --steps 300 --gif --out longer
  cigan project --model M.safetensors --image bird.jpg --space w+ --out closer
  cigan project --model M.safetensors --image bird.jpg --tune 100 --out tuned
  cigan edit --model tuned/tuned.safetensors --codes tuned/codes.safetensors --text \"a red bird\"
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
    #[arg(long, value_name = "SPACE",
        value_parser = choices(&ProjectSpace::ALL, |v| v.name(), |v| v.about()),
        help = format!("Latent space of the codes [default: {}, or {} with --tune]",
            ProjectSettings::default().space.name(), ProjectSettings::pivot(0).space.name()))]
    pub space: Option<ProjectSpace>,
    /// After the projection, train a copy of the generator for N steps so that it reproduces the
    /// images, and write the model with it as tuned.safetensors (pivotal tuning, Roich et al. 2021)
    /// [default: 0].
    ///
    /// Other commands accept this model. One generator is tuned to all images, at most 32. With fewer
    /// images, it reproduces each of them more closely after N steps.
    #[arg(long, value_name = "N")]
    pub tune: Option<usize>,
    /// Also write an animation of the optimisation as a GIF.
    #[arg(long)]
    pub gif: bool,
    /// Folder for the results.
    #[arg(long, value_name = "DIR", default_value = "out")]
    pub out: PathBuf,
    #[command(flatten)]
    pub force: ForceArgs,
}

impl ProjectArgs {
    /// How the generator is tuned.
    fn tuning(&self) -> TuneSettings {
        TuneSettings { steps: self.tune.unwrap_or(0), ..Default::default() }
    }
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
    let tune = args.tuning();
    within("--tune", tune.steps, 0..=MAX_STEPS)?;
    if tune.steps > 0 && args.image.len() > CHUNK {
        return Err(Error::user(format!(
            "--tune: {} images, but a generator can be tuned to at most {CHUNK}",
            args.image.len()
        ))
        .hint("give fewer images, or repeat the command for each group of images"));
    }
    let names = unique_names(&args.image);
    let ends = ["-projected.png", "-side-by-side.png", "-steps.gif"];
    let planned: Vec<String> =
        names.iter().flat_map(|name| ends.map(|end| format!("{name}{end}"))).collect();
    let mut checked = planned.clone();
    if tune.steps > 0 {
        check_not_input(&args.out.join(TUNED), [args.model.as_path()])?;
        checked.push(TUNED.to_owned());
    }
    args.force.check_folder(&args.out, &checked)?;
    let model = Model::open(&args.model)?;
    let device = common.open_device(terminal)?.device;
    let loaded = systems::open(&model, &device)?;
    let space = loaded.latent_space().map_err(of_model(&args.model))?;
    space.check_project()?;
    let warn = &mut |text: &str| terminal.warning(text);
    let photos = open_photos(&args.image, loaded.resolution(), warn)?;
    // `planned` omits TUNED, so an existing tuned model is kept until the new one is written.
    args.force.create_folder(&args.out, &planned)?;
    if tune.steps == 0 && args.out.join(TUNED).exists() {
        terminal.warning(&format!(
            "{TUNED} in {} is the model of an earlier command, which does not belong to the new \
             codes",
            args.out.display()
        ));
    }
    let file = args.out.join("codes.safetensors");
    let stop = terminal.interrupt().clone();
    let (mut found, mut tuned) = (Vec::new(), false);
    for (part, photos) in photos.chunks(CHUNK).enumerate() {
        let before = part * CHUNK;
        if part > 0 && stop.requested().is_some() {
            break;
        }
        let images = view::batch(photos, loaded.resolution(), &device);
        let mut projected = project(args, space, images.clone(), before, terminal)?;
        if tune.steps > 0 && stop.requested().is_none() {
            // They are not lost if tuning fails.
            codes_file(projected.codes.clone()).write(&file)?;
            tuned = projected.tune(args, space, images, &model, terminal)?;
        }
        for (index, original) in photos.iter().enumerate() {
            projected.write(args, index, &names[before + index], original, &model, terminal)?;
        }
        found.push(projected.codes);
    }
    let codes = Tensor::cat(found, 0);
    codes_file(codes).write(&file)?;
    terminal.wrote(&file);
    if tuned {
        terminal.note(&format!("with these codes, only {TUNED} draws these images"));
    }
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
    /// The space of the codes.
    space: ProjectSpace,
    /// Losses of the projection.
    losses: Losses,
    /// Number of steps that were done.
    steps: usize,
    /// Losses and number of steps of the tuning, if the generator was tuned.
    tuning: Option<(Losses, usize)>,
}

/// Losses of an optimisation, one for each image.
#[derive(Default)]
struct Losses {
    first: Vec<f32>,
    last: Vec<f32>,
}

impl Losses {
    fn record(&mut self, losses: &[f32]) {
        if self.first.is_empty() {
            self.first = losses.to_vec();
        }
        self.last = losses.to_vec();
    }
}

/// Projects a batch of images, which follows `before` earlier images. The user may interrupt it.
fn project(
    args: &ProjectArgs,
    latents: &dyn LatentSpace,
    images: Tensor<4>,
    before: usize,
    terminal: &mut Terminal,
) -> Result<Projected> {
    let usual = match args.tune {
        None | Some(0) => ProjectSettings::default(),
        Some(_) => ProjectSettings::pivot(0),
    };
    let space = args.space.unwrap_or(usual.space);
    let settings = ProjectSettings { steps: args.steps, space, ..usual };
    let start = match args.start {
        StartChoice::Encoder => ProjectStart::Encoder,
        StartChoice::Average => ProjectStart::Average,
    };
    let every = args.steps.div_ceil(view::FRAMES).max(1);
    let stop = terminal.interrupt().clone();
    let count = images.dims()[0];
    let (mut last, mut frames) = (Vec::new(), Vec::new());
    let (mut losses, mut steps) = (Losses::default(), 0);
    let codes = latents.project(images, start, &settings, &mut |step, image| {
        terminal.progress(
            "projecting",
            (before * args.steps + count * step.index) as u64,
            (args.image.len() * args.steps) as u64,
        );
        losses.record(&step.losses);
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
    Ok(Projected { codes, last, frames, space, losses, steps, tuning: None })
}

impl Projected {
    /// Tunes the generator of `model` to the images and writes the resulting model. The images of
    /// the codes are drawn again with the tuned generator. False if the user interrupted it before
    /// the first step.
    fn tune(
        &mut self,
        args: &ProjectArgs,
        latents: &dyn LatentSpace,
        images: Tensor<4>,
        model: &Model,
        terminal: &mut Terminal,
    ) -> Result<bool> {
        let settings = &args.tuning();
        let device = images.device();
        let stop = terminal.interrupt().clone();
        let (mut losses, mut steps) = (Losses::default(), 0);
        let codes = self.codes.clone();
        let tuned = latents.tuned_model(model, images, codes.clone(), settings, &mut |step| {
            terminal.progress("tuning", step.index as u64, settings.steps as u64);
            losses.record(&step.losses);
            steps = step.index;
            stop.requested().is_none()
        })?;
        if steps == 0 {
            return Ok(false);
        }
        if steps < settings.steps {
            terminal.warning(&format!("tuning stopped after {steps} of {} steps", settings.steps));
        }
        self.tuning = Some((losses, steps));
        let file = args.out.join(TUNED);
        tuned.into_file().sealed().write(&file)?;
        terminal.wrote(&file);
        let tuned = Model::open(&file)?;
        let images = systems::open(&tuned, &device)?.latent_space()?.render(codes);
        self.last = picture::from_tensor(images);
        if args.gif {
            self.frames.push(self.last.clone());
        }
        Ok(true)
    }

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
        let mut text = vec![
            ("steps", self.steps.to_string()),
            ("start", format!("{:?}", args.start).to_lowercase()),
            ("space", self.space.name().to_owned()),
            ("model", model.hash().to_owned()),
        ];
        if let Some((_, steps)) = &self.tuning {
            text.push(("tune", steps.to_string()));
            if self.last.len() > 1 {
                text.push(("images", self.last.len().to_string()));
            }
        }
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
        let mut note = |what: &str, losses: &Losses| {
            if let (Some(first), Some(last)) = (losses.first.get(index), losses.last.get(index)) {
                terminal.note(&format!("{name}: {what} {first:.4} → {last:.4}"));
            }
        };
        note("loss", &self.losses);
        if let Some((losses, _)) = &self.tuning {
            note("loss while tuning", losses);
        }
        Ok(())
    }
}
