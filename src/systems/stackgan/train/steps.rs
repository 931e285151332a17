//! The steps of an iteration: the batch, the generated images, each discriminator, the generator.

use burn::tensor::{Int, Tensor};

use super::{Source, StackganTrainer};
use crate::error::Result;
use crate::nn::Statistics;
use crate::nn::params::indices;
use crate::systems::gan::step_noise;
use crate::systems::stackgan::colour::{Colours, differences, distances};
use crate::systems::stackgan::losses::{self, Judged};
use crate::systems::text_gan::augmentation::Augmented;
use crate::systems::text_gan::blocks::pyramid;
use crate::systems::text_gan::critics::Scores;

/// The images of an iteration, at the size of each discriminator.
pub(super) struct Batch {
    /// Real images.
    real: Vec<Tensor<4>>,
    text: Option<Text>,
}

struct Text {
    /// The captions of the generated images: `[N, sentence]`.
    captions: Tensor<2>,
    /// The rows of the real images that have captions; `None` if all have.
    rows: Option<Tensor<1, Int>>,
    /// Real images that do not fit the captions of these rows, at the size of each discriminator.
    mismatched: Vec<Tensor<4>>,
}

/// The generated images of an iteration, at the size of each discriminator.
pub(super) struct Fakes {
    images: Vec<Tensor<4>>,
    /// The distributions of their conditions; `None` without captions.
    augmented: Option<Augmented>,
}

impl StackganTrainer {
    /// Normal values for a purpose: `[batch, columns]`.
    fn normal(&self, purpose: &str, columns: usize) -> Tensor<2> {
        let shape = [self.settings.batch, columns];
        step_noise(self.seed, purpose, self.nimg, shape, &self.device)
    }

    pub(super) fn batch(&mut self) -> Result<Batch> {
        let sides = self.settings.network.image_sides();
        let captioned = match &mut self.source {
            Source::Images(images) => {
                let real = pyramid(images.batch(self.nimg)?, &sides);
                return Ok(Batch { real, text: None });
            }
            Source::Captions(captioned) => captioned,
        };
        let batch = captioned.batches.batch(self.nimg)?;
        let rows = (batch.captioned.len() < self.settings.batch)
            .then(|| indices(batch.captioned.iter().copied(), &self.device));
        let mismatched = batch.mismatched.map(|images| pyramid(images, &sides)).unwrap_or_default();
        let text = Text { captions: batch.captions, rows, mismatched };
        Ok(Batch { real: pyramid(batch.real, &sides), text: Some(text) })
    }

    pub(super) fn fakes(&self, batch: &Batch) -> Fakes {
        let network = &self.settings.network;
        let z = self.normal("baseline.z", network.z_dim);
        let (condition, augmented) = match (&self.generator.network().augmentation, &batch.text) {
            (Some(augmentation), Some(text)) => {
                let augmented = augmentation.forward(text.captions.clone());
                let noise = self.normal("baseline.ca", network.condition);
                (augmented.condition(noise), Some(augmented))
            }
            _ => (z.clone(), None),
        };
        Fakes {
            images: self.generator.network().forward(z, condition, Statistics::Batch),
            augmented,
        }
    }

    /// One step of a discriminator. The batches of real, mismatched and generated images pass
    /// separately, because each is normalised by its own statistics.
    pub(super) fn step_d(&mut self, index: usize, batch: &Batch, fakes: &Fakes) {
        let d = self.critics.get(index);
        let (real, fake) = (batch.real[index].clone(), fakes.images[index].clone().inner());
        // The condition is the mean, which is constant here.
        let means = fakes.augmented.as_ref().map(|augmented| augmented.mean.clone().inner());
        let judged = match (&batch.text, means) {
            (Some(text), Some(means)) => {
                let of_reals = match &text.rows {
                    Some(rows) => means.clone().select(0, rows.clone()),
                    None => means.clone(),
                };
                let mismatched = text.mismatched[index].clone();
                Judged {
                    real: d.forward(real, Some(of_reals.clone()), text.rows.clone()),
                    mismatched: Some(d.forward(mismatched, Some(of_reals), None)),
                    fake: d.forward(fake, Some(means), None),
                }
            }
            _ => Judged {
                real: d.forward(real, None, None),
                mismatched: None,
                fake: d.forward(fake, None, None),
            },
        };
        let mut scores = Scores::new(&mut self.means, index);
        scores.add("real", &judged.real);
        scores.add("fake", &judged.fake);
        if let Some(mismatched) = &judged.mismatched {
            scores.add("mismatched", mismatched);
        }
        let loss = losses::discriminator(judged, self.settings.unconditional_weight);
        self.means.add(&format!("loss/D{index}"), loss.clone().inner());
        self.critics.step(index, &loss, self.settings.lr);
    }

    /// One step of G on the images that the discriminators were trained on, judged by the updated
    /// discriminators.
    pub(super) fn step_g(&mut self, fakes: Fakes) {
        let Fakes { images, augmented } = fakes;
        let means = augmented.as_ref().map(|augmented| augmented.mean.clone());
        let weight = self.settings.unconditional_weight;
        let loss = |logits| losses::generator(logits, weight);
        let mut loss = self.critics.adversarial(&images, means.as_ref(), loss);
        self.means.add("loss/G", loss.clone().inner());
        if let Some(augmented) = &augmented {
            let divergence = augmented.divergence();
            self.means.add("loss/divergence", divergence.clone().inner());
            loss = loss + divergence * self.settings.divergence_weight;
        }
        if let Some(colour) = self.colour(&images) {
            self.means.add("loss/colour", colour.clone().inner());
            loss = loss + colour * self.settings.colour;
        }
        self.generator.step(&loss, self.settings.lr);
    }

    /// The differences in colour between images of consecutive sizes, without their weight. `None` if
    /// there is one size, or if they have no weight.
    fn colour(&mut self, images: &[Tensor<4>]) -> Option<Tensor<1>> {
        let weighted = self.settings.colour > 0.0;
        let of = |image: &Tensor<4>| match weighted {
            true => Colours::of(image.clone()),
            false => Colours::of(image.clone().inner()),
        };
        let colours: Vec<Colours> = images.iter().map(of).collect();
        let mut sum: Option<Tensor<1>> = None;
        for (index, pair) in colours.windows(2).enumerate() {
            let [mean, covariance] = distances(&pair[1], &pair[0]);
            self.means.add(&format!("colour/mean{}", index + 1), mean);
            self.means.add(&format!("colour/covariance{}", index + 1), covariance);
            if weighted {
                let [mean, covariance] = differences(&pair[1], &pair[0]);
                let term = mean + covariance * self.settings.colour_covariance;
                sum = Some(sum.map_or(term.clone(), |sum| sum + term));
            }
        }
        sum
    }
}
