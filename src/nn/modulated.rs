//! Modulated convolution (Karras et al. 2020, §2.2): the style scales the input channels, all images
//! share the weight, and demodulation scales the outputs.

use burn::module::{Module, Param};
use burn::tensor::Tensor;

use super::linear::LinearOptions;
use super::{Dual, Init, Linear, resample};
use crate::kernels::{self, Activation};

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
        let Modulation { style, weight, sigma } = modulation;
        let y = if self.up {
            let smooth = resample::after_up();
            x.modulated(
                style,
                |x, s| kernels::modulated_conv2d_up(x, s, weight.clone(), smooth),
                // Here the weight is that of the convolution whose transpose this is.
                |x| kernels::conv2d_up(x, weight.clone().swap_dims(0, 1), smooth),
            )
        } else {
            x.modulated(
                style,
                |x, s| kernels::modulated_conv2d(x, s, weight.clone(), 1, 1),
                |x| kernels::conv2d(x, weight.clone(), 1, 1),
            )
        };
        let (bias, act) = (self.bias.val(), self.act.gained(gain));
        let noise = match noise {
            LayerNoise::None => return y.scale_planes(sigma).bias_act(bias, act),
            LayerNoise::Const => self.noise_const.val().unsqueeze(),
            LayerNoise::Explicit(noise) => noise.clone(),
        };
        y.noise_act(sigma, (noise, self.noise_strength.val()), bias, act)
    }
}

/// What a modulated convolution needs beside its input.
#[derive(Debug, Clone)]
pub struct Modulation {
    /// s `[N, in]`.
    style: Dual<2>,
    /// `[out, in, 3, 3]`.
    weight: Tensor<4>,
    /// σ `[N, out]`, the factors of demodulation.
    sigma: Dual<2>,
}

impl Modulation {
    /// The modulations of several layers by their styles, computed together. All styles have tangents,
    /// or none has.
    pub fn of(layers: &[&ModulatedConv], styles: Vec<Dual<2>>) -> Vec<Self> {
        let weights = layers.iter().map(|layer| layer.weight.val()).collect();
        let tangents = styles.iter().filter_map(|style| style.tangent.clone()).collect();
        let values = styles.into_iter().map(|style| style.value).collect();
        let found = kernels::demodulation(weights, values, tangents);
        let dual = |values: Vec<Tensor<2>>, tangents: Vec<Tensor<2>>| {
            let mut tangents = tangents.into_iter();
            values.into_iter().map(move |value| Dual { value, tangent: tangents.next() })
        };
        dual(found.s, found.t)
            .zip(found.w)
            .zip(dual(found.y, found.along))
            .map(|((style, weight), sigma)| Self { style, weight, sigma })
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

    /// x `[N, in, H, W]`, w `[N, w_dim]` → `[N, 3, H, W]`.
    pub fn forward(&self, x: Dual<4>, w: Dual<2>) -> Dual<4> {
        self.modulated(x, self.affine.forward(w))
    }

    /// [`modulated`](Self::modulated), added to an image.
    pub fn modulated_onto(&self, x: Dual<4>, style: Dual<2>, image: Dual<4>) -> Dual<4> {
        if self.act.is_identity() {
            return x.modulated_add(style, self.weight.val(), self.bias.val(), image);
        }
        image.plus(self.modulated(x, style))
    }

    /// [`forward`](Self::forward) with the style `[N, in]` that belongs to w.
    pub fn modulated(&self, x: Dual<4>, style: Dual<2>) -> Dual<4> {
        let weight = self.weight.val();
        x.modulated(
            style,
            |x, s| kernels::modulated_conv2d(x, s, weight.clone(), 1, 0),
            |x| kernels::conv2d(x, weight.clone(), 1, 0),
        )
        .bias_act(self.bias.val(), self.act)
    }
}
