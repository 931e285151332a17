//! The discriminators of StackGAN++ (Zhang et al. 2019), one for each size of the images. AttnGAN and
//! MirrorGAN have the same.

use burn::module::Module;
use burn::tensor::{Int, Tensor};

use super::blocks::{beside, conv3};
use crate::kernels;
use crate::nn::init::Weights;
use crate::nn::residual::ACT;
use crate::nn::strided::KERNEL;
use crate::nn::{BatchNorm, DownConv, Init, PlainConv, Statistics};
use crate::shapes::Shapes;

/// Channels at 4×4, relative to those after the first convolution.
const LAST: usize = 8;

/// The architecture of a discriminator.
#[derive(Debug, Clone, Copy)]
pub struct DiscriminatorNetwork {
    /// Side of the images in pixels: a power of two, at least 8.
    pub side: usize,
    /// Channels after the first convolution.
    pub width: usize,
    /// Size of the condition; `None` without captions.
    pub condition: Option<usize>,
}

/// Logits of a discriminator.
pub struct Logits {
    /// Of images with captions `[M]`; `None` without captions.
    pub conditional: Option<Tensor<1>>,
    /// Of images alone `[N]`.
    pub unconditional: Tensor<1>,
}

/// A discriminator. It is only used in training, so it always normalises with
/// the statistics of its batch.
#[derive(Module, Debug)]
pub struct Discriminator {
    /// From the image to half its side.
    pub first: DownConv,
    /// Down to 4×4, doubling the channels.
    pub downs: Vec<NormedDown>,
    /// At 4×4, to the last width.
    pub same: Vec<Normed>,
    /// Condition and features → features; `None` without captions.
    pub joint: Option<Normed>,
    /// 4×4, joint features → the logit of an image with its caption.
    pub conditional: Option<PlainConv>,
    /// 4×4, features → the logit of an image alone.
    pub unconditional: PlainConv,
}

/// A strided convolution, batch normalisation, leaky ReLU.
#[derive(Module, Debug)]
pub struct NormedDown {
    /// Halves the side.
    pub conv: DownConv,
    /// After `conv`.
    pub norm: BatchNorm,
}

/// A 3×3 convolution, batch normalisation, leaky ReLU.
#[derive(Module, Debug)]
pub struct Normed {
    /// Keeps the side.
    pub conv: PlainConv,
    /// After `conv`.
    pub norm: BatchNorm,
}

impl Normed {
    fn new(widths: [usize; 2], init: &mut Init) -> Self {
        Self { conv: conv3(widths, init), norm: BatchNorm::new(widths[1], init) }
    }

    fn add_shapes(shapes: &mut Shapes, name: &str, widths: [usize; 2]) {
        shapes.conv(&format!("{name}.conv"), widths, 3, false);
        shapes.batch_norm(&format!("{name}.norm"), widths[1], false);
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        self.norm.forward(self.conv.forward(x), ACT, Statistics::Batch)
    }
}

/// Channels before and after each layer.
struct Widths {
    downs: Vec<[usize; 2]>,
    same: Vec<[usize; 2]>,
    last: usize,
}

impl Widths {
    fn new(network: &DiscriminatorNetwork) -> Self {
        let (first, last) = (network.width, LAST * network.width);
        let downs: Vec<[usize; 2]> =
            (3..network.side.ilog2()).map(|log| [first << (log - 3), first << (log - 2)]).collect();
        let mut width = downs.last().map_or(first, |widths| widths[1]);
        let mut same = Vec::new();
        while width > last {
            same.push([width, width / 2]);
            width /= 2;
        }
        if width < last {
            same.push([width, last]);
        }
        Self { downs, same, last }
    }
}

/// A layer from features at 4×4 to a logit.
fn head(width: usize, init: &mut Init) -> PlainConv {
    let weight = init.orthogonal([1, width, KERNEL, KERNEL]);
    PlainConv { weight, bias: Some(init.full([1], 0.0)) }
}

/// Features `[N, C, 4, 4]` → logits `[N]`.
fn logits(head: &PlainConv, x: Tensor<4>) -> Tensor<1> {
    let rows = x.dims()[0];
    let logits = kernels::conv2d(x, head.weight.val(), 1, 0).reshape([rows]);
    match &head.bias {
        Some(bias) => logits + bias.val(),
        None => logits,
    }
}

impl Discriminator {
    /// A new discriminator.
    pub fn new(network: &DiscriminatorNetwork, init: &mut Init) -> Self {
        let Widths { downs, same, last } = Widths::new(network);
        let first = DownConv::new([3, network.width], Weights::Orthogonal, init);
        let downs = downs.into_iter().map(|widths| NormedDown {
            conv: DownConv::new(widths, Weights::Orthogonal, init),
            norm: BatchNorm::new(widths[1], init),
        });
        let downs = downs.collect();
        let same = same.into_iter().map(|widths| Normed::new(widths, init)).collect();
        let joint = network.condition.map(|size| Normed::new([size + last, last], init));
        Self {
            first,
            downs,
            same,
            conditional: joint.is_some().then(|| head(last, init)),
            joint,
            unconditional: head(last, init),
        }
    }

    /// The tensors of such a discriminator.
    pub(crate) fn shapes(network: &DiscriminatorNetwork) -> Shapes {
        let Widths { downs, same, last } = Widths::new(network);
        let mut shapes = Shapes::new();
        shapes.conv("first", [3, network.width], KERNEL, false);
        for (index, widths) in downs.into_iter().enumerate() {
            shapes.conv(&format!("downs.{index}.conv"), widths, KERNEL, false);
            shapes.batch_norm(&format!("downs.{index}.norm"), widths[1], false);
        }
        for (index, widths) in same.into_iter().enumerate() {
            Normed::add_shapes(&mut shapes, &format!("same.{index}"), widths);
        }
        shapes.conv("unconditional", [last, 1], KERNEL, true);
        if let Some(size) = network.condition {
            Normed::add_shapes(&mut shapes, "joint", [size + last, last]);
            shapes.conv("conditional", [last, 1], KERNEL, true);
        }
        shapes
    }

    /// Judges images `[N, 3, side, side]` in [-1, 1]. `conditions` `[M, condition]` are those of the
    /// images `rows`, or of all images.
    ///
    /// Only the images with a condition enter the normalisation of the layers that see it.
    pub fn forward(
        &self,
        images: Tensor<4>,
        conditions: Option<Tensor<2>>,
        rows: Option<Tensor<1, Int>>,
    ) -> Logits {
        let features = self.features(images);
        let conditional = conditions.and_then(|conditions| {
            let features = match rows {
                Some(rows) => features.clone().select(0, rows),
                None => features.clone(),
            };
            self.with_conditions(features, conditions)
        });
        Logits { conditional, unconditional: self.alone(features) }
    }

    /// Images `[N, 3, side, side]` in [-1, 1] → features `[N, C, 4, 4]`.
    pub fn features(&self, images: Tensor<4>) -> Tensor<4> {
        let x = self.first.forward_act(images, ACT);
        let x = self
            .downs
            .iter()
            .fold(x, |x, down| down.norm.forward(down.conv.forward(x), ACT, Statistics::Batch));
        self.same.iter().fold(x, |x, layer| layer.forward(x))
    }

    /// The logits `[M]` of features `[M, C, 4, 4]` with conditions `[M, condition]`; `None` without
    /// captions.
    pub fn with_conditions(&self, features: Tensor<4>, conditions: Tensor<2>) -> Option<Tensor<1>> {
        let (joint, head) = self.joint.as_ref().zip(self.conditional.as_ref())?;
        Some(logits(head, joint.forward(beside(conditions, features))))
    }

    /// The logits `[N]` of features `[N, C, 4, 4]` alone.
    pub fn alone(&self, features: Tensor<4>) -> Tensor<1> {
        logits(&self.unconditional, features)
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, TensorData};

    use super::*;
    use crate::draws;
    use crate::nn::params::{collect, to_vec};
    use crate::tensorfile::TensorFile;

    #[test]
    fn numbers_of_weights_are_those_of_the_specification() {
        for (condition, side, expected) in [
            // StackGAN++: the condition of a caption.
            (128, 64, 5_723_906),
            (128, 128, 18_834_178),
            (128, 256, 71_269_122),
            (128, 8, 3_265_538),
            (128, 16, 3_691_778),
            (128, 32, 4_806_402),
            // AttnGAN and MirrorGAN: the vector of a caption.
            (256, 64, 6_313_730),
            (256, 128, 19_424_002),
            (256, 256, 71_858_946),
            (256, 8, 3_855_362),
            (256, 16, 4_281_602),
            (256, 32, 5_396_226),
        ] {
            let network = DiscriminatorNetwork { side, width: 64, condition: Some(condition) };
            assert_eq!(Discriminator::shapes(&network).values(), expected, "at {side}");
        }
    }

    fn network(side: usize, unconditional: bool) -> DiscriminatorNetwork {
        DiscriminatorNetwork { side, width: 4, condition: (!unconditional).then_some(3) }
    }

    fn normal<const D: usize>(shape: [usize; D], index: u64) -> Tensor<D> {
        let values = draws::normal(&mut draws::stream(3, "d", index), shape.iter().product());
        Tensor::from_data(TensorData::new(values, shape), &Device::flex())
    }

    #[test]
    fn shapes_are_those_of_the_network() {
        let device = Device::flex();
        for (side, unconditional) in [(8, false), (16, true), (64, false), (128, false)] {
            let network = network(side, unconditional);
            let init = &mut Init::new(0, "discriminator", &device);
            let discriminator = Discriminator::new(&network, init);
            let mut file = TensorFile::default();
            collect(&discriminator, "R_D0", &mut file);
            Discriminator::shapes(&network).check("R_D0", &file).unwrap();
            let images = normal([2, 3, side, side], 0);
            let found = discriminator.forward(images, Some(normal([2, 3], 1)), None);
            assert_eq!(found.conditional.is_none(), unconditional);
            assert_eq!(found.unconditional.dims(), [2]);
        }
    }

    #[test]
    fn the_logit_of_an_image_alone_does_not_depend_on_the_caption() {
        let init = &mut Init::new(0, "discriminator", &Device::flex());
        let discriminator = Discriminator::new(&network(16, false), init);
        let judged = |condition: Option<Tensor<2>>| {
            let judged = discriminator.forward(normal([4, 3, 16, 16], 0), condition, None);
            (to_vec(judged.unconditional), judged.conditional.map(to_vec))
        };
        let (first, second) = (judged(Some(normal([4, 3], 1))), judged(Some(normal([4, 3], 2))));
        assert_eq!(first.0, second.0);
        assert_ne!(first.1, second.1);
        assert_eq!(judged(None), (first.0, None));
    }

    #[test]
    fn only_images_with_a_caption_are_judged_with_one() {
        let init = &mut Init::new(0, "discriminator", &Device::flex());
        let discriminator = Discriminator::new(&network(8, false), init);
        let images = normal([4, 3, 8, 8], 0);
        let rows = Tensor::from_ints([1, 3], &Device::flex());
        let some = discriminator.forward(images.clone(), Some(normal([2, 3], 1)), Some(rows));
        assert_eq!((some.conditional.unwrap().dims(), some.unconditional.dims()), ([2], [4]));
        // All rows in their order are the same as no choice.
        let all = Tensor::from_ints([0, 1, 2, 3], &Device::flex());
        let conditions = normal([4, 3], 1);
        let chosen = discriminator.forward(images.clone(), Some(conditions.clone()), Some(all));
        let whole = discriminator.forward(images, Some(conditions), None);
        assert_eq!(to_vec(chosen.conditional.unwrap()), to_vec(whole.conditional.unwrap()));
    }
}
