//! `cigan edit`: edits images with text prompts.

use std::ops::{Range, RangeInclusive};
use std::path::{Path, PathBuf};
use std::time::Duration;

use burn::tensor::{Device, Tensor};
use clap::Args;
use image::RgbImage;

use super::attributes::{self, AttributeArg, StartName};
use super::choices::choices;
use super::common::{Common, of_model, stopped};
use super::edit_inputs::Inputs;
use super::guided::{Encoders, GuidedArgs};
use super::results::{ForceArgs, REPLACE_RESULTS, check_not_input, single_file};
use super::strengths::Strengths;
use super::terminal::Terminal;
use super::view::{self, curve_lines, finish, layers, unique_names};
use crate::atomic_file::atomic_write;
use crate::device::IMAGES_AT_ONCE as CHUNK;
use crate::error::{Error, Result};
use crate::model::Model;
use crate::picture;
use crate::settings::limits::{MAX_STEPS, within};
use crate::studio::{Change, EditSettings, EditStep, Edited, Seeds, Studio, describe_edit};
use crate::systems::guidance::{GuidanceSettings, Guided};
use crate::systems::requests::{
    ProjectSettings, ProjectSpace, REFINEMENT, TuneSettings, check_layers,
};

/// Edit images with text prompts.
#[derive(Debug, Clone, Args)]
#[command(mut_arg("force", |force| force.help(REPLACE_RESULTS)))]
#[command(after_help = "\
Examples:
  cigan edit --model RUN --image bird.jpg --text \"a bird with a red crown\" --out red
  cigan edit --model RUN --image *.jpg --from \"a brown belly\" --to \"a black belly\" --out black
  cigan edit --model RUN --image bird.jpg --text \"a blue bird\" --project 200 --gif --out blue
  cigan edit --model RUN --image bird.jpg --text \"a blue bird\" --out edited.png
  cigan edit --model CLIP2GAN --image bird.jpg --attribute \"a red bird\" --attribute \"white belly=-1\"
  cigan edit --model RUN --codes birds/codes.safetensors --rows 5 --text \"a blue bird\" --out bluer")]
pub struct EditArgs {
    /// Model file or run directory that can edit.
    #[arg(long, value_name = "MODEL")]
    pub model: PathBuf,
    /// Images to edit; alternatively, use --codes.
    #[arg(long, value_name = "FILE", num_args = 1.., required_unless_present = "codes")]
    pub image: Vec<PathBuf>,
    /// Latent codes to edit, such as the codes.safetensors of `generate`; this avoids the loss of
    /// detail in inversion.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["image", "project"])]
    pub codes: Option<PathBuf>,
    /// Rows of --codes to edit, counted from 0, such as 0-3,7 [default: all].
    #[arg(long, value_name = "ROWS", requires = "codes", conflicts_with = "image")]
    pub rows: Option<Seeds>,
    /// Prompt that describes the edited image; alternatively, use --from and --to.
    #[arg(long, value_name = "TEXT", required_unless_present_any = ["from", "attribute"])]
    pub text: Option<String>,
    /// Description of the image; only the difference between --from and --to is edited.
    ///
    /// With --attribute, a text without any of the attributes, whose code is subtracted from theirs;
    /// `none` subtracts nothing, as published [default: a bird].
    #[arg(long, value_name = "TEXT", requires = "target", conflicts_with = "text")]
    pub from: Option<String>,
    /// Description of the edited image.
    #[arg(long, value_name = "TEXT", requires = "from", group = "target")]
    pub to: Option<String>,
    /// Attribute to add, such as "red wings=1.5", with an amount from -2 to 2; may be repeated. For
    /// models of `train-baseline --system clip2gan`.
    ///
    /// Without an amount, it is 1; negative amounts remove the attribute. NAME-sweep.png shows each
    /// attribute alone, with the amounts -2, -1, 0, 1 and 2 from left to right.
    #[arg(long, value_name = "TEXT[=AMOUNT]", group = "target", conflicts_with_all = [
        "text", "preserve", "strength", "steps", "config", "set", "project", "tune", "strip", "gif"
    ])]
    pub attribute: Vec<AttributeArg>,
    /// How --attribute inverts images: with the encoder of `cigan invert`, or by their embedding
    /// [default: encoder, if the model has one].
    #[arg(long, value_enum, value_name = "START", requires = "attribute")]
    pub start: Option<StartName>,
    #[arg(long, value_name = "LAMBDA", allow_negative_numbers = true, help = format!(
        "Weight λ of the preservation term, which keeps the edit close to the original \
         [default: {}]",
        GuidanceSettings::for_edits().preserve))]
    pub preserve: Option<f64>,
    #[arg(long, value_name = "S", allow_negative_numbers = true, help = format!(
        "Strength: fraction of the way to the text, from 0 to 1 [default: {}]",
        GuidanceSettings::for_edits().strength))]
    pub strength: Option<f64>,
    #[command(flatten)]
    pub guided: GuidedArgs,
    #[arg(long, value_name = "N", help = format!(
        "Refine the inversion with N steps of projection before editing (see `cigan project`); 0 skips \
         this: faster, but the edit resembles the image less [default: {REFINEMENT}]"))]
    pub project: Option<usize>,
    #[arg(long, value_name = "SPACE", conflicts_with_all = ["codes", "attribute"],
        value_parser = choices(&ProjectSpace::ALL, |v| v.name(), |v| v.about()),
        help = format!("Latent space of --project [default: {}, or {} with --tune]",
            ProjectSettings::refinement(0).space.name(), ProjectSettings::pivot(0).space.name()))]
    pub project_space: Option<ProjectSpace>,
    /// Train a copy of the generator for N steps on each image before editing, so that it reproduces
    /// the image (pivotal tuning, Roich et al. 2021) [default: 0].
    ///
    /// The edit then keeps more of the image. The time for each image grows with N.
    #[arg(long, value_name = "N", conflicts_with = "codes")]
    pub tune: Option<usize>,
    /// Layers to edit, such as 0-3 (coarse) or 4-7 (finer) [default: all].
    #[arg(long, value_name = "FIRST-LAST", value_parser = layers)]
    pub layers: Option<RangeInclusive<usize>>,
    /// Also write a strip with the edit at each of these strengths, such as 0,0.25,0.5,0.75,1.
    #[arg(long, value_name = "S,…")]
    pub strip: Option<Strengths>,
    /// Also write an animation of the optimisation as a GIF.
    #[arg(long)]
    pub gif: bool,
    /// Folder for the results. The edit of a single image may have a file instead, such as
    /// edited.png.
    #[arg(long, value_name = "DIR", default_value = "out")]
    pub out: PathBuf,
    #[command(flatten)]
    pub force: ForceArgs,
}

pub(super) fn run(args: &EditArgs, common: &Common, terminal: &mut Terminal) -> Result<()> {
    let defaults = args.guided.settings(GuidanceSettings::for_edits())?;
    let settings = GuidanceSettings {
        strength: args.strength.unwrap_or(defaults.strength),
        preserve: args.preserve.unwrap_or(defaults.preserve),
        ..defaults
    };
    settings.check()?;
    within("--project", args.project.unwrap_or(REFINEMENT), 0..=MAX_STEPS)?;
    let tune = TuneSettings { steps: args.tune.unwrap_or(0), ..Default::default() };
    within("--tune", tune.steps, 0..=MAX_STEPS)?;
    let single = single_file(&args.out);
    match single {
        true => args.check_single()?,
        false => args.force.check_folder(&args.out, &planned(&unique_names(&args.image)))?,
    }
    let model = Model::open(&args.model)?;
    let device = common.open_device(terminal)?.device;
    let studio = Studio::open(&model, &device).map_err(of_model(&args.model))?;
    studio.check_edits()?;
    if !args.attribute.is_empty() {
        let edit = attributes::checked(
            &args.attribute,
            args.from.as_deref(),
            args.start,
            args.layers.clone(),
            &studio,
            terminal,
        )?;
        let inputs = &args.inputs(&studio, &device, terminal)?;
        args.create_out(inputs)?;
        let (edit, out) = (&edit, &args.out);
        let job =
            attributes::Job { edit, inputs, out, model: &model, studio: &studio, device: &device };
        return job.run(terminal);
    }
    not_applicable(args, &studio, terminal);
    if args.project == Some(0) && args.project_space.is_some() {
        terminal.warning("--project-space has no effect with --project 0");
    }
    let (change, prompts) = match (&args.from, &args.to) {
        (Some(from), Some(to)) => (
            Change::Between { from: from.as_str(), to: to.as_str() },
            vec![("--from", from.as_str()), ("--to", to.as_str())],
        ),
        _ => {
            let text = args.text.as_deref().unwrap_or_default();
            (Change::To(text), vec![("--text", text)])
        }
    };
    for &(flag, prompt) in &prompts {
        if let Some(warning) = studio.check(flag, prompt)?.warning() {
            terminal.warning(&warning);
        }
    }
    let (can, side) = (studio.capabilities(), studio.resolution());
    let encoders = args.guided.open_similarity(&can, side, &prompts, &device, terminal)?;
    if let Some(range) = &args.layers {
        let most = studio.code_sizes().iter().map(|[vectors, _]| *vectors).max();
        check_layers(range, most.unwrap_or(0))?;
    }
    let all = args.inputs(&studio, &device, terminal)?;
    args.create_out(&all)?;
    let job = Job {
        args,
        studio: &studio,
        change,
        how: EditSettings {
            guidance: &settings,
            // A stored code needs no inversion, so there is nothing to refine.
            project: args.projection(match args.codes {
                Some(_) => 0,
                None => args.project.unwrap_or_else(|| can.refinement()),
            }),
            tune,
            layers: args.layers.clone(),
            marks: args.strip.as_ref().map_or(&[], |strip| &strip.0),
            similarity: encoders.as_ref().map(Encoders::similarity).transpose()?,
        },
        encoders: encoders.as_ref(),
        model: &model,
        device: &device,
    };
    let mut done: Vec<Guided> = Vec::new();
    let together = if job.how.tune.steps > 0 { 1 } else { CHUNK };
    for first in (0..all.len()).step_by(together) {
        if first > 0 && terminal.interrupt().requested().is_some() {
            break;
        }
        let rows = first..(first + together).min(all.len());
        done.push(job.run(&all, rows, terminal)?);
    }
    let weights =
        [(settings.preserve > 0.0, "--preserve"), (encoders.is_some(), "--similarity-weight")];
    let weights: Vec<&str> =
        weights.into_iter().filter_map(|(given, flag)| given.then_some(flag)).collect();
    finish(&done, &settings, &weights, terminal);
    if single {
        return stopped(terminal);
    }
    let file = args.out.join("codes.safetensors");
    let codes = done.iter().map(|guided| guided.codes.clone()).collect();
    studio.codes_file(Tensor::cat(codes, 0)).write(&file)?;
    terminal.wrote(&file);
    if args.tune.is_some_and(|steps| steps > 0) {
        terminal.note(
            "the tuned generators are not saved, so other commands generate other images from these \
             codes; `cigan project --tune` writes a model with a tuned generator",
        );
    }
    if !studio.capabilities().direct_edits {
        let curve = args.out.join("curve.jsonl");
        atomic_write(&curve, curve_lines(&done).as_bytes())?;
        terminal.wrote(&curve);
    }
    stopped(terminal)
}

/// Warns about flags that have no effect with the model.
fn not_applicable(args: &EditArgs, studio: &Studio, terminal: &mut Terminal) {
    if !studio.capabilities().direct_edits {
        return;
    }
    for (flag, given) in
        [("--preserve", args.preserve.is_some()), ("--steps", args.guided.steps.is_some())]
    {
        if given {
            terminal.warning(&format!(
                "{flag} does not apply: this model edits in one pass, without optimisation; use \
                 --strength instead"
            ));
        }
    }
    if args.project_space.is_some() {
        terminal.warning("--project-space does not apply: this model does not refine inversions");
    }
}

impl EditArgs {
    /// Opens the images or codes to edit.
    ///
    /// # Errors
    /// If they cannot be read, or do not belong to the model.
    fn inputs(&self, studio: &Studio, device: &Device, terminal: &mut Terminal) -> Result<Inputs> {
        match &self.codes {
            Some(codes) => Inputs::codes(codes, self.rows.as_ref(), studio, device),
            None => Inputs::photos(&self.image, studio, &mut |text| terminal.warning(text)),
        }
    }

    /// The projection of images in `steps` steps.
    fn projection(&self, steps: usize) -> ProjectSettings {
        let usual = match self.tune {
            None | Some(0) => ProjectSettings::refinement(steps),
            Some(_) => ProjectSettings::pivot(steps),
        };
        ProjectSettings { space: self.project_space.unwrap_or(usual.space), ..usual }
    }

    /// Creates the folder for the results, or checks the file for the only one.
    ///
    /// # Errors
    /// If that is not possible.
    fn create_out(&self, all: &Inputs) -> Result<()> {
        if !single_file(&self.out) {
            return self.force.create_folder(&self.out, &planned(&all.names));
        }
        one_edit(&self.out, all.len())?;
        self.force.create_file(&self.out)
    }

    /// Checks a file of `--out`, as far as possible before the model is opened.
    ///
    /// # Errors
    /// If there are several images, if a flag needs a folder, or if the file exists or is one of the
    /// images.
    fn check_single(&self) -> Result<()> {
        if self.codes.is_none() {
            one_edit(&self.out, self.image.len())?;
        }
        for (flag, given) in [("--strip", self.strip.is_some()), ("--gif", self.gif)] {
            if given {
                return Err(Error::user(format!("{flag}: --out {} is a file", self.out.display()))
                    .hint("give a folder for the edit and its other pictures"));
            }
        }
        let read = self.image.iter().chain(&self.codes).map(PathBuf::as_path);
        check_not_input(&self.out, read)?;
        self.force.check_file(&self.out)
    }
}

/// Checks that a file of `--out` is to hold a single edit.
///
/// # Errors
/// If there are several.
fn one_edit(out: &Path, count: usize) -> Result<()> {
    match count {
        1 => Ok(()),
        _ => Err(Error::user(format!(
            "--out {}: a file holds one edit, but there are {count} images",
            out.display()
        ))
        .hint("give a folder, or one image, or one row of --codes such as --rows 0")),
    }
}

/// The files that are named after the images `names`.
fn planned(names: &[String]) -> Vec<String> {
    let ends = ["-edited.png", "-side-by-side.png", "-strip.png", "-sweep.png", "-steps.gif"];
    names.iter().flat_map(|name| ends.map(|end| format!("{name}{end}"))).collect()
}

/// One run of the command: everything that is the same for all images.
struct Job<'a> {
    args: &'a EditArgs,
    studio: &'a Studio,
    change: Change<&'a str>,
    how: EditSettings<'a>,
    /// The encoders of `--similarity`.
    encoders: Option<&'a Encoders>,
    model: &'a Model,
    device: &'a Device,
}

impl Job<'_> {
    /// Edits the images of `rows` as a batch and writes the results.
    fn run(&self, all: &Inputs, rows: Range<usize>, terminal: &mut Terminal) -> Result<Guided> {
        let Self { args, studio, how, .. } = self;
        let stop = terminal.interrupt().clone();
        let steps = how.guidance.steps;
        let every = steps.div_ceil(view::FRAMES).max(1);
        let mut frames: Vec<Vec<RgbImage>> = Vec::new();
        let (before, count) = (rows.start, rows.len());
        let source = all.source(rows.clone(), studio, self.device);
        let edited = studio.edit(source, self.change, how, |step| {
            // Progress counts the steps of all images, including those of earlier batches.
            let place = |index: usize, most: usize| {
                ((before * most + count * index) as u64, (all.len() * most) as u64)
            };
            match step {
                EditStep::Projecting(index) => {
                    let (done, total) = place(index, how.project.steps);
                    terminal.progress("projecting", done, total);
                }
                EditStep::Tuning(index) => {
                    let (done, total) = place(index, how.tune.steps);
                    terminal.progress("tuning the generator", done, total);
                }
                EditStep::Inverted(_) => {}
                EditStep::Guiding(index, draw) => {
                    let (done, total) = place(index, steps);
                    terminal.progress("optimising", done, total);
                    if args.gif && index % every == 0 {
                        frames.push(draw());
                    }
                }
            }
            stop.requested().is_none()
        })?;
        self.write(&edited, &frames, all, rows, terminal)?;
        Ok(edited.guided)
    }

    fn write(
        &self,
        done: &Edited,
        frames: &[Vec<RgbImage>],
        all: &Inputs,
        rows: Range<usize>,
        terminal: &mut Terminal,
    ) -> Result<()> {
        let args = self.args;
        let Edited { originals, inverted, images: edited, marked, .. } = done;
        let text = |index| {
            let mut text = describe_edit(all.edits(index), &self.change, &self.how, self.model);
            text.extend(self.encoders.into_iter().flat_map(|e| e.describe(self.how.guidance)));
            text
        };
        if let [result] = &edited[..]
            && single_file(&args.out)
        {
            picture::png::write(&args.out, result, &text(rows.start))?;
            terminal.wrote(&args.out);
            return Ok(());
        }
        for (index, name) in all.names[rows.clone()].iter().enumerate() {
            let text = text(rows.start + index);
            let file = args.out.join(format!("{name}-edited.png"));
            picture::png::write(&file, &edited[index], &text)?;
            terminal.wrote(&file);
            let change = picture::difference(&inverted[index], &edited[index], 2.0)?;
            let mut cells = vec![
                ("original", view::visible(&originals[index])),
                ("inversion", view::visible(&inverted[index])),
                ("edit", view::visible(&edited[index])),
                ("change x2", view::visible(&change)),
            ];
            if args.codes.is_some() {
                // The image of a code is its own inversion.
                cells.remove(1);
            }
            let strip = picture::strip(&cells, 4);
            let file = args.out.join(format!("{name}-side-by-side.png"));
            picture::png::write(&file, &strip, &text)?;
            terminal.wrote(&file);
            if let Some(strengths) = &args.strip {
                let file = args.out.join(format!("{name}-strip.png"));
                picture::png::write(&file, &strengths.strip(marked, index), &text)?;
                terminal.wrote(&file);
            }
            if args.gif {
                let mut steps: Vec<RgbImage> =
                    frames.iter().map(|frame| view::visible(&frame[index])).collect();
                steps.push(view::visible(&edited[index]));
                let file = args.out.join(format!("{name}-steps.gif"));
                picture::write_gif(&file, &steps, Duration::from_millis(80))?;
                terminal.wrote(&file);
            }
        }
        Ok(())
    }
}
