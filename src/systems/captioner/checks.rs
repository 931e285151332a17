//! Checks of the settings of the captioner: every number has a range, and the memory has a lower
//! bound.

use super::Captioner;
use super::settings::{CaptionerNetwork, CaptionerSettings};
use crate::error::{Result, positive};
use crate::settings::Checked;
use crate::settings::limits::{MAX_BATCH, MAX_LR, MAX_WIDTH, within};
use crate::systems::damsm::DamsmNetwork;
use crate::train::rounds::check_normalised;

impl Checked for CaptionerNetwork {
    fn check(&self) -> Result<()> {
        within("captioner.network.embedding", self.embedding, 1..=MAX_WIDTH)?;
        within("captioner.network.hidden", self.hidden, 1..=MAX_WIDTH / 4)
    }
}

impl CaptionerSettings {
    /// A lower bound of the memory in bytes that training needs: the weights with their gradients and
    /// moments, and the scores of the words of captions of one word.
    pub fn least_memory(&self, image: &DamsmNetwork, tokens: usize) -> u64 {
        let weights = Captioner::shapes(&self.network, image, tokens).values();
        let scores = (self.batch as u64).saturating_mul(2 * tokens as u64);
        scores.saturating_add(weights.saturating_mul(4)).saturating_mul(4)
    }
}

impl Checked for CaptionerSettings {
    fn check(&self) -> Result<()> {
        self.network.check()?;
        // Batch normalisation needs other images.
        within("captioner.batch", self.batch, 2..=MAX_BATCH)?;
        check_normalised("captioner", self.batch, self.round)?;
        positive("captioner.kimg", self.kimg)?;
        positive("captioner.lr", self.lr)?;
        within("captioner.lr", self.lr, 0.0..=MAX_LR)?;
        self.adam.check("captioner.adam")?;
        within("captioner.crop", self.crop, 0.1..=1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_out_of_range_are_refused() {
        CaptionerSettings::default().check().unwrap();
        let refused = |change: fn(&mut CaptionerSettings), key: &str| {
            let mut settings = CaptionerSettings::default();
            change(&mut settings);
            let error = settings.check().unwrap_err();
            assert!(error.message.contains(key) && error.hint.is_some(), "{error}");
        };
        refused(|s| s.network.embedding = 0, "embedding");
        refused(|s| s.network.hidden = 1 << 30, "hidden");
        refused(|s| s.batch = 1, "batch");
        refused(|s| s.round = 1, "captioner.round is 1");
        refused(|s| s.round = 5, "rounds of 5");
        refused(|s| s.crop = 0.0, "crop");
        refused(|s| s.lr = f64::NAN, "lr");
        refused(|s| s.kimg = 0.0, "kimg");
    }
}
