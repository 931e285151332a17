//! The tensors that a network consists of, by name and shape, without any memory for their values.
//!
//! Model files are shared between people, so their settings may ask for networks of any size. The
//! shapes of a file are compared with those that its settings imply before a network is built.

use std::collections::BTreeMap;

use crate::error::{Error, Result};
use crate::tensorfile::{TensorFile, belongs};

/// The names and shapes of a network's tensors.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Shapes(BTreeMap<String, Vec<usize>>);

impl Shapes {
    /// A network without tensors.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one tensor.
    pub fn tensor(&mut self, name: impl Into<String>, shape: &[usize]) {
        self.0.insert(name.into(), shape.to_vec());
    }

    /// Adds a linear layer with a bias.
    pub fn linear(&mut self, name: &str, [inputs, outputs]: [usize; 2]) {
        self.tensor(format!("{name}.weight"), &[outputs, inputs]);
        self.tensor(format!("{name}.bias"), &[outputs]);
    }

    /// Adds a convolution with kernels of side `kernel`.
    pub fn conv(&mut self, name: &str, [inputs, outputs]: [usize; 2], kernel: usize, bias: bool) {
        self.tensor(format!("{name}.weight"), &[outputs, inputs, kernel, kernel]);
        if bias {
            self.tensor(format!("{name}.bias"), &[outputs]);
        }
    }

    /// Adds a normalisation with a scale and an offset per channel.
    pub fn norm(&mut self, name: &str, channels: usize) {
        self.tensor(format!("{name}.weight"), &[channels]);
        self.tensor(format!("{name}.bias"), &[channels]);
    }

    /// Adds a batch normalisation, with its standing statistics if it has any.
    pub fn batch_norm(&mut self, name: &str, channels: usize, standing: bool) {
        self.norm(name, channels);
        if standing {
            self.tensor(format!("{name}.standing.mean"), &[channels]);
            self.tensor(format!("{name}.standing.variance"), &[channels]);
        }
    }

    /// The same tensors as parts of a larger network.
    pub fn below(self, prefix: &str) -> Self {
        Self(self.0.into_iter().map(|(name, shape)| (format!("{prefix}.{name}"), shape)).collect())
    }

    /// The names and shapes in the order of the names.
    pub fn iter(&self) -> impl Iterator<Item = (&String, &Vec<usize>)> {
        self.0.iter()
    }

    /// Number of values of all tensors.
    pub fn values(&self) -> u64 {
        let values = |shape: &Vec<usize>| {
            shape.iter().fold(1u64, |product, &extent| product.saturating_mul(extent as u64))
        };
        self.0.values().map(values).fold(0, u64::saturating_add)
    }

    /// Checks that `file` has exactly these tensors below `prefix`, and that their values are
    /// finite.
    ///
    /// # Errors
    /// If a tensor is missing, left over, of another shape or not finite. The message names it.
    pub fn check(&self, prefix: &str, file: &TensorFile) -> Result<()> {
        let wrong = |finding: String| {
            Error::user(finding).hint("the file belongs to a network of another architecture")
        };
        for (name, shape) in &self.0 {
            let name = format!("{prefix}.{name}");
            match file.tensors.get(&name) {
                None => return Err(wrong(format!("tensor `{name}` is missing"))),
                Some(found) if found.shape != *shape => {
                    let found = &found.shape;
                    return Err(wrong(format!(
                        "tensor `{name}` has shape {found:?}, expected {shape:?}"
                    )));
                }
                Some(found) if !found.is_finite() => {
                    let finding = format!("tensor `{name}` contains NaN or infinite numbers");
                    return Err(Error::user(finding)
                        .hint("the file is damaged, or its training diverged; use another one"));
                }
                Some(_) => {}
            }
        }
        let own = file.tensors.keys().filter(|name| belongs(name, prefix));
        match own.into_iter().find(|name| !self.0.contains_key(&name[prefix.len() + 1..])) {
            None => Ok(()),
            Some(extra) => Err(wrong(format!("tensor `{extra}` does not belong to this network"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_absurd_shapes_saturate() {
        let mut shapes = Shapes::new();
        shapes.linear("a", [3, 2]);
        assert_eq!(shapes.values(), 8);
        shapes.conv("b", [usize::MAX, usize::MAX], 3, true);
        assert_eq!(shapes.values(), u64::MAX);
    }

    #[test]
    fn every_difference_is_named() {
        let mut shapes = Shapes::new();
        shapes.linear("a", [3, 2]);
        let mut file = TensorFile::default();
        file.insert_f32("N.a.weight", [2, 3], vec![0.0; 6]).unwrap();
        let missing = shapes.check("N", &file).unwrap_err();
        assert!(missing.message.contains("`N.a.bias` is missing"), "{missing}");
        file.insert_f32("N.a.bias", [2], vec![0.0; 2]).unwrap();
        file.insert_f32("Nb.c", [1], vec![0.0]).unwrap();
        shapes.check("N", &file).unwrap();
        file.insert_f32("N.c", [1], vec![0.0]).unwrap();
        assert!(shapes.check("N", &file).unwrap_err().message.contains("`N.c` does not belong"));
        file.tensors.remove("N.c");
        file.insert_f32("N.a.bias", [2], vec![0.0, f32::NAN]).unwrap();
        assert!(shapes.check("N", &file).unwrap_err().message.contains("NaN"));
        file.insert_f32("N.a.bias", [3], vec![0.0; 3]).unwrap();
        assert!(shapes.check("N", &file).unwrap_err().message.contains("expected [2]"));
    }
}
