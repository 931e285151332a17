//! Settings of stage 3, and the only definition of their defaults.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result, positive};
use crate::nn::AdamSettings;
use crate::settings::Checked;
use crate::settings::limits::{MAX_BATCH, MAX_LR, within};
use crate::train::rounds::{check_divides, rows_of_a_round};
use crate::train::schedule::half_cosine;

pub use crate::language::{Reader, TextNetworkSettings, TokenKind, TokenizerSettings};

/// Settings of stage 3, the training of the text encoder.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TextSettings {
    /// The text encoder.
    pub network: TextNetworkSettings,
    /// The tokenizer.
    pub tokenizer: TokenizerSettings,
    /// Thousands of captions to train for when `--kimg` is not given.
    pub kimg: f64,
    /// Thousands of captions over which the learning rate falls to 0 along a half cosine.
    pub schedule_kimg: f64,
    /// Pairs per iteration; all other pairs of the batch are negatives of a pair.
    pub batch: usize,
    /// Maximum number of captions that are encoded at once; 0 for the whole batch. All pairs of the
    /// batch are negatives of a pair in any case.
    #[serde(default)]
    pub round: usize,
    /// Initial learning rate.
    pub lr: f64,
    /// Constants of the optimiser.
    pub adam: AdamSettings,
    /// Temperature τ.
    pub temperature: f64,
    /// Use squared distances instead of distances.
    pub squared: bool,
    /// Also classify each image's text among all texts, and take the mean of both losses.
    pub symmetric: bool,
    /// Leave out negatives that belong to the same image.
    pub mask_same_image: bool,
    /// Fraction of a caption's tokens that are dropped at every step, which reduces overfitting on
    /// small datasets. Runs from before this setting have none.
    #[serde(default)]
    pub word_dropout: f64,
    /// Also train a bag-of-words encoder as a baseline. Runs from before this setting have none.
    #[serde(default)]
    pub baseline: bool,
}

impl Default for TextSettings {
    fn default() -> Self {
        Self {
            network: TextNetworkSettings {
                reader: Reader::Lstm,
                embedding: 300,
                hidden: 512,
                layers: 1,
                bidirectional: false,
            },
            tokenizer: TokenizerSettings::default(),
            kimg: 200.0,
            schedule_kimg: 200.0,
            batch: 64,
            round: 0,
            lr: 2e-3,
            adam: AdamSettings { beta1: 0.9, beta2: 0.999, eps: 1e-8 },
            temperature: 1.0,
            squared: false,
            symmetric: false,
            mask_same_image: true,
            word_dropout: 0.0,
            baseline: true,
        }
    }
}

/// Minimum temperature. Below it, and above its inverse, the loss loses all precision.
const MIN_TEMPERATURE: f64 = 1e-4;

impl TextSettings {
    /// Captions of a round.
    pub fn captions_of_a_round(&self) -> usize {
        rows_of_a_round(self.batch, self.round)
    }

    /// Learning rate after `nimg` captions: a half cosine from `lr` to 0, and 0 from there on.
    pub fn lr_at(&self, nimg: u64) -> f64 {
        half_cosine(self.lr, nimg, self.schedule_kimg)
    }

    /// A lower bound of the memory in bytes that training with these settings needs: the distances
    /// of all pairs of a batch, and their gradient.
    pub fn least_memory(&self) -> u64 {
        2 * 4 * (self.batch as u64).pow(2)
    }
}

impl Checked for TextSettings {
    fn check(&self) -> Result<()> {
        if self.batch < 2 {
            return Err(Error::user(format!("text.batch is {}", self.batch))
                .hint("use 64 or more; a contrastive loss needs other pairs as negatives"));
        }
        if self.batch > MAX_BATCH {
            return Err(Error::user(format!("text.batch is {}", self.batch))
                .hint("use 64 to 1024; every caption is compared with every image of the batch"));
        }
        check_divides("text", self.batch, self.captions_of_a_round())?;
        if !(MIN_TEMPERATURE..=1.0 / MIN_TEMPERATURE).contains(&self.temperature) {
            return Err(Error::user(format!("text.temperature is {}", self.temperature)).hint(
                format!(
                    "use a temperature from {MIN_TEMPERATURE} to {}; the default is {}",
                    1.0 / MIN_TEMPERATURE,
                    Self::default().temperature
                ),
            ));
        }
        positive("text.schedule_kimg", self.schedule_kimg)?;
        positive("text.lr", self.lr)?;
        within("text.lr", self.lr, 0.0..=MAX_LR)?;
        if !(0.0..1.0).contains(&self.word_dropout) {
            return Err(Error::user(format!("text.word_dropout is {}", self.word_dropout))
                .hint("use a fraction from 0 (off) to below 1"));
        }
        self.adam.check("text.adam")?;
        self.network.check("text.network")?;
        self.tokenizer.check("text.tokenizer")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A run from before a setting existed resumes without it.
    #[test]
    fn settings_of_older_runs_are_read() {
        let now = toml::to_string(&TextSettings::default()).unwrap();
        let added = ["round", "word_dropout", "baseline"];
        let then: Vec<&str> =
            now.lines().filter(|line| !added.iter().any(|name| line.starts_with(name))).collect();
        assert_eq!(then.len() + added.len(), now.lines().count());
        let read: TextSettings = toml::from_str(&then.join("\n")).unwrap();
        assert_eq!(read, TextSettings { baseline: false, ..Default::default() });
    }

    #[test]
    fn least_memory_is_that_of_two_square_matrices() {
        let settings = TextSettings { batch: 65_536, ..Default::default() };
        assert_eq!(settings.least_memory(), 32 << 30);
    }
}
