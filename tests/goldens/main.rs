//! Networks, losses, optimisers and metrics against files of expected values. The files are in this
//! folder; `scripts/make_goldens.py` and related scripts create them.

#[path = "../common/mod.rs"]
mod common;

mod adam;
mod attention_gan;
mod augment;
mod baselines;
mod clip;
mod clip2gan;
mod inception;
mod inversion;
mod layers;
mod metrics;
mod official;
mod perceptual;
mod stackgan;
mod stylegan;
mod text;

use cigan::systems::stylegan::NetworkSettings;
use cigan::systems::stylegan::settings::Architecture;
use cigan::tensorfile::TensorFile;

/// Narrow 16×16 networks, for golden files whose subject is not the networks.
fn narrow() -> NetworkSettings {
    NetworkSettings {
        resolution: 16,
        z_dim: 16,
        w_dim: 16,
        classes: 0,
        mapping_layers: 2,
        channel_base: 128,
        channel_max: 8,
        architecture: Architecture::Resnet,
        mbstd_group: 4,
        conv_clamp: None,
        sentence: None,
    }
}

/// Tensors of a published network under the names of this crate: those of `names`, whose published
/// names in `file` begin with `from`. Scalars become vectors of length 1.
fn renamed<'a>(
    file: &TensorFile,
    from: &str,
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
            ours.tensors.insert(name.to_owned(), tensor);
        }
    }
    ours
}
