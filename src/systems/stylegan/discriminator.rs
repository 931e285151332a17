//! The discriminator D (Karras et al. 2020a, §4.1: residual; `orig` without skips).

use burn::module::Module;
use burn::tensor::{DType, Tensor};

use super::settings::{Architecture, Projection};
use super::{Mapping, NetworkSettings};
use crate::kernels::Activation;
use crate::nn::conv::ConvParameters;
use crate::nn::linear::LinearOptions;
use crate::nn::minibatch_std::minibatch_std;
use crate::nn::{ConvLayer, Dual, Init, Linear};

/// Block of one resolution, which halves the side.
#[derive(Module, Debug)]
pub struct DiscriminatorBlock {
    /// Image → features; only in the first block.
    pub fromrgb: Option<ConvLayer>,
    /// 3×3, keeps the channels.
    pub conv0: ConvLayer,
    /// 3×3, down.
    pub conv1: ConvLayer,
    /// 1×1, down, linear; absent in `orig`.
    pub skip: Option<ConvLayer>,
}

/// Last block, at 4×4: minibatch std → conv → two linear layers.
#[derive(Module, Debug)]
pub struct Epilogue {
    /// 3×3, C+1 → C.
    pub conv: ConvLayer,
    /// 16·C → C.
    pub fc: Linear,
    /// C → 1 without a condition, else label_dim and, with an unconditional logit, one more.
    pub out: Linear,
    mbstd_group: usize,
}

/// The discriminator D: images `[N, 3, res, res]` → logits `[N]`.
#[derive(Module, Debug)]
pub struct Discriminator {
    /// From the full resolution to 8×8.
    pub blocks: Vec<DiscriminatorBlock>,
    /// At 4×4.
    pub b4: Epilogue,
    /// The condition's mapping network; absent in an unconditional discriminator.
    pub mapping: Option<Mapping>,
    /// Whether images also have an unconditional logit.
    unconditional: bool,
    /// Number of blocks with features in f16, counted from the highest resolution.
    half: usize,
}

impl Discriminator {
    /// A network for images of `settings.resolution`.
    pub fn new(settings: &NetworkSettings, init: &mut Init) -> Self {
        let lrelu = Activation::LRELU.clamped(settings.conv_clamp);
        let residual = settings.architecture == Architecture::Resnet;
        let mut sides: Vec<usize> = settings.resolutions().filter(|&res| res > 4).collect();
        sides.reverse();
        let blocks = sides
            .iter()
            .enumerate()
            .map(|(index, &res)| {
                let (here, below) = (settings.channels(res), settings.channels(res / 2));
                DiscriminatorBlock {
                    fromrgb: (index == 0)
                        .then(|| ConvLayer::new([3, here], 1, false, true, lrelu, init)),
                    conv0: ConvLayer::new([here, here], 3, false, true, lrelu, init),
                    conv1: ConvLayer::new([here, below], 3, true, true, lrelu, init),
                    skip: residual
                        .then(|| ConvLayer::new([here, below], 1, true, false, lrelu, init)),
                }
            })
            .collect();
        let c = settings.channels(4);
        let condition = settings.condition();
        let label_dim = if condition > 0 { settings.label_dim() } else { 0 };
        let Projection { layers, unconditional } = settings.projection();
        let outputs = if unconditional { 1 + label_dim } else { label_dim.max(1) };
        let act = LinearOptions { act: Activation::LRELU, ..Default::default() };
        let b4 = Epilogue {
            conv: ConvLayer::new([c + 1, c], 3, false, true, lrelu, init),
            fc: Linear::new(16 * c, c, act, init),
            out: Linear::new(c, outputs, Default::default(), init),
            mbstd_group: settings.mbstd_group,
        };
        let mapping = (condition > 0).then(|| Mapping::bare(0, condition, label_dim, layers, init));
        Self { blocks, b4, mapping, unconditional, half: 0 }
    }

    /// The same with other groups of the minibatch standard deviation. With groups of one image, the
    /// logit of an image does not depend on the others.
    pub fn with_groups_of(mut self, images: usize) -> Self {
        self.b4.mbstd_group = images;
        self
    }

    /// The same with features in f16 in up to `blocks` of the highest resolutions. Images and logits stay
    /// in f32.
    pub fn with_half(self, blocks: usize) -> Self {
        Self { half: blocks, ..self }
    }

    /// Freezes the first `count` convolutions (FreezeD: Mo et al. 2020), in the order of the
    /// published code: from RGB, then each block's conv0, conv1, skip.
    pub fn freeze(mut self, count: usize) -> Self {
        let mut left = count;
        let mut hold = |layer: ConvLayer| {
            let held = left > 0;
            left = left.saturating_sub(1);
            if held { layer.set_require_grad(false) } else { layer }
        };
        let block = |block: DiscriminatorBlock| DiscriminatorBlock {
            fromrgb: block.fromrgb.map(&mut hold),
            conv0: hold(block.conv0),
            conv1: hold(block.conv1),
            skip: block.skip.map(&mut hold),
        };
        self.blocks = self.blocks.into_iter().map(block).collect();
        self
    }

    /// Logits of images `[N, 3, res, res]` (with conditions `[N, condition]`: one-hot classes or
    /// the features of sentences) → `[N]`.
    pub fn forward(&self, image: Dual<4>, label: Option<Tensor<2>>) -> Dual<1> {
        self.score(self.trunk(image), label, None)
    }

    /// The outputs of all layers before the projection: images `[N, 3, res, res]` → `[N, outputs]`.
    ///
    /// They are one output per number of the mapped condition. With sentences, the unconditional
    /// logit comes first. Without a condition, the only output is the logit.
    pub fn trunk(&self, image: Dual<4>) -> Dual<2> {
        let (features, _) = self.features(image, 0);
        self.epilogue(features, 1)
    }

    /// [`trunk`](Self::trunk) of two sets of as many images, in a single pass: images
    /// `[N, 3, res, res]` → `[N, outputs]` for each set.
    ///
    /// The outputs are those of two passes, because the groups of the minibatch standard deviation
    /// stay within a set: the sets alternate, and the groups of 2·N images are strided by an even
    /// number.
    pub fn trunk_of_pair(&self, first: Tensor<4>, second: Tensor<4>) -> [Tensor<2>; 2] {
        let [n, c, h, w] = first.dims();
        // The settings are checked for this; otherwise the sets would mix.
        debug_assert_eq!(n % self.b4.mbstd_group.min(n), 0, "groups divide each set");
        let images = Tensor::stack::<5>(vec![first, second], 1).reshape([2 * n, c, h, w]);
        let (features, _) = self.features(images.into(), 0);
        let outputs = self.epilogue(features, 2).value;
        let [_, size] = outputs.dims();
        let outputs = outputs.reshape([n, 2, size]);
        [0, 1].map(|set| outputs.clone().narrow(1, set, 1).reshape([n, size]))
    }

    /// Logits `[N]` from the outputs of [`trunk`](Self::trunk): the projection on the mapped
    /// condition and, with sentences, the unconditional logit (Miyato & Koyama 2018).
    ///
    /// The same outputs may be scored with several conditions. `conditioned` `[N]` is 1 for images
    /// with a condition and 0 for the others, which have no projection.
    pub fn score(
        &self,
        trunk: Dual<2>,
        label: Option<Tensor<2>>,
        conditioned: Option<Tensor<1>>,
    ) -> Dual<1> {
        let [n, outputs] = trunk.value.dims();
        let Some(mapping) = &self.mapping else { return trunk.linear(|o| o.reshape([n])) };
        let mut cmap = mapping.forward(None, label);
        let size = cmap.dims()[1];
        if let Some(conditioned) = conditioned {
            cmap = cmap * conditioned.reshape([n, 1]);
        }
        let scale = 1.0 / (size as f32).sqrt();
        trunk.linear(|o| {
            let along = o.clone().narrow(1, outputs - size, size) * cmap.clone();
            let along = along.sum_dim(1).reshape([n]) * scale;
            if self.unconditional { along + o.narrow(1, 0, 1).reshape([n]) } else { along }
        })
    }

    /// Logits `[N]` of plain images `[N, 3, res, res]` with labels `[N, classes]`.
    pub fn apply(&self, image: Tensor<4>, label: Option<Tensor<2>>) -> Tensor<1> {
        self.forward(image.into(), label).value
    }

    /// The features `[N, C, 4, 4]` that enter the epilogue, and the outputs `[N, C, H, W]` of the
    /// last `keep` blocks before it, finest first, for images `[N, 3, res, res]`.
    pub fn features(&self, image: Dual<4>, keep: usize) -> (Dual<4>, Vec<Tensor<4>>) {
        let layers: Vec<_> = self.blocks.iter().flat_map(DiscriminatorBlock::layers).collect();
        let mut parameters = ConvParameters::together(&layers).into_iter();
        let full = image.value.dtype();
        let mut x = image;
        let mut kept = Vec::new();
        for (index, block) in self.blocks.iter().enumerate() {
            let dtype = if index < self.half { DType::F16 } else { full };
            x = block.forward(x.cast(dtype), &mut parameters);
            if index + keep >= self.blocks.len() {
                kept.push(x.clone().cast(full).value);
            }
        }
        (x.cast(full), kept)
    }

    /// The layers after the blocks, for `sets` of images that alternate: x `[N, C, 4, 4]` →
    /// `[N, outputs]`.
    fn epilogue(&self, x: Dual<4>, sets: usize) -> Dual<2> {
        let [n, _, _, _] = x.value.dims();
        let x = minibatch_std(x, self.b4.mbstd_group.min(n / sets));
        let x = self.b4.conv.forward(x, 1.0);
        let [_, c, h, w] = x.value.dims();
        let x = self.b4.fc.forward(x.linear(|x| x.reshape([n, c * h * w])));
        self.b4.out.forward(x)
    }
}

impl DiscriminatorBlock {
    /// The convolutions in the order in which they get their parameters.
    fn layers(&self) -> impl Iterator<Item = &ConvLayer> {
        self.fromrgb.iter().chain([&self.conv0, &self.conv1]).chain(&self.skip)
    }

    /// `parameters` yields those of [`layers`](Self::layers).
    fn forward(
        &self,
        x: Dual<4>,
        parameters: &mut impl Iterator<Item = ConvParameters>,
    ) -> Dual<4> {
        let mut next = || parameters.next().expect("parameters for each layer");
        let x = match &self.fromrgb {
            Some(fromrgb) => fromrgb.forward_with(next(), x, 1.0),
            None => x,
        };
        let (own0, own1) = (next(), next());
        match &self.skip {
            None => self.conv1.forward_with(own1, self.conv0.forward_with(own0, x, 1.0), 1.0),
            Some(skip) => {
                let gain = std::f32::consts::FRAC_1_SQRT_2;
                let [y, half] = self.conv0.forward_beside(own0, x);
                let y = self.conv1.forward_with(own1, y, gain);
                skip.forward_onto(next(), half, gain, y)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;
    use crate::draws;
    use crate::nn::params::to_vec;
    use crate::systems::stylegan::StyleganSettings;

    /// Statistics of one set would change the outputs of the other one if groups did not stay apart.
    #[test]
    fn a_pair_of_sets_is_judged_like_two_sets() {
        let device = Device::flex();
        let mut settings = StyleganSettings::auto(16, None).network;
        settings.channel_base = 256;
        settings.mbstd_group = 4;
        let d = Discriminator::new(&settings, &mut Init::new(1, "d", &device));
        // With 2 images, a group is smaller than the settings ask for.
        for n in [2, 4, 8] {
            let images = |seed| {
                let values = draws::normal(&mut draws::stream(seed, "x", 0), n * 3 * 16 * 16);
                Tensor::<1>::from_floats(values.as_slice(), &device).reshape([n, 3, 16, 16])
            };
            let (first, second) = (images(1), images(2) * 0.3);
            let found = d.trunk_of_pair(first.clone(), second.clone());
            for (found, images) in found.into_iter().zip([first, second]) {
                let expected = to_vec(d.trunk(images.into()).value);
                for (a, b) in to_vec(found).iter().zip(&expected) {
                    assert!((a - b).abs() <= 1e-5 * b.abs().max(1.0), "{n} images: {a}, {b}");
                }
            }
        }
    }
}
