//! A text-conditional StyleGAN2-ADA, the baseline for CI-GAN.
//!
//! It trains the networks of [`stylegan`](super::stylegan) on the same data, with the feature of a
//! caption instead of the one-hot class. Captions condition the generator directly, so generating
//! needs no optimisation. Inversion and editing need an unconditional model.

pub mod captions;
mod loaded;
pub mod sentence;
pub mod stage;

pub use captions::CaptionConditioning;
pub use sentence::Sentences;

use burn::tensor::Device;

use crate::error::Result;
use crate::model::{Model, Section};
use crate::systems::stylegan::train::{D, G_EMA};
use crate::systems::stylegan::{NetworkSettings, STYLEGAN};
use crate::systems::{Loaded, System};
use crate::train::Stage;

/// The model section with M, G, D and S. It extends the unconditional section and has the same
/// name.
pub static STYLEGAN_TEXT: Section = Section {
    name: STYLEGAN.name,
    command: STYLEGAN.command,
    networks: &[G_EMA, D, sentence::S_EMA],
    training_only: &[D],
    texts: &[sentence::SENTENCE_VOCABULARY],
    tensors: &[],
    fitted_to: &[],
};

/// The system that `train-stylegan --condition text` trains.
pub struct StyleganText;

impl System for StyleganText {
    fn name(&self) -> &'static str {
        "text-conditional StyleGAN2-ADA"
    }

    fn stages(&self) -> &'static [&'static dyn Stage] {
        &[&stage::TrainStyleganText]
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
        Ok(Box::new(loaded::TextConditional::open(model, device)?))
    }
}
