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
//! | `subject` | one model |
//! | `suite` | several models and several measures in one evaluation |
//! | `watch` | a generator while it trains |

pub mod attributes;
pub mod edits;
pub mod features;
pub mod inversion;
pub mod map;
pub mod page;
pub mod quality;
pub mod subject;
pub mod suite;
pub mod table;
pub mod text;
pub mod watch;

use std::path::PathBuf;

use burn::tensor::Device;
pub use features::Observer;
pub use subject::Subject;
pub use table::{Row, Table};

use crate::data::{Archive, Split};
use crate::systems::guidance::GuidanceSettings;

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

/// Where features of real images are kept: the folder that `CIGAN_CACHE` names (none if it is
/// empty), else one in the user's cache folder.
pub fn cache() -> Option<PathBuf> {
    let folder = match std::env::var_os("CIGAN_CACHE") {
        Some(folder) if folder.is_empty() => return None,
        Some(folder) => PathBuf::from(folder),
        None => dirs::cache_dir()?.join("cigan"),
    };
    Some(folder.join("features"))
}
