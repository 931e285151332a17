//! Modulated convolution (Karras et al. 2020, §2.2): the style scales the input channels, all images
//! share the weight, and demodulation scales the outputs.

use burn::module::{Module, Param};
use burn::tensor::Tensor;

use super::half::{is_half, limited};
use super::linear::LinearOptions;
use super::{Dual, Init, Linear, resample};
use crate::kernels::{self, Activation, Conv, Fir, WithNoise};

/// Convolution with scaled input channels and outputs of unit variance: conv(x·s, W)·σ,
/// σ_o = rsqrt(Σ (W_oik·s_i)² + 1e-8), for a style s.
///
/// Scaling before and after a shared convolution is the same function as a weight for each image.
#[derive(Module, Debug)]
pub struct ModulatedConv {
    /// Style: w → s `[in]`; bias 1 at first.
    pub affine: Linear,
    /// `[out, in, 3, 3]`, N(0, 1), used raw: demodulation makes its gain irrelevant.
    pub weight: Param<Tensor<4>>,
    /// `[out]`.
    pub bias: Param<Tensor<1>>,
    /// `[res, res]`, the fixed noise of noise mode `const`.
    pub noise_const: Param<Tensor<2>>,
    /// `[1]`, 0 at first.
    pub noise_strength: Param<Tensor<1>>,
    up: bool,
    #[module(skip)]
    act: Activation,
}

/// The noise that one layer adds.
#[derive(Debug, Clone)]
pub enum LayerNoise {
    /// The layer's own buffer.
    Const,
    /// No noise.
    None,
    /// `[N, 1, res, res]`.
    Explicit(Tensor<4>),
}

impl ModulatedConv {
    /// `resolution` is that of the output; `up` doubles the side of the input.
    pub fn new(
        w_dim: usize,
        [inputs, outputs]: [usize; 2],
        resolution: usize,
        up: bool,
        clamp: Option<f32>,
        init: &mut Init,
    ) -> Self {
        Self {
            affine: Linear::new(
                w_dim,
                inputs,
                LinearOptions { bias: Some(1.0), ..Default::default() },
                init,
            ),
            weight: init.normal([outputs, inputs, 3, 3], 1.0),
            bias: init.full([outputs], 0.0),
            noise_const: init.normal_buffer([resolution, resolution]),
            noise_strength: init.full([1], 0.0),
            up,
            act: Activation::LRELU.clamped(clamp),
        }
    }

    /// x `[N, in, H, W]`, w `[N, w_dim]` → `[N, out, res, res]`. `gain` multiplies the output.
    pub fn forward(&self, x: Dual<4>, w: Dual<2>, noise: &LayerNoise, gain: f32) -> Dual<4> {
        let style = self.affine.forward(w);
        let modulation = Modulation::of(&[self], vec![style]).remove(0);
        self.modulated(x, modulation, noise, gain)
    }

    /// [`forward`](Self::forward) with the modulation that belongs to w.
    pub fn modulated(
        &self,
        x: Dual<4>,
        modulation: Modulation,
        noise: &LayerNoise,
        gain: f32,
    ) -> Dual<4> {
        let Modulation { style, weight, sigma, bias, strength } = modulation;
        let [_, _, h, w] = x.value.dims();
        let [_, _, kernel, _] = weight.dims();
        // Up-sampling is the transpose of a convolution whose weight would be swapped.
        let conv = match self.up {
            true => Conv { swapped: true, ..Conv::up([h, w], kernel, resample::after_up()) },
            false => Conv::new([h, w], kernel, 1, kernel / 2),
        };
        let conv = conv.in_parts();
        let act = limited(self.act, gain, &x);
        let noise = match noise {
            LayerNoise::None => None,
            LayerNoise::Const => Some(self.noise_const.val().unsqueeze()),
            LayerNoise::Explicit(noise) => Some(noise.clone()),
        };
        let moves = x.tangent.is_some() || style.tangent.is_some();
        if let Some(noise) = noise.clone().filter(|_| !moves) {
            let operands = WithNoise { scale: sigma.value, noise, strength, bias };
            let (x, s) = (x.value, style.value);
            return kernels::modulated_noise_act(x, s, weight, operands, conv, self.up, act).into();
        }
        // Before demodulation, features may be too large for f16.
        let safe = if is_half(&x) { Conv::safe_gain(weight.dims()) } else { 1.0 };
        let conv = conv.gained(safe);
        let sigma = if safe == 1.0 { sigma } else { sigma.linear(|sigma| sigma / safe) };
        let y = x.modulated(
            style,
            |x, s| kernels::modulated(x, s, weight.clone(), conv, self.up),
            |x| match self.up {
                true => kernels::transposed(x, weight.clone(), conv),
                false => kernels::convolve(x, weight.clone(), conv),
            },
        );
        match noise {
            Some(noise) => y.noise_act(sigma, (noise, strength), bias, act),
            None => y.scale_planes(sigma).bias_act(bias, act),
        }
    }
}

/// What a modulated convolution needs beside its input. The gradients of its parameters may be in parts
/// ([`Conv::in_parts`]).
#[derive(Debug, Clone)]
pub struct Modulation {
    /// s `[N, in]`.
    style: Dual<2>,
    /// `[out, in, 3, 3]`.
    weight: Tensor<4>,
    /// σ `[N, out]`, the factors of demodulation.
    sigma: Dual<2>,
    /// `[out]`.
    bias: Tensor<1>,
    /// The strength of the noise `[1]`.
    strength: Tensor<1>,
}

impl Modulation {
    /// The modulations of several layers by their styles, computed together. All styles have tangents,
    /// or none has.
    pub fn of(layers: &[&ModulatedConv], styles: Vec<Dual<2>>) -> Vec<Self> {
        let weights = layers.iter().map(|layer| layer.weight.val()).collect();
        let tangents = styles.iter().filter_map(|style| style.tangent.clone()).collect();
        let values = styles.into_iter().map(|style| style.value).collect();
        let found = kernels::demodulation(weights, values, tangents);
        let vectors = layers.iter().flat_map(|own| [own.bias.val(), own.noise_strength.val()]);
        let (_, vectors) = kernels::together(Vec::new(), vectors.collect());
        let vectors = vectors.chunks_exact(2).map(|pair| [pair[0].clone(), pair[1].clone()]);
        let dual = |values: Vec<Tensor<2>>, tangents: Vec<Tensor<2>>| {
            let mut tangents = tangents.into_iter();
            values.into_iter().map(move |value| Dual { value, tangent: tangents.next() })
        };
        dual(found.s, found.t)
            .zip(found.w)
            .zip(dual(found.y, found.along))
            .zip(vectors.collect::<Vec<_>>())
            .map(|(((style, weight), sigma), [bias, strength])| Self {
                style,
                weight,
                sigma,
                bias,
                strength,
            })
            .collect()
    }
}

/// The layer from features to RGB: a modulated 1×1 convolution with style/√in and a bias, without
/// demodulation and noise.
#[derive(Module, Debug)]
pub struct ToRgb {
    /// Style: w → s/√in `[in]`; bias 1 at first.
    pub affine: Linear,
    /// `[3, in, 1, 1]`, N(0, 1).
    pub weight: Param<Tensor<4>>,
    /// `[3]`.
    pub bias: Param<Tensor<1>>,
    #[module(skip)]
    act: Activation,
}

impl ToRgb {
    /// From `inputs` channels to `channels` colours.
    pub fn new(
        w_dim: usize,
        inputs: usize,
        channels: usize,
        clamp: Option<f32>,
        init: &mut Init,
    ) -> Self {
        Self {
            affine: Linear::new(
                w_dim,
                inputs,
                LinearOptions {
                    bias: Some(1.0),
                    act: Activation::LINEAR.gained(1.0 / (inputs as f32).sqrt()),
                    ..Default::default()
                },
                init,
            ),
            weight: init.normal([channels, inputs, 1, 1], 1.0),
            bias: init.full([channels], 0.0),
            act: Activation::LINEAR.clamped(clamp),
        }
    }

    /// x `[N, in, H, W]`, w `[N, w_dim]` → `[N, 3, H, W]`, in the type of the parameters.
    pub fn forward(&self, x: Dual<4>, w: Dual<2>) -> Dual<4> {
        let modulation = RgbModulation::of(&[self], vec![self.affine.forward(w)]).remove(0);
        self.modulated(x, modulation)
    }

    /// [`modulated`](Self::modulated), added to an image that `fir` brings to its size.
    pub fn modulated_onto(
        &self,
        x: Dual<4>,
        modulation: RgbModulation,
        (image, fir): (Dual<4>, &Fir),
    ) -> Dual<4> {
        if self.act.is_identity() {
            let conv = Self::conv(&x);
            let RgbModulation { style, weight, bias } = modulation;
            return x.modulated_add(style, weight, bias, (image, fir), conv);
        }
        image.resample(fir).plus(self.modulated(x, modulation))
    }

    /// [`forward`](Self::forward) with the modulation that belongs to w.
    pub fn modulated(&self, x: Dual<4>, modulation: RgbModulation) -> Dual<4> {
        let conv = Self::conv(&x);
        let RgbModulation { style, weight, bias } = modulation;
        let dtype = bias.dtype();
        x.modulated(
            style,
            |x, s| kernels::modulated(x, s, weight.clone(), conv, false),
            |x| kernels::convolve(x, weight.clone(), conv),
        )
        .bias_act(bias, self.act)
        .cast(dtype)
    }

    fn conv(x: &Dual<4>) -> Conv {
        let [_, _, h, w] = x.value.dims();
        Conv::new([h, w], 1, 1, 0).in_parts()
    }
}

/// What a layer to RGB needs beside its input. The gradients of its parameters may be in parts
/// ([`Conv::in_parts`]).
#[derive(Debug, Clone)]
pub struct RgbModulation {
    /// s/√in `[N, in]`.
    style: Dual<2>,
    /// `[colours, in, 1, 1]`.
    weight: Tensor<4>,
    /// `[colours]`.
    bias: Tensor<1>,
}

impl RgbModulation {
    /// The modulations of several layers by their styles.
    pub fn of(layers: &[&ToRgb], styles: Vec<Dual<2>>) -> Vec<Self> {
        let weights = layers.iter().map(|layer| layer.weight.val()).collect();
        let biases = layers.iter().map(|layer| layer.bias.val()).collect();
        let (weights, biases) = kernels::together(weights, biases);
        styles
            .into_iter()
            .zip(weights)
            .zip(biases)
            .map(|((style, weight), bias)| Self { style, weight, bias })
            .collect()
    }
}
