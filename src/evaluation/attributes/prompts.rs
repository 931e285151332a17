//! Prompts of one or three attributes, and mean codes that need no text encoder.

use burn::tensor::{Tensor, TensorData};

use super::truth::{Claim, Heads};
use crate::data::Split;
use crate::data::synth::{Colour, Part, prompt};
use crate::draws;
use crate::error::Result;
use crate::evaluation::EvaluationContext;
use crate::nn::params::to_vec;
use crate::systems::TextCodes;
use crate::systems::encoding::encode;

/// Number of prompts with three attributes.
const THREE_ATTRIBUTE_PROMPTS: u64 = 40;
/// Largest number of training images whose codes are averaged.
const AVERAGED: usize = 4096;

/// A text with the attributes that an image of it must show.
#[derive(Debug, Clone, PartialEq)]
pub struct Prompt {
    /// The text, in the vocabulary of the captions.
    pub text: String,
    /// The attributes that the text names.
    pub claims: Vec<Claim>,
}

impl Prompt {
    /// Creates the prompt for some claims: parts are indices into [`Part::COLOURED`], colours into
    /// [`Colour::ALL`].
    pub fn of(claims: &[Claim]) -> Self {
        let colours: Vec<(Part, Colour)> = claims
            .iter()
            .map(|&(part, colour)| (Part::COLOURED[part], Colour::ALL[colour]))
            .collect();
        Self { text: prompt(&colours), claims: claims.to_vec() }
    }
}

/// Prompts of one attribute: every colour of every part.
pub fn single_attribute_prompts() -> Vec<Prompt> {
    let parts = 0..Part::COLOURED.len();
    parts
        .flat_map(|part| (0..Colour::ALL.len()).map(move |colour| Prompt::of(&[(part, colour)])))
        .collect()
}

/// Prompts of three attributes: three parts of one bird, with independent random colours.
pub fn three_attribute_prompts(seed: u64) -> Vec<Prompt> {
    use rand::Rng;
    (0..THREE_ATTRIBUTE_PROMPTS)
        .map(|index| {
            let mut rng = draws::stream(seed, "attributes.prompt", index);
            let parts = draws::permutation(&mut rng, Part::COLOURED.len());
            let claims: Vec<Claim> = parts[..3]
                .iter()
                .map(|&part| (part as usize, rng.random_range(0..Colour::ALL.len())))
                .collect();
            Prompt::of(&claims)
        })
        .collect()
}

/// T(text) of every prompt: `[N, layers, w_dim]`.
///
/// # Errors
/// Fails if the model has no text encoder.
pub fn text_codes(space: &dyn TextCodes, prompts: &[Prompt]) -> Result<Tensor<3>> {
    let texts: Vec<&str> = prompts.iter().map(|prompt| prompt.text.as_str()).collect();
    space.texts(&texts)
}

/// Mean codes of training images with given attributes, which a text encoder fitted by least
/// squares would return. A mean is less extreme than the codes it averages, so T may do better.
pub struct MeanCodes {
    /// Mean code of all images.
    all: Vec<f32>,
    /// Offset from `all` for each part and colour.
    shift: Vec<Vec<Vec<f32>>>,
    layers: usize,
}

impl MeanCodes {
    /// Computes the means over the training images of the archive, whose attributes are `truth`.
    ///
    /// # Errors
    /// Fails if an image cannot be read.
    pub fn of(
        space: &dyn TextCodes,
        truth: &[Vec<usize>],
        setting: &EvaluationContext,
    ) -> Result<Self> {
        let mut indices = setting.archive.indices_of(Split::Train);
        indices.truncate(AVERAGED);
        let codes = encode(setting.archive, &indices, setting.device, |x| space.invert(x))?;
        let [n, layers, dim] = codes.dims();
        let values = to_vec(codes);
        let mean = |rows: &mut dyn Iterator<Item = usize>| {
            let mut sum = vec![0f64; layers * dim];
            let mut count = 0;
            for row in rows {
                let code = &values[row * layers * dim..][..layers * dim];
                sum.iter_mut().zip(code).for_each(|(sum, &v)| *sum += f64::from(v));
                count += 1;
            }
            let mean = |sum: f64| (sum / f64::from(count)) as f32;
            (count > 0).then(|| sum.into_iter().map(mean).collect::<Vec<f32>>())
        };
        let all = mean(&mut (0..n)).unwrap_or_else(|| vec![0.0; layers * dim]);
        let shift = |part: usize, colour: usize| {
            let mut rows = (0..n).filter(|&row| truth[indices[row]][part] == colour);
            // A colour that no image shows has offset 0.
            let own = mean(&mut rows).unwrap_or_else(|| all.clone());
            own.iter().zip(&all).map(|(own, all)| own - all).collect()
        };
        let colours = |part| (0..Colour::ALL.len()).map(|colour| shift(part, colour)).collect();
        let shift = Heads::new().colours().map(colours).collect();
        Ok(Self { all, shift, layers })
    }

    /// The mean code of each prompt: `[N, layers, w_dim]`. The attributes of synthetic birds are
    /// independent, so the offsets of one prompt add up.
    pub fn codes(&self, prompts: &[Prompt], setting: &EvaluationContext) -> Tensor<3> {
        let mut values = Vec::with_capacity(prompts.len() * self.all.len());
        for prompt in prompts {
            let mut code = self.all.clone();
            for &(part, colour) in &prompt.claims {
                code.iter_mut().zip(&self.shift[part][colour]).for_each(|(v, shift)| *v += shift);
            }
            values.extend(code);
        }
        let shape = [prompts.len(), self.layers, self.all.len() / self.layers];
        Tensor::from_data(TensorData::new(values, shape), setting.device)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prompts_name_their_claims() {
        let (one, three) = (single_attribute_prompts(), three_attribute_prompts(7));
        assert_eq!(one.len(), 40);
        assert_eq!(one[0].text, "a bird with a red crown");
        for prompt in one.iter().chain(&three) {
            for &(part, colour) in &prompt.claims {
                let label =
                    format!("{} {}", Colour::ALL[colour].name(), Part::COLOURED[part].name());
                assert!(prompt.text.contains(&label), "{prompt:?}");
            }
        }
        for prompt in &three {
            let mut parts: Vec<usize> = prompt.claims.iter().map(|&(part, _)| part).collect();
            parts.sort_unstable();
            parts.dedup();
            assert_eq!(parts.len(), 3, "{prompt:?}");
        }
        assert_eq!(three, three_attribute_prompts(7));
        assert_ne!(three, three_attribute_prompts(8));
    }
}
