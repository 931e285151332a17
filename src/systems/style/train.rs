//! The training loop of the style encoder: the squared error of z (Reed et al. 2016, Eq. 6).

use std::sync::Arc;

use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};
use rand::Rng;

use super::settings::StyleSettings;
use super::transfer::of_styles;
use crate::data::Archive;
use crate::draws;
use crate::error::Result;
use crate::language::Captions;
use crate::model::{Model, Provenance};
use crate::nn::batch_norm::with_standing_statistics;
use crate::nn::params::{NamedGradients, to_vec};
use crate::nn::{Adam, Init, Statistics};
use crate::picture;
use crate::ranks::Ranks;
use crate::report::Metrics;
use crate::settings::Checked;
use crate::systems::text_gan::drawing::STANDING;
use crate::systems::text_gan::style::{S, STYLE, StyleEncoder, loss};
use crate::systems::{Loaded, NoiseSpace};
use crate::tensorfile::TensorFile;
use crate::train::rounds::{BatchRounds, portion, rows};
use crate::train::{Evaluation, Keep, Kept, Means, Parts, Picture, Trainer};

/// Batches of the evaluation, and images of each.
const HELD_OUT: (u64, usize) = (8, 64);
/// Columns and rows of the picture of a snapshot: rows of originals and of their reconstructions.
const COLUMNS: usize = 8;

/// Trainer of the style encoder.
pub struct StyleTrainer {
    settings: StyleSettings,
    seed: u64,
    device: Device,
    archive: Arc<Archive>,
    captions: Captions,
    base: Model,
    /// The baseline, whose generator is fixed.
    generator: Box<dyn Loaded>,
    network: StyleEncoder,
    adam: Adam,
    nimg: u64,
    means: Means,
    rounds: BatchRounds,
    /// The encoder with standing statistics.
    measured: Kept<StyleEncoder>,
}

/// Generated images with the noise that they were drawn with.
struct Batch {
    /// `[N, z]`.
    z: Tensor<2>,
    /// Vectors of the captions, `[N, size]`.
    captions: Tensor<2>,
    /// `[N, 3, res, res]`.
    images: Tensor<4>,
}

impl StyleTrainer {
    /// A new run that extends `base`, the model of `generator`. `device` is without automatic
    /// differentiation.
    ///
    /// # Errors
    /// If there are no captions, a setting is out of range, or the generator takes no noise.
    pub fn new(
        settings: StyleSettings,
        seed: u64,
        archive: Arc<Archive>,
        base: Model,
        generator: Box<dyn Loaded>,
        device: &Device,
    ) -> Result<Self> {
        settings.check()?;
        let (side, z) = (generator.resolution(), generator.noise_space()?.z_size());
        let init = &mut Init::new(seed, "style", device);
        Ok(Self {
            captions: Captions::of(&archive)?,
            network: StyleEncoder::new(&settings.network, side, z, init).train(),
            adam: Adam::new(settings.adam),
            nimg: 0,
            means: Means::default(),
            rounds: BatchRounds::new(settings.batch, settings.round),
            measured: Kept::default(),
            device: device.clone(),
            settings,
            seed,
            archive,
            base,
            generator,
        })
    }

    /// Shares every batch with other ranks.
    ///
    /// # Errors
    /// If the ranks cannot share the rounds evenly.
    pub fn among(mut self, ranks: Ranks) -> Result<Self> {
        self.rounds = self.rounds.among(ranks, STYLE.name)?;
        Ok(self)
    }

    fn space(&self) -> Result<&dyn NoiseSpace> {
        self.generator.noise_space()
    }

    /// Random noise `[N, noise]`, and the vectors of random training captions `[N, size]`.
    fn draw(&self, count: usize, rng: &mut impl Rng) -> Result<[Tensor<2>; 2]> {
        let space = self.space()?;
        let size = space.noise_size();
        let noise = TensorData::new(draws::normal(rng, count * size), [count, size]);
        let noise = Tensor::from_data(noise, &self.device);
        Ok([noise, space.read(&self.captions.draw(count, rng))?])
    }

    /// Images of random noise and random training captions.
    fn batch(&self, count: usize, rng: &mut impl Rng) -> Result<Batch> {
        let [noise, captions] = self.draw(count, rng)?;
        self.generated(noise, captions)
    }

    fn generated(&self, noise: Tensor<2>, captions: Tensor<2>) -> Result<Batch> {
        let space = self.space()?;
        Ok(Batch {
            z: noise.clone().narrow(1, 0, space.z_size()),
            images: space.draw(noise, captions.clone()),
            captions,
        })
    }

    /// The encoder with statistics over fixed draws. It is a copy, so training is not affected.
    fn measured(&mut self) -> Result<StyleEncoder> {
        if let Some(encoder) = self.measured.kept(self.nimg) {
            return Ok(encoder);
        }
        let (passes, count) = STANDING;
        let encoder = with_standing_statistics(&self.network.valid(), |network, statistics| {
            for index in 0..passes {
                let batch = self.batch(count, &mut draws::stream(self.seed, "standing", index))?;
                network.forward(batch.images, statistics);
            }
            Ok::<(), crate::Error>(())
        })?;
        Ok(self.measured.keep(self.nimg, encoder))
    }
}

impl Trainer for StyleTrainer {
    fn device(&self) -> Device {
        self.device.clone()
    }

    fn nimg(&self) -> u64 {
        self.nimg
    }

    fn step(&mut self) -> Result<()> {
        let mut rng = draws::stream(self.seed, "style", self.nimg);
        let drawn = self.draw(self.settings.batch, &mut rng)?;
        let (mut gradients, mut values) = (self.rounds.gradients(), self.rounds.values());
        for (range, share) in self.rounds.own() {
            let [noise, captions] = drawn.each_ref().map(|all| rows(all, &range));
            let batch = self.generated(noise, captions)?;
            let found = self.network.forward(batch.images, Statistics::Batch);
            let loss = loss(batch.z, found);
            values.portion("loss/style", loss.clone().inner(), share);
            let loss = portion(loss, share);
            gradients.add(NamedGradients::of(&self.network, &loss.backward()));
        }
        values.finish(&mut self.means)?;
        let gradients = gradients.finish(&self.network)?;
        self.network = self.adam.step(self.network.clone(), gradients, self.settings.lr);
        self.nimg += self.settings.batch as u64;
        Ok(())
    }

    fn metrics(&mut self) -> Result<Metrics> {
        let non_finite = self.adam.take_non_finite();
        let mut metrics = self.means.take()?;
        metrics.set("non_finite_gradients", non_finite as f64);
        Ok(metrics)
    }

    fn parts(&mut self, parts: &mut Parts) -> Result<()> {
        parts.network(S, &mut self.network, Keep::Checkpoint)?;
        parts.optimiser("adam_S", &mut self.adam, &self.network)?;
        parts.means(&mut self.means)?;
        parts.nimg(&mut self.nimg)
    }

    fn model(&mut self) -> Result<TensorFile> {
        let mut model = self.base.clone();
        model.put(&self.measured()?, S);
        let provenance =
            Provenance::new(self.nimg, self.seed, self.archive.hash()?, &self.settings)?
                .of_images(self.archive.training_counts());
        model.set(&STYLE, &self.settings.network, provenance)?;
        Ok(model.into_file())
    }

    /// Generated images, and below each the image of its style and caption.
    fn pictures(&mut self) -> Result<Vec<Picture>> {
        let encoder = self.measured()?;
        let mut rows = Vec::new();
        for index in 0..2 {
            let rng = &mut draws::stream(self.seed, "style.grid", index);
            let Batch { captions, images, .. } = self.batch(COLUMNS, rng)?;
            let styles = encoder.forward(images.clone(), Statistics::Standing);
            rows.extend(picture::from_tensor(images));
            rows.extend(picture::from_tensor(of_styles(self.space()?, styles, captions)));
        }
        let image = picture::grid(&rows, COLUMNS, 0);
        Ok(vec![Picture { name: "fakes".into(), image }])
    }

    /// The share of the variance of z that S explains, on images that it was not trained with.
    fn evaluate(&mut self) -> Result<Option<Evaluation>> {
        let encoder = self.measured()?;
        let (mut error, mut total) = (0.0, 0.0);
        let (batches, count) = HELD_OUT;
        for index in 0..batches {
            let rng = &mut draws::stream(self.seed, "style.held-out", index);
            let Batch { z, images, .. } = self.batch(count, rng)?;
            let found = encoder.forward(images, Statistics::Standing);
            error += f64::from(to_vec(loss(z.clone(), found))[0]);
            total += f64::from(to_vec(loss(z.clone(), z.zeros_like()))[0]);
        }
        let mut metrics = Metrics::new();
        let explained = 1.0 - error / total;
        metrics.set("val/r2", explained);
        Ok(Some(Evaluation { metrics, score: -explained }))
    }
}
