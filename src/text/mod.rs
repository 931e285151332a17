//! Stage 3: a text encoder trained against the codes of images with a contrastive loss
//! (paper §3.3).

pub mod encoder;
pub mod infonce;
pub mod lstm;
pub mod retrieval;
pub mod settings;
pub mod tokenizer;
pub mod train;

pub use encoder::TextEncoder;
pub use settings::{TextNetworkSettings, TextSettings};
pub use tokenizer::{Tokenizer, Tokens};
