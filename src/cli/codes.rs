//! Flags of samples: class and truncation.

use burn::tensor::{Device, Tensor};

use crate::error::{Error, Result};
use crate::model::Model;
use crate::systems::stylegan::generator::Truncation;
use crate::systems::stylegan::labels::one_hot;
use crate::systems::stylegan::{Generator, NetworkSettings, STYLEGAN};

/// How codes are drawn where samples are shown side by side.
#[derive(Debug, Clone, clap::Args)]
pub struct CodeArgs {
    /// Class of the pictures, for models that were trained with classes.
    #[arg(long, value_name = "N")]
    pub class: Option<u32>,
    /// Truncation ψ.
    #[arg(long, value_name = "PSI", default_value_t = 0.7, allow_negative_numbers = true)]
    pub truncation: f32,
    /// Layers that are truncated, the coarsest first [default: all].
    #[arg(long, value_name = "N")]
    pub cutoff: Option<usize>,
}

impl CodeArgs {
    /// See [`truncation`].
    pub fn truncation(&self, generator: &Generator) -> Result<Truncation> {
        truncation(self.truncation, self.cutoff, generator)
    }

    /// See [`label`].
    pub fn label(&self, model: &Model, count: usize, device: &Device) -> Result<Option<Tensor<2>>> {
        label(model, self.class, count, device)
    }
}

/// `--class`: the label of `count` pictures, for models that were trained with classes.
///
/// # Errors
/// If it is missing where it is needed, or given where there are no classes.
pub fn label(
    model: &Model,
    class: Option<u32>,
    count: usize,
    device: &Device,
) -> Result<Option<Tensor<2>>> {
    let network: NetworkSettings = model.settings(&STYLEGAN)?;
    let known = || format!("this model has classes 0 to {}", network.classes.saturating_sub(1));
    match (class, network.classes) {
        (None, 0) => Ok(None),
        (Some(class), 0) => Err(Error::user(format!("--class {class}: the model has no classes"))
            .hint("leave the flag out")),
        (None, _) => {
            Err(Error::user("--class is missing: the model was trained with classes").hint(known()))
        }
        (Some(class), classes) if class as usize >= classes => {
            Err(Error::user(format!("--class {class}: there is no such class")).hint(known()))
        }
        (Some(class), classes) => {
            Ok(Some(one_hot(std::iter::repeat_n(class, count), classes, device)))
        }
    }
}

/// `--truncation` and `--cutoff`.
pub fn truncation(psi: f32, cutoff: Option<usize>, generator: &Generator) -> Result<Truncation> {
    if !psi.is_finite() {
        return Err(Error::user(format!("--truncation {psi}: not a number"))
            .hint("1 is none, 0 gives the mean image"));
    }
    let num_ws = generator.synthesis.num_ws();
    match cutoff {
        Some(cutoff) if cutoff > num_ws => {
            Err(Error::user(format!("--cutoff {cutoff}: more than the model's {num_ws} layers"))
                .hint("leave it out to truncate all of them"))
        }
        cutoff => Ok(Truncation { psi, cutoff }),
    }
}
