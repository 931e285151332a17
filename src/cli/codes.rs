//! Latent codes: files of them, and the flags that select those of samples.

use std::path::Path;

use crate::error::{Error, Result};
use crate::systems::StyleSpace;
use crate::systems::guidance::{MAX_TRUNCATION, TRUNCATION};
use crate::systems::requests::Truncation;
use crate::tensorfile::TensorFile;

/// The hint for files without codes.
pub const GIVE_CODES: &str = "give the codes.safetensors of `cigan generate` or `cigan project`";

/// Flags of commands that show samples side by side.
#[derive(Debug, Clone, clap::Args)]
pub struct CodeArgs {
    /// Class of the images, for class-conditional models.
    #[arg(long, value_name = "N")]
    pub class: Option<u32>,
    /// Truncation ψ: 1 disables truncation, 0 gives the mean image.
    #[arg(long, value_name = "PSI", default_value_t = TRUNCATION as f32, allow_negative_numbers = true)]
    pub truncation: f32,
    /// Number of layers to truncate, coarsest first [default: all].
    #[arg(long, value_name = "N")]
    pub cutoff: Option<usize>,
}

impl CodeArgs {
    /// See [`truncation`].
    pub fn truncation(&self, styles: &dyn StyleSpace) -> Result<Truncation> {
        truncation(self.truncation, self.cutoff, Some(styles))
    }
}

/// Reads a file of latent codes that `flag` names.
///
/// # Errors
/// If the file is missing, damaged or not safetensors.
pub fn read(flag: &str, path: &Path) -> Result<TensorFile> {
    TensorFile::read_intact(path).map_err(|error| {
        // Its own hints are about models.
        let error = match error.message.contains("not a safetensors file") {
            true => error.hint(GIVE_CODES),
            false => error,
        };
        error.context(flag)
    })
}

/// The truncation of `--truncation` and `--cutoff`.
///
/// # Errors
/// If ψ is out of range, or the styles have fewer layers than `cutoff`.
pub fn truncation(
    psi: f32,
    cutoff: Option<usize>,
    styles: Option<&dyn StyleSpace>,
) -> Result<Truncation> {
    if !(-MAX_TRUNCATION..=MAX_TRUNCATION).contains(&f64::from(psi)) {
        let finding = format!("not from -{MAX_TRUNCATION} to {MAX_TRUNCATION}");
        return Err(Error::user(format!("--truncation {psi}: {finding}"))
            .hint("give a number, such as 0.7; 1 disables truncation, 0 gives the mean image"));
    }
    let num_ws = styles.map_or(0, StyleSpace::num_ws);
    match cutoff {
        Some(cutoff) if cutoff > num_ws => {
            Err(Error::user(format!("--cutoff {cutoff}: more than the model's {num_ws} layers"))
                .hint("omit it to truncate all layers"))
        }
        cutoff => Ok(Truncation { psi, cutoff }),
    }
}
