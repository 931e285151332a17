//! Checks of the settings of the style encoder: every number has a range, and the memory has a lower
//! bound.

use super::settings::StyleSettings;
use crate::error::{Result, positive};
use crate::settings::Checked;
use crate::settings::limits::{MAX_BATCH, MAX_LR, within};
use crate::systems::text_gan::style::StyleEncoder;
use crate::train::rounds::check_normalised;

impl StyleSettings {
    /// A lower bound of the memory in bytes that training needs: the weights with their gradients and
    /// moments, and the largest feature maps with their gradients.
    pub fn least_memory(&self, resolution: usize, z_dim: usize) -> u64 {
        let weights = StyleEncoder::shapes(&self.network, resolution, z_dim).values();
        let side = resolution as u64 / 2;
        let features = (self.batch as u64)
            .saturating_mul(self.network.width as u64)
            .saturating_mul(side * side);
        features.saturating_mul(2).saturating_add(weights.saturating_mul(4)).saturating_mul(4)
    }
}

impl Checked for StyleSettings {
    fn check(&self) -> Result<()> {
        self.network.check()?;
        // Batch normalisation needs other images.
        within("style.batch", self.batch, 2..=MAX_BATCH)?;
        check_normalised("style", self.batch, self.round)?;
        positive("style.kimg", self.kimg)?;
        positive("style.lr", self.lr)?;
        within("style.lr", self.lr, 0.0..=MAX_LR)?;
        self.adam.check("style.adam")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_out_of_range_are_refused() {
        StyleSettings::default().check().unwrap();
        let refused = |change: fn(&mut StyleSettings), key: &str| {
            let mut settings = StyleSettings::default();
            change(&mut settings);
            let error = settings.check().unwrap_err();
            assert!(error.message.contains(key) && error.hint.is_some(), "{error}");
        };
        refused(|s| s.network.width = 6, "width");
        refused(|s| s.batch = 1, "batch");
        refused(|s| s.round = 1, "style.round is 1");
        refused(|s| s.round = 5, "rounds of 5");
        refused(|s| s.lr = f64::NAN, "lr");
        refused(|s| s.kimg = 0.0, "kimg");
        refused(|s| s.adam.beta1 = 1.0, "beta1");
    }
}
