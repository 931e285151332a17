//! The HTML page of an evaluation: its tables, and figures of each model.

use image::RgbImage;

use super::collapse::Captioned;
use super::{EvaluationContext, Subject, Table, inversion, quality};
use crate::error::Result;
use crate::picture;
use crate::report::{Figure, Page};

/// Number of samples shown per model.
const SHOWN: usize = 32;

/// Builds a page with all tables and figures. `maps` has one code plot per model, or is empty;
/// `pictures` are further ones.
///
/// # Errors
/// Fails if images cannot be generated or read.
pub fn page(
    subjects: &[Subject],
    tables: &[Table],
    maps: &[RgbImage],
    pictures: &[Captioned],
    setting: &EvaluationContext,
) -> Result<Page> {
    let mut page = Page::new("Evaluation");
    let reference = format!(
        "{} images of `{}`, archive {}",
        setting.archive.indices_of(setting.split).len(),
        setting.split.name(),
        setting.archive.hash()?
    );
    page.lead(&reference);
    tables.iter().for_each(|table| table.show(&mut page));
    page.section("Images");
    for (i, subject) in subjects.iter().enumerate() {
        let mut figures = Vec::new();
        let sampler = subject.sampler()?;
        if let Some(samples) = quality::drawn(&*sampler, setting, SHOWN).next().transpose()? {
            let png = picture::png::encode(&picture::tensor_rows(samples, 8), &[])?;
            let (name, psi) = (&subject.name, setting.truncation);
            let size = match subject.is_larger() {
                true => format!(" (at {0}×{0})", subject.resolution()),
                false => String::new(),
            };
            figures.push((png, format!("{name}: samples{size}, ψ {psi}")));
        }
        // E reads only images at the resolution of its model.
        if subject.capabilities().inverts && !subject.is_larger() {
            let rows = inversion::inversion_grid(subject, setting)?;
            let png = picture::png::encode(&rows, &[])?;
            figures.push((png, format!("{}: images above their inversions", subject.name)));
        }
        if let Some(map) = maps.get(i) {
            let png = picture::png::encode(map, &[])?;
            figures.push((png, format!("{}: codes, principal components and t-SNE", subject.name)));
        }
        let figures: Vec<Figure> =
            figures.iter().map(|(image, caption)| Figure { image, caption }).collect();
        page.figures(&figures);
    }
    for (picture, caption) in pictures {
        let image = &picture::png::encode(picture, &[])?;
        page.figures(&[Figure { image, caption }]);
    }
    Ok(page)
}
