//! Text → images: random starts, pulled towards the text.

use burn::tensor::{Device, Tensor, TensorData};

use super::objective::{Guidance, GuidanceStep};
use super::{GuidanceSettings, Guided};
use crate::draws;
use crate::error::{Error, Result};
use crate::nn::params::to_vec;
use crate::systems::cigan::inversion::encoder::Encoder;
use crate::systems::stylegan::generator::Truncation;
use crate::systems::stylegan::{Generator, Noise};

/// Seeds as neighbours of another one, on the arc between two normal draws (no part of the paper): z = √(1 − by²)·z(of) + by·z(seed), which is as normal as
/// either.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Vary {
    /// The seed that they are near.
    pub of: u64,
    /// How far away they are: 0 is the seed itself, 1 is anywhere.
    pub by: f64,
}

/// How far neighbours of a seed are unless told otherwise: alike, and none the same.
pub const VARY_BY: f64 = 0.3;

impl Vary {
    /// # Errors
    /// If the distance is out of range; its flag is named.
    pub fn check(&self) -> Result<()> {
        if (0.0..=1.0).contains(&self.by) {
            return Ok(());
        }
        Err(Error::user(format!("--vary-by {}: not from 0 to 1", self.by))
            .hint("0 is the seed itself, 1 is anywhere"))
    }
}

/// z of image seeds: [N, z_dim]. The same seed gives the same z in every command.
pub fn latents(seeds: &[u64], vary: Option<Vary>, z_dim: usize, device: &Device) -> Tensor<2> {
    let of = |seed: u64| draws::normal(&mut draws::stream(seed, "z.sample", 0), z_dim);
    let mut values: Vec<f32> = seeds.iter().flat_map(|&seed| of(seed)).collect();
    if let Some(Vary { of: kept, by }) = vary {
        let (kept, rest) = (of(kept), (1.0 - by * by).max(0.0).sqrt());
        for z in values.chunks_exact_mut(z_dim) {
            for (z, kept) in z.iter_mut().zip(&kept) {
                *z = (rest * f64::from(*kept) + by * f64::from(*z)) as f32;
            }
        }
    }
    Tensor::from_data(TensorData::new(values, [seeds.len(), z_dim]), device)
}

/// Codes [N, layers, w_dim] that seeds start from, truncated.
pub fn starts(
    generator: &Generator,
    seeds: &[u64],
    vary: Option<Vary>,
    layers: usize,
    truncation: f64,
    device: &Device,
) -> Tensor<3> {
    let z = latents(seeds, vary, generator.mapping.z_dim(), device);
    let ws = generator.ws(z, None, Truncation::psi(truncation as f32));
    ws.narrow(1, 0, layers)
}

/// Pulls codes from their [`starts`] [N, layers, w_dim] towards the code of a text
/// [1, layers, w_dim], or each towards its own; notes them at the strengths `marks` as well.
///
/// # Errors
/// If a setting is out of range or the optimisation diverges.
pub fn generate(
    generator: &Generator,
    text: Tensor<3>,
    start: Tensor<3>,
    settings: &GuidanceSettings,
    marks: &[f64],
    device: &Device,
    observe: impl FnMut(&GuidanceStep) -> bool,
) -> Result<Guided> {
    settings.check()?;
    let target = text.expand(start.dims());
    Guidance { generator, settings, preserve: None, layers: None, marks }
        .run(start, target, device, observe)
}

/// ‖E(G(w)) − t‖ of pictures [N, 3, res, res] and the code of a text [1, layers, w_dim]: how far
/// from the text E sees each of them.
pub fn distances_to_text(encoder: &Encoder, images: Tensor<4>, text: Tensor<3>) -> Vec<f32> {
    let difference = encoder.forward(images) - text;
    let [n, layers, dim] = difference.dims();
    to_vec(difference.powi_scalar(2).reshape([n, layers * dim]).sum_dim(1).sqrt())
}

/// Images [N, 3, res, res] of codes [N, layers, w_dim].
pub fn render(generator: &Generator, codes: Tensor<3>) -> Tensor<4> {
    let num_ws = generator.synthesis.num_ws();
    generator
        .synthesize(crate::systems::cigan::inversion::encoder::expand(codes, num_ws), &Noise::Const)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_are_as_normal_as_seeds_and_as_near_as_asked() {
        let device = Device::flex();
        let seeds: Vec<u64> = (0..50).collect();
        let rows = |vary| to_vec(latents(&seeds, vary, 512, &device));
        let kept = to_vec(latents(&[7], None, 512, &device));
        assert_eq!(rows(Some(Vary { of: 7, by: 0.0 }))[..512], kept);
        assert_eq!(rows(Some(Vary { of: 7, by: 1.0 })), rows(None));
        let by = 0.3;
        let near = rows(Some(Vary { of: 7, by }));
        let n = near.len() as f64;
        let square = near.iter().map(|z| f64::from(*z).powi(2)).sum::<f64>() / n;
        assert!((square - 1.0).abs() < 0.1, "variance {square}");
        let along = near.iter().zip(kept.iter().cycle()).map(|(z, k)| f64::from(z * k));
        let correlation = along.sum::<f64>() / n;
        assert!((correlation - (1.0 - by * by).sqrt()).abs() < 0.1, "correlation {correlation}");
        assert!(Vary { of: 0, by: 1.1 }.check().is_err());
    }
}
