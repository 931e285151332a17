//! Initialising a network with the weights of another.

use std::collections::HashMap;

use burn::module::Module;

use super::grow::{FromRgb, grow_discriminator, grow_generator};
use super::section::{D, G_EMA, STYLEGAN};
use super::{Discriminator, Generator, NetworkSettings, official};
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
    /// Whether D judges larger images by their reductions at first; `None` if they are not larger.
    pub grown: Option<bool>,
}

/// The sizes of networks that a transfer keeps, with the names of their settings.
pub fn sizes(network: &NetworkSettings) -> [(&'static str, usize); 5] {
    let NetworkSettings { z_dim, w_dim, mapping_layers, channel_base, channel_max, .. } = *network;
    [
        ("z_dim", z_dim),
        ("w_dim", w_dim),
        ("mapping_layers", mapping_layers),
        ("channel_base", channel_base),
        ("channel_max", channel_max),
    ]
}

/// The settings of [`sizes`] that give `ours` layers of other sizes than `theirs` has, at the
/// resolutions of both.
pub fn other_sizes(theirs: &NetworkSettings, ours: &NetworkSettings) -> Vec<String> {
    let mut common = theirs.resolutions().filter(|side| *side <= ours.resolution);
    let same_channels = common.all(|side| theirs.channels(side) == ours.channels(side));
    let other = |&((name, theirs), (_, ours)): &((&str, usize), (&str, usize))| {
        theirs != ours && !(same_channels && name.starts_with("channel"))
    };
    let pairs = sizes(theirs).into_iter().zip(sizes(ours));
    pairs.filter(other).map(|((name, _), _)| format!("{}.network.{name}", STYLEGAN.name)).collect()
}

/// Copies the tensors of the model's network `prefix` into `module` if published name and shape
/// match. `names` maps tensor names of the model and of `module` to published names. `finish` may change
/// the result.
///
/// # Errors
/// If the tensors cannot be restored.
pub fn transferred<M: Module>(
    module: M,
    model: &Model,
    prefix: &str,
    names: [&dyn Fn(&str) -> String; 2],
    counts: &mut Transferred,
    finish: impl FnOnce(&mut TensorFile) -> Result<()>,
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
    finish(&mut file)?;
    params::restore(module, "", &file)
}

/// G for the images of `ours` with the tensors of the model's averaged generator that fit.
///
/// # Errors
/// If the settings or tensors of the model cannot be read.
pub fn transferred_generator(
    generator: Generator,
    model: &Model,
    ours: &NetworkSettings,
    counts: &mut Transferred,
) -> Result<Generator> {
    let theirs: NetworkSettings = model.settings(&STYLEGAN)?;
    let name: &dyn Fn(&str) -> String = &official::generator_name;
    transferred(generator, model, G_EMA, [name, name], counts, |generator| {
        grow_generator(generator, ours, theirs.resolution);
        Ok(())
    })
}

/// D for the images of `ours` with the tensors of the model's D that fit.
///
/// # Errors
/// If the settings or tensors of the model cannot be read.
pub fn transferred_discriminator(
    discriminator: Discriminator,
    model: &Model,
    ours: &NetworkSettings,
    counts: &mut Transferred,
) -> Result<Discriminator> {
    let theirs: NetworkSettings = model.settings(&STYLEGAN)?;
    let (from, to) = (theirs.resolution, ours.resolution);
    let name = |side: usize| move |ours: &str| official::discriminator_name(ours, side);
    let mut grown = None;
    let names: [&dyn Fn(&str) -> String; 2] = [&name(from), &name(to)];
    let finish = |discriminator: &mut TensorFile| {
        if to > from {
            let tensor = |name: &str| model.tensor(&format!("{D}.blocks.0.fromrgb.{name}"));
            grown = Some(match (tensor("weight"), tensor("bias")) {
                (Some(weight), Some(bias)) => {
                    grow_discriminator(discriminator, ours, from, FromRgb { weight, bias })?
                }
                _ => false,
            });
        }
        Ok(())
    };
    let discriminator = transferred(discriminator, model, D, names, counts, finish)?;
    counts.grown = grown;
    Ok(discriminator)
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, Tensor};

    use super::*;
    use crate::draws;
    use crate::kernels::Fir;
    use crate::model::Provenance;
    use crate::nn::params::to_vec;
    use crate::nn::{Dual, Init, resample};
    use crate::systems::stylegan::generator::Truncation;
    use crate::systems::stylegan::settings::Architecture;
    use crate::systems::stylegan::{Noise, StyleganSettings};

    fn settings(resolution: usize, channel_base: usize) -> NetworkSettings {
        let mut settings = StyleganSettings::auto(resolution, None).network;
        settings.channel_base = channel_base;
        settings.channel_max = 24;
        (settings.z_dim, settings.w_dim) = (16, 16);
        settings
    }

    fn model(settings: &NetworkSettings, g: &Generator, d: &Discriminator) -> Model {
        let mut file = TensorFile::default();
        params::collect(g, G_EMA, &mut file);
        params::collect(d, D, &mut file);
        let mut model = Model::new();
        for (name, tensor) in file.tensors {
            model.put_tensor(&name, tensor);
        }
        model.set(&STYLEGAN, settings, Provenance::default()).unwrap();
        model
    }

    fn normal(seed: u64, shape: [usize; 4], device: &Device) -> Tensor<4> {
        let values = draws::normal(&mut draws::stream(seed, "x", 0), shape.iter().product());
        Tensor::<1>::from_floats(values.as_slice(), device).reshape(shape)
    }

    fn assert_near(found: Vec<f32>, expected: Vec<f32>) {
        assert_eq!(found.len(), expected.len());
        for (a, b) in found.iter().zip(&expected) {
            assert!((a - b).abs() <= 2e-4 * b.abs().max(1.0), "{a}, {b}");
        }
    }

    #[test]
    fn only_sizes_that_change_layers_are_named() {
        let small = settings(16, 448);
        let larger = NetworkSettings { resolution: 32, ..small.clone() };
        assert!(other_sizes(&small, &larger).is_empty());
        let other = NetworkSettings { w_dim: 8, channel_base: 256, ..larger.clone() };
        let expected = ["stylegan.network.w_dim", "stylegan.network.channel_base"];
        assert_eq!(other_sizes(&small, &other), expected);
        // Both have as many channels up to 16 pixels.
        let capped = NetworkSettings { channel_base: 16 * small.channel_max, ..small.clone() };
        let wider = NetworkSettings { channel_base: 4 * capped.channel_base, ..larger };
        assert!(other_sizes(&capped, &wider).is_empty());
    }

    /// Networks for 16 pixels continue as networks for 32 and 64.
    #[test]
    fn larger_networks_begin_as_the_smaller_ones() {
        let device = Device::flex();
        for architecture in [Architecture::Resnet, Architecture::Orig] {
            let small = NetworkSettings { architecture, ..settings(16, 448) };
            let g = Generator::new(&small, &mut Init::new(1, "g", &device));
            let mut d = Discriminator::new(&small, &mut Init::new(1, "d", &device));
            // Biases are 0 at first, which would hide their errors.
            let fromrgb = d.blocks[0].fromrgb.as_mut().unwrap();
            let bias = fromrgb.bias.take().unwrap();
            let [channels] = bias.dims();
            let values = normal(3, [1, 1, 1, channels], &device).reshape([channels]);
            fromrgb.bias = Some(bias.map(|_| values));
            let model = model(&small, &g, &d);
            let z = normal(5, [3, 1, 1, 16], &device).reshape([3, 16]);
            let images = |g: &Generator| {
                g.synthesize(g.ws(z.clone(), None, Truncation::NONE), &Noise::Const)
            };
            for (resolution, doublings) in [(32, 1), (64, 2)] {
                let large = NetworkSettings { resolution, ..small.clone() };
                let init = |purpose| Init::new(2, purpose, &device);
                let mut counts = Transferred::default();
                let larger = Generator::new(&large, &mut init("g"));
                let larger = transferred_generator(larger, &model, &large, &mut counts).unwrap();
                let enlarged =
                    (0..doublings).fold(images(&g), |x, _| resampled(x, &resample::up2()));
                assert_near(to_vec(images(&larger)), to_vec(enlarged));

                let judge = Discriminator::new(&large, &mut init("d"));
                let judge = transferred_discriminator(judge, &model, &large, &mut counts).unwrap();
                assert_eq!(counts.grown, Some(true));
                let x = normal(4, [4, 3, resolution, resolution], &device);
                let reduced =
                    (0..doublings).fold(x.clone(), |x, _| resampled(x, &resample::down2()));
                assert_near(to_vec(judge.apply(x, None)), to_vec(d.apply(reduced, None)));
            }
        }
    }

    fn resampled(x: Tensor<4>, by: &Fir) -> Tensor<4> {
        Dual::from(x).resample(by).value
    }

    /// Other widths at the finest layers leave D as it was made, and say so.
    #[test]
    fn a_discriminator_of_another_width_does_not_begin_as_the_smaller_one() {
        let device = Device::flex();
        let small = settings(16, 320);
        let g = Generator::new(&small, &mut Init::new(1, "g", &device));
        let d = Discriminator::new(&small, &mut Init::new(1, "d", &device));
        let model = model(&small, &g, &d);
        for (large, grown) in [
            (settings(32, 256), Some(false)),
            // 320 / 64 = 5 channels cannot pass on three colours and their negatives.
            (settings(64, 320), Some(false)),
            (settings(16, 320), None),
        ] {
            let mut counts = Transferred::default();
            let judge = Discriminator::new(&large, &mut Init::new(2, "d", &device));
            transferred_discriminator(judge, &model, &large, &mut counts).unwrap();
            assert_eq!(counts.grown, grown, "{large:?}");
        }
    }
}
