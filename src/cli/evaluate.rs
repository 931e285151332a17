//! `cigan evaluate`: evaluates and compares models on held-out images.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::choices::choices;
use super::common::{Common, create_folder};
use super::results::ForceArgs;
use super::strengths::Strengths;
use super::tables::lines;
use super::terminal::{Terminal, printable};
use crate::data::Split;
use crate::error::Result;
use crate::evaluation::Table;
use crate::evaluation::attributes::AttributeSettings;
use crate::evaluation::suite::{EvaluationRequest, EvaluationSink, MEASURES, Measure, evaluate};
use crate::systems::requests::ProjectSpace;
use crate::train::{Event, EventSink};
use crate::vision::{FeatureChoice, PerceptualChoice};

/// Evaluate and compare models on held-out images.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  cigan evaluate --model RUN --data birds32.zip --features squeezenet=squeezenet_v1.1.safetensors
  cigan evaluate --metrics inversion --data birds32.zip with-cycle without-cycle --out comparison
  cigan evaluate --model RUN --data birds32.zip --split test --features inception=inception.pth
  cigan evaluate --model RUN --data birds32.zip --metrics redescription --captioner CAPTIONER
  cigan evaluate --model RUN --data birds32.zip --judge DAMSM
  cigan evaluate --model RUN --data birds32.zip --metrics attributes --strength 0.8 --out attributes

`attributes` needs an archive of `cigan data synth`. It first trains a probe that recognises the
attributes, which takes minutes. The probe and the features of real images are cached in the user's
cache folder, or in the folder set by the environment variable CIGAN_CACHE.")]
#[command(mut_arg("force", |force| force.help("Replace the earlier report in the folder of --out")))]
pub struct EvaluateArgs {
    /// Model files or run directories to compare.
    #[arg(value_name = "MODEL")]
    pub models: Vec<PathBuf>,
    /// Model files or run directories, in addition to the positional arguments.
    #[arg(long = "model", value_name = "MODEL", num_args = 1..)]
    pub more_models: Vec<PathBuf>,
    /// Archive with the reference images, made by `cigan data prepare`.
    ///
    /// If a model generates larger images than these, the metrics samples, colours and collapse
    /// downscale them. All other metrics need images of the same size.
    #[arg(long, value_name = "FILE.zip")]
    pub data: PathBuf,
    /// Split of the archive to use as the reference.
    #[arg(long, value_enum, default_value = "val")]
    pub split: SplitName,
    /// Metrics to compute [default: all that the models support, except colours,
    /// redescription, judge, collapse, style and attributes].
    #[arg(long, value_parser = choices(&MEASURES, |m| m.name, |m| m.about),
        value_name = "METRIC,…", value_delimiter = ',')]
    pub metrics: Vec<&'static Measure>,
    /// Network for the features of images: inception=FILE (FID), squeezenet=FILE (FSD),
    /// discriminator or pixels.
    ///
    /// `discriminator` is the first model's discriminator. Its numbers can be compared only within
    /// one table, and agreement with text is then measured on pixels.
    #[arg(long, value_name = "NETWORK", default_value_t = FeatureChoice::default())]
    pub features: FeatureChoice,
    /// Network for perceptual distances: discriminator, vgg16=FILE or squeezenet=FILE.
    ///
    /// Distances are in units of the distance between two random images. Append ,lpips=FILE to
    /// measure LPIPS as published instead. `discriminator` is the first model's discriminator.
    #[arg(long, value_name = "FEATURES", default_value_t = PerceptualChoice::default())]
    pub perceptual: PerceptualChoice,
    /// Number of samples per model.
    #[arg(long, value_name = "N", default_value_t = defaults().samples)]
    pub samples: usize,
    /// Truncation ψ of the samples.
    #[arg(long, value_name = "PSI", default_value_t = defaults().truncation,
        allow_negative_numbers = true)]
    pub truncation: f32,
    /// Strength of text-to-image generation, from 0 to 1 [default: each model's own].
    #[arg(long, value_name = "S", allow_negative_numbers = true)]
    pub strength: Option<f64>,
    /// Images to draw per caption or prompt; the model keeps the one that agrees best with it, as
    /// `cigan generate --candidates N --keep 1` does.
    #[arg(long, value_name = "N", default_value_t = defaults().candidates)]
    pub candidates: usize,
    /// Strength of edits, from 0 to 1.
    #[arg(long, value_name = "S", allow_negative_numbers = true,
        default_value_t = defaults().edit_strength)]
    pub edit_strength: f64,
    /// Weight λ of the preservation term of edits, which keeps them close to the original.
    #[arg(long, value_name = "LAMBDA", allow_negative_numbers = true,
        default_value_t = defaults().edit_preserve)]
    pub edit_preserve: f64,
    /// Refine inversions with N steps of projection before edits.
    #[arg(long, value_name = "N", default_value_t = defaults().edit_project)]
    pub edit_project: usize,
    /// Tune a copy of the generator to each image for N steps before edits of the metric `text`. For
    /// the edits of `cigan edit --tune N`, add --edit-project 50 --project-space w.
    #[arg(long, value_name = "N", default_value_t = defaults().edit_tune)]
    pub edit_tune: usize,
    /// Latent space of the projections of --edit-project, --project and the metric `attributes`;
    /// `cigan edit` uses w+, or w with --tune.
    #[arg(long, value_name = "SPACE", default_value = defaults().project_space.name(),
        value_parser = choices(&ProjectSpace::ALL, |v| v.name(), |v| v.about()))]
    pub project_space: ProjectSpace,
    /// Also limit edits of the metric `text` to pose and shape, to parts, and to colours, which are
    /// groups of the generator's layers.
    #[arg(long)]
    pub edit_bands: bool,
    /// Also measure agreement and diversity at each of these strengths, such as 0,0.2,0.4.
    #[arg(long, value_name = "S,…")]
    pub strengths: Option<Strengths>,
    /// Also project a batch of images for this many seconds, once from the mean code and once from
    /// the encoder's code.
    #[arg(long, value_name = "SECONDS")]
    pub project: Option<f64>,
    /// Model file or run directory of `train-captioner`, for the metric `redescription`.
    #[arg(long, value_name = "CAPTIONER")]
    pub captioner: Option<PathBuf>,
    /// Model file or run directory whose encoders find the caption of each generated image among
    /// others: R-precision by a model of `train-damsm` or `import clip`.
    ///
    /// A model that was trained with the same encoders has an advantage; it is marked. Train another
    /// judge with another --seed.
    #[arg(long, value_name = "MODEL")]
    pub judge: Option<PathBuf>,
    /// Training length of the attribute probe, in thousands of images.
    #[arg(long, value_name = "KIMG", default_value_t = defaults().attributes.probe.kimg)]
    pub probe_kimg: f64,
    /// Images to edit per attribute for the metric `attributes`; 0 for none.
    #[arg(long, value_name = "N", default_value_t = defaults().attributes.edits)]
    pub edits: usize,
    /// Folder for a report with images (index.html) and the numbers (evaluation.json).
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    #[command(flatten)]
    pub force: ForceArgs,
    /// Print the result as a JSON object instead of tables.
    #[arg(long)]
    pub json: bool,
}

/// The default settings of an evaluation.
fn defaults() -> EvaluationRequest {
    EvaluationRequest::new(Vec::new(), PathBuf::new())
}

/// The values of `--split`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SplitName {
    /// The validation split, which training does not use.
    Val,
    /// The test split.
    Test,
    /// The training split.
    Train,
}

impl From<SplitName> for Split {
    fn from(name: SplitName) -> Self {
        match name {
            SplitName::Val => Split::Val,
            SplitName::Test => Split::Test,
            SplitName::Train => Split::Train,
        }
    }
}

pub(super) fn run(args: &EvaluateArgs, common: &Common, terminal: &mut Terminal) -> Result<()> {
    terminal.exit_when_interrupted();
    if let Some(out) = &args.out {
        args.force.check_report(out)?;
    }
    let mut attributes = AttributeSettings { edits: args.edits, ..Default::default() };
    attributes.probe.kimg = args.probe_kimg;
    let request = EvaluationRequest {
        models: args.models.iter().chain(&args.more_models).cloned().collect(),
        data: args.data.clone(),
        split: args.split.into(),
        measures: args.metrics.clone(),
        features: args.features.clone(),
        perceptual: args.perceptual.clone(),
        samples: args.samples,
        truncation: args.truncation,
        strength: args.strength,
        candidates: args.candidates,
        edit_strength: args.edit_strength,
        edit_preserve: args.edit_preserve,
        edit_project: args.edit_project,
        edit_tune: args.edit_tune,
        project_space: args.project_space,
        edit_bands: args.edit_bands,
        strengths: args.strengths.as_ref().map(|strengths| strengths.0.clone()),
        project: args.project,
        captioner: args.captioner.clone(),
        judge: args.judge.clone(),
        attributes,
        seed: common.seed(),
        page: args.out.is_some(),
    };
    let device = common.open_device(terminal)?.device;
    let report = evaluate(&request, &device, &mut TablePrinter { terminal, json: args.json })?;
    if let Some(out) = &args.out {
        create_folder(out)?;
        let written = report.write(out)?;
        if !args.json {
            written.iter().for_each(|path| terminal.wrote(path));
        }
    }
    if args.json {
        terminal.print(&report.json.to_string());
    }
    Ok(())
}

/// Prints the tables as they are completed, unless `--json` is set.
struct TablePrinter<'a> {
    terminal: &'a mut Terminal,
    json: bool,
}

impl EventSink for TablePrinter<'_> {
    fn emit(&mut self, event: &Event) {
        self.terminal.emit(event);
    }
}

impl EvaluationSink for TablePrinter<'_> {
    fn table(&mut self, table: &Table) {
        if !self.json {
            self.terminal.print(&printable(&lines(table)));
        }
    }
}
