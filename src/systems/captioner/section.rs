//! The model section of the captioner, and how it is loaded.

use burn::module::Module;
use burn::tensor::Device;

use super::{Captioner, CaptionerNetwork};
use crate::error::{Error, Result};
use crate::model::{Model, Section};
use crate::nn::Init;
use crate::nn::batch_norm::check_variances;
use crate::systems::damsm::{DAMSM, section as damsm};

/// Prefix of the captioner in models and checkpoints.
pub const C: &str = "C";

/// The model section of the captioner.
pub static CAPTIONER: Section = Section {
    name: "captioner",
    command: "train-captioner",
    networks: &[C],
    training_only: &[],
    texts: &[],
    tensors: &[],
    fitted_to: &[&DAMSM],
};

/// The captioner of a model, as constants.
///
/// # Errors
/// If the model does not hold one, or is damaged.
pub fn load_captioner(model: &Model, device: &Device) -> Result<Captioner> {
    if !model.has(&CAPTIONER) {
        return Err(Error::user(format!("{}: contains no captioner", model.name()))
            .hint("give a model or run of `cigan train-captioner`"));
    }
    let network: CaptionerNetwork = model.settings(&CAPTIONER)?;
    let (image, tokens) = (damsm::network(model)?, damsm::load_vocabulary(model)?.len());
    check_variances(model.file(), C).map_err(|e| e.context(model.name()))?;
    let shapes = Captioner::shapes(&network, &image, tokens);
    let build = || Captioner::new(&network, &image, tokens, &mut Init::zeros(device));
    Ok(model.restore(C, &shapes, build)?.valid())
}
