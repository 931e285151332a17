//! Stage 3: a text encoder trained against the codes of images with a contrastive loss
//! (paper §3.3).

pub mod infonce;
pub mod retrieval;
pub mod settings;
pub mod stage;
pub mod train;

pub use crate::language::{TextEncoder, TextNetworkSettings, Tokenizer, Tokens};
pub use settings::TextSettings;

use crate::model::Section;
use crate::systems::cigan::inversion::INVERSION;

/// The model section of stage 3, with T.
pub static TEXT: Section = Section {
    name: "text",
    command: "align-text",
    networks: &[train::T],
    training_only: &[],
    texts: &[train::VOCABULARY],
    tensors: &[],
    fitted_to: &[&INVERSION],
};
