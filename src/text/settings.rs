//! Settings of stage 3: the one place where each default stands.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result, positive};
use crate::nn::AdamSettings;

/// What reads a caption.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Reader {
    /// A recurrent network over the words in order.
    Lstm,
    /// The mean of the words: a baseline that knows no order.
    Bag,
}

/// What the text encoder looks like; kept in every model of stage 3.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TextNetworkSettings {
    /// What reads a caption.
    pub reader: Reader,
    /// Size of a token's embedding.
    pub embedding: usize,
    /// Size of the LSTM's state, in each direction.
    pub hidden: usize,
    /// Layers of the LSTM.
    pub layers: usize,
    /// Read from both ends.
    pub bidirectional: bool,
}

/// How captions become tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TokenKind {
    /// `phrase` where the archive's captions are lists of phrases, else `word`.
    Auto,
    /// One token a word; rare words are unknown.
    Word,
    /// Byte-pair encoding: rare words are taken apart.
    Bpe,
    /// What stands between commas is one token ("green bell pepper").
    Phrase,
}

/// The tokenizer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenizerSettings {
    /// How captions become tokens.
    pub kind: TokenKind,
    /// Tokens that are seen less often in the training captions are unknown.
    pub min_frequency: u64,
    /// Most tokens of the vocabulary.
    pub vocabulary: usize,
    /// Longer captions are cut.
    pub max_tokens: usize,
}

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
    /// Train a bag of words beside it, to compare with.
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
            tokenizer: TokenizerSettings {
                kind: TokenKind::Auto,
                min_frequency: 2,
                vocabulary: 30_000,
                max_tokens: 64,
            },
            kimg: 200.0,
            schedule_kimg: 200.0,
            batch: 64,
            lr: 2e-3,
            adam: AdamSettings { beta1: 0.9, beta2: 0.999, eps: 1e-8 },
            temperature: 1.0,
            squared: false,
            symmetric: false,
            mask_same_image: true,
            baseline: true,
        }
    }
}

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
        positive("text.temperature", self.temperature)?;
        positive("text.schedule_kimg", self.schedule_kimg)?;
        positive("text.lr", self.lr)?;
        self.adam.check("text.adam")?;
        let network = &self.network;
        if network.embedding == 0 || network.hidden == 0 || network.layers == 0 {
            return Err(Error::user("text.network: a size is 0")
                .hint("embedding 300, hidden 512 and one layer are the defaults"));
        }
        if self.tokenizer.max_tokens == 0 {
            return Err(Error::user("text.tokenizer.max_tokens is 0").hint("64 is the default"));
        }
        Ok(())
    }
}
