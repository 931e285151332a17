//! Do captions find their pictures, and do pictures made from captions say them?

use burn::tensor::Tensor;

use super::features::CHUNK;
use super::quality::distances;
use super::{Observer, Row, Setting, Subject, Table};
use crate::data::Split;
use crate::error::{Error, Result};
use crate::guidance::generate::{generate, render, starts};
use crate::inversion::codes::encode;
use crate::metrics::Cloud;
use crate::metrics::diversity::diversity;
use crate::metrics::retrieval::{FOLDS, OTHERS, candidates, cosine, r_precision, rank};
use crate::metrics::similarity::{SimilaritySettings, TextImageSimilarity};
use crate::perceptual::Perceptual;
use crate::text::retrieval::{AT, Retrieval};
use crate::text::train::{captioned, retrieval};

/// Captions that diversity is measured on, and pictures of each.
const CAPTIONS: usize = 16;
/// See [`CAPTIONS`].
const PICTURES: usize = 16;

/// Captions and codes of the reference, both ways: one row a model and direction, and chance.
///
/// # Errors
/// If a model has no text encoder, or no picture of the reference has a caption.
pub fn retrievals(subjects: &[Subject], setting: &Setting) -> Result<Table> {
    let indices = captioned_reference(setting)?;
    let mut rows = Vec::new();
    let mut chance = None;
    for subject in subjects {
        let (encoder, tokenizer) = subject.text()?;
        let codes = encode(setting.archive, &indices, subject.encoder()?, setting.device)?;
        let found = retrieval(setting.archive, &indices, codes, encoder, tokenizer)?;
        for (direction, found) in ["text → image", "image → text"].iter().zip(found) {
            rows.push(recalls(format!("{}, {direction}", subject.name), &found));
            chance = Some(Retrieval::chance(found.candidates));
        }
    }
    rows.extend(chance.map(|chance| recalls("chance".into(), &chance)));
    Ok(Table {
        title: "Retrieval".into(),
        note: format!(
            "{} captioned pictures of `{}` against their captions, by the distance of T(caption) and E(x)",
            indices.len(),
            setting.split.name()
        ),
        rows,
    })
}

fn recalls(name: String, found: &Retrieval) -> Row {
    let mut row = Row::new(name, []);
    for (k, recall) in AT.iter().zip(found.recall) {
        row.metrics.set(format!("r@{k}"), recall);
    }
    row.metrics.set("median_rank", found.median_rank);
    row
}

fn captioned_reference(setting: &Setting) -> Result<Vec<usize>> {
    let indices = captioned(setting.archive, setting.split);
    if indices.len() < 2 {
        return Err(Error::user(format!(
            "--split {}: {} of its pictures have captions",
            setting.split.name(),
            indices.len()
        ))
        .hint("`cigan data info FILE` counts them; leave `text` out of --metrics"));
    }
    Ok(indices)
}

/// Agreement of pictures with the captions that they were made from, by a similarity that no model
/// was trained on, beside real pictures and shuffled captions.
///
/// # Errors
/// If a model has no text encoder, or there are too few captions.
pub fn agreement(
    subjects: &[Subject],
    observer: &Observer,
    perceptual: &Perceptual,
    setting: &Setting,
    mut progress: impl FnMut(&str, usize, usize),
) -> Result<Table> {
    let archive = setting.archive;
    let indices = captioned_reference(setting)?;
    let training = captioned(archive, Split::Train);
    let seen = observer.real(setting, &training, "train-captioned", |done| {
        progress("looking at captioned training pictures", done, training.len());
    })?;
    let pairs = training.iter().enumerate().flat_map(|(row, &i)| {
        archive.images()[i].captions.iter().map(move |caption| (caption.as_str(), row))
    });
    let similarity = TextImageSimilarity::fit(pairs, &seen, SimilaritySettings::default())?;
    let part = format!("{}-captioned", setting.split.name());
    let real = observer.real(setting, &indices, &part, |done| {
        progress("looking at captioned pictures", done, indices.len());
    })?;

    let captions: Vec<&str> =
        indices.iter().map(|&i| archive.images()[i].captions[0].as_str()).collect();
    let classes: Vec<u64> = indices
        .iter()
        .enumerate()
        .map(|(row, &i)| archive.images()[i].label.map_or((1 << 32) + row as u64, |l| l as u64))
        .collect();
    let own: Vec<usize> = (0..indices.len()).collect();
    let others = OTHERS.min(indices.len() - 1);
    let ranked = candidates(&own, &classes, others, setting.seed)?;
    let judged = |pictures: &Cloud, shift: usize| -> Result<Vec<(&'static str, f64)>> {
        let (texts, pictures) = similarity.clouds(captions.iter().copied(), pictures)?;
        let n = pictures.len();
        let of = |q: usize, c: usize| cosine(pictures.row((q + shift) % n), texts.row(c));
        let precision = r_precision(&ranked, FOLDS, of)?;
        let mut ranks: Vec<f64> = (0..n)
            .map(|q| rank(&ranked[q].iter().map(|&c| of(q, c)).collect::<Vec<_>>()) + 1.0)
            .collect();
        ranks.sort_by(f64::total_cmp);
        Ok(vec![
            ("r_precision", precision.mean),
            ("r_precision_std", precision.std),
            ("mean_rank", ranks.iter().sum::<f64>() / n as f64),
            ("median_rank", ranks[n / 2]),
        ])
    };

    let mut rows = Vec::new();
    for subject in subjects {
        let mut done = 0;
        let batches = captions.chunks(CHUNK).enumerate().map(|(chunk, captions)| {
            let first = setting.seed + (chunk * CHUNK) as u64;
            done += captions.len();
            progress(&format!("drawing with {}", subject.name), done, indices.len());
            from_captions(subject, captions, first, setting)
        });
        let drawn = observer.look(batches)?;
        let mut row = Row::new(&*subject.name, judged(&drawn, 0)?);
        for (name, value) in distances(&real, &drawn, observer, setting.seed)? {
            if matches!(name, "kid" | "fid" | "fsd" | "frechet") {
                row.metrics.set(name, value);
            }
        }
        let (share, value) = diversities(subject, perceptual, &captions, setting)?;
        row.metrics.set("diversity", value);
        row.metrics.set("diversity_share", share);
        rows.push(row);
    }
    rows.push(Row::new("real images", judged(&real, 0)?));
    // Far enough that neighbours in the archive, which are often of one class, do not help.
    let shift = (indices.len() / 2).max(1);
    rows.push(Row::new("shuffled captions", judged(&real, shift)?));
    Ok(Table {
        title: "Pictures from captions".into(),
        note: format!(
            "the first caption of {} pictures of `{}`, one picture each, strength {}, ψ {}; the true caption among {others} of other classes, by the cosine of {} and a ridge regression from words fitted on the {} captioned training pictures; mean ± std over {FOLDS} folds; diversity: mean perceptual distance of {PICTURES} pictures of a caption, and its share of that of samples at the same ψ",
            indices.len(),
            setting.split.name(),
            setting.guidance.strength,
            setting.guidance.truncation,
            observer.note(),
            training.len(),
        ),
        rows,
    })
}

/// One picture a caption, from seeds `first`, `first + 1`, …
fn from_captions(
    subject: &Subject,
    captions: &[&str],
    first: u64,
    setting: &Setting,
) -> Result<Tensor<4>> {
    let (encoder, tokenizer) = subject.text()?;
    let codes = encoder.forward(&tokenizer.batch(captions)?, setting.device);
    let seeds: Vec<u64> = (0..captions.len() as u64).map(|i| first + i).collect();
    let guided =
        generate(&subject.generator, codes, &seeds, &setting.guidance, setting.device, |_| true)?;
    Ok(render(&subject.generator, guided.codes))
}

/// Mean diversity of the pictures of a caption, as a share of that of samples, and itself.
fn diversities(
    subject: &Subject,
    perceptual: &Perceptual,
    captions: &[&str],
    setting: &Setting,
) -> Result<(f64, f64)> {
    let layers = subject.encoder()?.layers();
    let few = captions.len().min(CAPTIONS);
    let mut of_captions = 0.0;
    for (i, caption) in captions[..few].iter().enumerate() {
        let same = vec![*caption; PICTURES];
        let first = setting.seed + (i * PICTURES) as u64;
        of_captions += diversity(perceptual, from_captions(subject, &same, first, setting)?)?;
    }
    let mut of_samples = 0.0;
    for i in 0..few {
        let first = setting.seed + (i * PICTURES) as u64;
        let seeds: Vec<u64> = (first..first + PICTURES as u64).collect();
        let psi = setting.guidance.truncation;
        let codes = starts(&subject.generator, &seeds, layers, psi, setting.device);
        of_samples += diversity(perceptual, render(&subject.generator, codes))?;
    }
    let few = few as f64;
    Ok((of_captions / of_samples, of_captions / few))
}
