//! The synthesis network: ws → image (Karras et al. 2020a, §2 and §4.1, skip generator).

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor, TensorData};
use rand::Rng;

use super::NetworkSettings;
use crate::draws;
use crate::nn::modulated::LayerNoise;
use crate::nn::params::upload;
use crate::nn::{Dual, Init, ModulatedConv, ToRgb, resample};

/// The noise that is added to the activations before the bias.
#[derive(Debug, Clone)]
pub enum Noise {
    /// The constant buffer of each layer, so that the image depends only on ws.
    Const,
    /// Nothing.
    None,
    /// Explicit noise, one tensor `[N, 1, res, res]` per layer in layer order.
    Explicit(Vec<Tensor<4>>),
}

impl Noise {
    fn layer(&self, index: usize) -> LayerNoise {
        match self {
            Noise::Const => LayerNoise::Const,
            Noise::None => LayerNoise::None,
            Noise::Explicit(draws) => LayerNoise::Explicit(draws[index].clone()),
        }
    }
}

/// The w of every layer of a synthesis network, each `[N, w_dim]`.
///
/// In training most layers share one w. Given that once, they need no copies of it, and its gradient
/// is summed without a `[N, num_ws, w_dim]` full of zeros for every layer.
#[derive(Debug, Clone)]
pub struct LayerCodes(Vec<Dual<2>>);

impl LayerCodes {
    /// Style mixing: the first w `[N, w_dim]` up to layer `crossover`, the second from there on.
    pub fn mixed(first: Tensor<2>, second: Tensor<2>, crossover: usize, num_ws: usize) -> Self {
        let of = |layer: usize| if layer < crossover { &first } else { &second };
        Self((0..num_ws).map(|layer| of(layer).clone().into()).collect())
    }

    /// Leaves of a new graph with the same values, one for each layer.
    pub(super) fn leaves(&self) -> Vec<Tensor<2>> {
        let leaf = |w: &Dual<2>| w.value.clone().inner().autodiff().require_grad();
        self.0.iter().map(leaf).collect()
    }

    /// The same values with tangents, which are `[num_ws, N, w_dim]`.
    pub(super) fn along(self, tangents: &Tensor<3>) -> Self {
        let [_, n, w_dim] = tangents.dims();
        let of = |layer: usize| tangents.clone().narrow(0, layer, 1).reshape([n, w_dim]);
        let ws = self.0.into_iter().enumerate();
        Self(ws.map(|(layer, w)| Dual::new(w.value, of(layer))).collect())
    }
}

impl From<Vec<Tensor<2>>> for LayerCodes {
    /// The w of every layer, in order.
    fn from(ws: Vec<Tensor<2>>) -> Self {
        Self(ws.into_iter().map(Dual::from).collect())
    }
}

impl From<Dual<3>> for LayerCodes {
    fn from(ws: Dual<3>) -> Self {
        let [_, num_ws, _] = ws.value.dims();
        Self((0..num_ws).map(|layer| ws.layer(layer)).collect())
    }
}

impl From<Tensor<3>> for LayerCodes {
    fn from(ws: Tensor<3>) -> Self {
        Dual::from(ws).into()
    }
}

/// Block of one resolution: conv0 (up) → conv1 → ToRGB. The first block starts from a constant.
#[derive(Module, Debug)]
pub struct SynthesisBlock {
    /// `[C, 4, 4]`; only in the first block.
    pub constant: Option<Param<Tensor<3>>>,
    /// Doubles the side; absent in the first block.
    pub conv0: Option<ModulatedConv>,
    /// Keeps the side.
    pub conv1: ModulatedConv,
    /// Contribution of this resolution to the image.
    pub torgb: ToRgb,
}

/// The synthesis network: ws `[N, num_ws, w_dim]` → images `[N, 3, res, res]`, about [-1, 1].
#[derive(Module, Debug)]
pub struct Synthesis {
    /// From 4×4 to the full resolution.
    pub blocks: Vec<SynthesisBlock>,
}

impl Synthesis {
    /// A network of `settings.resolution`.
    pub fn new(settings: &NetworkSettings, init: &mut Init) -> Self {
        let clamp = settings.conv_clamp;
        let blocks = settings
            .resolutions()
            .map(|res| {
                let channels = settings.channels(res);
                let first = res == 4;
                let conv = |inputs, up, init: &mut Init| {
                    ModulatedConv::new(settings.w_dim, [inputs, channels], res, up, clamp, init)
                };
                SynthesisBlock {
                    constant: first.then(|| init.normal([channels, 4, 4], 1.0)),
                    conv0: (!first).then(|| conv(settings.channels(res / 2), true, init)),
                    conv1: conv(channels, false, init),
                    torgb: ToRgb::new(settings.w_dim, channels, 3, clamp, init),
                }
            })
            .collect();
        Self { blocks }
    }

    /// Number of w vectors that the network takes, 2·log2(res) − 2.
    pub fn num_ws(&self) -> usize {
        2 * self.blocks.len()
    }

    /// Side of the image.
    pub fn resolution(&self) -> usize {
        4 << (self.blocks.len() - 1)
    }

    /// Draws the images of `ws`. ToRGB shares the w of the next block's first convolution.
    pub fn forward(&self, ws: impl Into<LayerCodes>, noise: &Noise) -> Dual<4> {
        let LayerCodes(ws) = ws.into();
        let [n, _] = ws[0].value.dims();
        let mut layer = 0;
        let mut next = || {
            layer += 1;
            layer - 1
        };
        let mut features: Option<Dual<4>> = None;
        let mut image: Option<Dual<4>> = None;
        for block in &self.blocks {
            let mut x = match (features.take(), &block.conv0) {
                (Some(x), Some(conv0)) => {
                    let i = next();
                    conv0.forward(x, ws[i].clone(), &noise.layer(i), 1.0)
                }
                _ => {
                    let start = block.constant.as_ref().expect("the first block has a constant");
                    let [c, h, w] = start.dims();
                    start.val().reshape([1, c, h, w]).expand([n, c, h, w]).into()
                }
            };
            let i = next();
            x = block.conv1.forward(x, ws[i].clone(), &noise.layer(i), 1.0);
            let w = ws[i + 1].clone();
            image = Some(match image {
                None => block.torgb.forward(x.clone(), w),
                Some(so_far) => {
                    block.torgb.forward_onto(x.clone(), w, so_far.resample(&resample::up2()))
                }
            });
            features = Some(x);
        }
        image.expect("a network has at least one block")
    }

    /// Random noise for `n` images from a single random generator.
    pub fn draw_noise(&self, rng: &mut impl Rng, n: usize, device: &Device) -> Noise {
        self.noise_of(upload(self.noise_values(rng, n), device), n)
    }

    /// The values of random noise for `n` images, layer by layer.
    pub(in crate::systems) fn noise_values(&self, rng: &mut impl Rng, n: usize) -> Vec<Vec<f32>> {
        self.noise_sides().map(|side| draws::normal(rng, n * side * side)).collect()
    }

    /// Noise from the tensors of such values.
    pub(in crate::systems) fn noise_of(
        &self,
        values: impl IntoIterator<Item = Tensor<1>>,
        n: usize,
    ) -> Noise {
        let layers = self.noise_sides().zip(values);
        Noise::Explicit(layers.map(|(side, values)| values.reshape([n, 1, side, side])).collect())
    }

    /// Random noise with one random generator per image, so that it does not depend on the other
    /// images of the batch.
    pub fn draw_noise_each(&self, rngs: &mut [impl Rng], device: &Device) -> Noise {
        let n = rngs.len();
        let draws = self.noise_sides().map(|side| {
            let values =
                rngs.iter_mut().flat_map(|rng| draws::normal(rng, side * side)).collect::<Vec<_>>();
            Tensor::from_data(TensorData::new(values, [n, 1, side, side]), device)
        });
        Noise::Explicit(draws.collect())
    }

    /// Side length of the noise of each layer.
    fn noise_sides(&self) -> impl Iterator<Item = usize> {
        let blocks = self.blocks.len();
        (0..blocks).flat_map(|b| std::iter::repeat_n(4 << b, if b == 0 { 1 } else { 2 }))
    }
}
