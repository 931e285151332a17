//! Batch normalisation (Ioffe & Szegedy 2015).
//!
//! In training, the statistics are those of one pass: a batch of real and a batch of generated
//! images are normalised separately. A generator that draws needs statistics that do not depend on
//! the other images of a batch. [`with_standing_statistics`] measures them once training is done
//! (Brock et al. 2019, "standing statistics"), so there is no running average of earlier weights.

use std::cell::RefCell;
use std::collections::HashMap;

use burn::module::{Module, ModuleMapper, Param, ParamId};
use burn::tensor::Tensor;

use super::Init;
use crate::error::{Error, Result};
use crate::kernels::{self, Activation, Groups};
use crate::tensorfile::{HostTensor, TensorFile, belongs};

/// Added to the variance.
const EPS: f32 = 1e-5;
/// Standard deviation of the initial scales (Radford et al. 2016).
const SCALE_STD: f32 = 0.02;

/// Batch normalisation with a scale and an offset per channel.
#[derive(Module, Debug)]
pub struct BatchNorm {
    /// Scale `[C]`, initially N(1, 0.02²).
    pub weight: Param<Tensor<1>>,
    /// Offset `[C]`, initially 0.
    pub bias: Param<Tensor<1>>,
    /// Statistics for drawing; `None` in networks that are only used in training.
    pub standing: Option<StandingStatistics>,
}

/// Last part of the name of a layer's variance.
const VARIANCE: &str = "standing.variance";

/// Checks that the variances of a network in a file are not negative.
///
/// # Errors
/// If one is.
pub fn check_variances(file: &TensorFile, prefix: &str) -> Result<()> {
    let variances = |(name, _): &(&String, &HostTensor)| {
        belongs(name, prefix) && name.ends_with(&format!(".{VARIANCE}"))
    };
    let mut variances = file.tensors.iter().filter(variances);
    match variances.find(|(_, tensor)| tensor.to_f32().iter().any(|v| *v < 0.0)) {
        None => Ok(()),
        Some((name, _)) => Err(Error::user(format!("`{name}` is negative"))
            .hint("the file is damaged; use another copy of the model")),
    }
}

/// The mean and the variance of each channel, for drawing.
#[derive(Module, Debug)]
pub struct StandingStatistics {
    /// Mean `[C]`, initially 0.
    pub mean: Param<Tensor<1>>,
    /// Variance `[C]`, initially 1.
    pub variance: Param<Tensor<1>>,
}

/// The statistics that a pass through a network normalises with.
#[derive(Clone, Copy)]
pub enum Statistics<'a> {
    /// Those of the pass itself.
    Batch,
    /// Those of the pass itself, which are recorded as well.
    Recorded(&'a Recorder),
    /// The standing statistics of the layers.
    Standing,
}

impl BatchNorm {
    /// A layer for a network that is only used in training, such as a discriminator.
    pub fn new(channels: usize, init: &mut Init) -> Self {
        let weight = init.normal([channels], SCALE_STD).map(|weight| weight + 1.0);
        Self { weight, bias: init.full([channels], 0.0), standing: None }
    }

    /// A layer with standing statistics, for a network that draws.
    pub fn standing(channels: usize, init: &mut Init) -> Self {
        let standing = StandingStatistics {
            mean: init.buffer([channels], 0.0),
            variance: init.buffer([channels], 1.0),
        };
        Self { standing: Some(standing), ..Self::new(channels, init) }
    }

    /// Computes act(normalised·weight + bias): x `[N, C, H, W]` → `[N, C, H, W]`.
    pub fn forward(&self, x: Tensor<4>, act: Activation, statistics: Statistics) -> Tensor<4> {
        match (statistics, &self.standing) {
            (Statistics::Standing, Some(standing)) => {
                let c = x.dims()[1];
                let rate = (standing.variance.val() + EPS).sqrt().recip();
                let scale = self.weight.val() * rate;
                let shift = self.bias.val() - standing.mean.val() * scale.clone();
                kernels::bias_act(x * scale.reshape([1, c, 1, 1]), shift, act)
            }
            (Statistics::Recorded(recorder), Some(standing)) => {
                recorder.record(standing, &x);
                self.by_batch(x, act)
            }
            _ => self.by_batch(x, act),
        }
    }

    /// Computes the layer for vectors: x `[N, C]` → `[N, C]`.
    pub fn forward_vectors(
        &self,
        x: Tensor<2>,
        act: Activation,
        statistics: Statistics,
    ) -> Tensor<2> {
        let [n, c] = x.dims();
        self.forward(x.reshape([n, c, 1, 1]), act, statistics).reshape([n, c])
    }

    /// A batch is one image whose planes are the channels of all images, and every channel is a
    /// group of its own.
    fn by_batch(&self, x: Tensor<4>, act: Activation) -> Tensor<4> {
        let [n, c, h, w] = x.dims();
        let groups = Groups { count: c, eps: EPS, act };
        let planes = x.swap_dims(0, 1).reshape([1, c, n * h, w]);
        kernels::group_norm(planes, self.weight.val(), self.bias.val(), groups)
            .reshape([c, n, h, w])
            .swap_dims(0, 1)
    }
}

/// Sums of the statistics of several passes, by the layer that they belong to.
#[derive(Default)]
pub struct Recorder {
    sums: RefCell<HashMap<ParamId, Sums>>,
}

/// Sums over passes, `[C]` each.
struct Sums {
    variance: ParamId,
    passes: f64,
    mean: Tensor<1>,
    /// Of the squares of the means.
    mean_square: Tensor<1>,
    /// Of the variances.
    variances: Tensor<1>,
}

impl Recorder {
    fn record(&self, layer: &StandingStatistics, x: &Tensor<4>) {
        let [n, c, h, w] = x.dims();
        let rows = x.clone().inner().swap_dims(0, 1).reshape([c, n * h * w]);
        let mean = rows.clone().mean_dim(1);
        let centred = rows - mean.clone();
        let variance = (centred.clone() * centred).mean_dim(1).reshape([c]);
        let mean = mean.reshape([c]);
        let square = mean.clone() * mean.clone();
        let mut sums = self.sums.borrow_mut();
        let sums = sums.entry(layer.mean.id).or_insert_with(|| Sums {
            variance: layer.variance.id,
            passes: 0.0,
            mean: mean.zeros_like(),
            mean_square: mean.zeros_like(),
            variances: mean.zeros_like(),
        });
        sums.passes += 1.0;
        sums.mean = sums.mean.clone() + mean;
        sums.mean_square = sums.mean_square.clone() + square;
        sums.variances = sums.variances.clone() + variance;
    }

    /// The buffers of all layers that were recorded: the mean of the means, and the mean of the
    /// variances plus the variance of the means.
    fn buffers(self) -> HashMap<ParamId, Tensor<1>> {
        let mut buffers = HashMap::new();
        for (id, sums) in self.sums.into_inner() {
            let mean = sums.mean / sums.passes;
            let between = sums.mean_square / sums.passes - mean.clone() * mean.clone();
            let variance = sums.variances / sums.passes + between.clamp_min(0.0);
            buffers.insert(sums.variance, variance);
            buffers.insert(id, mean);
        }
        buffers
    }
}

/// A copy of `network` whose standing statistics are those of the passes that `passes` makes.
///
/// # Errors
/// Those of `passes`.
pub fn with_standing_statistics<M: Module, E>(
    network: &M,
    passes: impl FnOnce(&M, Statistics) -> std::result::Result<(), E>,
) -> std::result::Result<M, E> {
    let recorder = Recorder::default();
    passes(network, Statistics::Recorded(&recorder))?;
    Ok(network.clone().map(&mut Assign(recorder.buffers())))
}

struct Assign(HashMap<ParamId, Tensor<1>>);

impl ModuleMapper for Assign {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        match self.0.remove(&param.id) {
            Some(values) => param.map(|old| values.reshape(old.dims()).set_require_grad(false)),
            None => param,
        }
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, TensorData};

    use super::*;
    use crate::draws;
    use crate::nn::params::to_vec;

    const SHAPE: [usize; 4] = [3, 2, 2, 4];

    fn normal(index: u64) -> Tensor<4> {
        let values = draws::normal(&mut draws::stream(7, "batch_norm", index), 48);
        Tensor::from_data(TensorData::new(values, SHAPE), &Device::flex())
    }

    fn layer() -> BatchNorm {
        let mut layer = BatchNorm::standing(2, &mut Init::new(0, "norm", &Device::flex()));
        let device = Device::flex();
        layer.weight = Param::from_tensor(Tensor::from_floats([1.5, -0.5], &device));
        layer.bias = Param::from_tensor(Tensor::from_floats([0.25, 1.0], &device));
        layer
    }

    /// Mean and biased variance of each channel in f64.
    fn moments(x: &[f32]) -> [[f64; 2]; 2] {
        [0, 1].map(|c| {
            let values: Vec<f64> =
                (0..48).filter(|i| i / 8 % 2 == c).map(|i| f64::from(x[i])).collect();
            let mean = values.iter().sum::<f64>() / 24.0;
            [mean, values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / 24.0]
        })
    }

    #[test]
    fn values_are_those_of_the_formula() {
        let x = normal(0);
        let act = Activation { slope: 0.2, gain: 1.0, clamp: None };
        let found = to_vec(layer().forward(x.clone(), act, Statistics::Batch));
        let x = to_vec(x);
        let moments = moments(&x);
        for (i, found) in found.iter().enumerate() {
            let c = i / 8 % 2;
            let [mean, variance] = moments[c];
            let normal = (f64::from(x[i]) - mean) / (variance + 1e-5).sqrt();
            let y = normal * [1.5, -0.5][c] + [0.25, 1.0][c];
            let expected = if y > 0.0 { y } else { 0.2 * y };
            assert!((f64::from(*found) - expected).abs() < 1e-5, "{found}, not {expected}");
        }
    }

    /// Σ r·y for a fixed r, whose gradient is compared with finite differences.
    fn loss(layer: &BatchNorm, x: Tensor<4>) -> Tensor<1> {
        let r = normal(9);
        (layer.forward(x, Activation::LRELU, Statistics::Batch) * r).sum()
    }

    #[test]
    fn gradients_are_finite_differences() {
        let layer = layer();
        let x = normal(1).autodiff().require_grad();
        let gradient = to_vec(x.grad(&loss(&layer, x.clone()).backward()).unwrap());
        let values = to_vec(normal(1));
        for at in (0..48).step_by(5) {
            let moved = |by: f32| {
                let mut values = values.clone();
                values[at] += by;
                let x = Tensor::from_data(TensorData::new(values, SHAPE), &Device::flex());
                f64::from(to_vec(loss(&layer, x))[0])
            };
            let expected = (moved(0.01) - moved(-0.01)) / 0.02;
            let found = f64::from(gradient[at]);
            assert!((found - expected).abs() < 2e-2, "{at}: {found}, not {expected}");
        }
    }

    /// Standing statistics pool the passes: the moments are those of all values together.
    #[test]
    fn standing_statistics_are_those_of_all_passes() {
        let before = layer();
        let passes = |layer: &BatchNorm, statistics: Statistics| -> Result<(), ()> {
            for index in 0..4 {
                layer.forward(normal(index), Activation::LINEAR, statistics);
            }
            Ok(())
        };
        let after = with_standing_statistics(&before, passes).unwrap();
        let standing = after.standing.clone().unwrap();
        let (mean, variance) = (to_vec(standing.mean.val()), to_vec(standing.variance.val()));
        let each: Vec<_> = (0..4).map(|index| moments(&to_vec(normal(index)))).collect();
        for c in 0..2 {
            let of = |i: usize| each.iter().map(|m| m[c][i]).sum::<f64>() / 4.0;
            let square = each.iter().map(|m| m[c][0].powi(2)).sum::<f64>() / 4.0;
            assert!((f64::from(mean[c]) - of(0)).abs() < 1e-6);
            let expected = of(1) + square - of(0).powi(2);
            assert!((f64::from(variance[c]) - expected).abs() < 1e-5);
        }
        // The layer that was measured is unchanged.
        assert_eq!(to_vec(before.standing.clone().unwrap().mean.val()), [0.0, 0.0]);
        // An image's result does not depend on the other images of its batch.
        let whole = after.forward(normal(5), Activation::LINEAR, Statistics::Standing);
        let alone =
            after.forward(normal(5).narrow(0, 1, 1), Activation::LINEAR, Statistics::Standing);
        assert_eq!(to_vec(whole.narrow(0, 1, 1)), to_vec(alone));
    }

    #[test]
    fn passes_are_normalised_separately() {
        let layer = layer();
        let one = |x| to_vec(layer.forward(x, Activation::LINEAR, Statistics::Batch));
        let apart = one(normal(0) * 3.0 + 5.0);
        let alone = one(normal(0));
        for (a, b) in apart.iter().zip(&alone) {
            assert!((a - b).abs() < 1e-4, "the scale and offset of a batch must not matter");
        }
    }
}
