//! Latents z of image seeds and of training steps.

use burn::tensor::{Device, Tensor, TensorData};

use crate::draws;
use crate::systems::requests::Vary;

/// z of image seeds: `[N, z_dim]`. The same seed gives the same z in every command.
pub fn latents(seeds: &[u64], vary: Option<Vary>, z_dim: usize, device: &Device) -> Tensor<2> {
    let of = |seed: u64| draws::normal(&mut draws::stream(seed, "z.sample", 0), z_dim);
    let mut values: Vec<f32> = seeds.iter().flat_map(|&seed| of(seed)).collect();
    if let Some(Vary { of: kept, by }) = vary {
        let (kept, rest) = (of(kept), (1.0 - by * by).max(0.0).sqrt());
        for z in values.chunks_exact_mut(z_dim) {
            for (z, kept) in z.iter_mut().zip(&kept) {
                *z = (rest * f64::from(*kept) + by * f64::from(*z)) as f32;
            }
        }
    }
    Tensor::from_data(TensorData::new(values, [seeds.len(), z_dim]), device)
}

/// Normal values of the training step at `nimg` images, for a purpose: `[rows, columns]`.
pub fn step_noise(
    seed: u64,
    purpose: &str,
    nimg: u64,
    [rows, columns]: [usize; 2],
    device: &Device,
) -> Tensor<2> {
    let values = draws::normal(&mut draws::stream(seed, purpose, nimg), rows * columns);
    Tensor::from_data(TensorData::new(values, [rows, columns]), device)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::params::to_vec;

    #[test]
    fn variations_are_normal_and_at_the_requested_distance() {
        let device = Device::flex();
        let seeds: Vec<u64> = (0..50).collect();
        let rows = |vary| to_vec(latents(&seeds, vary, 512, &device));
        let kept = to_vec(latents(&[7], None, 512, &device));
        assert_eq!(rows(Some(Vary { of: 7, by: 0.0 }))[..512], kept);
        assert_eq!(rows(Some(Vary { of: 7, by: 1.0 })), rows(None));
        let by = 0.3;
        let near = rows(Some(Vary { of: 7, by }));
        let n = near.len() as f64;
        let square = near.iter().map(|z| f64::from(*z).powi(2)).sum::<f64>() / n;
        assert!((square - 1.0).abs() < 0.1, "variance {square}");
        let along = near.iter().zip(kept.iter().cycle()).map(|(z, k)| f64::from(z * k));
        let correlation = along.sum::<f64>() / n;
        assert!((correlation - (1.0 - by * by).sqrt()).abs() < 0.1, "correlation {correlation}");
        assert!(Vary { of: 0, by: 1.1 }.check().is_err());
    }
}
