//! The probe: a network that reads attributes from images, trained on fresh renders.

use std::ops::Range;
use std::path::{Path, PathBuf};

use burn::module::Module;
use burn::tensor::activation::log_softmax;
use burn::tensor::{Device, Tensor, TensorData};
use data_encoding::HEXLOWER;
use rand::Rng;
use rayon::prelude::*;
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::truth::{Heads, Tally, claims};
use crate::data::synth::{Bird, Colour, Part, part_mask, render};
use crate::draws;
use crate::error::{Error, Result, positive};
use crate::evaluation::EvaluationContext;
use crate::evaluation::features::CHUNK;
use crate::kernels::{self, Activation};
use crate::nn::params::{self, NamedGradients, to_vec};
use crate::nn::residual::{ACT, ResidualBlock};
use crate::nn::{Adam, AdamSettings, GroupNorm, Init, PlainConv, PlainLinear, resample};
use crate::picture;
use crate::tensorfile::TensorFile;
use crate::train::schedule::half_cosine;

/// Larger images are downscaled to this side, at which all parts remain distinguishable.
const SIDE: usize = 32;
/// Number of parts that a pixel may show.
const PARTS: usize = Part::ALL.len();
/// Output maps at full resolution: a logit for each part and a score for each colour.
const MAPS: usize = PARTS + Colour::ALL.len();
/// Prefix of the network's tensors in its cache file.
const PREFIX: &str = "probe";
/// Number of renders whose pixels identify the renderer in the name of the cache file.
const FINGERPRINTS: u64 = 16;

/// Training settings of the probe.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ProbeSettings {
    /// Number of training renders, in thousands.
    pub kimg: f64,
    /// Number of passes over the renders.
    pub epochs: usize,
    /// Batch size.
    pub batch: usize,
    /// Initial learning rate; it decays to 0 along a cosine.
    pub lr: f64,
    /// Adam's constants.
    pub adam: AdamSettings,
    /// Channels after the stem; each of the next two blocks doubles them.
    pub channels: usize,
    /// Weight of the part segmentation loss, relative to 1 for each attribute.
    pub parts: f64,
    /// Largest standard deviation of the noise added to an image in `[-1, 1]`.
    pub noise: f32,
    /// Largest change of an image's brightness and contrast.
    pub jitter: f32,
}

impl Default for ProbeSettings {
    fn default() -> Self {
        Self {
            kimg: 4.0,
            epochs: 6,
            batch: 32,
            lr: 3e-3,
            adam: AdamSettings::PUBLISHED,
            channels: 32,
            parts: 10.0,
            noise: 0.05,
            jitter: 0.05,
        }
    }
}

/// Segments the parts of the bird, then reads the colour of each part from its pixels.
///
/// A stem at half the side, residual blocks (each after a 2×2 average pool) down to 4×4, where a
/// linear layer reads the attributes other than colours, and an upsampling path with skip
/// connections from every level.
#[derive(Module, Debug)]
struct Network {
    stem: PlainConv,
    stem_norm: GroupNorm,
    blocks: Vec<ResidualBlock>,
    /// 1×1 to the width of the stem, one per level.
    levels: Vec<PlainConv>,
    merged: ResidualBlock,
    /// 1×1 to the part and colour maps of 2×2 pixels.
    map: PlainConv,
    others: PlainLinear,
}

/// Outputs of the network for a batch of images.
struct Scores {
    /// Logits of all attributes side by side: `[N, values]`.
    values: Tensor<2>,
    /// Log-probability of each part at each pixel: `[N, parts, side²]`.
    parts: Tensor<3>,
}

impl Network {
    fn new(channels: usize, side: usize, heads: &Heads, init: &mut Init) -> Self {
        let stages = (side.ilog2() as usize).saturating_sub(3);
        let width = |block: usize| channels << block.min(2);
        let others = heads.others().map(|head| heads.spans()[head].len()).sum();
        let features = (side >> (stages + 1)).pow(2) * width(stages);
        Self {
            stem: PlainConv::new([12, channels], 3, false, init),
            stem_norm: GroupNorm::new(channels, init),
            blocks: (0..stages)
                .map(|block| ResidualBlock::new(width(block), width(block + 1), init))
                .collect(),
            levels: (0..=stages)
                .map(|level| PlainConv::new([width(level), channels], 1, true, init))
                .collect(),
            merged: ResidualBlock::new(channels, channels, init),
            map: PlainConv::new([channels, 4 * MAPS], 1, true, init),
            others: PlainLinear::new(features, others, init),
        }
    }

    /// Scores of images `[N, 3, side, side]`.
    fn forward(&self, images: Tensor<4>) -> Scores {
        let [n, c, h, w] = images.dims();
        // 2×2 pixels become channels: no information is lost, and all layers cost a quarter.
        let x = images.reshape([n, c, h / 2, 2, w / 2, 2]).permute([0, 1, 3, 5, 2, 4]);
        let x = self.stem.forward(x.reshape([n, 4 * c, h / 2, w / 2]));
        let mut seen = vec![self.stem_norm.forward(x, ACT)];
        for block in &self.blocks {
            let finer = seen[seen.len() - 1].clone();
            seen.push(block.forward(halved(finer)));
        }
        let last = seen.len() - 1;
        let count = seen[last].dims()[1..].iter().product();
        let coarsest = seen[last].clone().reshape([n, count]);
        let others = self.others.forward(coarsest.into(), Activation::LINEAR).value;

        let mut joined = self.levels[last].forward(seen[last].clone());
        for (level, x) in self.levels.iter().zip(seen).rev().skip(1) {
            joined = kernels::upfirdn2d(joined, &resample::up2()) + level.forward(x);
        }
        let maps = self.map.forward(self.merged.forward(joined));
        let maps = maps.reshape([n, MAPS, 2, 2, h / 2, w / 2]).permute([0, 1, 4, 2, 5, 3]);
        let maps: Tensor<3> = maps.reshape([n, MAPS, h * w]);
        let parts = log_softmax(maps.clone().narrow(1, 0, PARTS), 1);
        // The colour scores of a part are the mean over its pixels, weighted by its probability.
        let first = Part::COLOURED[0] as usize;
        let own = parts.clone().narrow(1, first, Part::COLOURED.len()).exp();
        let share = own.clone() * (own.sum_dim(2) + 1e-3).recip();
        let colours = maps.narrow(1, PARTS, MAPS - PARTS).swap_dims(1, 2);
        let colours = share.matmul(colours).reshape([n, Part::COLOURED.len() * Colour::ALL.len()]);
        Scores { values: Tensor::cat(vec![colours, others], 1), parts }
    }
}

fn halved(x: Tensor<4>) -> Tensor<4> {
    kernels::upfirdn2d(x, &resample::average2())
}

/// A trained network that reads the attributes of synthetic birds from images.
pub struct Probe {
    network: Network,
    heads: Heads,
    /// Seed of the birds that it is tested on.
    held_out: u64,
}

impl Probe {
    /// Loads the probe from the cache, or trains it. `progress` receives the task, the amount done
    /// and the total.
    ///
    /// # Errors
    /// Fails if a setting is out of range.
    pub fn open(
        settings: &ProbeSettings,
        setting: &EvaluationContext,
        progress: impl FnMut(&str, usize, usize),
    ) -> Result<Self> {
        positive("--probe-kimg", settings.kimg)?;
        let (resolution, seed, device) =
            (setting.archive.resolution(), setting.seed, setting.device);
        let kept = match &setting.cache {
            Some(folder) => Some(place(folder, settings, seed, resolution)?),
            None => None,
        };
        let fresh = Self::untrained(settings, seed, resolution, device);
        if let Some(path) = &kept
            && let Ok(file) = TensorFile::read_intact(path)
            && file.is_sealed()
            && let Ok(network) = params::restore(fresh.network.clone(), PREFIX, &file)
        {
            return Ok(Self { network: network.valid(), ..fresh });
        }
        let probe = fresh.train(settings, seed, resolution, device, progress);
        if let Some(path) = &kept {
            let mut file = TensorFile::default();
            params::collect(&probe.network, PREFIX, &mut file);
            // A full or read-only cache must not make the evaluation fail.
            if let Some(folder) = path.parent()
                && std::fs::create_dir_all(folder).is_ok()
            {
                let _ = file.sealed().write(path);
            }
        }
        Ok(probe)
    }

    fn untrained(settings: &ProbeSettings, seed: u64, resolution: usize, device: &Device) -> Self {
        let heads = Heads::new();
        let mut init = Init::new(seed, "attribute_probe", device);
        let network = Network::new(settings.channels, resolution.min(SIDE), &heads, &mut init);
        Self { network, heads, held_out: birds(seed, "probe.held_out") }
    }

    fn train(
        self,
        settings: &ProbeSettings,
        seed: u64,
        resolution: usize,
        device: &Device,
        mut progress: impl FnMut(&str, usize, usize),
    ) -> Self {
        let count = ((settings.kimg * 1000.0) as usize).max(1);
        let birds = birds(seed, "probe.train");
        let mut seen = Renders::default();
        for first in (0..count).step_by(CHUNK) {
            let numbers = first as u64..(first + CHUNK).min(count) as u64;
            seen.draw(&self.heads, birds, numbers, resolution, device);
            progress("rendering birds for the attribute probe", seen.values.len(), count);
        }
        let mut network = self.network.train();
        let mut adam = Adam::new(settings.adam);
        let total = settings.epochs * count;
        let mut done = 0;
        for epoch in 0..settings.epochs {
            let mut rng = draws::stream(seed, "probe.order", epoch as u64);
            let order = draws::permutation(&mut rng, count);
            for batch in order.chunks(settings.batch) {
                let (images, shown, values) = seen.batch(batch, device);
                let mut rng = draws::stream(seed, "probe.augment", done as u64);
                let scores = network.forward(augmented(images, settings, &mut rng));
                let [n, _, pixels] = shown.dims();
                let found = (scores.parts * shown).sum() * (-settings.parts / (n * pixels) as f64);
                let loss = found + cross_entropy(scores.values, &values, &self.heads);
                let gradients = NamedGradients::of(&network, &loss.backward());
                let lr = half_cosine(settings.lr, done as u64, total as f64 / 1000.0);
                network = adam.step(network, gradients, lr);
                done += batch.len();
                progress("training the attribute probe", done, total);
            }
        }
        Self { network: network.valid(), ..self }
    }

    /// The value of every attribute, for each of the images `[N, 3, res, res]` in `[-1, 1]`.
    pub fn read(&self, images: Tensor<4>) -> Vec<Vec<usize>> {
        let scores = self.network.forward(reduced(images)).values;
        let [_, outputs] = scores.dims();
        let best = |row: &[f32], span: &Range<usize>| {
            let score = |&at: &usize| row[span.start + at];
            (0..span.len()).max_by(|a, b| score(a).total_cmp(&score(b))).unwrap_or(0)
        };
        let spans = self.heads.spans();
        to_vec(scores)
            .chunks_exact(outputs)
            .map(|row| spans.iter().map(|span| best(row, span)).collect())
            .collect()
    }

    /// Accuracy on `count` renders that it was not trained on.
    pub fn held_out(&self, count: usize, resolution: usize, device: &Device) -> Tally {
        let mut tally = Tally::new();
        for first in (0..count).step_by(CHUNK) {
            let numbers = first as u64..(first + CHUNK).min(count) as u64;
            let (images, values) = drawn(&self.heads, self.held_out, numbers, resolution, device);
            for (read, values) in self.read(images).iter().zip(&values) {
                tally.add(read, &claims(values));
            }
        }
        tally
    }
}

/// Seed of a set of birds: 64 random bits, so that no archive has the same seed in practice.
fn birds(seed: u64, purpose: &str) -> u64 {
    draws::stream(seed, purpose, 0).random()
}

/// Renders of the birds `numbers` of the set `birds`, and the values of all their attributes.
fn drawn(
    heads: &Heads,
    birds: u64,
    numbers: Range<u64>,
    resolution: usize,
    device: &Device,
) -> (Tensor<4>, Vec<Vec<usize>>) {
    let drawn: Vec<(Vec<u8>, Vec<usize>)> = numbers
        .into_par_iter()
        .map(|number| {
            let bird = Bird::nth(birds, number);
            let values = heads.values(&bird.attributes()).unwrap_or_default();
            (render(&bird, resolution as u32).into_raw(), values)
        })
        .collect();
    let (pixels, values): (Vec<_>, Vec<_>) = drawn.into_iter().unzip();
    (picture::to_tensor(&pixels.concat(), resolution, device), values)
}

/// Training renders at the side at which the probe reads them, with their ground truth.
#[derive(Default)]
struct Renders {
    /// `[N, 3, side, side]` in `[-1, 1]`.
    pixels: Vec<f32>,
    /// The part that each pixel shows: `[N, side²]`.
    parts: Vec<u8>,
    values: Vec<Vec<usize>>,
}

impl Renders {
    /// Adds birds `numbers` of the set `birds`.
    fn draw(
        &mut self,
        heads: &Heads,
        birds: u64,
        numbers: Range<u64>,
        resolution: usize,
        device: &Device,
    ) {
        let (images, values) = drawn(heads, birds, numbers.clone(), resolution, device);
        let images = reduced(images);
        let side = images.dims()[3] as u32;
        let mask = |number| -> Vec<u8> {
            let mask = part_mask(&Bird::nth(birds, number), side);
            mask.into_iter().map(|part| part as u8).collect()
        };
        let masks: Vec<Vec<u8>> = numbers.into_par_iter().map(mask).collect();
        self.pixels.extend(to_vec(images));
        self.parts.extend(masks.concat());
        self.values.extend(values);
    }

    /// A batch: images `[N, 3, side, side]`, one-hot part masks `[N, parts, side²]`, and attribute
    /// values.
    fn batch(&self, which: &[u32], device: &Device) -> (Tensor<4>, Tensor<3>, Vec<Vec<usize>>) {
        let (n, area) = (which.len(), self.parts.len() / self.values.len());
        let side = area.isqrt();
        let mut pixels = Vec::with_capacity(n * 3 * area);
        let mut shown = vec![0f32; n * PARTS * area];
        for (marks, &bird) in shown.chunks_exact_mut(PARTS * area).zip(which) {
            let bird = bird as usize;
            pixels.extend_from_slice(&self.pixels[bird * 3 * area..][..3 * area]);
            let parts = &self.parts[bird * area..][..area];
            parts.iter().enumerate().for_each(|(at, &part)| marks[part as usize * area + at] = 1.0);
        }
        (
            Tensor::from_data(TensorData::new(pixels, [n, 3, side, side]), device),
            Tensor::from_data(TensorData::new(shown, [n, PARTS, area]), device),
            which.iter().map(|&bird| self.values[bird as usize].clone()).collect(),
        )
    }
}

/// Images downscaled to at most [`SIDE`].
fn reduced(mut images: Tensor<4>) -> Tensor<4> {
    while images.dims()[3] > SIDE {
        images = halved(images);
    }
    images
}

/// Augments images by blur, noise, brightness and contrast, because generated images are less sharp
/// than renders.
fn augmented(images: Tensor<4>, settings: &ProbeSettings, rng: &mut impl Rng) -> Tensor<4> {
    let ([n, c, h, w], device) = (images.dims(), images.device());
    let mut each = |low: f32, high: f32| -> Tensor<4> {
        let values: Vec<f32> = (0..n).map(|_| rng.random_range(low..=high).max(0.0)).collect();
        Tensor::from_data(TensorData::new(values, [n, 1, 1, 1]), &device)
    };
    let (jitter, noise) = (settings.jitter, settings.noise);
    // A third of them stay sharp.
    let (soft, grain) = (each(-0.5, 1.0), each(0.0, noise));
    let (gain, light) = (each(1.0 - jitter, 1.0 + jitter), each(0.0, 2.0 * jitter) - jitter);
    let grains = draws::normal(rng, n * c * h * w);
    let grains: Tensor<4> = Tensor::from_data(TensorData::new(grains, [n, c, h, w]), &device);
    let small = kernels::upfirdn2d(images.clone(), &resample::down2());
    let blurred = kernels::upfirdn2d(small, &resample::up2());
    let softened = images.clone() + (blurred - images) * soft;
    softened * gain + light + grains * grain
}

/// Cross-entropy of the true values, summed over the attributes and averaged over the images:
/// scores `[N, values]` → `[1]`.
fn cross_entropy(scores: Tensor<2>, values: &[Vec<usize>], heads: &Heads) -> Tensor<1> {
    let ([n, outputs], device) = (scores.dims(), scores.device());
    let spans = heads.spans();
    let mut marks = vec![0f32; n * outputs];
    for (row, values) in values.iter().enumerate() {
        for (span, value) in spans.iter().zip(values) {
            marks[row * outputs + span.start + value] = 1.0;
        }
    }
    let marks: Tensor<2> = Tensor::from_data(TensorData::new(marks, [n, outputs]), &device);
    let part = |t: &Tensor<2>, span: &Range<usize>| t.clone().narrow(1, span.start, span.len());
    let likely = spans.iter().map(|span| log_softmax(part(&scores, span), 1)).collect();
    (Tensor::cat(likely, 1) * marks).sum() * (-1.0 / n as f64)
}

/// Path of the cache file of the probe. Its name contains a hash of everything it depends on.
fn place(folder: &Path, settings: &ProbeSettings, seed: u64, resolution: usize) -> Result<PathBuf> {
    let settings = serde_json::to_vec(settings)
        .map_err(|e| Error::internal(format!("settings do not serialise: {e}")))?;
    let mut hash = Sha256::new();
    hash.update(&settings);
    hash.update(seed.to_le_bytes());
    hash.update((resolution as u64).to_le_bytes());
    for number in 0..FINGERPRINTS {
        hash.update(render(&Bird::nth(0, number), resolution as u32).as_raw());
    }
    let name = HEXLOWER.encode(&hash.finalize()[..8]);
    Ok(folder.join(format!("attribute-probe-{resolution}-{name}.safetensors")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trained(kimg: f64) -> Probe {
        let settings = ProbeSettings { kimg, batch: 16, channels: 8, ..Default::default() };
        let device = Device::flex();
        Probe::untrained(&settings, 3, 16, &device).train(&settings, 3, 16, &device, |_, _, _| {})
    }

    #[test]
    fn short_training_beats_chance_and_is_reproducible() {
        let device = Device::flex();
        let [one, two] = [trained(0.1), trained(0.1)].map(|p| p.held_out(100, 16, &device));
        assert_eq!(one.row("a").metrics, two.row("a").metrics);
        // Six attributes of 2 to 4 values and one of 6: chance is below 0.4.
        let others = trained(1.6).held_out(100, 16, &device).share(Heads::new().others()).unwrap();
        assert!(others > 0.45, "{others}");
    }

    #[test]
    fn loss_is_zero_for_certain_and_log_of_count_for_uniform_scores() {
        let (heads, device) = (Heads::new(), Device::flex());
        let outputs = heads.spans().last().unwrap().end;
        let values = vec![vec![0; heads.count()]];
        let mut row = vec![0.0; outputs];
        heads.spans().iter().for_each(|span| row[span.start] = 50.0);
        let loss = |row: Vec<f32>| {
            let scores = Tensor::from_data(TensorData::new(row, [1, outputs]), &device);
            to_vec(cross_entropy(scores, &values, &heads))[0]
        };
        assert!(loss(row).abs() < 1e-4);
        // Uniform scores: the sum of the logs of the numbers of values.
        let sum: f32 = heads.spans().iter().map(|span| (span.len() as f32).ln()).sum();
        assert!((loss(vec![0.0; outputs]) - sum).abs() < 1e-3);
    }
}
