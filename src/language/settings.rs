//! Settings of text encoders and tokenizers.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::settings::limits::{MAX_WIDTH, within};

/// The kind of network that reads a caption.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Reader {
    /// A recurrent network over the words in order.
    Lstm,
    /// The mean of the word embeddings: a baseline that ignores word order.
    Bag,
}

/// Architecture of a text encoder. Every model with a text encoder contains it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TextNetworkSettings {
    /// Kind of network.
    pub reader: Reader,
    /// Size of a token's embedding.
    pub embedding: usize,
    /// Size of the LSTM's state, per direction.
    pub hidden: usize,
    /// Number of LSTM layers.
    pub layers: usize,
    /// Read captions in both directions.
    pub bidirectional: bool,
}

/// Upper limit of the number of LSTM layers.
const MAX_LAYERS: usize = 16;
/// Upper limit of the number of tokens in a vocabulary.
pub(super) const MAX_VOCABULARY: usize = 1_000_000;
/// Upper limit of the length of a caption in tokens.
pub const MAX_TOKENS: usize = 4096;

impl TextNetworkSettings {
    /// Checks that the sizes are in range. `section` is the name of their table, for messages.
    ///
    /// # Errors
    /// Fails if a size is 0 or too large.
    pub fn check(&self, section: &str) -> Result<()> {
        within(format!("{section}.embedding"), self.embedding, 1..=MAX_WIDTH)?;
        within(format!("{section}.hidden"), self.hidden, 1..=MAX_WIDTH)?;
        within(format!("{section}.layers"), self.layers, 1..=MAX_LAYERS)
    }
}

/// The unit that captions are split into.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TokenKind {
    /// `phrase` if the archive's captions are lists of phrases, otherwise `word`.
    Auto,
    /// One token per word; rare words are unknown.
    Word,
    /// Byte-pair encoding, which splits rare words into pieces.
    Bpe,
    /// One token per comma-separated phrase ("green bell pepper").
    Phrase,
}

/// Settings of a tokenizer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenizerSettings {
    /// Unit that captions are split into.
    pub kind: TokenKind,
    /// Minimum number of occurrences in the training captions; rarer tokens are unknown.
    pub min_frequency: u64,
    /// Maximum size of the vocabulary.
    pub vocabulary: usize,
    /// Maximum length of a caption in tokens; longer captions are truncated.
    pub max_tokens: usize,
}

impl Default for TokenizerSettings {
    fn default() -> Self {
        Self { kind: TokenKind::Auto, min_frequency: 2, vocabulary: 30_000, max_tokens: 64 }
    }
}

impl TokenizerSettings {
    /// Checks the settings. `section` is the name of their table, for messages.
    ///
    /// # Errors
    /// Fails if a number is out of range.
    pub fn check(&self, section: &str) -> Result<()> {
        if self.max_tokens == 0 {
            return Err(Error::user(format!("{section}.max_tokens is 0"))
                .hint(format!("give at least 1; the default is {}", Self::default().max_tokens)));
        }
        within(format!("{section}.max_tokens"), self.max_tokens, 1..=MAX_TOKENS)?;
        within(format!("{section}.vocabulary"), self.vocabulary, 1..=MAX_VOCABULARY)
    }
}

/// Settings of a sentence encoder, which maps a caption to one feature vector, and its tokenizer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SentenceSettings {
    /// Size of the sentence feature.
    pub size: usize,
    /// The sentence encoder.
    pub encoder: TextNetworkSettings,
    /// The tokenizer for its vocabulary.
    pub tokenizer: TokenizerSettings,
}

impl Default for SentenceSettings {
    /// The text encoder of AttnGAN (Xu et al. 2018): a bidirectional LSTM with a state of 128 per
    /// direction, 256 in total.
    fn default() -> Self {
        Self {
            size: 256,
            encoder: TextNetworkSettings {
                reader: Reader::Lstm,
                embedding: 300,
                hidden: 128,
                layers: 1,
                bidirectional: true,
            },
            tokenizer: TokenizerSettings::default(),
        }
    }
}
