//! Exporting the models of GANs that read captions with a fixed encoder.

use crate::error::{Error, Result};
use crate::model::{Model, Section};
use crate::systems::Layout;
use crate::systems::damsm::DAMSM;
use crate::systems::damsm::section::DV;
use crate::tensorfile::TensorFile;

/// Exports a model of the system `name`, whose generator is in `section`.
///
/// # Errors
/// If the layout is that of another architecture.
pub fn export(
    model: &Model,
    section: &'static Section,
    name: &str,
    layout: Layout,
    generator_only: bool,
) -> Result<TensorFile> {
    match layout {
        Layout::Cigan if generator_only => {
            // A prompt needs the text encoder as well; the image encoder only ranks images.
            let mut model = model.only(&[&DAMSM, section]);
            section.training_only.iter().for_each(|prefix| model.remove(prefix));
            model.remove(DV);
            Ok(model.into_file())
        }
        Layout::Cigan => Ok(model.file().clone()),
        Layout::Stylegan2Ada => Err(Error::user(format!(
            "--layout stylegan2-ada: {} is a {name} model, which has another architecture",
            model.name()
        ))
        .hint("omit --layout")),
    }
}
