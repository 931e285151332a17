//! Import and export of published StyleGAN2-ADA checkpoints (Karras et al. 2020b,
//! `stylegan2-ada-pytorch`): [`import`], [`export`] and the mapping of tensor names.
//!
//! A checkpoint is a state dict of the averaged generator, with or without the prefix `G_ema.`, and
//! optionally of the discriminator, with the prefix `D.`.

mod state_dict;

pub use state_dict::{Imported, export, import};

use serde_json::json;

use super::section::{D, G_EMA, STYLEGAN};
use crate::error::{Error, Result};
use crate::model::{Model, Provenance};
use crate::tensorfile::TensorFile;

/// Builds a model from a published state dict.
///
/// # Errors
/// Those of [`import`], and if a tensor contains numbers that are not finite.
pub fn import_model(file: &TensorFile) -> Result<Model> {
    let imported = import(file)?;
    let mut model = Model::new();
    for (prefix, network) in [(G_EMA, Some(imported.generator)), (D, imported.discriminator)] {
        let Some(network) = network else { continue };
        for (name, tensor) in network.tensors {
            if !tensor.is_finite() {
                return Err(Error::user(format!("`{name}` contains numbers that are not finite"))
                    .hint(
                        "use another checkpoint; this network diverged, or the file is damaged",
                    ));
            }
            model.put_tensor(&format!("{prefix}.{name}"), tensor);
        }
    }
    let provenance = Provenance {
        cigan: env!("CARGO_PKG_VERSION").to_owned(),
        settings: json!({ "imported": "stylegan2-ada" }),
        ..Default::default()
    };
    model.set(&STYLEGAN, &imported.settings, provenance)?;
    Ok(model)
}

/// Maps a tensor name of [`Generator`](super::Generator) to its published name:
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

/// Maps a tensor name of a [`Discriminator`](super::Discriminator) of `resolution` to its published
/// name: `blocks.0.conv0.weight` → `b32.conv0.weight`.
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
