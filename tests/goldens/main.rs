//! Networks, losses, optimisers and metrics against files of expected values, which lie beside
//! these modules and are made by `scripts/make_goldens.py` and its neighbours.

#[path = "../common/mod.rs"]
mod common;

mod adam;
mod augment;
mod inception;
mod inversion;
mod layers;
mod metrics;
mod official;
mod perceptual;
mod stylegan;
mod text;

use cigan::systems::stylegan::NetworkSettings;
use cigan::systems::stylegan::settings::Architecture;

/// The networks of the files that are about something else: 16×16, as narrow as can be.
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
