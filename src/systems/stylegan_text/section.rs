//! The model section of the text-conditional GAN.

use super::sentence::{S_EMA, SENTENCE_VOCABULARY};
use crate::model::Section;
use crate::systems::stylegan::STYLEGAN;
use crate::systems::stylegan::section::{D, G_EMA};

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
