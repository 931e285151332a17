//! The system of text-conditional StyleGAN2-ADA models.

use burn::tensor::Device;

use super::STYLEGAN_TEXT;
use super::loaded::TextConditional;
use super::stage::TrainStyleganText;
use crate::error::Result;
use crate::model::{Model, Section};
use crate::systems::stylegan::NetworkSettings;
use crate::systems::{Loaded, System};
use crate::tensorfile::TensorFile;
use crate::train::Stage;

/// The system that `train-stylegan --condition text` trains.
pub struct StyleganText;

impl System for StyleganText {
    fn name(&self) -> &'static str {
        "text-conditional StyleGAN2-ADA"
    }

    fn stages(&self) -> &'static [&'static dyn Stage] {
        &[&TrainStyleganText]
    }

    fn sections(&self) -> &'static [&'static Section] {
        static SECTIONS: [&Section; 1] = [&STYLEGAN_TEXT];
        &SECTIONS
    }

    fn owns(&self, model: &Model) -> bool {
        let settings = model.settings::<NetworkSettings>(&STYLEGAN_TEXT);
        settings.is_ok_and(|network| network.sentence.is_some())
    }

    fn open(&self, model: &Model, device: &Device) -> Result<Box<dyn Loaded>> {
        Ok(Box::new(TextConditional::open(model, device)?))
    }

    fn generator_only(&self, model: &Model) -> Option<TensorFile> {
        Some(model.for_use(&STYLEGAN_TEXT).into_file())
    }
}
