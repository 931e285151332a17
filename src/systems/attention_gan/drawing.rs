//! The generator as it draws, with standing statistics.

use burn::tensor::Tensor;

use super::captions::Layout;
use super::generator::Inputs;
use super::{AttentionGanNetwork, Generator};
use crate::error::Result;
use crate::language::Words;
use crate::nn::Statistics;
use crate::systems::damsm::Damsm;
use crate::systems::text_gan::drawing::CaptionGenerator;

/// A generator that draws. The noise of an image is z, followed by the noise of its condition.
#[derive(Clone)]
pub struct DrawingGenerator {
    /// The network.
    pub generator: Generator,
    /// Its architecture.
    pub network: AttentionGanNetwork,
    /// How captions lie in vectors.
    pub layout: Layout,
}

impl DrawingGenerator {
    /// Images of one of the sizes, and the attention of their stage to the words.
    pub fn image(&self, inputs: &Inputs, size: usize) -> (Tensor<4>, Option<Tensor<3>>) {
        self.generator.image(inputs, Statistics::Standing, size)
    }
}

/// The code of an image is z, its condition, and the vectors and the mask of the words. Between the
/// codes of two captions, the words at the same place are mixed, and a word that only one of them has
/// counts in part.
impl CaptionGenerator for DrawingGenerator {
    fn sizes(&self) -> Vec<usize> {
        self.network.image_sides()
    }

    fn noise_size(&self) -> usize {
        self.network.noise_size()
    }

    fn z_size(&self) -> usize {
        self.network.z_dim
    }

    fn read(&self, damsm: &Damsm, captions: &[&str]) -> Result<Tensor<2>> {
        Ok(self.layout.join(damsm.words(&damsm.tokenizer().prompts(captions)?)))
    }

    /// Words attend to each other's captions one by one, so there is no difference of two captions.
    fn weighs_captions(&self) -> bool {
        false
    }

    fn code_size(&self, _caption: usize) -> usize {
        self.noise_size() + self.layout.length * (self.layout.size + 1)
    }

    fn codes(&self, noise: Tensor<2>, captions: Tensor<2>) -> Tensor<2> {
        let Inputs { z, condition, words } =
            self.generator.inputs(noise, self.layout.split(captions));
        let [n, t, size] = words.words.dims();
        Tensor::cat(vec![z, condition, words.words.reshape([n, t * size]), words.mask], 1)
    }

    fn images(&self, codes: Tensor<2>, size: usize) -> Tensor<4> {
        let AttentionGanNetwork { z_dim, condition, .. } = self.network;
        let Layout { length, size: vector } = self.layout;
        let (n, start) = (codes.dims()[0], z_dim + condition);
        let words = codes.clone().narrow(1, start, length * vector);
        let device = codes.device();
        let inputs = Inputs {
            z: codes.clone().narrow(1, 0, z_dim),
            condition: codes.clone().narrow(1, z_dim, condition),
            words: Words {
                words: words.reshape([n, length, vector]),
                mask: codes.narrow(1, start + length * vector, length),
                // Conditions take its place.
                sentence: Tensor::zeros([n, vector], &device),
            },
        };
        self.image(&inputs, size).0
    }
}
