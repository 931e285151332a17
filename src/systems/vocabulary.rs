//! The vocabulary of a text encoder, which a model stores as a text.

use crate::error::{Error, Result};
use crate::language::Tokenizer;
use crate::model::Model;

/// The tokenizer with the vocabulary that a model stores under `key`, for texts of at most
/// `max_tokens` tokens.
///
/// # Errors
/// If the model does not contain the vocabulary, or it is damaged.
pub(in crate::systems) fn load_tokenizer(
    model: &Model,
    key: &str,
    max_tokens: usize,
) -> Result<Tokenizer> {
    let json = model.text(key).ok_or_else(|| {
        Error::user(format!("{}: contains a text encoder without its vocabulary", model.name()))
            .hint("the file is damaged; use another snapshot of the run")
    })?;
    Tokenizer::from_json(json, max_tokens).map_err(|e| e.context(model.name()))
}
