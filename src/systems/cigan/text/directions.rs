//! The directions of the latent space in which texts differ (not part of the paper).
//!
//! Codes of texts vary in far fewer directions than codes of images. In all others, the codes of all
//! texts are nearly the same, so moving there would mainly remove what the seed or the image
//! contributed. Codes therefore move towards a text along the directions of texts alone.

use burn::tensor::{Device, Tensor, TensorData};

use super::section::DIRECTIONS;
use crate::error::{Error, Result};
use crate::metrics::Cloud;
use crate::metrics::components::components;
use crate::model::Model;
use crate::nn::params::to_vec;
use crate::tensorfile::HostTensor;

/// The directions hold this share of the variance of the codes of texts.
const SHARE: f64 = 0.98;

/// Orthonormal directions in which the codes of texts differ, the same for every layer.
#[derive(Debug, Clone)]
pub struct Directions {
    /// `[K, w_dim]`.
    axes: Tensor<2>,
}

impl Directions {
    /// The fewest principal components of the codes of texts `[N, layers, w_dim]` that hold 98 % of
    /// their variance. The mean of each layer does not count.
    ///
    /// # Errors
    /// If a code is not finite, or the eigenvalue decomposition does not converge.
    pub fn of(texts: Tensor<3>) -> Result<Self> {
        let [n, layers, dim] = texts.dims();
        let device = texts.device();
        let centred = texts.clone() - texts.mean_dim(0);
        let cloud = Cloud::new(to_vec(centred.reshape([n * layers, dim])), dim)?;
        let (mut rows, mut held, mut values) = (0, 0.0, Vec::new());
        for component in components(&cloud, dim)? {
            values.extend(component.axis.iter().map(|&value| value as f32));
            (rows, held) = (rows + 1, held + component.share);
            if held >= SHARE {
                break;
            }
        }
        Ok(Self { axes: Tensor::from_data(TensorData::new(values, [rows, dim]), &device) })
    }

    /// The directions that a model stores, whose codes have `w_dim` numbers. Models of earlier
    /// versions have none.
    ///
    /// # Errors
    /// If their size is wrong, or if they are not orthogonal unit vectors.
    pub fn load(model: &Model, w_dim: usize, device: &Device) -> Result<Option<Self>> {
        let Some(stored) = model.tensor(DIRECTIONS) else { return Ok(None) };
        let values = stored.to_f32();
        match stored.shape[..] {
            [rows, dim]
                if dim == w_dim && (1..=w_dim).contains(&rows) && orthonormal(&values, dim) =>
            {
                let data = TensorData::new(values, [rows, dim]);
                Ok(Some(Self { axes: Tensor::from_data(data, device) }))
            }
            _ => Err(Error::user(format!(
                "{}: the tensor `{DIRECTIONS}` does not hold orthogonal unit vectors of \
                 {w_dim} numbers",
                model.name()
            ))
            .hint("the file is damaged or was edited; use another copy of it")),
        }
    }

    /// Stores the directions in a model.
    ///
    /// # Errors
    /// If the tensor cannot be built.
    pub fn store(&self, model: &mut Model) -> Result<()> {
        model.put_tensor(DIRECTIONS, HostTensor::f32(self.axes.dims(), to_vec(self.axes.clone()))?);
        Ok(())
    }

    /// Length of a direction: w_dim.
    pub fn dim(&self) -> usize {
        self.axes.dims()[1]
    }

    /// Number of directions.
    pub fn count(&self) -> usize {
        self.axes.dims()[0]
    }

    /// The part of differences of codes `[N, layers, w_dim]` that lies along the directions.
    pub fn along(&self, difference: Tensor<3>) -> Tensor<3> {
        let [n, layers, dim] = difference.dims();
        let amounts = difference.reshape([n * layers, dim]).matmul(self.axes.clone().transpose());
        amounts.matmul(self.axes.clone()).reshape([n, layers, dim])
    }

    /// Where codes `[N, layers or 1, w_dim]` go if they agree with codes of texts, `[N or 1, layers or
    /// 1, w_dim]`, along the directions and stay as they are across them: `[N, layers, w_dim]`.
    pub fn goal(&self, codes: Tensor<3>, texts: Tensor<3>) -> Tensor<3> {
        let [n, of_codes, dim] = codes.dims();
        let layers = of_codes.max(texts.dims()[1]);
        let codes = codes.expand([n, layers, dim]);
        codes.clone() + self.along(texts.expand([n, layers, dim]) - codes)
    }
}

/// Whether rows of `dim` numbers are orthogonal unit vectors, as far as f16 can store them.
fn orthonormal(rows: &[f32], dim: usize) -> bool {
    let rows: Vec<&[f32]> = rows.chunks_exact(dim).collect();
    let product = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
    let fits = |i: usize, j: usize| {
        let expected = if i == j { 1.0 } else { 0.0 };
        // Also false for NaN.
        (product(rows[i], rows[j]) - expected).abs() <= 0.01
    };
    (0..rows.len()).all(|i| (0..=i).all(|j| fits(i, j)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::draws;

    fn tensor(values: Vec<f32>, shape: [usize; 3]) -> Tensor<3> {
        Tensor::from_data(TensorData::new(values, shape), &Device::flex())
    }

    /// Codes of 200 texts in two layers, which differ in the first two of four numbers only, and far
    /// more in the first. Their layers have different means.
    fn texts() -> Tensor<3> {
        let x = draws::normal(&mut draws::stream(3, "texts", 0), 200 * 4);
        let rows = x.chunks_exact(2).enumerate().flat_map(|(row, x)| {
            let mean = if row % 2 == 0 { 50.0 } else { -50.0 };
            [5.0 * x[0] + mean, x[1], 7.0, mean]
        });
        tensor(rows.collect(), [200, 2, 4])
    }

    #[test]
    fn codes_agree_with_texts_along_their_directions_only() {
        let directions = Directions::of(texts()).unwrap();
        assert_eq!(directions.count(), 2, "25/26 of the variance is not enough");
        let codes = tensor((1..=16).map(|i| i as f32).collect(), [2, 2, 4]);
        let goal = directions.goal(codes, tensor(vec![-1.0, -2.0, -3.0, -4.0], [1, 1, 4]));
        let expected = [-1.0, -2.0, 3.0, 4.0, -1.0, -2.0, 7.0, 8.0];
        for (found, expected) in to_vec(goal).into_iter().zip(expected) {
            assert!((found - expected).abs() < 1e-4, "{found}, not {expected}");
        }
    }

    #[test]
    fn texts_that_do_not_differ_leave_all_directions() {
        let directions = Directions::of(tensor(vec![0.5; 12], [4, 1, 3])).unwrap();
        assert_eq!(directions.count(), 3);
        let goal = directions
            .goal(tensor(vec![1.0, 2.0, 3.0], [1, 1, 3]), tensor(vec![0.5; 3], [1, 1, 3]));
        assert!(to_vec(goal).iter().all(|value| (value - 0.5).abs() < 1e-5));
    }

    #[test]
    fn a_model_keeps_its_directions_and_damaged_ones_are_refused() {
        let mut model = Model::new();
        let device = Device::flex();
        assert!(Directions::load(&model, 4, &device).unwrap().is_none());
        let directions = Directions::of(texts()).unwrap();
        directions.store(&mut model).unwrap();
        let loaded = Directions::load(&model, 4, &device).unwrap().unwrap();
        assert_eq!(to_vec(loaded.axes), to_vec(directions.axes));
        for (shape, values) in [
            ([1, 3], vec![1.0, 0.0, 0.0]),
            ([5, 4], [1.0, 0.0, 0.0, 0.0].repeat(5)),
            ([1, 4], vec![1.0, f32::NAN, 0.0, 0.0]),
            ([1, 4], vec![0.0; 4]),
            ([1, 4], vec![1.1, 0.0, 0.0, 0.0]),
            ([2, 4], [0.0, 1.0, 0.0, 0.0].repeat(2)),
        ] {
            model.put_tensor(DIRECTIONS, HostTensor::f32(shape, values).unwrap());
            let error = Directions::load(&model, 4, &device).unwrap_err();
            assert!(error.message.contains(DIRECTIONS), "{}", error.message);
        }
    }
}
