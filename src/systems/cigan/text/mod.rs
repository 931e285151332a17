//! Stage 3: a text encoder trained against the codes of images with a contrastive loss
//! (paper §3.3).

pub mod directions;
pub mod losses;
pub mod section;
pub mod settings;
pub mod stage;
pub mod train;

pub use crate::language::{TextEncoder, TextNetworkSettings, Tokenizer, Tokens};
pub use section::TEXT;
pub use settings::TextSettings;
