//! Do pictures show what the text says? On synthetic birds, where the truth is known, a probe that
//! learnt to read attributes from renders counts it, stage by stage: what is lost between two rows
//! was lost by the stage between them.
//!
//! | file | what it holds |
//! |-|-|
//! | `truth` | attributes as numbers, and how many of them are right |
//! | `probe` | the network that reads attributes from pictures |
//! | `prompts` | texts that say one attribute or three, and the codes that need no text encoder |
//! | `chain` | renders → G(E(x)) → text codes → pictures from texts |
//! | `edits` | what an edit changes, and what it should have left alone |

mod chain;
mod edits;
mod probe;
mod prompts;
mod truth;

pub use probe::{Probe, ProbeSettings};
pub use prompts::{Prompt, pairs_of_one, triples};
pub use truth::{Claim, Heads, Tally, truth};

use super::{Setting, Subject, Table};
use crate::error::Result;

/// What is measured and how long it takes.
#[derive(Debug, Clone)]
pub struct AttributeSettings {
    /// What reads pictures.
    pub probe: ProbeSettings,
    /// Pictures that are edited for each part; 0 leaves edits out.
    pub edits: usize,
}

impl Default for AttributeSettings {
    fn default() -> Self {
        Self { probe: ProbeSettings::default(), edits: 32 }
    }
}

/// All tables, each with the models that can do what it measures: held-out pictures and their
/// inversions, the colours of samples, pictures from prompts, and for each model the matrix of
/// edits.
///
/// # Errors
/// If the archive is not of `data synth`, or a model does not read captions.
pub fn tables(
    subjects: &[Subject],
    setting: &Setting,
    settings: &AttributeSettings,
    mut progress: impl FnMut(&str, usize, usize),
) -> Result<Vec<Table>> {
    let truth = truth(setting.archive)?;
    let probe = Probe::open(&settings.probe, setting, &mut progress)?;
    let mut tables = vec![
        chain::pictures(subjects, &probe, &truth, setting, &mut progress)?,
        chain::samples(subjects, &probe, setting)?,
        chain::prompts(subjects, &probe, &truth, setting, &mut progress)?,
    ];
    if settings.edits > 0 {
        for subject in subjects {
            let Some(space) = subject.text_space() else { continue };
            let (probe, truth) = (&probe, &truth[..]);
            let edits = edits::Edits { subject, space, probe, truth, setting };
            tables.push(edits.matrix(settings.edits, &mut progress)?);
        }
    }
    Ok(tables)
}
