//! The model section of CLIP.

use crate::model::Section;

/// Prefix of the text encoder in models.
pub const CT: &str = "CT";
/// Prefix of the image encoder in models.
pub const CV: &str = "CV";
/// Key of the list of merges in a model.
pub const MERGES: &str = "clip.merges";
/// Name of the logarithm of the factor of cosines in training. Ranking does not need it.
pub const LOGIT_SCALE: &str = "logit_scale";

/// The model section of CLIP.
pub static CLIP: Section = Section {
    name: "clip",
    command: "import clip",
    networks: &[CT, CV],
    training_only: &[],
    texts: &[MERGES],
    tensors: &[LOGIT_SCALE],
    fitted_to: &[],
};
