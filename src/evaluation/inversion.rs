//! Evaluates GAN inversion: reconstruction error, and overlap of the encoder's codes with the
//! generator's (paper Figs. 8, 9).

use std::time::{Duration, Instant};

use ::image::RgbImage;
use burn::tensor::{Tensor, TensorData};
use rayon::prelude::*;

use super::features::CHUNK;
use super::quality::distances;
use super::{EvaluationContext, FeatureExtractor, Row, Subject, Table};
use crate::data::Split;
use crate::error::{Error, Result};
use crate::metrics::Cloud;
use crate::metrics::energy::energy_distance_unbiased;
use crate::metrics::fidelity::Fidelity;
use crate::metrics::frechet::{Gaussian, frechet_distance};
use crate::metrics::overlap::separability;
use crate::nn::params::to_vec;
use crate::picture;
use crate::systems::encoding::encode;
use crate::systems::requests::{ProjectSettings, ProjectStart};
use crate::vision::Perceptual;

/// Number of freshly sampled w for the cycle error.
const CYCLED: usize = 1024;
/// Number of images in the grid of images and inversions.
const SHOWN: usize = 12;
/// Number of projected images; a projection takes many steps.
const PROJECTED: usize = 32;

fn pictures(setting: &EvaluationContext, indices: &[usize]) -> Result<Tensor<4>> {
    let pixels = setting.archive.pixels(indices)?;
    Ok(picture::to_tensor(&pixels, setting.archive.resolution(), setting.device))
}

/// The measures that compare images with their reconstructions, in pairs and as sets.
pub struct ImageMeasures<'a> {
    /// Compares an image with its reconstruction.
    pub perceptual: &'a Perceptual,
    /// Compares the set of images with the set of reconstructions.
    pub extractor: &'a FeatureExtractor,
}

/// Reconstructs the images at `indices` with `invert`; returns the summed measures and the
/// feature vectors of the reconstructions.
fn fidelity(
    setting: &EvaluationContext,
    indices: &[usize],
    measures: &ImageMeasures,
    mut invert: impl FnMut(&Tensor<4>) -> Result<Tensor<4>>,
) -> Result<(Fidelity, Cloud)> {
    let mut sums = Fidelity::default();
    let seen = measures.extractor.embed(indices.chunks(CHUNK).map(|chunk| {
        let real = pictures(setting, chunk)?;
        let back = picture::as_saved(invert(&real)?);
        sums.add(real, back.clone(), measures.perceptual);
        Ok(back)
    }))?;
    Ok((sums, seen))
}

/// The table "Inversion": reconstruction quality, one row per model, then controls that need no
/// encoder.
///
/// Reconstructions are compared in pairs and as a set: blurred reconstructions may each be close
/// to their image, and yet are far from real images as a set.
///
/// # Errors
/// Fails if a model has no encoder, the split is empty, or images cannot be read.
pub fn reconstruction(
    subjects: &[Subject],
    measures: &ImageMeasures,
    setting: &EvaluationContext,
    projection: Option<Duration>,
    mut progress: impl FnMut(&str, usize, usize),
) -> Result<Table> {
    let indices = held_out(setting)?;
    let real =
        measures.extractor.archive_features(setting, &indices, setting.split.name(), |done| {
            progress("computing features of real images", done, indices.len());
        })?;
    let as_sets = |row: &mut Row, seen: &Cloud| -> Result<()> {
        for (name, value) in distances(&real, seen, measures.extractor, setting.seed)? {
            if name == "kid" || name == measures.extractor.distance_name() {
                row.metrics.set(name, value);
            }
        }
        Ok(())
    };
    let mut rows = Vec::new();
    for subject in subjects {
        let space = subject.latent_space()?;
        let mut done = 0;
        let (sums, seen) = fidelity(setting, &indices, measures, |real| {
            done += real.dims()[0];
            progress(&format!("inverting with {}", subject.name), done, indices.len());
            Ok(space.render(space.invert(real.clone())))
        })?;
        let mut row = Row::new(&*subject.name, sums.numbers());
        as_sets(&mut row, &seen)?;
        row.metrics.set("cycle", space.cycle_error(setting.seed, CYCLED));
        rows.push(row);
    }
    if let Some(first) = subjects.first() {
        let space = first.latent_space()?;
        let average = space.render(space.mean_code());
        let (sums, _) = fidelity(setting, &indices, measures, |real| {
            let [n, c, h, w] = real.dims();
            Ok(average.clone().expand([n, c, h, w]))
        })?;
        let name = match subjects {
            [_] => "G(w_avg)".to_owned(),
            _ => format!("G(w_avg) of {}", first.name),
        };
        rows.push(Row::new(name, sums.numbers()));
    }
    for (mut row, seen) in model_free_controls(setting, &indices, measures, &mut progress)? {
        if let Some(seen) = seen {
            as_sets(&mut row, &seen)?;
        }
        rows.push(row);
    }
    if let Some(budget) = projection {
        let few = setting.archive.some_of(setting.split, PROJECTED);
        for subject in subjects {
            rows.extend(projections(subject, measures, setting, &few, budget, &mut progress)?);
        }
    }
    Ok(Table {
        title: "Inversion".into(),
        note: format!(
            "{} images of `{}`; perceptual: {}; set of reconstructions against set of images: {}; cycle: mean |w - E(G(w))| over {CYCLED} sampled w{}",
            indices.len(),
            setting.split.name(),
            setting.perceptual_note,
            measures.extractor.note(),
            match projection {
                Some(budget) => format!(
                    "; projections use each model's own discriminator, with E alone for comparison: {} of the images, {} s for all of them at once",
                    PROJECTED.min(indices.len()),
                    budget.as_secs_f64()
                ),
                None => String::new(),
            }
        ),
        rows,
        charts: Vec::new(),
    })
}

fn held_out(setting: &EvaluationContext) -> Result<Vec<usize>> {
    let indices = setting.archive.indices_of(setting.split);
    if indices.is_empty() {
        return Err(Error::user(format!("--split {}: no images", setting.split.name()))
            .hint("`cigan data info FILE` lists the splits"));
    }
    Ok(indices)
}

/// Controls without a model: the mean training image, and for each image the training image with
/// the smallest pixel distance.
fn model_free_controls(
    setting: &EvaluationContext,
    indices: &[usize],
    measures: &ImageMeasures,
    progress: &mut impl FnMut(&str, usize, usize),
) -> Result<Vec<(Row, Option<Cloud>)>> {
    let training = setting.archive.indices_of(Split::Train);
    if setting.split == Split::Train || training.is_empty() {
        return Ok(Vec::new());
    }
    let side = setting.archive.resolution();
    let size = 3 * side * side;
    let asked = setting.archive.pixels(indices)?;
    let mut sum = vec![0u64; size];
    // Squared distance and index of the nearest training image so far.
    let mut nearest = vec![(u64::MAX, 0usize); indices.len()];
    let mut done = 0;
    for chunk in training.chunks(CHUNK * 8) {
        let pixels = setting.archive.pixels(chunk)?;
        pixels.chunks_exact(size).for_each(|picture| {
            sum.iter_mut().zip(picture).for_each(|(sum, &v)| *sum += u64::from(v));
        });
        nearest.par_iter_mut().zip(asked.par_chunks_exact(size)).for_each(|(best, asked)| {
            for (picture, &index) in pixels.chunks_exact(size).zip(chunk) {
                let distance = squared(asked, picture);
                if distance < best.0 {
                    *best = (distance, index);
                }
            }
        });
        done += chunk.len();
        progress("searching for the nearest training images", done, training.len());
    }
    let mean: Vec<f32> =
        sum.iter().map(|&s| (s as f64 / training.len() as f64 / 127.5 - 1.0) as f32).collect();
    // The archive stores channels last; tensors have channels first.
    let mean = Tensor::<3>::from_data(TensorData::new(mean, [side, side, 3]), setting.device);
    let mean: Tensor<4> = mean.permute([2, 0, 1]).unsqueeze();
    let mut at = 0;
    let (of_mean, _) = fidelity(setting, indices, measures, |real| {
        let [n, c, h, w] = real.dims();
        Ok(mean.clone().expand([n, c, h, w]))
    })?;
    let (of_nearest, seen) = fidelity(setting, indices, measures, |real| {
        let n = real.dims()[0];
        let found: Vec<usize> = nearest[at..at + n].iter().map(|&(_, index)| index).collect();
        at += n;
        pictures(setting, &found)
    })?;
    Ok(vec![
        // A single image cannot be compared as a set.
        (Row::new("mean training image", of_mean.numbers()), None),
        (Row::new("nearest training image", of_nearest.numbers()), Some(seen)),
    ])
}

fn squared(a: &[u8], b: &[u8]) -> u64 {
    // The sum over 1024 squared 8-bit differences fits into 32 bits.
    a.chunks(1024)
        .zip(b.chunks(1024))
        .map(|(a, b)| {
            let sum: u32 = a.iter().zip(b).map(|(&a, &b)| u32::from(a.abs_diff(b)).pow(2)).sum();
            u64::from(sum)
        })
        .sum()
}

/// Rows for the same images inverted by E alone, and projected for the same time from w_avg and
/// from E(x).
fn projections(
    subject: &Subject,
    measures: &ImageMeasures,
    setting: &EvaluationContext,
    indices: &[usize],
    budget: Duration,
    progress: &mut impl FnMut(&str, usize, usize),
) -> Result<Vec<Row>> {
    let settings = ProjectSettings { steps: usize::MAX - 1, ..setting.projection.clone() };
    let space = subject.latent_space()?;
    let real = pictures(setting, indices)?;
    // A warm-up projection, so that one-time work (compiling and tuning kernels) does not count
    // against the first row.
    space.project(real.clone(), ProjectStart::Encoder, &settings, &mut |step, _| step.index < 2)?;
    let mut rows = Vec::new();
    let (alone, _) =
        fidelity(setting, indices, measures, |real| Ok(space.render(space.invert(real.clone()))))?;
    rows.push(Row::new(format!("{}, E alone on these", subject.name), alone.numbers()));
    for (start, from) in [(ProjectStart::Average, "w_avg"), (ProjectStart::Encoder, "E")] {
        let began = Instant::now();
        let mut steps = 0;
        let mut last = None;
        space.project(real.clone(), start, &settings, &mut |step, images| {
            steps = step.index;
            last = Some(images.clone());
            let spent = began.elapsed().min(budget);
            progress(
                &format!("projecting from {from} with {}", subject.name),
                spent.as_millis() as usize,
                budget.as_millis() as usize,
            );
            spent < budget
        })?;
        let Some(back) = last else { continue };
        let mut sums = Fidelity::default();
        sums.add(real.clone(), picture::as_saved(back), measures.perceptual);
        let clause = settings.space.clause();
        let name = format!("{}, projected from {from}{clause}", subject.name);
        let mut row = Row::new(name, sums.numbers());
        row.metrics.set("steps", steps as f64);
        rows.push(row);
    }
    Ok(rows)
}

/// A grid of reference images (top row) and their inversions G(E(x)) (bottom row).
///
/// # Errors
/// Fails if the model has no encoder, the split is empty, or images cannot be read.
pub fn inversion_grid(subject: &Subject, setting: &EvaluationContext) -> Result<RgbImage> {
    held_out(setting)?;
    let indices = setting.archive.some_of(setting.split, SHOWN);
    let space = subject.latent_space()?;
    let real = pictures(setting, &indices)?;
    let back = space.render(space.invert(real.clone()));
    Ok(picture::tensor_rows(Tensor::cat(vec![real, back], 0), indices.len()))
}

/// Codes of the reference images, and equally many freshly sampled w.
///
/// A W+ code contributes the vector of one layer; the layer advances from image to image. So each
/// image counts once and cannot be in both halves of a classifier's data.
pub struct Clouds {
    /// E(x): `[N, w_dim]`.
    pub inverted: Cloud,
    /// M(z): `[N, w_dim]`.
    pub drawn: Cloud,
}

impl Clouds {
    /// Computes both clouds for one model.
    ///
    /// # Errors
    /// Fails if the model has no encoder, the split is empty, or images cannot be read.
    pub fn of(subject: &Subject, setting: &EvaluationContext) -> Result<Self> {
        let space = subject.latent_space()?;
        let indices = held_out(setting)?;
        let codes = encode(setting.archive, &indices, setting.device, |x| space.invert(x))?;
        let [_, layers, dim] = codes.dims();
        let inverted: Vec<f32> = to_vec(codes)
            .chunks_exact(layers * dim)
            .enumerate()
            .flat_map(|(i, code)| {
                code.chunks_exact(dim).nth(i % layers).unwrap_or_default().to_vec()
            })
            .collect();
        let mut drawn = Vec::new();
        let seeds: Vec<u64> = (0..indices.len() as u64).map(|i| setting.seed + i).collect();
        for seeds in seeds.chunks(CHUNK) {
            drawn.extend(to_vec(space.sample_codes(seeds)));
        }
        Ok(Self { inverted: Cloud::new(inverted, dim)?, drawn: Cloud::new(drawn, dim)? })
    }
}

/// The table "Overlap of the codes": E(x) against M(z), one row per model; two independent sets of
/// M(z) are the control.
///
/// # Errors
/// Fails if a model has no encoder or there are too few images.
pub fn overlap(
    subjects: &[Subject],
    clouds: &[Clouds],
    setting: &EvaluationContext,
) -> Result<Table> {
    let numbers = |x: &Cloud, y: &Cloud| -> Result<[(&'static str, f64); 3]> {
        Ok([
            ("frechet_w", frechet_distance(&Gaussian::of(x)?, &Gaussian::of(y)?)?),
            ("energy", energy_distance_unbiased(x, y)?),
            ("separability", separability(x, y, setting.seed)?),
        ])
    };
    let all = clouds;
    let mut rows = Vec::new();
    for (subject, clouds) in subjects.iter().zip(clouds) {
        rows.push(Row::new(&*subject.name, numbers(&clouds.inverted, &clouds.drawn)?));
    }
    for (i, (subject, clouds)) in subjects.iter().zip(clouds).enumerate() {
        // Models that share a generator sample the same w.
        let same = |before: &Clouds| before.drawn.values() == clouds.drawn.values();
        if all[..i].iter().any(same) {
            continue;
        }
        let space = subject.latent_space()?;
        let count = clouds.drawn.len() as u64;
        let seeds: Vec<u64> = (0..count).map(|i| setting.seed + count + i).collect();
        let other = Cloud::new(to_vec(space.sample_codes(&seeds)), clouds.drawn.dim())?;
        let name = match i {
            0 => "two sets of M(z)".to_owned(),
            _ => format!("two sets of M(z) of {}", subject.name),
        };
        rows.push(Row::new(name, numbers(&other, &clouds.drawn)?));
    }
    Ok(Table {
        title: "Overlap of the codes".into(),
        note: format!(
            "E(x) of the images of `{}` against equally many M(z), w_dim values each (one vector of each W+ code, with the layers in turn): Fréchet distance, energy distance (unbiased), held-out accuracy of a logistic classifier that separates them (0.5 is chance: the sets overlap)",
            setting.split.name()
        ),
        rows,
        charts: Vec::new(),
    })
}
