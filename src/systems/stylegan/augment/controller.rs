//! Adaptive control of the augmentation probability p (Karras et al. 2020b, §3).

use std::cmp::Ordering;

use burn::tensor::{Device, Tensor};

use crate::error::{Error, Result};
use crate::nn::params::{from_host, to_host, to_vec};
use crate::systems::stylegan::settings::{AugmentMode, AugmentSettings};
use crate::tensorfile::{Data, HostTensor, TensorFile};

/// Controls p by r_t = mean sign D(real), which measures how much D overfits.
#[derive(Debug)]
pub struct Controller {
    settings: AugmentSettings,
    p: f64,
    /// Sum of the signs since the last adjustment `[1]`, kept on the device.
    signs: Option<Tensor<1>>,
    /// Number of signs in that sum.
    count: u64,
}

/// Keys in a checkpoint.
const P: &str = "augment.p";
const SIGNS: &str = "augment.signs";
const COUNT: &str = "augment.count";

impl Controller {
    /// A controller that starts at the probability of the settings.
    pub fn new(settings: &AugmentSettings) -> Self {
        Self { p: settings.p, settings: settings.clone(), signs: None, count: 0 }
    }

    /// The probability of augmentation; `None` for no augmentation.
    pub fn p(&self) -> Option<f64> {
        (self.settings.mode != AugmentMode::None).then_some(self.p)
    }

    /// Whether p follows the logits.
    pub fn is_adaptive(&self) -> bool {
        self.settings.mode == AugmentMode::Ada
    }

    /// Records the logits `[N]` of augmented real images, which are without automatic
    /// differentiation.
    pub fn observe(&mut self, real_logits: &Tensor<1>) {
        if !self.is_adaptive() {
            return;
        }
        self.count += real_logits.dims()[0] as u64;
        let sum = real_logits.clone().sign().sum();
        self.signs = Some(match self.signs.take() {
            Some(so_far) => so_far + sum,
            None => sum,
        });
    }

    /// Adjusts p every `interval` iterations, so that it could rise from 0 to 1 in `kimg` thousand
    /// images. Call it at the end of each iteration, with the number `done` of completed
    /// iterations. It waits for the device only when it adjusts p.
    pub fn adjust(&mut self, done: u64, batch: usize) {
        let AugmentSettings { mode, target, interval, kimg, .. } = self.settings;
        if mode != AugmentMode::Ada || interval == 0 || !done.is_multiple_of(interval as u64) {
            return;
        }
        let Some(signs) = self.signs.take() else { return };
        let mean = f64::from(to_vec(signs)[0]) / std::mem::take(&mut self.count) as f64;
        let step = (batch * interval) as f64 / (kimg * 1000.0);
        let direction = match mean.partial_cmp(&target) {
            Some(Ordering::Less) => -1.0,
            Some(Ordering::Greater) => 1.0,
            // At the target and for NaN, p must not change; `f64::signum` gives 1 and NaN.
            _ => 0.0,
        };
        self.p = (self.p + direction * step).max(0.0);
    }

    /// Adds p and the signs since its last adjustment to a checkpoint.
    pub fn collect(&self, file: &mut TensorFile) {
        // Stored as text, because tensors have single precision and a resumed run must be exact.
        file.metadata.insert(P.to_owned(), self.p.to_string());
        if let Some(signs) = &self.signs {
            let count = HostTensor { shape: vec![1], data: Data::I64(vec![self.count as i64]) };
            file.tensors.insert(SIGNS.to_owned(), to_host(signs.clone()));
            file.tensors.insert(COUNT.to_owned(), count);
        }
    }

    /// Restores the state from a checkpoint.
    ///
    /// # Errors
    /// If it is missing or damaged.
    pub fn restore(&mut self, file: &TensorFile, device: &Device) -> Result<()> {
        let damaged = |what| {
            Error::user(format!("the checkpoint has no valid `{what}`"))
                .hint("the file is damaged; use an earlier checkpoint, or start a new run")
        };
        let p = file.metadata.get(P).and_then(|text| text.parse::<f64>().ok());
        let p = p.filter(|p| p.is_finite() && *p >= 0.0).ok_or_else(|| damaged(P))?;
        let (signs, count) = match (file.tensors.get(SIGNS), file.tensors.get(COUNT)) {
            (None, _) => (None, 0),
            (Some(signs), Some(HostTensor { data: Data::I64(count), .. }))
                if signs.shape == [1] && count.len() == 1 && count[0] > 0 =>
            {
                (Some(from_host(signs, device)), count[0] as u64)
            }
            _ => return Err(damaged(COUNT)),
        };
        (self.p, self.signs, self.count) = (p, signs, count);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> AugmentSettings {
        AugmentSettings { mode: AugmentMode::Ada, p: 0.0, target: 0.5, interval: 2, kimg: 0.08 }
    }

    fn logits<const N: usize>(values: [f32; N]) -> Tensor<1> {
        Tensor::from_data(values, &Device::flex())
    }

    #[test]
    fn p_follows_the_sign_of_the_logits() {
        let mut controller = Controller::new(&settings());
        // 2·4 images of 80: steps of 0.1. Mean sign 1, then 0.5 (the target), then −1 twice.
        let rounds = [[1.0, 2.0, 3.0, 0.5], [1.0, 2.0, 0.5, -9.0], [-1.0; 4], [-1.0; 4]];
        for (round, p) in rounds.into_iter().zip([0.1, 0.1, 0.0, 0.0]) {
            controller.observe(&logits(round));
            controller.adjust(1, 4);
            controller.observe(&logits(round));
            controller.adjust(2, 4);
            assert_eq!(controller.p(), Some(p));
        }
    }

    #[test]
    fn nothing_changes_where_p_is_fixed_or_absent() {
        for (mode, p) in [(AugmentMode::Fixed, Some(0.3)), (AugmentMode::None, None)] {
            let mut controller = Controller::new(&AugmentSettings { mode, p: 0.3, ..settings() });
            controller.observe(&logits([1.0]));
            controller.adjust(2, 4);
            assert_eq!(controller.p(), p);
        }
    }

    #[test]
    fn state_is_restored_exactly() {
        let mut controller = Controller::new(&AugmentSettings { p: 0.1 + 0.2, ..settings() });
        controller.observe(&logits([1.0, -1.0, 2.0]));
        let mut file = TensorFile::default();
        controller.collect(&mut file);
        let mut other = Controller::new(&settings());
        other.restore(&file, &Device::flex()).unwrap();
        assert_eq!(other.p(), Some(0.1 + 0.2));
        for controller in [&mut controller, &mut other] {
            controller.observe(&logits([-1.0]));
            controller.adjust(4, 4);
        }
        assert_eq!(controller.p(), other.p());
        assert_eq!(controller.count, other.count);
        file.metadata.remove("augment.p");
        assert!(other.restore(&file, &Device::flex()).is_err());
    }
}
