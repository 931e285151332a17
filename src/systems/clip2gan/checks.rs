//! Checks of the settings of CLIP2GAN: every number has a range, and the memory has a lower bound.

use super::mapper::{Mapper, MapperSizes};
use super::{Clip2GanNetwork, Clip2GanSettings};
use crate::error::{Result, positive};
use crate::settings::Checked;
use crate::settings::limits::{
    MAX_BATCH, MAX_LAYERS, MAX_LR, MAX_WEIGHT, MAX_WIDTH, check_values, within,
};
use crate::systems::stylegan::NetworkSettings;
use crate::systems::stylegan::shapes::discriminator;
use crate::train::rounds::check_normalised;

impl Checked for Clip2GanNetwork {
    fn check(&self) -> Result<()> {
        within("clip2gan.network.depth", self.depth, 2..=MAX_LAYERS)?;
        within("clip2gan.network.width", self.width, 1..=MAX_WIDTH)?;
        within("clip2gan.network.noise.scale", self.noise.scale, 0.0..=MAX_WEIGHT)?;
        let sizes = MapperSizes { input: 1, num_ws: 1, w_dim: 1 };
        check_values("clip2gan.network", Mapper::shapes(self, sizes).values())
    }
}

impl Clip2GanSettings {
    /// A lower bound of the memory in bytes that training needs: the feature maps of G and D, the
    /// weights of the mapper and of D with their gradients and moments, and the vectors of all images.
    pub fn least_memory(
        &self,
        generator: &NetworkSettings,
        sizes: MapperSizes,
        images: usize,
    ) -> u64 {
        let features = (self.batch as u64).saturating_mul(2 * generator.activations());
        let weights =
            Mapper::shapes(&self.network, sizes).values() + discriminator(generator).values();
        let vectors = (images as u64) << u32::from(self.mirror);
        let values = features
            .saturating_add(weights.saturating_mul(4))
            .saturating_add(vectors.saturating_mul(sizes.input as u64));
        values.saturating_mul(4)
    }
}

impl Checked for Clip2GanSettings {
    fn check(&self) -> Result<()> {
        self.network.check()?;
        // The scales of the diversity loss are those of pairs of a round.
        within("clip2gan.batch", self.batch, 2..=MAX_BATCH)?;
        check_normalised("clip2gan", self.batch, self.round)?;
        positive("clip2gan.kimg", self.kimg)?;
        positive("clip2gan.lr", self.lr)?;
        within("clip2gan.lr", self.lr, 0.0..=MAX_LR)?;
        self.adam.check("clip2gan.adam")?;
        for (name, weight) in [
            ("reconstruction_weight", self.reconstruction_weight),
            ("perceptual_weight", self.perceptual_weight),
            ("adversarial_weight", self.adversarial_weight),
            ("identity_weight", self.identity_weight),
            ("diversity_weight", self.diversity_weight),
            ("penalty_weight", self.penalty_weight),
        ] {
            within(format!("clip2gan.{name}"), weight, 0.0..=MAX_WEIGHT)?;
        }
        let sum = self.reconstruction_weight
            + self.perceptual_weight
            + self.adversarial_weight
            + self.identity_weight;
        positive("the sum of the weights of [clip2gan]", sum)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_out_of_range_are_refused() {
        Clip2GanSettings::default().check().unwrap();
        let refused = |change: fn(&mut Clip2GanSettings), key: &str| {
            let mut settings = Clip2GanSettings::default();
            change(&mut settings);
            let error = settings.check().unwrap_err();
            assert!(error.message.contains(key) && error.hint.is_some(), "{error}");
        };
        refused(|s| s.network.depth = 1, "depth is 1");
        refused(|s| s.network.depth = 1000, "depth");
        refused(|s| s.network.width = 0, "width");
        refused(|s| s.network.noise.scale = f64::NAN, "noise.scale");
        refused(|s| s.batch = 1, "batch");
        refused(|s| s.round = 1, "clip2gan.round is 1");
        refused(|s| s.round = 5, "rounds of 5");
        refused(|s| s.lr = 0.0, "lr");
        refused(|s| s.diversity_weight = -1.0, "diversity_weight");
        refused(|s| s.penalty_weight = f64::INFINITY, "penalty_weight");
        let no_losses = |s: &mut Clip2GanSettings| {
            (s.reconstruction_weight, s.perceptual_weight, s.adversarial_weight) = (0.0, 0.0, 0.0);
        };
        refused(no_losses, "sum of the weights");
    }
}
