//! A loaded StackGAN++ that was trained without captions.

use std::sync::Arc;

use burn::tensor::{Device, Tensor};

use super::drawing::DrawingGenerator;
use crate::data::Archive;
use crate::error::{Error, Result};
use crate::systems::gan::latents;
use crate::systems::system::check_scale;
use crate::systems::text_gan::drawing::CaptionGenerator;
use crate::systems::{Capabilities, ImageSampler, Loaded, SampleNoise, TextToImage};

/// A generator that draws from seeds alone.
#[derive(Clone)]
pub(super) struct LoadedUnconditional {
    pub drawing: DrawingGenerator,
    /// The size of the images, as an index into the sizes.
    pub size: usize,
    pub device: Device,
    pub name: String,
}

impl Loaded for LoadedUnconditional {
    fn capabilities(&self) -> Capabilities {
        Capabilities { sizes: self.drawing.sizes(), samples: true, ..Default::default() }
    }

    fn resolution(&self) -> usize {
        self.drawing.sizes()[self.size]
    }

    fn at_scale(&self, scale: usize) -> Result<Box<dyn Loaded>> {
        check_scale(scale, &self.drawing.sizes())?;
        Ok(Box::new(Self { size: scale, ..self.clone() }))
    }

    fn sampler<'a>(&'a self, _archive: &Arc<Archive>) -> Result<Box<dyn ImageSampler + 'a>> {
        Ok(Box::new(self.seeds()))
    }

    fn sampler_of_class<'a>(&'a self, class: Option<u32>) -> Result<Box<dyn ImageSampler + 'a>> {
        match class {
            None => Ok(Box::new(self.seeds())),
            Some(class) => Err(Error::user(format!(
                "--class {class}: {} was not trained with classes",
                self.name
            ))
            .hint("omit the flag")),
        }
    }

    fn text_to_image(&self) -> Result<&dyn TextToImage> {
        Err(Error::user(format!(
            "{}: cannot generate images from prompts, because it was trained with --unconditional",
            self.name
        ))
        .hint("use `cigan sample`, or train a model with `cigan train-baseline --text DAMSM`"))
    }
}

impl LoadedUnconditional {
    fn seeds(&self) -> SeedSampler<'_> {
        SeedSampler { drawing: &self.drawing, size: self.size, device: &self.device }
    }
}

/// Samples of seeds, at truncation ψ.
pub(super) struct SeedSampler<'a> {
    pub drawing: &'a DrawingGenerator,
    /// The size of the images, as an index into the sizes.
    pub size: usize,
    pub device: &'a Device,
}

impl ImageSampler for SeedSampler<'_> {
    fn images(&self, seeds: &[u64], psi: f32, _noise: SampleNoise) -> Result<Tensor<4>> {
        let z = latents(seeds, None, self.drawing.noise_size(), self.device) * psi;
        Ok(self.drawing.image(z.clone(), z, self.size))
    }
}
