//! Checks of the settings of AttnGAN and MirrorGAN: every number has a range, and the memory has a
//! lower bound. Both systems share them, so `check` names the keys without their section, and `check_in`
//! with it.

use super::{AttentionGanNetwork, AttentionGanSettings, Generator};
use crate::error::{Result, positive};
use crate::settings::Checked;
use crate::settings::limits::{MAX_BATCH, MAX_LR, MAX_WEIGHT, MAX_WIDTH, check_values, within};
use crate::systems::text_gan::branches;
use crate::systems::text_gan::discriminator::Discriminator;
use crate::train::rounds::check_normalised;

/// Largest width of the narrow ends of the networks, which are many times wider elsewhere.
const MAX_END: usize = MAX_WIDTH / 16;

impl AttentionGanNetwork {
    /// Number of values of all networks, for sentences with vectors of length `sentence`.
    fn values(&self, sentence: usize) -> u64 {
        let critics = self.discriminators(sentence);
        critics.iter().map(|network| Discriminator::shapes(network).values()).sum::<u64>()
            + Generator::shapes(self, sentence).values()
    }
}

impl Checked for AttentionGanNetwork {
    fn check(&self) -> Result<()> {
        branches::check("network", self.branches, self.resolution)?;
        within("network.z_dim", self.z_dim, 1..=MAX_WIDTH)?;
        within("network.condition", self.condition, 1..=MAX_WIDTH)?;
        within("network.generator_width", self.generator_width, 1..=MAX_END)?;
        within("network.discriminator_width", self.discriminator_width, 1..=MAX_END)?;
        check_values("network", self.values(1))
    }

    fn check_in(&self, section: &str) -> Result<()> {
        self.check().map_err(|error| error.below(section))
    }
}

impl AttentionGanSettings {
    /// A lower bound of the memory in bytes that training needs: the last feature maps of G with
    /// their gradients, and all weights with their gradients and moments.
    pub fn least_memory(&self) -> u64 {
        let network = &self.network;
        let side = network.resolution as u64;
        let features = (self.batch as u64)
            .saturating_mul(network.generator_width as u64)
            .saturating_mul(side * side);
        let weights = network.values(1);
        features.saturating_mul(2).saturating_add(weights.saturating_mul(4)).saturating_mul(4)
    }
}

impl Checked for AttentionGanSettings {
    fn check(&self) -> Result<()> {
        self.network.check()?;
        within("batch", self.batch, 2..=MAX_BATCH)?;
        positive("kimg", self.kimg)?;
        positive("lr", self.lr)?;
        within("lr", self.lr, 0.0..=MAX_LR)?;
        self.adam.check("adam")?;
        self.damsm.check("damsm")?;
        for (name, weight) in [
            ("divergence_weight", self.divergence_weight),
            ("damsm_weight", self.damsm_weight),
            ("stream_weight", self.stream_weight),
            ("ema_rampup", self.ema_rampup),
        ] {
            within(name, weight, 0.0..=MAX_WEIGHT)?;
        }
        within("ema_kimg", self.ema_kimg, 0.0..=1e6)
    }

    fn check_in(&self, section: &str) -> Result<()> {
        self.check().map_err(|error| error.below(section))?;
        // Its hint names the section.
        check_normalised(section, self.batch, self.round)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::systems::text_gan::branches::BRANCHES;

    #[test]
    fn numbers_out_of_range_are_refused() {
        AttentionGanSettings::attn_gan(256, BRANCHES).check().unwrap();
        AttentionGanSettings::attn_gan(1024, BRANCHES).check().unwrap();
        AttentionGanSettings::mirror_gan(128, BRANCHES).check().unwrap();
        let refused = |change: fn(&mut AttentionGanSettings), key: &str| {
            let mut settings = AttentionGanSettings::attn_gan(64, BRANCHES);
            change(&mut settings);
            let error = settings.check_in("mirrorgan").unwrap_err();
            assert!(error.message.contains(key) && error.hint.is_some(), "{error}");
            assert!(error.message.starts_with("mirrorgan."), "{error}");
        };
        refused(|s| s.network.resolution = 16, "resolution is 16");
        refused(|s| s.network.resolution = 96, "resolution is 96");
        refused(|s| s.network.branches = 0, "branches");
        refused(|s| s.network.branches = 5, "resolution is 64");
        refused(|s| s.network.generator_width = 0, "generator_width");
        refused(|s| s.network.discriminator_width = 1 << 20, "discriminator_width");
        refused(|s| s.batch = 1, "batch");
        refused(|s| s.round = 1, "mirrorgan.round is 1");
        refused(|s| s.round = 7, "rounds of 7");
        refused(|s| s.damsm_weight = f64::NAN, "damsm_weight");
        refused(|s| s.stream_weight = -1.0, "stream_weight");
        refused(|s| s.damsm.gamma1 = 0.0, "gamma1");
        refused(|s| s.kimg = 0.0, "kimg");
    }
}
