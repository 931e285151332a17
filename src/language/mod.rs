//! Captions and what reads them: below the stages, because stage 3 aligns a text encoder with codes
//! and a text-conditional stage 1 trains one beside its discriminator.

pub mod captions;
pub mod encoder;
pub mod lstm;
pub mod prompt;
pub mod settings;
pub mod tokenizer;

pub use captions::Captions;
pub use encoder::TextEncoder;
pub use prompt::Prompt;
pub use settings::{Reader, SentenceSettings, TextNetworkSettings, TokenKind, TokenizerSettings};
pub use tokenizer::{Tokenizer, Tokens};
