//! The list of a trainer's parts, which saving, restoring, exporting and comparing share.

use burn::module::Module;
use burn::tensor::{Device, Tensor};

use super::Means;
use crate::error::{Error, Result};
use crate::nn::{Adam, params};
use crate::tensorfile::TensorFile;

/// Metadata key of the number of images seen.
const NIMG: &str = "nimg";

/// A visitor of a trainer's parts that saves a checkpoint, restores one, exports a model, or collects
/// what ranks compare.
///
/// A trainer names each part once, in [`Trainer::parts`](super::Trainer::parts):
///
/// ```ignore
/// parts.network("G", &mut self.g, Keep::Checkpoint)?;
/// parts.network("G_ema", &mut self.g_ema, Keep::Both)?;
/// parts.optimiser("adam_G", &mut self.adam_g, &self.g)?;
/// parts.nimg(&mut self.nimg)
/// ```
pub struct Parts<'a> {
    direction: Direction<'a>,
}

enum Direction<'a> {
    Save(&'a mut TensorFile),
    Restore(&'a TensorFile, &'a Device),
    Export(&'a mut TensorFile),
    Compare(&'a mut TensorFile),
}

/// The files that contain a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// Checkpoints only.
    Checkpoint,
    /// Checkpoints and models, under the same prefix.
    Both,
    /// Checkpoints, and models under this other prefix.
    As(&'static str),
}

impl<'a> Parts<'a> {
    /// A visitor that writes a checkpoint into `file`.
    pub fn saving(file: &'a mut TensorFile) -> Self {
        Self { direction: Direction::Save(file) }
    }

    /// A visitor that reads the checkpoint `file` onto `device`, which must be without automatic
    /// differentiation.
    pub fn restoring(file: &'a TensorFile, device: &'a Device) -> Self {
        Self { direction: Direction::Restore(file, device) }
    }

    /// A visitor that writes the networks of a model into `file`. They replace networks with the
    /// same prefix.
    pub fn exporting(file: &'a mut TensorFile) -> Self {
        Self { direction: Direction::Export(file) }
    }

    /// A visitor that writes the networks of a checkpoint into `file`, which are the same on all ranks.
    pub fn comparing(file: &'a mut TensorFile) -> Self {
        Self { direction: Direction::Compare(file) }
    }

    /// Visits a network, whose tensors are named `<prefix>.…`.
    ///
    /// # Errors
    /// Restoring fails if the checkpoint lacks one of the tensors or has it in another shape.
    pub fn network<M: Module>(&mut self, prefix: &str, module: &mut M, keep: Keep) -> Result<()> {
        match &mut self.direction {
            Direction::Save(file) | Direction::Compare(file) => {
                params::collect(module, prefix, file);
            }
            Direction::Restore(file, _) => {
                *module = params::restore(module.clone(), prefix, file)?;
            }
            Direction::Export(file) => {
                let prefix = match keep {
                    Keep::Checkpoint => return Ok(()),
                    Keep::Both => prefix,
                    Keep::As(other) => other,
                };
                params::remove(prefix, file);
                params::collect(module, prefix, file);
            }
        }
        Ok(())
    }

    /// Visits a network that models contain and checkpoints do not, because `make` computes it from
    /// the other parts.
    pub fn derived<M: Module>(&mut self, prefix: &str, make: impl FnOnce() -> M) {
        if let Direction::Export(file) = &mut self.direction {
            params::remove(prefix, file);
            params::collect(&make(), prefix, file);
        }
    }

    /// Visits an optimiser with its moments for the parameters of `module`.
    ///
    /// # Errors
    /// Restoring fails if the checkpoint's moments do not fit the parameters.
    pub fn optimiser<M: Module>(
        &mut self,
        prefix: &str,
        adam: &mut Adam,
        module: &M,
    ) -> Result<()> {
        match &mut self.direction {
            Direction::Save(file) => adam.collect(prefix, file),
            Direction::Restore(file, device) => adam.restore(prefix, module, file, device)?,
            Direction::Export(_) | Direction::Compare(_) => {}
        }
        Ok(())
    }

    /// Visits a tensor that is not a parameter, such as a running mean.
    ///
    /// # Errors
    /// Restoring fails if the checkpoint lacks the tensor or has it in another shape.
    pub fn tensor<const D: usize>(&mut self, name: &str, tensor: &mut Tensor<D>) -> Result<()> {
        match &mut self.direction {
            Direction::Save(file) => {
                file.tensors.insert(name.to_owned(), params::to_host(tensor.clone()));
            }
            Direction::Restore(file, device) => {
                let found = file.tensor(name)?;
                let expected = tensor.dims();
                if found.shape != expected {
                    return Err(Error::user(format!(
                        "`{name}` has shape {:?}, not {expected:?}",
                        found.shape
                    ))
                    .hint("the file is damaged; use an earlier checkpoint, or start a new run"));
                }
                *tensor = params::from_host(found, device);
            }
            Direction::Export(_) | Direction::Compare(_) => {}
        }
        Ok(())
    }

    /// Visits any other part, with functions that save and restore it.
    ///
    /// # Errors
    /// Restoring fails if `restore` fails.
    pub fn other<T>(
        &mut self,
        part: &mut T,
        save: impl FnOnce(&T, &mut TensorFile),
        restore: impl FnOnce(&mut T, &TensorFile, &Device) -> Result<()>,
    ) -> Result<()> {
        match &mut self.direction {
            Direction::Save(file) => save(part, file),
            Direction::Restore(file, device) => restore(part, file, device)?,
            Direction::Export(_) | Direction::Compare(_) => {}
        }
        Ok(())
    }

    /// Visits the running means of the losses.
    ///
    /// # Errors
    /// Restoring fails if the checkpoint's sums are damaged.
    pub fn means(&mut self, means: &mut Means) -> Result<()> {
        self.other(means, Means::collect, |means, file, _| means.restore(file))
    }

    /// Visits the number of images seen.
    ///
    /// # Errors
    /// Restoring fails if the checkpoint does not contain it.
    pub fn nimg(&mut self, nimg: &mut u64) -> Result<()> {
        self.other(
            nimg,
            |nimg, file| set_nimg(file, *nimg),
            |nimg, file, _| {
                *nimg = nimg_of(file)?;
                Ok(())
            },
        )
    }
}

/// Writes the number of images seen into a checkpoint.
pub fn set_nimg(checkpoint: &mut TensorFile, nimg: u64) {
    checkpoint.metadata.insert(NIMG.to_owned(), nimg.to_string());
}

/// Reads the number of images seen from a checkpoint.
///
/// # Errors
/// Fails if the checkpoint does not contain it.
pub fn nimg_of(checkpoint: &TensorFile) -> Result<u64> {
    let nimg = checkpoint.metadata.get(NIMG).and_then(|text| text.parse().ok());
    nimg.ok_or_else(|| {
        Error::user("the checkpoint has no `nimg`")
            .hint("the file is damaged; use an earlier checkpoint, or start a new run")
    })
}
