//! Multi-head attention (Vaswani et al. 2017).

use burn::module::Module;
use burn::tensor::activation::softmax;
use burn::tensor::{Device, Tensor, TensorData};

use super::{Init, PlainLinear};
use crate::kernels::Activation;
use crate::shapes::Shapes;

/// Score of a position that must not be attended to. Its weight is 0 in f32, as with −∞, which not
/// every GPU computes with.
const HIDDEN: f32 = -1e9;

/// Attention of the vectors of a sequence to one another.
#[derive(Module, Debug)]
pub struct SelfAttention {
    /// To queries, keys and values, one after the other: W → 3·W.
    pub qkv: PlainLinear,
    /// From the heads side by side: W → W.
    pub out: PlainLinear,
    heads: usize,
}

impl SelfAttention {
    /// A new layer for vectors of length `width`, which `heads` must divide.
    pub fn new(width: usize, heads: usize, init: &mut Init) -> Self {
        let qkv = PlainLinear::new(width, 3 * width, init);
        Self { qkv, out: PlainLinear::new(width, width, init), heads }
    }

    /// Adds the tensors of such a layer.
    pub(crate) fn add_shapes(shapes: &mut Shapes, name: &str, width: usize) {
        shapes.linear(&format!("{name}.qkv"), [width, 3 * width]);
        shapes.linear(&format!("{name}.out"), [width, width]);
    }

    /// x `[N, L, W]` → `[N, L, W]`. `mask` `[L, L]` is added to the scores of the keys (columns) for
    /// each query (row).
    pub fn forward(&self, x: Tensor<3>, mask: Option<&Tensor<2>>) -> Tensor<3> {
        let width = x.dims()[2];
        let qkv = applied(&self.qkv, x);
        let part = |index: usize| qkv.clone().narrow(2, index * width, width);
        applied(&self.out, attention([part(0), part(1), part(2)], self.heads, mask))
    }
}

/// Attention of queries `[N, Q, W]` to keys and values `[N, L, W]` → `[N, Q, W]`: each head has a part
/// of the vectors, of length d, and computes softmax(q·kᵀ/√d + mask)·v.
pub fn attention([q, k, v]: [Tensor<3>; 3], heads: usize, mask: Option<&Tensor<2>>) -> Tensor<3> {
    let ([n, queries, width], length) = (q.dims(), k.dims()[1]);
    let size = width / heads;
    let split = |x: Tensor<3>, count: usize| x.reshape([n, count, heads, size]).swap_dims(1, 2);
    let scale = 1.0 / (size as f64).sqrt();
    let scores = (split(q, queries) * scale).matmul(split(k, length).swap_dims(2, 3));
    let scores = match mask {
        Some(mask) => scores + mask.clone().unsqueeze(),
        None => scores,
    };
    let found = softmax(scores, 3).matmul(split(v, length));
    found.swap_dims(1, 2).reshape([n, queries, width])
}

/// The mask `[L, L]` that hides later positions from each position.
pub fn causal_mask(length: usize, device: &Device) -> Tensor<2> {
    let hidden = |at: usize| if at % length > at / length { HIDDEN } else { 0.0 };
    let values: Vec<f32> = (0..length * length).map(hidden).collect();
    Tensor::from_data(TensorData::new(values, [length, length]), device)
}

/// A linear layer of every vector: x `[N, L, in]` → `[N, L, out]`.
pub fn applied(layer: &PlainLinear, x: Tensor<3>) -> Tensor<3> {
    let [n, length, width] = x.dims();
    let y = layer.forward(x.reshape([n * length, width]).into(), Activation::LINEAR).value;
    let out = y.dims()[1];
    y.reshape([n, length, out])
}

#[cfg(test)]
mod tests {
    use burn::tensor::Distribution;

    use super::*;
    use crate::nn::params::to_vec;

    fn random<const D: usize>(shape: [usize; D]) -> Tensor<D> {
        Tensor::random(shape, Distribution::Default, &Device::flex())
    }

    /// The definition in f64, for one sequence.
    fn expected(q: &[f32], k: &[f32], v: &[f32], width: usize, heads: usize) -> Vec<f64> {
        let (queries, length, size) = (q.len() / width, k.len() / width, width / heads);
        let mut out = vec![0.0; q.len()];
        for (query, head) in (0..queries).flat_map(|i| (0..heads).map(move |h| (i, h))) {
            let at = |row: usize, i: usize| row * width + head * size + i;
            let score = |key: usize| {
                let dot: f64 =
                    (0..size).map(|i| f64::from(q[at(query, i)]) * f64::from(k[at(key, i)])).sum();
                (dot / (size as f64).sqrt()).exp()
            };
            let total: f64 = (0..length).map(score).sum();
            for i in 0..size {
                out[at(query, i)] =
                    (0..length).map(|key| score(key) / total * f64::from(v[at(key, i)])).sum();
            }
        }
        out
    }

    #[test]
    fn values_are_those_of_the_formula() {
        let (q, k, v) = (random([1, 2, 6]), random([1, 5, 6]), random([1, 5, 6]));
        for heads in [1, 3] {
            let found = to_vec(attention([q.clone(), k.clone(), v.clone()], heads, None));
            let [q, k, v] = [&q, &k, &v].map(|x| to_vec(x.clone()));
            for (found, expected) in found.iter().zip(expected(&q, &k, &v, 6, heads)) {
                assert!((f64::from(*found) - expected).abs() < 1e-5, "{found}, not {expected}");
            }
        }
    }

    #[test]
    fn later_positions_have_no_effect_behind_the_mask() {
        let device = Device::flex();
        let layer = SelfAttention::new(4, 2, &mut Init::new(0, "attention", &device));
        let (x, later) = (random([1, 3, 4]), random([1, 2, 4]));
        let mask = causal_mask(5, &device);
        let long = layer.forward(Tensor::cat(vec![x.clone(), later], 1), Some(&mask));
        let short = layer.forward(x, Some(&causal_mask(3, &device)));
        let (long, short) = (to_vec(long.narrow(1, 0, 3)), to_vec(short));
        assert!(long.iter().zip(&short).all(|(a, b)| (a - b).abs() < 1e-6), "{long:?} {short:?}");
    }
}
