//! The steps of an iteration: the batch, the generated images, each discriminator, the generator.

use std::ops::Range;

use burn::tensor::{Int, Tensor};

use super::{Source, StackganTrainer};
use crate::error::Result;
use crate::nn::Statistics;
use crate::nn::params::{NamedGradients, indices};
use crate::systems::gan::step_noise;
use crate::systems::stackgan::colour::{Colours, differences, distances};
use crate::systems::stackgan::losses::{self, Judged};
use crate::systems::text_gan::augmentation::Augmented;
use crate::systems::text_gan::blocks::pyramid;
use crate::systems::text_gan::caption_batches::CaptionRound;
use crate::systems::text_gan::critics::Scores;
use crate::systems::text_gan::discriminator::Discriminator;
use crate::train::round_values::RoundValues;
use crate::train::rounds::{portion, rows as rows_of};

/// The images of a round, at the size of each discriminator.
pub(super) struct Round {
    /// Its share in the batch.
    share: f64,
    /// Real images.
    real: Vec<Tensor<4>>,
    text: Option<Text>,
    /// Generated images.
    fakes: Vec<Tensor<4>>,
    /// The distributions of their conditions; `None` without captions.
    augmented: Option<Augmented>,
}

struct Text {
    /// The captions of the generated images: `[N, sentence]`.
    captions: Tensor<2>,
    /// The rows of the real images that have captions; `None` if all have.
    rows: Option<Tensor<1, Int>>,
    /// Real images that do not fit the captions of these rows, at the size of each discriminator.
    mismatched: Vec<Tensor<4>>,
}

impl StackganTrainer {
    /// Normal values for a purpose: `[batch, columns]`.
    fn normal(&self, purpose: &str, columns: usize) -> Tensor<2> {
        let shape = [self.settings.batch, columns];
        step_noise(self.seed, purpose, self.nimg, shape, &self.device)
    }

    /// This rank's rounds of a batch, with generated images.
    pub(super) fn batch(&mut self) -> Result<Vec<Round>> {
        let sides = self.settings.network.image_sides();
        let own = self.rounds.own();
        let reals: Vec<(Vec<Tensor<4>>, Option<Text>)> = match &mut self.source {
            Source::Images(images) => {
                let images = images.batch(self.nimg)?.into_iter();
                images.map(|real| (pyramid(real, &sides), None)).collect()
            }
            Source::Captions(captioned) => {
                let batch = captioned.batches.batch(self.nimg)?;
                let of_round = |round: CaptionRound| {
                    let captioned = batch.captioned[round.captioned].iter();
                    let own = captioned.map(|row| row - round.rows.start);
                    let rows = (own.len() < round.rows.len()).then(|| indices(own, &self.device));
                    let mismatched = round.mismatched.map(|images| pyramid(images, &sides));
                    let captions = rows_of(&batch.captions, &round.rows);
                    let text = Text { captions, rows, mismatched: mismatched.unwrap_or_default() };
                    (pyramid(round.real, &sides), Some(text))
                };
                batch.rounds.into_iter().map(of_round).collect()
            }
        };
        let network = &self.settings.network;
        let z = self.normal("baseline.z", network.z_dim);
        let noise = match network.unconditional {
            true => None,
            false => Some(self.normal("baseline.ca", network.condition)),
        };
        let drawn = |((range, share), (real, text)): ((Range<usize>, f64), (_, Option<Text>))| {
            let z = rows_of(&z, &range);
            let generator = self.generator.network();
            let (condition, augmented) = match (&generator.augmentation, &text, &noise) {
                (Some(augmentation), Some(text), Some(noise)) => {
                    let augmented = augmentation.forward(text.captions.clone());
                    (augmented.condition(rows_of(noise, &range)), Some(augmented))
                }
                _ => (z.clone(), None),
            };
            let fakes = generator.forward(z, condition, Statistics::Batch);
            Round { share, real, text, fakes, augmented }
        };
        Ok(own.zip(reals).map(drawn).collect())
    }

    /// One step of a discriminator. The batches of real, mismatched and generated images pass
    /// separately, because each is normalised by its own statistics.
    ///
    /// # Errors
    /// If a rank does not answer.
    pub(super) fn step_d(&mut self, index: usize, rounds: &[Round]) -> Result<()> {
        let d = self.critics.get(index);
        let (mut gradients, mut values) = (self.rounds.gradients(), self.rounds.values());
        for round in rounds {
            let judged = judged(d, index, round);
            let mut scores = Scores::new(&mut values, index, round.share);
            scores.add("real", &judged.real);
            scores.add("fake", &judged.fake);
            if let Some(mismatched) = &judged.mismatched {
                scores.add("mismatched", mismatched);
            }
            let loss = losses::discriminator(judged, self.settings.unconditional_weight);
            values.portion(&format!("loss/D{index}"), loss.clone().inner(), round.share);
            let loss = portion(loss, round.share);
            gradients.add(NamedGradients::of(d, &loss.backward()));
        }
        values.finish(&mut self.means)?;
        let gradients = gradients.finish(d)?;
        self.critics.step(index, gradients, self.settings.lr);
        Ok(())
    }

    /// One step of G on the images that the discriminators were trained on, judged by the updated
    /// discriminators.
    ///
    /// # Errors
    /// If a rank does not answer.
    pub(super) fn step_g(&mut self, rounds: Vec<Round>) -> Result<()> {
        let (mut gradients, mut values) = (self.rounds.gradients(), self.rounds.values());
        for round in rounds {
            let loss = self.generator_loss(&round, &mut values);
            gradients.add(NamedGradients::of(self.generator.network(), &loss.backward()));
        }
        values.finish(&mut self.means)?;
        let gradients = gradients.finish(self.generator.network())?;
        self.generator.step(gradients, self.settings.lr);
        Ok(())
    }

    /// A round's portion of the loss of G → `[1]`.
    fn generator_loss(&self, round: &Round, values: &mut RoundValues) -> Tensor<1> {
        let Round { share, fakes, augmented, .. } = round;
        let means = augmented.as_ref().map(|augmented| augmented.mean.clone());
        let weight = self.settings.unconditional_weight;
        let loss = |logits| losses::generator(logits, weight);
        let mut loss = self.critics.adversarial(fakes, means.as_ref(), loss);
        let mut log = |name: &str, value: Tensor<1>| values.portion(name, value, *share);
        log("loss/G", loss.clone().inner());
        if let Some(augmented) = augmented {
            let divergence = augmented.divergence();
            log("loss/divergence", divergence.clone().inner());
            loss = loss + divergence * self.settings.divergence_weight;
        }
        if let Some(colour) = self.colour(fakes, &mut log) {
            log("loss/colour", colour.clone().inner());
            loss = loss + colour * self.settings.colour;
        }
        portion(loss, *share)
    }

    /// The differences in colour between images of consecutive sizes, without their weight. `None` if
    /// there is one size, or if they have no weight. `log` receives the distances.
    fn colour(
        &self,
        images: &[Tensor<4>],
        log: &mut impl FnMut(&str, Tensor<1>),
    ) -> Option<Tensor<1>> {
        let weighted = self.settings.colour > 0.0;
        let of = |image: &Tensor<4>| match weighted {
            true => Colours::of(image.clone()),
            false => Colours::of(image.clone().inner()),
        };
        let colours: Vec<Colours> = images.iter().map(of).collect();
        let mut sum: Option<Tensor<1>> = None;
        for (index, pair) in colours.windows(2).enumerate() {
            let [mean, covariance] = distances(&pair[1], &pair[0]);
            log(&format!("colour/mean{}", index + 1), mean);
            log(&format!("colour/covariance{}", index + 1), covariance);
            if weighted {
                let [mean, covariance] = differences(&pair[1], &pair[0]);
                let term = mean + covariance * self.settings.colour_covariance;
                sum = Some(sum.map_or(term.clone(), |sum| sum + term));
            }
        }
        sum
    }
}

/// The logits of a discriminator for the images of a round.
fn judged(d: &Discriminator, index: usize, round: &Round) -> Judged {
    let (real, fake) = (round.real[index].clone(), round.fakes[index].clone().inner());
    // The condition is the mean, which is constant here.
    let means = round.augmented.as_ref().map(|augmented| augmented.mean.clone().inner());
    match (&round.text, means) {
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
    }
}
