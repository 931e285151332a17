//! The operations on the sums of a product before they are stored.

use cubecl::prelude::*;

use super::filter::{Filter, FilterLaunch, Pass, filtered};
use super::launch::{Floats, contiguous, dims};
use super::planes::{Act, act_arg, activate};
use crate::kernels::spec::{Activation, Fir};

/// The operations on a finished sum: a factor, noise, a bias and an activation, then another summand.
#[derive(Clone)]
pub struct Epilogue {
    /// Factor of the sum.
    pub gain: f32,
    /// Factor of the bias.
    pub bias_gain: f32,
    /// The bias of each channel, in f32.
    pub bias: Option<Floats>,
    /// The activation.
    pub act: Activation,
    /// A tensor of the result's shape that is added.
    pub other: Option<Floats>,
    /// The filter that the other tensor passes before; then it has another height and width.
    pub resample: Option<Fir>,
    /// Factors of planes, and noise.
    pub noise: Option<Noise>,
}

/// Factors of planes `[N, C]`, then noise `[N or 1, 1, H, W]` times its strength `[1]`, all in f32.
#[derive(Clone)]
pub struct Noise {
    pub scale: Floats,
    pub noise: Floats,
    pub strength: Floats,
}

impl Epilogue {
    /// Only a factor.
    pub fn gain(gain: f32) -> Self {
        let act = Activation::LINEAR;
        let (bias, other, resample, noise) = (None, None, None, None);
        Self { gain, bias_gain: 0.0, bias, act, other, resample, noise }
    }

    /// The numbers that a kernel needs, and the buffers of bias and other tensor. For those that it does
    /// not read, any tensor stands in.
    pub fn args(&self, any: &Floats) -> (FinishLaunch, [Floats; 2]) {
        let (biased, added) = (self.bias.is_some(), self.other.is_some());
        let active = !self.act.is_identity();
        let act = act_arg(self.act);
        let noisy = self.noise.is_some();
        let shared = self.noise.as_ref().is_some_and(|own| dims::<4>(&own.noise)[0] == 1);
        let resampled = self.resample.is_some();
        let finish = FinishLaunch::new(
            self.gain,
            self.bias_gain,
            act,
            biased,
            active,
            added,
            resampled,
            noisy,
            shared,
        );
        let buffer = |t: &Option<Floats>| t.clone().map_or_else(|| any.clone(), contiguous);
        (finish, [buffer(&self.bias), buffer(&self.other)])
    }

    /// The filter of the other tensor, one element if there is one.
    pub fn filters(&self) -> impl Iterator<Item = FilterLaunch> {
        self.resample.iter().zip(&self.other).map(|(fir, other)| {
            let [_, _, h, w] = dims(other);
            Pass::args(Pass::both(fir, [h, w]).each_ref())
        })
    }

    /// The buffers of the noise, one element if there is some: so kernels without noise bind none.
    pub fn noises(&self) -> impl Iterator<Item = NoiseBuffersLaunch> {
        self.noise.iter().cloned().map(|Noise { scale, noise, strength }| {
            let [scale, noise, strength] = [scale, noise, strength].map(contiguous);
            NoiseBuffersLaunch::new(
                scale.into_buffer_arg(),
                noise.into_buffer_arg(),
                strength.into_buffer_arg(),
            )
        })
    }
}

/// A [`Noise`] as a launch argument.
#[derive(CubeType, CubeLaunch)]
pub struct NoiseBuffers {
    scale: Box<[f32]>,
    noise: Box<[f32]>,
    strength: Box<[f32]>,
}

/// The factor of a plane.
#[cube]
pub fn factor(noises: &mut Sequence<NoiseBuffers>, plane: usize) -> f32 {
    let mut factor = 1.0f32.runtime();
    #[unroll]
    for k in 0..noises.len() {
        factor = noises.index_mut(k).scale[plane];
    }
    factor
}

/// The noise at a pixel of an image, times its strength. Planes have `pixels` pixels.
#[cube]
pub fn noise(
    noises: &mut Sequence<NoiseBuffers>,
    image: usize,
    pixel: usize,
    pixels: usize,
    #[comptime] shared: bool,
) -> f32 {
    let at = if comptime!(shared) { pixel } else { image * pixels + pixel };
    let mut noise = 0.0f32.runtime();
    #[unroll]
    for k in 0..noises.len() {
        let own = noises.index_mut(k);
        noise = own.noise[at] * own.strength[0];
    }
    noise
}

/// The other summand at a pixel of a plane. Planes of the result have `pixels` pixels in rows of `width`.
#[cube]
pub fn other_summand<E: Float>(
    other: &[E],
    filters: &Sequence<Filter>,
    plane: usize,
    pixel: usize,
    pixels: usize,
    width: usize,
    #[comptime] resampled: bool,
) -> f32 {
    if comptime!(resampled) {
        let mut value = 0.0f32.runtime();
        #[unroll]
        for k in 0..filters.len() {
            value = filtered(other, plane, pixel / width, pixel % width, filters.index(k));
        }
        value
    } else {
        f32::cast_from(other[plane * pixels + pixel])
    }
}

/// An [`Epilogue`] as a launch argument.
#[derive(CubeType, CubeLaunch, Clone, Copy)]
pub struct Finish {
    pub gain: f32,
    pub bias_gain: f32,
    pub act: Act,
    #[cube(comptime)]
    pub biased: bool,
    #[cube(comptime)]
    pub active: bool,
    #[cube(comptime)]
    pub added: bool,
    #[cube(comptime)]
    pub resampled: bool,
    #[cube(comptime)]
    pub noisy: bool,
    /// Whether all images have the same noise.
    #[cube(comptime)]
    pub shared: bool,
}

/// The result of a sum whose channel has this bias. Factor and noise count only if there is noise.
#[cube]
pub fn finished<N: Size>(
    sum: Vector<f32, N>,
    factor: Vector<f32, N>,
    noise: Vector<f32, N>,
    bias: f32,
    finish: &Finish,
) -> Vector<f32, N> {
    let scaled = sum * Vector::new(finish.gain);
    let scaled = if comptime!(finish.noisy) { scaled * factor + noise } else { scaled };
    let biased = if comptime!(finish.biased) {
        scaled + Vector::new(bias * finish.bias_gain)
    } else {
        scaled
    };
    if comptime!(finish.active) { activate::<N>(biased, &finish.act) } else { biased }
}
