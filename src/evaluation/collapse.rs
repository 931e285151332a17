//! Mode collapse and failures of samples (after Zhang et al. 2019, §6.5): shares of samples by how much
//! they fail, and a map of samples and real images by t-SNE.

use image::imageops::{FilterType, replace, resize};
use image::{Rgb, RgbImage};

use super::quality::drawn;
use super::subject::samples_note;
use super::{EvaluationContext, FeatureExtractor, Row, Subject, Table};
use crate::data::Split;
use crate::error::Result;
use crate::metrics::Cloud;
use crate::metrics::collapse::{Grade, grades};
use crate::metrics::precision_recall::{NEIGHBOURS, precision_recall};
use crate::metrics::tsne::tsne;
use crate::picture::{self, strip};

/// Maximum number of samples, and of real images.
const MOST: usize = 2048;
/// Cells of the map along each side, for the share of those that samples occupy.
const CELLS: usize = 10;
/// Thumbnails of the map along each side.
const THUMBNAILS: usize = 32;
/// Side of a thumbnail in pixels.
const SIDE: u32 = 20;
/// Samples of each grade that are shown.
const SHOWN: usize = 8;

/// A picture with its caption.
pub type Captioned = (RgbImage, String);

/// The table "Collapse", and for each model a map and samples of each grade if `pictures`. Training
/// images are the control.
///
/// # Errors
/// Fails if images cannot be read or there are too few.
pub fn table(
    subjects: &[Subject],
    extractor: &FeatureExtractor,
    setting: &EvaluationContext,
    pictures: bool,
    mut progress: impl FnMut(&str, usize, usize),
) -> Result<(Table, Vec<Captioned>)> {
    let count = MOST.min(setting.samples);
    let indices = setting.archive.some_of(setting.split, count);
    let count = indices.len();
    let part = format!("{}-spread", setting.split.name());
    let real = extractor.archive_features(setting, &indices, &part, |done| {
        progress("computing features of real images", done, count);
    })?;
    let real_images = match pictures {
        true => thumbnails(setting.archive.pictures(&indices)?),
        false => Vec::new(),
    };
    let (mut rows, mut shown) = (Vec::new(), Vec::new());
    for subject in subjects {
        let (mut images, mut done) = (Vec::new(), 0);
        let sampler = subject.sampler()?;
        let batches = drawn(&*sampler, setting, count).map(|batch| {
            let batch = subject.fitted(batch?)?;
            done += batch.dims()[0];
            progress(&format!("sampling from {}", subject.name), done, count);
            if pictures {
                images.extend(picture::from_tensor(batch.clone()));
            }
            Ok(batch)
        });
        let samples = extractor.embed(batches)?;
        let graded = grades(&real, &samples)?;
        let places = tsne(&[&samples, &real])?;
        let bounds = Bounds::of(&places);
        let mut row = graded_row(subject.name.clone(), &graded);
        row.metrics.set("recall", precision_recall(&real, &samples, NEIGHBOURS)?.recall);
        row.metrics.set("cells", bounds.occupied(&places[0]));
        row.metrics.set("cells_real", bounds.occupied(&places[1]));
        rows.push(row);
        if pictures {
            shown.push((by_grade(&graded, &images), format!("{}: samples by grade", subject.name)));
            let map = [
                ("samples", bounds.map(&places[0], &thumbnails(images))),
                ("real images", bounds.map(&places[1], &real_images)),
            ];
            shown.push((strip(&map, 8), format!("{}: samples and real images", subject.name)));
        }
    }
    rows.extend(training_images(&real, extractor, setting, &mut progress)?);
    let conditions = samples_note(subjects)?;
    Ok((
        Table {
            title: "Collapse".into(),
            note: format!(
                "{count} samples of each model{conditions}, ψ {}, and as many images of `{}`; {}. \
                 The grades are a proxy of grades by people. severe: another sample is nearer than \
                 the first percentile of distances from real images to the nearest other one; \
                 moderate: farther from all real images than 1.5 times the 99th percentile; mild: \
                 farther than the 95th. recall: k = {NEIGHBOURS}. cells: share of {CELLS}×{CELLS} \
                 cells of a t-SNE of both sets that contain a sample, and a real image",
                setting.truncation,
                setting.split.name(),
                extractor.note(),
            ),
            rows,
            charts: Vec::new(),
        },
        shown,
    ))
}

/// Control row of as many training images as real images; `None` if those are training images.
fn training_images(
    real: &Cloud,
    extractor: &FeatureExtractor,
    setting: &EvaluationContext,
    progress: &mut impl FnMut(&str, usize, usize),
) -> Result<Option<Row>> {
    let indices = setting.archive.some_of(Split::Train, real.len());
    if setting.split == Split::Train || indices.len() < 10 {
        return Ok(None);
    }
    let images = extractor.archive_features(setting, &indices, "train-spread", |done| {
        progress("computing features of training images", done, indices.len());
    })?;
    let mut row =
        graded_row(format!("training images ({})", images.len()), &grades(real, &images)?);
    row.metrics.set("recall", precision_recall(real, &images, NEIGHBOURS)?.recall);
    Ok(Some(row))
}

fn graded_row(name: String, grades: &[Grade]) -> Row {
    let share = |of: Grade| {
        grades.iter().filter(|grade| **grade == of).count() as f64 / grades.len() as f64
    };
    let columns = [("severe", Grade::Severe), ("moderate", Grade::Moderate), ("mild", Grade::Mild)];
    Row::new(name, columns.map(|(column, grade)| (column, share(grade))))
}

/// Rows of samples of each grade that occurs, the worst first.
fn by_grade(grades: &[Grade], images: &[RgbImage]) -> RgbImage {
    let of = |(caption, grade): (&str, Grade)| {
        let found = grades.iter().zip(images).filter(|(found, _)| **found == grade);
        let images: Vec<RgbImage> =
            found.take(SHOWN).map(|(_, image)| picture::enlarge_to(image, 64)).collect();
        (!images.is_empty()).then(|| picture::Row { caption: caption.to_owned(), images })
    };
    let all = [
        ("severe", Grade::Severe),
        ("moderate", Grade::Moderate),
        ("mild", Grade::Mild),
        ("good", Grade::Good),
    ];
    picture::rows(&all.into_iter().filter_map(of).collect::<Vec<_>>(), 2)
}

fn thumbnails(images: Vec<RgbImage>) -> Vec<RgbImage> {
    images.iter().map(|image| resize(image, SIDE, SIDE, FilterType::Triangle)).collect()
}

/// The rectangle around all points of a map.
struct Bounds {
    low: [f64; 2],
    size: [f64; 2],
}

impl Bounds {
    fn of(clouds: &[Vec<[f64; 2]>]) -> Self {
        let all = || clouds.iter().flatten();
        let end = |axis: usize, pick: fn(f64, f64) -> f64, start: f64| {
            all().map(|point| point[axis]).fold(start, pick)
        };
        let low = [0, 1].map(|axis| end(axis, f64::min, f64::INFINITY));
        let high = [0, 1].map(|axis| end(axis, f64::max, f64::NEG_INFINITY));
        Self { low, size: [0, 1].map(|axis| (high[axis] - low[axis]).max(f64::MIN_POSITIVE)) }
    }

    /// The column and row of a point in a grid of `cells` × `cells`.
    fn cell(&self, point: &[f64; 2], cells: usize) -> [usize; 2] {
        [0, 1].map(|axis| {
            let place = (point[axis] - self.low[axis]) / self.size[axis];
            ((place * cells as f64) as usize).min(cells - 1)
        })
    }

    /// Share of the cells that contain a point.
    fn occupied(&self, points: &[[f64; 2]]) -> f64 {
        let mut cells = [false; CELLS * CELLS];
        for point in points {
            let [column, row] = self.cell(point, CELLS);
            cells[row * CELLS + column] = true;
        }
        cells.iter().filter(|used| **used).count() as f64 / cells.len() as f64
    }

    /// A map with the first image of each cell.
    fn map(&self, points: &[[f64; 2]], images: &[RgbImage]) -> RgbImage {
        let side = THUMBNAILS as u32 * SIDE;
        let mut map = RgbImage::from_pixel(side, side, Rgb([255; 3]));
        for (point, image) in points.iter().zip(images).rev() {
            let [column, row] = self.cell(point, THUMBNAILS);
            let place = |at: usize| i64::from(at as u32 * SIDE);
            replace(&mut map, image, place(column), place(row));
        }
        map
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_counted_once() {
        let corners = vec![[0.0, 0.0], [10.0, 10.0]];
        let bounds = Bounds::of(&[corners.clone(), vec![[5.0, 5.0]]]);
        assert_eq!(bounds.occupied(&corners), 0.02);
        assert_eq!(bounds.occupied(&[[0.1, 0.1], [0.9, 0.9]]), 0.01);
        assert_eq!(bounds.cell(&[10.0, 0.0], CELLS), [CELLS - 1, 0]);
        // One point alone has no extent.
        assert_eq!(Bounds::of(&[vec![[3.0, 3.0]]]).occupied(&[[3.0, 3.0]]), 0.01);
    }

    #[test]
    fn the_first_image_of_a_cell_is_shown() {
        let bounds = Bounds::of(&[vec![[0.0, 0.0], [1.0, 1.0]]]);
        let image = |value: u8| RgbImage::from_pixel(SIDE, SIDE, Rgb([value; 3]));
        let map = bounds.map(&[[0.0, 0.0], [0.001, 0.0]], &[image(10), image(20)]);
        assert_eq!(map.get_pixel(0, 0).0, [10; 3]);
        assert_eq!(map.get_pixel(SIDE, 0).0, [255; 3]);
    }

    #[test]
    fn rows_hold_the_shares_of_grades() {
        let row = graded_row("m".into(), &[Grade::Severe, Grade::Mild, Grade::Good, Grade::Mild]);
        let get = |name: &str| row.metrics.get(name).unwrap();
        assert_eq!([get("severe"), get("moderate"), get("mild")], [0.25, 0.0, 0.5]);
    }
}
