//! CI-GAN (paper §3.2 to §3.4): inversion, text alignment and text-guided optimisation of an
//! unconditional [`stylegan`](super::stylegan) (§3.1).

pub mod guidance;
pub mod inversion;
mod loaded;
pub mod text;

use burn::tensor::Device;

use crate::error::Result;
use crate::model::{Model, Section};
use crate::systems::stylegan::STYLEGAN;
use crate::systems::stylegan::stage::TrainStylegan;
use crate::systems::{Loaded, System};
use crate::train::Stage;

/// The CI-GAN system.
pub struct CiGan;

impl System for CiGan {
    fn name(&self) -> &'static str {
        "CI-GAN"
    }

    fn stages(&self) -> &'static [&'static dyn Stage] {
        &[&TrainStylegan, &inversion::stage::Invert, &text::stage::AlignText]
    }

    fn sections(&self) -> &'static [&'static Section] {
        static SECTIONS: [&Section; 3] = [&STYLEGAN, &inversion::INVERSION, &text::TEXT];
        &SECTIONS
    }

    fn owns(&self, model: &Model) -> bool {
        model.has(&STYLEGAN)
    }

    fn open(&self, model: &Model, device: &Device) -> Result<Box<dyn Loaded>> {
        Ok(Box::new(loaded::LoadedCiGan::open(model, device)?))
    }
}
