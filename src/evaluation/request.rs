//! The request for an evaluation: the models, the archive and the measures.

use std::path::PathBuf;

use super::attributes::{AttributeSettings, ProbeSettings};
use super::illustrate::MOST_CANDIDATES;
use super::measures::Measure;
use crate::data::Split;
use crate::draws::SEED;
use crate::error::{Error, Result};
use crate::settings::limits::{MAX_STEPS, within};
use crate::systems::guidance::{GuidanceSettings, MAX_PRESERVE};
use crate::systems::requests::ProjectSpace;
use crate::vision::{FeatureChoice, PerceptualChoice};

/// Upper limit of `--probe-kimg`. More renders do not improve the probe.
const MOST_PROBE_KIMG: f64 = 1000.0;
/// Smallest number of samples. Distances between smaller sets are meaningless.
const FEWEST_SAMPLES: usize = 10;
/// Largest number of samples, and of edits.
const MOST_SAMPLES: usize = 10_000_000;
/// Upper limit of `--project` in seconds.
const MOST_SECONDS: f64 = 1e6;

/// Settings of an evaluation: the models, the archive and the measures.
#[derive(Debug, Clone)]
pub struct EvaluationRequest {
    /// Models or runs to compare.
    pub models: Vec<PathBuf>,
    /// Archive with the reference images.
    pub data: PathBuf,
    /// Split of the archive that is the reference.
    pub split: Split,
    /// The measures to take. If empty, those by default that apply to every model.
    pub measures: Vec<&'static Measure>,
    /// Features for distances between sets of images.
    pub features: FeatureChoice,
    /// Features for perceptual distances.
    pub perceptual: PerceptualChoice,
    /// Number of samples of each model.
    pub samples: usize,
    /// Truncation ψ of the samples.
    pub truncation: f32,
    /// Guidance strength of images from captions, in `[0, 1]`; `None` for the default of each
    /// model.
    pub strength: Option<f64>,
    /// Number of images to draw per caption, of which the model keeps the best.
    pub candidates: usize,
    /// Guidance strength of edits, in `[0, 1]`.
    pub edit_strength: f64,
    /// Weight λ of the preservation term of edits, 0 or more.
    pub edit_preserve: f64,
    /// Number of projection steps that refine inversions before edits.
    pub edit_project: usize,
    /// Number of steps that tune the generator to each image before edits towards captions.
    pub edit_tune: usize,
    /// Space of projections: those before edits, and those of [`Self::project`].
    pub project_space: ProjectSpace,
    /// Whether to limit edits towards captions to each band of layers as well.
    pub edit_bands: bool,
    /// Additional strengths at which agreement and diversity are measured.
    pub strengths: Option<Vec<f64>>,
    /// Seconds for the projection of some images; `None` skips it.
    pub project: Option<f64>,
    /// Model or run that reads captions off images, for the redescription.
    pub captioner: Option<PathBuf>,
    /// Model or run whose encoders find the captions of images. It adds the measure `judge`.
    pub judge: Option<PathBuf>,
    /// Settings of the attribute measures.
    pub attributes: AttributeSettings,
    /// Seed of samples, pairs, subsets and folds.
    pub seed: u64,
    /// Whether to build the HTML page.
    pub page: bool,
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
            strength: None,
            candidates: 1,
            edit_strength: GuidanceSettings::for_edits().strength,
            edit_preserve: GuidanceSettings::for_edits().preserve,
            edit_project: 0,
            edit_tune: 0,
            project_space: ProjectSpace::Encoder,
            edit_bands: false,
            strengths: None,
            project: None,
            captioner: None,
            judge: None,
            attributes: AttributeSettings::default(),
            seed: SEED,
            page: true,
        }
    }

    /// Checks the ranges of all numbers.
    ///
    /// # Errors
    /// If one is out of range. The message names its flag.
    pub fn check(&self) -> Result<()> {
        if self.samples < FEWEST_SAMPLES {
            return Err(Error::user(format!("--samples {}: too few", self.samples))
                .hint("give at least a few hundred samples"));
        }
        within("--samples", self.samples, FEWEST_SAMPLES..=MOST_SAMPLES)?;
        within("--candidates", self.candidates, 1..=MOST_CANDIDATES)?;
        within("--edit-project", self.edit_project, 0..=MAX_STEPS)?;
        within("--edit-tune", self.edit_tune, 0..=MAX_STEPS)?;
        within("--edits", self.attributes.edits, 0..=MOST_SAMPLES)?;
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
        within("--edit-preserve", self.edit_preserve, 0.0..=MAX_PRESERVE)?;
        if self.attributes.probe.kimg > MOST_PROBE_KIMG {
            return Err(Error::user(format!(
                "--probe-kimg {}: more than {MOST_PROBE_KIMG}",
                self.attributes.probe.kimg
            ))
            .hint(format!(
                "the unit is a thousand renders; the default is {}",
                ProbeSettings::default().kimg
            )));
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
