//! The system of CLIP2GAN's models.

use burn::tensor::Device;

use super::encoders::Encoders;
use super::loaded::LoadedClip2Gan;
use super::section::CLIP2GAN;
use super::stage::TrainClip2Gan;
use crate::error::Result;
use crate::model::{Model, Section};
use crate::systems::cigan::inversion::INVERSION;
use crate::systems::cigan::text::TEXT;
use crate::systems::clip::CLIP;
use crate::systems::clip::section::CV;
use crate::systems::damsm::DAMSM;
use crate::systems::damsm::section::DV;
use crate::systems::stylegan::STYLEGAN;
use crate::systems::{Loaded, System};
use crate::tensorfile::TensorFile;
use crate::train::Stage;

/// A mapper from vectors of images and texts to codes of a frozen generator.
pub struct Clip2Gan;

impl System for Clip2Gan {
    fn name(&self) -> &'static str {
        "CLIP2GAN"
    }

    fn stages(&self) -> &'static [&'static dyn Stage] {
        &[&TrainClip2Gan]
    }

    fn sections(&self) -> &'static [&'static Section] {
        static SECTIONS: [&Section; 6] = [&STYLEGAN, &INVERSION, &TEXT, &DAMSM, &CLIP, &CLIP2GAN];
        &SECTIONS
    }

    fn owns(&self, model: &Model) -> bool {
        model.has(&CLIP2GAN)
    }

    fn open(&self, model: &Model, device: &Device) -> Result<Box<dyn Loaded>> {
        Ok(Box::new(LoadedClip2Gan::open(model, device)?))
    }

    /// The generator, the mapper and the encoder of texts. Codes of texts belong to the encoder E, which
    /// remains with them.
    fn generator_only(&self, model: &Model) -> Option<TensorFile> {
        let encoders = Encoders::sections(model)?;
        let kept = [&[&STYLEGAN, &CLIP2GAN][..], encoders].concat();
        let mut model = model.only(&kept);
        for section in kept {
            section.training_only.iter().for_each(|prefix| model.remove(prefix));
        }
        [DV, CV].into_iter().for_each(|prefix| model.remove(prefix));
        Some(model.into_file())
    }
}
