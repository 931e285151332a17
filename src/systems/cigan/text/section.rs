//! The model section of stage 3: its network, and how it is loaded.

use burn::module::Module;
use burn::tensor::Device;
use serde::{Deserialize, Serialize};

use super::{TextEncoder, TextNetworkSettings, Tokenizer};
use crate::error::{Error, Result};
use crate::language::settings::MAX_TOKENS;
use crate::model::{Model, Section};
use crate::nn::Init;
use crate::settings::Checked;
use crate::settings::limits::within;
use crate::systems::cigan::inversion::INVERSION;
use crate::systems::cigan::inversion::section::load_encoder;
use crate::systems::stylegan::{NetworkSettings, STYLEGAN};
use crate::systems::vocabulary::load_tokenizer;

/// Prefix of the text encoder in models and checkpoints.
pub const T: &str = "T";
/// Key of the vocabulary in a model.
pub const VOCABULARY: &str = "vocabulary";
/// Key of the default strength in a model. Models of earlier versions have none.
pub const STRENGTH: &str = "strength";

/// Name of the tensor with the [`Directions`](super::directions::Directions) of texts. Models of
/// earlier versions have none.
pub const DIRECTIONS: &str = "text_directions";

/// The model section of stage 3, with T.
pub static TEXT: Section = Section {
    name: "text",
    command: "align-text",
    networks: &[T],
    training_only: &[],
    texts: &[VOCABULARY, STRENGTH],
    tensors: &[DIRECTIONS],
    fitted_to: &[&INVERSION],
};

/// Settings of stage 3 that a model stores.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Stored {
    pub network: TextNetworkSettings,
    pub max_tokens: usize,
}

impl Checked for Stored {
    fn check(&self) -> Result<()> {
        self.network.check("text.network")?;
        within("text.max_tokens", self.max_tokens, 1..=MAX_TOKENS)
    }
}

/// The default strength that a model stores, from 0 to 1.
///
/// # Errors
/// If it stores something else.
pub fn default_strength(model: &Model) -> Result<Option<f64>> {
    let Some(text) = model.text(STRENGTH) else { return Ok(None) };
    match text.parse::<f64>() {
        Ok(strength) if (0.0..=1.0).contains(&strength) => Ok(Some(strength)),
        _ => Err(Error::user(format!(
            "{}: the default strength is {text:?}, not a number from 0 to 1",
            model.name()
        ))
        .hint("the file is damaged or was edited; use another copy of it")),
    }
}

/// The text encoder of a model and its tokenizer.
///
/// # Errors
/// If the model does not contain one.
pub fn load_text(model: &Model, device: &Device) -> Result<(TextEncoder, Tokenizer)> {
    let stored: Stored = model.settings(&TEXT)?;
    let tokenizer = load_tokenizer(model, VOCABULARY, stored.max_tokens)?;
    let encoder = load_encoder(model, device)?;
    let network: NetworkSettings = model.settings(&STYLEGAN)?;
    let (tokens, layers, w_dim) = (tokenizer.len(), encoder.layers(), network.w_dim);
    let shapes = TextEncoder::shapes(&stored.network, tokens, layers, w_dim);
    let init = &mut Init::new(0, "text_encoder", device);
    let build = || TextEncoder::new(&stored.network, tokens, layers, w_dim, init);
    Ok((model.restore(T, &shapes, build)?.valid(), tokenizer))
}
