//! Attribute accuracy on synthetic birds, whose attributes are known.
//!
//! A probe, trained on renders to read the attributes, is applied after each stage. A drop between
//! two rows of a table is the loss of the stage between them.
//!
//! | module | content |
//! |-|-|
//! | `truth` | attributes as numbers, and the accuracy of claims about them |
//! | `probe` | the network that reads attributes from images |
//! | `prompts` | prompts of one or three attributes, and mean codes as a substitute for T(text) |
//! | `chain` | accuracy by stage: renders → G(E(x)) → text codes → images from prompts |
//! | `edits` | attributes before and after edits |

mod chain;
mod edits;
mod probe;
mod prompts;
mod truth;

pub use probe::{Probe, ProbeSettings};
pub use prompts::{Prompt, single_attribute_prompts, three_attribute_prompts};
pub use truth::{Claim, Heads, Tally, truth};

use super::{EvaluationContext, Subject, Table};
use crate::error::Result;

/// Settings of the attribute measures.
#[derive(Debug, Clone)]
pub struct AttributeSettings {
    /// Training of the probe.
    pub probe: ProbeSettings,
    /// Number of edited images for each part; 0 skips edits.
    pub edits: usize,
}

impl Default for AttributeSettings {
    fn default() -> Self {
        Self { probe: ProbeSettings::default(), edits: 32 }
    }
}

/// All attribute tables: held-out images and their inversions, colours of samples, images from
/// prompts, and an edit matrix for each model with text codes.
///
/// # Errors
/// Fails if the archive is not from `cigan data synth`, or a model does not generate images from
/// text.
pub fn tables(
    subjects: &[Subject],
    setting: &EvaluationContext,
    settings: &AttributeSettings,
    mut progress: impl FnMut(&str, usize, usize),
) -> Result<Vec<Table>> {
    let truth = truth(setting.archive)?;
    let probe = Probe::open(&settings.probe, setting, &mut progress)?;
    let mut tables = vec![
        chain::held_out_images(subjects, &probe, &truth, setting, &mut progress)?,
        chain::samples(subjects, &probe, setting)?,
        chain::prompts(subjects, &probe, &truth, setting, &mut progress)?,
    ];
    if settings.edits > 0 {
        for subject in subjects.iter().filter(|subject| subject.capabilities().edits) {
            let Some(space) = subject.text_codes() else { continue };
            let (probe, truth) = (&probe, &truth[..]);
            let edits = edits::Edits { subject, space, probe, truth, setting };
            tables.push(edits.matrix(settings.edits, &mut progress)?);
        }
    }
    Ok(tables)
}
