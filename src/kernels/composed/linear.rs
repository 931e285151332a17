//! Linear layers.

use burn::backend::{Backend, TensorMetadata, tensor::FloatTensor};
use burn::tensor::Shape;

use super::dims::dims;
use crate::kernels::backend::Kernels;
use crate::kernels::outputs::{LinearLayersGradients, Tensors};
use crate::kernels::spec::{Activation, LinearLayers};

/// See [`Kernels::k_product`](crate::kernels::Kernels::k_product).
pub fn product<B: Backend>(x: FloatTensor<B>, w: FloatTensor<B>, gain: f32) -> FloatTensor<B> {
    scaled::<B>(B::float_matmul(x, B::float_swap_dims(w, 0, 1)), gain)
}

/// See [`Kernels::k_product_back`](crate::kernels::Kernels::k_product_back).
pub fn product_back<B: Backend>(g: FloatTensor<B>, w: FloatTensor<B>, gain: f32) -> FloatTensor<B> {
    scaled::<B>(B::float_matmul(g, w), gain)
}

/// See [`Kernels::k_product_weight_gradient`](crate::kernels::Kernels::k_product_weight_gradient).
pub fn product_weight_gradient<B: Backend>(
    g: FloatTensor<B>,
    x: FloatTensor<B>,
    gain: f32,
) -> FloatTensor<B> {
    B::float_matmul(B::float_swap_dims(scaled::<B>(g, gain), 0, 1), x)
}

/// x times a factor.
pub fn scaled<B: Backend>(x: FloatTensor<B>, factor: f32) -> FloatTensor<B> {
    if factor == 1.0 { x } else { B::float_mul_scalar(x, factor.into()) }
}

/// See [`Kernels::k_linear_layers`].
pub fn linear_layers<B: Kernels>(
    x: FloatTensor<B>,
    w: Tensors<B>,
    b: Tensors<B>,
    layers: &LinearLayers,
) -> Tensors<B> {
    let operands = w.0.into_iter().zip(b.0).zip(&*layers.layers);
    let outputs = operands.map(|((w, b), &(input, affine))| {
        let x = input_of::<B>(&x, input, layers);
        match layers.biased {
            true => B::k_linear(x, w, b, affine),
            false => sloped::<B>(B::k_product(x, w, affine.gain), affine.act),
        }
    });
    Tensors(outputs.collect())
}

/// See [`Kernels::k_linear_layers_gradients`].
pub fn linear_layers_gradients<B: Kernels>(
    x: FloatTensor<B>,
    w: Tensors<B>,
    g: Tensors<B>,
    layers: &LinearLayers,
    inputs: bool,
    parameters: bool,
) -> LinearLayersGradients<B> {
    let mut of_x: Vec<Option<FloatTensor<B>>> = vec![None; layers.inputs];
    let (mut of_w, mut of_b) = (Vec::new(), Vec::new());
    for ((w, g), &(input, affine)) in w.0.into_iter().zip(g.0).zip(&*layers.layers) {
        let g = sloped::<B>(g, affine.act);
        if inputs {
            let own = B::k_product_back(g.clone(), w, affine.gain);
            of_x[input] = Some(match of_x[input].take() {
                Some(others) => B::float_add(own, others),
                None => own,
            });
        }
        if parameters {
            let x = input_of::<B>(&x, input, layers);
            of_w.push(B::k_product_weight_gradient(g.clone(), x, affine.gain));
        }
        if parameters && layers.biased {
            let [n, o] = dims(g.shape());
            let sums = B::k_channel_sums(B::float_reshape(g, Shape::from([n, o, 1, 1])));
            of_b.push(scaled::<B>(sums, affine.bias_gain));
        }
    }
    let of_x = inputs.then(|| {
        let [rows, size] = dims(x.shape());
        let shape = Shape::from([rows / layers.inputs, size]);
        let zeros = || B::float_zeros(shape.clone(), &x.device(), x.dtype().into());
        match of_x.len() {
            1 => of_x.remove(0).unwrap_or_else(zeros),
            _ => B::float_cat(of_x.into_iter().map(|g| g.unwrap_or_else(zeros)).collect(), 0),
        }
    });
    LinearLayersGradients {
        x: Tensors(of_x.into_iter().collect()),
        w: Tensors(of_w),
        b: Tensors(of_b),
    }
}

/// One of the inputs that lie one after the other in x.
fn input_of<B: Backend>(x: &FloatTensor<B>, input: usize, layers: &LinearLayers) -> FloatTensor<B> {
    if layers.inputs == 1 {
        return x.clone();
    }
    let [rows, size] = dims(x.shape());
    let n = rows / layers.inputs;
    let slices = [(input * n..(input + 1) * n).into(), (0..size).into()];
    B::float_slice(x.clone(), &slices)
}

/// x times the slope of an activation that has the same one everywhere.
fn sloped<B: Kernels>(x: FloatTensor<B>, act: Activation) -> FloatTensor<B> {
    if act.is_identity() {
        return x;
    }
    let shape = x.shape();
    let [n, o] = shape.dims::<2>();
    let planes = B::float_reshape(x, Shape::from([n, o, 1, 1]));
    B::float_reshape(B::k_act_slope(planes.clone(), planes, act), shape)
}
