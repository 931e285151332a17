//! Encoders that compare images with texts, and the term that they add to the guided optimisation.

use std::fmt;

use burn::tensor::Tensor;

use crate::error::Result;
use crate::language::Prompt;

/// Vectors of images and of texts whose cosine measures how well they agree.
pub trait ImageTextSimilarity: Send + Sync {
    /// Checks a prompt, which messages call `flag` and which may have weights.
    ///
    /// # Errors
    /// If the prompt cannot be read, or nothing of it is in the vocabulary.
    fn check_prompt(&self, flag: &str, prompt: &str) -> Result<Prompt>;

    /// Unit vectors `[N, size]` of images `[N, 3, H, W]` in [-1, 1], of any size.
    fn images(&self, images: Tensor<4>) -> Tensor<2>;

    /// Unit vectors `[N, size]` of texts.
    ///
    /// # Errors
    /// If a text cannot be read.
    fn texts(&self, captions: &[&str]) -> Result<Tensor<2>>;

    /// What to know before it judges images of this side, if it is not made for them.
    fn warning(&self, _side: usize) -> Option<String> {
        None
    }
}

/// The similarity term of the guided optimisation: images are also to agree with their prompt
/// according to other encoders (not part of the paper). Its weight is
/// [`GuidanceSettings::similarity_weight`](super::guidance::GuidanceSettings::similarity_weight).
#[derive(Clone, Copy)]
pub struct Similarity<'a>(pub &'a dyn ImageTextSimilarity);

impl fmt::Debug for Similarity<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Similarity")
    }
}
