//! The model section of the text-conditional GAN.

use crate::model::Section;
use crate::systems::stylegan::STYLEGAN;
use crate::systems::stylegan::section::{D, G_EMA};

/// Prefix of the moving average of the sentence encoder, which belongs to the moving average of G.
pub const S_EMA: &str = "S_ema";
/// Key of the sentence encoder's vocabulary in a model.
pub const SENTENCE_VOCABULARY: &str = "sentence.vocabulary";

/// The model section with M, G, D and S. It extends the unconditional section and has the same
/// name.
pub static STYLEGAN_TEXT: Section = Section {
    name: STYLEGAN.name,
    command: STYLEGAN.command,
    networks: &[G_EMA, D, S_EMA],
    training_only: &[D],
    texts: &[SENTENCE_VOCABULARY],
    tensors: &[],
    fitted_to: &[],
};
