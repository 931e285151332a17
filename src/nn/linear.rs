//! The linear layer with equalised learning rate.

use burn::module::{Module, Param};
use burn::tensor::Tensor;

use super::{Dual, Init};
use crate::kernels::{self, Activation, Affine, LinearLayers};

/// A linear layer with equalised learning rate: y = act(x·Wᵀ·gain + b·lr_mult), where gain is
/// lr_mult/√in (Karras et al. 2018, §4.1; `lr_mult`: Karras et al. 2019, App. C).
#[derive(Module, Debug)]
pub struct Linear {
    /// W `[out, in]`, initially N(0, 1)/lr_mult.
    pub weight: Param<Tensor<2>>,
    /// b `[out]`.
    pub bias: Option<Param<Tensor<1>>>,
    lr_mult: f32,
    #[module(skip)]
    act: Activation,
}

/// Options of a [`Linear`] layer. `Default` is a layer without activation and with a zero bias.
#[derive(Debug, Clone, Copy)]
pub struct LinearOptions {
    /// Learning-rate multiplier of weight and bias.
    pub lr_mult: f32,
    /// Initial bias; `None` for a layer without bias.
    pub bias: Option<f32>,
    /// Activation.
    pub act: Activation,
}

impl Default for LinearOptions {
    fn default() -> Self {
        Self { lr_mult: 1.0, bias: Some(0.0), act: Activation::LINEAR }
    }
}

impl Linear {
    /// A new layer that maps `inputs` features to `outputs`.
    pub fn new(inputs: usize, outputs: usize, options: LinearOptions, init: &mut Init) -> Self {
        Self {
            weight: init.normal([outputs, inputs], 1.0 / options.lr_mult),
            bias: options.bias.map(|value| init.full([outputs], value / options.lr_mult)),
            lr_mult: options.lr_mult,
            act: options.act,
        }
    }

    /// Applies the layer: x `[N, in]` → `[N, out]`.
    pub fn forward(&self, x: Dual<2>) -> Dual<2> {
        let (weight, affine) = (self.weight.val(), self.affine());
        match &self.bias {
            Some(bias) => x.affine(weight, bias.val(), affine),
            None => x.linear(|x| kernels::product(x, weight.clone(), affine.gain)),
        }
    }

    /// The factors of weight and bias.
    fn affine(&self) -> Affine {
        let [_, inputs] = self.weight.dims();
        let gain = self.lr_mult / (inputs as f32).sqrt();
        Affine { gain, bias_gain: self.lr_mult, act: self.act }
    }

    /// Applies the layer to a value without a tangent: x `[N, in]` → `[N, out]`.
    pub fn apply(&self, x: Tensor<2>) -> Tensor<2> {
        self.forward(x.into()).value
    }
}

/// Several inputs of linear layers in one tensor.
#[derive(Debug, Clone)]
pub struct Inputs {
    /// `[count·N, in]`, one input after the other.
    pub rows: Tensor<2>,
    /// Number of inputs.
    pub count: usize,
}

/// The outputs of several layers, computed together: one `[N, out]` for each layer.
///
/// The layers have biases and no non-linearity. `x` `[inputs·N, in]` has the inputs one after the other,
/// and the indices say which one each layer gets, in ascending order. Tangents come in the same way.
pub fn linear_layers(
    layers: &[&Linear],
    (x, of): (Inputs, &[usize]),
    tangents: Option<(Inputs, &[usize])>,
) -> Vec<Dual<2>> {
    let w: Vec<_> = layers.iter().map(|layer| layer.weight.val()).collect();
    let bias = |layer: &&Linear| layer.bias.as_ref().expect("the layers have biases").val();
    let b: Vec<_> = layers.iter().map(bias).collect();
    let run = |x: Inputs, of: &[usize], biased| {
        let layers = of.iter().zip(layers).map(|(&of, layer)| (of, layer.affine())).collect();
        let spec = LinearLayers { layers, inputs: x.count, biased };
        kernels::linear_layers(x.rows, w.clone(), b.clone(), spec)
    };
    let tangents = tangents.map(|(t, of)| run(t, of, false));
    let values = run(x, of, true).into_iter();
    match tangents {
        Some(tangents) => values.zip(tangents).map(|(value, t)| Dual::new(value, t)).collect(),
        None => values.map(Dual::from).collect(),
    }
}

/// Scales each row to unit mean square: z / √(mean z² + 1e-8), `[N, D]` → `[N, D]`.
pub fn normalize_second_moment(z: Tensor<2>) -> Tensor<2> {
    let scale = (z.clone() * z.clone()).mean_dim(1).add_scalar(1e-8).sqrt().recip();
    z * scale
}
