//! The system of StackGAN++'s models.

use burn::tensor::Device;

use super::drawing::DrawingGenerator;
use super::section::load_generator;
use super::stage::TrainStackgan;
use super::unconditional::LoadedUnconditional;
use super::{STACKGAN, StackganNetwork};
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
            section: &STACKGAN,
            title: "A GAN that generates images of captions in several sizes",
            captions: true,
            schedule: None,
        },
    ],
    few_images: None,
    without_captions: WITHOUT_CAPTIONS,
    // No long training has been measured.
    outlook: |_| Vec::new(),
};

/// A GAN that draws images for captions at several sizes.
pub struct Stackgan;

impl System for Stackgan {
    fn name(&self) -> &'static str {
        "StackGAN++"
    }

    fn stages(&self) -> &'static [&'static dyn Stage] {
        &[&TrainStackgan]
    }

    fn pipeline(&self) -> Option<&'static Pipeline> {
        Some(&PIPELINE)
    }

    fn sections(&self) -> &'static [&'static Section] {
        static SECTIONS: [&Section; 3] = [&DAMSM, &STACKGAN, &STYLE];
        &SECTIONS
    }

    fn owns(&self, model: &Model) -> bool {
        model.has(&STACKGAN)
    }

    fn open(&self, model: &Model, device: &Device) -> Result<Box<dyn Loaded>> {
        let network: StackganNetwork = model.settings(&STACKGAN)?;
        let load = |size| {
            let generator = load_generator(model, size, device)?;
            Ok(DrawingGenerator { generator, network: network.clone() })
        };
        if !network.unconditional {
            let load = |damsm: &Damsm| load(damsm.size());
            return Ok(Box::new(LoadedTextGan::open(model, device, load)?));
        }
        Ok(Box::new(LoadedUnconditional {
            drawing: load(0)?,
            size: network.image_sides().len() - 1,
            device: device.clone(),
            name: model.name().to_owned(),
        }))
    }

    fn generator_only(&self, model: &Model) -> Option<TensorFile> {
        Some(without_training_networks(model, &STACKGAN))
    }
}
