//! Generators that draw images for captions: their statistics for drawing, and the images of a
//! snapshot.

use std::convert::Infallible;

use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};
use image::RgbImage;
use rand_chacha::ChaCha8Rng;

use crate::draws;
use crate::error::Result;
use crate::language::Captions;
use crate::model::Model;
use crate::nn::Statistics;
use crate::nn::batch_norm::{check_variances, with_standing_statistics};
use crate::picture;
use crate::shapes::Shapes;
use crate::systems::damsm::Damsm;
use crate::systems::gan::latents;
use crate::train::Picture;
use crate::train::evaluator::{ImageSampler, SampleNoise};

/// Prefix of the generator that draws.
pub const R_EMA: &str = "R_ema";
/// Passes over which the statistics for drawing are measured, and images of each.
pub const STANDING: (u64, usize) = (32, 64);
/// Number of captions in the picture of a snapshot.
const CAPTIONS: usize = 4;
/// Number of seeds in the picture of a snapshot.
pub const COLUMNS: usize = 8;

/// A generator that draws an image from noise and the vector of a caption.
pub trait CaptionGenerator: Clone + Send + Sync {
    /// Sides of its images in pixels, smallest first.
    fn sizes(&self) -> Vec<usize>;

    /// Size of the noise of an image.
    fn noise_size(&self) -> usize;

    /// Size of z, with which the noise begins; by default it is all of the noise.
    fn z_size(&self) -> usize {
        self.noise_size()
    }

    /// Vectors `[N, caption]` of captions; by default, those of their sentences.
    ///
    /// # Errors
    /// If a caption cannot be read.
    fn read(&self, damsm: &Damsm, captions: &[&str]) -> Result<Tensor<2>> {
        damsm.sentences(captions)
    }

    /// Whether differences between vectors of captions have a meaning, so that parts of a prompt can
    /// be weighted.
    fn weighs_captions(&self) -> bool {
        true
    }

    /// Size of the code of an image whose caption has a vector of length `caption`.
    fn code_size(&self, caption: usize) -> usize;

    /// Codes `[N, code]` of noise `[N, noise]` and captions `[N, caption]`.
    fn codes(&self, noise: Tensor<2>, captions: Tensor<2>) -> Tensor<2>;

    /// Images of codes `[N, code]`, in one of its sizes: `[N, 3, size, size]`.
    fn images(&self, codes: Tensor<2>, size: usize) -> Tensor<4>;

    /// The largest images of noise `[N, noise]` and captions `[N, caption]`: `[N, 3, res, res]`.
    fn draw(&self, noise: Tensor<2>, captions: Tensor<2>) -> Tensor<4> {
        self.images(self.codes(noise, captions), self.sizes().len() - 1)
    }
}

/// The picture `fakes` of a snapshot: rows of [`COLUMNS`] images `[N, 3, res, res]`.
pub fn fakes(images: Tensor<4>) -> Picture {
    let image = picture::grid(&picture::from_tensor(images), COLUMNS, 0);
    Picture { name: "fakes".into(), image }
}

/// The picture `scales` of a snapshot: one row of images for each size, all enlarged to the largest;
/// `None` if there is one size. `draw` draws [`COLUMNS`] images of a size.
pub fn scales(sides: &[usize], draw: impl Fn(usize) -> Tensor<4>) -> Option<Picture> {
    let largest = *sides.last().filter(|_| sides.len() > 1)? as u32;
    let images: Vec<RgbImage> = (0..sides.len())
        .flat_map(|size| picture::from_tensor(draw(size)))
        .map(|image| picture::enlarge_to(&image, largest))
        .collect();
    Some(Picture { name: "scales".into(), image: picture::grid(&images, COLUMNS, 0) })
}

/// The generator of a model, with tensors of these shapes; `build` makes one to load them into.
///
/// # Errors
/// If the model does not contain it, or is damaged.
pub(in crate::systems) fn load_generator<G: Module>(
    model: &Model,
    shapes: &Shapes,
    build: impl FnOnce() -> G,
) -> Result<G> {
    check_variances(model.file(), R_EMA).map_err(|e| e.context(model.name()))?;
    Ok(model.restore(R_EMA, shapes, build)?.valid())
}

/// A copy of a generator with statistics over fixed draws. `pass` computes one pass over noise
/// `[N, noise_size]`; it draws what else it needs from the stream.
pub fn with_fixed_draws<G: Module>(
    generator: &G,
    seed: u64,
    noise_size: usize,
    device: &Device,
    pass: impl Fn(&G, Tensor<2>, &mut ChaCha8Rng, Statistics),
) -> G {
    let (passes, rows) = STANDING;
    let measured = with_standing_statistics(generator, |generator, statistics| {
        for index in 0..passes {
            let mut rng = draws::stream(seed, "standing", index);
            let noise = draws::normal(&mut rng, rows * noise_size);
            let noise = Tensor::from_data(TensorData::new(noise, [rows, noise_size]), device);
            pass(generator, noise, &mut rng, statistics);
        }
        Ok::<(), Infallible>(())
    });
    match measured {
        Ok(generator) => generator,
        Err(never) => match never {},
    }
}

/// The captions of the picture of a snapshot.
pub fn snapshot_captions(captions: &Captions, seed: u64) -> Vec<&str> {
    captions.draw(CAPTIONS, &mut draws::stream(seed, "caption.grid", 0))
}

/// Noise `[N, noise]` and captions `[N, caption]` of the picture of a snapshot: one row of
/// [`COLUMNS`] images for each of its captions, with the same seeds in every row.
///
/// # Errors
/// If a caption cannot be read.
pub fn snapshot_inputs(
    generator: &impl CaptionGenerator,
    captions: &Captions,
    damsm: &Damsm,
    seed: u64,
    device: &Device,
) -> Result<(Tensor<2>, Tensor<2>)> {
    let seeds: Vec<u64> = (0..COLUMNS as u64).collect();
    let noise = latents(&seeds, None, generator.noise_size(), device).repeat(&[CAPTIONS, 1]);
    let captions = generator.read(damsm, &snapshot_captions(captions, seed))?;
    let [rows, size] = captions.dims();
    let captions = captions
        .reshape([rows, 1, size])
        .expand([rows, COLUMNS, size])
        .reshape([rows * COLUMNS, size]);
    Ok((noise, captions))
}

/// Samples of a snapshot, with training captions drawn by seed.
pub struct SnapshotSampler<'a, G> {
    /// The generator that draws.
    pub generator: &'a G,
    /// The captions.
    pub captions: &'a Captions,
    /// Their encoder.
    pub damsm: &'a Damsm,
    /// Where it computes.
    pub device: &'a Device,
}

impl<G: CaptionGenerator> ImageSampler for SnapshotSampler<'_, G> {
    fn images(&self, seeds: &[u64], psi: f32, _noise: SampleNoise) -> Result<Tensor<4>> {
        let noise = latents(seeds, None, self.generator.noise_size(), self.device) * psi;
        let captions = self.generator.read(self.damsm, &self.captions.of_seeds(seeds))?;
        Ok(self.generator.draw(noise, captions))
    }
}
