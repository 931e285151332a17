//! One evaluation: several models, several measures, one set of held-out images.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use burn::tensor::Device;
use image::RgbImage;
use serde_json::{Value, json};

use super::attributes::{self, AttributeSettings};
use super::inversion::{self, Clouds};
use super::{Observer, Setting, Subject, Table, cache, edits, map, page, quality, text};
use crate::data::{Archive, Split};
use crate::error::{Error, Result};
use crate::model::{Model, Section};
use crate::report::Page;
use crate::systems::cigan::inversion::INVERSION;
use crate::systems::cigan::inversion::train::{load_perceptual, perceptual_of};
use crate::systems::guidance::GuidanceSettings;
use crate::systems::stylegan::DiscriminatorFeatures;
use crate::systems::stylegan::train::{D, load_discriminator};
use crate::systems::{self, Capabilities};
use crate::tensorfile::HostTensor;
use crate::train::{Event, EventSink};
use crate::vision::{FeatureChoice, Features, Perceptual, PerceptualChoice};

/// Renders beyond which a probe learns nothing more, in thousands.
const MOST_PROBE_KIMG: f64 = 1000.0;
/// Images of a reference at least: precision and recall take four.
const FEWEST: usize = 4;
/// Samples below which distances of sets mean nothing.
const FEWEST_SAMPLES: usize = 10;
/// Longest projection in seconds.
const MOST_SECONDS: f64 = 1e6;

/// What can be measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Measure {
    /// Samples: Fréchet distance (FID, FSD), KID, precision, recall, Inception score.
    Samples,
    /// Reconstructions of held-out images, and the overlap of codes.
    Inversion,
    /// Retrieval, and agreement and diversity of images from captions.
    Text,
    /// Synthetic birds: do images show what texts say, and which stage loses it?
    Attributes,
}

impl Measure {
    /// Those that are taken where none is named.
    const USUAL: [Measure; 3] = [Measure::Samples, Measure::Inversion, Measure::Text];

    /// Its name in `--metrics`.
    pub fn name(self) -> &'static str {
        match self {
            Measure::Samples => "samples",
            Measure::Inversion => "inversion",
            Measure::Text => "text",
            Measure::Attributes => "attributes",
        }
    }

    /// Whether a model can be measured by it.
    fn suits(self, can: Capabilities) -> bool {
        match self {
            Measure::Samples => true,
            Measure::Inversion => can.inverts,
            Measure::Text | Measure::Attributes => can.text,
        }
    }

    /// Why a model cannot be measured by it.
    fn refusal(self, subject: &Subject) -> Option<Error> {
        match self {
            Measure::Samples => None,
            Measure::Inversion => subject.latent_space().err(),
            Measure::Text | Measure::Attributes => subject.text_to_image().err(),
        }
    }
}

/// What is evaluated, and how.
#[derive(Debug, Clone)]
pub struct EvaluationRequest {
    /// Models or runs to compare.
    pub models: Vec<PathBuf>,
    /// The archive to compare with.
    pub data: PathBuf,
    /// The part of it that is the reference.
    pub split: Split,
    /// What to measure; all that the models can do, attributes aside, where empty.
    pub measures: Vec<Measure>,
    /// Features that sets of images are compared by.
    pub features: FeatureChoice,
    /// Features of perceptual distances.
    pub perceptual: PerceptualChoice,
    /// Samples of each model.
    pub samples: usize,
    /// Truncation ψ of the samples.
    pub truncation: f32,
    /// How far images follow captions, 0 to 1.
    pub strength: f64,
    /// How far edits go, 0 to 1.
    pub edit_strength: f64,
    /// Strengths at which agreement and diversity are measured as well.
    pub strengths: Option<Vec<f64>>,
    /// Seconds for which some images are projected.
    pub project: Option<f64>,
    /// How attributes are measured.
    pub attributes: AttributeSettings,
    /// Seed of samples, pairs, subsets and folds.
    pub seed: u64,
    /// Whether a page with pictures is wanted.
    pub page: bool,
}

/// What an evaluation found.
pub struct EvaluationReport {
    /// Everything as one JSON object.
    pub json: Value,
    /// Tables and pictures, where a page was wanted.
    pub page: Option<Page>,
}

impl EvaluationRequest {
    fn check(&self) -> Result<()> {
        if self.samples < FEWEST_SAMPLES {
            return Err(Error::user(format!("--samples {}: too few", self.samples))
                .hint("distances of sets need some hundred samples at least"));
        }
        if !self.truncation.is_finite() {
            return Err(Error::user(format!("--truncation {}: not a number", self.truncation))
                .hint("1 is no truncation, 0 gives the mean image"));
        }
        if !(0.0..=1.0).contains(&self.edit_strength) {
            return Err(Error::user(format!(
                "--edit-strength {}: not from 0 to 1",
                self.edit_strength
            ))
            .hint("0 leaves images alone, 1 goes all the way to the text"));
        }
        if self.attributes.probe.kimg > MOST_PROBE_KIMG {
            return Err(Error::user(format!("--probe-kimg {}", self.attributes.probe.kimg))
                .hint(format!("thousands of renders: {MOST_PROBE_KIMG} is more than enough")));
        }
        match self.project {
            Some(seconds) if !(seconds > 0.0 && seconds < MOST_SECONDS) => {
                Err(Error::user(format!("--project {seconds}: not a time to project in"))
                    .hint("give a positive number of seconds"))
            }
            _ => Ok(()),
        }
    }
}

/// Who listens to an evaluation.
pub trait EvaluationSink: EventSink {
    /// Receives a table as soon as it is measured: a later measure may fail, or be interrupted.
    fn table(&mut self, table: &Table);
}

/// Evaluates models.
///
/// # Errors
/// If a model, the archive or a weight file cannot be read, or one does not suit another.
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
        return Err(Error::user("no model is given").hint("name one or several, or use --model"));
    };
    let mut note = |text: String| events.emit(&Event::Note(text));
    let measures = measures(request, &subjects, &archive, &mut note)?;
    let mut warn = |text: String| events.emit(&Event::Warning(text));
    let takes = |measure: Measure| measures.contains(&measure);
    if request.project.is_some() && !takes(Measure::Inversion) {
        warn("--project does nothing without --metrics inversion".into());
    }
    if request.strengths.is_some() && !takes(Measure::Text) {
        warn("--strengths does nothing without --metrics text".into());
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
        measured_by: measured_by(&request.perceptual, first)?,
        cache: cache(),
    };
    let count = archive.indices_of(setting.split).len();
    if count < FEWEST {
        return Err(Error::user(format!(
            "--split {}: holds {count} images, and {FEWEST} are needed to compare with",
            setting.split.name()
        ))
        .hint("`cigan data info FILE` lists the splits"));
    }
    let strangers = strangers(&subjects, &setting)?;
    for name in strangers.iter().filter(|_| setting.split != Split::Train) {
        warn(format!(
            "{name} was trained on another archive: it may have seen these images in training"
        ));
    }
    let compared = takes(Measure::Inversion) || takes(Measure::Text);
    if request.perceptual != PerceptualChoice::Discriminator && !compared {
        warn("--perceptual does nothing without --metrics inversion or text".into());
    }
    for (subject, network) in taught(&subjects, request).into_iter().filter(|_| compared) {
        warn(format!(
            "{}: its encoder was trained by {network}, which is not an independent judge of its \
             images; name another network",
            subject.name
        ));
    }
    let own = || {
        own_features(&first.model, device).map_err(|error| match first.model.has_network(D) {
            true => error,
            false => error.hint(
                "it was exported without one: compare by --features squeezenet=FILE or pixels, and \
                 --perceptual squeezenet=FILE or vgg16=FILE",
            ),
        })
    };
    let observer = Observer::open(&request.features, own, first.model.hash(), device)?;
    // Agreement is judged by features that no model was trained with; a discriminator was.
    let pixels = Observer::open(&FeatureChoice::Pixels, own, "", device)?;
    let judging = match request.features {
        FeatureChoice::Discriminator => &pixels,
        _ => &observer,
    };
    let perceptual = match compared {
        // The distance has to be the same for every model of the table.
        true => {
            let others = subjects.iter().any(|subject| !same_discriminator(subject, first));
            if request.perceptual == PerceptualChoice::Discriminator && others {
                warn(format!(
                    "perceptual distances are those of {}'s discriminator, for all models: to \
                     compare generators give --perceptual squeezenet=FILE or vgg16=FILE",
                    first.name
                ));
            }
            Some(distance(request, &first.model, &setting)?)
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
                let eyes = inversion::Eyes { perceptual, observer: &observer };
                tables.push(inversion::reconstruction(
                    &subjects,
                    &eyes,
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
                        maps.push(map::picture(clouds)?);
                    }
                }
            }
            (Measure::Text, Some(perceptual)) => {
                let coded = subjects.iter().any(|subject| subject.text_space().is_some());
                if coded {
                    tables.push(text::retrievals(&subjects, &setting)?);
                    tables.push(text::codes_of_texts(&subjects, &setting)?);
                }
                let judge = text::Judge::fit(judging, perceptual, &setting, &mut progress)?;
                tables.push(text::agreement(&subjects, &judge, &setting, &mut progress)?);
                if coded {
                    let edited =
                        edits::edits(&subjects, &judge, perceptual, &setting, &mut progress)?;
                    tables.push(edited);
                    // Models that draw captions directly have no strength.
                    if let Some(along) = &request.strengths {
                        let trade = text::trade(&subjects, along, &judge, &setting, &mut progress)?;
                        tables.push(trade);
                    }
                }
            }
            (Measure::Attributes, _) => {
                let settings = &request.attributes;
                tables.extend(attributes::tables(&subjects, &setting, settings, &mut progress)?);
            }
            _ => tables.push(quality::table(&subjects, &observer, &setting, &mut progress)?),
        }
        tables[shown..].iter().for_each(|table| events.table(table));
    }
    let models = subjects.iter().map(|subject| {
        json!({
            "model": subject.name,
            "file": subject.model.name(),
            "hash": subject.model.hash(),
            "trained_on_this_archive": !strangers.contains(&subject.name),
        })
    });
    let json = json!({
        "data": archive.hash()?,
        "split": setting.split.name(),
        "features": observer.name(),
        "features_weights": observer.weights(),
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

/// Opens the models, each with a name of its own.
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
                    "--data: images of {given}×{given}, but {} makes images of {own}×{own}",
                    subject.name
                ))
                .hint(format!("prepare the data with --resolution {own}")));
            }
            Ok(subject)
        })
        .collect()
}

/// The last part of every path, or paths in full where those would be confused.
fn names(paths: &[PathBuf]) -> Vec<String> {
    let last = |path: &PathBuf| path.file_name().map(|name| name.to_string_lossy().into_owned());
    let short: BTreeSet<_> = paths.iter().map(last).collect();
    let full = |path: &PathBuf| path.display().to_string();
    let unique = short.len() == paths.len();
    paths.iter().map(|p| last(p).filter(|_| unique).unwrap_or_else(|| full(p))).collect()
}

/// What was asked for, or all that every model and the archive can do.
fn measures(
    request: &EvaluationRequest,
    subjects: &[Subject],
    archive: &Archive,
    note: &mut impl FnMut(String),
) -> Result<Vec<Measure>> {
    let lacks =
        |measure: Measure| subjects.iter().find(|subject| !measure.suits(subject.capabilities()));
    if request.measures.is_empty() {
        let mut able: Vec<Measure> =
            Measure::USUAL.into_iter().filter(|&measure| lacks(measure).is_none()).collect();
        for measure in Measure::USUAL {
            let some = subjects.iter().any(|subject| measure.suits(subject.capabilities()));
            if let Some(subject) = lacks(measure).filter(|_| some) {
                note(format!(
                    "`{}` is left out, because {} cannot do it",
                    measure.name(),
                    subject.name
                ));
            }
        }
        if able.contains(&Measure::Text)
            && text::captioned_reference(archive, request.split).is_err()
        {
            able.retain(|&measure| measure != Measure::Text);
            note(format!("`text` is left out, because `{}` has no captions", request.split.name()));
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

/// The features of a model's own discriminator.
fn own_features(model: &Model, device: &Device) -> Result<Box<dyn Features>> {
    Ok(Box::new(DiscriminatorFeatures::new(&load_discriminator(model, device)?)))
}

/// What the perceptual distances of a table mean.
fn measured_by(choice: &PerceptualChoice, first: &Subject) -> Result<String> {
    let unit = "1 is the distance of two images drawn at random";
    Ok(match choice {
        PerceptualChoice::Discriminator => {
            let taught = match perceptual_of(&first.model) {
                Some("discriminator") => ", by which its encoder was trained",
                _ => "",
            };
            format!("the discriminator of {}{taught}, {unit}", first.name)
        }
        _ if choice.is_lpips() => choice.note()?,
        _ => format!("{}, {unit}", choice.note()?),
    })
}

/// Whether two models have the same discriminator.
fn same_discriminator(a: &Subject, b: &Subject) -> bool {
    let last = |subject: &Subject| subject.model.tensor("D.b4.out.weight").map(HostTensor::to_f32);
    last(a) == last(b)
}

/// The perceptual distance of all tables: the first model's own unit where it has one.
fn distance(request: &EvaluationRequest, first: &Model, setting: &Setting) -> Result<Perceptual> {
    if request.perceptual == PerceptualChoice::Discriminator && first.has(&INVERSION) {
        return load_perceptual(first, setting.device);
    }
    let own = || own_features(first, setting.device);
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

/// Models with a section that was trained on another archive than this one, whose held-out images
/// they may have seen.
fn strangers(subjects: &[Subject], setting: &Setting) -> Result<Vec<String>> {
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

/// Encoders that would be judged by the network that trained them, with its name.
fn taught<'a>(subjects: &'a [Subject], request: &EvaluationRequest) -> Vec<(&'a Subject, &'a str)> {
    let judges = [request.features.to_string(), request.perceptual.to_string()];
    let files = |judge: &str, network: &str| judge.starts_with(&format!("{network}="));
    subjects
        .iter()
        .filter_map(|subject| Some((subject, perceptual_of(&subject.model)?)))
        .filter(|(_, trained_by)| {
            let network = trained_by.trim_start_matches("lpips-");
            judges.iter().any(|judge| files(judge, network))
        })
        .collect()
}
