//! A pool of earlier codes, which the latent discriminator sees again (Shrivastava et al. 2017,
//! §2.3).

use burn::tensor::{Device, Tensor, TensorData};
use rand::Rng;

use crate::error::{Error, Result};
use crate::nn::params::to_vec;
use crate::tensorfile::{HostTensor, TensorFile};

/// A pool of up to `capacity` vectors. On average, half of the vectors passed in are returned, and
/// the other half are exchanged for earlier ones.
pub struct Pool {
    capacity: usize,
    dim: usize,
    vectors: Vec<f32>,
}

impl Pool {
    /// A pool of vectors of size `dim`. With capacity 0, all vectors pass through unchanged.
    pub fn new(capacity: usize, dim: usize) -> Self {
        Self { capacity, dim, vectors: Vec::new() }
    }

    /// Exchanges some of the codes `[N, dim]` for earlier ones; returns codes `[N, dim]`.
    pub fn exchange(&mut self, codes: Tensor<2>, rng: &mut impl Rng, device: &Device) -> Tensor<2> {
        if self.capacity == 0 {
            return codes;
        }
        let shape = codes.dims();
        let mut values = to_vec(codes);
        for code in values.chunks_exact_mut(self.dim) {
            let kept = self.vectors.len() / self.dim;
            if kept < self.capacity {
                self.vectors.extend_from_slice(code);
            } else if rng.random::<bool>() {
                let index = rng.random_range(0..kept);
                let slot = &mut self.vectors[index * self.dim..(index + 1) * self.dim];
                slot.swap_with_slice(code);
            }
        }
        Tensor::from_data(TensorData::new(values, shape), device)
    }

    /// Adds the pool to a checkpoint.
    pub fn collect(&self, file: &mut TensorFile) {
        let shape = vec![self.vectors.len() / self.dim, self.dim];
        let data = crate::tensorfile::Data::F32(self.vectors.clone());
        file.tensors.insert("pool".into(), HostTensor { shape, data });
    }

    /// Restores the pool from a checkpoint.
    ///
    /// # Errors
    /// If the checkpoint has no pool, or one of another size.
    pub fn restore(&mut self, file: &TensorFile) -> Result<()> {
        let found = file.tensor("pool")?;
        if found.shape.len() != 2 || found.shape[1] != self.dim {
            return Err(Error::user(format!(
                "the checkpoint's `pool` has shape {:?}, expected [N, {}]",
                found.shape, self.dim
            ))
            .hint("the file is damaged; use an earlier checkpoint, or start a new run"));
        }
        self.vectors = found.to_f32();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::draws;

    #[test]
    fn returned_codes_are_among_those_passed_in() {
        let device = Device::flex();
        let mut pool = Pool::new(4, 1);
        let mut seen = Vec::new();
        for round in 0..20 {
            let values: Vec<f32> = (0..3).map(|i| (round * 3 + i) as f32).collect();
            let codes = Tensor::from_data(TensorData::new(values.clone(), [3, 1]), &device);
            let out = pool.exchange(codes, &mut draws::stream(0, "pool", round), &device);
            seen.extend(values);
            let out = to_vec(out);
            assert!(out.iter().all(|v| seen.contains(v)));
        }
        assert_eq!(pool.vectors.len(), 4);
        assert!(pool.vectors.iter().any(|v| *v < 55.0), "the pool keeps earlier codes");
    }
}
