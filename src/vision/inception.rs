//! Inception-v3 as Fréchet distances use it (Szegedy et al. 2016; Heusel et al. 2017).
//!
//! The layout follows the weights that pytorch-fid converted from the original TensorFlow graph
//! (`pt_inception-2015-12-05-*.pth`). It differs from torchvision's network: average pools exclude
//! the padding, the last block uses max pooling, and there are 1008 classes.

use std::path::Path;

use burn::tensor::module::{avg_pool2d, conv2d, max_pool2d};
use burn::tensor::ops::{AvgPoolOptions, ConvOptions, MaxPoolOptions};
use burn::tensor::{Device, Tensor};

use crate::error::Result;
use crate::kernels::{self, Activation};
use crate::nn::params::from_host;
use crate::nn::resize::bilinear;
use crate::tensorfile::{HostTensor, TensorFile};
use crate::weights::{self, WeightReader};

/// Side to which images are resized.
pub const SIDE: usize = 299;
/// Number of classes of the original graph, 1000 of which are those of ImageNet.
const CLASSES: usize = 1008;
/// Epsilon of batch normalisation.
const EPS: f64 = 1e-3;

/// The shape of a convolution in the architecture.
#[derive(Debug, Clone, Copy)]
struct Spec {
    name: &'static str,
    outputs: usize,
    /// Height and width.
    kernel: [usize; 2],
    stride: usize,
    padding: [usize; 2],
}

/// A convolution with folded batch normalisation, and a ReLU.
#[derive(Debug, Clone)]
struct Conv {
    /// `[O, I, kh, kw]`.
    weight: Tensor<4>,
    /// `[O]`.
    bias: Tensor<1>,
    spec: Spec,
}

/// One step of a branch.
#[derive(Debug, Clone)]
enum Step<C> {
    Conv(C),
    /// Two convolutions of the same input, concatenated.
    Fork([C; 2]),
    /// 3×3 average pooling of stride 1 that excludes the padding.
    Average,
    /// 3×3 max pooling of stride 1.
    MaxSame,
    /// 3×3 max pooling of stride 2.
    MaxHalf,
}

/// The branches of a block. Their outputs are concatenated.
type Branches<C> = Vec<Vec<Step<C>>>;

/// The network without its last linear layer: the stem and the blocks, with their names.
#[derive(Debug, Clone)]
struct Trunk<C>(Vec<(&'static str, Branches<C>)>);

/// Inception-v3 with loaded weights.
#[derive(Debug, Clone)]
pub struct Inception {
    trunk: Trunk<Conv>,
    /// `[CLASSES, 2048]`.
    fc_weight: Tensor<2>,
    /// `[CLASSES]`.
    fc_bias: Tensor<1>,
}

impl Inception {
    /// Loads pytorch-fid's weights, or the same tensors as safetensors.
    ///
    /// # Errors
    /// Fails if the file cannot be read or belongs to another network.
    pub fn load(path: impl AsRef<Path>, device: &Device) -> Result<Self> {
        let path = path.as_ref();
        let file = weights::read(path, |_| true)?;
        Self::from_weights(&file, device).map_err(|e| e.context(path.display()))
    }

    /// Like [`load`](Self::load), from weights in memory.
    ///
    /// # Errors
    /// If a tensor is missing or has another shape.
    pub fn from_weights(file: &TensorFile, device: &Device) -> Result<Self> {
        let device = device.clone().without_autodiff();
        let mut reader = WeightReader::from(file);
        let (trunk, width) = Trunk::plan()
            .try_map(|name, inputs, spec| Conv::take(&mut reader, name, inputs, spec, &device))?;
        let fc_weight = reader.take("fc.weight", &[Some(CLASSES), Some(width)])?;
        let fc_bias = reader.take("fc.bias", &[Some(CLASSES)])?;
        // Only training uses the counter of batches.
        reader.finish(|name| name.ends_with(".num_batches_tracked"))?;
        Ok(Self {
            trunk,
            fc_weight: from_host(fc_weight, &device),
            fc_bias: from_host(fc_bias, &device),
        })
    }

    /// Name and shape of every tensor of the network.
    pub fn shapes() -> Vec<(String, Vec<usize>)> {
        let mut shapes = Vec::new();
        let walked = Trunk::plan().try_map(|name, inputs, spec| {
            let [h, w] = spec.kernel;
            shapes.push((format!("{name}.conv.weight"), vec![spec.outputs, inputs, h, w]));
            for part in ["weight", "bias", "running_mean", "running_var"] {
                shapes.push((format!("{name}.bn.{part}"), vec![spec.outputs]));
            }
            Ok(())
        });
        let width = walked.map_or(0, |(_, width)| width);
        shapes.push(("fc.weight".to_owned(), vec![CLASSES, width]));
        shapes.push(("fc.bias".to_owned(), vec![CLASSES]));
        shapes
    }

    /// Number of values in a pool3 vector: 2048.
    pub fn pool3_dim(&self) -> usize {
        self.fc_weight.dims()[1]
    }

    /// Images `[N, 3, H, W]` in `[-1, 1]`, of any size → pool3 `[N, 2048]`.
    ///
    /// Images are resized bilinearly without antialiasing, as in pytorch-fid. Other resizing
    /// methods change the distances.
    pub fn pool3(&self, images: Tensor<4>) -> Tensor<2> {
        self.blocks(bilinear(images, SIDE), |_, _| {})
    }

    /// pool3 `[N, 2048]` → logits `[N, 1008]`.
    ///
    /// `bias` adds the bias, which the published code of the Inception score leaves out.
    pub fn logits(&self, pool3: Tensor<2>, bias: bool) -> Tensor<2> {
        let logits = pool3.matmul(self.fc_weight.clone().transpose());
        if bias { logits + self.fc_bias.clone().unsqueeze() } else { logits }
    }

    /// Images `[N, 3, 299, 299]` in `[-1, 1]` → pool3. Calls `seen` with the output of the stem and
    /// of every block.
    pub fn blocks(&self, images: Tensor<4>, mut seen: impl FnMut(&str, &Tensor<4>)) -> Tensor<2> {
        let mut x = images;
        for (name, branches) in &self.trunk.0 {
            let ends = branches
                .iter()
                .map(|branch| branch.iter().fold(x.clone(), |x, step| step.forward(x)));
            x = concatenated(ends.collect());
            seen(name, &x);
        }
        let [n, c, h, w] = x.dims();
        x.reshape([n, c, h * w]).mean_dim(2).reshape([n, c])
    }
}

fn concatenated(mut ends: Vec<Tensor<4>>) -> Tensor<4> {
    if ends.len() == 1 { ends.remove(0) } else { Tensor::cat(ends, 1) }
}

impl Conv {
    /// Takes `NAME.conv.weight` and `NAME.bn.*`.
    fn take(
        weights: &mut WeightReader,
        name: &str,
        inputs: usize,
        spec: &Spec,
        device: &Device,
    ) -> Result<Self> {
        let [h, w] = spec.kernel;
        let o = spec.outputs;
        let shape = [o, inputs, h, w];
        let conv = weights.take(&format!("{name}.conv.weight"), &shape.map(Some))?;
        let mut norm = |part: &str| -> Result<Vec<f32>> {
            Ok(weights.take(&format!("{name}.bn.{part}"), &[Some(o)])?.to_f32())
        };
        let (gain, offset) = (norm("weight")?, norm("bias")?);
        let (mean, variance) = (norm("running_mean")?, norm("running_var")?);
        // Fold y = (conv(x) − mean)·factor + offset into one convolution.
        let factors: Vec<f64> = gain
            .iter()
            .zip(&variance)
            .map(|(&g, &v)| f64::from(g) / (f64::from(v) + EPS).sqrt())
            .collect();
        let mut weight = conv.to_f32();
        for (filter, factor) in weight.chunks_exact_mut(inputs * h * w).zip(&factors) {
            filter.iter_mut().for_each(|v| *v = (f64::from(*v) * factor) as f32);
        }
        let bias = (0..o)
            .map(|i| (f64::from(offset[i]) - f64::from(mean[i]) * factors[i]) as f32)
            .collect();
        Ok(Self {
            weight: from_host(&HostTensor::f32(shape, weight)?, device),
            bias: from_host(&HostTensor::f32([o], bias)?, device),
            spec: *spec,
        })
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let Spec { kernel: [h, w], stride, padding, .. } = self.spec;
        let weight = self.weight.clone();
        let y = if h == w {
            kernels::conv2d(x, weight, stride, padding[0])
        } else {
            // The project's own kernels only support square filters.
            let how = ConvOptions::new([stride; 2], padding, [1; 2], 1);
            conv2d(x, weight, None, how)
        };
        kernels::bias_act(y, self.bias.clone(), Activation::RELU)
    }
}

impl Step<Conv> {
    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let max = |stride: usize, padding: usize| {
            MaxPoolOptions::new([3; 2]).with_stride([stride; 2]).with_padding([padding; 2])
        };
        match self {
            Step::Conv(conv) => conv.forward(x),
            Step::Fork(ends) => {
                Tensor::cat(ends.iter().map(|conv| conv.forward(x.clone())).collect(), 1)
            }
            Step::Average => {
                let average = AvgPoolOptions::new([3; 2]).with_stride([1; 2]).with_padding([1; 2]);
                avg_pool2d(x, average.with_count_include_pad(false))
            }
            Step::MaxSame => max_pool2d(x, max(1, 1)),
            Step::MaxHalf => max_pool2d(x, max(2, 0)),
        }
    }
}

impl Trunk<Spec> {
    /// The architecture.
    fn plan() -> Self {
        use Step::{Average, Conv, MaxHalf, MaxSame};
        let stem = vec![vec![
            Conv(Spec { stride: 2, ..square("Conv2d_1a_3x3", 32, 3, 0) }),
            Conv(square("Conv2d_2a_3x3", 32, 3, 0)),
            Conv(square("Conv2d_2b_3x3", 64, 3, 1)),
            MaxHalf,
            Conv(square("Conv2d_3b_1x1", 80, 1, 0)),
            Conv(square("Conv2d_4a_3x3", 192, 3, 0)),
            MaxHalf,
        ]];
        Self(vec![
            ("stem", stem),
            ("Mixed_5b", block_a(32)),
            ("Mixed_5c", block_a(64)),
            ("Mixed_5d", block_a(64)),
            ("Mixed_6a", block_b()),
            ("Mixed_6b", block_c(128)),
            ("Mixed_6c", block_c(160)),
            ("Mixed_6d", block_c(160)),
            ("Mixed_6e", block_c(192)),
            ("Mixed_7a", block_d()),
            ("Mixed_7b", block_e(Average)),
            ("Mixed_7c", block_e(MaxSame)),
        ])
    }

    /// Applies `make` to every convolution, given its full name and number of input maps. Also
    /// returns the number of output maps of the last block.
    fn try_map<C>(
        &self,
        mut make: impl FnMut(&str, usize, &Spec) -> Result<C>,
    ) -> Result<(Trunk<C>, usize)> {
        let mut width = 3;
        let mut blocks = Vec::new();
        for (name, branches) in &self.0 {
            // The names of the stem's convolutions have no prefix.
            let prefix = if *name == "stem" { String::new() } else { format!("{name}.") };
            let mut out = 0;
            let mut made = Vec::new();
            for branch in branches {
                let mut inputs = width;
                let mut steps = Vec::new();
                for step in branch {
                    let mut conv =
                        |spec: &Spec| make(&format!("{prefix}{}", spec.name), inputs, spec);
                    steps.push(match step {
                        Step::Conv(spec) => Step::Conv(conv(spec)?),
                        Step::Fork([a, b]) => Step::Fork([conv(a)?, conv(b)?]),
                        Step::Average => Step::Average,
                        Step::MaxSame => Step::MaxSame,
                        Step::MaxHalf => Step::MaxHalf,
                    });
                    inputs = match step {
                        Step::Conv(spec) => spec.outputs,
                        Step::Fork([a, b]) => a.outputs + b.outputs,
                        _ => inputs,
                    };
                }
                out += inputs;
                made.push(steps);
            }
            width = out;
            blocks.push((*name, made));
        }
        Ok((Trunk(blocks), width))
    }
}

fn square(name: &'static str, outputs: usize, kernel: usize, padding: usize) -> Spec {
    Spec { name, outputs, kernel: [kernel; 2], stride: 1, padding: [padding; 2] }
}

fn point(name: &'static str, outputs: usize) -> Step<Spec> {
    Step::Conv(square(name, outputs, 1, 0))
}

/// k×k convolution that keeps the size.
fn same(name: &'static str, outputs: usize, kernel: usize) -> Step<Spec> {
    Step::Conv(square(name, outputs, kernel, kernel / 2))
}

/// 3×3 convolution that halves the size.
fn half(name: &'static str, outputs: usize) -> Step<Spec> {
    Step::Conv(Spec { stride: 2, ..square(name, outputs, 3, 0) })
}

/// 1×k convolution that keeps the size.
fn row(name: &'static str, outputs: usize, k: usize) -> Spec {
    Spec { name, outputs, kernel: [1, k], stride: 1, padding: [0, k / 2] }
}

/// k×1 convolution that keeps the size.
fn column(name: &'static str, outputs: usize, k: usize) -> Spec {
    Spec { name, outputs, kernel: [k, 1], stride: 1, padding: [k / 2, 0] }
}

fn block_a(pool: usize) -> Branches<Spec> {
    vec![
        vec![point("branch1x1", 64)],
        vec![point("branch5x5_1", 48), same("branch5x5_2", 64, 5)],
        vec![
            point("branch3x3dbl_1", 64),
            same("branch3x3dbl_2", 96, 3),
            same("branch3x3dbl_3", 96, 3),
        ],
        vec![Step::Average, point("branch_pool", pool)],
    ]
}

fn block_b() -> Branches<Spec> {
    vec![
        vec![half("branch3x3", 384)],
        vec![
            point("branch3x3dbl_1", 64),
            same("branch3x3dbl_2", 96, 3),
            half("branch3x3dbl_3", 96),
        ],
        vec![Step::MaxHalf],
    ]
}

fn block_c(width: usize) -> Branches<Spec> {
    use Step::Conv;
    vec![
        vec![point("branch1x1", 192)],
        vec![
            point("branch7x7_1", width),
            Conv(row("branch7x7_2", width, 7)),
            Conv(column("branch7x7_3", 192, 7)),
        ],
        vec![
            point("branch7x7dbl_1", width),
            Conv(column("branch7x7dbl_2", width, 7)),
            Conv(row("branch7x7dbl_3", width, 7)),
            Conv(column("branch7x7dbl_4", width, 7)),
            Conv(row("branch7x7dbl_5", 192, 7)),
        ],
        vec![Step::Average, point("branch_pool", 192)],
    ]
}

fn block_d() -> Branches<Spec> {
    use Step::Conv;
    vec![
        vec![point("branch3x3_1", 192), half("branch3x3_2", 320)],
        vec![
            point("branch7x7x3_1", 192),
            Conv(row("branch7x7x3_2", 192, 7)),
            Conv(column("branch7x7x3_3", 192, 7)),
            half("branch7x7x3_4", 192),
        ],
        vec![Step::MaxHalf],
    ]
}

fn block_e(pool: Step<Spec>) -> Branches<Spec> {
    let fork = |a, b| Step::Fork([row(a, 384, 3), column(b, 384, 3)]);
    vec![
        vec![point("branch1x1", 320)],
        vec![point("branch3x3_1", 384), fork("branch3x3_2a", "branch3x3_2b")],
        vec![
            point("branch3x3dbl_1", 448),
            same("branch3x3dbl_2", 384, 3),
            fork("branch3x3dbl_3a", "branch3x3dbl_3b"),
        ],
        vec![pool, point("branch_pool", 192)],
    ]
}
