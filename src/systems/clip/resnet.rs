//! The modified ResNet (He et al. 2016; Radford et al. 2021): three convolutions as stem, averages
//! instead of strides, and attention instead of the last average.

use burn::module::{Module, Param};
use burn::tensor::Tensor;

use super::settings::ResnetNetwork;
use crate::kernels::{self, Activation, Fir};
use crate::nn::attention::{applied, attention};
use crate::nn::{BatchNorm, Init, PlainLinear, Statistics, resample};
use crate::shapes::Shapes;

/// A convolution without bias, and batch normalisation with stored statistics.
#[derive(Module, Debug)]
struct ConvNorm {
    /// `[out, in, k, k]`.
    weight: Param<Tensor<4>>,
    norm: BatchNorm,
}

impl ConvNorm {
    fn new([inputs, outputs]: [usize; 2], kernel: usize, init: &mut Init) -> Self {
        let std = (2.0 / (inputs * kernel * kernel) as f32).sqrt();
        let weight = init.normal([outputs, inputs, kernel, kernel], std);
        Self { weight, norm: BatchNorm::standing(outputs, init) }
    }

    fn add_shapes(shapes: &mut Shapes, name: &str, widths: [usize; 2], kernel: usize) {
        shapes.conv(name, widths, kernel, false);
        shapes.batch_norm(&format!("{name}.norm"), widths[1], true);
    }

    fn forward(&self, x: Tensor<4>, stride: usize, act: Activation) -> Tensor<4> {
        let weight = self.weight.val();
        let padding = weight.dims()[2] / 2;
        self.norm.forward(kernels::conv2d(x, weight, stride, padding), act, Statistics::Standing)
    }
}

/// 1×1, 3×3 and 1×1 convolutions, added to the input. With a stride of 2, an average halves the side
/// before the last convolution.
#[derive(Module, Debug)]
struct Bottleneck {
    reduce: ConvNorm,
    middle: ConvNorm,
    expand: ConvNorm,
    /// Of the input, if its width or side changes.
    skip: Option<ConvNorm>,
    halves: bool,
}

impl Bottleneck {
    fn new(spec: &BlockSpec, init: &mut Init) -> Self {
        let &BlockSpec { inputs, planes, halves, .. } = spec;
        let outputs = spec.outputs();
        Self {
            reduce: ConvNorm::new([inputs, planes], 1, init),
            middle: ConvNorm::new([planes, planes], 3, init),
            expand: ConvNorm::new([planes, outputs], 1, init),
            skip: spec.skips().then(|| ConvNorm::new([inputs, outputs], 1, init)),
            halves,
        }
    }

    fn forward(&self, x: Tensor<4>, average: &Fir) -> Tensor<4> {
        let smaller = |x: Tensor<4>| match self.halves {
            true => kernels::upfirdn2d(x, average),
            false => x,
        };
        let y = self.reduce.forward(x.clone(), 1, Activation::RELU);
        let y = self.middle.forward(y, 1, Activation::RELU);
        let y = self.expand.forward(smaller(y), 1, Activation::LINEAR);
        let x = match &self.skip {
            Some(skip) => skip.forward(smaller(x), 1, Activation::LINEAR),
            None => x,
        };
        burn::tensor::activation::relu(x + y)
    }
}

/// The sizes of a block.
struct BlockSpec {
    /// `STAGE.INDEX`.
    name: String,
    inputs: usize,
    planes: usize,
    halves: bool,
}

impl BlockSpec {
    fn outputs(&self) -> usize {
        self.planes * ResnetNetwork::EXPANSION
    }

    fn skips(&self) -> bool {
        self.halves || self.inputs != self.outputs()
    }
}

/// The blocks of all stages.
fn blocks(network: &ResnetNetwork) -> Vec<Vec<BlockSpec>> {
    let mut inputs = network.width;
    let stages = network.blocks.iter().enumerate().map(|(stage, &count)| {
        let planes = network.planes(stage);
        let spec = |index: usize| {
            let first = index == 0;
            let inputs = if first { inputs } else { planes * ResnetNetwork::EXPANSION };
            let name = format!("{stage}.{index}");
            BlockSpec { name, inputs, planes, halves: first && stage > 0 }
        };
        let specs: Vec<BlockSpec> = (0..count).map(spec).collect();
        inputs = planes * ResnetNetwork::EXPANSION;
        specs
    });
    stages.collect()
}

/// The convolutions of the stem; the first one has a stride of 2.
fn stem(network: &ResnetNetwork) -> [[usize; 2]; 3] {
    let half = network.width / 2;
    [[3, half], [half, half], [half, network.width]]
}

/// Attention of the mean of all positions to the positions and itself.
#[derive(Module, Debug)]
struct AttentionPool {
    /// Added to each position, the mean first `[L, F]`.
    positions: Param<Tensor<2>>,
    query: PlainLinear,
    key: PlainLinear,
    value: PlainLinear,
    /// To the vector of the image.
    out: PlainLinear,
    heads: usize,
}

impl AttentionPool {
    /// x `[N, F, H, W]` → `[N, E]`.
    fn forward(&self, x: Tensor<4>) -> Tensor<2> {
        let [n, features, h, w] = x.dims();
        let x = x.reshape([n, features, h * w]).swap_dims(1, 2);
        let x = Tensor::cat(vec![x.clone().mean_dim(1), x], 1) + self.positions.val().unsqueeze();
        let query = applied(&self.query, x.clone().narrow(1, 0, 1));
        let (key, value) = (applied(&self.key, x.clone()), applied(&self.value, x));
        let y = applied(&self.out, attention([query, key, value], self.heads, None));
        let size = y.dims()[2];
        y.reshape([n, size])
    }
}

/// The image encoder.
#[derive(Module, Debug)]
pub(super) struct ModifiedResnet {
    stem: Vec<ConvNorm>,
    stages: Vec<Vec<Bottleneck>>,
    pool: AttentionPool,
}

impl ModifiedResnet {
    pub fn new(network: &ResnetNetwork, size: usize, init: &mut Init) -> Self {
        let features = network.features();
        let stem = stem(network).map(|widths| ConvNorm::new(widths, 3, init)).into();
        let mut stage = |specs: Vec<BlockSpec>| {
            specs.iter().map(|spec| Bottleneck::new(spec, init)).collect::<Vec<_>>()
        };
        let stages = blocks(network).into_iter().map(&mut stage).collect();
        let std = (features as f32).sqrt().recip();
        let pool = AttentionPool {
            positions: init.normal([network.length(), features], std),
            query: PlainLinear::new(features, features, init),
            key: PlainLinear::new(features, features, init),
            value: PlainLinear::new(features, features, init),
            out: PlainLinear::new(features, size, init),
            heads: network.heads(),
        };
        Self { stem, stages, pool }
    }

    /// The tensors of such an encoder.
    pub fn shapes(network: &ResnetNetwork, size: usize) -> Shapes {
        let mut shapes = Shapes::new();
        for (index, widths) in stem(network).into_iter().enumerate() {
            ConvNorm::add_shapes(&mut shapes, &format!("stem.{index}"), widths, 3);
        }
        for spec in blocks(network).iter().flatten() {
            let (planes, outputs) = (spec.planes, spec.outputs());
            let mut add = |layer: &str, widths: [usize; 2], kernel: usize| {
                let name = format!("stages.{}.{layer}", spec.name);
                ConvNorm::add_shapes(&mut shapes, &name, widths, kernel);
            };
            add("reduce", [spec.inputs, planes], 1);
            add("middle", [planes, planes], 3);
            add("expand", [planes, outputs], 1);
            if spec.skips() {
                add("skip", [spec.inputs, outputs], 1);
            }
        }
        let features = network.features();
        shapes.tensor("pool.positions", &[network.length(), features]);
        for name in ["query", "key", "value"] {
            shapes.linear(&format!("pool.{name}"), [features, features]);
        }
        shapes.linear("pool.out", [features, size]);
        shapes
    }

    /// Normalised images `[N, 3, S, S]` → `[N, E]`.
    pub fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        let average = resample::average2();
        let strides = [2, 1, 1];
        let x = self
            .stem
            .iter()
            .zip(strides)
            .fold(images, |x, (layer, stride)| layer.forward(x, stride, Activation::RELU));
        let x = kernels::upfirdn2d(x, &average);
        let blocks = self.stages.iter().flatten();
        self.pool.forward(blocks.fold(x, |x, block| block.forward(x, &average)))
    }

    /// Number of values of the largest tensor inside, for one image.
    pub fn largest(network: &ResnetNetwork) -> usize {
        let side = ResnetNetwork::REDUCTION * network.grid;
        // After the stem, and after the first stage.
        network.width * (side / 2).pow(2)
    }
}
