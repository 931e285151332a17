//! The steps of an iteration: the batch, the generated images, each discriminator, the generator.

use std::ops::Range;

use burn::tensor::{Int, Tensor};

use super::AttentionGanTrainer;
use crate::draws;
use crate::error::Result;
use crate::language::Words;
use crate::nn::Statistics;
use crate::nn::params::{NamedGradients, indices};
use crate::systems::attention_gan::captions::BatchCaptions;
use crate::systems::attention_gan::generator::Inputs;
use crate::systems::attention_gan::losses::{self, Judged};
use crate::systems::captioner::Captioner;
use crate::systems::damsm::ImageCodes;
use crate::systems::gan::step_noise;
use crate::systems::text_gan::augmentation::Augmented;
use crate::systems::text_gan::blocks::pyramid;
use crate::systems::text_gan::caption_batches::CaptionRound;
use crate::systems::text_gan::critics::Scores;
use crate::systems::text_gan::discriminator::{Discriminator, Logits};
use crate::systems::text_gan::mismatched_captions::mismatched_captions;
use crate::train::gathered::Gathered;
use crate::train::round_values::RoundValues;
use crate::train::rounds::{portion, rows};

/// The images of an iteration.
pub(super) struct Batch {
    /// The captions of all generated images.
    captions: BatchCaptions,
    /// This rank's rounds.
    rounds: Vec<Round>,
}

/// The images of a round, at the size of each discriminator.
struct Round {
    /// Its rows in the batch.
    rows: Range<usize>,
    /// Its share in the batch.
    share: f64,
    real: Vec<Tensor<4>>,
    /// The rows of the real images that have captions, within the round.
    captioned: Tensor<1, Int>,
    /// The sentences of these images.
    fitting: Tensor<2>,
    /// Sentences that do not fit these images; `None` if there are no others.
    mismatched: Option<Tensor<2>>,
    /// The sentences of the generated images.
    sentences: Tensor<2>,
    /// Generated images.
    fakes: Vec<Tensor<4>>,
    /// The distributions of their conditions.
    augmented: Augmented,
}

impl AttentionGanTrainer {
    /// Normal values for a purpose: `[batch, columns]`.
    fn normal(&self, purpose: &str, columns: usize) -> Tensor<2> {
        let shape = [self.settings.batch, columns];
        step_noise(self.seed, purpose, self.nimg, shape, &self.device)
    }

    /// This rank's rounds of a batch, with generated images.
    pub(super) fn batch(&mut self) -> Result<Batch> {
        let batch = self.batches.batch(self.nimg)?;
        let captioned = &batch.captioned;
        let images: Vec<usize> = captioned.iter().map(|&row| batch.captions.images[row]).collect();
        let mut rng = draws::stream(self.seed, "baseline.wrong", self.nimg);
        let mismatched = mismatched_captions(&images, &self.archive, &mut rng);
        let (network, device) = (&self.settings.network, &self.device);
        let (words, sides) = (&batch.captions.words, network.image_sides());
        let sentences = |rows: &mut dyn Iterator<Item = usize>| {
            words.sentence.clone().select(0, indices(rows, device))
        };
        let z = self.normal("baseline.z", network.z_dim);
        let noise = self.normal("baseline.ca", network.condition);
        let of_round = |round: CaptionRound| {
            let own = &captioned[round.captioned.clone()];
            let first = round.rows.start;
            let others = mismatched.as_ref().map(|places| places[round.captioned].iter());
            let words = Words {
                words: words.words.clone().narrow(0, first, round.rows.len()),
                mask: rows(&words.mask, &round.rows),
                sentence: rows(&words.sentence, &round.rows),
            };
            let sentence = words.sentence.clone();
            let generator = self.generator.network();
            let augmented = generator.augmentation.forward(sentence.clone());
            let inputs = Inputs {
                z: rows(&z, &round.rows),
                condition: augmented.condition(rows(&noise, &round.rows)),
                words,
            };
            Round {
                share: round.share,
                real: pyramid(round.real, &sides),
                captioned: indices(own.iter().map(|row| row - first), device),
                fitting: sentences(&mut own.iter().copied()),
                mismatched: others
                    .map(|places| sentences(&mut places.map(|&place| captioned[place]))),
                sentences: sentence,
                fakes: generator.forward(&inputs, Statistics::Batch),
                rows: round.rows,
                augmented,
            }
        };
        let rounds = batch.rounds.into_iter().map(of_round).collect();
        Ok(Batch { captions: batch.captions, rounds })
    }

    /// One step of a discriminator. Real and generated images pass separately, because each batch is
    /// normalised by its own statistics. The condition is the vector of the sentence.
    ///
    /// # Errors
    /// If a rank does not answer.
    pub(super) fn step_d(&mut self, index: usize, batch: &Batch) -> Result<()> {
        let d = self.critics.get(index);
        let (mut gradients, mut values) = (self.rounds.gradients(), self.rounds.values());
        for round in &batch.rounds {
            let judged = judged(d, index, round);
            let mut scores = Scores::new(&mut values, index, round.share);
            scores.add("real", &judged.real);
            scores.add("fake", &judged.fake);
            if let Some(mismatched) = &judged.mismatched {
                scores.add_mean("mismatched", mismatched);
            }
            let loss = losses::discriminator(judged);
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
    /// If DAMSM's loss is used without an encoder of images, or a rank does not answer.
    pub(super) fn step_g(&mut self, batch: Batch) -> Result<()> {
        let (mut gradients, mut values) = (self.rounds.gradients(), self.rounds.values());
        let mut damsm = match self.settings.damsm_weight > 0.0 {
            true => self.damsm_losses(&batch)?.into_iter(),
            false => Vec::new().into_iter(),
        };
        for round in batch.rounds {
            let mut loss = self.generator_loss(&round, &batch.captions, &mut values);
            if let Some(damsm) = damsm.next() {
                loss = loss + damsm;
            }
            gradients.add(NamedGradients::of(self.generator.network(), &loss.backward()));
        }
        values.finish(&mut self.means)?;
        let gradients = gradients.finish(self.generator.network())?;
        self.generator.step(gradients, self.settings.lr);
        Ok(())
    }

    /// A round's portion of the loss of G, without DAMSM's → `[1]`.
    fn generator_loss(
        &self,
        round: &Round,
        captions: &BatchCaptions,
        values: &mut RoundValues,
    ) -> Tensor<1> {
        let Round { share, fakes, augmented, sentences, .. } = round;
        let mut share_of = |name: &str, value: Tensor<1>, share: f64| {
            values.portion(name, value.clone().inner(), share);
            portion(value, share)
        };
        let loss = self.critics.adversarial(fakes, Some(sentences), losses::generator);
        let mut loss = share_of("loss/G", loss, *share);
        let divergence = share_of("loss/divergence", augmented.divergence(), *share);
        loss = loss + divergence * self.settings.divergence_weight;
        if let Some(captioner) = &self.readers.captioner {
            let vectors = captioner.encode(largest(round).clone(), Statistics::Standing);
            let stream = captioner.loss(vectors, &captions.tokens.rows(&round.rows));
            let share = Captioner::share(&captions.tokens, &round.rows);
            loss = loss + share_of("loss/stream", stream, share) * self.settings.stream_weight;
        }
        loss
    }

    /// DAMSM's weighted loss on the images of all ranks and their captions, of words and of sentences.
    /// For each round, a surrogate loss `[1]` with its gradient.
    fn damsm_losses(&mut self, batch: &Batch) -> Result<Vec<Tensor<1>>> {
        let (tower, captions) = (self.readers.damsm.image_tower()?, &batch.captions);
        let encoded =
            |round: &Round| (round.rows.clone(), tower.forward(largest(round).clone()).rows());
        let encoded = batch.rounds.iter().map(encoded).collect();
        let gathered = Gathered::new(self.rounds.ranks(), encoded, &self.device)?;
        let codes = ImageCodes::of_rows(gathered.rows(), self.readers.damsm.size());
        let label = |&image: &usize| self.archive.images()[image].label;
        let labels: Vec<Option<u32>> = captions.images.iter().map(label).collect();
        let loss = &self.settings.damsm;
        let same = loss.same(&captions.images, &labels, &self.device);
        let [words, sentences] = loss.losses(&captions.words, &codes, same);
        self.means.add("loss/words", words.clone().inner());
        self.means.add("loss/sentences", sentences.clone().inner());
        let loss = (words + sentences) * self.settings.damsm_weight;
        Ok(gathered.along(&loss.backward()))
    }
}

/// The largest generated images of a round.
fn largest(round: &Round) -> &Tensor<4> {
    round.fakes.last().expect("a generator has an image")
}

/// The logits of a discriminator for the images of a round.
fn judged(d: &Discriminator, index: usize, round: &Round) -> Judged {
    let features = d.features(round.real[index].clone());
    let captioned = features.clone().select(0, round.captioned.clone());
    let mismatched = round.mismatched.clone();
    let fakes = round.fakes[index].clone().inner();
    Judged {
        mismatched: mismatched.and_then(|others| d.with_conditions(captioned.clone(), others)),
        real: Logits {
            conditional: d.with_conditions(captioned, round.fitting.clone()),
            unconditional: d.alone(features),
        },
        fake: d.forward(fakes, Some(round.sentences.clone()), None),
    }
}
