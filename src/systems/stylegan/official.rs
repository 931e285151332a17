//! The published StyleGAN2-ADA checkpoints (Karras et al. 2020b, `stylegan2-ada-pytorch`): their
//! names for our tensors, the way in ([`import`]) and the way back ([`export`]).
//!
//! A checkpoint is the state dict of the averaged generator, its keys bare or under `G_ema.`, and
//! perhaps of the discriminator, under `D.`.

mod state_dict;

pub use state_dict::{Imported, export, import};

use crate::tensorfile::TensorFile;

/// Name in the published generator of what is `ours` in [`Generator`](super::Generator):
/// `mapping.fc.0.weight` → `mapping.fc0.weight`, `synthesis.blocks.1.conv0.bias` →
/// `synthesis.b8.conv0.bias`.
pub fn generator_name(ours: &str) -> String {
    let parts: Vec<&str> = ours.split('.').collect();
    match parts.as_slice() {
        ["mapping", "fc", index, rest @ ..] => format!("mapping.fc{index}.{}", rest.join(".")),
        ["synthesis", "blocks", index, rest @ ..] => {
            let side = index.parse().map_or(0, |index: u32| 4usize << index);
            let rest = rest.join(".");
            let rest = if rest == "constant" { "const" } else { &rest };
            format!("synthesis.b{side}.{rest}")
        }
        _ => ours.to_owned(),
    }
}

/// Name in the published discriminator of what is `ours` in
/// [`Discriminator`](super::Discriminator) of `resolution`: `blocks.0.conv0.weight` →
/// `b32.conv0.weight`.
pub fn discriminator_name(ours: &str, resolution: usize) -> String {
    let parts: Vec<&str> = ours.split('.').collect();
    match parts.as_slice() {
        ["mapping", "fc", index, rest @ ..] => format!("mapping.fc{index}.{}", rest.join(".")),
        ["blocks", index, rest @ ..] => {
            let side = index.parse().map_or(0, |index: u32| resolution >> index);
            format!("b{side}.{}", rest.join("."))
        }
        _ => ours.to_owned(),
    }
}

/// Renames the tensors of a published network to ours, given the names that ours has.
///
/// Takes every tensor under `from` in `file` that belongs to one of `names`, and gives it under
/// `to`; scalars become vectors of one.
pub fn adopt<'a>(
    file: &TensorFile,
    from: &str,
    to: &str,
    names: impl IntoIterator<Item = &'a str>,
    published: impl Fn(&str) -> String,
) -> TensorFile {
    let mut ours = TensorFile::default();
    for name in names {
        if let Some(tensor) = file.tensors.get(&format!("{from}{}", published(name))) {
            let mut tensor = tensor.clone();
            if tensor.shape.is_empty() {
                tensor.shape = vec![1];
            }
            ours.tensors.insert(format!("{to}{name}"), tensor);
        }
    }
    ours
}
