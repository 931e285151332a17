//! Images of a model from captions, as the measures draw them.

use burn::tensor::Tensor;

use super::features::CHUNK;
use super::{EvaluationContext, Subject};
use crate::error::Result;
use crate::systems::TextToImage;
use crate::systems::guidance::GuidanceSettings;
use crate::systems::ranking::check_finite;
use crate::systems::requests::Illustrated;

/// Largest number of candidates per caption.
pub const MOST_CANDIDATES: usize = 1000;

/// Draws one image per caption, the caption at place i from the seed `first` + i, or the best of
/// several candidates for each. The images have the size of those in the archive.
///
/// # Errors
/// If the model does not generate images from text, or cannot rank candidates.
pub(super) fn illustrate(
    subject: &Subject,
    captions: &[&str],
    first: u64,
    setting: &EvaluationContext,
) -> Result<Illustrated> {
    let model = subject.text_to_image()?;
    let guidance = setting.guidance(subject);
    let drawn = match setting.candidates {
        1 => model.illustrate(captions, first, &guidance),
        each => best_of(model, captions, first, each, &guidance),
    }?;
    Ok(Illustrated { images: subject.fitted(drawn.images)?, ..drawn })
}

/// Draws `each` images per caption and keeps the one that agrees best with it according to the
/// model. The caption at place i has the seeds from (`first` + i)·`each` on, so that no two places
/// share one. `arrived` counts all images drawn.
fn best_of(
    model: &dyn TextToImage,
    captions: &[&str],
    first: u64,
    each: usize,
    guidance: &GuidanceSettings,
) -> Result<Illustrated> {
    let mut kept = Kept::default();
    let (mut drawn, mut arrived) = (0, None);
    let first = first.wrapping_mul(each as u64);
    let repeated = captions.iter().flat_map(|caption| std::iter::repeat_n(*caption, each));
    let repeated: Vec<&str> = repeated.collect();
    for chunk in repeated.chunks(CHUNK) {
        let illustrated = model.illustrate(chunk, first.wrapping_add(drawn as u64), guidance)?;
        let scores = model.agreement(illustrated.images.clone(), chunk)?;
        kept.add(drawn, each, &illustrated.images, &scores)?;
        drawn += chunk.len();
        if let Some(count) = illustrated.arrived {
            *arrived.get_or_insert(0) += count;
        }
    }
    Ok(Illustrated { images: Tensor::cat(kept.images, 0), arrived })
}

/// The best image of each group so far. Only these stay in memory.
#[derive(Default)]
struct Kept {
    scores: Vec<f32>,
    images: Vec<Tensor<4>>,
}

impl Kept {
    /// Adds images `[N, 3, res, res]` with their scores, the first of which is number `from` of all;
    /// `each` successive ones are a group. Of equal scores, the first wins.
    ///
    /// # Errors
    /// If a score is not finite.
    fn add(&mut self, from: usize, each: usize, images: &Tensor<4>, scores: &[f32]) -> Result<()> {
        check_finite(scores)?;
        for (place, &score) in scores.iter().enumerate() {
            let group = (from + place) / each;
            let image = || images.clone().narrow(0, place, 1);
            if group == self.scores.len() {
                self.scores.push(score);
                self.images.push(image());
            } else if score > self.scores[group] {
                self.scores[group] = score;
                self.images[group] = image();
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, TensorData};

    use super::*;
    use crate::language::PromptTokenizer;
    use crate::nn::params::to_vec;
    use crate::systems::requests::{Draw, DrawStep, Drawn};

    /// Images of one pixel, whose red is the seed. Agreement is a pattern of the seed, which is
    /// largest where seed mod 5 is the length of the caption.
    struct Seeds;

    impl TextToImage for Seeds {
        fn tokenizer(&self) -> &dyn PromptTokenizer {
            unreachable!("captions are not read")
        }

        fn code_sizes(&self) -> Vec<[usize; 2]> {
            unreachable!("no codes are read")
        }

        fn draw(&self, _: &Draw, _: &mut dyn FnMut(&DrawStep) -> bool) -> Result<Drawn> {
            unreachable!("no prompt is drawn")
        }

        fn illustrate(
            &self,
            captions: &[&str],
            first: u64,
            _settings: &GuidanceSettings,
        ) -> Result<Illustrated> {
            let seeds: Vec<f32> = (first..).take(captions.len()).map(|seed| seed as f32).collect();
            let arrived = Some(captions.len() / 2);
            let data = TensorData::new(seeds, [captions.len(), 1, 1, 1]);
            let images = Tensor::<4>::from_data(data, &Device::flex()).expand([-1, 3, 1, 1]);
            Ok(Illustrated { images, arrived })
        }

        fn agreement(&self, images: Tensor<4>, captions: &[&str]) -> Result<Vec<f32>> {
            let seeds = to_vec(images.narrow(1, 0, 1));
            let score = |(seed, caption): (f32, &&str)| -(seed % 5.0 - caption.len() as f32).abs();
            Ok(seeds.into_iter().zip(captions).map(score).collect())
        }

        fn render(&self, _codes: Tensor<3>) -> Tensor<4> {
            unreachable!("no codes are drawn")
        }
    }

    #[test]
    fn the_best_candidate_of_each_caption_is_kept() {
        // Twelve captions with five seeds each are more than one batch.
        let captions = ["aaa", "", "a", "aaaa"].repeat(3);
        let settings = GuidanceSettings::default();
        let drawn = best_of(&Seeds, &captions, 2, 5, &settings).unwrap();
        let kept = to_vec(drawn.images.narrow(1, 0, 1));
        let expected: Vec<f32> = captions
            .iter()
            .enumerate()
            .map(|(place, caption)| ((2 + place) * 5 + caption.len()) as f32)
            .collect();
        assert_eq!(kept, expected);
        assert_eq!(drawn.arrived, Some(30), "half of sixty");
    }

    #[test]
    fn of_equal_candidates_the_first_is_kept_and_broken_scores_are_refused() {
        let numbers = TensorData::new((0..6).map(|i| i as f32).collect(), [6, 1, 1, 1]);
        let images = Tensor::<4>::from_data(numbers, &Device::flex());
        let scores = [-3.0, -1.0, -2.0, 0.5, 0.5, 0.25];
        for (each, expected) in [(3, vec![1.0, 3.0]), (2, vec![1.0, 3.0, 4.0])] {
            let mut kept = Kept::default();
            // In two parts, of which the first ends within a group.
            kept.add(0, each, &images.clone().narrow(0, 0, 5), &scores[..5]).unwrap();
            kept.add(5, each, &images.clone().narrow(0, 5, 1), &scores[5..]).unwrap();
            assert_eq!(to_vec(Tensor::cat(kept.images, 0)), expected);
        }
        for broken in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let error = Kept::default().add(0, 1, &images, &[broken; 6]).unwrap_err();
            assert!(error.message.contains("cannot be ranked"), "{}", error.message);
        }
    }
}
