//! A whole evaluation: several models and measures on one set of held-out images.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use burn::tensor::Device;
use serde_json::{Value, json};

use super::judge::Judge;
use super::measures::{Inputs, Results};
pub use super::measures::{MEASURES, Measure, SAMPLES};
pub use super::request::EvaluationRequest;
use super::subject::load;
use super::{EvaluationContext, FeatureExtractor, Subject, Table, cache, checks, page};
use crate::atomic_file::atomic_write;
use crate::data::Archive;
use crate::error::{Error, Result};
use crate::output::PAGE;
use crate::report::Page;
use crate::systems::guidance::GuidanceSettings;
use crate::systems::requests::{ProjectSettings, TuneSettings};
use crate::systems::{Registry, SYSTEMS};
use crate::train::{Event, EventSink, NullSink};
use crate::vision::FeatureChoice;

/// Name of the file with all numbers of an evaluation.
pub const REPORT: &str = "evaluation.json";

/// Smallest number of reference images, which precision and recall require.
pub const FEWEST: usize = 4;

/// Results of an evaluation.
pub struct EvaluationReport {
    /// All results as one JSON object.
    pub json: Value,
    /// The HTML page, if requested.
    pub page: Option<Page>,
}

impl EvaluationReport {
    /// Writes `evaluation.json` and, if there is a page, `index.html` to a folder. Returns the
    /// paths.
    ///
    /// # Errors
    /// Fails if a file cannot be written.
    pub fn write(&self, folder: &Path) -> Result<Vec<PathBuf>> {
        let numbers = serde_json::to_string_pretty(&self.json)
            .map_err(|e| Error::internal(format!("cannot serialise the numbers: {e}")))?;
        let mut written = vec![folder.join(REPORT)];
        atomic_write(&written[0], numbers.as_bytes())?;
        if let Some(page) = &self.page {
            written.push(folder.join(PAGE));
            atomic_write(&written[1], page.html().as_bytes())?;
        }
        Ok(written)
    }
}

/// Receives the events and tables of an evaluation.
pub trait EvaluationSink: EventSink {
    /// Receives a table as soon as it is complete, because a later measure may fail or be
    /// interrupted.
    fn table(&mut self, table: &Table);

    /// Called before every measure; an error ends the evaluation.
    ///
    /// # Errors
    /// If the user has interrupted the work.
    fn check_interrupt(&self) -> Result<()> {
        Ok(())
    }
}

/// Ignores the tables, which are in the report as well.
impl EvaluationSink for NullSink {
    fn table(&mut self, _: &Table) {}
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
    evaluate_with(&SYSTEMS, request, device, events)
}

/// Like [`evaluate`], for models of the systems of another registry.
///
/// # Errors
/// Those of [`evaluate`].
pub fn evaluate_with(
    registry: &Registry,
    request: &EvaluationRequest,
    device: &Device,
    events: &mut dyn EvaluationSink,
) -> Result<EvaluationReport> {
    request.check()?;
    let archive = Arc::new(Archive::open(&request.data)?);
    for measure in &request.measures {
        measure.check_archive(&archive, request.split)?;
    }
    let subjects = load(registry, &request.models, &archive, device)?;
    checks::sizes(request, &subjects, &archive)?;
    let Some(first) = subjects.first() else {
        return Err(Error::user("no model given").hint("name one or more models or runs"));
    };
    let mut note = |text: String| events.emit(&Event::Note(text));
    let measures = checks::measures(request, &subjects, &archive, &mut note)?;
    checks::candidates(request, &measures, &subjects)?;
    let setting = setting(request, &archive, first, device)?;
    let trained_elsewhere = checks::trained_elsewhere(&subjects, &setting)?;
    for text in checks::warnings(request, &measures, &subjects, &trained_elsewhere) {
        events.emit(&Event::Warning(text));
    }
    let own = || first.loaded().own_features().map_err(|error| error.context(&first.name));
    // A model without features of its own needs none for the other measures.
    let features = match measures.iter().any(|measure| measure.features) {
        true => &request.features,
        false => &FeatureChoice::Pixels,
    };
    let extractor = FeatureExtractor::open(features, own, first.model.hash(), device)?;
    // Agreement with captions needs features that no model was trained with, so not those of a
    // discriminator.
    let pixels = FeatureExtractor::open(&FeatureChoice::Pixels, own, "", device)?;
    let scoring = match request.features {
        FeatureChoice::Discriminator => &pixels,
        _ => &extractor,
    };
    let perceptual = match measures.iter().any(|measure| measure.perceptual) {
        true => Some(checks::distance(request, first, &setting)?),
        false => None,
    };
    let captioner = checks::captioner(request, &measures, registry, device)?;
    let describer = match &captioner {
        Some((loaded, name)) => Some((loaded.describer()?, name.as_str())),
        None => None,
    };
    let judge = checks::judge(request, &measures, registry, device)?;
    let judge = match &judge {
        Some((loaded, model)) => {
            let sections = registry.of(model)?.sections();
            Some(Judge { encoders: loaded.similarity()?, model, sections })
        }
        None => None,
    };
    let inputs = Inputs {
        describer,
        judge,
        setting: &setting,
        subjects: &subjects,
        extractor: &extractor,
        scoring,
        perceptual: perceptual.as_ref(),
        projection: request.project.map(Duration::from_secs_f64),
        strengths: request.strengths.as_deref(),
        attributes: &request.attributes,
        maps: request.page,
    };
    let mut results = Results::default();
    for measure in measures {
        events.check_interrupt()?;
        let shown = results.tables.len();
        let mut progress = |what: &str, done: usize, total: usize| {
            let what = what.to_owned();
            events.emit(&Event::Working { what, done: done as u64, total: total as u64 });
        };
        measure.run(&inputs, &mut results, &mut progress)?;
        results.tables[shown..].iter().for_each(|table| events.table(table));
    }
    let Results { tables, maps, pictures } = results;
    let json = json(request, &inputs, &tables, &trained_elsewhere)?;
    let page = match request.page {
        true => Some(page::page(&subjects, &tables, &maps, &pictures, &setting)?),
        false => None,
    };
    Ok(EvaluationReport { json, page })
}

/// Inputs that all measures share.
///
/// # Errors
/// If a strength is out of range, or the split has too few images.
fn setting<'a>(
    request: &EvaluationRequest,
    archive: &'a Arc<Archive>,
    first: &Subject,
    device: &'a Device,
) -> Result<EvaluationContext<'a>> {
    if let Some(strength) = request.strength {
        GuidanceSettings { strength, ..Default::default() }.check()?;
    }
    let editing = GuidanceSettings {
        strength: request.edit_strength,
        preserve: request.edit_preserve,
        ..GuidanceSettings::for_edits()
    };
    let setting = EvaluationContext {
        archive,
        split: request.split,
        device,
        seed: request.seed,
        samples: request.samples,
        truncation: request.truncation,
        strength: request.strength,
        candidates: request.candidates,
        editing,
        projection: ProjectSettings {
            steps: request.edit_project,
            space: request.project_space,
            ..Default::default()
        },
        tuning: TuneSettings { steps: request.edit_tune, ..Default::default() },
        edit_bands: request.edit_bands,
        perceptual_note: checks::perceptual_note(&request.perceptual, first)?,
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
    Ok(setting)
}

/// All results as one object.
fn json(
    request: &EvaluationRequest,
    inputs: &Inputs,
    tables: &[Table],
    trained_elsewhere: &[String],
) -> Result<Value> {
    let Inputs { setting, extractor, .. } = inputs;
    let strength = |subject: &Subject| {
        subject.capabilities().strength.then(|| setting.guidance(subject).strength)
    };
    let models = inputs.subjects.iter().map(|subject| {
        json!({
            "model": subject.name,
            "file": subject.model.name(),
            "hash": subject.model.hash(),
            "resolution": subject.resolution(),
            "trained_on_this_archive": !trained_elsewhere.contains(&subject.name),
            "strength": strength(subject),
        })
    });
    Ok(json!({
        "data": setting.archive.hash()?,
        "split": setting.split.name(),
        "features": extractor.name(),
        "features_weights": extractor.weights(),
        "perceptual": request.perceptual.to_string(),
        "perceptual_identity": request.perceptual.identity()?,
        "resolution": setting.archive.resolution(),
        "references": setting.archive.indices_of(setting.split).len(),
        "samples": setting.samples,
        "truncation": setting.truncation,
        "strength": setting.strength,
        "candidates": setting.candidates,
        "edit_strength": setting.editing.strength,
        "edit_preserve": setting.editing.preserve,
        "edit_project": setting.projection.steps,
        "edit_tune": setting.tuning.steps,
        "project_space": setting.projection.space.name(),
        "seed": setting.seed,
        "models": models.collect::<Vec<_>>(),
        "tables": tables,
    }))
}
