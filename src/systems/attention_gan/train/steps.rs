//! The steps of an iteration: the batch, the generated images, each discriminator, the generator.

use burn::tensor::{Int, Tensor};

use super::AttentionGanTrainer;
use crate::draws;
use crate::error::Result;
use crate::nn::Statistics;
use crate::nn::params::indices;
use crate::systems::attention_gan::captions::BatchCaptions;
use crate::systems::attention_gan::generator::Inputs;
use crate::systems::attention_gan::losses::{self, Judged};
use crate::systems::gan::step_noise;
use crate::systems::text_gan::augmentation::Augmented;
use crate::systems::text_gan::blocks::pyramid;
use crate::systems::text_gan::critics::Scores;
use crate::systems::text_gan::discriminator::Logits;
use crate::systems::text_gan::mismatched_captions::mismatched_captions;

/// The images of an iteration, at the size of each discriminator.
pub(super) struct Batch {
    real: Vec<Tensor<4>>,
    /// The captions of the generated images.
    captions: BatchCaptions,
    /// The rows of the real images that have captions.
    captioned: Tensor<1, Int>,
    /// The rows of captions that do not fit these images; `None` if there are no others.
    mismatched: Option<Tensor<1, Int>>,
}

/// The generated images of an iteration, at the size of each discriminator.
pub(super) struct Fakes {
    images: Vec<Tensor<4>>,
    /// The distributions of their conditions.
    augmented: Augmented,
}

impl AttentionGanTrainer {
    /// Normal values for a purpose: `[batch, columns]`.
    fn normal(&self, purpose: &str, columns: usize) -> Tensor<2> {
        let shape = [self.settings.batch, columns];
        step_noise(self.seed, purpose, self.nimg, shape, &self.device)
    }

    pub(super) fn batch(&mut self) -> Result<Batch> {
        let batch = self.batches.batch(self.nimg)?;
        let rows = &batch.captioned;
        let images: Vec<usize> = rows.iter().map(|&row| batch.captions.images[row]).collect();
        let mut rng = draws::stream(self.seed, "baseline.wrong", self.nimg);
        let mismatched = mismatched_captions(&images, &self.archive, &mut rng);
        let mismatched = mismatched
            .map(|places| indices(places.into_iter().map(|place| rows[place]), &self.device));
        let captioned = indices(rows.iter().copied(), &self.device);
        let real = pyramid(batch.real, &self.settings.network.image_sides());
        Ok(Batch { real, captions: batch.captions, captioned, mismatched })
    }

    pub(super) fn fakes(&self, batch: &Batch) -> Fakes {
        let network = &self.settings.network;
        let words = batch.captions.words.clone();
        let augmented = self.generator.network().augmentation.forward(words.sentence.clone());
        let inputs = Inputs {
            z: self.normal("baseline.z", network.z_dim),
            condition: augmented.condition(self.normal("baseline.ca", network.condition)),
            words,
        };
        Fakes { images: self.generator.network().forward(&inputs, Statistics::Batch), augmented }
    }

    /// One step of a discriminator. Real and generated images pass separately, because each batch is
    /// normalised by its own statistics. The condition is the vector of the sentence.
    pub(super) fn step_d(&mut self, index: usize, batch: &Batch, fakes: &Fakes) {
        let d = self.critics.get(index);
        let sentences = &batch.captions.words.sentence;
        let of = |rows: &Tensor<1, Int>| sentences.clone().select(0, rows.clone());
        let features = d.features(batch.real[index].clone());
        let captioned = features.clone().select(0, batch.captioned.clone());
        let mismatched = batch.mismatched.as_ref();
        let judged = Judged {
            mismatched: mismatched.and_then(|rows| d.with_conditions(captioned.clone(), of(rows))),
            real: Logits {
                conditional: d.with_conditions(captioned, of(&batch.captioned)),
                unconditional: d.alone(features),
            },
            fake: d.forward(fakes.images[index].clone().inner(), Some(sentences.clone()), None),
        };
        let mut scores = Scores::new(&mut self.means, index);
        scores.add("real", &judged.real);
        scores.add("fake", &judged.fake);
        if let Some(mismatched) = &judged.mismatched {
            scores.add_mean("mismatched", mismatched);
        }
        let loss = losses::discriminator(judged);
        self.means.add(&format!("loss/D{index}"), loss.clone().inner());
        self.critics.step(index, &loss, self.settings.lr);
    }

    /// One step of G on the images that the discriminators were trained on, judged by the updated
    /// discriminators.
    ///
    /// # Errors
    /// If DAMSM's loss is used without an encoder of images.
    pub(super) fn step_g(&mut self, batch: &Batch, fakes: Fakes) -> Result<()> {
        let Fakes { images, augmented } = fakes;
        let sentences = &batch.captions.words.sentence;
        let mut loss = self.critics.adversarial(&images, Some(sentences), losses::generator);
        self.means.add("loss/G", loss.clone().inner());
        let divergence = augmented.divergence();
        self.means.add("loss/divergence", divergence.clone().inner());
        loss = loss + divergence * self.settings.divergence_weight;
        let largest = images.last().expect("a generator has an image");
        if self.settings.damsm_weight > 0.0 {
            let damsm = self.damsm_loss(largest.clone(), &batch.captions)?;
            loss = loss + damsm * self.settings.damsm_weight;
        }
        if let Some(captioner) = &self.readers.captioner {
            let vectors = captioner.encode(largest.clone(), Statistics::Standing);
            let stream = captioner.loss(vectors, &batch.captions.tokens);
            self.means.add("loss/stream", stream.clone().inner());
            loss = loss + stream * self.settings.stream_weight;
        }
        self.generator.step(&loss, self.settings.lr);
        Ok(())
    }

    /// DAMSM's loss on images and their captions, of words and of sentences → `[1]`.
    fn damsm_loss(&mut self, images: Tensor<4>, captions: &BatchCaptions) -> Result<Tensor<1>> {
        let labels: Vec<Option<u32>> =
            captions.images.iter().map(|&image| self.archive.images()[image].label).collect();
        let loss = &self.settings.damsm;
        let same = loss.same(&captions.images, &labels, &self.device);
        let codes = self.readers.damsm.image_tower()?.forward(images);
        let [words, sentences] = loss.losses(&captions.words, &codes, same);
        self.means.add("loss/words", words.clone().inner());
        self.means.add("loss/sentences", sentences.clone().inner());
        Ok(words + sentences)
    }
}
