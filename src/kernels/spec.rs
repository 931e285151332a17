//! Descriptions of the kernels' work, independent of any backend.

use std::ops::Range;
use std::sync::Arc;

/// A convolution with a square kernel.
///
/// It maps `[N, I, H, W]` to `[N, O, H', W']`, and the transposed convolution maps back. `input` is
/// `[H, W]` for both.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Conv {
    /// Side of the kernel, k.
    pub kernel: usize,
    /// 1 or 2.
    pub stride: usize,
    /// Zeros added on every side.
    pub padding: usize,
    /// Height and width of the convolution's input.
    pub input: [usize; 2],
    /// A filter that is applied to the input first.
    pub smooth: Option<Smooth>,
    /// Whether the weight is `[I, O, k, k]` in memory instead of `[O, I, k, k]`.
    pub swapped: bool,
    /// Factor of the weight.
    pub gain: f32,
    /// Whether the gradients of all operands but the input may be left as sums in parts; see
    /// [`Kernels::k_sums_of_parts`](super::Kernels::k_sums_of_parts). Only for operands that come from
    /// [`together`](super::together) or [`demodulation`](super::demodulation), which add the parts.
    pub parts: bool,
}

/// A separable FIR filter of four taps that belongs to a convolution: H → H + 2·padding − 3.
///
/// It comes before the convolution, and so after the transposed one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Smooth {
    /// Along either axis, correlated with the input.
    pub taps: [f32; 4],
    /// Zeros on every side, 3 at most.
    pub padding: usize,
}

impl Smooth {
    /// The filter without the convolution.
    pub fn fir(&self) -> Fir {
        let pad = [[self.padding as i32; 2]; 2];
        Fir { taps: Arc::from(self.taps), up: 1, down: 1, pad, flip: true, gain: 1.0 }
    }
}

impl Conv {
    /// A convolution of images with height and width `input`.
    pub fn new(input: [usize; 2], kernel: usize, stride: usize, padding: usize) -> Self {
        let (smooth, swapped, gain, parts) = (None, false, 1.0, false);
        Self { kernel, stride, padding, input, smooth, swapped, gain, parts }
    }

    /// A filter, then a convolution of stride 2 without padding.
    pub fn down(input: [usize; 2], kernel: usize, smooth: Smooth) -> Self {
        Self { smooth: Some(smooth), ..Self::new(input, kernel, 2, 0) }
    }

    /// The convolution whose adjoint takes images of height and width `output` up: a transposed
    /// convolution of stride 2, then the filter.
    pub fn up(output: [usize; 2], kernel: usize, smooth: Smooth) -> Self {
        let input = output.map(|n| 2 * (n - 1) + kernel + 3 - 2 * smooth.padding);
        Self::down(input, kernel, smooth)
    }

    /// The same with another factor of the weight.
    pub fn gained(self, gain: f32) -> Self {
        Self { gain: self.gain * gain, ..self }
    }

    /// A power of two near 1/√(fan-in) for a weight `[O, I, k, k]`: with this factor, a sum of products
    /// with weights from N(0, 1) is hardly larger than its terms.
    pub fn safe_gain([_, inputs, k, _]: [usize; 4]) -> f32 {
        ((inputs * k * k) as f32).sqrt().recip().log2().round().exp2()
    }

    /// The same with gradients in parts.
    pub fn in_parts(self) -> Self {
        Self { parts: true, ..self }
    }

    /// Height and width of the filtered input, which the kernel slides over.
    pub fn filtered(&self) -> [usize; 2] {
        self.smooth.map_or(self.input, |smooth| self.input.map(|n| n + 2 * smooth.padding - 3))
    }

    /// Height and width of the convolution's output.
    pub fn output(&self) -> [usize; 2] {
        self.filtered().map(|n| (n + 2 * self.padding - self.kernel) / self.stride + 1)
    }
}

/// A separable FIR filter between zero insertion and decimation, applied to every plane.
///
/// The output at (i, j) is `gain`·Σ taps·taps·(input, zeros inserted, padded), as
/// `upfirdn2d` of the StyleGAN2 authors defines it (Karras et al. 2020, App. B).
#[derive(Debug, Clone, PartialEq)]
pub struct Fir {
    /// 1-D taps, used along both axes.
    pub taps: Arc<[f32]>,
    /// Zeros are inserted so that the sampling rate grows by this.
    pub up: usize,
    /// Every `down`-th sample is kept.
    pub down: usize,
    /// Zeros added (or samples cut off, where negative) before and after: rows, then columns.
    pub pad: [[i32; 2]; 2],
    /// False: convolution (the taps are reversed against the signal). True: correlation.
    pub flip: bool,
    /// Factor on the output.
    pub gain: f32,
}

impl Fir {
    /// Height and width after filtering.
    pub fn output(&self, input: [usize; 2]) -> [usize; 2] {
        std::array::from_fn(|axis| {
            let padded = (input[axis] * self.up) as i64 + self.pad[axis].iter().sum::<i32>() as i64;
            // Rounded down, so that nothing is left where the taps do not fit.
            let last = (padded - self.taps.len() as i64).div_euclid(self.down as i64);
            (last + 1).max(0) as usize
        })
    }

    /// The adjoint operation, for an input of height and width `input`.
    ///
    /// Rates are swapped, the filter is flipped, and the padding is what brings the gradient back
    /// to the size of the input.
    pub fn adjoint(&self, input: [usize; 2]) -> Fir {
        let taps = self.taps.len() as i32;
        let (up, down) = (self.up as i32, self.down as i32);
        let output = self.output(input);
        let pad = std::array::from_fn(|axis| {
            let before = self.pad[axis][0];
            let rest = input[axis] as i32 * up - output[axis] as i32 * down;
            [taps - 1 - before, rest + before - up + 1]
        });
        Fir {
            taps: self.taps.clone(),
            up: self.down,
            down: self.up,
            pad,
            flip: !self.flip,
            gain: self.gain,
        }
    }
}

/// Bilinear sampling of every image along its own affine map.
///
/// Pixel (i, j) of an output, row and column, is the input of the same image at column
/// x = xx·j + xy·i + x0 and row y = yx·j + yy·i + y0, both counted in pixels from the centre of the
/// first one. The input is 0 outside its borders. A dense grid is never stored.
#[derive(Debug, Clone, PartialEq)]
pub struct Warp {
    /// `[N]`: (xx, xy, x0, yx, yy, y0).
    pub maps: Arc<[[f32; 6]]>,
    /// Height and width of the input.
    pub input: [usize; 2],
    /// Height and width of the output.
    pub output: [usize; 2],
}

/// Sequences of different lengths side by side, time first.
#[derive(Debug, Clone, PartialEq)]
pub struct Sequences {
    /// `[N]`, tokens of each. Longest first is the fastest.
    pub lengths: Arc<[usize]>,
    /// Read from the last token to the first.
    pub backward: bool,
}

impl Sequences {
    /// The moments 0..`steps` in the order in which they are read.
    pub fn order(&self, steps: usize) -> impl Iterator<Item = usize> + use<> {
        let backward = self.backward;
        (0..steps).map(move |step| if backward { steps - 1 - step } else { step })
    }
}

/// Group normalisation (Wu & He 2018), a scale and a shift of every channel, and an activation:
/// act(normalised·weight + bias).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Groups {
    /// Groups of neighbouring channels that share a mean and a variance; divides the channels.
    pub count: usize,
    /// Added to the variance.
    pub eps: f32,
    /// The activation that follows.
    pub act: Activation,
}

/// Leaky ReLU with a gain and an optional clamp; `slope` 1 makes it linear, 0 a ReLU.
///
/// Derivatives are computed from the output: where it is not positive they are `slope`, as in
/// PyTorch. (A ReLU maps all negative numbers to 0, so its sign cannot decide.)
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Activation {
    /// Slope below zero.
    pub slope: f32,
    /// Factor after the non-linearity; positive.
    pub gain: f32,
    /// Outputs are kept in ±clamp.
    pub clamp: Option<f32>,
}

impl Activation {
    /// lrelu with slope 0.2 and gain √2, the activation of every hidden layer of StyleGAN2.
    pub const LRELU: Activation =
        Activation { slope: 0.2, gain: std::f32::consts::SQRT_2, clamp: None };
    /// max(x, 0).
    pub const RELU: Activation = Activation { slope: 0.0, gain: 1.0, clamp: None };
    /// The identity.
    pub const LINEAR: Activation = Activation { slope: 1.0, gain: 1.0, clamp: None };

    /// Multiplies the gain, and the clamp with it.
    pub fn gained(self, gain: f32) -> Self {
        Self { gain: self.gain * gain, clamp: self.clamp.map(|c| c * gain), ..self }
    }

    /// Clamps the output to ±`clamp` (before any further [`gained`](Self::gained)).
    pub fn clamped(self, clamp: Option<f32>) -> Self {
        Self { clamp, ..self }
    }

    /// The largest magnitude of an output: infinite without a clamp.
    pub fn limit(&self) -> f32 {
        self.clamp.unwrap_or(f32::INFINITY)
    }

    /// True where the slope is 1 everywhere, so that a tangent passes unchanged.
    pub fn is_identity(&self) -> bool {
        self.slope == 1.0 && self.gain == 1.0 && self.clamp.is_none()
    }
}

/// A linear layer: y = act(x·Wᵀ·`gain` + b·`bias_gain`).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Affine {
    /// Factor of the weight.
    pub gain: f32,
    /// Factor of the bias.
    pub bias_gain: f32,
    /// The activation that follows.
    pub act: Activation,
}

/// Linear layers without a non-linearity that are computed together.
#[derive(Debug, Clone, PartialEq)]
pub struct LinearLayers {
    /// Of each layer, the number of its input, and its factors. The numbers are in ascending order, and
    /// the activations have slope 1 and no clamp.
    pub layers: Arc<[(usize, Affine)]>,
    /// Number of inputs, which lie one after the other in one tensor.
    pub inputs: usize,
    /// Whether the layers have a bias.
    pub biased: bool,
}

impl LinearLayers {
    /// The factors of weight and bias of a layer, with the gain of its activation.
    pub fn gains(&self, layer: usize) -> [f32; 2] {
        let (_, Affine { gain, bias_gain, act }) = self.layers[layer];
        [gain * act.gain, if self.biased { bias_gain * act.gain } else { 0.0 }]
    }

    /// The layers of an input.
    pub fn of(&self, input: usize) -> Range<usize> {
        let first = self.layers.partition_point(|(of, _)| *of < input);
        first..self.layers.partition_point(|(of, _)| *of <= input)
    }
}

/// The settings of one step of Adam.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AdamStep {
    /// Learning rate.
    pub lr: f32,
    /// Decay of the first moment.
    pub beta1: f32,
    /// Decay of the second moment.
    pub beta2: f32,
    /// Added to the root of the corrected second moment.
    pub eps: f32,
    /// The number of the step, from 1 on; it corrects the bias of the moments.
    pub number: u64,
}

impl AdamStep {
    /// The value that replaces an infinite gradient.
    pub const INFINITE: f32 = 1e5;

    /// 1 − βᵗ.
    pub fn correction(&self, beta: f32) -> f32 {
        (1.0 - f64::from(beta).powf(self.number as f64)) as f32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn safe_gains_are_powers_of_two_near_the_root_of_the_fan_in() {
        for (inputs, k) in [(1, 1), (3, 1), (32, 3), (70, 3), (512, 3)] {
            let gain = Conv::safe_gain([9, inputs, k, k]);
            assert_eq!(gain.log2().fract(), 0.0, "{gain}");
            let size = gain * ((inputs * k * k) as f32).sqrt();
            assert!((0.7..1.42).contains(&size), "{inputs} {k}: {size}");
        }
    }
}
