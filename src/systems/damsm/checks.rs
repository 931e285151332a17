//! Checks of the settings of DAMSM: every number has a range, and the memory has a lower bound.

use super::image::ImageTower;
use super::settings::{DamsmNetwork, DamsmSettings};
use crate::error::{Error, Result, positive};
use crate::settings::Checked;
use crate::settings::limits::{MAX_BATCH, MAX_LR, MAX_WEIGHT, MAX_WIDTH, check_values, within};
use crate::train::rounds::check_divides;

/// Largest side of images.
const MAX_RESOLUTION: usize = 1024;

impl Checked for DamsmNetwork {
    fn check(&self) -> Result<()> {
        if !self.resolution.is_power_of_two() || !(8..=MAX_RESOLUTION).contains(&self.resolution) {
            return Err(Error::user(format!("damsm.network.resolution is {}", self.resolution))
                .hint(format!("use a power of two from 8 to {MAX_RESOLUTION}")));
        }
        within("damsm.network.embedding", self.embedding, 1..=MAX_WIDTH)?;
        within("damsm.network.hidden", self.hidden, 1..=MAX_WIDTH / 4)?;
        within("damsm.network.channels", self.channels, 1..=MAX_WIDTH)?;
        within("damsm.network.channel_max", self.channel_max, 1..=MAX_WIDTH)?;
        check_values("damsm.network", ImageTower::shapes(self).values())
    }
}

impl DamsmSettings {
    /// A lower bound of the memory in bytes that training needs: the attention of every word of
    /// every caption to every region of every image, its gradient, and the weights with their
    /// gradients and moments.
    pub fn least_memory(&self) -> u64 {
        let regions = (self.network.grid() * self.network.grid()) as u64;
        let attention = (self.batch as u64).saturating_pow(2).saturating_mul(regions);
        let weights = ImageTower::shapes(&self.network).values();
        attention.saturating_mul(2).saturating_add(weights.saturating_mul(4)).saturating_mul(4)
    }
}

impl Checked for DamsmSettings {
    fn check(&self) -> Result<()> {
        self.network.check()?;
        // The contrastive loss needs other pairs as negatives.
        within("damsm.batch", self.batch, 2..=MAX_BATCH)?;
        check_divides("damsm", self.batch, self.pairs_of_a_round())?;
        positive("damsm.kimg", self.kimg)?;
        positive("damsm.schedule_kimg", self.schedule_kimg)?;
        positive("damsm.lr", self.lr)?;
        within("damsm.lr", self.lr, 0.0..=MAX_LR)?;
        positive("damsm.clip", self.clip)?;
        self.adam.check("damsm.adam")?;
        for (name, share) in
            [("embedding_dropout", self.embedding_dropout), ("word_dropout", self.word_dropout)]
        {
            if !(0.0..1.0).contains(&share) {
                return Err(Error::user(format!("damsm.{name} is {share}"))
                    .hint("use a fraction from 0 (off) to below 1"));
            }
        }
        within("damsm.crop", self.crop, 0.1..=1.0)?;
        within("damsm.view_crop", self.view_crop, 0.1..=1.0)?;
        within("damsm.view_weight", self.view_weight, 0.0..=MAX_WEIGHT)?;
        within("damsm.view_temperature", self.view_temperature, 1e-3..=1e3)?;
        self.loss.check("damsm.loss")?;
        self.tokenizer.check("damsm.tokenizer")
    }
}
