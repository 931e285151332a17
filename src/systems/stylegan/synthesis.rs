//! The synthesis network: ws → image (Karras et al. 2020a, §2 and §4.1, skip generator).

use burn::module::{Module, Param};
use burn::tensor::{DType, Device, Tensor, TensorData};
use rand::Rng;

use super::NetworkSettings;
use super::precision::TANGENT_SCALE;
use crate::draws;
use crate::nn::linear::{Inputs, linear_layers};
use crate::nn::modulated::{LayerNoise, Modulation, RgbModulation};
use crate::nn::packed::upload;
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
/// In training most layers share one w, of which no copies are made.
#[derive(Debug, Clone)]
pub struct LayerCodes {
    /// The different w.
    ws: Inputs,
    /// Which of them a layer has, in ascending order.
    of: Vec<usize>,
    /// The tangent of every layer's w, `[num_ws·N, w_dim]`.
    tangents: Option<Tensor<2>>,
}

impl LayerCodes {
    /// Style mixing: of ws `[2·N, w_dim]`, the first N up to layer `crossover`, and the others from there
    /// on; or ws `[N, w_dim]` for all layers, if `count` is 1.
    pub fn mixed(ws: Tensor<2>, count: usize, crossover: usize, num_ws: usize) -> Self {
        let of = |layer: usize| if layer < crossover { 0 } else { count - 1 };
        let of = (0..num_ws).map(of).collect();
        Self { ws: Inputs { rows: ws, count }, of, tangents: None }
    }

    /// A w for every layer: ws `[num_ws·N, w_dim]`, one layer after the other.
    pub fn of_layers(ws: Tensor<2>, num_ws: usize) -> Self {
        let of = (0..num_ws).collect();
        Self { ws: Inputs { rows: ws, count: num_ws }, of, tangents: None }
    }

    /// Number of layers.
    pub fn num_ws(&self) -> usize {
        self.of.len()
    }

    /// Number of images.
    fn batch(&self) -> usize {
        self.ws.rows.dims()[0] / self.ws.count
    }

    /// The w of all layers without automatic differentiation, `[num_ws·N, w_dim]`.
    pub(super) fn values(&self) -> Tensor<2> {
        let [rows, w_dim] = self.ws.rows.dims();
        let n = rows / self.ws.count;
        let ws = self.ws.rows.clone().inner();
        let repeated = (0..self.ws.count).filter_map(|input| {
            let layers = self.of.iter().filter(|&&of| of == input).count();
            let w = || ws.clone().narrow(0, input * n, n).reshape([1, n, w_dim]);
            (layers > 0).then(|| w().expand([layers, n, w_dim]).reshape([layers * n, w_dim]))
        });
        let mut repeated: Vec<_> = repeated.collect();
        if repeated.len() == 1 { repeated.remove(0) } else { Tensor::cat(repeated, 0) }
    }

    /// The same values with tangents, which are `[num_ws, N, w_dim]`.
    pub(super) fn along(self, tangents: Tensor<3>) -> Self {
        let [num_ws, n, w_dim] = tangents.dims();
        Self { tangents: Some(tangents.reshape([num_ws * n, w_dim])), ..self }
    }
}

impl From<Dual<3>> for LayerCodes {
    /// From ws `[N, num_ws, w_dim]`.
    fn from(ws: Dual<3>) -> Self {
        let [n, num_ws, w_dim] = ws.value.dims();
        let Dual { value, tangent } = ws.linear(|t| t.swap_dims(0, 1).reshape([num_ws * n, w_dim]));
        Self { tangents: tangent, ..Self::of_layers(value, num_ws) }
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
    /// Number of blocks with features in f16, counted from the highest resolution.
    half: usize,
}

/// The modulations of the layers of a network, each in the order of the layers.
struct Modulations {
    convolutions: std::vec::IntoIter<Modulation>,
    to_rgb: std::vec::IntoIter<RgbModulation>,
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
        Self { blocks, half: 0 }
    }

    /// The same with features in f16 in up to `blocks` of the highest resolutions, but not at 4×4. Images
    /// stay in f32.
    pub fn with_half(self, blocks: usize) -> Self {
        let half = blocks.min(self.blocks.len() - 1);
        Self { half, ..self }
    }

    /// The factor that tangents of ws should have, so that f16 holds what they cause.
    pub(super) fn tangent_scale(&self) -> f64 {
        if self.half > 0 { TANGENT_SCALE } else { 1.0 }
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
        let ws = ws.into();
        let n = ws.batch();
        let Modulations { mut convolutions, mut to_rgb } = self.modulations(ws);
        let mut layer = 0;
        let mut convolve = |conv: &ModulatedConv, x: Dual<4>| {
            let modulation = convolutions.next().expect("one modulation for each layer");
            layer += 1;
            conv.modulated(x, modulation, &noise.layer(layer - 1), 1.0)
        };
        let mut features: Option<Dual<4>> = None;
        let mut image: Option<Dual<4>> = None;
        for (index, block) in self.blocks.iter().enumerate() {
            let is_half = index + self.half >= self.blocks.len();
            let dtype = if is_half { DType::F16 } else { DType::F32 };
            let mut x = match (features.take(), &block.conv0) {
                (Some(x), Some(conv0)) => convolve(conv0, x.cast(dtype)),
                _ => {
                    let start = block.constant.as_ref().expect("the first block has a constant");
                    let [c, h, w] = start.dims();
                    start.val().reshape([1, c, h, w]).expand([n, c, h, w]).into()
                }
            };
            x = convolve(&block.conv1, x);
            let modulation = to_rgb.next().expect("one modulation for each block");
            image = Some(match image {
                None => block.torgb.modulated(x.clone(), modulation),
                Some(so_far) => {
                    let twice = (so_far, &resample::up2());
                    block.torgb.modulated_onto(x.clone(), modulation, twice)
                }
            });
            features = Some(x);
        }
        image.expect("a network has at least one block")
    }

    /// The modulations of all layers, computed together.
    fn modulations(&self, ws: LayerCodes) -> Modulations {
        // The affine layers in the order of their w. A convolution's layer comes after the ToRGB
        // of the block before, with which it may share its w.
        let convolutions: Vec<&ModulatedConv> =
            self.blocks.iter().flat_map(|block| block.conv0.iter().chain([&block.conv1])).collect();
        let to_rgb: Vec<&ToRgb> = self.blocks.iter().map(|block| &block.torgb).collect();
        let mut layers = Vec::new();
        let mut layer = 0;
        for block in &self.blocks {
            for conv in block.conv0.iter().chain([&block.conv1]) {
                layers.push((&conv.affine, layer, false));
                layer += 1;
            }
            layers.push((&block.torgb.affine, layer, true));
        }
        let affine: Vec<_> = layers.iter().map(|(affine, ..)| *affine).collect();
        let layer_of: Vec<usize> = layers.iter().map(|&(_, layer, _)| layer).collect();
        let input_of: Vec<usize> = layer_of.iter().map(|&layer| ws.of[layer]).collect();
        let tangents = ws.tangents.map(|rows| Inputs { rows, count: ws.of.len() });
        let tangents = tangents.map(|inputs| (inputs, layer_of.as_slice()));
        let styles = linear_layers(&affine, (ws.ws, &input_of), tangents);
        let (mut of_rgb, mut of_convolutions) = (Vec::new(), Vec::new());
        for (style, (.., is_rgb)) in styles.into_iter().zip(layers) {
            if is_rgb { &mut of_rgb } else { &mut of_convolutions }.push(style);
        }
        Modulations {
            convolutions: Modulation::of(&convolutions, of_convolutions).into_iter(),
            to_rgb: RgbModulation::of(&to_rgb, of_rgb).into_iter(),
        }
    }

    /// Random noise for `n` images from a single random generator.
    pub fn draw_noise(&self, rng: &mut impl Rng, n: usize, device: &Device) -> Noise {
        self.noise_of(upload(self.noise_values(rng, n), device), n)
    }

    /// The values of random noise for `n` images, layer by layer.
    pub(in crate::systems) fn noise_values(&self, rng: &mut impl Rng, n: usize) -> Vec<Vec<f32>> {
        self.noise_counts(n).map(|count| draws::normal(rng, count)).collect()
    }

    /// The number of noise values of each layer for `n` images.
    pub(in crate::systems) fn noise_counts(&self, n: usize) -> impl Iterator<Item = usize> {
        self.noise_sides().map(move |side| n * side * side)
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
