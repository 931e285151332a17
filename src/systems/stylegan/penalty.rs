//! The weights γ of R1 and R2 while they are adapted to the scores of the discriminator
//! (`--gamma auto`; not part of a paper).
//!
//! A γ that suits photographs is far too small for drawings: there D tells real images from
//! generated ones with ease, its scores drift apart, and the gradients that G receives become
//! useless. The gap D(real) − D(fake) shows this long before the images do. So γ doubles while the
//! gap is too large, and halves again while the gap is small, but never below its initial value. On
//! photographs of birds at 32×32 with a constant γ the gap was at most 4.7; on drawings, with which
//! training failed, it was above 6 within 4,000 images.

use burn::tensor::{Device, Tensor};

use super::StyleganSettings;
use crate::error::{Error, Result};
use crate::nn::params::{from_host, to_host, to_vec};
use crate::nn::sums::total;
use crate::tensorfile::{Data, HostTensor, TensorFile};

/// Iterations between adjustments: two applications of R1 at its published interval.
const INTERVAL: u64 = 32;
/// Mean gap above which γ doubles.
const LARGE_GAP: f64 = 4.0;
/// Mean gap below which γ halves.
const SMALL_GAP: f64 = 1.5;
/// Largest number of doublings: 16,384 times the initial γ.
const MOST_DOUBLINGS: i32 = 14;

/// Holds γ of R1 and R2, and adapts them if the settings say so.
#[derive(Debug)]
pub(super) struct PenaltyWeights {
    r1: f64,
    r2: f64,
    adapted: bool,
    /// γ is the one of the settings times 2 to this power.
    doublings: i32,
    /// Sum of the gaps since the last adjustment `[1]`, kept on the device.
    gaps: Option<Tensor<1>>,
    /// Number of gaps in that sum.
    count: u64,
}

/// Keys in a checkpoint.
const DOUBLINGS: &str = "gamma.doublings";
const GAPS: &str = "gamma.gaps";
const COUNT: &str = "gamma.count";

impl PenaltyWeights {
    pub fn new(settings: &StyleganSettings) -> Self {
        Self {
            r1: settings.r1_gamma,
            r2: settings.r2_gamma,
            adapted: settings.adapt_gamma,
            doublings: 0,
            gaps: None,
            count: 0,
        }
    }

    /// Whether γ follows the scores.
    pub fn is_adapted(&self) -> bool {
        self.adapted
    }

    /// γ of R1.
    pub fn r1(&self) -> f64 {
        self.r1 * self.factor()
    }

    /// γ of R2.
    pub fn r2(&self) -> f64 {
        self.r2 * self.factor()
    }

    fn factor(&self) -> f64 {
        2f64.powi(self.doublings)
    }

    /// Records gaps D(real) − D(fake) `[N]`, the means of the rounds of a batch, without automatic
    /// differentiation.
    pub fn observe(&mut self, gaps: &Tensor<1>) {
        if !self.adapted {
            return;
        }
        self.count += gaps.dims()[0] as u64;
        let sum = total(gaps.clone());
        self.gaps = Some(match self.gaps.take() {
            Some(so_far) => so_far + sum,
            None => sum,
        });
    }

    /// Adjusts γ every [`INTERVAL`] iterations. Call it at the end of each iteration, with the number
    /// `done` of completed iterations. It waits for the device only when it adjusts γ.
    pub fn adjust(&mut self, done: u64) {
        if !self.adapted || !done.is_multiple_of(INTERVAL) {
            return;
        }
        let Some(gaps) = self.gaps.take() else { return };
        let mean = f64::from(to_vec(gaps)[0]) / std::mem::take(&mut self.count) as f64;
        if mean > LARGE_GAP {
            self.doublings = (self.doublings + 1).min(MOST_DOUBLINGS);
        } else if mean < SMALL_GAP {
            self.doublings = (self.doublings - 1).max(0);
        }
    }

    /// Adds the state to a checkpoint.
    pub fn collect(&self, file: &mut TensorFile) {
        if !self.adapted {
            return;
        }
        file.metadata.insert(DOUBLINGS.to_owned(), self.doublings.to_string());
        if let Some(gaps) = &self.gaps {
            let count = HostTensor { shape: vec![1], data: Data::I64(vec![self.count as i64]) };
            file.tensors.insert(GAPS.to_owned(), to_host(gaps.clone()));
            file.tensors.insert(COUNT.to_owned(), count);
        }
    }

    /// Restores the state from a checkpoint.
    ///
    /// # Errors
    /// If it is missing or damaged.
    pub fn restore(&mut self, file: &TensorFile, device: &Device) -> Result<()> {
        if !self.adapted {
            return Ok(());
        }
        let damaged = |what| {
            Error::user(format!("the checkpoint has no valid `{what}`"))
                .hint("the file is damaged; use an earlier checkpoint, or start a new run")
        };
        let doublings = file.metadata.get(DOUBLINGS).and_then(|text| text.parse().ok());
        let doublings = doublings.filter(|n| (0..=MOST_DOUBLINGS).contains(n));
        let (gaps, count) = match (file.tensors.get(GAPS), file.tensors.get(COUNT)) {
            (None, _) => (None, 0),
            (Some(gaps), Some(HostTensor { data: Data::I64(count), .. }))
                if gaps.shape == [1] && count.len() == 1 && count[0] > 0 =>
            {
                (Some(from_host(gaps, device)), count[0] as u64)
            }
            _ => return Err(damaged(COUNT)),
        };
        self.doublings = doublings.ok_or_else(|| damaged(DOUBLINGS))?;
        (self.gaps, self.count) = (gaps, count);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn weights() -> PenaltyWeights {
        let settings = StyleganSettings {
            r1_gamma: 0.5,
            r2_gamma: 0.25,
            adapt_gamma: true,
            ..StyleganSettings::auto(16, None)
        };
        PenaltyWeights::new(&settings)
    }

    fn gaps<const N: usize>(values: [f32; N]) -> Tensor<1> {
        Tensor::from_data(values, &Device::flex())
    }

    #[test]
    fn gamma_follows_the_gap_and_never_falls_below_its_start() {
        let mut weights = weights();
        let steps = [([9.0, 3.0], 1.0), ([5.0, 4.0], 2.0), ([2.0, 3.0], 2.0), ([0.0, 1.0], 1.0)];
        for (values, r1) in steps {
            weights.observe(&gaps(values));
            weights.adjust(INTERVAL - 1);
            weights.adjust(INTERVAL);
            assert_eq!((weights.r1(), weights.r2()), (r1, r1 / 2.0), "{values:?}");
        }
        for _ in 0..3 {
            weights.observe(&gaps([-7.0]));
            weights.adjust(INTERVAL);
        }
        assert_eq!(weights.r1(), 0.5);
        for _ in 0..99 {
            weights.observe(&gaps([f32::MAX]));
            weights.adjust(2 * INTERVAL);
        }
        assert_eq!(weights.r1(), 0.5 * 2f64.powi(MOST_DOUBLINGS));
    }

    #[test]
    fn gamma_is_constant_where_it_is_not_adapted() {
        let mut weights = PenaltyWeights { adapted: false, ..weights() };
        weights.observe(&gaps([9.0]));
        weights.adjust(INTERVAL);
        assert_eq!(weights.r1(), 0.5);
        let mut file = TensorFile::default();
        weights.collect(&mut file);
        assert!(file.metadata.is_empty());
        weights.restore(&file, &Device::flex()).unwrap();
    }

    #[test]
    fn the_state_is_restored_exactly() {
        let mut one = weights();
        one.observe(&gaps([9.0]));
        one.adjust(INTERVAL);
        one.observe(&gaps([9.0, -3.0]));
        let mut file = TensorFile::default();
        one.collect(&mut file);
        let mut other = weights();
        other.restore(&file, &Device::flex()).unwrap();
        for weights in [&mut one, &mut other] {
            weights.observe(&gaps([9.0]));
            weights.adjust(INTERVAL);
        }
        assert_eq!(one.r1(), 2.0);
        assert_eq!(one.r1(), other.r1());
        file.metadata.remove(DOUBLINGS);
        assert!(other.restore(&file, &Device::flex()).is_err());
    }
}
