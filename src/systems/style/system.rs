//! The system that trains style encoders. Its models belong to the systems of their baselines.

use burn::tensor::Device;

use super::stage::TrainStyle;
use crate::error::{Error, Result};
use crate::model::{Model, Section};
use crate::systems::text_gan::style::STYLE;
use crate::systems::{Loaded, System};
use crate::train::Stage;

/// The style encoder of a baseline.
pub struct StyleSystem;

impl System for StyleSystem {
    fn name(&self) -> &'static str {
        "style encoder"
    }

    fn stages(&self) -> &'static [&'static dyn Stage] {
        &[&TrainStyle]
    }

    fn sections(&self) -> &'static [&'static Section] {
        static SECTIONS: [&Section; 1] = [&STYLE];
        &SECTIONS
    }

    fn owns(&self, _model: &Model) -> bool {
        false
    }

    fn open(&self, model: &Model, _device: &Device) -> Result<Box<dyn Loaded>> {
        Err(Error::internal(format!("{}: belongs to the system of its generator", model.name())))
    }
}
