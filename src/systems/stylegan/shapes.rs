//! The tensors of G and D, as their settings imply them.

use super::NetworkSettings;
use super::settings::{Architecture, Projection};
use crate::shapes::Shapes;

/// Adds a mapping network; see `Mapping::bare`.
fn mapping(shapes: &mut Shapes, z_dim: usize, condition: usize, w_dim: usize, layers: usize) {
    let mut inputs = z_dim;
    if condition > 0 {
        shapes.linear("mapping.embed", [condition, w_dim]);
        inputs += w_dim;
    }
    for layer in 0..layers {
        shapes.linear(&format!("mapping.fc.{layer}"), [inputs, w_dim]);
        inputs = w_dim;
    }
}

/// The tensors of the generator.
pub(crate) fn generator(settings: &NetworkSettings) -> Shapes {
    let mut shapes = Shapes::new();
    let w_dim = settings.w_dim;
    mapping(&mut shapes, settings.z_dim, settings.condition(), w_dim, settings.mapping_layers);
    shapes.tensor("mapping.w_avg", &[w_dim]);
    for (index, side) in settings.resolutions().enumerate() {
        let name = format!("synthesis.blocks.{index}");
        let channels = settings.channels(side);
        let mut conv = |layer: &str, inputs: usize| {
            let name = format!("{name}.{layer}");
            shapes.linear(&format!("{name}.affine"), [w_dim, inputs]);
            shapes.conv(&name, [inputs, channels], 3, true);
            shapes.tensor(format!("{name}.noise_const"), &[side, side]);
            shapes.tensor(format!("{name}.noise_strength"), &[1]);
        };
        if side > 4 {
            conv("conv0", settings.channels(side / 2));
        }
        conv("conv1", channels);
        if side == 4 {
            shapes.tensor(format!("{name}.constant"), &[channels, 4, 4]);
        }
        shapes.linear(&format!("{name}.torgb.affine"), [w_dim, channels]);
        shapes.conv(&format!("{name}.torgb"), [channels, 3], 1, true);
    }
    shapes
}

/// The tensors of the discriminator.
pub(crate) fn discriminator(settings: &NetworkSettings) -> Shapes {
    let mut shapes = Shapes::new();
    let sides: Vec<usize> = settings.resolutions().filter(|&side| side > 4).collect();
    for (index, &side) in sides.iter().rev().enumerate() {
        let name = format!("blocks.{index}");
        let (here, below) = (settings.channels(side), settings.channels(side / 2));
        if index == 0 {
            shapes.conv(&format!("{name}.fromrgb"), [3, here], 1, true);
        }
        shapes.conv(&format!("{name}.conv0"), [here, here], 3, true);
        shapes.conv(&format!("{name}.conv1"), [here, below], 3, true);
        if settings.architecture == Architecture::Resnet {
            shapes.conv(&format!("{name}.skip"), [here, below], 1, false);
        }
    }
    let (channels, condition) = (settings.channels(4), settings.condition());
    let label_dim = if condition > 0 { settings.label_dim() } else { 0 };
    let Projection { layers, unconditional } = settings.projection();
    let outputs = if unconditional { 1 + label_dim } else { label_dim.max(1) };
    shapes.conv("b4.conv", [channels + 1, channels], 3, true);
    shapes.linear("b4.fc", [16 * channels, channels]);
    shapes.linear("b4.out", [channels, outputs]);
    if condition > 0 {
        mapping(&mut shapes, 0, condition, label_dim, layers);
    }
    shapes
}

#[cfg(test)]
mod tests {
    use burn::module::Module;
    use burn::tensor::Device;

    use super::*;
    use crate::nn::{Init, params};
    use crate::systems::stylegan::{Discriminator, Generator, StyleganSettings};
    use crate::tensorfile::TensorFile;

    fn shapes_of(network: &impl Module) -> Vec<(String, Vec<usize>)> {
        let mut file = TensorFile::default();
        params::collect(network, "", &mut file);
        file.tensors.into_iter().map(|(name, tensor)| (name, tensor.shape)).collect()
    }

    fn listed(shapes: &Shapes) -> Vec<(String, Vec<usize>)> {
        shapes.iter().map(|(name, shape)| (name.clone(), shape.clone())).collect()
    }

    #[test]
    fn lists_are_those_of_the_networks() {
        let device = Device::flex();
        let plain = NetworkSettings {
            z_dim: 5,
            w_dim: 7,
            mapping_layers: 3,
            channel_base: 64,
            channel_max: 6,
            ..StyleganSettings::auto(16, Some(4)).network
        };
        let sentence = Some(crate::language::SentenceSettings { size: 9, ..Default::default() });
        for settings in [
            NetworkSettings { architecture: Architecture::Orig, resolution: 8, ..plain.clone() },
            NetworkSettings { classes: 3, ..plain.clone() },
            NetworkSettings { sentence, resolution: 32, ..plain.clone() },
            plain,
        ] {
            let init = &mut Init::new(0, "networks", &device);
            assert_eq!(listed(&generator(&settings)), shapes_of(&Generator::new(&settings, init)));
            let d = Discriminator::new(&settings, init);
            assert_eq!(listed(&discriminator(&settings)), shapes_of(&d));
        }
    }
}
