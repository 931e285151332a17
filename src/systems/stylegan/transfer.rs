//! Weights of one network as the beginning of another.

use std::collections::HashMap;

use burn::module::Module;

use crate::error::Result;
use crate::model::Model;
use crate::nn::params;
use crate::tensorfile::{HostTensor, TensorFile};

/// What [`StyleganTrainer::transfer`](super::train::StyleganTrainer::transfer) took.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Transferred {
    /// Tensors that were taken.
    pub taken: usize,
    /// Weights of convolutions among them.
    pub convolutions: usize,
    /// Tensors that there are.
    pub all: usize,
}

/// `module` with the tensors of the model's network `prefix` that have the same published name
/// (`names`: theirs, ours) and shape.
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
