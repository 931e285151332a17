//! The model section of DAMSM: its networks, and how they are loaded.

use burn::module::Module;
use burn::tensor::Device;
use serde::{Deserialize, Serialize};

use super::image::ImageTower;
use super::settings::DamsmNetwork;
use crate::error::Result;
use crate::language::settings::MAX_TOKENS;
use crate::language::{Tokenizer, WordEncoder};
use crate::model::{Model, Section};
use crate::nn::Init;
use crate::settings::Checked;
use crate::settings::limits::within;
use crate::systems::vocabulary::load_tokenizer;

/// Prefix of the text encoder in models and checkpoints.
pub const DT: &str = "DT";
/// Prefix of the image encoder in models and checkpoints.
pub const DV: &str = "DV";
/// Key of the vocabulary in a model.
pub const VOCABULARY: &str = "damsm.vocabulary";

/// The model section of DAMSM.
pub static DAMSM: Section = Section {
    name: "damsm",
    command: "train-damsm",
    networks: &[DT, DV],
    training_only: &[],
    texts: &[VOCABULARY],
    tensors: &[],
    fitted_to: &[],
};

/// Settings that a model stores.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Stored {
    pub network: DamsmNetwork,
    pub max_tokens: usize,
}

impl Checked for Stored {
    fn check(&self) -> Result<()> {
        self.network.check()?;
        within("damsm.max_tokens", self.max_tokens, 1..=MAX_TOKENS)
    }
}

/// The architecture of the encoders of a model.
///
/// # Errors
/// If the model does not hold them, or is damaged.
pub fn network(model: &Model) -> Result<DamsmNetwork> {
    Ok(model.settings::<Stored>(&DAMSM)?.network)
}

/// The vocabulary of a model.
///
/// # Errors
/// If the model does not hold one, or is damaged.
pub fn load_vocabulary(model: &Model) -> Result<Tokenizer> {
    load_tokenizer(model, VOCABULARY, model.settings::<Stored>(&DAMSM)?.max_tokens)
}

/// The text encoder of a model and its tokenizer.
///
/// # Errors
/// If the model does not hold one, or is damaged.
pub fn load_text(model: &Model, device: &Device) -> Result<(WordEncoder, Tokenizer)> {
    let (network, tokenizer) = (network(model)?, load_vocabulary(model)?);
    let (tokens, embedding, hidden) = (tokenizer.len(), network.embedding, network.hidden);
    let shapes = WordEncoder::shapes(tokens, embedding, hidden);
    let init = &mut Init::new(0, "damsm.text", device);
    let build = || WordEncoder::new(tokens, embedding, hidden, init);
    Ok((model.restore(DT, &shapes, build)?.valid(), tokenizer))
}

/// The image encoder of a model; `None` if it was exported without one.
///
/// # Errors
/// If the model is damaged.
pub fn load_image(model: &Model, device: &Device) -> Result<Option<ImageTower>> {
    if !model.has_network(DV) {
        return Ok(None);
    }
    let network = network(model)?;
    let build = || ImageTower::new(&network, &mut Init::new(0, "damsm.image", device));
    Ok(Some(model.restore(DV, &ImageTower::shapes(&network), build)?.valid()))
}

/// Side of the images that the encoders of a model were trained on.
///
/// # Errors
/// If the model has no such section, or is damaged.
pub fn resolution(model: &Model) -> Result<usize> {
    Ok(network(model)?.resolution)
}
