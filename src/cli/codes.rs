//! Flags that select the latent codes of samples: class and truncation.

use burn::tensor::{Device, Tensor};

use crate::error::{Error, Result};
use crate::model::Model;
use crate::systems::stylegan::generator::Truncation;
use crate::systems::stylegan::labels::one_hot;
use crate::systems::stylegan::{Generator, NetworkSettings, STYLEGAN};

/// Flags of commands that show samples side by side.
#[derive(Debug, Clone, clap::Args)]
pub struct CodeArgs {
    /// Class of the images, for class-conditional models.
    #[arg(long, value_name = "N")]
    pub class: Option<u32>,
    /// Truncation ψ: 1 is none, 0 gives the mean image.
    #[arg(long, value_name = "PSI", default_value_t = 0.7, allow_negative_numbers = true)]
    pub truncation: f32,
    /// Number of layers to truncate, coarsest first [default: all].
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

/// The one-hot label `[count, classes]` of `--class`, or None for models without classes.
///
/// # Errors
/// If the flag is missing for a model with classes, is given for one without, or is out of range.
pub fn label(
    model: &Model,
    class: Option<u32>,
    count: usize,
    device: &Device,
) -> Result<Option<Tensor<2>>> {
    let network: NetworkSettings = model.settings(&STYLEGAN)?;
    let known =
        || format!("give one of the model's classes, 0 to {}", network.classes.saturating_sub(1));
    match (class, network.classes) {
        (None, 0) => Ok(None),
        (Some(class), 0) => {
            Err(Error::user(format!("--class {class}: the model has no classes"))
                .hint("omit the flag"))
        }
        (None, _) => {
            Err(Error::user("--class is missing: the model was trained with classes").hint(known()))
        }
        (Some(class), classes) if class as usize >= classes => {
            Err(Error::user(format!("--class {class}: the model has no such class")).hint(known()))
        }
        (Some(class), classes) => {
            Ok(Some(one_hot(std::iter::repeat_n(class, count), classes, device)))
        }
    }
}

/// The truncation of `--truncation` and `--cutoff`.
///
/// # Errors
/// If ψ is not finite, or the model has fewer layers than `cutoff`.
pub fn truncation(psi: f32, cutoff: Option<usize>, generator: &Generator) -> Result<Truncation> {
    if !psi.is_finite() {
        return Err(Error::user(format!("--truncation {psi}: not a finite number"))
            .hint("give a number, such as 0.7; 1 is no truncation, 0 gives the mean image"));
    }
    let num_ws = generator.synthesis.num_ws();
    match cutoff {
        Some(cutoff) if cutoff > num_ws => {
            Err(Error::user(format!("--cutoff {cutoff}: more than the model's {num_ws} layers"))
                .hint("omit it to truncate all layers"))
        }
        cutoff => Ok(Truncation { psi, cutoff }),
    }
}
