//! Style (Reed et al. 2016, §5.3): whether the noise that a style encoder reads off images tells which
//! of them have the same background or pose, and not which of them show the same class.

use burn::tensor::Tensor;

use super::features::CHUNK;
use super::text::captioned_reference;
use super::{EvaluationContext, Row, Subject, Table};
use crate::data::{Archive, Split};
use crate::draws;
use crate::error::{Error, Result};
use crate::metrics::Spread;
use crate::metrics::auc::auc;
use crate::metrics::k_means::k_means;
use crate::nn::params::to_vec;
use crate::picture;

/// Parts of the images. Pairs are formed within a part.
const FOLDS: usize = 5;
/// Maximum number of images of a part, all of whose pairs are compared.
const MOST: usize = 600;
/// Fewest images.
const FEWEST: usize = 10;
/// Width of the border whose colour stands for the background, as a fraction of the side.
const BORDER: f64 = 0.1;
/// Most groups of background colours, and fewest images for each.
const GROUPS: (usize, usize) = (100, 10);
/// Known attributes of synthetic birds that are style.
const STYLES: [&str; 3] = ["pose", "facing", "background"];
/// A known attribute of synthetic birds that is content, for archives without classes.
const CONTENT: &str = "belly";

/// Images in groups.
struct Grouping {
    name: &'static str,
    /// Name of the column with the deviation.
    deviation: &'static str,
    /// The group of each image.
    groups: Vec<usize>,
}

/// Checks that a split has enough images.
///
/// # Errors
/// If it has too few, or no captions.
pub fn check_archive(archive: &Archive, split: Split) -> Result<()> {
    let found = captioned_reference(archive, split)?.len();
    if found >= FEWEST {
        return Ok(());
    }
    Err(Error::user(format!(
        "--split {}: `style` needs at least {FEWEST} captioned images, found {found}",
        split.name()
    ))
    .hint("choose another --split, or leave `style` out of --metrics"))
}

/// The table "Style": for each grouping of held-out images the probability that a pair of the same
/// group has a larger cosine than a pair of different groups.
///
/// The controls are the vectors of captions, which do not say style, and the colour of the border.
///
/// # Errors
/// Fails if a model reads no styles, or if images cannot be read.
pub fn table(
    subjects: &[Subject],
    setting: &EvaluationContext,
    mut progress: impl FnMut(&str, usize, usize),
) -> Result<Table> {
    let indices = chosen(setting)?;
    let colours = borders(setting.archive, &indices)?;
    let (groupings, clusters) = groupings(setting, &indices, &colours);
    let captions: Vec<&str> =
        indices.iter().map(|&i| setting.archive.images()[i].captions[0].as_str()).collect();
    let mut rows = Vec::new();
    for subject in subjects {
        let reader = subject.loaded().style_reader()?;
        let mut styles = Vec::new();
        for chunk in indices.chunks(CHUNK) {
            let pixels = setting.archive.pixels(chunk)?;
            let side = setting.archive.resolution();
            let images = picture::to_tensor(&pixels, side, setting.device);
            styles.extend(rows_of(reader.styles(images)));
            progress(&format!("styles of {}", subject.name), styles.len(), indices.len());
        }
        rows.push(row(subject.name.clone(), &groupings, |a, b| cosine(&styles[a], &styles[b])));
    }
    if let Some(subject) = subjects.first() {
        let space = subject.loaded().noise_space()?;
        let mut texts = Vec::new();
        for chunk in captions.chunks(CHUNK) {
            texts.extend(rows_of(space.read(chunk)?));
        }
        rows.push(row("captions", &groupings, |a, b| cosine(&texts[a], &texts[b])));
    }
    rows.push(row("border colour", &groupings, |a, b| {
        let square = |i: usize| (colours[a][i] - colours[b][i]).powi(2);
        -(0..3).map(square).sum::<f64>()
    }));
    Ok(Table {
        title: "Style".into(),
        note: format!(
            "{} held-out images of `{}` with captions in {FOLDS} parts; for all pairs of a part, the \
             probability that two images of one group have more similar styles (cosine) than two of \
             different groups: 0.5 is chance, 1 is best. border: {clusters} groups of the mean \
             colour of the outer {:.0} %, by k-means; pose, facing, background: known attributes; \
             class, belly: content, which should be near 0.5. The row `captions` compares the \
             vectors of the captions, the row `border colour` the colours themselves",
            indices.len(),
            setting.split.name(),
            100.0 * BORDER,
        ),
        rows,
        charts: Vec::new(),
    })
}

/// The captioned images of the split in random order; at most [`MOST`] for each part.
fn chosen(setting: &EvaluationContext) -> Result<Vec<usize>> {
    let all = captioned_reference(setting.archive, setting.split)?;
    let rng = &mut draws::stream(setting.seed, "style.folds", 0);
    let order = draws::permutation(rng, all.len());
    Ok(order.iter().take(FOLDS * MOST).map(|&at| all[at as usize]).collect())
}

/// The groupings that an archive has, and the number of groups of background colours.
fn groupings(
    setting: &EvaluationContext,
    indices: &[usize],
    colours: &[[f64; 3]],
) -> (Vec<Grouping>, usize) {
    let images = || indices.iter().map(|&i| &setting.archive.images()[i]);
    let clusters = (indices.len() / GROUPS.1).clamp(2, GROUPS.0);
    let groups = k_means(colours, clusters, setting.seed);
    let mut found = vec![Grouping { name: "border", deviation: "border_std", groups }];
    let numbered = |values: Vec<String>| -> Vec<usize> {
        let mut known = values.clone();
        known.sort_unstable();
        known.dedup();
        values.iter().map(|value| known.partition_point(|other| other < value)).collect()
    };
    let attribute = |name: &str| -> Option<Vec<usize>> {
        images()
            .map(|image| image.attributes.get(name).cloned())
            .collect::<Option<_>>()
            .map(numbered)
    };
    for (name, deviation) in STYLES.into_iter().zip(["pose_std", "facing_std", "background_std"]) {
        found.extend(attribute(name).map(|groups| Grouping { name, deviation, groups }));
    }
    let classes: Option<Vec<usize>> = images().map(|i| Some(i.label? as usize)).collect();
    found.extend(match classes {
        Some(groups) => Some(Grouping { name: "class", deviation: "class_std", groups }),
        None => attribute(CONTENT).map(|groups| Grouping {
            name: CONTENT,
            deviation: "belly_std",
            groups,
        }),
    });
    (found, clusters)
}

/// A row with the mean and the deviation over the parts, for each grouping. A part without pairs of
/// both kinds does not count.
fn row(
    name: impl Into<String>,
    groupings: &[Grouping],
    score: impl Fn(usize, usize) -> f64,
) -> Row {
    let mut numbers = Vec::new();
    for Grouping { name, deviation, groups } in groupings {
        let count = groups.len();
        let folds = (0..FOLDS).map(|fold| (fold..count).step_by(FOLDS).collect::<Vec<_>>());
        let areas = folds.filter_map(|fold| {
            let (mut same, mut other) = (Vec::new(), Vec::new());
            for (at, &a) in fold.iter().enumerate() {
                for &b in &fold[at + 1..] {
                    let pairs = if groups[a] == groups[b] { &mut same } else { &mut other };
                    pairs.push(score(a, b));
                }
            }
            auc(&same, &other)
        });
        let areas: Vec<f64> = areas.collect();
        if !areas.is_empty() {
            let spread = Spread::of(&areas);
            numbers.extend([(*name, spread.mean), (*deviation, spread.std)]);
        }
    }
    Row::new(name, numbers)
}

/// The mean colour of the border of each image, from 0 to 255.
fn borders(archive: &Archive, indices: &[usize]) -> Result<Vec<[f64; 3]>> {
    let side = archive.resolution();
    let mut colours = Vec::with_capacity(indices.len());
    for chunk in indices.chunks(CHUNK) {
        let pixels = archive.pixels(chunk)?;
        colours.extend(pixels.chunks(side * side * 3).map(|image| border(image, side)));
    }
    Ok(colours)
}

/// The mean colour of the border of an image `[H, W, 3]`.
fn border(pixels: &[u8], side: usize) -> [f64; 3] {
    let width = ((side as f64 * BORDER).round() as usize).max(1);
    let outside = |at: usize| at < width || at + width >= side;
    let (mut sum, mut count) = ([0.0; 3], 0.0);
    for (at, pixel) in pixels.chunks(3).enumerate() {
        if outside(at / side) || outside(at % side) {
            sum.iter_mut().zip(pixel).for_each(|(sum, value)| *sum += f64::from(*value));
            count += 1.0;
        }
    }
    sum.map(|sum| sum / count)
}

fn rows_of(values: Tensor<2>) -> Vec<Vec<f64>> {
    let size = values.dims()[1];
    let values = to_vec(values);
    values.chunks(size).map(|row| row.iter().map(|v| f64::from(*v)).collect()).collect()
}

fn cosine(a: &[f64], b: &[f64]) -> f64 {
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt().max(1e-12)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_border_excludes_the_middle() {
        // 10×10: the border is one pixel wide.
        let pixel = |at: usize| {
            let (row, column) = (at / 10, at % 10);
            let outside = row == 0 || row == 9 || column == 0 || column == 9;
            if outside { [40, 80, 120] } else { [255; 3] }
        };
        let pixels: Vec<u8> = (0..100).flat_map(pixel).collect();
        assert_eq!(border(&pixels, 10), [40.0, 80.0, 120.0]);
    }

    #[test]
    fn pairs_of_a_part_are_compared_by_group() {
        let groups: Vec<usize> = (0..60).map(|i| i / 5 % 2).collect();
        let grouping = Grouping { name: "pose", deviation: "pose_std", groups: groups.clone() };
        let perfect = |a: usize, b: usize| f64::from(u8::from(groups[a] == groups[b]));
        let of = |score: &dyn Fn(usize, usize) -> f64| {
            let row = row("model", std::slice::from_ref(&grouping), score);
            (row.metrics.get("pose").unwrap(), row.metrics.get("pose_std").unwrap())
        };
        assert_eq!(of(&perfect), (1.0, 0.0));
        assert_eq!(of(&|a, b| -perfect(a, b)), (0.0, 0.0));
        assert_eq!(of(&|_, _| 1.0), (0.5, 0.0));
        // One group has no pairs of different groups.
        let one = Grouping { name: "class", deviation: "class_std", groups: vec![3; 60] };
        assert_eq!(row("model", &[one], |_, _| 1.0).metrics.get("class"), None);
    }

    #[test]
    fn the_cosine_does_not_depend_on_lengths() {
        assert!((cosine(&[1.0, 1.0], &[5.0, 5.0]) - 1.0).abs() < 1e-12);
        assert!((cosine(&[1.0, 0.0], &[0.0, 2.0])).abs() < 1e-12);
        assert_eq!(cosine(&[0.0], &[1.0]), 0.0);
    }
}
