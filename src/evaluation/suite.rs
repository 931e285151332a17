//! A whole evaluation: several models and measures on one set of held-out images.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use burn::tensor::Device;
use image::RgbImage;
use serde_json::{Value, json};

use super::attributes::{self, AttributeSettings};
use super::inversion::{self, Clouds};
use super::{
    FeatureExtractor, Setting, Subject, Table, cache, colours, edits, map, page, quality, text,
};
use crate::data::{Archive, Split};
use crate::error::{Error, Result};
use crate::model::{Model, Section};
use crate::report::Page;
use crate::systems::guidance::GuidanceSettings;
use crate::systems::{self, Capabilities};
use crate::train::{Event, EventSink};
use crate::vision::{FeatureChoice, Perceptual, PerceptualChoice};

/// Upper limit of `--probe-kimg`. More renders do not improve the probe.
const MOST_PROBE_KIMG: f64 = 1000.0;
/// Smallest number of reference images, which precision and recall require.
const FEWEST: usize = 4;
/// Smallest number of samples. Distances between smaller sets are meaningless.
const FEWEST_SAMPLES: usize = 10;
/// Upper limit of `--project` in seconds.
const MOST_SECONDS: f64 = 1e6;

/// A group of measures, as named in `--metrics`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Measure {
    /// Samples: Fréchet distance (FID, FSD), KID, precision, recall, Inception score.
    Samples,
    /// Reconstructions of held-out images, and the overlap of codes.
    Inversion,
    /// Retrieval, and agreement and diversity of images from captions.
    Text,
    /// Whether images show the colour that a prompt names.
    Colours,
    /// Synthetic birds: do images show what texts say, and which stage loses it?
    Attributes,
}

impl Measure {
    /// The measures to choose from if `--metrics` is absent.
    const DEFAULT: [Measure; 3] = [Measure::Samples, Measure::Inversion, Measure::Text];

    /// Its name in `--metrics`.
    pub fn name(self) -> &'static str {
        match self {
            Measure::Samples => "samples",
            Measure::Inversion => "inversion",
            Measure::Text => "text",
            Measure::Colours => "colours",
            Measure::Attributes => "attributes",
        }
    }

    /// Whether the measure applies to a model with these capabilities.
    fn suits(self, can: &Capabilities) -> bool {
        match self {
            Measure::Samples => true,
            Measure::Inversion => can.inverts,
            Measure::Text | Measure::Colours | Measure::Attributes => can.text,
        }
    }

    /// The error that explains why the measure does not apply to a model.
    fn refusal(self, subject: &Subject) -> Option<Error> {
        match self {
            Measure::Samples => None,
            Measure::Inversion => subject.latent_space().err(),
            Measure::Text | Measure::Colours | Measure::Attributes => subject.text_to_image().err(),
        }
    }
}

/// Settings of an evaluation: the models, the archive and the measures.
#[derive(Debug, Clone)]
pub struct EvaluationRequest {
    /// Models or runs to compare.
    pub models: Vec<PathBuf>,
    /// Archive with the reference images.
    pub data: PathBuf,
    /// Split of the archive that is the reference.
    pub split: Split,
    /// Measures to take. If empty, all that apply to every model, except `Colours` and
    /// `Attributes`.
    pub measures: Vec<Measure>,
    /// Features for distances between sets of images.
    pub features: FeatureChoice,
    /// Features for perceptual distances.
    pub perceptual: PerceptualChoice,
    /// Number of samples of each model.
    pub samples: usize,
    /// Truncation ψ of the samples.
    pub truncation: f32,
    /// Guidance strength of images from captions, in `[0, 1]`.
    pub strength: f64,
    /// Guidance strength of edits, in `[0, 1]`.
    pub edit_strength: f64,
    /// Additional strengths at which agreement and diversity are measured.
    pub strengths: Option<Vec<f64>>,
    /// Seconds for the projection of some images; `None` skips it.
    pub project: Option<f64>,
    /// Settings of the attribute measures.
    pub attributes: AttributeSettings,
    /// Seed of samples, pairs, subsets and folds.
    pub seed: u64,
    /// Whether to build the HTML page.
    pub page: bool,
}

/// Results of an evaluation.
pub struct EvaluationReport {
    /// All results as one JSON object.
    pub json: Value,
    /// The HTML page, if requested.
    pub page: Option<Page>,
}

impl EvaluationRequest {
    /// An evaluation with the default settings on the validation split.
    pub fn new(models: Vec<PathBuf>, data: PathBuf) -> Self {
        Self {
            models,
            data,
            split: Split::Val,
            measures: Vec::new(),
            features: FeatureChoice::default(),
            perceptual: PerceptualChoice::default(),
            samples: 3000,
            truncation: 1.0,
            strength: GuidanceSettings::default().strength,
            edit_strength: GuidanceSettings::for_edits().strength,
            strengths: None,
            project: None,
            attributes: AttributeSettings::default(),
            seed: 0,
            page: true,
        }
    }

    fn check(&self) -> Result<()> {
        if self.samples < FEWEST_SAMPLES {
            return Err(Error::user(format!("--samples {}: too few", self.samples))
                .hint("give at least a few hundred samples"));
        }
        if !self.truncation.is_finite() {
            return Err(Error::user(format!("--truncation {}: not a number", self.truncation))
                .hint("use 1 for no truncation, or 0 for the mean image"));
        }
        if !(0.0..=1.0).contains(&self.edit_strength) {
            return Err(Error::user(format!(
                "--edit-strength {}: not from 0 to 1",
                self.edit_strength
            ))
            .hint("use a value from 0 (no change) to 1 (the full edit)"));
        }
        if self.attributes.probe.kimg > MOST_PROBE_KIMG {
            return Err(Error::user(format!(
                "--probe-kimg {}: more than {MOST_PROBE_KIMG}",
                self.attributes.probe.kimg
            ))
            .hint("the unit is a thousand renders; the default is 4"));
        }
        match self.project {
            Some(seconds) if !(seconds > 0.0 && seconds < MOST_SECONDS) => {
                Err(Error::user(format!("--project {seconds}: not a valid duration"))
                    .hint("give a positive number of seconds"))
            }
            _ => Ok(()),
        }
    }
}

/// Receives the events and tables of an evaluation.
pub trait EvaluationSink: EventSink {
    /// Receives a table as soon as it is complete, because a later measure may fail or be
    /// interrupted.
    fn table(&mut self, table: &Table);
}

/// Evaluates models on the held-out images of an archive.
///
/// # Errors
/// Fails if a setting is out of range, or if a model, the archive or a weight file cannot be read
/// or do not match.
pub fn evaluate(
    request: &EvaluationRequest,
    device: &Device,
    events: &mut dyn EvaluationSink,
) -> Result<EvaluationReport> {
    request.check()?;
    let archive = Arc::new(Archive::open(&request.data)?);
    if request.measures.contains(&Measure::Attributes) {
        attributes::truth(&archive)?;
    }
    let subjects = load(request, &archive, device)?;
    let Some(first) = subjects.first() else {
        return Err(Error::user("no model given").hint("name one or more models or runs"));
    };
    let mut note = |text: String| events.emit(&Event::Note(text));
    let measures = measures(request, &subjects, &archive, &mut note)?;
    let mut warn = |text: String| events.emit(&Event::Warning(text));
    let takes = |measure: Measure| measures.contains(&measure);
    if request.project.is_some() && !takes(Measure::Inversion) {
        warn("--project has no effect without --metrics inversion".into());
    }
    if request.strengths.is_some() && !takes(Measure::Text) {
        warn("--strengths has no effect without --metrics text".into());
    }
    let guidance = GuidanceSettings { strength: request.strength, ..Default::default() };
    guidance.check()?;
    let editing =
        GuidanceSettings { strength: request.edit_strength, ..GuidanceSettings::for_edits() };
    let setting = Setting {
        archive: &archive,
        split: request.split,
        device,
        seed: request.seed,
        samples: request.samples,
        truncation: request.truncation,
        guidance,
        editing,
        perceptual_note: perceptual_note(&request.perceptual, first)?,
        cache: cache(),
    };
    let count = archive.indices_of(setting.split).len();
    if count < FEWEST {
        return Err(Error::user(format!(
            "--split {}: needs at least {FEWEST} images, found {count}",
            setting.split.name()
        ))
        .hint("`cigan data info FILE` lists the splits"));
    }
    let trained_elsewhere = trained_elsewhere(&subjects, &setting)?;
    for name in trained_elsewhere.iter().filter(|_| setting.split != Split::Train) {
        warn(format!(
            "{name} was trained on another archive: it may have seen these images in training"
        ));
    }
    let compared = takes(Measure::Inversion) || takes(Measure::Text);
    if request.perceptual != PerceptualChoice::Discriminator && !compared {
        warn("--perceptual has no effect without --metrics inversion or text".into());
    }
    for (subject, network) in
        judged_by_their_trainer(&subjects, request).into_iter().filter(|_| compared)
    {
        warn(format!(
            "{}: its encoder was trained with {network}, so distances by {network} are biased in \
             its favour; choose another network",
            subject.name
        ));
    }
    let own = || first.loaded().own_features();
    let extractor = FeatureExtractor::open(&request.features, own, first.model.hash(), device)?;
    // Agreement with captions needs features that no model was trained with, so not those of a
    // discriminator.
    let pixels = FeatureExtractor::open(&FeatureChoice::Pixels, own, "", device)?;
    let scoring = match request.features {
        FeatureChoice::Discriminator => &pixels,
        _ => &extractor,
    };
    let perceptual = match compared {
        // All models of a table must be measured with the same distance.
        true => {
            let others = subjects.iter().any(|subject| !same_features(subject, first));
            if request.perceptual == PerceptualChoice::Discriminator && others {
                warn(format!(
                    "perceptual distances of all models use the discriminator of {}; to compare \
                     generators, give --perceptual squeezenet=FILE or vgg16=FILE",
                    first.name
                ));
            }
            Some(distance(request, first, &setting)?)
        }
        false => None,
    };
    let mut tables: Vec<Table> = Vec::new();
    let mut maps: Vec<RgbImage> = Vec::new();
    for measure in measures {
        let shown = tables.len();
        let mut progress = |what: &str, done: usize, total: usize| {
            let what = what.to_owned();
            events.emit(&Event::Working { what, done: done as u64, total: total as u64 });
        };
        match (measure, &perceptual) {
            (Measure::Inversion, Some(perceptual)) => {
                let budget = request.project.map(Duration::from_secs_f64);
                let image_measures = inversion::ImageMeasures { perceptual, extractor: &extractor };
                tables.push(inversion::reconstruction(
                    &subjects,
                    &image_measures,
                    &setting,
                    budget,
                    &mut progress,
                )?);
                let clouds: Vec<Clouds> = subjects
                    .iter()
                    .map(|subject| Clouds::of(subject, &setting))
                    .collect::<Result<_>>()?;
                tables.push(inversion::overlap(&subjects, &clouds, &setting)?);
                if request.page {
                    for clouds in &clouds {
                        maps.push(map::scatter_plots(clouds)?);
                    }
                }
            }
            (Measure::Text, Some(perceptual)) => {
                let coded = subjects.iter().any(|subject| subject.text_codes().is_some());
                if coded {
                    tables.push(text::retrievals(&subjects, &setting)?);
                    tables.push(text::codes_of_texts(&subjects, &setting)?);
                }
                let scorer =
                    text::CaptionScorer::fit(scoring, perceptual, &setting, &mut progress)?;
                tables.push(text::agreement(&subjects, &scorer, &setting, &mut progress)?);
                if subjects.iter().any(|subject| subject.capabilities().edits) {
                    let edited =
                        edits::edits(&subjects, &scorer, perceptual, &setting, &mut progress)?;
                    tables.push(edited);
                }
                if subjects.iter().any(|subject| subject.capabilities().strength) {
                    if let Some(along) = &request.strengths {
                        let sweep = text::strength_sweep(
                            &subjects,
                            along,
                            &scorer,
                            &setting,
                            &mut progress,
                        )?;
                        tables.push(sweep);
                    }
                }
            }
            (Measure::Colours, _) => {
                tables.push(colours::table(&subjects, &setting, &mut progress)?);
            }
            (Measure::Attributes, _) => {
                let settings = &request.attributes;
                tables.extend(attributes::tables(&subjects, &setting, settings, &mut progress)?);
            }
            _ => tables.push(quality::table(&subjects, &extractor, &setting, &mut progress)?),
        }
        tables[shown..].iter().for_each(|table| events.table(table));
    }
    let models = subjects.iter().map(|subject| {
        json!({
            "model": subject.name,
            "file": subject.model.name(),
            "hash": subject.model.hash(),
            "trained_on_this_archive": !trained_elsewhere.contains(&subject.name),
        })
    });
    let json = json!({
        "data": archive.hash()?,
        "split": setting.split.name(),
        "features": extractor.name(),
        "features_weights": extractor.weights(),
        "perceptual": request.perceptual.to_string(),
        "perceptual_identity": request.perceptual.identity()?,
        "references": archive.indices_of(setting.split).len(),
        "samples": setting.samples,
        "truncation": setting.truncation,
        "strength": setting.guidance.strength,
        "edit_strength": setting.editing.strength,
        "seed": setting.seed,
        "models": models.collect::<Vec<_>>(),
        "tables": tables,
    });
    let page = match request.page {
        true => Some(page::page(&subjects, &tables, &maps, &setting)?),
        false => None,
    };
    Ok(EvaluationReport { json, page })
}

/// Opens the models under unique names.
fn load(
    request: &EvaluationRequest,
    archive: &Arc<Archive>,
    device: &Device,
) -> Result<Vec<Subject>> {
    names(&request.models)
        .into_iter()
        .zip(&request.models)
        .map(|(name, path)| {
            let subject = Subject::load(name, Model::open(path)?, archive, device)?;
            let (own, given) = (subject.resolution(), archive.resolution());
            if own != given {
                return Err(Error::user(format!(
                    "--data: the images are {given}×{given}, but {} generates {own}×{own}",
                    subject.name
                ))
                .hint(format!("prepare the data with --resolution {own}")));
            }
            Ok(subject)
        })
        .collect()
}

/// Names of the models: the last component of each path, or the full paths if those are not unique.
fn names(paths: &[PathBuf]) -> Vec<String> {
    let last = |path: &PathBuf| path.file_name().map(|name| name.to_string_lossy().into_owned());
    let short: BTreeSet<_> = paths.iter().map(last).collect();
    let full = |path: &PathBuf| path.display().to_string();
    let unique = short.len() == paths.len();
    paths.iter().map(|p| last(p).filter(|_| unique).unwrap_or_else(|| full(p))).collect()
}

/// The requested measures, or by default those that every model and the archive support.
fn measures(
    request: &EvaluationRequest,
    subjects: &[Subject],
    archive: &Archive,
    note: &mut impl FnMut(String),
) -> Result<Vec<Measure>> {
    let lacks =
        |measure: Measure| subjects.iter().find(|subject| !measure.suits(&subject.capabilities()));
    if request.measures.is_empty() {
        let mut able: Vec<Measure> =
            Measure::DEFAULT.into_iter().filter(|&measure| lacks(measure).is_none()).collect();
        for measure in Measure::DEFAULT {
            let some = subjects.iter().any(|subject| measure.suits(&subject.capabilities()));
            if let Some(subject) = lacks(measure).filter(|_| some) {
                note(format!(
                    "skipping `{}`, because {} does not support it",
                    measure.name(),
                    subject.name
                ));
            }
        }
        if able.contains(&Measure::Text)
            && text::captioned_reference(archive, request.split).is_err()
        {
            able.retain(|&measure| measure != Measure::Text);
            note(format!("skipping `text`, because `{}` has no captions", request.split.name()));
        }
        return Ok(able);
    }
    let mut wanted: Vec<Measure> = Vec::new();
    for &measure in &request.measures {
        if let Some(subject) = lacks(measure)
            && let Some(error) = measure.refusal(subject)
        {
            return Err(error.context(format!("--metrics {}", measure.name())));
        }
        if measure == Measure::Text {
            text::captioned_reference(archive, request.split)?;
        }
        if !wanted.contains(&measure) {
            wanted.push(measure);
        }
    }
    Ok(wanted)
}

/// Description of the perceptual distance for the notes of tables.
fn perceptual_note(choice: &PerceptualChoice, first: &Subject) -> Result<String> {
    let unit = "1 is the mean distance of two random images";
    Ok(match choice {
        PerceptualChoice::Discriminator => {
            let trainer = match first.loaded().perceptual_trained_with() {
                Some("discriminator") => ", with which its encoder was trained",
                _ => "",
            };
            format!("the discriminator of {}{trainer}, {unit}", first.name)
        }
        _ if choice.is_lpips() => choice.note()?,
        _ => format!("{}, {unit}", choice.note()?),
    })
}

/// Whether two models have the same features of their own.
fn same_features(a: &Subject, b: &Subject) -> bool {
    a.loaded().own_features_mark() == b.loaded().own_features_mark()
}

/// The perceptual distance of all tables. Its unit is that of the first model if it has one.
fn distance(request: &EvaluationRequest, first: &Subject, setting: &Setting) -> Result<Perceptual> {
    if request.perceptual == PerceptualChoice::Discriminator
        && let Some(measured) = first.loaded().perceptual()?
    {
        return Ok(measured);
    }
    let own = || first.loaded().own_features();
    let features = request.perceptual.build(own, setting.device)?;
    if features.weighs_layers() {
        return Ok(Perceptual::without_unit(features, setting.device));
    }
    let mut indices = setting.archive.indices_of(Split::Train);
    if indices.len() < 2 {
        indices = setting.archive.indices_of(setting.split);
    }
    Perceptual::calibrate(features, setting.archive, &indices, setting.device)
}

/// Names of the models with a section that was trained on another archive. They may have seen the
/// held-out images of this one in training.
fn trained_elsewhere(subjects: &[Subject], setting: &Setting) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for subject in subjects {
        let system = systems::of(&subject.model)?;
        let held = |section: &&&Section| subject.model.has(section);
        for section in system.sections().iter().filter(held) {
            let data = subject.model.provenance(section)?.data;
            if data != setting.archive.hash()? && !names.contains(&subject.name) {
                names.push(subject.name.clone());
            }
        }
    }
    Ok(names)
}

/// Models whose encoder was trained with the network that is to measure them, with its name.
fn judged_by_their_trainer<'a>(
    subjects: &'a [Subject],
    request: &EvaluationRequest,
) -> Vec<(&'a Subject, &'a str)> {
    let judges = [request.features.to_string(), request.perceptual.to_string()];
    let files = |scorer: &str, network: &str| scorer.starts_with(&format!("{network}="));
    subjects
        .iter()
        .filter_map(|subject| Some((subject, subject.loaded().perceptual_trained_with()?)))
        .filter(|(_, trained_by)| {
            let network = trained_by.trim_start_matches("lpips-");
            judges.iter().any(|scorer| files(scorer, network))
        })
        .collect()
}
