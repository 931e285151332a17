//! Generators that draw images for captions: their statistics for drawing, and the images of a
//! snapshot.

use std::convert::Infallible;

use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};
use rand_chacha::ChaCha8Rng;

use crate::draws;
use crate::error::{Error, Result};
use crate::language::Captions;
use crate::model::Model;
use crate::nn::Statistics;
use crate::nn::batch_norm::{VARIANCE, with_standing_statistics};
use crate::picture;
use crate::shapes::Shapes;
use crate::systems::damsm::Damsm;
use crate::systems::gan::latents;
use crate::tensorfile::{HostTensor, belongs};
use crate::train::Picture;
use crate::train::evaluator::{ImageSampler, SampleNoise};

/// Prefix of the generator that draws.
pub const R_EMA: &str = "R_ema";
/// Passes over which the statistics for drawing are measured, and images of each.
const STANDING: (u64, usize) = (32, 64);
/// Number of captions in the picture of a snapshot.
const CAPTIONS: usize = 4;
/// Number of seeds in the picture of a snapshot.
pub const COLUMNS: usize = 8;

/// A generator that draws an image from noise and the vector of a caption.
pub trait SentenceGenerator: Clone + Send + Sync {
    /// Sides of its images in pixels, smallest first.
    fn sizes(&self) -> Vec<usize>;

    /// Size of the noise of an image.
    fn noise_size(&self) -> usize;

    /// Size of the code of an image whose caption has a vector of length `sentence`.
    fn code_size(&self, sentence: usize) -> usize;

    /// Codes `[N, code]` of noise `[N, noise]` and captions `[N, sentence]`.
    fn codes(&self, noise: Tensor<2>, captions: Tensor<2>) -> Tensor<2>;

    /// Images of codes `[N, code]`, in one of its sizes: `[N, 3, size, size]`.
    fn images(&self, codes: Tensor<2>, size: usize) -> Tensor<4>;

    /// The largest images of noise `[N, noise]` and captions `[N, sentence]`: `[N, 3, res, res]`.
    fn draw(&self, noise: Tensor<2>, captions: Tensor<2>) -> Tensor<4> {
        self.images(self.codes(noise, captions), self.sizes().len() - 1)
    }
}

/// The generator that a trainer draws with. It takes many passes to make, so it is kept until more
/// images have been seen.
pub struct SnapshotGenerator<G>(Option<(u64, G)>);

impl<G> Default for SnapshotGenerator<G> {
    fn default() -> Self {
        Self(None)
    }
}

impl<G: Clone> SnapshotGenerator<G> {
    /// The generator after `nimg` images, which `make` makes.
    pub fn at(&mut self, nimg: u64, make: impl FnOnce() -> G) -> G {
        match &self.0 {
            Some((made, generator)) if *made == nimg => generator.clone(),
            _ => self.0.insert((nimg, make())).1.clone(),
        }
    }
}

/// The picture `fakes` of a snapshot: rows of [`COLUMNS`] images `[N, 3, res, res]`.
pub fn fakes(images: Tensor<4>) -> Picture {
    let image = picture::grid(&picture::from_tensor(images), COLUMNS, 0);
    Picture { name: "fakes".into(), image }
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
    let variances = |(name, _): &(&String, &HostTensor)| {
        belongs(name, R_EMA) && name.ends_with(&format!(".{VARIANCE}"))
    };
    let mut variances = model.file().tensors.iter().filter(variances);
    if let Some((name, _)) = variances.find(|(_, t)| t.to_f32().iter().any(|v| *v < 0.0)) {
        return Err(Error::user(format!("{}: `{name}` is negative", model.name()))
            .hint("the file is damaged; use another copy of the model"));
    }
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

/// Noise `[N, noise_size]` and captions `[N, sentence]` of the picture of a snapshot: one row of
/// [`COLUMNS`] images for each of a few captions, with the same seeds in every row.
///
/// # Errors
/// If a caption cannot be read.
pub fn snapshot_inputs(
    captions: &Captions,
    damsm: &Damsm,
    noise_size: usize,
    seed: u64,
    device: &Device,
) -> Result<(Tensor<2>, Tensor<2>)> {
    let seeds: Vec<u64> = (0..COLUMNS as u64).collect();
    let noise = latents(&seeds, None, noise_size, device).repeat(&[CAPTIONS, 1]);
    let mut rng = draws::stream(seed, "caption.grid", 0);
    let sentences = damsm.sentences(&captions.draw(CAPTIONS, &mut rng))?;
    let [rows, size] = sentences.dims();
    let sentences = sentences
        .reshape([rows, 1, size])
        .expand([rows, COLUMNS, size])
        .reshape([rows * COLUMNS, size]);
    Ok((noise, sentences))
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

impl<G: SentenceGenerator> ImageSampler for SnapshotSampler<'_, G> {
    fn images(&self, seeds: &[u64], psi: f32, _noise: SampleNoise) -> Result<Tensor<4>> {
        let noise = latents(seeds, None, self.generator.noise_size(), self.device) * psi;
        let captions = self.damsm.sentences(&self.captions.of_seeds(seeds))?;
        Ok(self.generator.draw(noise, captions))
    }
}
