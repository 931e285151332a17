//! Weight files that users have: safetensors, and PyTorch checkpoints read without running code.
//!
//! Frozen networks take their tensors out of such a file one by one ([`Taking`]), so that a file of
//! another network is an error and never a half-filled network.

mod pickle;
mod pytorch;
mod values;

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use crate::error::{Error, Result};
use crate::tensorfile::{HostTensor, TensorFile};

/// How a zip archive begins, which is what `torch.save` writes since PyTorch 1.6.
const ZIP: &[u8] = b"PK\x03\x04";
/// How a pickle of protocol 2 begins, which is what `torch.save` wrote before.
const PICKLE: &[u8] = &[0x80, 0x02];

/// Reads the tensors of a weight file whose names `wanted` accepts; the others stay on the disk.
///
/// The file is safetensors or a state dict written by `torch.save` (nested dicts get dotted names),
/// told apart by content. Floating-point numbers arrive as f16 or f32, integers as i64 or u8.
///
/// # Errors
/// A user error names the file and says whether it is missing, truncated, or something else, and
/// names whatever a checkpoint holds besides tensors and plain containers.
pub fn read(path: impl AsRef<Path>, wanted: impl Fn(&str) -> bool) -> Result<TensorFile> {
    let path = path.as_ref();
    let unreadable = |e| Error::io(path, "read", e);
    let file = File::open(path).map_err(unreadable)?;
    if file.metadata().map_err(unreadable)?.is_dir() {
        return Err(Error::io(path, "read", std::io::ErrorKind::IsADirectory.into()));
    }
    let mut start = Vec::new();
    (&file).take(4).read_to_end(&mut start).map_err(unreadable)?;
    let read = if start.starts_with(ZIP) {
        pytorch::read_zip(file, &wanted)
    } else if start.starts_with(PICKLE) {
        pytorch::read_legacy(file, &wanted)
    } else if is_safetensors(path, &start) {
        let mut file = TensorFile::read(path)?;
        file.tensors.retain(|name, _| wanted(name));
        return Ok(file);
    } else {
        Err(Error::user("neither safetensors nor a checkpoint of torch.save")
            .hint("give the weight file as it was downloaded"))
    };
    read.map_err(|e| e.context(path.display()))
}

/// By name, or by a header length that is plausible: then the reader of that format explains best
/// what is wrong.
fn is_safetensors(path: &Path, start: &[u8]) -> bool {
    path.extension().is_some_and(|e| e == "safetensors") || matches!(start, [_, _, _, 0])
}

/// Takes a network's tensors out of a weight file and sees to it that none is missing, misshapen
/// or left over.
pub struct Taking<'a> {
    file: &'a TensorFile,
    taken: BTreeSet<&'a str>,
}

impl<'a> Taking<'a> {
    /// Nothing is taken yet.
    pub fn from(file: &'a TensorFile) -> Self {
        Self { file, taken: BTreeSet::new() }
    }

    /// Whether the file holds a tensor of this name.
    pub fn holds(&self, name: &str) -> bool {
        self.file.tensors.contains_key(name)
    }

    /// The tensor `name`, which must have the extents `shape`; `None` stands for any.
    ///
    /// # Errors
    /// If it is missing, has another shape, or holds numbers that are not finite.
    pub fn take(&mut self, name: &str, shape: &[Option<usize>]) -> Result<&'a HostTensor> {
        let Some((name, found)) = self.file.tensors.get_key_value(name) else {
            return Err(another_network(format!("tensor `{name}` is missing")));
        };
        let fits = found.shape.len() == shape.len()
            && found.shape.iter().zip(shape).all(|(&n, want)| want.is_none_or(|want| want == n));
        if !fits {
            let extent = |n: &Option<usize>| n.map_or_else(|| "any".to_owned(), |n| n.to_string());
            let shape: Vec<String> = shape.iter().map(extent).collect();
            return Err(another_network(format!(
                "tensor `{name}` has shape {:?}, expected [{}]",
                found.shape,
                shape.join(", ")
            )));
        }
        if !found.is_finite() {
            return Err(Error::user(format!("tensor `{name}` holds NaN or infinite numbers"))
                .hint("copy or download the file again"));
        }
        self.taken.insert(name);
        Ok(found)
    }

    /// Ends the taking; `optional` tells the names that the network knows but has no use for.
    ///
    /// # Errors
    /// If a tensor is left over.
    pub fn finish(self, optional: impl Fn(&str) -> bool) -> Result<()> {
        let left = |name: &&String| !self.taken.contains(name.as_str()) && !optional(name);
        match self.file.tensors.keys().find(left) {
            None => Ok(()),
            Some(name) => {
                Err(another_network(format!("tensor `{name}` has no place in this network")))
            }
        }
    }
}

fn another_network(finding: String) -> Error {
    Error::user(finding).hint("the file belongs to another network, or to another layout of it")
}

#[cfg(test)]
mod tests;
