//! What a text encoder and its vocabulary look like.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// What reads a caption.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Reader {
    /// A recurrent network over the words in order.
    Lstm,
    /// The mean of the words: a baseline that knows no order.
    Bag,
}

/// What a text encoder looks like; kept in every model that has one.
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

/// No embedding and no state is wider.
const MOST_WIDTH: usize = 16_384;
/// No LSTM is deeper.
const MOST_LAYERS: usize = 16;

impl TextNetworkSettings {
    /// # Errors
    /// If no network can be built from these numbers; `section` is where they stand.
    pub fn check(&self, section: &str) -> Result<()> {
        if self.embedding == 0 || self.hidden == 0 || self.layers == 0 {
            return Err(Error::user(format!("{section}: a size is 0"))
                .hint("embedding 300, hidden 512 and one layer are usual"));
        }
        if self.embedding.max(self.hidden) > MOST_WIDTH || self.layers > MOST_LAYERS {
            return Err(Error::user(format!("{section}: a size is too large"))
                .hint("embedding 300, hidden 512 and one layer are usual"));
        }
        Ok(())
    }
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

impl Default for TokenizerSettings {
    fn default() -> Self {
        Self { kind: TokenKind::Auto, min_frequency: 2, vocabulary: 30_000, max_tokens: 64 }
    }
}

impl TokenizerSettings {
    /// # Errors
    /// If nothing of a caption would be read; `section` is where the settings stand.
    pub fn check(&self, section: &str) -> Result<()> {
        if self.max_tokens == 0 {
            return Err(Error::user(format!("{section}.max_tokens is 0"))
                .hint(format!("{} is the default", Self::default().max_tokens)));
        }
        Ok(())
    }
}

/// What turns a caption into one feature: a sentence encoder with its vocabulary.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SentenceSettings {
    /// Size of the sentence feature.
    pub size: usize,
    /// The sentence encoder.
    pub encoder: TextNetworkSettings,
    /// Its vocabulary.
    pub tokenizer: TokenizerSettings,
}

impl Default for SentenceSettings {
    /// The text encoder of AttnGAN (Xu et al. 2018): an LSTM of 128 from either end, 256 in all.
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
