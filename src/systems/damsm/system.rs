//! The system of models that `train-damsm` writes.

use burn::tensor::Device;

use super::DAMSM;
use super::loaded::LoadedDamsm;
use super::stage::TrainDamsm;
use crate::error::Result;
use crate::model::{Model, Section};
use crate::systems::{Loaded, PipelineStage, System};
use crate::train::Stage;

/// The first stage of the pipelines of systems that read captions with it.
pub const ENCODER: PipelineStage = PipelineStage {
    section: &DAMSM,
    title: "An encoder of images and captions",
    captions: true,
    schedule: Some("schedule_kimg"),
};

/// What the systems that read captions can train without captions.
pub const WITHOUT_CAPTIONS: &str = "there is nothing to train";

/// An image–text encoder by itself. Models of other systems that contain one belong to them.
pub struct DamsmSystem;

impl System for DamsmSystem {
    fn name(&self) -> &'static str {
        "DAMSM"
    }

    fn stages(&self) -> &'static [&'static dyn Stage] {
        &[&TrainDamsm]
    }

    fn sections(&self) -> &'static [&'static Section] {
        static SECTIONS: [&Section; 1] = [&DAMSM];
        &SECTIONS
    }

    fn owns(&self, model: &Model) -> bool {
        model.section_names() == [DAMSM.name]
    }

    fn open(&self, model: &Model, device: &Device) -> Result<Box<dyn Loaded>> {
        Ok(Box::new(LoadedDamsm::open(model, device)?))
    }
}
