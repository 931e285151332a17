//! Text → images: random starts, pulled towards the text.

use burn::tensor::{Device, Tensor, TensorData};

use super::objective::{Guidance, GuidanceStep};
use super::{GuidanceSettings, Guided};
use crate::draws;
use crate::error::Result;
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

/// Pulls the codes of `seeds` towards the code of a text [1, layers, w_dim].
///
/// # Errors
/// If a setting is out of range or the optimisation diverges.
pub fn generate(
    generator: &Generator,
    text: Tensor<3>,
    seeds: &[u64],
    settings: &GuidanceSettings,
    device: &Device,
    observe: impl FnMut(&GuidanceStep) -> bool,
) -> Result<Guided> {
    settings.check()?;
    let [_, layers, dim] = text.dims();
    let start = starts(generator, seeds, layers, settings.truncation, device);
    let target = text.expand([seeds.len(), layers, dim]);
    Guidance { generator, settings, preserve: None }.run(start, target, device, observe)
}

/// Images [N, 3, res, res] of codes [N, layers, w_dim].
pub fn render(generator: &Generator, codes: Tensor<3>) -> Tensor<4> {
    let num_ws = generator.synthesis.num_ws();
    generator.synthesize(crate::inversion::encoder::expand(codes, num_ws), &Noise::Const)
}
