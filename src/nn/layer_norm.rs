//! Layer normalisation (Ba et al. 2016).

use burn::module::{Module, Param};
use burn::tensor::Tensor;

use super::Init;
use crate::shapes::Shapes;

/// Added to the variance.
const EPS: f64 = 1e-5;

/// Layer normalisation of vectors, with a scale and an offset per value.
#[derive(Module, Debug)]
pub struct LayerNorm {
    /// Scale `[W]`, initially 1.
    pub weight: Param<Tensor<1>>,
    /// Offset `[W]`, initially 0.
    pub bias: Param<Tensor<1>>,
}

impl LayerNorm {
    /// A new layer for vectors of length `width`.
    pub fn new(width: usize, init: &mut Init) -> Self {
        Self { weight: init.full([width], 1.0), bias: init.full([width], 0.0) }
    }

    /// Adds the tensors of such a layer.
    pub(crate) fn add_shapes(shapes: &mut Shapes, name: &str, width: usize) {
        shapes.norm(name, width);
    }

    /// x `[…, W]` → `[…, W]`: every vector gets mean 0 and variance 1, then the scale and the offset.
    pub fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        let centred = x.clone() - x.mean_dim(D - 1);
        let variance = (centred.clone() * centred.clone()).mean_dim(D - 1);
        let normal = centred * (variance + EPS).sqrt().recip();
        normal * self.weight.val().unsqueeze() + self.bias.val().unsqueeze()
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, TensorData};

    use super::*;
    use crate::nn::params::to_vec;

    #[test]
    fn vectors_are_normalised_one_by_one() {
        let device = Device::flex();
        let mut layer = LayerNorm::new(3, &mut Init::new(0, "norm", &device));
        layer.weight = Param::from_tensor(Tensor::from_floats([1.0, 2.0, -1.0], &device));
        layer.bias = Param::from_tensor(Tensor::from_floats([0.0, 0.5, 1.0], &device));
        let rows = [[1f64, 2.0, 6.0], [0.25, -3.0, 0.5]];
        let values: Vec<f32> = rows.iter().flatten().map(|&x| x as f32).collect();
        let x = Tensor::<3>::from_data(TensorData::new(values, [2, 1, 3]), &device);
        let found = to_vec(layer.forward(x));
        for (row, found) in rows.iter().zip(found.chunks(3)) {
            let mean = row.iter().sum::<f64>() / 3.0;
            let variance = row.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / 3.0;
            for (i, found) in found.iter().enumerate() {
                let normal = (row[i] - mean) / (variance + 1e-5).sqrt();
                let expected = normal * [1.0, 2.0, -1.0][i] + [0.0, 0.5, 1.0][i];
                assert!((f64::from(*found) - expected).abs() < 1e-5, "{found}, not {expected}");
            }
        }
    }
}
