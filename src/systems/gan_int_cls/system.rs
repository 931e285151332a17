//! The system of GAN-INT-CLS's models.

use burn::tensor::Device;

use super::GAN_INT_CLS;
use super::section::load_generator;
use super::stage::TrainGanIntCls;
use crate::error::Result;
use crate::model::{Model, Section};
use crate::systems::damsm::{DAMSM, Damsm, ENCODER, WITHOUT_CAPTIONS};
use crate::systems::text_gan::export::without_training_networks;
use crate::systems::text_gan::loaded::LoadedTextGan;
use crate::systems::text_gan::style::STYLE;
use crate::systems::{Loaded, Pipeline, PipelineStage, System};
use crate::tensorfile::TensorFile;
use crate::train::Stage;

/// The encoder of captions, then the GAN that reads them with it.
static PIPELINE: Pipeline = Pipeline {
    stages: &[
        ENCODER,
        PipelineStage {
            section: &GAN_INT_CLS,
            title: "A GAN that generates images of captions: one caption in each row",
            captions: true,
            schedule: Some("schedule_kimg"),
        },
    ],
    few_images: None,
    without_captions: WITHOUT_CAPTIONS,
    // No long training has been measured.
    outlook: |_| Vec::new(),
};

/// The system that `train-baseline --system gan-int-cls` trains.
pub struct GanIntCls;

impl System for GanIntCls {
    fn name(&self) -> &'static str {
        "GAN-INT-CLS"
    }

    fn stages(&self) -> &'static [&'static dyn Stage] {
        &[&TrainGanIntCls]
    }

    fn pipeline(&self) -> Option<&'static Pipeline> {
        Some(&PIPELINE)
    }

    fn sections(&self) -> &'static [&'static Section] {
        static SECTIONS: [&Section; 3] = [&DAMSM, &GAN_INT_CLS, &STYLE];
        &SECTIONS
    }

    fn owns(&self, model: &Model) -> bool {
        model.has(&GAN_INT_CLS)
    }

    fn open(&self, model: &Model, device: &Device) -> Result<Box<dyn Loaded>> {
        let load = |damsm: &Damsm| load_generator(model, damsm.size(), device);
        Ok(Box::new(LoadedTextGan::open(model, device, load)?))
    }

    fn generator_only(&self, model: &Model) -> Option<TensorFile> {
        Some(without_training_networks(model, &GAN_INT_CLS))
    }
}
