//! The model section of stage 1: its networks, and how they are loaded.

use std::collections::BTreeMap;

use burn::module::Module;
use burn::tensor::Device;
use serde::{Deserialize, Serialize};

use super::{Discriminator, Generator, NetworkSettings, shapes};
use crate::error::{Error, Result};
use crate::model::{Model, Section, text_key};
use crate::nn::Init;

/// Prefix of the averaged generator in models and checkpoints.
pub const G_EMA: &str = "G_ema";
/// Prefix of the discriminator in models and checkpoints.
pub const D: &str = "D";

/// The model section of stage 1, with M, G and D.
pub static STYLEGAN: Section = Section {
    name: "stylegan",
    command: "train-stylegan",
    networks: &[G_EMA, D],
    training_only: &[D],
    texts: &[TUNED],
    tensors: &[],
    fitted_to: &[],
};

/// Key of the text of a model whose generator was tuned to images.
const TUNED: &str = "tuned";

/// How a generator was tuned to images after training.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tuning {
    /// Number of steps.
    pub steps: usize,
    /// Number of images.
    pub images: usize,
    /// Hash of the model whose generator was tuned.
    pub of: String,
}

impl Tuning {
    /// How the generator of a model was tuned; `None` if it was not.
    pub fn of(model: &Model) -> Option<Self> {
        model.text(TUNED).and_then(|text| serde_json::from_str(text).ok())
    }

    /// Whether this is the metadata of a model with a tuned generator.
    pub fn is_in(metadata: &BTreeMap<String, String>) -> bool {
        metadata.contains_key(&text_key(TUNED))
    }

    /// Replaces the averaged generator of a model by one that was tuned in this way. What was
    /// measured of the other one no longer holds.
    ///
    /// # Errors
    /// If the metadata of the model cannot be read.
    pub fn replace(&self, model: &mut Model, generator: &Generator) -> Result<()> {
        model.put(generator, G_EMA);
        model.record_scores(&STYLEGAN, std::iter::empty())?;
        let text = serde_json::to_string(self)
            .map_err(|e| Error::internal(format!("the tuning does not serialise: {e}")))?;
        model.set_text(TUNED, text);
        Ok(())
    }
}

/// The averaged generator of a model.
///
/// # Errors
/// If the model does not contain one.
pub fn load_generator(model: &Model, device: &Device) -> Result<Generator> {
    let settings: NetworkSettings = model.settings(&STYLEGAN)?;
    let build = || Generator::new(&settings, &mut Init::new(0, "generator", device));
    Ok(model.restore(G_EMA, &shapes::generator(&settings), build)?.valid())
}

/// The discriminator of a model.
///
/// # Errors
/// If the model does not contain one.
pub fn load_discriminator(model: &Model, device: &Device) -> Result<Discriminator> {
    let settings: NetworkSettings = model.settings(&STYLEGAN)?;
    if !model.has_network(D) {
        return Err(Error::user(format!("{}: contains no discriminator", model.name())).hint(
            "use the full model; this one was exported with --only generator or imported without one",
        ));
    }
    let build = || Discriminator::new(&settings, &mut Init::new(0, "discriminator", device));
    Ok(model.restore(D, &shapes::discriminator(&settings), build)?.valid())
}
