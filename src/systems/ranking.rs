//! Ranking drawn images by their agreement with a prompt.

use burn::tensor::Tensor;

use super::abilities::ImageDescriber;
use super::requests::Drawn;
use super::similarity::ImageTextSimilarity;
use super::system::Loaded;
use crate::device::IMAGES_AT_ONCE;
use crate::error::{Error, Result};
use crate::language::{Prompt, WeightedPrompt};
use crate::nn::params::{indices, to_vec};

/// A judge of the agreement of images with prompts.
#[derive(Clone, Copy)]
pub enum Judge<'a> {
    /// Encoders of images and texts; images agree by the cosine of the vectors.
    Encoders(&'a dyn ImageTextSimilarity),
    /// A captioner; images agree by how much more likely they make the text.
    Captioner(&'a dyn ImageDescriber),
}

impl<'a> Judge<'a> {
    /// The judge that a model contains. A captioner comes first, because its model contains the
    /// encoders that it was trained with as well.
    ///
    /// # Errors
    /// If the model has none.
    pub fn of(loaded: &'a dyn Loaded) -> Result<Self> {
        match loaded.describer() {
            Ok(captioner) => Ok(Self::Captioner(captioner)),
            Err(_) => loaded.similarity().map(Self::Encoders),
        }
    }

    /// Checks a prompt, which messages call `flag` and which may have weights.
    ///
    /// # Errors
    /// If the prompt cannot be read, or nothing of it is in the vocabulary.
    pub fn check_prompt(&self, flag: &str, prompt: &str) -> Result<Prompt> {
        match self {
            Self::Encoders(encoders) => encoders.check_prompt(flag, prompt),
            Self::Captioner(captioner) => captioner.check_prompt(flag, prompt),
        }
    }

    /// What to know before it judges images of this side, if it is not made for them.
    pub fn warning(&self, side: usize) -> Option<String> {
        match self {
            Self::Encoders(encoders) => encoders.warning(side),
            Self::Captioner(_) => None,
        }
    }

    /// Agreement of images `[N, 3, H, W]` with a prompt, in chunks of images: `[N]`.
    ///
    /// # Errors
    /// If the prompt cannot be read.
    pub fn agreement(
        &self,
        prompt: &str,
        chunks: impl Iterator<Item = Tensor<4>>,
    ) -> Result<Vec<f32>> {
        let prompt = WeightedPrompt::parse(prompt)?;
        match self {
            Self::Encoders(encoders) => {
                let text = prompt.code(|texts| encoders.texts(texts))?.transpose();
                let scores = |images| to_vec(encoders.images(images).matmul(text.clone()));
                Ok(chunks.flat_map(scores).collect())
            }
            Self::Captioner(captioner) => {
                let scores = |images: Tensor<4>| {
                    let scores = prompt.code(|texts| captioner.information(images, texts))?;
                    Ok(to_vec(scores))
                };
                Ok(chunks.map(scores).collect::<Result<Vec<_>>>()?.concat())
            }
        }
    }
}

/// Cosine between each of the images `[N, 3, H, W]` and its caption.
///
/// # Errors
/// If a caption cannot be read.
pub fn cosines(
    encoders: &dyn ImageTextSimilarity,
    images: Tensor<4>,
    captions: &[&str],
) -> Result<Vec<f32>> {
    Ok(to_vec((encoders.images(images) * encoders.texts(captions)?).sum_dim(1)))
}

/// Keeps the `keep` images that agree best with the prompt, best first. `render` draws codes
/// `[N, layers, dim]`.
///
/// # Errors
/// If the prompt cannot be read, or the judge gives no finite or only equal numbers for different codes.
pub fn best(
    drawn: Drawn,
    prompt: &str,
    keep: usize,
    judge: Judge,
    render: impl Fn(Tensor<3>) -> Tensor<4>,
) -> Result<Drawn> {
    let chunks = drawn.codes.clone().split(IMAGES_AT_ONCE, 0).into_iter();
    let scores = judge.agreement(prompt, chunks.map(render))?;
    check_finite(&scores)?;
    if differ(&drawn.codes) && scores.iter().all(|score| *score == scores[0]) {
        return Err(unrankable("is the same for all of them"));
    }
    let distances: Vec<f32> = scores.into_iter().map(|score| -score).collect();
    Ok(drawn.nearest(&distances, keep))
}

/// Checks the agreement of images with their texts before they are ranked by it.
///
/// # Errors
/// If a number is not finite.
pub fn check_finite(scores: &[f32]) -> Result<()> {
    match scores.iter().all(|score| score.is_finite()) {
        true => Ok(()),
        false => Err(unrankable("is not finite for some of them")),
    }
}

fn unrankable(fault: &str) -> Error {
    Error::user(format!("the images cannot be ranked: their agreement with the prompt {fault}"))
        .hint("the weights of the model that ranks may be damaged; omit --candidates")
}

/// Whether some of the codes `[N, layers, dim]` differ. Equal codes give equal images, as do all seeds
/// with a truncation of 0.
fn differ(codes: &Tensor<3>) -> bool {
    let first = codes.clone().narrow(0, 0, 1);
    to_vec((codes.clone() - first).abs().max())[0] > 0.0
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

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, TensorData};

    use super::*;

    /// The mean of an image, times a scale.
    struct Brightness(f32);

    impl ImageTextSimilarity for Brightness {
        fn check_prompt(&self, _flag: &str, _prompt: &str) -> Result<Prompt> {
            unreachable!("ranking reads texts, not prompts")
        }

        fn images(&self, images: Tensor<4>) -> Tensor<2> {
            images.flatten::<2>(1, 3).mean_dim(1) * self.0
        }

        fn texts(&self, captions: &[&str]) -> Result<Tensor<2>> {
            Ok(Tensor::ones([captions.len(), 1], &Device::flex()))
        }
    }

    fn ranked(codes: [f32; 3], scale: f32) -> Result<Drawn> {
        let codes = TensorData::new(codes.to_vec(), [3, 1, 1]);
        let codes = Tensor::from_data(codes, &Device::flex());
        let drawn = Drawn { seeds: vec![7, 8, 9], codes, marked: vec![], guided: None };
        let render = |codes: Tensor<3>| codes.unsqueeze_dim::<4>(3).expand([-1, 3, 4, 4]);
        best(drawn, "a bird", 2, Judge::Encoders(&Brightness(scale)), render)
    }

    #[test]
    fn the_best_come_first_and_a_judge_that_sees_nothing_is_refused() {
        let codes = [0.1, 0.3, 0.2];
        assert_eq!(ranked(codes, 1.0).unwrap().seeds, [8, 9]);
        assert_eq!(ranked(codes, -1.0).unwrap().seeds, [7, 9]);
        for blind in [0.0, f32::NAN, f32::INFINITY] {
            let error = ranked(codes, blind).err().expect("it cannot rank");
            assert!(error.message.contains("images cannot be ranked"), "{}", error.message);
        }
        assert!(ranked([0.1, f32::INFINITY, 0.2], 1.0).is_err());
        // The same image again and again is no fault of the judge.
        assert_eq!(ranked([0.2; 3], 1.0).unwrap().seeds, [7, 8]);
    }
}
