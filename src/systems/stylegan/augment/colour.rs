//! Colour augmentation: one affine map of (r, g, b) per image.

use burn::tensor::{Tensor, TensorData};

use super::Matrix;
use crate::nn::Dual;

/// Applies the colour matrices `[N]` to images `[N, 3, H, W]`. The offset does not affect the
/// tangent.
pub(super) fn recolour(x: Dual<4>, colour: &[Matrix<4>]) -> Dual<4> {
    let [n, _, h, w] = x.value.dims();
    let part = |rows: usize, columns: std::ops::Range<usize>| -> Vec<f32> {
        let row = |matrix: &Matrix<4>, i: usize| matrix[i][columns.clone()].to_vec();
        colour
            .iter()
            .flat_map(|matrix| (0..rows).flat_map(|i| row(matrix, i)).collect::<Vec<_>>())
            .map(|value| value as f32)
            .collect()
    };
    let device = x.value.device();
    let linear = TensorData::new(part(3, 0..3), [n, 3, 3]);
    let offset = Tensor::from_data(TensorData::new(part(3, 3..4), [n, 3, 1, 1]), &device);
    x.linear(|x| {
        let linear = Tensor::<3>::from_data(linear.clone(), &x.device());
        linear.matmul(x.reshape([n, 3, h * w])).reshape([n, 3, h, w])
    })
    .offset(offset)
}
