//! Samples of G: from seeds to codes, and from codes to images.

use burn::tensor::{Device, Tensor};

use super::generator::Truncation;
use super::mapping::expand;
use super::{Generator, Noise};
use crate::systems::gan::latents;
use crate::systems::requests::Vary;

/// Truncated codes `[N, layers, w_dim]` of seeds, from which drawing starts.
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

/// Images `[N, 3, res, res]` of codes `[N, layers, w_dim]`.
pub fn render(generator: &Generator, codes: Tensor<3>) -> Tensor<4> {
    let num_ws = generator.synthesis.num_ws();
    generator.synthesize(expand(codes, num_ws), &Noise::Const)
}
