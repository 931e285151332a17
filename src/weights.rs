//! Reading weight files: safetensors, and PyTorch checkpoints without running their code.
//!
//! PyTorch checkpoints are read by a small reader of our own instead of `burn-store` 0.22. That one
//! runs no code either, but accepts more than a state dict: it drops references to other classes
//! without an error, reads modules that were saved whole, and lets a file of 345 bytes describe
//! tensors of gigabytes (views with a stride of 0). Here each of these is an error.
//!
//! Frozen networks take their tensors from a file one by one ([`WeightReader`]), so that the file of
//! another network is an error and never a partly filled network.

mod names;
mod pickle;
mod pytorch;
mod values;

pub(crate) use names::unwrapped;

use std::collections::BTreeSet;
use std::io::Read;
use std::path::Path;

use crate::error::{Error, Result};
use crate::tensorfile::{HostTensor, TensorFile, unsupported};
use crate::{input, mistaken};

/// The hint for files of other kinds.
const GIVE: &str =
    "give a .safetensors or .pth file; convert a .pkl with scripts/convert_stylegan2_pkl.py";
/// First bytes of a zip archive, which `torch.save` writes since PyTorch 1.6.
const ZIP: &[u8] = b"PK\x03\x04";
/// First byte of a pickle, before the number of its protocol.
const PROTOCOL: u8 = 0x80;
/// First bytes of a pickle of protocol 2, which `torch.save` wrote before.
const PICKLE: &[u8] = &[0x80, 0x02];

/// Reads the tensors of a weight file whose names `wanted` accepts.
///
/// The file is safetensors, a state dict that `torch.save` wrote, or a TorchScript archive; its content
/// tells which.
/// Tensors in nested dicts get dotted names, and the prefixes of known wrappers such as `module.` are
/// removed. Floating-point numbers become f16 or f32, integers i64 or u8. Tensors of other types, such
/// as quantised ones, are only listed in [`TensorFile::unreadable`].
///
/// # Errors
/// A user error that names the file if it is missing, truncated or of another format. If a
/// checkpoint contains anything but tensors and plain containers, the error names that.
pub fn read(path: impl AsRef<Path>, wanted: impl Fn(&str) -> bool) -> Result<TensorFile> {
    let path = path.as_ref();
    let unreadable = |e| Error::io(path, "read", e);
    let file = input::open(path, "read")?;
    let rename = |name: &str| {
        let name = unwrapped(name);
        wanted(name).then(|| name.to_owned())
    };
    let mut start = Vec::new();
    (&file).take(mistaken::HEAD as u64).read_to_end(&mut start).map_err(unreadable)?;
    let read = if start.starts_with(ZIP) {
        pytorch::read_zip(file, &rename)
    } else if start.starts_with(PICKLE) {
        pytorch::read_legacy(file, &rename)
    } else if start.first() == Some(&PROTOCOL) && start.get(8) != Some(&b'{') {
        // A safetensors file may begin with the same byte, but its header is JSON.
        Err(Error::user("a Python pickle with code, which is never run").hint(
            "convert a .pkl of the official StyleGAN2-ADA with scripts/convert_stylegan2_pkl.py; \
             from other programs, save `model.state_dict()` with torch.save",
        ))
    } else if is_safetensors(path, &start) {
        // Its own hints are about models, and one of them leads here.
        return TensorFile::read_as(path, rename).map_err(|e| {
            match e.message.contains("not a safetensors file") {
                true => e.hint(GIVE),
                false => e,
            }
        });
    } else if let Some(kind) = mistaken::recognise(&start) {
        Err(Error::user(kind.name).hint(kind.hint))
    } else {
        Err(Error::user("neither a safetensors file nor a checkpoint of torch.save").hint(GIVE))
    };
    read.map_err(|e| e.context(path.display()))
}

/// Whether a file is meant to be safetensors: by its name, or by a plausible header length. If it
/// is broken, the reader of that format gives the best error message.
fn is_safetensors(path: &Path, start: &[u8]) -> bool {
    path.extension().is_some_and(|e| e == "safetensors")
        || matches!(start, [_, _, _, 0, ..]) && !start.starts_with(b"\x1f\x8b")
}

/// Takes a network's tensors from a weight file, and checks that none is missing, left over or of
/// the wrong shape.
pub struct WeightReader<'a> {
    file: &'a TensorFile,
    taken: BTreeSet<&'a str>,
}

impl<'a> WeightReader<'a> {
    /// A reader of `file` that has taken no tensor yet.
    pub fn from(file: &'a TensorFile) -> Self {
        Self { file, taken: BTreeSet::new() }
    }

    /// Whether the file contains a tensor called `name`.
    pub fn holds(&self, name: &str) -> bool {
        self.file.tensors.contains_key(name)
    }

    /// Takes the tensor `name`, which must have the shape `shape`; `None` matches any extent.
    ///
    /// # Errors
    /// If it is missing, has another shape or type, or contains numbers that are not finite.
    pub fn take(&mut self, name: &str, shape: &[Option<usize>]) -> Result<&'a HostTensor> {
        let Some((name, found)) = self.file.tensors.get_key_value(name) else {
            if let Some(dtype) = self.file.unreadable.get(name) {
                return Err(unsupported(name, dtype));
            }
            let Some(prefix) = names::unknown_prefix(name, self.file.tensors.keys()) else {
                return Err(another_network(format!("tensor `{name}` is missing")));
            };
            return Err(Error::user(format!(
                "tensor `{name}` is missing; the file calls it `{prefix}{name}`"
            ))
            .hint(format!("save the network alone, so that names do not begin with `{prefix}`")));
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
        // Those of a quantised network mean nothing without their scales.
        if !found.is_float() {
            return Err(unsupported(name, "integer"));
        }
        if !found.is_finite() {
            return Err(Error::user(format!("tensor `{name}` contains NaN or infinite numbers"))
                .hint("copy or download the file again"));
        }
        self.taken.insert(name);
        Ok(found)
    }

    /// Checks that every tensor was taken. The network ignores those that `optional` accepts, and
    /// integers and booleans, which are counters and masks, not weights.
    ///
    /// # Errors
    /// If another tensor is left over.
    pub fn finish(self, optional: impl Fn(&str) -> bool) -> Result<()> {
        let left = |(name, tensor): &(&String, &HostTensor)| {
            !self.taken.contains(name.as_str()) && !optional(name) && tensor.is_float()
        };
        match self.file.tensors.iter().find(left) {
            None => Ok(()),
            Some((name, _)) => {
                Err(another_network(format!("tensor `{name}` does not belong to this network")))
            }
        }
    }
}

/// The error if the tensors are not those of the network.
fn another_network(finding: String) -> Error {
    Error::user(finding).hint("the file is for another network, or for another layout of it")
}

#[cfg(test)]
mod tests;
