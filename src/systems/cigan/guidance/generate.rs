//! Generating images from text: random codes are moved towards the code of the text.

use burn::tensor::Tensor;

use super::objective::{Guidance, GuidanceStep};
use super::similarity::Similar;
use crate::error::Result;
use crate::nn::params::to_vec;
use crate::systems::cigan::inversion::encoder::Encoder;
use crate::systems::guidance::{GuidanceSettings, Guided};
use crate::systems::stylegan::Generator;

/// Moves codes from their [`starts`](crate::systems::stylegan::sample::starts) `[N, layers, w_dim]`
/// towards codes of texts, either one for all (`[1, layers, w_dim]`) or one per code; `similar` adds
/// the similarity term. Also records the codes at the strengths `marks`.
///
/// # Errors
/// If a setting is out of range or the optimisation diverges.
pub fn generate(
    generator: &Generator,
    text: Tensor<3>,
    start: Tensor<3>,
    similar: Option<&Similar>,
    settings: &GuidanceSettings,
    marks: &[f64],
    observe: impl FnMut(&GuidanceStep) -> bool,
) -> Result<Guided> {
    settings.check()?;
    let target = text.expand(start.dims());
    Guidance { generator, settings, preserve: None, similar, layers: None, marks }
        .run(start, target, observe)
}

/// Distances ‖E(x) − t‖ between the inversions of images x `[N, 3, res, res]` and the code t
/// `[1, layers, w_dim]` of a text, one per image.
pub fn distances_to_text(encoder: &Encoder, images: Tensor<4>, text: Tensor<3>) -> Vec<f32> {
    let difference = encoder.forward(images) - text;
    let [n, layers, dim] = difference.dims();
    to_vec(difference.powi_scalar(2).reshape([n, layers * dim]).sum_dim(1).sqrt())
}
