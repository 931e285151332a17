//! Text → images: random starts, pulled towards the text.

use burn::tensor::Tensor;

use super::objective::{Guidance, GuidanceStep};
use crate::error::Result;
use crate::nn::params::to_vec;
use crate::systems::cigan::inversion::encoder::Encoder;
use crate::systems::guidance::{GuidanceSettings, Guided};
use crate::systems::stylegan::Generator;

/// Pulls codes from their [`starts`](crate::systems::stylegan::sample::starts) [N, layers, w_dim] towards the code of a text
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
    observe: impl FnMut(&GuidanceStep) -> bool,
) -> Result<Guided> {
    settings.check()?;
    let target = text.expand(start.dims());
    Guidance { generator, settings, preserve: None, layers: None, marks }
        .run(start, target, observe)
}

/// ‖E(G(w)) − t‖ of pictures [N, 3, res, res] and the code of a text [1, layers, w_dim]: how far
/// from the text E sees each of them.
pub fn distances_to_text(encoder: &Encoder, images: Tensor<4>, text: Tensor<3>) -> Vec<f32> {
    let difference = encoder.forward(images) - text;
    let [n, layers, dim] = difference.dims();
    to_vec(difference.powi_scalar(2).reshape([n, layers * dim]).sum_dim(1).sqrt())
}
