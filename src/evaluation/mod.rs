//! Models against held-out pictures: the measures of the paper's §4, beside the controls that give
//! them a meaning.
//!
//! | file | what it answers |
//! |-|-|
//! | `quality` | do samples look like pictures that were not trained on? FID or its kin, KID, precision and recall, Inception score |
//! | `inversion` | does E find the code of a picture, and are its codes like the generator's own? |
//! | `map` | the same as a picture |
//! | `text` | do captions find their pictures, and do pictures made from captions say them? |
//! | `edits` | do edits say what was asked, and what do they cost the picture? |
//! | `attributes` | synthetic birds, where the truth is known: do pictures show what the text says, and which stage loses it? |
//! | `features` | the vectors that all of them compare; those of real pictures are kept |
//! | `subject` | the networks of one model |

pub mod attributes;
pub mod edits;
pub mod features;
pub mod inversion;
pub mod map;
pub mod quality;
pub mod subject;
pub mod text;

use std::path::PathBuf;

use burn::tensor::Device;
use serde::Serialize;

pub use features::Observer;
pub use subject::Subject;

use crate::data::{Archive, Split};
use crate::report::{Chart, Metrics};
use crate::systems::cigan::guidance::GuidanceSettings;

/// What all measures of one evaluation share.
pub struct Setting<'a> {
    /// The pictures to compare with.
    pub archive: &'a Archive,
    /// Which of them are the reference.
    pub split: Split,
    /// What computes; without automatic differentiation.
    pub device: &'a Device,
    /// Seed of samples, pairs, subsets and folds.
    pub seed: u64,
    /// Pictures that are drawn from every generator.
    pub samples: usize,
    /// Truncation ψ of the samples.
    pub truncation: f32,
    /// How captions become pictures.
    pub guidance: GuidanceSettings,
    /// How pictures are edited.
    pub editing: GuidanceSettings,
    /// What the perceptual distances of all tables are, for their notes.
    pub measured_by: String,
    /// Where vectors of real pictures are kept; `None` computes them anew.
    pub cache: Option<PathBuf>,
}

/// One line of a table: what was measured, and the numbers.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    /// A model, or a control such as `real images`.
    pub name: String,
    /// In the order in which they are shown.
    pub metrics: Metrics,
}

impl Row {
    fn new(
        name: impl Into<String>,
        numbers: impl IntoIterator<Item = (&'static str, f64)>,
    ) -> Self {
        let mut metrics = Metrics::new();
        numbers.into_iter().for_each(|(name, value)| metrics.set(name, value));
        Self { name: name.into(), metrics }
    }
}

/// A table with what has to be known to read it.
#[derive(Debug, Clone, Serialize)]
pub struct Table {
    /// What it measures.
    pub title: String,
    /// Features, numbers of pictures, settings: a number without them says nothing.
    pub note: String,
    /// Models first, then controls.
    pub rows: Vec<Row>,
    /// The same as curves, where they say more than numbers; for pages.
    #[serde(skip)]
    pub charts: Vec<Chart>,
}
