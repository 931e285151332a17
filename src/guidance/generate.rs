//! Text → images: random starts, pulled towards the text.

use burn::tensor::{Device, Tensor, TensorData};

use super::objective::{Guidance, GuidanceStep};
use super::{GuidanceSettings, Guided};
use crate::draws;
use crate::error::Result;
use crate::inversion::encoder::Encoder;
use crate::nn::params::to_vec;
use crate::stylegan::generator::Truncation;
use crate::stylegan::{Generator, Noise};

/// z of image seeds: [N, z_dim]. The same seed gives the same z in every command.
pub fn latents(seeds: &[u64], z_dim: usize, device: &Device) -> Tensor<2> {
    let values: Vec<f32> = seeds
        .iter()
        .flat_map(|&seed| draws::normal(&mut draws::stream(seed, "z.sample", 0), z_dim))
        .collect();
    Tensor::from_data(TensorData::new(values, [seeds.len(), z_dim]), device)
}

/// Codes [N, layers, w_dim] that seeds start from, truncated.
pub fn starts(
    generator: &Generator,
    seeds: &[u64],
    layers: usize,
    truncation: f64,
    device: &Device,
) -> Tensor<3> {
    let z = latents(seeds, generator.mapping.z_dim(), device);
    let ws = generator.ws(z, None, Truncation::psi(truncation as f32));
    ws.narrow(1, 0, layers)
}

/// Pulls the codes of `seeds` towards the code of a text [1, layers, w_dim], or each towards its
/// own [N, layers, w_dim]; notes them at the strengths `marks` as well.
///
/// # Errors
/// If a setting is out of range or the optimisation diverges.
pub fn generate(
    generator: &Generator,
    text: Tensor<3>,
    seeds: &[u64],
    settings: &GuidanceSettings,
    marks: &[f64],
    device: &Device,
    observe: impl FnMut(&GuidanceStep) -> bool,
) -> Result<Guided> {
    settings.check()?;
    let [_, layers, dim] = text.dims();
    let start = starts(generator, seeds, layers, settings.truncation, device);
    let target = text.expand([seeds.len(), layers, dim]);
    Guidance { generator, settings, preserve: None, marks }.run(start, target, device, observe)
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
    generator.synthesize(crate::inversion::encoder::expand(codes, num_ws), &Noise::Const)
}
