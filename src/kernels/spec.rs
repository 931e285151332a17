//! What is to be computed: plain descriptions, independent of any backend.

use std::sync::Arc;

/// A square convolution, described from the side of its larger end.
///
/// `conv2d` maps [N, I, in_h, in_w] to [N, O, out_h, out_w]; the transposed convolution maps back.
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
    /// A filter that the input passes first.
    pub smooth: Option<Smooth>,
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
    /// The same filter on its own.
    pub fn fir(&self) -> Fir {
        let pad = [[self.padding as i32; 2]; 2];
        Fir { taps: Arc::from(self.taps), up: 1, down: 1, pad, flip: true, gain: 1.0 }
    }
}

impl Conv {
    /// Height and width of what the kernel sees.
    pub fn filtered(&self) -> [usize; 2] {
        self.smooth.map_or(self.input, |smooth| self.input.map(|n| n + 2 * smooth.padding - 3))
    }

    /// Height and width of the convolution's output.
    pub fn output(&self) -> [usize; 2] {
        self.filtered().map(|n| (n + 2 * self.padding - self.kernel) / self.stride + 1)
    }

    /// The convolution without its filter.
    pub fn bare(&self) -> Conv {
        Conv { input: self.filtered(), smooth: None, ..*self }
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
            ((padded - self.taps.len() as i64) / self.down as i64 + 1).max(0) as usize
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

/// Bilinear sampling of every image along an affine map of its own.
///
/// Pixel (i, j) of an output, row and column, is the input of the same image at column
/// x = xx·j + xy·i + x0 and row y = yx·j + yy·i + y0, both counted in pixels from the centre of the
/// first one. What lies outside the input is 0. Per-image maps and two sizes are all that
/// describes it: a dense grid is never stored.
#[derive(Debug, Clone, PartialEq)]
pub struct Warp {
    /// [N]: (xx, xy, x0, yx, yy, y0).
    pub maps: Arc<[[f32; 6]]>,
    /// Height and width of the input.
    pub input: [usize; 2],
    /// Height and width of the output.
    pub output: [usize; 2],
}

/// Sequences of different lengths side by side, time first.
#[derive(Debug, Clone, PartialEq)]
pub struct Sequences {
    /// [N], tokens of each. Longest first is the fastest.
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

/// Group normalisation (Wu & He 2018) with what follows it: act(normalised·weight + bias).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Groups {
    /// Groups of neighbouring channels that share a mean and a variance; divides the channels.
    pub count: usize,
    /// Added to the variance.
    pub eps: f32,
    /// What follows.
    pub act: Activation,
}

/// Leaky ReLU with a gain and an optional clamp; `slope` 1 makes it linear, 0 a ReLU.
///
/// Derivatives are taken where the output stands: one that is not positive has `slope`, as in
/// PyTorch. (All that a ReLU switches off comes out as 0, which has no sign to go by.)
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
    /// lrelu with slope 0.2 and gain √2, as every hidden layer of StyleGAN2 has it.
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

    /// True where the slope is 1 everywhere, so that a tangent passes unchanged.
    pub fn is_identity(&self) -> bool {
        self.slope == 1.0 && self.gain == 1.0 && self.clamp.is_none()
    }
}

/// The numbers of one step of Adam.
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
    /// Which step it is, 1 for the first: corrects the bias of the moments.
    pub number: u64,
}

impl AdamStep {
    /// What an infinite gradient counts as.
    pub const INFINITE: f32 = 1e5;

    /// 1 − βᵗ.
    pub fn correction(&self, beta: f32) -> f32 {
        (1.0 - f64::from(beta).powf(self.number as f64)) as f32
    }
}
