//! Settings of stage 3: the one place where each default stands.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result, positive};
use crate::nn::AdamSettings;

pub use crate::language::{Reader, TextNetworkSettings, TokenKind, TokenizerSettings};

/// How stage 3 is trained.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TextSettings {
    /// The text encoder.
    pub network: TextNetworkSettings,
    /// The tokenizer.
    pub tokenizer: TokenizerSettings,
    /// Thousands of captions to train for when `--kimg` is not given.
    pub kimg: f64,
    /// Thousands of captions over which the learning rate falls to 0 along a cosine.
    pub schedule_kimg: f64,
    /// Pairs of one iteration: every other pair is a negative.
    pub batch: usize,
    /// Learning rate at first.
    pub lr: f64,
    /// Constants of the optimiser.
    pub adam: AdamSettings,
    /// Temperature τ.
    pub temperature: f64,
    /// Squared distances instead of distances.
    pub squared: bool,
    /// Also classify the text of an image among the texts, and take the mean.
    pub symmetric: bool,
    /// Leave out negatives that belong to the same image.
    pub mask_same_image: bool,
    /// Share of the tokens that a caption loses at every step: few images learn fewer captions by
    /// heart. Runs from before there was such a thing had none.
    #[serde(default)]
    pub word_dropout: f64,
    /// Train a bag of words beside it, to compare with. Earlier runs had none either.
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

/// Pairs of one iteration at most.
const MOST_BATCH: usize = 65_536;
/// Temperatures below it, and above its inverse, lose all digits.
const MOST_SHARP: f64 = 1e-4;

impl TextSettings {
    /// Learning rate after `nimg` captions: a half cosine from `lr` to 0, and 0 from there on.
    pub fn lr_at(&self, nimg: u64) -> f64 {
        let done = (nimg as f64 / (self.schedule_kimg * 1000.0)).min(1.0);
        self.lr * 0.5 * (1.0 + (std::f64::consts::PI * done).cos())
    }

    /// # Errors
    /// If the numbers contradict each other.
    pub fn check(&self) -> Result<()> {
        if self.batch < 2 {
            return Err(Error::user(format!("text.batch is {}", self.batch))
                .hint("a contrastive loss needs other pairs: 64 or more"));
        }
        if self.batch > MOST_BATCH {
            return Err(Error::user(format!("text.batch is {}", self.batch))
                .hint("every caption is compared with every image of the batch: 64 to 1024"));
        }
        if !(MOST_SHARP..=1.0 / MOST_SHARP).contains(&self.temperature) {
            return Err(Error::user(format!("text.temperature is {}", self.temperature)).hint(
                format!(
                    "τ of the contrastive loss: {} is the default",
                    Self::default().temperature
                ),
            ));
        }
        positive("text.schedule_kimg", self.schedule_kimg)?;
        positive("text.lr", self.lr)?;
        if !(0.0..1.0).contains(&self.word_dropout) {
            return Err(Error::user(format!("text.word_dropout is {}", self.word_dropout))
                .hint("a share from 0 to below 1; 0 is none"));
        }
        self.adam.check("text.adam")?;
        self.network.check("text.network")?;
        self.tokenizer.check("text.tokenizer")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A run from before a setting existed goes on as it was: without it.
    #[test]
    fn settings_of_earlier_runs_are_read() {
        let now = toml::to_string(&TextSettings::default()).unwrap();
        let added = ["word_dropout", "baseline"];
        let then: Vec<&str> =
            now.lines().filter(|line| !added.iter().any(|name| line.starts_with(name))).collect();
        assert_eq!(then.len() + added.len(), now.lines().count());
        let read: TextSettings = toml::from_str(&then.join("\n")).unwrap();
        assert_eq!(read, TextSettings { baseline: false, ..Default::default() });
    }
}
