//! Ranking drawn images by their agreement with a prompt.

use burn::tensor::Tensor;

use super::abilities::ImageTextSimilarity;
use super::requests::Drawn;
use crate::device::IMAGES_AT_ONCE;
use crate::error::Result;
use crate::language::WeightedPrompt;
use crate::nn::params::{indices, to_vec};

/// Agreement of the vectors of images `[N, 3, H, W]` with a prompt, in chunks of images: `[N]`. It is
/// their cosine if the prompt has no weights.
///
/// # Errors
/// If the prompt cannot be read.
pub fn agreement(
    similarity: &dyn ImageTextSimilarity,
    prompt: &str,
    chunks: impl Iterator<Item = Tensor<4>>,
) -> Result<Vec<f32>> {
    let prompt = WeightedPrompt::parse(prompt)?;
    let text = prompt.code(|texts| similarity.texts(texts))?.transpose();
    Ok(chunks.flat_map(|images| to_vec(similarity.images(images).matmul(text.clone()))).collect())
}

/// Keeps the `keep` images that agree best with the prompt, best first. `render` draws codes
/// `[N, layers, dim]`.
///
/// # Errors
/// If the prompt cannot be read.
pub fn best(
    drawn: Drawn,
    prompt: &str,
    keep: usize,
    similarity: &dyn ImageTextSimilarity,
    render: impl Fn(Tensor<3>) -> Tensor<4>,
) -> Result<Drawn> {
    let chunks = drawn.codes.clone().split(IMAGES_AT_ONCE, 0).into_iter();
    let scores = agreement(similarity, prompt, chunks.map(render))?;
    let distances: Vec<f32> = scores.into_iter().map(|score| -score).collect();
    Ok(drawn.nearest(&distances, keep))
}

impl Drawn {
    /// Keeps the `keep` images with the lowest `distances` `[N]`, lowest first.
    pub fn nearest(self, distances: &[f32], keep: usize) -> Self {
        let mut order: Vec<usize> = (0..self.seeds.len()).collect();
        order.sort_by(|&a, &b| distances[a].total_cmp(&distances[b]));
        order.truncate(keep);
        let rows = indices(order.iter().copied(), &self.codes.device());
        let kept = |codes: &Tensor<3>| codes.clone().select(0, rows.clone());
        Self {
            seeds: order.iter().map(|&i| self.seeds[i]).collect(),
            marked: self.marked.iter().map(kept).collect(),
            codes: kept(&self.codes),
            guided: self.guided,
        }
    }
}
