//! The systems of AttnGAN's and MirrorGAN's models.

use burn::tensor::Device;

use super::captions::Layout;
use super::drawing::DrawingGenerator;
use super::section::load_generator;
use super::stage::{TRAIN_ATTN_GAN, TRAIN_MIRROR_GAN};
use super::{ATTN_GAN, AttentionGanNetwork, MIRROR_GAN};
use crate::error::Result;
use crate::model::{Model, Section};
use crate::systems::captioner::CAPTIONER;
use crate::systems::damsm::{DAMSM, Damsm, ENCODER, WITHOUT_CAPTIONS};
use crate::systems::text_gan::export::without_training_networks;
use crate::systems::text_gan::loaded::LoadedTextGan;
use crate::systems::text_gan::style::STYLE;
use crate::systems::{Loaded, Pipeline, PipelineStage, System};
use crate::tensorfile::TensorFile;
use crate::train::Stage;

/// The encoder, then the GAN that reads captions with it.
static ATTN_GAN_PIPELINE: Pipeline = Pipeline {
    stages: &[ENCODER, gan(&ATTN_GAN)],
    few_images: None,
    without_captions: WITHOUT_CAPTIONS,
    // No long training has been measured.
    outlook: |_| Vec::new(),
};

/// The encoder, the captioner that extends it, then the GAN.
static MIRROR_GAN_PIPELINE: Pipeline = Pipeline {
    stages: &[
        ENCODER,
        PipelineStage {
            section: &CAPTIONER,
            title: "A captioner of images",
            captions: true,
            schedule: None,
        },
        gan(&MIRROR_GAN),
    ],
    few_images: None,
    without_captions: WITHOUT_CAPTIONS,
    outlook: |_| Vec::new(),
};

const fn gan(section: &'static Section) -> PipelineStage {
    PipelineStage {
        section,
        title: "A GAN that attends to the words of captions",
        captions: true,
        schedule: None,
    }
}

/// A GAN that attends to the words of captions, trained with DAMSM's loss.
pub struct AttnGan;

impl System for AttnGan {
    fn name(&self) -> &'static str {
        "AttnGAN"
    }

    fn stages(&self) -> &'static [&'static dyn Stage] {
        static STAGES: [&dyn Stage; 1] = [&TRAIN_ATTN_GAN];
        &STAGES
    }

    fn pipeline(&self) -> Option<&'static Pipeline> {
        Some(&ATTN_GAN_PIPELINE)
    }

    fn sections(&self) -> &'static [&'static Section] {
        static SECTIONS: [&Section; 3] = [&DAMSM, &ATTN_GAN, &STYLE];
        &SECTIONS
    }

    fn owns(&self, model: &Model) -> bool {
        model.has(&ATTN_GAN)
    }

    fn open(&self, model: &Model, device: &Device) -> Result<Box<dyn Loaded>> {
        open(model, &ATTN_GAN, device)
    }

    fn generator_only(&self, model: &Model) -> Option<TensorFile> {
        Some(without_training_networks(model, &ATTN_GAN))
    }
}

/// A GAN that attends to words and sentences, trained so that a captioner reads the captions off its
/// images.
pub struct MirrorGan;

impl System for MirrorGan {
    fn name(&self) -> &'static str {
        "MirrorGAN"
    }

    fn stages(&self) -> &'static [&'static dyn Stage] {
        static STAGES: [&dyn Stage; 1] = [&TRAIN_MIRROR_GAN];
        &STAGES
    }

    fn pipeline(&self) -> Option<&'static Pipeline> {
        Some(&MIRROR_GAN_PIPELINE)
    }

    fn sections(&self) -> &'static [&'static Section] {
        static SECTIONS: [&Section; 3] = [&DAMSM, &MIRROR_GAN, &STYLE];
        &SECTIONS
    }

    fn owns(&self, model: &Model) -> bool {
        model.has(&MIRROR_GAN)
    }

    fn open(&self, model: &Model, device: &Device) -> Result<Box<dyn Loaded>> {
        open(model, &MIRROR_GAN, device)
    }

    fn generator_only(&self, model: &Model) -> Option<TensorFile> {
        Some(without_training_networks(model, &MIRROR_GAN))
    }
}

/// Opens the model that `section` belongs to.
fn open(model: &Model, section: &'static Section, device: &Device) -> Result<Box<dyn Loaded>> {
    let network: AttentionGanNetwork = model.settings(section)?;
    let load = |damsm: &Damsm| {
        let generator = load_generator(model, &network, damsm.size(), device)?;
        let layout = Layout::of(damsm);
        Ok(DrawingGenerator { generator, network: network.clone(), layout })
    };
    Ok(Box::new(LoadedTextGan::open(model, device, load)?))
}
