//! The limits of the settings of stage 1, and the memory that training takes at least.

use super::settings::{Architecture, AugmentSettings, NetworkSettings, StyleganSettings};
use super::shapes::{discriminator, generator};
use super::vision::VisionSettings;
use crate::data::MAX_CLASSES;
use crate::error::{Error, Result, positive};
use crate::settings::Checked;
use crate::settings::limits::{
    MAX_BATCH, MAX_INTERVAL, MAX_KIMG, MAX_LAYERS, MAX_LR, MAX_WEIGHT, MAX_WIDTH, check_values,
    within,
};
use crate::train::rounds::check_divides;

/// Largest `channel_base`: 128 channels at 1024×1024, four times as many as published.
const MAX_CHANNEL_BASE: usize = 1 << 17;
/// Largest value that activations are clamped to.
const MAX_CLAMP: f32 = 1e9;
/// Largest accepted p. Above 1, all augmentations are always on.
const MAX_P: f64 = 100.0;

impl Checked for NetworkSettings {
    fn check(&self) -> Result<()> {
        if !self.resolution.is_power_of_two() || !(8..=1024).contains(&self.resolution) {
            return Err(Error::user(format!(
                "the resolution is {}: not a power of two from 8 to 1024",
                self.resolution
            ))
            .hint("prepare the data with --resolution 8, 16, 32, 64, 128, 256, 512 or 1024"));
        }
        for (name, value, most) in [
            ("z_dim", self.z_dim, MAX_WIDTH),
            ("w_dim", self.w_dim, MAX_WIDTH),
            ("mapping_layers", self.mapping_layers, MAX_LAYERS),
            ("channel_base", self.channel_base, MAX_CHANNEL_BASE),
            ("channel_max", self.channel_max, MAX_WIDTH),
            ("mbstd_group", self.mbstd_group, MAX_BATCH),
        ] {
            within(format!("stylegan.network.{name}"), value, 1..=most)?;
        }
        within("stylegan.network.classes", self.classes, 0..=MAX_CLASSES as usize)?;
        if let Some(sentence) = &self.sentence {
            let section = "stylegan.network.sentence";
            if self.classes > 0 {
                return Err(Error::user(format!(
                    "stylegan.network.classes is {}, but {section} is set as well",
                    self.classes
                ))
                .hint("remove one of them; networks are conditioned on classes or on text"));
            }
            within(format!("{section}.size"), sentence.size, 1..=MAX_WIDTH)?;
            sentence.encoder.check(&format!("{section}.encoder"))?;
            sentence.tokenizer.check(&format!("{section}.tokenizer"))?;
        }
        if self.conv_clamp.is_some_and(|c| !(c > 0.0 && c <= MAX_CLAMP)) {
            return Err(Error::user("stylegan.network.conv_clamp is not a positive number")
                .hint("remove the key to turn clamping off; the published value is 256"));
        }
        let values = generator(self).values().saturating_add(discriminator(self).values());
        check_values("stylegan.network", values)
    }
}

impl Checked for StyleganSettings {
    fn check(&self) -> Result<()> {
        within("stylegan.batch", self.batch, 1..=MAX_BATCH)?;
        self.network.check()?;
        positive("stylegan.lr", self.lr)?;
        within("stylegan.lr", self.lr, 0.0..=MAX_LR)?;
        within("stylegan.lr_final", self.lr_final, 0.0..=self.lr)?;
        within("stylegan.schedule_kimg", self.schedule_kimg, 0.0..=MAX_KIMG)?;
        if self.schedule_kimg > 0.0 && self.lr_final == 0.0 {
            return Err(Error::user("stylegan.schedule_kimg: stylegan.lr_final is 0").hint(
                "training would stop at the end of the schedule; set stylegan.lr_final, such as a \
                 tenth of stylegan.lr",
            ));
        }
        if self.lr_final > 0.0 && self.schedule_kimg == 0.0 {
            return Err(Error::user("stylegan.lr_final: stylegan.schedule_kimg is 0").hint(
                "the rate would be constant; set stylegan.schedule_kimg to the length of training",
            ));
        }
        self.adam.check("stylegan.adam")?;
        within("stylegan.r1_gamma", self.r1_gamma, 0.0..=MAX_WEIGHT)?;
        within("stylegan.r2_gamma", self.r2_gamma, 0.0..=MAX_WEIGHT)?;
        if self.adapt_gamma && (self.r1_gamma == 0.0 || self.r1_interval == 0) {
            return Err(Error::user(
                "stylegan.adapt_gamma: stylegan.r1_gamma or stylegan.r1_interval is 0",
            )
            .hint("adapting multiplies the weight, so give a positive one, such as 0.01"));
        }
        within("stylegan.pl_weight", self.pl_weight, 0.0..=MAX_WEIGHT)?;
        within("stylegan.ema_kimg", self.ema_kimg, 0.0..=MAX_WEIGHT)?;
        within("stylegan.ema_rampup", self.ema_rampup, 0.0..=MAX_WEIGHT)?;
        within("stylegan.r1_interval", self.r1_interval, 0..=MAX_INTERVAL)?;
        within("stylegan.pl_interval", self.pl_interval, 0..=MAX_INTERVAL)?;
        within("stylegan.pl_batch_shrink", self.pl_batch_shrink, 0..=MAX_BATCH)?;
        if !(0.0..=1.0).contains(&self.pl_decay) {
            return Err(Error::user(format!("stylegan.pl_decay is {}", self.pl_decay))
                .hint("use a weight from 0 to 1; the paper uses 0.01"));
        }
        self.balance.check("stylegan.balance")?;
        if !self.balance.words.is_empty() && self.network.condition() > 0 {
            return Err(Error::user("stylegan.balance.words: the networks have a condition").hint(
                "omit --condition, or the words: the conditions of generated images are drawn as \
                 often as the archive has them",
            ));
        }
        let (batch, round) = (self.batch, self.round.min(self.batch));
        check_divides("stylegan", batch, round)?;
        let group = self.network.mbstd_group.min(round);
        if round % group != 0 {
            return Err(Error::user(format!(
                "stylegan.network.mbstd_group is {group}, which does not divide a round of {round}"
            ))
            .hint("use a group size that divides the batch and the round"));
        }
        if self.pl_weight > 0.0 && self.pl_batch_shrink == 0 {
            return Err(Error::user("stylegan.pl_batch_shrink is 0")
                .hint("use 1 or more; 1 keeps the batch size"));
        }
        let blocks = self.network.resolutions().count() - 1;
        let residual = self.network.architecture == Architecture::Resnet;
        let layers = 1 + blocks * if residual { 3 } else { 2 };
        if self.freeze_d > layers {
            return Err(Error::user(format!(
                "stylegan.freeze_d is {}, but D has only {layers} convolutions before its last block",
                self.freeze_d
            ))
            .hint("use a smaller number; 0 trains all convolutions, 4 freezes the first block"));
        }
        self.augment.check()?;
        self.vision.check()?;
        self.matching.check("stylegan.matching")?;
        if !(0.0..=1.0).contains(&self.style_mixing) {
            return Err(Error::user(format!(
                "stylegan.style_mixing is {}: not a probability",
                self.style_mixing
            ))
            .hint("use a value from 0 to 1"));
        }
        Ok(())
    }
}

impl Checked for VisionSettings {
    fn check(&self) -> Result<()> {
        within("stylegan.vision.weight", self.weight, 0.0..=MAX_WEIGHT)?;
        within("stylegan.vision.channels", self.channels, 1..=MAX_WIDTH)?;
        within("stylegan.vision.p", self.p, 0.0..=1.0)?;
        within("stylegan.vision.side", self.side, 32..=1024)
    }
}

impl Checked for AugmentSettings {
    fn check(&self) -> Result<()> {
        let wrong = |what: String, hint: &str| {
            Err(Error::user(format!("stylegan.augment.{what}")).hint(hint))
        };
        if !(0.0..=MAX_P).contains(&self.p) {
            return wrong(format!("p is {}", self.p), "use a value from 0 to 1");
        }
        if self.interval == 0 {
            return wrong(
                "interval is 0".into(),
                "use 1 or more; mode = \"fixed\" keeps p constant",
            );
        }
        within("stylegan.augment.interval", self.interval, 1..=MAX_INTERVAL)?;
        if !(self.kimg > 0.0 && self.kimg.is_finite()) {
            return wrong(
                format!("kimg is {}", self.kimg),
                "use a positive value; StyleGAN2-ADA uses 500",
            );
        }
        if !(-1.0..=1.0).contains(&self.target) {
            return wrong(format!("target is {}", self.target), "use a mean sign from -1 to 1");
        }
        Ok(())
    }
}

impl StyleganSettings {
    /// A lower bound of the memory in bytes that training with these settings needs.
    pub fn least_memory(&self) -> u64 {
        let network = &self.network;
        // G has a moving average, and both networks have two moments and a gradient.
        let weights = 5 * generator(network).values() + 4 * discriminator(network).values();
        // Each resolution has two convolutions in G and two in D, whose outputs are kept.
        let images = self.round.min(self.batch) as u64;
        4 * weights.saturating_add(images.saturating_mul(4 * network.activations()))
    }
}
