//! `cigan evaluate`: models against held-out images, side by side.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::common::{Common, create_folder};
use super::strengths::Strengths;
use super::tables::lines;
use super::terminal::Terminal;
use crate::data::Split;
use crate::error::{Error, Result};
use crate::evaluation::Table;
use crate::evaluation::attributes::AttributeSettings;
use crate::evaluation::suite::{EvaluationRequest, EvaluationSink, Measure, evaluate};
use crate::systems::guidance::GuidanceSettings;
use crate::tensorfile::atomic_write;
use crate::train::{Event, EventSink};
use crate::vision::{FeatureChoice, PerceptualChoice};

/// Measure models against pictures that they were not trained on.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  cigan evaluate --model RUN --data birds32.zip --features squeezenet=squeezenet_v1.1.safetensors
  cigan evaluate --metrics inversion --data birds32.zip with-cycle without-cycle --out comparison
  cigan evaluate --model RUN --data birds.zip --split test --features inception=pt_inception-2015-12-05-6726825d.pth --json
  cigan evaluate --model RUN --data birds32.zip --metrics attributes --strength 0.8 --out attributes

`attributes` reads birds of `cigan data synth` with a probe that it first trains for some minutes.
Real pictures are looked at once: their features are kept in the cache folder of the user
(CIGAN_CACHE names another), as is the probe.")]
pub struct EvaluateArgs {
    /// Models or runs to compare.
    #[arg(value_name = "MODEL")]
    pub models: Vec<PathBuf>,
    /// The same, as a flag.
    #[arg(long = "model", value_name = "MODEL", num_args = 1..)]
    pub more_models: Vec<PathBuf>,
    /// Archive of `cigan data prepare` to compare with.
    #[arg(long, value_name = "FILE.zip")]
    pub data: PathBuf,
    /// Part of the archive that is the reference.
    #[arg(long, value_enum, default_value = "val")]
    pub split: SplitName,
    /// What to measure [default: all that the models can do but attributes].
    #[arg(long, value_enum, value_name = "WHAT,…", value_delimiter = ',')]
    pub metrics: Vec<MeasureName>,
    /// Features that pictures are compared by: inception=FILE (FID), squeezenet=FILE (FSD),
    /// discriminator (of the first model; compares models of one table alone, and leaves agreement
    /// with texts to pixels) or pixels.
    #[arg(long, value_name = "NETWORK", default_value_t = FeatureChoice::default())]
    pub features: FeatureChoice,
    /// Features of perceptual distances: discriminator (of the first model), vgg16=FILE or
    /// squeezenet=FILE, in units of the distance of two pictures drawn at random; the latter with
    /// ,lpips=FILE for LPIPS as it is published.
    #[arg(long, value_name = "FEATURES", default_value_t = PerceptualChoice::default())]
    pub perceptual: PerceptualChoice,
    /// Samples of each model.
    #[arg(long, value_name = "N", default_value_t = 3000)]
    pub samples: usize,
    /// Truncation ψ of the samples.
    #[arg(long, value_name = "PSI", default_value_t = 1.0, allow_negative_numbers = true)]
    pub truncation: f32,
    /// How far pictures follow captions, 0 to 1.
    #[arg(long, value_name = "S", allow_negative_numbers = true,
        default_value_t = GuidanceSettings::default().strength)]
    pub strength: f64,
    /// How far edits go, 0 to 1.
    #[arg(long, value_name = "S", allow_negative_numbers = true,
        default_value_t = GuidanceSettings::for_edits().strength)]
    pub edit_strength: f64,
    /// Also measure agreement and diversity at each of these strengths, such as 0,0.2,0.4.
    #[arg(long, value_name = "S,…")]
    pub strengths: Option<Strengths>,
    /// Also project some pictures, from the mean code and from E: for so many seconds from each, all
    /// pictures at once.
    #[arg(long, value_name = "SECONDS")]
    pub project: Option<f64>,
    /// Thousands of renders that the probe of attributes is trained on.
    #[arg(long, value_name = "KIMG", default_value_t = AttributeSettings::default().probe.kimg)]
    pub probe_kimg: f64,
    /// Pictures that are edited for each part to measure attributes; 0 is none.
    #[arg(long, value_name = "N", default_value_t = AttributeSettings::default().edits)]
    pub edits: usize,
    /// Folder for a page with pictures, and the numbers as JSON.
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
}

/// `--split`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SplitName {
    /// What training does not see.
    Val,
    /// The test split of the data.
    Test,
    /// What training sees.
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

/// `--metrics`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum MeasureName {
    /// Samples: Fréchet distance (FID, FSD), KID, precision, recall, Inception score.
    Samples,
    /// Reconstructions of held-out images, and the overlap of codes.
    Inversion,
    /// Retrieval, and agreement and diversity of images from captions.
    Text,
    /// Synthetic birds: do images show what texts say, and which stage loses it?
    Attributes,
}

impl From<MeasureName> for Measure {
    fn from(name: MeasureName) -> Self {
        match name {
            MeasureName::Samples => Measure::Samples,
            MeasureName::Inversion => Measure::Inversion,
            MeasureName::Text => Measure::Text,
            MeasureName::Attributes => Measure::Attributes,
        }
    }
}

pub(super) fn run(args: &EvaluateArgs, common: &Common, terminal: &mut Terminal) -> Result<()> {
    terminal.leave_when_asked();
    let mut attributes = AttributeSettings { edits: args.edits, ..Default::default() };
    attributes.probe.kimg = args.probe_kimg;
    let request = EvaluationRequest {
        models: args.models.iter().chain(&args.more_models).cloned().collect(),
        data: args.data.clone(),
        split: args.split.into(),
        measures: args.metrics.iter().map(|&name| name.into()).collect(),
        features: args.features.clone(),
        perceptual: args.perceptual.clone(),
        samples: args.samples,
        truncation: args.truncation,
        strength: args.strength,
        edit_strength: args.edit_strength,
        strengths: args.strengths.as_ref().map(|strengths| strengths.0.clone()),
        project: args.project,
        attributes,
        seed: common.seed(),
        page: args.out.is_some(),
    };
    let device = common.open_device(terminal)?.device;
    if let Some(out) = &args.out {
        create_folder(out)?;
    }
    let report = evaluate(&request, &device, &mut Listener { terminal, json: args.json })?;
    if let Some(out) = &args.out {
        let path = out.join("evaluation.json");
        let text = serde_json::to_string_pretty(&report.json)
            .map_err(|e| Error::internal(format!("numbers do not serialise: {e}")))?;
        atomic_write(&path, text.as_bytes())?;
        let html = out.join("index.html");
        if let Some(page) = &report.page {
            atomic_write(&html, page.html().as_bytes())?;
        }
        if !args.json {
            terminal.wrote(&path);
            terminal.wrote(&html);
        }
    }
    if args.json {
        terminal.print(&report.json.to_string());
    }
    Ok(())
}

/// Prints tables as text, unless JSON is wanted.
struct Listener<'a> {
    terminal: &'a mut Terminal,
    json: bool,
}

impl EventSink for Listener<'_> {
    fn emit(&mut self, event: &Event) {
        self.terminal.emit(event);
    }
}

impl EvaluationSink for Listener<'_> {
    fn table(&mut self, table: &Table) {
        if !self.json {
            self.terminal.print(&lines(table));
        }
    }
}
