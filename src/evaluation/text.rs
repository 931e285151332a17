//! Evaluates text alignment: retrieval between captions and images, and agreement of generated
//! images with their captions.

use burn::tensor::Tensor;

use super::features::CHUNK;
use super::illustrate::illustrate;
use super::quality::distances;
use super::{EvaluationContext, FeatureExtractor, Row, Subject, Table};
use crate::data::{Archive, Split, spread};
use crate::error::{Error, Result};
use crate::language::captions::evaluable;
use crate::metrics::Cloud;
use crate::metrics::diversity::diversity;
use crate::metrics::r_precision::{FOLDS, OTHERS, candidates, cosine, r_precision, rank};
use crate::metrics::retrieval::{AT, Retrieval, median};
use crate::metrics::similarity::{SimilaritySettings, TextImageSimilarity};
use crate::nn::params::to_vec;
use crate::report::{Chart, Line, Metrics};
use crate::systems::encoding::encode;
use crate::systems::guidance::GuidanceSettings;
use crate::systems::retrieval::{CAPTIONS as CAPTIONS_EACH, retrieval};
use crate::systems::{SampleNoise, TextCodes};
use crate::vision::Perceptual;

/// Number of captions for the diversity measure.
const CAPTIONS: usize = 16;
/// Number of images per caption for the diversity measure.
const PICTURES: usize = 16;

/// The models with text codes, each with its latent space.
fn with_text_codes(subjects: &[Subject]) -> impl Iterator<Item = (&Subject, &dyn TextCodes)> {
    subjects.iter().filter_map(|subject| Some((subject, subject.text_codes()?)))
}

/// The table "Retrieval": text → image and image → text by code distance, one row per model and
/// direction, with chance as the control. Models without text codes have no row.
///
/// # Errors
/// Fails if fewer than two reference images have captions.
pub fn retrievals(subjects: &[Subject], setting: &EvaluationContext) -> Result<Table> {
    let indices = captioned_reference(setting.archive, setting.split)?;
    let mut rows = Vec::new();
    let mut chance = None;
    for (subject, space) in with_text_codes(subjects) {
        let codes = encode(setting.archive, &indices, setting.device, |x| space.invert(x))?;
        let found = retrieval(setting.archive, &indices, codes, |texts| space.texts(texts))?;
        for (direction, found) in ["text → image", "image → text"].iter().zip(found) {
            rows.push(recalls(format!("{}, {direction}", subject.name), &found));
            chance = Some(Retrieval::chance(found.candidates));
        }
    }
    rows.extend(chance.map(|chance| recalls("chance".into(), &chance)));
    Ok(Table {
        title: "Retrieval".into(),
        note: format!(
            "{} captioned images of `{}` and the first {CAPTIONS_EACH} captions of each, ranked by the distance between T(caption) and E(x)",
            indices.len(),
            setting.split.name(),
        ),
        rows,
        charts: Vec::new(),
    })
}

/// The table "Text codes": spread and offset of the caption codes t relative to the image codes w.
///
/// InfoNCE only makes the distance to the right code small *relative* to others, so the t may
/// differ from the w in scale and mean. `gain` is the factor g that minimises
/// ‖g·(t − mean t) − (w − mean w)‖².
///
/// # Errors
/// Fails if fewer than two reference images have captions, or a caption cannot be encoded.
pub fn codes_of_texts(subjects: &[Subject], setting: &EvaluationContext) -> Result<Table> {
    let indices = captioned_reference(setting.archive, setting.split)?;
    let mut rows = Vec::new();
    for (subject, space) in with_text_codes(subjects) {
        let codes = encode(setting.archive, &indices, setting.device, |x| space.invert(x))?;
        let mut texts = Vec::new();
        for chunk in indices.chunks(CHUNK) {
            let captions: Vec<&str> =
                chunk.iter().map(|&i| setting.archive.images()[i].captions[0].as_str()).collect();
            texts.push(space.texts(&captions)?);
        }
        let rows_of = |t: Tensor<3>| {
            let [n, layers, dim] = t.dims();
            t.reshape([n, layers * dim])
        };
        let (w, t) = (rows_of(codes), rows_of(Tensor::cat(texts, 0)));
        let (w_mean, t_mean) = (w.clone().mean_dim(0), t.clone().mean_dim(0));
        let offset = to_vec((t_mean.clone() - w_mean.clone()).powi_scalar(2).sum())[0];
        let (w, t) = (w - w_mean, t - t_mean);
        let n = indices.len() as f32;
        let sum = |x: Tensor<2>| f64::from(to_vec(x.sum())[0] / n);
        let (ww, tt) = (sum(w.clone() * w.clone()), sum(t.clone() * t.clone()));
        rows.push(Row::new(
            &*subject.name,
            [
                ("spread_w", ww.sqrt()),
                ("spread_t", tt.sqrt()),
                ("offset", f64::from(offset).sqrt()),
                ("gain", sum(w * t) / tt),
            ],
        ));
    }
    Ok(Table {
        title: "Text codes".into(),
        note: format!(
            "{} captioned images of `{}` and their first captions: root mean square of |E(x) − mean| and |T(caption) − mean|, distance of the means, and the factor on T(caption) − mean that fits E(x) − mean best",
            indices.len(),
            setting.split.name()
        ),
        rows,
        charts: Vec::new(),
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

/// Indices of the captioned images of a split.
///
/// # Errors
/// Fails if there are fewer than two.
pub fn captioned_reference(archive: &Archive, split: Split) -> Result<Vec<usize>> {
    let indices = evaluable(archive, split);
    if indices.len() < 2 {
        return Err(Error::user(format!(
            "--split {}: the metric needs at least two captioned images, found {}",
            split.name(),
            indices.len()
        ))
        .hint(
            "count the captions with `cigan data info FILE`, or choose metrics without captions with \
             --metrics",
        ));
    }
    Ok(indices)
}

/// The captions among which that of each of these images is ranked, as positions: its own first, then
/// up to [`OTHERS`] of other classes.
///
/// # Errors
/// Fails if all images belong to one class.
pub fn ranked(archive: &Archive, indices: &[usize], seed: u64) -> Result<Vec<Vec<usize>>> {
    let classes: Vec<u64> = indices
        .iter()
        .enumerate()
        .map(|(row, &i)| archive.images()[i].label.map_or((1 << 32) + row as u64, u64::from))
        .collect();
    let own: Vec<usize> = (0..indices.len()).collect();
    // Every caption needs this many captions of other classes.
    let alike = |class: &u64| classes.iter().filter(|other| *other == class).count();
    let fewest = classes.iter().map(|class| classes.len() - alike(class)).min().unwrap_or(0);
    let others = OTHERS.min(fewest);
    if others == 0 {
        return Err(Error::user("R-precision: all captioned images belong to one class")
            .hint("leave `text` out of --metrics, or evaluate another --split"));
    }
    candidates(&own, &classes, others, seed)
}

/// Scores how well images agree with their captions. Its feature network must be one that no model
/// of the table was trained with.
pub struct CaptionScorer<'a> {
    similarity: TextImageSimilarity,
    /// Archive indices of the captioned reference images.
    indices: Vec<usize>,
    /// First caption of each reference image.
    captions: Vec<&'a str>,
    /// Candidates for each reference image: its own position, then positions of other classes.
    ranked: Vec<Vec<usize>>,
    /// Features of the reference images.
    real: Cloud,
    /// Number of captioned images that the similarity was fitted on.
    fitted: usize,
    extractor: &'a FeatureExtractor,
    perceptual: &'a Perceptual,
}

impl<'a> CaptionScorer<'a> {
    /// Fits the similarity on the captioned training images.
    ///
    /// # Errors
    /// Fails if there are too few captions, or all captioned images belong to one class.
    pub fn fit(
        extractor: &'a FeatureExtractor,
        perceptual: &'a Perceptual,
        setting: &EvaluationContext<'a>,
        mut progress: impl FnMut(&str, usize, usize),
    ) -> Result<Self> {
        let archive = setting.archive;
        let indices = captioned_reference(setting.archive, setting.split)?;
        let training = evaluable(archive, Split::Train);
        let seen = extractor.archive_features(setting, &training, "train-captioned", |done| {
            progress("computing features of captioned training images", done, training.len());
        })?;
        let pairs = training.iter().enumerate().flat_map(|(row, &i)| {
            archive.images()[i].captions.iter().map(move |caption| (caption.as_str(), row))
        });
        let similarity = TextImageSimilarity::fit(pairs, &seen, SimilaritySettings::default())?;
        let part = format!("{}-captioned", setting.split.name());
        let real = extractor.archive_features(setting, &indices, &part, |done| {
            progress("computing features of captioned images", done, indices.len());
        })?;
        let ranked = ranked(archive, &indices, setting.seed)?;
        Ok(Self {
            similarity,
            indices: indices.clone(),
            captions: indices.iter().map(|&i| archive.images()[i].captions[0].as_str()).collect(),
            ranked,
            real,
            fitted: training.len(),
            extractor,
            perceptual,
        })
    }

    /// R-precision and ranks of the captions, given features of one image per caption. A `shift`
    /// above 0 pairs every caption with another image, as a control.
    fn score(&self, pictures: &Cloud, shift: usize) -> Result<Vec<(&'static str, f64)>> {
        let captions = self.captions.iter().copied();
        let (texts, pictures) = self.similarity.clouds(captions, pictures)?;
        let n = pictures.len();
        let of = |q: usize, c: usize| cosine(pictures.row((q + shift) % n), texts.row(c));
        let precision = r_precision(&self.ranked, FOLDS, of)?;
        let mut ranks: Vec<f64> = (0..n)
            .map(|q| rank(&self.ranked[q].iter().map(|&c| of(q, c)).collect::<Vec<_>>()) + 1.0)
            .collect();
        ranks.sort_by(f64::total_cmp);
        Ok(vec![
            ("r_precision", precision.mean),
            ("r_precision_std", precision.std),
            ("mean_rank", ranks.iter().sum::<f64>() / n as f64),
            ("median_rank", median(&ranks)),
        ])
    }

    /// Positions of at most `count` captioned images, evenly spread.
    pub(super) fn some(&self, count: usize) -> Vec<usize> {
        spread(&(0..self.indices.len()).collect::<Vec<_>>(), count)
    }

    /// Archive index of the image at a position.
    pub(super) fn index(&self, place: usize) -> usize {
        self.indices[place]
    }

    /// First caption of the image at a position.
    pub(super) fn caption(&self, place: usize) -> &'a str {
        self.captions[place]
    }

    /// Position of an image of another class: the first of the other candidates.
    pub(super) fn other(&self, place: usize) -> usize {
        self.ranked[place][1]
    }

    /// Feature vectors of images `[N, 3, res, res]`.
    pub(super) fn embed(&self, images: Tensor<4>) -> Result<Cloud> {
        self.extractor.embed([Ok(images)])
    }

    /// Mean ranks of two captions on edited images: the requested one, of
    /// [`other`](Self::other), and the image's own. Each is ranked among captions of classes other
    /// than its own. `edited` holds the feature vectors of edits of the images at `places`.
    pub(super) fn ranks_of_edits(&self, edited: &Cloud, places: &[usize]) -> Result<[f64; 2]> {
        let (texts, edited) = self.similarity.clouds(self.captions.iter().copied(), edited)?;
        let mut sums = [0.0; 2];
        for (row, &place) in places.iter().enumerate() {
            let [asked, own] = [self.other(place), place];
            for (sum, wanted) in sums.iter_mut().zip([asked, own]) {
                let of = |c: usize| cosine(edited.row(row), texts.row(c));
                let candidates: Vec<f64> =
                    self.ranked[wanted].iter().map(|&candidate| of(candidate)).collect();
                *sum += rank(&candidates) + 1.0;
            }
        }
        Ok(sums.map(|sum| sum / places.len() as f64))
    }

    /// Table note that describes the values of [`score`](Self::score).
    fn note(&self, subjects: &[Subject], setting: &EvaluationContext) -> String {
        format!(
            "the first caption of {} images of `{}`, one generated image each, {}; rank of the \
             true caption among {} of other classes, by the cosine between {} and their prediction \
             from words by a ridge regression on the {} captioned training images; mean ± std over \
             {} folds; diversity: mean perceptual distance ({}) between {PICTURES} images of a \
             caption, and its ratio to that of samples at the same ψ; arrived: share of the codes \
             that reached the strength within {} steps",
            self.captions.len(),
            setting.split.name(),
            setting.truncations_and_candidates(subjects),
            self.ranked.first().map_or(0, |ranked| ranked.len().saturating_sub(1)),
            self.extractor.note(),
            self.fitted,
            FOLDS.min(self.captions.len()),
            setting.perceptual_note,
            GuidanceSettings::default().steps,
        )
    }

    /// Generates one image per caption with a model and scores the images.
    fn row(
        &self,
        name: String,
        subject: &Subject,
        setting: &EvaluationContext,
        mut progress: impl FnMut(&str, usize, usize),
    ) -> Result<Row> {
        let (mut done, mut arrived) = (0, None);
        let what = format!("generating with {name}");
        let batches = self.captions.chunks(CHUNK).enumerate().map(|(chunk, captions)| {
            let first = setting.seed + (chunk * CHUNK) as u64;
            done += captions.len();
            progress(&what, done, self.captions.len());
            let drawn = illustrate(subject, captions, first, setting)?;
            if let Some(count) = drawn.arrived {
                *arrived.get_or_insert(0) += count;
            }
            Ok(drawn.images)
        });
        let drawn = self.extractor.embed(batches)?;
        let mut row = Row::new(name, self.score(&drawn, 0)?);
        for (name, value) in distances(&self.real, &drawn, self.extractor, setting.seed)? {
            if matches!(name, "kid" | "fid" | "fsd" | "frechet") {
                row.metrics.set(name, value);
            }
        }
        let (share, value) = diversities(subject, self.perceptual, &self.captions, setting)?;
        row.metrics.set("diversity", value);
        row.metrics.set("diversity_share", share);
        if let Some(count) = arrived {
            row.metrics
                .set("arrived", count as f64 / (self.captions.len() * setting.candidates) as f64);
        }
        Ok(row)
    }
}

/// The table "Images from captions": agreement with the caption, and diversity of the images of
/// one caption. Real images and shuffled captions are the controls.
///
/// # Errors
/// Fails if a model does not generate images from text.
pub fn agreement(
    subjects: &[Subject],
    scorer: &CaptionScorer,
    setting: &EvaluationContext,
    mut progress: impl FnMut(&str, usize, usize),
) -> Result<Table> {
    let mut rows = subjects
        .iter()
        .map(|subject| scorer.row(subject.name.clone(), subject, setting, &mut progress))
        .collect::<Result<Vec<_>>>()?;
    rows.push(Row::new("real images", scorer.score(&scorer.real, 0)?));
    // Neighbours in the archive often share a class, so shift far beyond them.
    let shift = (scorer.captions.len() / 2).max(1);
    rows.push(Row::new("shuffled captions", scorer.score(&scorer.real, shift)?));
    Ok(Table {
        title: "Images from captions".into(),
        note: format!("{}{}", strengths_note(subjects, setting), scorer.note(subjects, setting)),
        rows,
        charts: Vec::new(),
    })
}

/// The table "Agreement and diversity by strength": [`agreement`] at several guidance strengths.
///
/// # Errors
/// Fails if a model does not generate images from text.
pub fn strength_sweep(
    subjects: &[Subject],
    strengths: &[f64],
    scorer: &CaptionScorer,
    setting: &EvaluationContext,
    mut progress: impl FnMut(&str, usize, usize),
) -> Result<Table> {
    let mut rows = Vec::new();
    let mut ways = Vec::new();
    for subject in subjects.iter().filter(|subject| subject.capabilities().strength) {
        let mut way = Vec::new();
        for &strength in strengths {
            let at = EvaluationContext {
                strength: Some(strength),
                editing: setting.editing.clone(),
                projection: setting.projection.clone(),
                tuning: setting.tuning.clone(),
                perceptual_note: setting.perceptual_note.clone(),
                cache: None,
                ..*setting
            };
            let name = format!("{}, strength {strength}", subject.name);
            let row = scorer.row(name, subject, &at, &mut progress)?;
            way.push((strength, row.metrics.clone()));
            rows.push(row);
        }
        ways.push((subject.name.as_str(), way));
    }
    Ok(Table {
        title: "Agreement and diversity by strength".into(),
        note: scorer.note(subjects, setting),
        rows,
        charts: curves(&ways, &scorer.score(&scorer.real, 0)?.into_iter().collect()),
    })
}

/// Charts of agreement and diversity against strength, and of agreement against diversity. A
/// horizontal line marks the value of `real` images.
fn curves(ways: &[(&str, Vec<(f64, Metrics)>)], real: &Metrics) -> Vec<Chart> {
    let chart = |title: &str, unit: &str, x: Option<&str>, y: &str| {
        let mut lines: Vec<Line> = ways
            .iter()
            .map(|(name, way)| {
                let at = |(strength, metrics): &(f64, Metrics)| {
                    Some((x.map_or(Some(*strength), |x| metrics.get(x))?, metrics.get(y)?))
                };
                let mut points: Vec<(f64, f64)> = way.iter().filter_map(at).collect();
                points.sort_by(|a, b| a.0.total_cmp(&b.0));
                Line { name: (*name).to_owned(), points }
            })
            .collect();
        if let Some(level) = real.get(y) {
            let along = lines.iter().flat_map(|line| &line.points);
            let mut points: Vec<(f64, f64)> = along.map(|&(x, _)| (x, level)).collect();
            points.sort_by(|a, b| a.0.total_cmp(&b.0));
            lines.push(Line { name: "real images".into(), points });
        }
        Chart { title: title.into(), unit: unit.into(), lines }
    };
    let [rank, share] = ["mean_rank", "diversity_share"];
    vec![
        chart("mean rank of the true caption", "strength", None, rank),
        chart("diversity relative to samples", "strength", None, share),
        chart("mean rank of the true caption by diversity", "diversity share", Some(share), rank),
    ]
}

/// The part of a table note about strengths, which models that draw directly do not have.
fn strengths_note(subjects: &[Subject], setting: &EvaluationContext) -> String {
    let direct = |subject: &Subject| !subject.capabilities().strength;
    let strengths = setting.strengths(subjects);
    match (strengths.is_empty(), subjects.iter().any(direct)) {
        (false, false) => format!("{strengths}; "),
        (false, true) => {
            format!("{strengths} (text-conditional models generate from captions directly); ")
        }
        (true, _) => String::new(),
    }
}

/// Mean diversity of the images for one caption: first relative to that of samples, then absolute.
fn diversities(
    subject: &Subject,
    perceptual: &Perceptual,
    captions: &[&str],
    setting: &EvaluationContext,
) -> Result<(f64, f64)> {
    let few = captions.len().min(CAPTIONS);
    let guidance = setting.guidance(subject);
    let mut of_captions = 0.0;
    for (i, caption) in captions[..few].iter().enumerate() {
        let same = vec![*caption; PICTURES];
        let first = setting.seed + (i * PICTURES) as u64;
        let drawn = illustrate(subject, &same, first, setting)?;
        of_captions += diversity(perceptual, drawn.images)?;
    }
    let sampler = subject.sampler()?;
    let mut of_samples = 0.0;
    for i in 0..few {
        let first = setting.seed + (i * PICTURES) as u64;
        let seeds: Vec<u64> = (first..first + PICTURES as u64).collect();
        let psi = guidance.truncation as f32;
        of_samples += diversity(perceptual, sampler.images(&seeds, psi, SampleNoise::Constant)?)?;
    }
    let few = few as f64;
    Ok((of_captions / of_samples, of_captions / few))
}
