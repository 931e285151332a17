//! A pool of earlier codes, which the latent discriminator sees again (Shrivastava et al. 2017,
//! §2.3).

use std::mem;

use burn::tensor::{Device, Tensor};
use rand::Rng;

use crate::error::{Error, Result};
use crate::nn::params::{from_host, indices, to_host};
use crate::tensorfile::{Data, HostTensor, TensorFile};

/// A pool of up to `capacity` vectors. On average, half of the vectors passed in are returned, and
/// the other half are exchanged for earlier ones.
pub struct Pool {
    capacity: usize,
    dim: usize,
    /// `[K, dim]`, on the device; `None` while the pool is empty.
    vectors: Option<Tensor<2>>,
}

impl Pool {
    /// A pool of vectors of size `dim`. With capacity 0, all vectors pass through unchanged.
    pub fn new(capacity: usize, dim: usize) -> Self {
        Self { capacity, dim, vectors: None }
    }

    /// Exchanges some of the codes `[N, dim]` for earlier ones; returns codes `[N, dim]`.
    ///
    /// Does not wait for the device: which codes are exchanged does not depend on their values.
    pub fn exchange(&mut self, codes: Tensor<2>, rng: &mut impl Rng) -> Tensor<2> {
        if self.capacity == 0 {
            return codes;
        }
        let [n, _] = codes.dims();
        let device = codes.device();
        let all = match self.vectors.take() {
            Some(vectors) => Tensor::cat(vec![vectors, codes], 0),
            None => codes,
        };
        // The rows of `all` that stay in the pool, and those that are returned.
        let mut kept: Vec<usize> = (0..all.dims()[0] - n).collect();
        let mut returned: Vec<usize> = (kept.len()..kept.len() + n).collect();
        for code in &mut returned {
            if kept.len() < self.capacity {
                kept.push(*code);
            } else if rng.random::<bool>() {
                mem::swap(&mut kept[rng.random_range(0..self.capacity)], code);
            }
        }
        let count = kept.len();
        let moved = all.select(0, indices(kept.into_iter().chain(returned), &device));
        self.vectors = Some(moved.clone().narrow(0, 0, count));
        moved.narrow(0, count, n)
    }

    /// Adds the pool to a checkpoint.
    pub fn collect(&self, file: &mut TensorFile) {
        let empty = || HostTensor { shape: vec![0, self.dim], data: Data::F32(Vec::new()) };
        let tensor = self.vectors.clone().map_or_else(empty, to_host);
        file.tensors.insert("pool".into(), tensor);
    }

    /// Restores the pool from a checkpoint.
    ///
    /// # Errors
    /// If the checkpoint has no pool, or one of another size.
    pub fn restore(&mut self, file: &TensorFile, device: &Device) -> Result<()> {
        let found = file.tensor("pool")?;
        if found.shape.len() != 2 || found.shape[1] != self.dim {
            return Err(Error::user(format!(
                "the checkpoint's `pool` has shape {:?}, expected [N, {}]",
                found.shape, self.dim
            ))
            .hint("the file is damaged; use an earlier checkpoint, or start a new run"));
        }
        self.vectors = (found.shape[0] > 0).then(|| from_host(found, device));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::TensorData;

    use super::*;
    use crate::draws;
    use crate::nn::params::to_vec;

    /// Does the same on the host, one code at a time, with capacity 4.
    fn one_by_one(kept: &mut Vec<f32>, codes: &[f32], rng: &mut impl Rng) -> Vec<f32> {
        let exchanged = |code: &f32| {
            if kept.len() < 4 {
                kept.push(*code);
            } else if rng.random::<bool>() {
                let index = rng.random_range(0..4);
                return mem::replace(&mut kept[index], *code);
            }
            *code
        };
        codes.iter().map(exchanged).collect()
    }

    #[test]
    fn a_batch_is_exchanged_like_single_codes() {
        let device = Device::flex();
        let mut pool = Pool::new(4, 1);
        let mut kept = Vec::new();
        let mut earlier = 0;
        for round in 0..20 {
            let values: Vec<f32> = (0..7).map(|i| (round * 7 + i) as f32).collect();
            let rng = || draws::stream(0, "pool", round);
            let expected = one_by_one(&mut kept, &values, &mut rng());
            let codes = Tensor::from_data(TensorData::new(values, [7, 1]), &device);
            assert_eq!(to_vec(pool.exchange(codes, &mut rng())), expected);
            earlier += expected.iter().filter(|code| **code < (round * 7) as f32).count();
            // A checkpoint holds the same codes.
            let mut file = TensorFile::default();
            pool.collect(&mut file);
            assert_eq!(file.tensors["pool"].to_f32(), kept);
            pool = Pool::new(4, 1);
            pool.restore(&file, &device).unwrap();
        }
        assert!(earlier > 20, "{earlier} codes of earlier batches were returned");
    }

    #[test]
    fn an_empty_pool_is_restored() {
        let mut file = TensorFile::default();
        Pool::new(4, 3).collect(&mut file);
        assert_eq!(file.tensors["pool"].shape, [0, 3]);
        let mut pool = Pool::new(4, 3);
        pool.restore(&file, &Device::flex()).unwrap();
        assert!(pool.vectors.is_none());
        assert!(Pool::new(4, 2).restore(&file, &Device::flex()).is_err());
    }
}
