//! The model section of GAN-INT-CLS: its networks, and how they are loaded.

use burn::module::Module;
use burn::tensor::{Device, Tensor};

use super::{GanIntClsNetwork, Generator};
use crate::error::{Error, Result};
use crate::model::{Model, Section};
use crate::nn::Init;
use crate::nn::params::from_host;
use crate::systems::damsm::DAMSM;

/// Prefix of the generator that draws.
pub const R_EMA: &str = "R_ema";
/// Prefix of the discriminator.
pub const R_D0: &str = "R_D0";
/// Vectors of training captions `[K, size]`, for samples without a prompt.
pub const SENTENCES: &str = "R_sentences";

/// The model section of GAN-INT-CLS.
pub static GAN_INT_CLS: Section = Section {
    name: "gan_int_cls",
    command: "train-baseline",
    networks: &[R_EMA, R_D0],
    training_only: &[R_D0],
    texts: &[],
    tensors: &[SENTENCES],
    fitted_to: &[&DAMSM],
};

/// The generator of a model, for captions with vectors of length `sentence`.
///
/// # Errors
/// If the model does not hold one, or is damaged.
pub fn load_generator(model: &Model, sentence: usize, device: &Device) -> Result<Generator> {
    let network: GanIntClsNetwork = model.settings(&GAN_INT_CLS)?;
    let shapes = Generator::shapes(&network, sentence);
    let init = &mut Init::new(0, "gan_int_cls.generator", device);
    let build = || Generator::new(&network, sentence, init);
    Ok(model.restore(R_EMA, &shapes, build)?.valid())
}

/// The vectors of training captions of a model: `[K, sentence]`.
///
/// # Errors
/// If the model is damaged.
pub fn load_sentences(model: &Model, sentence: usize, device: &Device) -> Result<Tensor<2>> {
    let damaged = |finding: &str| {
        Error::user(format!("{}: tensor `{SENTENCES}` {finding}", model.name()))
            .hint("the file is damaged; use another snapshot of the run")
    };
    let tensor = model.tensor(SENTENCES).ok_or_else(|| damaged("is missing"))?;
    if !matches!(tensor.shape[..], [rows, size] if rows > 0 && size == sentence) {
        return Err(damaged(&format!("has shape {:?}", tensor.shape)));
    }
    if !tensor.is_finite() {
        return Err(damaged("contains NaN or infinite numbers"));
    }
    Ok(from_host(tensor, device))
}
