//! Exporting the models of GANs that read captions with a fixed encoder.

use crate::model::{Model, Section};
use crate::systems::damsm::DAMSM;
use crate::systems::damsm::section::DV;
use crate::tensorfile::TensorFile;

/// The file of a model with only the networks that draw images; `section` is that of the generator.
pub fn without_training_networks(model: &Model, section: &'static Section) -> TensorFile {
    // A prompt needs the text encoder as well; the image encoder only ranks images.
    let mut model = model.only(&[&DAMSM, section]);
    section.training_only.iter().for_each(|prefix| model.remove(prefix));
    model.remove(DV);
    model.into_file()
}
