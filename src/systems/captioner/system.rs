//! The system of models that `train-captioner` writes.

use burn::tensor::Device;

use super::CAPTIONER;
use super::loaded::LoadedCaptioner;
use super::stage::TrainCaptioner;
use crate::error::Result;
use crate::model::{Model, Section};
use crate::systems::damsm::DAMSM;
use crate::systems::{Loaded, System};
use crate::train::Stage;

/// An image–text encoder with a captioner.
pub struct CaptionerSystem;

impl System for CaptionerSystem {
    fn name(&self) -> &'static str {
        "captioner"
    }

    fn stages(&self) -> &'static [&'static dyn Stage] {
        &[&TrainCaptioner]
    }

    fn sections(&self) -> &'static [&'static Section] {
        static SECTIONS: [&Section; 2] = [&DAMSM, &CAPTIONER];
        &SECTIONS
    }

    fn owns(&self, model: &Model) -> bool {
        model.has(&CAPTIONER)
    }

    fn open(&self, model: &Model, device: &Device) -> Result<Box<dyn Loaded>> {
        Ok(Box::new(LoadedCaptioner::open(model, device)?))
    }
}
