//! Evaluation of models on held-out images: the measures of the paper's §4, each with controls that
//! show what good and bad values look like.
//!
//! | module | content |
//! |-|-|
//! | `quality` | samples against held-out images: FID or a similar distance, KID, precision and recall, Inception score |
//! | `inversion` | reconstruction error, and overlap of the encoder's codes with the generator's |
//! | `map` | scatter plots of both sets of codes |
//! | `text` | retrieval, and agreement of generated images with their captions |
//! | `illustrate` | images of a model from captions, as the measures draw them |
//! | `edits` | agreement of edits with the requested caption, and their distance to the original |
//! | `colours` | whether images show the colour that a prompt names |
//! | `redescription` | whether a captioner reads prompts off the images generated for them |
//! | `collapse` | mode collapse and failures of samples, with a map of them |
//! | `judge` | R-precision by encoders of images and texts that the user names |
//! | `style` | whether the styles that a style encoder reads tell background and pose |
//! | `attributes` | synthetic birds with known attributes: whether an image shows what its text says, and which stage loses it |
//! | `features` | feature vectors of images, with a cache for those of an archive |
//! | `subject` | a model under evaluation |
//! | `measures` | the list of the groups of measures that `--metrics` selects |
//! | `request` | the request for an evaluation: models, archive and measures |
//! | `suite` | several models and measures in one evaluation |
//! | `table` | tables of results |
//! | `page` | the HTML page of an evaluation |
//! | `watch` | evaluation of a generator during training |

pub mod attributes;
mod checks;
pub mod collapse;
pub mod colours;
pub mod edits;
pub mod features;
mod illustrate;
pub mod inversion;
pub mod judge;
pub mod map;
pub mod measures;
pub mod page;
pub mod quality;
pub mod redescription;
pub mod request;
pub mod style;
pub mod subject;
pub mod suite;
pub mod table;
pub mod text;
pub mod watch;

use std::path::PathBuf;

use burn::tensor::{Device, Tensor};
pub use features::FeatureExtractor;
pub use subject::Subject;
pub use table::{Row, Table};

use crate::data::{Archive, Split};
use crate::error::Result;
use crate::systems::TextCodes;
use crate::systems::guidance::GuidanceSettings;
use crate::systems::requests::{ProjectSettings, ProjectStart, TuneSettings};

/// Settings and data that all measures of one evaluation share.
pub struct EvaluationContext<'a> {
    /// Archive with the reference images.
    pub archive: &'a Archive,
    /// Split of the archive that is the reference.
    pub split: Split,
    /// Device without automatic differentiation.
    pub device: &'a Device,
    /// Seed of samples, pairs, subsets and folds.
    pub seed: u64,
    /// Number of samples drawn from each generator.
    pub samples: usize,
    /// Truncation ψ of the samples.
    pub truncation: f32,
    /// Strength of images from captions; `None` for the default of each model.
    pub strength: Option<f64>,
    /// Number of images to draw per caption, of which the model keeps the best.
    pub candidates: usize,
    /// Settings for edits.
    pub editing: GuidanceSettings,
    /// The projection that refines inversions before edits; 0 steps for none. Other projections
    /// differ from it in their steps only.
    pub projection: ProjectSettings,
    /// The tuning of the generator to each image before edits; 0 steps for none.
    pub tuning: TuneSettings,
    /// Whether to limit edits to each band of layers as well.
    pub edit_bands: bool,
    /// Description of the perceptual distance for the notes of tables.
    pub perceptual_note: String,
    /// Cache folder for feature vectors of real images; `None` disables the cache.
    pub cache: Option<PathBuf>,
}

impl EvaluationContext<'_> {
    /// Settings for images of a model from captions: its own defaults, unless a strength was given.
    pub fn guidance(&self, subject: &Subject) -> GuidanceSettings {
        let own = subject.capabilities().guidance();
        GuidanceSettings { strength: self.strength.unwrap_or(own.strength), ..own }
    }

    /// Inverts images to the codes that edits start from: the encoder's output, refined by projection
    /// if the evaluation asks for it. Images `[N, 3, res, res]`, codes `[N, layers, w_dim]`.
    ///
    /// # Errors
    /// If the projection diverges.
    pub fn invert(&self, space: &dyn TextCodes, images: Tensor<4>) -> Result<Tensor<3>> {
        match &self.projection {
            ProjectSettings { steps: 0, .. } => Ok(space.invert(images)),
            settings => space.project(images, ProjectStart::Encoder, settings, &mut |_, _| true),
        }
    }

    /// Clause for a table's note that says how inversions were refined before edits; empty if they
    /// were not.
    pub fn refined(&self) -> String {
        match self.projection {
            ProjectSettings { steps: 0, .. } => String::new(),
            ProjectSettings { steps, space, .. } => {
                format!("inversions refined by {steps} steps of projection{}; ", space.clause())
            }
        }
    }

    /// The strengths of images from captions for the note of a table; empty if no model has one.
    pub fn strengths(&self, subjects: &[Subject]) -> String {
        let guided = subjects.iter().filter(|subject| subject.capabilities().strength);
        listed("strength", guided.map(|subject| (subject, self.guidance(subject).strength)))
    }

    /// Strengths, ψ and the number of candidates of images from captions, and which are downscaled,
    /// for the note of a table.
    pub fn drawn(&self, subjects: &[Subject]) -> String {
        let parts = [self.strengths(subjects), self.truncations_and_candidates(subjects)];
        parts
            .into_iter()
            .chain(subject::downscaled(subjects))
            .filter(|part| !part.is_empty())
            .collect::<Vec<_>>()
            .join(", ")
    }

    /// ψ and the number of candidates of images from captions, for the note of a table.
    pub fn truncations_and_candidates(&self, subjects: &[Subject]) -> String {
        let psi = self.truncations(subjects);
        self.best_of().map_or_else(|| psi.clone(), |best| format!("{psi}, {best}"))
    }

    /// Which candidates are kept, for the note of a table; `None` if there is only one.
    pub fn best_of(&self) -> Option<String> {
        let count = self.candidates;
        (count > 1).then(|| format!("the best of {count} candidates according to the model"))
    }

    /// ψ of images from captions for the note of a table.
    pub fn truncations(&self, subjects: &[Subject]) -> String {
        let all = subjects.iter();
        listed("ψ", all.map(|subject| (subject, self.guidance(subject).truncation)))
    }
}

/// A value of several models: once if it is the same for all. Empty without models.
fn listed<'a>(what: &str, values: impl Iterator<Item = (&'a Subject, f64)>) -> String {
    let values: Vec<(&Subject, f64)> = values.collect();
    let Some(&(_, first)) = values.first() else { return String::new() };
    if values.iter().all(|&(_, value)| value == first) {
        return format!("{what} {first}");
    }
    let each = values.iter().map(|(subject, value)| format!("{value} for {}", subject.name));
    format!("{what} {}", each.collect::<Vec<_>>().join(", "))
}

/// Cache folder for features of real images: inside the folder that `CIGAN_CACHE` names, else in
/// the user's cache folder. `None` if `CIGAN_CACHE` is empty.
pub fn cache() -> Option<PathBuf> {
    let folder = match std::env::var_os("CIGAN_CACHE") {
        Some(folder) if folder.is_empty() => return None,
        Some(folder) => PathBuf::from(folder),
        None => dirs::cache_dir()?.join("cigan"),
    };
    Some(folder.join("features"))
}
