//! Initialising a network with the weights of another.

use std::collections::HashMap;

use burn::module::Module;

use crate::error::Result;
use crate::model::Model;
use crate::nn::params;
use crate::tensorfile::{HostTensor, TensorFile};

/// Number of tensors that [`StyleganTrainer::transfer`](super::train::StyleganTrainer::transfer)
/// copied.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Transferred {
    /// Number of copied tensors.
    pub taken: usize,
    /// Number of convolution weights among them.
    pub convolutions: usize,
    /// Number of tensors in the networks.
    pub all: usize,
}

/// Copies the tensors of the model's network `prefix` into `module` if published name and shape
/// match. `names` maps tensor names of the model and of `module` to published names.
///
/// # Errors
/// If the tensors cannot be restored.
pub fn transferred<M: Module>(
    module: M,
    model: &Model,
    prefix: &str,
    names: [&dyn Fn(&str) -> String; 2],
    counts: &mut Transferred,
) -> Result<M> {
    let start = format!("{prefix}.");
    let theirs: HashMap<String, &HostTensor> = model
        .file()
        .tensors
        .iter()
        .filter_map(|(name, tensor)| Some((names[0](name.strip_prefix(&start)?), tensor)))
        .collect();
    let mut file = TensorFile::default();
    params::collect(&module, "", &mut file);
    for (name, tensor) in &mut file.tensors {
        counts.all += 1;
        if let Some(found) = theirs.get(&names[1](name))
            && found.shape == tensor.shape
        {
            *tensor = (*found).clone();
            counts.taken += 1;
            counts.convolutions += usize::from(tensor.shape.len() == 4);
        }
    }
    params::restore(module, "", &file)
}
