//! Evaluates text-guided edits: whether the result matches the requested caption, and how much of
//! the original image it changes.

use std::ops::RangeInclusive;

use burn::tensor::Tensor;

use super::features::CHUNK;
use super::text::CaptionScorer;
use super::{EvaluationContext, Row, Subject, Table};
use crate::error::Result;
use crate::metrics::image;
use crate::nn::params::to_vec;
use crate::picture;
use crate::systems::TextCodes;
use crate::systems::guidance::GuidanceSettings;
use crate::systems::requests::{Band, Change, ProjectSettings, ProjectStart, bands};
use crate::vision::Perceptual;

/// Number of edited images; each edit is a full optimisation.
const EDITED: usize = 64;

/// How an image is changed.
#[derive(Clone, Copy)]
enum EditMode {
    /// No change: the inversion itself, as the control.
    Inversion,
    /// Towards the code of the requested caption.
    Text,
    /// Along the difference between the codes of the requested caption and the image's own caption.
    Difference,
}

/// An edit of the table.
struct EditKind {
    name: String,
    mode: EditMode,
    /// Layers that may change; all if `None`.
    within: Option<RangeInclusive<usize>>,
}

impl EditKind {
    fn new(mode: EditMode, name: impl Into<String>) -> Self {
        Self { name: name.into(), mode, within: None }
    }
}

/// The edits of a model whose generator has `num_ws` layers.
fn kinds(num_ws: usize, setting: &EvaluationContext) -> Vec<EditKind> {
    let mut kinds = vec![
        EditKind::new(EditMode::Inversion, "inversion"),
        EditKind::new(EditMode::Text, "towards the text"),
        EditKind::new(EditMode::Difference, "from its own caption to the text"),
    ];
    if setting.edit_bands {
        kinds.extend(bands(num_ws).into_iter().map(|Band { name, layers: [first, last] }| {
            let name = format!("towards the text, {name} (layers {first}-{last})");
            EditKind { within: Some(first..=last), ..EditKind::new(EditMode::Text, name) }
        }));
    }
    kinds
}

/// Images to edit.
struct Originals<'a> {
    /// Positions of the images among those of the scorer.
    places: &'a [usize],
    /// The images, `[N, 3, res, res]`.
    images: Tensor<4>,
    /// Their inversions, `[N, layers, dim]`.
    codes: Tensor<3>,
}

/// The table "Edits": captioned images, each edited towards the caption of another image.
///
/// It ranks the requested caption and the image's own caption after the edit, and measures the
/// distance to the original. The unchanged inversion is the control.
///
/// # Errors
/// Fails if a model has no encoder or the optimisation diverges.
pub fn edits(
    subjects: &[Subject],
    scorer: &CaptionScorer,
    perceptual: &Perceptual,
    setting: &EvaluationContext,
    mut progress: impl FnMut(&str, usize, usize),
) -> Result<Table> {
    let places = scorer.some(EDITED);
    let mut rows = Vec::new();
    for subject in subjects.iter().filter(|subject| subject.capabilities().edits) {
        let Some(space) = subject.text_codes() else { continue };
        let mut originals = Vec::new();
        let mut found = 0;
        for chunk in places.chunks(CHUNK) {
            originals.push(invert(space, scorer, chunk, setting)?);
            found += chunk.len();
            progress(&format!("inverting with {}", subject.name), found, places.len());
        }
        for kind in kinds(subject.loaded().styles()?.num_ws(), setting) {
            let row = row(space, &kind, scorer, &originals, perceptual, setting, |done| {
                progress(&format!("editing with {}", subject.name), done, places.len());
            })?;
            rows.push(Row::new(format!("{}, {}", subject.name, kind.name), row));
        }
    }
    let GuidanceSettings { strength, preserve, steps, .. } = setting.editing;
    let refined = match setting.projection {
        ProjectSettings { steps: 0, .. } => String::new(),
        ProjectSettings { steps, space, .. } => {
            format!("inversions refined by {steps} steps of projection{}; ", space.clause())
        }
    };
    Ok(Table {
        title: "Edits".into(),
        note: format!(
            "{} captioned images of `{}`, each edited towards the first caption of an image of \
             another class; {refined}strength {strength}, λ {preserve}; mean rank of the requested \
             caption and of the image's own, among the candidates of \"Images from captions\"; \
             perceptual distance ({}) and mean squared error to the original, and perceptual \
             distance to its inversion; the preservation loss uses each model's own discriminator; \
             arrived: share of edits that reached the strength within {steps} steps",
            places.len(),
            setting.split.name(),
            setting.perceptual_note,
        ),
        rows,
        charts: Vec::new(),
    })
}

/// Inverts the images at `places`.
fn invert<'a>(
    space: &dyn TextCodes,
    scorer: &CaptionScorer,
    places: &'a [usize],
    setting: &EvaluationContext,
) -> Result<Originals<'a>> {
    let indices: Vec<usize> = places.iter().map(|&place| scorer.index(place)).collect();
    let pixels = setting.archive.pixels(&indices)?;
    let images = picture::to_tensor(&pixels, setting.archive.resolution(), setting.device);
    let codes = match &setting.projection {
        ProjectSettings { steps: 0, .. } => space.invert(images.clone()),
        settings => {
            space.project(images.clone(), ProjectStart::Encoder, settings, &mut |_, _| true)?
        }
    };
    Ok(Originals { places, images, codes })
}

fn row(
    space: &dyn TextCodes,
    kind: &EditKind,
    scorer: &CaptionScorer,
    originals: &[Originals],
    perceptual: &Perceptual,
    setting: &EvaluationContext,
    mut progress: impl FnMut(usize),
) -> Result<Vec<(&'static str, f64)>> {
    let total = |t: Tensor<1>| to_vec(t).iter().map(|&v| f64::from(v)).sum::<f64>();
    let (mut sums, mut pictures, mut done, mut short) = ([0.0; 3], Vec::new(), Vec::new(), None);
    for Originals { places, images: real, codes } in originals {
        let texts = |of: &dyn Fn(usize) -> usize| -> Result<Tensor<3>> {
            let captions: Vec<&str> = places.iter().map(|&p| scorer.caption(of(p))).collect();
            space.texts(&captions)
        };
        let asked = texts(&|place| scorer.other(place))?;
        let change = match kind.mode {
            EditMode::Inversion => None,
            EditMode::Text => Some(Change::To(asked)),
            EditMode::Difference => {
                Some(Change::Between { from: texts(&|place| place)?, to: asked })
            }
        };
        let inverted = picture::as_saved(space.render(codes.clone()));
        let edited = match change {
            None => inverted.clone(),
            Some(change) => {
                let (real, codes, within) = (real.clone(), codes.clone(), kind.within.clone());
                let guided = space.edit_codes(real, codes, &change, within, &setting.editing)?;
                *short.get_or_insert(0) += guided.short();
                picture::as_saved(space.render(guided.codes))
            }
        };
        sums[0] += total(perceptual.distances(real.clone(), edited.clone()));
        sums[1] += total(image::mse(real.clone(), edited.clone()));
        sums[2] += total(perceptual.distances(inverted, edited.clone()));
        pictures.push(Ok(edited));
        done.extend_from_slice(places);
        progress(done.len());
    }
    let [asked, own] = scorer.ranks_of_edits(pictures, &done)?;
    let n = done.len() as f64;
    let mut numbers = vec![
        ("asked_rank", asked),
        ("own_rank", own),
        ("perceptual", sums[0] / n),
        ("mse", sums[1] / n),
        ("from_inversion", sums[2] / n),
    ];
    numbers.extend(short.map(|short: usize| ("arrived", 1.0 - short as f64 / n)));
    Ok(numbers)
}
