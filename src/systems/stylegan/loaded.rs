//! A loaded StyleGAN2-ADA, unconditional or conditioned on classes.

use std::sync::Arc;

use burn::tensor::{Device, Tensor};

use super::features::{critic_of, own_features, own_features_mark};
use super::labels::{Labels, of_class};
use super::sampler::SeededSampler;
use super::section::{STYLEGAN, load_generator};
use super::styles::Styles;
use super::{Generator, NetworkSettings};
use crate::data::Archive;
use crate::error::{Error, Result};
use crate::model::Model;
use crate::systems::{Capabilities, ImageSampler, LatentSpace, Loaded, StyleSpace, TextToImage};
use crate::vision::Features;

/// The generator of a model, and its discriminator for use as a measure.
#[derive(Clone)]
pub struct LoadedStylegan {
    name: String,
    network: NetworkSettings,
    styles: Styles,
    /// D and its settings. D is built only when it is needed.
    critic: Arc<Model>,
}

impl LoadedStylegan {
    /// Opens the networks of stage 1.
    ///
    /// # Errors
    /// If the model does not contain them.
    pub fn open(model: &Model, device: &Device) -> Result<Self> {
        let network: NetworkSettings = model.settings(&STYLEGAN)?;
        let generator = load_generator(model, device)?;
        Ok(Self {
            name: model.name().to_owned(),
            styles: Styles {
                generator,
                classes: network.classes,
                device: device.clone(),
                prompts_only: None,
            },
            network,
            critic: Arc::new(critic_of(model)),
        })
    }

    /// The same model with another generator of the same shape.
    pub fn with_generator(&self, generator: Generator) -> Self {
        let styles = Styles { generator, ..self.styles.clone() };
        Self { styles, ..self.clone() }
    }

    /// The generator, without automatic differentiation.
    pub fn generator(&self) -> &Generator {
        &self.styles.generator
    }

    /// The device of the networks.
    pub fn device(&self) -> &Device {
        &self.styles.device
    }

    /// The model's name in messages.
    pub fn name(&self) -> &str {
        &self.name
    }

    fn with_class(&self) -> Error {
        Error::user(format!("{}: was trained with --condition class", self.name))
            .hint("inversion and text need a model that was trained without --condition")
    }
}

impl Loaded for LoadedStylegan {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            sizes: vec![self.network.resolution],
            classes: self.network.classes,
            samples: true,
            styles: true,
            ..Default::default()
        }
    }

    fn sampler<'a>(&'a self, archive: &Arc<Archive>) -> Result<Box<dyn ImageSampler + 'a>> {
        let labels = Labels::of(archive, self.network.classes)?;
        let device = self.device();
        Ok(Box::new(SeededSampler::new(self.generator(), device, move |seeds: &[u64]| {
            Ok(labels.as_ref().map(|labels| labels.of_seeds(seeds, device)))
        })))
    }

    fn sampler_of_class<'a>(&'a self, class: Option<u32>) -> Result<Box<dyn ImageSampler + 'a>> {
        let (classes, device) = (self.network.classes, self.device());
        of_class(class, 1, classes, device)?;
        let label = move |seeds: &[u64]| -> Result<Option<Tensor<2>>> {
            of_class(class, seeds.len(), classes, device)
        };
        Ok(Box::new(SeededSampler::new(self.generator(), device, label)))
    }

    fn styles(&self) -> Result<&dyn StyleSpace> {
        Ok(&self.styles)
    }

    fn text_to_image(&self) -> Result<&dyn TextToImage> {
        Err(match self.network.classes {
            0 => Error::user(format!("{}: contains no text encoder", self.name))
                .hint("train an encoder with `cigan invert`, then `cigan align-text` on its model"),
            _ => self.with_class(),
        })
    }

    fn latent_space(&self) -> Result<&dyn LatentSpace> {
        Err(match self.network.classes {
            0 => Error::user(format!("{}: contains no encoder", self.name))
                .hint("train one with `cigan invert`"),
            _ => self.with_class(),
        })
    }

    fn own_features(&self) -> Result<Box<dyn Features>> {
        own_features(&self.critic, self.device())
    }

    fn own_features_mark(&self) -> Option<Vec<f32>> {
        own_features_mark(&self.critic)
    }
}
