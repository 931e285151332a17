//! The generator: z, a condition and the words of a caption → an image at several sizes.

use burn::module::Module;
use burn::tensor::{Tensor, activation::tanh};

use super::attention::{AttentionToSentence, WordAttention};
use super::{AttentionGanNetwork, SentenceAttention};
use crate::language::Words;
use crate::nn::{Init, PlainConv, Statistics};
use crate::shapes::Shapes;
use crate::systems::text_gan::augmentation::ConditioningAugmentation;
use crate::systems::text_gan::blocks::{FirstStage, Gated, Residual, conv3, enlarged};

/// Residual blocks of a stage.
const RESIDUALS: usize = 2;

/// The generator (Xu et al. 2018, Qiao et al. 2019).
#[derive(Module, Debug)]
pub struct Generator {
    /// Sentences → the distributions of their conditions.
    pub augmentation: ConditioningAugmentation,
    /// From vectors to feature maps.
    pub first: FirstStage,
    /// The stages after it.
    pub stages: Vec<AttentionStage>,
    /// 3×3, features → image, for each stage.
    pub heads: Vec<PlainConv>,
}

/// A later stage: the features of the stage before, beside what they attend to.
#[derive(Module, Debug)]
pub struct AttentionStage {
    /// Attention to the words.
    pub words: WordAttention,
    /// Attention to the sentence, in MirrorGAN.
    pub sentence: Option<AttentionToSentence>,
    /// 1×1, from three feature maps to two, in MirrorGAN.
    pub joint: Option<PlainConv>,
    /// After both.
    pub residuals: Vec<Residual>,
    /// Doubles the side.
    pub up: Gated,
}

/// The inputs of a pass through the generator.
#[derive(Debug, Clone)]
pub struct Inputs {
    /// `[N, z_dim]`.
    pub z: Tensor<2>,
    /// Conditions `[N, condition]`.
    pub condition: Tensor<2>,
    /// The words of the captions; their sentences are not used.
    pub words: Words,
}

impl Generator {
    /// A new generator for captions whose words and sentences have vectors of length `sentence`.
    pub fn new(network: &AttentionGanNetwork, sentence: usize, init: &mut Init) -> Self {
        let (width, condition) = (network.generator_width, network.condition);
        let stage = |init: &mut Init| AttentionStage {
            words: WordAttention::new(sentence, width, init),
            sentence: AttentionToSentence::new(network.sentence_attention, condition, width, init),
            joint: (network.sentence_attention != SentenceAttention::None).then(|| PlainConv {
                weight: init.orthogonal([2 * width, 3 * width, 1, 1]),
                bias: None,
            }),
            residuals: (0..RESIDUALS).map(|_| Residual::new(2 * width, init)).collect(),
            up: Gated::new([2 * width, width], init),
        };
        Self {
            augmentation: ConditioningAugmentation::new(sentence, condition, init),
            first: FirstStage::new(network.noise_size(), &network.first_widths(), init),
            stages: (1..network.branches).map(|_| stage(init)).collect(),
            heads: (0..network.branches).map(|_| conv3([width, 3], init)).collect(),
        }
    }

    /// The tensors of such a generator.
    pub(crate) fn shapes(network: &AttentionGanNetwork, sentence: usize) -> Shapes {
        let (width, condition) = (network.generator_width, network.condition);
        let mut shapes = Shapes::new();
        ConditioningAugmentation::add_shapes(&mut shapes, "augmentation", [sentence, condition]);
        let widths = network.first_widths();
        FirstStage::add_shapes(&mut shapes, "first", network.noise_size(), &widths);
        for stage in 0..network.branches - 1 {
            let name = |layer: &str| format!("stages.{stage}.{layer}");
            shapes.tensor(name("words.weight"), &[width, sentence]);
            if network.sentence_attention != SentenceAttention::None {
                let sizes = [condition, width];
                AttentionToSentence::add_shapes(&mut shapes, &name("sentence"), sizes);
                shapes.conv(&name("joint"), [3 * width, 2 * width], 1, false);
            }
            for block in 0..RESIDUALS {
                Residual::add_shapes(&mut shapes, &name(&format!("residuals.{block}")), 2 * width);
            }
            Gated::add_shapes(&mut shapes, &name("up"), [2 * width, width]);
        }
        for head in 0..network.branches {
            shapes.conv(&format!("heads.{head}"), [width, 3], 3, false);
        }
        shapes
    }

    /// The inputs of a pass for noise `[N, noise]`, which is z and the noise of the condition.
    pub fn inputs(&self, noise: Tensor<2>, words: Words) -> Inputs {
        let augmented = self.augmentation.forward(words.sentence.clone());
        let (length, size) = (noise.dims()[1], augmented.mean.dims()[1]);
        Inputs {
            z: noise.clone().narrow(1, 0, length - size),
            condition: augmented.condition(noise.narrow(1, length - size, size)),
            words,
        }
    }

    /// The images of all sizes, `[N, 3, side, side]` each, in [-1, 1].
    pub fn forward(&self, inputs: &Inputs, statistics: Statistics) -> Vec<Tensor<4>> {
        let (mut images, mut features) = (Vec::new(), None);
        for head in 0..self.heads.len() {
            let (next, _) = self.next(head, features, inputs, statistics);
            images.push(self.draw(head, next.clone()));
            features = Some(next);
        }
        images
    }

    /// The images of one size, and the attention of its stage to the words, `[N, T, H·W]`; `None` in
    /// the first stage.
    pub fn image(
        &self,
        inputs: &Inputs,
        statistics: Statistics,
        head: usize,
    ) -> (Tensor<4>, Option<Tensor<3>>) {
        let (mut features, mut attention) = (None, None);
        for stage in 0..=head {
            let (next, attended) = self.next(stage, features, inputs, statistics);
            (features, attention) = (Some(next), attended);
        }
        let features = features.expect("a generator has a stage");
        (self.draw(head, features), attention)
    }

    fn draw(&self, head: usize, features: Tensor<4>) -> Tensor<4> {
        tanh(self.heads[head].forward(features))
    }

    /// The features after a stage, of those before it, and its attention to the words.
    fn next(
        &self,
        stage: usize,
        before: Option<Tensor<4>>,
        inputs: &Inputs,
        statistics: Statistics,
    ) -> (Tensor<4>, Option<Tensor<3>>) {
        match before {
            None => {
                let vectors = Tensor::cat(vec![inputs.condition.clone(), inputs.z.clone()], 1);
                (self.first.forward(vectors, statistics), None)
            }
            Some(before) => {
                let (features, attention) =
                    self.stages[stage - 1].forward(before, inputs, statistics);
                (features, Some(attention))
            }
        }
    }
}

impl AttentionStage {
    fn forward(
        &self,
        x: Tensor<4>,
        inputs: &Inputs,
        statistics: Statistics,
    ) -> (Tensor<4>, Tensor<3>) {
        let (words, attention) = self.words.forward(x.clone(), &inputs.words);
        let mut parts = vec![x.clone(), words];
        if let Some(sentence) = &self.sentence {
            parts.push(sentence.forward(x, inputs.condition.clone()));
        }
        let x = Tensor::cat(parts, 1);
        let x = match &self.joint {
            Some(joint) => joint.forward(x),
            None => x,
        };
        let x = self.residuals.iter().fold(x, |x, block| block.forward(x, statistics));
        (self.up.forward(enlarged(x), statistics), attention)
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;
    use crate::nn::params::{collect, to_vec};
    use crate::systems::text_gan::branches::BRANCHES;
    use crate::tensorfile::TensorFile;

    #[test]
    fn numbers_of_weights_are_those_of_the_specification() {
        use SentenceAttention::{Channels, None};
        for (resolution, sentence_attention, expected) in [
            (256, None, 7_084_592),
            (256, Channels, 7_105_392),
            (32, Channels, 1_561_712),
            (64, Channels, 1_672_560),
            (128, Channels, 3_090_288),
        ] {
            let network = AttentionGanNetwork {
                sentence_attention,
                ..AttentionGanNetwork::attn_gan(resolution, BRANCHES)
            };
            let shapes = Generator::shapes(&network, 256);
            let buffers = shapes.iter().filter(|(name, _)| name.contains(".standing."));
            let buffers: u64 = buffers.map(|(_, shape)| shape[0] as u64).sum();
            assert_eq!(shapes.values() - buffers, expected, "at {resolution}");
        }
    }

    #[test]
    fn shapes_are_those_of_the_network() {
        let device = Device::flex();
        for sentence_attention in
            [SentenceAttention::None, SentenceAttention::Channels, SentenceAttention::Positions]
        {
            let network = AttentionGanNetwork {
                z_dim: 5,
                condition: 3,
                generator_width: 4,
                sentence_attention,
                ..AttentionGanNetwork::attn_gan(32, BRANCHES)
            };
            let generator = Generator::new(&network, 6, &mut Init::new(0, "generator", &device));
            let mut file = TensorFile::default();
            collect(&generator, "R_ema", &mut file);
            Generator::shapes(&network, 6).check("R_ema", &file).unwrap();
            let inputs = Inputs {
                z: Tensor::ones([2, 5], &device),
                condition: Tensor::ones([2, 3], &device),
                words: Words {
                    words: Tensor::ones([2, 7, 6], &device),
                    mask: Tensor::ones([2, 7], &device),
                    sentence: Tensor::ones([2, 6], &device),
                },
            };
            let images = generator.forward(&inputs, Statistics::Standing);
            let sides: Vec<usize> = images.iter().map(|image| image.dims()[3]).collect();
            assert_eq!(sides, network.image_sides());
            for (head, image) in images.into_iter().enumerate() {
                let (alone, attention) = generator.image(&inputs, Statistics::Standing, head);
                assert_eq!(to_vec(alone), to_vec(image));
                // A stage attends at the side of the stage before it.
                let expected = (head > 0).then(|| [2, 7, (sides[head] / 2).pow(2)]);
                assert_eq!(attention.map(|attention| attention.dims()), expected);
            }
        }
    }
}
