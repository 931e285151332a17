//! Measures how well E inverts held-out images.

use burn::tensor::{Device, Tensor, TensorData};

use super::Encoder;
use super::settings::LossWeights;
use crate::data::{Archive, Split};
use crate::device::IMAGES_AT_ONCE as CHUNK;
use crate::draws;
use crate::error::Result;
use crate::metrics::fidelity::Fidelity;
use crate::nn::params::to_vec;
use crate::picture;
use crate::report::Metrics;
use crate::systems::stylegan::{Generator, Noise};
use crate::train::Evaluation;
use crate::vision::Perceptual;

/// Number of held-out images that are measured during training.
const MEASURED: usize = 256;

/// MSE, PSNR, SSIM and perceptual distance of held-out images and their reconstructions, and
/// ‖w − E(G(w))‖ on random w. `None` without held-out images.
///
/// The score is the sum of MSE and perceptual distance with the weights of E's loss.
///
/// # Errors
/// If the archive cannot be read.
pub fn held_out(
    archive: &Archive,
    generator: &Generator,
    encoder: &Encoder,
    perceptual: &Perceptual,
    weights: &LossWeights,
    seed: u64,
    device: &Device,
) -> Result<Option<Evaluation>> {
    let indices = archive.some_of(Split::Val, MEASURED);
    if indices.is_empty() {
        return Ok(None);
    }
    let mut fidelity = Fidelity::default();
    for chunk in indices.chunks(CHUNK) {
        let pixels = archive.pixels(chunk)?;
        let real = picture::to_tensor(&pixels, archive.resolution(), device);
        let ws = encoder.to_ws(encoder.forward(real.clone()));
        let back = picture::as_saved(generator.synthesize(ws, &Noise::Const));
        fidelity.add(real, back, perceptual);
    }
    let mut metrics = Metrics::new();
    for (name, value) in fidelity.numbers() {
        metrics.set(format!("val/{name}"), value);
    }
    let [mse, distance] =
        ["val/mse", "val/perceptual"].map(|name| metrics.get(name).unwrap_or_default());
    metrics.set("val/cycle", cycle_error(generator, encoder, seed, CHUNK * 4, device));
    let score = match weights.pixel * mse + weights.perceptual * distance {
        // E was trained on neither, so MSE is the score.
        0.0 => mse,
        score => score,
    };
    Ok(Some(Evaluation { metrics, score }))
}

/// Mean ‖w − E(G(w))‖₂ over `count` random w and the vectors of a code.
pub fn cycle_error(
    generator: &Generator,
    encoder: &Encoder,
    seed: u64,
    count: usize,
    device: &Device,
) -> f64 {
    let z_dim = generator.mapping.z_dim();
    let mut sum = 0.0;
    let mut done = 0;
    while done < count {
        let n = CHUNK.min(count - done);
        let mut rng = draws::stream(seed, "z.cycle_error", done as u64);
        let z = TensorData::new(draws::normal(&mut rng, n * z_dim), [n, z_dim]);
        let w = generator.mapping.forward(Some(Tensor::from_data(z, device)), None);
        let [n, d] = w.dims();
        let w = w.reshape([n, 1, d]);
        let images = generator.synthesize(
            crate::systems::stylegan::mapping::expand(w.clone(), generator.synthesis.num_ws()),
            &Noise::Const,
        );
        let back = encoder.forward(images);
        let layers = back.dims()[1];
        let difference = back - w.expand([n, layers, d]);
        let norms = (difference.clone() * difference).sum_dim(2).sqrt();
        sum += to_vec(norms.mean_dim(1)).iter().map(|&v| f64::from(v)).sum::<f64>();
        done += n;
    }
    sum / count as f64
}
