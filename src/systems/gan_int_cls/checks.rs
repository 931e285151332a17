//! Checks of the settings of GAN-INT-CLS: every number has a range, and the memory has a lower bound.

use super::discriminator::Discriminator;
use super::generator::Generator;
use super::settings::{GanIntClsNetwork, GanIntClsSettings, MAX_RESOLUTION, MIN_RESOLUTION};
use crate::error::{Error, Result, positive};
use crate::settings::Checked;
use crate::settings::limits::{MAX_BATCH, MAX_LR, MAX_WEIGHT, MAX_WIDTH, check_values, within};
use crate::train::rounds::check_normalised;

/// Largest number of captions to average.
const MAX_CAPTIONS: usize = 1000;

impl GanIntClsNetwork {
    /// Number of values of both networks, for captions with vectors of length `sentence`.
    fn values(&self, sentence: usize) -> u64 {
        Generator::shapes(self, sentence).values() + Discriminator::shapes(self, sentence).values()
    }
}

impl Checked for GanIntClsNetwork {
    fn check(&self) -> Result<()> {
        if !self.resolution.is_power_of_two()
            || !(MIN_RESOLUTION..=MAX_RESOLUTION).contains(&self.resolution)
        {
            return Err(Error::user(format!(
                "gan_int_cls.network.resolution is {}: not a power of two from {MIN_RESOLUTION} to \
                 {MAX_RESOLUTION}",
                self.resolution
            ))
            .hint("prepare the data with --resolution 32, 64, 128 or 256"));
        }
        within("gan_int_cls.network.z_dim", self.z_dim, 1..=MAX_WIDTH)?;
        within("gan_int_cls.network.projection", self.projection, 1..=MAX_WIDTH)?;
        for (name, width) in [
            ("generator_width", self.generator_width),
            ("discriminator_width", self.discriminator_width),
        ] {
            within(format!("gan_int_cls.network.{name}"), width, 4..=MAX_WIDTH / 8)?;
            if !width.is_multiple_of(4) {
                return Err(Error::user(format!("gan_int_cls.network.{name} is {width}"))
                    .hint("use a multiple of 4, such as 64"));
            }
        }
        check_values("gan_int_cls.network", self.values(1))
    }
}

impl GanIntClsSettings {
    /// A lower bound of the memory in bytes that training needs: G's feature maps at half the
    /// resolution with their gradients, and all weights with their gradients and moments.
    pub fn least_memory(&self) -> u64 {
        let side = self.network.resolution as u64 / 2;
        let features = (self.batch as u64)
            .saturating_mul(self.network.generator_width as u64)
            .saturating_mul(side * side);
        let weights = self.network.values(1);
        features.saturating_mul(2).saturating_add(weights.saturating_mul(4)).saturating_mul(4)
    }
}

impl Checked for GanIntClsSettings {
    fn check(&self) -> Result<()> {
        self.network.check()?;
        within("gan_int_cls.batch", self.batch, 2..=MAX_BATCH)?;
        check_normalised("gan_int_cls", self.batch, self.round)?;
        positive("gan_int_cls.kimg", self.kimg)?;
        positive("gan_int_cls.schedule_kimg", self.schedule_kimg)?;
        positive("gan_int_cls.lr", self.lr)?;
        within("gan_int_cls.lr", self.lr, 0.0..=MAX_LR)?;
        self.adam.check("gan_int_cls.adam")?;
        if !(0.0..1.0).contains(&self.mismatched) {
            return Err(Error::user(format!("gan_int_cls.mismatched is {}", self.mismatched))
                .hint("0.5 is the published share; 0 turns mismatched pairs off"));
        }
        within("gan_int_cls.interpolated", self.interpolated, 0.0..=MAX_WEIGHT)?;
        for (key, images) in [("batch", self.batch), ("round", self.round)] {
            if self.interpolated > 0.0 && !images.is_multiple_of(2) {
                return Err(Error::user(format!("gan_int_cls.{key} is {images}: odd")).hint(
                    "use even numbers of images, because captions are interpolated in pairs, or \
                     set gan_int_cls.interpolated=0",
                ));
            }
        }
        within("gan_int_cls.captions", self.captions, 1..=MAX_CAPTIONS)?;
        within("gan_int_cls.ema_kimg", self.ema_kimg, 0.0..=1e6)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_out_of_range_are_refused() {
        GanIntClsSettings::at(64).check().unwrap();
        let refused = |change: fn(&mut GanIntClsSettings), key: &str| {
            let mut settings = GanIntClsSettings::at(64);
            change(&mut settings);
            let error = settings.check().unwrap_err();
            assert!(error.message.contains(key) && error.hint.is_some(), "{error}");
        };
        refused(|s| s.network.resolution = 48, "resolution is 48");
        refused(|s| s.network.generator_width = 6, "generator_width is 6");
        refused(|s| s.batch = 1, "batch");
        refused(|s| s.batch = 33, "gan_int_cls.batch is 33: odd");
        refused(|s| s.round = 1, "gan_int_cls.round is 1");
        refused(|s| s.round = 7, "rounds of 7");
        refused(|s| (s.batch, s.round) = (66, 33), "gan_int_cls.round is 33: odd");
        refused(|s| s.mismatched = 1.0, "mismatched");
        refused(|s| s.interpolated = f64::NAN, "interpolated");
    }
}
