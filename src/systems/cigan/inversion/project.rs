//! Projecting images into the latent space: optimises E's code further within its domain (In-Domain
//! GAN inversion, §3.3).

use burn::tensor::{Device, Tensor};

use super::{Encoder, losses::spread};
use crate::error::{Error, Result};
use crate::metrics::image;
use crate::nn::adam::LatentAdam;
use crate::nn::params::to_vec;
use crate::systems::requests::{ProjectSettings, ProjectSpace, ProjectStart, ProjectStep};
use crate::systems::stylegan::mapping::expand;
use crate::systems::stylegan::{Generator, Noise};
use crate::vision::Perceptual;

/// Projects images into the latent space of a generator.
pub struct Projector<'a> {
    /// Generator of the images.
    pub generator: &'a Generator,
    /// Encoder that gives the start and regularises the code.
    pub encoder: &'a Encoder,
    /// Perceptual distance to the images.
    pub perceptual: &'a Perceptual,
    /// Steps, learning rate and weights.
    pub settings: &'a ProjectSettings,
}

impl Projector<'_> {
    /// Codes `[N, 1 or num_ws, w_dim]` of images x `[N, 3, res, res]`, which are independent of one
    /// another.
    ///
    /// Every step calls `observe` with its codes and images; projecting stops early when it returns
    /// false.
    ///
    /// # Errors
    /// If the objective is not finite.
    pub fn project(
        &self,
        x: Tensor<4>,
        start: ProjectStart,
        device: &Device,
        mut observe: impl FnMut(&ProjectStep, &Tensor<3>, &Tensor<4>) -> bool,
    ) -> Result<Tensor<3>> {
        let n = x.dims()[0];
        let num_ws = self.generator.synthesis.num_ws();
        let mut codes = match (start, &self.generator.mapping.w_avg) {
            (ProjectStart::Average, Some(w_avg)) => {
                let w_avg: Tensor<3> = w_avg.val().unsqueeze();
                let dim = w_avg.dims()[2];
                w_avg.expand([n, self.encoder.layers(), dim]).to_device(device)
            }
            _ => self.encoder.forward(x.clone()),
        };
        match self.settings.space {
            ProjectSpace::Encoder => {}
            ProjectSpace::W => codes = codes.mean_dim(1),
            ProjectSpace::WPlus => codes = expand(codes, num_ws),
        }
        let target = self.perceptual.features(x.clone());
        let mut adam = LatentAdam::new(self.settings.lr);
        for index in 0..=self.settings.steps {
            let w = codes.clone().autodiff().require_grad();
            let image = self.generator.synthesize(expand(w.clone(), num_ws), &Noise::Const);
            let mut losses = image::mse(x.clone(), image.clone());
            if self.settings.perceptual > 0.0 {
                losses = losses
                    + self.perceptual.distances_to(target.clone(), image.clone())
                        * self.settings.perceptual;
            }
            if self.settings.domain > 0.0 {
                let d = w.clone() - self.encoder.forward(image.clone());
                let [_, layers, dim] = d.dims();
                let domain = (d.clone() * d).reshape([n, layers * dim]).mean_dim(1).reshape([n]);
                losses = losses + domain * self.settings.domain;
            }
            if self.settings.spread > 0.0 && self.settings.space == ProjectSpace::WPlus {
                losses = losses + spread(w.clone()) * self.settings.spread;
            }
            let values = to_vec(losses.clone().inner());
            if let Some(bad) = values.iter().position(|v| !v.is_finite()) {
                return Err(Error::user(format!(
                    "projection of image {bad} diverged at step {index}"
                ))
                .hint("use a smaller learning rate"));
            }
            let step = ProjectStep { index, losses: values };
            if !observe(&step, &codes, &image.inner()) || index == self.settings.steps {
                break;
            }
            let gradients = losses.sum().backward();
            if let Some(gradient) = w.grad(&gradients) {
                codes = adam.step(codes, gradient.inner());
            }
        }
        Ok(codes)
    }
}
