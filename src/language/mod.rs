//! Captions, tokenizers and text encoders.
//!
//! They are not part of a stage, because two stages use them: stage 3 aligns a text encoder with
//! latent codes, and a text-conditional stage 1 trains one together with its discriminator.

pub mod balance;
pub mod byte_pairs;
pub mod captions;
mod coverage;
pub mod encoder;
mod html;
pub mod lstm;
pub mod prompt;
mod prompt_tokenizer;
mod repair;
pub mod settings;
mod special_tokens;
pub mod tokenizer;
mod vocabulary;
pub mod weighted;
pub mod words;

pub use balance::BalanceSettings;
pub use byte_pairs::BytePairTokenizer;
pub use captions::Captions;
pub use encoder::TextEncoder;
pub use prompt::Prompt;
pub use prompt_tokenizer::PromptTokenizer;
pub use settings::{Reader, SentenceSettings, TextNetworkSettings, TokenKind, TokenizerSettings};
pub use tokenizer::{Tokenizer, Tokens};
pub use weighted::WeightedPrompt;
pub use words::{WordEncoder, Words};
