//! Do captions find their pictures, and do pictures made from captions say them?

use burn::tensor::Tensor;

use super::features::CHUNK;
use super::quality::distances;
use super::{Observer, Row, Setting, Subject, Table};
use crate::data::{Archive, Split, spread};
use crate::error::{Error, Result};
use crate::language::captions::captioned;
use crate::metrics::Cloud;
use crate::metrics::diversity::diversity;
use crate::metrics::retrieval::{FOLDS, OTHERS, candidates, cosine, r_precision, rank};
use crate::metrics::similarity::{SimilaritySettings, TextImageSimilarity};
use crate::nn::params::to_vec;
use crate::report::{Chart, Line, Metrics};
use crate::systems::cigan::inversion::codes::encode;
use crate::systems::cigan::text::retrieval::{AT, Retrieval, median};
use crate::systems::cigan::text::train::{CAPTIONS as CAPTIONS_EACH, retrieval};
use crate::systems::guidance::GuidanceSettings;
use crate::systems::{LatentSpace, SampleNoise};
use crate::vision::Perceptual;

/// Captions that diversity is measured on, and pictures of each.
const CAPTIONS: usize = 16;
/// See [`CAPTIONS`].
const PICTURES: usize = 16;

/// The models in whose latent space texts have codes.
fn with_text_codes(subjects: &[Subject]) -> impl Iterator<Item = (&Subject, &dyn LatentSpace)> {
    subjects.iter().filter_map(|subject| Some((subject, subject.text_space()?)))
}

/// Captions and codes of the reference, both ways: one row a model and direction, and chance.
/// Models without codes of texts have no row.
///
/// # Errors
/// If no image of the reference has a caption.
pub fn retrievals(subjects: &[Subject], setting: &Setting) -> Result<Table> {
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
            "{} captioned pictures of `{}` against the first {CAPTIONS_EACH} captions of each, by the distance of T(caption) and E(x)",
            indices.len(),
            setting.split.name(),
        ),
        rows,
        charts: Vec::new(),
    })
}

/// Where the codes of captions lie beside those of their pictures.
///
/// InfoNCE asks only for small distances to the right code *relative* to others, so the t may be
/// farther apart than the w, and elsewhere: `gain` times (t − mean t) is nearest to w − mean w.
///
/// # Errors
/// If a model has no text encoder, or no picture of the reference has a caption.
pub fn codes_of_texts(subjects: &[Subject], setting: &Setting) -> Result<Table> {
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
        title: "Codes of texts".into(),
        note: format!(
            "{} captioned pictures of `{}` and their first captions: root mean square of |E(x) − mean| and |T(caption) − mean|, distance of the means, and the factor of T(caption) − mean that comes nearest to E(x) − mean",
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

/// The captioned pictures of a part of an archive.
///
/// # Errors
/// If there are fewer than two.
pub fn captioned_reference(archive: &Archive, split: Split) -> Result<Vec<usize>> {
    let indices = captioned(archive, split);
    if indices.len() < 2 {
        return Err(Error::user(format!(
            "--split {}: {} of its pictures have captions",
            split.name(),
            indices.len()
        ))
        .hint("`cigan data info FILE` counts them; leave `text` out of --metrics"));
    }
    Ok(indices)
}

/// What says how well pictures agree with their captions. Its observer must be one that no model
/// of the table was trained with.
pub struct Judge<'a> {
    similarity: TextImageSimilarity,
    /// The captioned pictures of the reference.
    indices: Vec<usize>,
    /// The first caption of each of them.
    captions: Vec<&'a str>,
    /// For each of them itself and others of other classes.
    ranked: Vec<Vec<usize>>,
    /// The pictures that the captions belong to.
    real: Cloud,
    /// Captioned pictures that it was fitted on.
    fitted: usize,
    observer: &'a Observer,
    perceptual: &'a Perceptual,
}

impl<'a> Judge<'a> {
    /// Fits the similarity on the captioned training pictures.
    ///
    /// # Errors
    /// If there are too few captions.
    pub fn fit(
        observer: &'a Observer,
        perceptual: &'a Perceptual,
        setting: &Setting<'a>,
        mut progress: impl FnMut(&str, usize, usize),
    ) -> Result<Self> {
        let archive = setting.archive;
        let indices = captioned_reference(setting.archive, setting.split)?;
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
        let classes: Vec<u64> = indices
            .iter()
            .enumerate()
            .map(|(row, &i)| archive.images()[i].label.map_or((1 << 32) + row as u64, u64::from))
            .collect();
        let own: Vec<usize> = (0..indices.len()).collect();
        // No more than every caption has of other classes.
        let alike = |class: &u64| classes.iter().filter(|other| *other == class).count();
        let fewest = classes.iter().map(|class| classes.len() - alike(class)).min().unwrap_or(0);
        let others = OTHERS.min(fewest);
        if others == 0 {
            return Err(Error::user("R-precision: all captioned pictures are of one class")
                .hint("leave `text` out of --metrics, or evaluate another --split"));
        }
        Ok(Self {
            similarity,
            indices: indices.clone(),
            captions: indices.iter().map(|&i| archive.images()[i].captions[0].as_str()).collect(),
            ranked: candidates(&own, &classes, others, setting.seed)?,
            real,
            fitted: training.len(),
            observer,
            perceptual,
        })
    }

    /// R-precision and rank of the caption of each picture; `shift` gives every picture the caption
    /// of another.
    fn judge(&self, pictures: &Cloud, shift: usize) -> Result<Vec<(&'static str, f64)>> {
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

    /// Places of at most `count` captioned pictures, evenly spread.
    pub(super) fn some(&self, count: usize) -> Vec<usize> {
        spread(&(0..self.indices.len()).collect::<Vec<_>>(), count)
    }

    /// The picture at a place, by its index in the archive.
    pub(super) fn index(&self, place: usize) -> usize {
        self.indices[place]
    }

    /// Its first caption.
    pub(super) fn caption(&self, place: usize) -> &'a str {
        self.captions[place]
    }

    /// A place of another class: the first of the other candidates.
    pub(super) fn other(&self, place: usize) -> usize {
        self.ranked[place][1]
    }

    /// Mean rank of the caption of [`other`](Self::other), and of the own one, of edited pictures
    /// (in batches) of `places`. Each is ranked among captions of classes other than its own.
    pub(super) fn ranks_of_edits(
        &self,
        pictures: Vec<Result<Tensor<4>>>,
        places: &[usize],
    ) -> Result<[f64; 2]> {
        let edited = self.observer.look(pictures)?;
        let (texts, edited) = self.similarity.clouds(self.captions.iter().copied(), &edited)?;
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

    /// What the numbers of [`judge`](Self::judge) mean.
    fn note(&self, setting: &Setting) -> String {
        format!(
            "the first caption of {} pictures of `{}`, one picture each, ψ {}; the true caption \
             among {} of other classes, by the cosine of {} and a ridge regression from words \
             fitted on the {} captioned training pictures; mean ± std over {} folds; diversity: \
             mean perceptual distance ({}) of {PICTURES} pictures of a caption, and its share of \
             that of samples at the same ψ; arrived: share of the codes that reached the strength \
             within {} steps",
            self.captions.len(),
            setting.split.name(),
            setting.guidance.truncation,
            self.ranked.first().map_or(0, |ranked| ranked.len().saturating_sub(1)),
            self.observer.note(),
            self.fitted,
            FOLDS.min(self.captions.len()),
            setting.measured_by,
            setting.guidance.steps,
        )
    }

    /// What pictures of a model are worth that it makes from the captions as `setting` says.
    fn row(
        &self,
        name: String,
        subject: &Subject,
        setting: &Setting,
        mut progress: impl FnMut(&str, usize, usize),
    ) -> Result<Row> {
        let (mut done, mut arrived) = (0, None);
        let what = format!("drawing with {name}");
        let batches = self.captions.chunks(CHUNK).enumerate().map(|(chunk, captions)| {
            let first = setting.seed + (chunk * CHUNK) as u64;
            done += captions.len();
            progress(&what, done, self.captions.len());
            let drawn = subject.text_to_image()?.illustrate(captions, first, &setting.guidance)?;
            if let Some(count) = drawn.arrived {
                *arrived.get_or_insert(0) += count;
            }
            Ok(drawn.images)
        });
        let drawn = self.observer.look(batches)?;
        let mut row = Row::new(name, self.judge(&drawn, 0)?);
        for (name, value) in distances(&self.real, &drawn, self.observer, setting.seed)? {
            if matches!(name, "kid" | "fid" | "fsd" | "frechet") {
                row.metrics.set(name, value);
            }
        }
        let (share, value) = diversities(subject, self.perceptual, &self.captions, setting)?;
        row.metrics.set("diversity", value);
        row.metrics.set("diversity_share", share);
        if let Some(count) = arrived {
            row.metrics.set("arrived", count as f64 / self.captions.len() as f64);
        }
        Ok(row)
    }
}

/// Agreement of pictures with the captions that they were made from, beside real pictures and
/// shuffled captions; and how much the pictures of one caption differ.
///
/// # Errors
/// If a model has no text encoder.
pub fn agreement(
    subjects: &[Subject],
    judge: &Judge,
    setting: &Setting,
    mut progress: impl FnMut(&str, usize, usize),
) -> Result<Table> {
    let mut rows = subjects
        .iter()
        .map(|subject| judge.row(subject.name.clone(), subject, setting, &mut progress))
        .collect::<Result<Vec<_>>>()?;
    rows.push(Row::new("real images", judge.judge(&judge.real, 0)?));
    // Far enough that neighbours in the archive, which are often of one class, do not help.
    let shift = (judge.captions.len() / 2).max(1);
    rows.push(Row::new("shuffled captions", judge.judge(&judge.real, shift)?));
    Ok(Table {
        title: "Pictures from captions".into(),
        note: format!(
            "strength {}{}; {}",
            setting.guidance.strength,
            directly(subjects),
            judge.note(setting)
        ),
        rows,
        charts: Vec::new(),
    })
}

/// The same at several strengths: what is won in agreement and lost in diversity along the way.
///
/// # Errors
/// If a model has no text encoder.
pub fn trade(
    subjects: &[Subject],
    strengths: &[f64],
    judge: &Judge,
    setting: &Setting,
    mut progress: impl FnMut(&str, usize, usize),
) -> Result<Table> {
    let mut rows = Vec::new();
    let mut ways = Vec::new();
    for subject in subjects.iter().filter(|subject| subject.capabilities().strength) {
        let mut way = Vec::new();
        for &strength in strengths {
            let guidance = GuidanceSettings { strength, ..setting.guidance.clone() };
            let editing = setting.editing.clone();
            let measured_by = setting.measured_by.clone();
            let at = Setting { guidance, editing, measured_by, cache: None, ..*setting };
            let name = format!("{}, strength {strength}", subject.name);
            let row = judge.row(name, subject, &at, &mut progress)?;
            way.push((strength, row.metrics.clone()));
            rows.push(row);
        }
        ways.push((subject.name.as_str(), way));
    }
    Ok(Table {
        title: "Agreement and diversity along the way".into(),
        note: judge.note(setting),
        rows,
        charts: curves(&ways, &judge.judge(&judge.real, 0)?.into_iter().collect()),
    })
}

/// Agreement and diversity by strength, and one by the other; `real` is what real pictures reach.
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
        chart("diversity, as a share of that of samples", "strength", None, share),
        chart("mean rank of the true caption, by diversity", "diversity share", Some(share), rank),
    ]
}

/// What a table has to say of models that do not move codes.
fn directly(subjects: &[Subject]) -> &'static str {
    let direct = |subject: &Subject| {
        let can = subject.capabilities();
        can.text && !can.strength
    };
    match subjects.iter().any(direct) {
        true => " (text-conditional models draw captions directly)",
        false => "",
    }
}

/// Mean diversity of the pictures of a caption, as a share of that of samples, and itself.
fn diversities(
    subject: &Subject,
    perceptual: &Perceptual,
    captions: &[&str],
    setting: &Setting,
) -> Result<(f64, f64)> {
    let few = captions.len().min(CAPTIONS);
    let mut of_captions = 0.0;
    for (i, caption) in captions[..few].iter().enumerate() {
        let same = vec![*caption; PICTURES];
        let first = setting.seed + (i * PICTURES) as u64;
        let drawn = subject.text_to_image()?.illustrate(&same, first, &setting.guidance)?;
        of_captions += diversity(perceptual, drawn.images)?;
    }
    let sampler = subject.sampler()?;
    let mut of_samples = 0.0;
    for i in 0..few {
        let first = setting.seed + (i * PICTURES) as u64;
        let seeds: Vec<u64> = (first..first + PICTURES as u64).collect();
        let psi = setting.guidance.truncation as f32;
        of_samples += diversity(perceptual, sampler.images(&seeds, psi, SampleNoise::Constant)?)?;
    }
    let few = few as f64;
    Ok((of_captions / of_samples, of_captions / few))
}
