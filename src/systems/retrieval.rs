//! Retrieval between captions and images by the distance of their codes.

use burn::tensor::Tensor;

use crate::data::Archive;
use crate::error::Result;
use crate::metrics::retrieval::{AT, Retrieval, ranks_in_rows, transposed};
use crate::nn::contrast::squared_distances;
use crate::nn::params::to_vec;
use crate::report::Metrics;

/// Captions per image in retrieval.
pub const CAPTIONS: usize = 3;
/// Captions on the device at once.
pub const CAPTIONS_AT_ONCE: usize = 256;

/// Retrieval text → image and image → text among the images `indices`, whose codes are `codes`
/// `[N, layers, w_dim]`, over the first captions of each image. `texts` maps captions to codes.
///
/// # Errors
/// If a caption contains no token.
pub fn retrieval(
    archive: &Archive,
    indices: &[usize],
    codes: Tensor<3>,
    texts: impl Fn(&[&str]) -> Result<Tensor<3>>,
) -> Result<[Retrieval; 2]> {
    let n = indices.len();
    let w = flat(codes);
    let (mut to_image, mut to_text) = (Vec::new(), Vec::new());
    for caption in 0..CAPTIONS {
        let captions: Vec<&str> = indices
            .iter()
            .map(|&i| {
                let captions = &archive.images()[i].captions;
                captions[caption.min(captions.len() - 1)].as_str()
            })
            .collect();
        let t = captions.chunks(CAPTIONS_AT_ONCE).map(&texts).collect::<Result<Vec<_>>>()?;
        let distances = to_vec(squared_distances(flat(Tensor::cat(t, 0)), w.clone()));
        to_image.extend(ranks_in_rows(&distances, n));
        to_text.extend(ranks_in_rows(&transposed(&distances, n), n));
    }
    Ok([Retrieval::of(to_image, n), Retrieval::of(to_text, n)])
}

/// A code as one vector: `[N, layers, w_dim]` → `[N, layers·w_dim]`.
pub fn flat(codes: Tensor<3>) -> Tensor<2> {
    let [n, layers, d] = codes.dims();
    codes.reshape([n, layers * d])
}

/// Sets the measures of both directions under a prefix. Returns the sum of the recalls.
pub fn set_retrieval(metrics: &mut Metrics, prefix: &str, found: &[Retrieval; 2]) -> f64 {
    let mut total = 0.0;
    for (name, retrieval) in ["text_to_image", "image_to_text"].iter().zip(found) {
        for (k, recall) in AT.iter().zip(retrieval.recall) {
            metrics.set(format!("{prefix}/{name}_r{k}"), recall);
            total += recall;
        }
        metrics.set(format!("{prefix}/{name}_median_rank"), retrieval.median_rank);
    }
    total
}

/// Sets the measures of random guessing among `candidates`.
pub fn set_chance(metrics: &mut Metrics, candidates: usize) {
    let chance = Retrieval::chance(candidates);
    for (k, recall) in AT.iter().zip(chance.recall) {
        metrics.set(format!("chance/r{k}"), recall);
    }
    metrics.set("chance/median_rank", chance.median_rank);
}
