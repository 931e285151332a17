//! Networks for larger images that begin as those for smaller ones (after Karras et al. 2018, who fade
//! new layers in): G generates the same images, enlarged, and D judges images by their reductions.
//!
//! Random new layers would replace what D has learnt to see by noise, and while D learns it again, G
//! loses what it has learnt.

use std::collections::BTreeMap;
use std::f32::consts::SQRT_2;

use super::NetworkSettings;
use super::settings::Architecture;
use crate::error::{Error, Result};
use crate::kernels::Activation;
use crate::tensorfile::{Data, HostTensor, TensorFile};

/// Colours, which the new layers of D pass on.
const COLOURS: usize = 3;
/// Channels that pass them on: a leaky ReLU of a colour and one of its negative, whose difference is
/// linear.
const PAIRS: usize = 2 * COLOURS;

/// Sets the contributions of the blocks of G above `from` pixels to the image to 0, so that it is the
/// enlarged image of the others.
pub fn grow_generator(generator: &mut TensorFile, settings: &NetworkSettings, from: usize) {
    for (index, _) in settings.resolutions().enumerate().filter(|&(_, side)| side > from) {
        for name in ["weight", "bias"] {
            let name = format!("synthesis.blocks.{index}.torgb.{name}");
            if let Some(tensor) = generator.tensors.get_mut(&name) {
                let rows = tensor.shape[0];
                overwrite(tensor, rows, &Values::new());
            }
        }
    }
}

/// The layer that D has at `from` pixels, before it grows.
pub struct FromRgb<'a> {
    /// `[C, 3, 1, 1]`.
    pub weight: &'a HostTensor,
    /// `[C]`.
    pub bias: &'a HostTensor,
}

/// Sets the blocks of D above `from` pixels so that the next block gets what `fromrgb` computes for the
/// reduced image. Channels that are not needed for this keep their initial weights.
///
/// Returns false, and changes nothing, if D has too few channels for it or `fromrgb` does not fit.
///
/// # Errors
/// If D lacks a tensor.
pub fn grow_discriminator(
    discriminator: &mut TensorFile,
    settings: &NetworkSettings,
    from: usize,
    fromrgb: FromRgb,
) -> Result<bool> {
    let channels = settings.channels(from);
    let new: Vec<usize> = settings.resolutions().filter(|&side| side > from).collect();
    if fromrgb.weight.shape != [channels, COLOURS, 1, 1]
        || fromrgb.bias.shape != [channels]
        || new.iter().any(|&side| settings.channels(side) < PAIRS)
    {
        return Ok(false);
    }
    let residual = settings.architecture == Architecture::Resnet;
    let relu = Activation::LRELU;
    // A block multiplies the result of conv1 by this, after the activation.
    let block_gain = if residual { 1.0 / SQRT_2 } else { 1.0 };
    // f(x) − f(−x) = slope·x for a leaky ReLU with this gain.
    let slope = |gain: f32| gain * (1.0 + relu.slope);
    let mut put = |name: &str, rows: usize, values: &Values| {
        let tensor = discriminator.tensors.get_mut(name);
        let tensor = tensor.ok_or_else(|| Error::internal(format!("D has no tensor {name}")))?;
        overwrite(tensor, rows, values);
        Ok(())
    };

    // From the colours to pairs. Networks divide weights by the root of their number of inputs.
    let root = (COLOURS as f32).sqrt();
    let colours = (0..PAIRS).map(|out| ([out, out % COLOURS, 0, 0], sign(out) * root));
    put("blocks.0.fromrgb.weight", PAIRS, &colours.collect())?;
    // Differences of pairs are the colours times this.
    let mut scale = slope(relu.gain);
    for (index, &side) in new.iter().rev().enumerate() {
        let equalized = ((settings.channels(side) * 9) as f32).sqrt();
        // Weights of an output that is the sum of the colours with these weights.
        let sum = |out: usize, weights: [f32; COLOURS], scale: f32| {
            (0..PAIRS).map(move |pair| {
                ([out, pair, 1, 1], sign(pair) * weights[pair % COLOURS] * equalized / scale)
            })
        };
        let pairs = |scale: f32| -> Values {
            let unit = |out: usize, c: usize| if c == out % COLOURS { sign(out) } else { 0.0 };
            let of = |out: usize| [unit(out, 0), unit(out, 1), unit(out, 2)];
            (0..PAIRS).flat_map(|out| sum(out, of(out), scale)).collect()
        };
        let block = format!("blocks.{index}");
        put(&format!("{block}.conv0.weight"), PAIRS, &pairs(scale))?;
        scale = slope(relu.gain);
        // The block above `from` computes the features that `fromrgb` did.
        let last = side == 2 * from;
        let rows = if last { channels } else { PAIRS };
        if last {
            // Leaky ReLUs commute with positive factors, so the gain can be undone before them.
            let [weight, bias] = [fromrgb.weight, fromrgb.bias].map(HostTensor::to_f32);
            let of = |out: usize| [0, 1, 2].map(|c| weight[out * COLOURS + c] / root / block_gain);
            let sums = (0..channels).flat_map(|out| sum(out, of(out), scale));
            put(&format!("{block}.conv1.weight"), rows, &sums.collect())?;
            let biases = bias.iter().enumerate().map(|(out, b)| ([out, 0, 0, 0], b / block_gain));
            put(&format!("{block}.conv1.bias"), rows, &biases.collect())?;
        } else {
            put(&format!("{block}.conv1.weight"), rows, &pairs(scale))?;
            scale = slope(relu.gain * block_gain);
        }
        if residual {
            put(&format!("{block}.skip.weight"), rows, &Values::new())?;
        }
    }
    Ok(true)
}

/// Elements of a weight by their index `[out, in, y, x]`.
type Values = BTreeMap<[usize; 4], f32>;

/// +1 for the first channel of a pair, −1 for the second.
fn sign(channel: usize) -> f32 {
    if channel < COLOURS { 1.0 } else { -1.0 }
}

/// Replaces the first `rows` rows of a tensor by these values, and 0 elsewhere.
fn overwrite(tensor: &mut HostTensor, rows: usize, values: &Values) {
    let mut data = tensor.to_f32();
    data[..rows * tensor.shape[1..].iter().product::<usize>()].fill(0.0);
    for (place, value) in values {
        let at = tensor.shape.iter().zip(place).fold(0, |at, (extent, i)| at * extent + i);
        data[at] = *value;
    }
    tensor.data = Data::F32(data);
}
