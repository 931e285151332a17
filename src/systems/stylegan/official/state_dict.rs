//! Conversion between published state dicts and the networks of this crate.

use std::collections::{BTreeMap, BTreeSet};

use super::{discriminator_name, generator_name};
use crate::error::{Error, Result};
use crate::nn::resample;
use crate::settings::Checked;
use crate::shapes::Shapes;
use crate::systems::stylegan::settings::Architecture;
use crate::systems::stylegan::{NetworkSettings, STYLEGAN, shapes};
use crate::tensorfile::{Data, HostTensor, TensorFile, unsupported as unsupported_type};
use crate::weights::unwrapped;

const G_EMA: &str = "G_ema.";
const D: &str = "D.";
/// Prefix of the generator in training, which dumps of whole snapshots contain. It is ignored in
/// favour of the averaged one.
const G: &str = "G.";
const FILTER: &str = "resample_filter";
/// The tensor from which the generator draws, which every generator has.
const FIRST: &str = "synthesis.b4.const";

/// Settings that a state dict does not contain: defaults of the published training code, and keys
/// of the file's metadata that override them.
const MBSTD_GROUP: usize = 4;
const CONV_CLAMP: f32 = 256.0;
const MBSTD_GROUP_KEY: &str = "mbstd_group";
const CONV_CLAMP_KEY: &str = "conv_clamp";
/// The metadata value for an absent setting, as Python writes it.
const NONE: &str = "None";

/// Largest accepted width or number of classes, so that a damaged file does not exhaust the memory.
const LARGEST: usize = 1 << 15;

/// Networks from a published state dict, with this crate's tensor names without prefix, as
/// `params::restore` expects them.
#[derive(Debug, Clone, PartialEq)]
pub struct Imported {
    /// Architecture of the networks.
    pub settings: NetworkSettings,
    /// The averaged generator.
    pub generator: TensorFile,
    /// The discriminator, if the file contains one.
    pub discriminator: Option<TensorFile>,
}

/// Reads a state dict of the published code.
///
/// Sizes are inferred from the shapes. Files from `export` or scripts/convert_stylegan2_pkl.py
/// contain the remaining settings in their metadata. For other files, the defaults of the published
/// code apply: groups of 4 for the minibatch standard deviation, activations clamped to ±256.
///
/// # Errors
/// If this crate does not support the architecture. The message names every tensor that is missing,
/// unknown or of an unexpected shape.
pub fn import(file: &TensorFile) -> Result<Imported> {
    if file.metadata.contains_key(&STYLEGAN.key()) {
        return Err(Error::user("this is a model of cigan already")
            .hint("use it as it is: `cigan info FILE` shows what it contains"));
    }
    check_types(file)?;
    // Integers and booleans are counters and masks, not weights.
    let tensors = file.tensors.iter().filter(|(_, tensor)| tensor.is_float());
    let tensors: Vec<(String, &HostTensor)> =
        tensors.map(|(name, tensor)| (canonical(name), tensor)).collect();
    let prefixed = tensors.iter().any(|(name, _)| name.starts_with(G_EMA));
    let mut generator = BTreeMap::new();
    let mut discriminator = BTreeMap::new();
    let mut unknown_tensors = Vec::new();
    for &(ref name, tensor) in &tensors {
        if let Some(rest) = name.strip_prefix(D) {
            discriminator.insert(rest, tensor);
        } else if let Some(rest) = name.strip_prefix(G_EMA) {
            generator.insert(rest, tensor);
        } else if !prefixed {
            generator.insert(name.as_str(), tensor);
        } else if !name.starts_with(G) {
            unknown_tensors.push(format!("`{name}` is unknown"));
        }
    }
    let prefix = if prefixed { G_EMA } else { "" };
    let mut settings = infer(&generator, &discriminator)?;
    read_metadata(file, &mut settings)?;
    settings.check()?;

    let mut problems = Vec::new();
    let expected = shapes::generator(&settings);
    let generator = import_tensors(&expected, &generator, prefix, generator_name, &mut problems);
    let discriminator = (!discriminator.is_empty()).then(|| {
        let expected = shapes::discriminator(&settings);
        let name = |ours: &str| discriminator_name(ours, settings.resolution);
        import_tensors(&expected, &discriminator, D, name, &mut problems)
    });
    problems.append(&mut unknown_tensors);
    if problems.is_empty() {
        return Ok(Imported { settings, generator, discriminator });
    }
    Err(unsupported(problems.join("; ")))
}

/// Converts networks of `settings`, with this crate's tensor names without prefix, to a state dict
/// with exactly the keys and shapes of the published code, buffers included.
///
/// # Errors
/// If the tensors do not fit the settings.
pub fn export(
    settings: &NetworkSettings,
    generator: &TensorFile,
    discriminator: Option<&TensorFile>,
) -> Result<TensorFile> {
    settings.check()?;
    let mut file = TensorFile::default();
    file.metadata.insert(MBSTD_GROUP_KEY.into(), settings.mbstd_group.to_string());
    let clamp = settings.conv_clamp.map_or(NONE.to_owned(), |clamp| clamp.to_string());
    file.metadata.insert(CONV_CLAMP_KEY.into(), clamp);
    let expected = shapes::generator(settings);
    export_tensors(&expected, generator, G_EMA, generator_name, &mut file)?;
    if let Some(discriminator) = discriminator {
        let expected = shapes::discriminator(settings);
        let name = |ours: &str| discriminator_name(ours, settings.resolution);
        export_tensors(&expected, discriminator, D, name, &mut file)?;
    }
    Ok(file)
}

/// Checks that no weight of the averaged generator or the discriminator has a type that cannot be
/// used, so that the tensor is not called missing.
fn check_types(file: &TensorFile) -> Result<()> {
    let integers = file.tensors.iter().filter(|(_, tensor)| !tensor.is_float());
    let integers = integers.map(|(name, _)| (name, "integer"));
    let others = file.unreadable.iter().map(|(name, dtype)| (name, dtype.as_str()));
    let is_weight = |name: &str| {
        let last = name.rsplit('.').next().unwrap_or_default();
        !canonical(name).starts_with(G)
            && ["weight", "bias", "const", "noise_strength"].contains(&last)
    };
    match integers.chain(others).find(|(name, _)| is_weight(name)) {
        Some((name, dtype)) => Err(unsupported_type(name, dtype)),
        None => Ok(()),
    }
}

/// A name with the prefix that the published code uses. Other programs write it in lower case.
fn canonical(name: &str) -> String {
    for (other, published) in
        [("g_ema.", G_EMA), (G_EMA, G_EMA), ("d.", D), (D, D), ("g.", G), (G, G)]
    {
        if let Some(rest) = name.strip_prefix(other) {
            return format!("{published}{}", unwrapped(rest));
        }
    }
    name.to_owned()
}

/// The error of a file without a generator under the published names.
fn no_generator<'a>(names: impl Iterator<Item = &'a str>) -> Error {
    let prefix = names.into_iter().find_map(|name| name.strip_suffix(FIRST));
    match prefix.filter(|prefix| !prefix.is_empty()) {
        None => unsupported(format!("no generator: there is no tensor `{FIRST}`")),
        Some(prefix) => Error::user(format!(
            "the names of the generator's tensors begin with `{prefix}`"
        ))
        .hint(format!(
            "rename its tensors to begin with `{G_EMA}`, if it is the averaged generator"
        )),
    }
}

/// Reads settings from the metadata.
fn read_metadata(file: &TensorFile, settings: &mut NetworkSettings) -> Result<()> {
    let unknown = |key: &str, value: &str| {
        unsupported(format!("the file's metadata has `{key}` = `{value}`"))
    };
    if let Some(text) = file.metadata.get(MBSTD_GROUP_KEY) {
        let group = text.parse().ok().filter(|group| (1..=LARGEST).contains(group));
        settings.mbstd_group = group.ok_or_else(|| unknown(MBSTD_GROUP_KEY, text))?;
    }
    if let Some(text) = file.metadata.get(CONV_CLAMP_KEY) {
        let clamp = text.parse().ok().filter(|clamp: &f32| *clamp > 0.0);
        settings.conv_clamp = match clamp {
            None if text != NONE => return Err(unknown(CONV_CLAMP_KEY, text)),
            clamp => clamp,
        };
    }
    Ok(())
}

fn unsupported(message: String) -> Error {
    Error::user(message).hint(
        "use a state dict of a stylegan2-ada-pytorch network (generator `skip`, discriminator \
         `resnet` or `orig`), as written by scripts/convert_stylegan2_pkl.py",
    )
}

type Tensors<'a> = BTreeMap<&'a str, &'a HostTensor>;

fn infer(generator: &Tensors, discriminator: &Tensors) -> Result<NetworkSettings> {
    let extent = |name: &str, axis: usize| {
        let tensor = generator
            .get(name)
            .ok_or_else(|| unsupported(format!("no generator: `{name}` is missing")))?;
        match tensor.shape.get(axis) {
            Some(1..=LARGEST) if !tensor.data.is_empty() => Ok(tensor.shape[axis]),
            Some(_) => Err(unsupported(format!("`{name}` has shape {:?}", tensor.shape))),
            None => Err(unsupported(format!(
                "`{name}` has shape {:?}: too few dimensions",
                tensor.shape
            ))),
        }
    };
    let side = |name: &str| {
        let block = name.strip_prefix("synthesis.b")?.split('.').next()?;
        block.parse::<usize>().ok().filter(|side| side.is_power_of_two() && *side >= 4)
    };
    let resolution = generator.keys().filter_map(|name| side(name)).max();
    let resolution = resolution.ok_or_else(|| no_generator(generator.keys().copied()))?;
    let w_dim = extent("synthesis.b4.conv1.affine.weight", 1)?;
    let mapping_layers = (0..100)
        .take_while(|index| generator.contains_key(format!("mapping.fc{index}.weight").as_str()))
        .count();
    let inputs = extent("mapping.fc0.weight", 1)?;
    let (embedded, classes) = if generator.contains_key("mapping.embed.weight") {
        (extent("mapping.embed.weight", 0)?, extent("mapping.embed.weight", 1)?)
    } else {
        (0, 0)
    };
    let mut widths = Vec::new();
    for side in (2..=resolution.ilog2()).map(|log| 1usize << log) {
        widths.push((side, extent(&format!("synthesis.b{side}.conv1.weight"), 0)?));
    }
    let (channel_base, channel_max) = channels(&widths)?;
    let has_skip = discriminator.keys().any(|name| name.contains(".skip."));
    let residual = discriminator.is_empty() || has_skip;
    Ok(NetworkSettings {
        resolution,
        z_dim: inputs.saturating_sub(embedded),
        w_dim,
        classes,
        mapping_layers,
        channel_base,
        channel_max,
        architecture: if residual { Architecture::Resnet } else { Architecture::Orig },
        mbstd_group: MBSTD_GROUP,
        conv_clamp: Some(CONV_CLAMP),
        sentence: None,
    })
}

/// The smallest base and the cap for which channels(side) = min(base/side, cap) gives the widths
/// found.
fn channels(widths: &[(usize, usize)]) -> Result<(usize, usize)> {
    let cap = widths.iter().map(|(_, width)| *width).max().unwrap_or(0);
    let base = widths.iter().map(|(side, width)| side.saturating_mul(*width)).max().unwrap_or(0);
    if widths.iter().all(|(side, width)| (base / side).min(cap) == *width) {
        return Ok((base, cap));
    }
    let found: Vec<_> =
        widths.iter().map(|(side, width)| format!("{width} at {side}×{side}")).collect();
    Err(unsupported(format!(
        "the generator's channels are {}: not min(base/side, max) for any base and max",
        found.join(", ")
    )))
}

/// Renames the tensors `found` to the names that the network `expected`. Tensors that do not fit
/// are added to `problems`.
fn import_tensors(
    expected: &Shapes,
    found: &Tensors,
    prefix: &str,
    published: impl Fn(&str) -> String,
    problems: &mut Vec<String>,
) -> TensorFile {
    let mut ours = TensorFile::default();
    let mut known = BTreeSet::new();
    for (name, shape) in expected.iter() {
        let theirs = published(name);
        match found.get(theirs.as_str()) {
            None => problems.push(format!("`{prefix}{theirs}` is missing")),
            Some(tensor) if tensor.shape != published_shape(name, shape) => {
                problems.push(format!(
                    "`{prefix}{theirs}` has shape {:?}, expected {:?}",
                    tensor.shape,
                    published_shape(name, shape)
                ));
            }
            Some(tensor) => {
                let data = Data::F32(tensor.to_f32());
                ours.tensors.insert(name.clone(), HostTensor { shape: shape.clone(), data });
            }
        }
        known.insert(theirs);
    }
    let filters = filters(known.iter());
    let filter = filter();
    for (name, tensor) in found {
        if filters.contains(*name) {
            // This crate has a fixed filter; with another one, the same weights give other images.
            let same = tensor.shape == filter.shape
                && tensor.to_f32().iter().zip(filter.to_f32()).all(|(a, b)| (a - b).abs() < 1e-6);
            if !same {
                problems.push(format!("`{prefix}{name}` is not the filter [1, 3, 3, 1]"));
            }
        } else if !known.contains(*name) {
            problems.push(format!("`{prefix}{name}` is unknown"));
        }
    }
    ours
}

/// Adds the tensors with their published names, and the filters, to `file`.
fn export_tensors(
    expected: &Shapes,
    ours: &TensorFile,
    prefix: &str,
    published: impl Fn(&str) -> String,
    file: &mut TensorFile,
) -> Result<()> {
    for (name, shape) in expected.iter() {
        let tensor = ours.tensor(name).map_err(|e| e.context("the model"))?;
        if tensor.shape != *shape {
            return Err(Error::user(format!(
                "the model: tensor `{name}` has shape {:?}, expected {shape:?}",
                tensor.shape
            ))
            .hint("the model is damaged; use another copy of it"));
        }
        let shape = published_shape(name, shape);
        let data = tensor.data.clone();
        file.tensors.insert(format!("{prefix}{}", published(name)), HostTensor { shape, data });
    }
    let names: Vec<_> = expected.iter().map(|(name, _)| published(name)).collect();
    for name in filters(names.iter()) {
        file.tensors.insert(format!("{prefix}{name}"), filter());
    }
    Ok(())
}

/// The published shape of a tensor: vectors of length 1 here can be scalars there.
fn published_shape(name: &str, shape: &[usize]) -> Vec<usize> {
    if name.ends_with("noise_strength") { vec![] } else { shape.to_vec() }
}

/// Names of the copies of the resampling filter in the published code, given its names for the
/// tensors of a network. Every convolution except ToRGB and every block except D's last one has a
/// copy.
fn filters<'a>(names: impl Iterator<Item = &'a String>) -> BTreeSet<String> {
    let mut filters = BTreeSet::new();
    for name in names {
        let Some((layer, "weight")) = name.rsplit_once('.') else { continue };
        let Some((block, kind)) = layer.rsplit_once('.') else { continue };
        if matches!(kind, "conv0" | "conv1" | "conv" | "skip" | "fromrgb") {
            filters.insert(format!("{layer}.{FILTER}"));
        }
        if matches!(kind, "conv0" | "conv1") {
            filters.insert(format!("{block}.{FILTER}"));
        }
    }
    filters
}

/// The resampling filter `[4, 4]`.
fn filter() -> HostTensor {
    let taps = resample::TAPS;
    let values = taps.iter().flat_map(|a| taps.map(|b| a * b)).collect();
    HostTensor { shape: vec![4, 4], data: Data::F32(values) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channels_follow_from_base_and_cap() {
        let widths = |base: usize, cap: usize, resolution: u32| -> Vec<_> {
            (2..=resolution.ilog2()).map(|l| (1 << l, (base >> l).min(cap))).collect()
        };
        for (base, cap, resolution) in
            [(16384, 512, 256), (32768, 512, 1024), (32768, 512, 32), (128, 64, 8), (100, 7, 64)]
        {
            let (b, c) = channels(&widths(base, cap, resolution)).unwrap();
            assert_eq!(widths(b, c, resolution), widths(base, cap, resolution));
        }
        // At 32×32 the cap alone sets all widths, so the smallest sufficient base is equivalent.
        assert_eq!(channels(&widths(16384, 512, 256)).unwrap(), (16384, 512));
        assert_eq!(channels(&widths(32768, 512, 32)).unwrap(), (16384, 512));
        assert!(channels(&[(4, 8), (8, 16)]).is_err());
    }
}
