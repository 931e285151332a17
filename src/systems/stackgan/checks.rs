//! Checks of the settings of StackGAN++: every number has a range, and the memory has a lower bound.

use super::{Generator, StackganNetwork, StackganSettings};
use crate::error::{Error, Result, positive};
use crate::settings::Checked;
use crate::settings::limits::{MAX_BATCH, MAX_LR, MAX_WEIGHT, MAX_WIDTH, check_values, within};
use crate::systems::text_gan::branches;
use crate::systems::text_gan::discriminator::Discriminator;
use crate::train::rounds::check_normalised;

/// Largest width of the narrow ends of the networks, which are many times wider elsewhere.
const MAX_END: usize = MAX_WIDTH / 16;

impl StackganNetwork {
    /// Number of values of all networks, for captions with vectors of length `sentence`.
    fn values(&self, sentence: usize) -> u64 {
        let critics = self.discriminators();
        critics.iter().map(|network| Discriminator::shapes(network).values()).sum::<u64>()
            + Generator::shapes(self, sentence).values()
    }
}

impl Checked for StackganNetwork {
    fn check(&self) -> Result<()> {
        branches::check("stackgan_v2.network", self.branches, self.resolution)?;
        within("stackgan_v2.network.z_dim", self.z_dim, 1..=MAX_WIDTH)?;
        within("stackgan_v2.network.condition", self.condition, 1..=MAX_WIDTH)?;
        within("stackgan_v2.network.generator_width", self.generator_width, 1..=MAX_END)?;
        within("stackgan_v2.network.discriminator_width", self.discriminator_width, 1..=MAX_END)?;
        let least = 1usize << (self.branches - 1);
        if !self.generator_width.is_multiple_of(least) {
            return Err(Error::user(format!(
                "stackgan_v2.network.generator_width is {}",
                self.generator_width
            ))
            .hint(format!("use a multiple of {least}, because every stage halves it")));
        }
        check_values("stackgan_v2.network", self.values(1))
    }
}

impl StackganSettings {
    /// A lower bound of the memory in bytes that training needs: the last feature maps of G with
    /// their gradients, and all weights with their gradients and moments.
    pub fn least_memory(&self) -> u64 {
        let network = &self.network;
        let side = network.resolution as u64;
        let features = (self.batch as u64)
            .saturating_mul(network.width(network.resolution) as u64)
            .saturating_mul(side * side);
        let weights = network.values(1);
        features.saturating_mul(2).saturating_add(weights.saturating_mul(4)).saturating_mul(4)
    }
}

impl Checked for StackganSettings {
    fn check(&self) -> Result<()> {
        self.network.check()?;
        within("stackgan_v2.batch", self.batch, 2..=MAX_BATCH)?;
        check_normalised("stackgan_v2", self.batch, self.round)?;
        positive("stackgan_v2.kimg", self.kimg)?;
        positive("stackgan_v2.lr", self.lr)?;
        within("stackgan_v2.lr", self.lr, 0.0..=MAX_LR)?;
        self.adam.check("stackgan_v2.adam")?;
        for (name, weight) in [
            ("unconditional_weight", self.unconditional_weight),
            ("divergence_weight", self.divergence_weight),
            ("colour", self.colour),
            ("colour_covariance", self.colour_covariance),
            ("ema_rampup", self.ema_rampup),
        ] {
            within(format!("stackgan_v2.{name}"), weight, 0.0..=MAX_WEIGHT)?;
        }
        within("stackgan_v2.ema_kimg", self.ema_kimg, 0.0..=1e6)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_out_of_range_are_refused() {
        StackganSettings::at(256).check().unwrap();
        StackganSettings::at(1024).check().unwrap();
        let refused = |change: fn(&mut StackganSettings), key: &str| {
            let mut settings = StackganSettings::at(64);
            change(&mut settings);
            let error = settings.check().unwrap_err();
            assert!(error.message.contains(key) && error.hint.is_some(), "{error}");
        };
        refused(|s| s.network.resolution = 16, "resolution is 16");
        refused(|s| s.network.resolution = 96, "resolution is 96");
        refused(|s| s.network.branches = 0, "branches");
        refused(|s| s.network.branches = 6, "branches");
        refused(|s| s.network.branches = 5, "resolution is 64");
        refused(|s| s.network.generator_width = 6, "generator_width is 6");
        refused(|s| s.network.discriminator_width = 1 << 20, "discriminator_width");
        refused(|s| s.batch = 1, "batch");
        refused(|s| s.round = 1, "stackgan_v2.round is 1");
        refused(|s| s.round = 7, "rounds of 7");
        refused(|s| s.unconditional_weight = f64::NAN, "unconditional_weight");
        refused(|s| s.colour = -1.0, "colour");
        refused(|s| s.kimg = 0.0, "kimg");
    }
}
