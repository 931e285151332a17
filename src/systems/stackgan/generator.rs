//! The generator: z and the vector of a caption → an image at several sizes.

use burn::module::Module;
use burn::tensor::{Tensor, activation::tanh};

use super::settings::{Sides, StackganNetwork};
use crate::nn::{Init, PlainConv, Statistics};
use crate::shapes::Shapes;
use crate::systems::text_gan::augmentation::ConditioningAugmentation;
use crate::systems::text_gan::blocks::{FirstStage, Gated, Residual, beside, conv3, enlarged};

/// Residual blocks of a stage.
const RESIDUALS: usize = 2;

/// The generator (Zhang et al. 2019).
#[derive(Module, Debug)]
pub struct Generator {
    /// Captions → the distributions of their conditions; `None` without captions.
    pub augmentation: Option<ConditioningAugmentation>,
    /// From vectors to feature maps.
    pub first: FirstStage,
    /// The stages after it.
    pub stages: Vec<NextStage>,
    /// 3×3, features → image, for each stage that has one.
    pub heads: Vec<PlainConv>,
    /// The first stage with an image.
    first_head: usize,
}

/// A later stage: the features of the stage before, and the condition once more.
#[derive(Module, Debug)]
pub struct NextStage {
    /// Condition and features → features.
    pub joint: Gated,
    /// After `joint`.
    pub residuals: Vec<Residual>,
    /// Doubles the side and halves the channels; `None` in a stage that keeps the side.
    pub up: Option<Gated>,
}

impl StackganNetwork {
    /// Channels of the first stage at 4×4 and after each of its doublings.
    fn first_widths(&self) -> Vec<usize> {
        let last = self.stage_sides()[0].ilog2();
        (2..=last).map(|log| self.width(1 << log)).collect()
    }

    /// Channels before and after each later stage.
    fn stage_widths(&self) -> Vec<[usize; 2]> {
        let widths: Vec<usize> =
            self.stage_sides().into_iter().map(|side| self.width(side)).collect();
        widths.windows(2).map(|pair| [pair[0], pair[1]]).collect()
    }
}

impl Generator {
    /// A new generator for captions with vectors of length `sentence`.
    pub fn new(network: &StackganNetwork, sentence: usize, init: &mut Init) -> Self {
        let condition = network.condition_size();
        let augmentation = (!network.unconditional)
            .then(|| ConditioningAugmentation::new(sentence, condition, init));
        let first = FirstStage::new(network.input_size(), &network.first_widths(), init);
        let grows = network.sides == Sides::Growing;
        let stages = network.stage_widths().into_iter().map(|[before, after]| NextStage {
            joint: Gated::new([condition + before, before], init),
            residuals: (0..RESIDUALS).map(|_| Residual::new(before, init)).collect(),
            up: grows.then(|| Gated::new([before, after], init)),
        });
        let stages = stages.collect();
        let heads = network.image_sides().into_iter();
        Self {
            augmentation,
            first,
            stages,
            heads: heads.map(|side| conv3([network.width(side), 3], init)).collect(),
            first_head: network.first_head(),
        }
    }

    /// The tensors of such a generator.
    pub(crate) fn shapes(network: &StackganNetwork, sentence: usize) -> Shapes {
        let mut shapes = Shapes::new();
        let condition = network.condition_size();
        if !network.unconditional {
            let sizes = [sentence, condition];
            ConditioningAugmentation::add_shapes(&mut shapes, "augmentation", sizes);
        }
        let widths = network.first_widths();
        FirstStage::add_shapes(&mut shapes, "first", network.input_size(), &widths);
        for (index, [before, after]) in network.stage_widths().into_iter().enumerate() {
            let name = |layer: &str| format!("stages.{index}.{layer}");
            Gated::add_shapes(&mut shapes, &name("joint"), [condition + before, before]);
            for block in 0..RESIDUALS {
                Residual::add_shapes(&mut shapes, &name(&format!("residuals.{block}")), before);
            }
            if network.sides == Sides::Growing {
                Gated::add_shapes(&mut shapes, &name("up"), [before, after]);
            }
        }
        for (index, side) in network.image_sides().into_iter().enumerate() {
            shapes.conv(&format!("heads.{index}"), [network.width(side), 3], 3, false);
        }
        shapes
    }

    /// The inputs of a pass: noise `[N, noise]` and captions `[N, sentence]` → z and the conditions.
    /// Without captions, the noise is z, which is the condition as well.
    pub fn inputs(&self, noise: Tensor<2>, captions: Option<Tensor<2>>) -> (Tensor<2>, Tensor<2>) {
        let (Some(augmentation), Some(captions)) = (&self.augmentation, captions) else {
            return (noise.clone(), noise);
        };
        let augmented = augmentation.forward(captions);
        let (length, size) = (noise.dims()[1], augmented.mean.dims()[1]);
        let z = noise.clone().narrow(1, 0, length - size);
        (z, augmented.condition(noise.narrow(1, length - size, size)))
    }

    /// z `[N, z_dim]` and conditions `[N, condition]`, which are z itself without captions → the
    /// images of all stages that have one, `[N, 3, side, side]` each, in [-1, 1].
    pub fn forward(
        &self,
        z: Tensor<2>,
        condition: Tensor<2>,
        statistics: Statistics,
    ) -> Vec<Tensor<4>> {
        self.images(z, condition, statistics, 0..self.heads.len())
    }

    /// The image of one of the stages that have one; see [`forward`](Self::forward).
    pub fn image(
        &self,
        z: Tensor<2>,
        condition: Tensor<2>,
        statistics: Statistics,
        head: usize,
    ) -> Tensor<4> {
        self.images(z, condition, statistics, head..head + 1).remove(0)
    }

    fn images(
        &self,
        z: Tensor<2>,
        condition: Tensor<2>,
        statistics: Statistics,
        heads: std::ops::Range<usize>,
    ) -> Vec<Tensor<4>> {
        let inputs = match self.augmentation {
            Some(_) => Tensor::cat(vec![condition.clone(), z], 1),
            None => z,
        };
        let mut features = self.first.forward(inputs, statistics);
        let mut images = Vec::new();
        for stage in 0..self.first_head + heads.end {
            if stage > 0 {
                features = self.stages[stage - 1].forward(features, condition.clone(), statistics);
            }
            let wanted = stage.checked_sub(self.first_head).filter(|head| heads.contains(head));
            images.extend(wanted.map(|head| tanh(self.heads[head].forward(features.clone()))));
        }
        images
    }
}

impl NextStage {
    fn forward(&self, x: Tensor<4>, condition: Tensor<2>, statistics: Statistics) -> Tensor<4> {
        let x = self.joint.forward(beside(condition, x), statistics);
        let x = self.residuals.iter().fold(x, |x, block| block.forward(x, statistics));
        match &self.up {
            Some(up) => up.forward(enlarged(x), statistics),
            None => x,
        }
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::super::settings::Heads;
    use super::*;
    use crate::nn::params::{collect, to_vec};
    use crate::tensorfile::TensorFile;

    #[test]
    fn numbers_of_weights_are_those_of_the_specification() {
        for (resolution, sentence, expected) in [
            (256, 1024, 21_239_696),
            (32, 256, 2_951_568),
            (64, 256, 3_394_448),
            (128, 256, 7_638_928),
            (256, 256, 20_846_480),
        ] {
            let shapes = Generator::shapes(&StackganNetwork::at(resolution, 3), sentence);
            let buffers = shapes.iter().filter(|(name, _)| name.contains(".standing."));
            let buffers: u64 = buffers.map(|(_, shape)| shape[0] as u64).sum();
            assert_eq!(shapes.values() - buffers, expected, "at {resolution}");
        }
    }

    /// Networks of all kinds, for images of side 16 or 32.
    fn networks() -> Vec<StackganNetwork> {
        let small = |branches| StackganNetwork {
            z_dim: 5,
            condition: 3,
            generator_width: 4,
            discriminator_width: 4,
            ..StackganNetwork::at(0, branches)
        };
        vec![
            small(2),
            small(3),
            StackganNetwork { unconditional: true, ..small(2) },
            StackganNetwork { heads: Heads::Last, ..small(3) },
            StackganNetwork { sides: Sides::AllLast, ..small(3) },
        ]
    }

    #[test]
    fn shapes_are_those_of_the_network() {
        let device = Device::flex();
        for network in networks() {
            let generator = Generator::new(&network, 6, &mut Init::new(0, "generator", &device));
            let mut file = TensorFile::default();
            collect(&generator, "R_ema", &mut file);
            Generator::shapes(&network, 6).check("R_ema", &file).unwrap();
            let z = Tensor::ones([2, 5], &device);
            let condition = Tensor::ones([2, network.condition_size()], &device);
            let images = generator.forward(z.clone(), condition.clone(), Statistics::Standing);
            let sides: Vec<usize> = images.iter().map(|image| image.dims()[3]).collect();
            assert_eq!(sides, network.image_sides());
            for (head, image) in images.into_iter().enumerate() {
                let (z, condition) = (z.clone(), condition.clone());
                let alone = generator.image(z, condition, Statistics::Standing, head);
                assert_eq!(to_vec(alone), to_vec(image));
            }
        }
    }
}
