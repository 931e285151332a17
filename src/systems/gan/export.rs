//! Exporting what a GAN needs to draw images of captions.

use crate::model::{Model, Section};
use crate::systems::damsm::DAMSM;
use crate::systems::damsm::section::DV;
use crate::tensorfile::TensorFile;

/// The model with only the generator in `section` and the encoder of captions.
pub fn generator_only(model: &Model, section: &'static Section) -> TensorFile {
    // A prompt needs the text encoder as well; the image encoder only ranks images.
    let mut model = model.only(&[&DAMSM, section]);
    section.training_only.iter().for_each(|prefix| model.remove(prefix));
    model.remove(DV);
    model.into_file()
}
