//! Evaluates text-guided edits: whether the result matches the requested caption, and how much of
//! the original image it changes.

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
use crate::systems::requests::Change;
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
        for (mode, name) in [
            (EditMode::Inversion, "inversion"),
            (EditMode::Text, "towards the text"),
            (EditMode::Difference, "from its own caption to the text"),
        ] {
            let row = row(space, mode, scorer, &places, perceptual, setting, |done| {
                progress(&format!("editing with {}", subject.name), done, places.len());
            })?;
            rows.push(Row::new(format!("{}, {name}", subject.name), row));
        }
    }
    let GuidanceSettings { strength, preserve, steps, .. } = setting.editing;
    Ok(Table {
        title: "Edits".into(),
        note: format!(
            "{} captioned images of `{}`, each edited towards the first caption of an image of \
             another class; strength {strength}, λ {preserve}; mean rank of the requested caption \
             and of the image's own, among the candidates of \"Images from captions\"; perceptual \
             distance ({}) and mean squared error to the original, and perceptual distance to its \
             inversion; the preservation loss uses each model's own discriminator; arrived: share \
             of edits that reached the strength within {steps} steps",
            places.len(),
            setting.split.name(),
            setting.perceptual_note,
        ),
        rows,
        charts: Vec::new(),
    })
}

fn row(
    space: &dyn TextCodes,
    mode: EditMode,
    scorer: &CaptionScorer,
    places: &[usize],
    perceptual: &Perceptual,
    setting: &EvaluationContext,
    mut progress: impl FnMut(usize),
) -> Result<Vec<(&'static str, f64)>> {
    let total = |t: Tensor<1>| to_vec(t).iter().map(|&v| f64::from(v)).sum::<f64>();
    let (mut sums, mut pictures, mut done, mut short) = ([0.0; 3], Vec::new(), 0, None);
    for chunk in places.chunks(CHUNK) {
        let indices: Vec<usize> = chunk.iter().map(|&place| scorer.index(place)).collect();
        let pixels = setting.archive.pixels(&indices)?;
        let real = picture::to_tensor(&pixels, setting.archive.resolution(), setting.device);
        let codes = space.invert(real.clone());
        let texts = |of: &dyn Fn(usize) -> usize| -> Result<Tensor<3>> {
            let captions: Vec<&str> = chunk.iter().map(|&p| scorer.caption(of(p))).collect();
            space.texts(&captions)
        };
        let asked = texts(&|place| scorer.other(place))?;
        let change = match mode {
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
                let guided = space.edit_codes(real.clone(), codes, &change, &setting.editing)?;
                *short.get_or_insert(0) += guided.short();
                picture::as_saved(space.render(guided.codes))
            }
        };
        sums[0] += total(perceptual.distances(real.clone(), edited.clone()));
        sums[1] += total(image::mse(real, edited.clone()));
        sums[2] += total(perceptual.distances(inverted, edited.clone()));
        pictures.push(Ok(edited));
        done += chunk.len();
        progress(done);
    }
    let [asked, own] = scorer.ranks_of_edits(pictures, places)?;
    let n = places.len() as f64;
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
