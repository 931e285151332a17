//! Evaluates text-guided edits: whether the result matches the requested caption, and how much of
//! the original image it changes.

use std::ops::RangeInclusive;

use burn::tensor::Tensor;

use super::features::CHUNK;
use super::text::CaptionScorer;
use super::{EvaluationContext, Row, Subject, Table};
use crate::error::Result;
use crate::metrics::Cloud;
use crate::metrics::image;
use crate::nn::params::to_vec;
use crate::picture;
use crate::systems::TextCodes;
use crate::systems::guidance::GuidanceSettings;
use crate::systems::requests::{Band, Change, TuneSettings, bands};
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
    /// The model with its generator tuned to the images, if it is.
    tuned: Option<Box<dyn TextCodes>>,
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
    // Each image has a tuned generator of its own.
    let together = if setting.tuning.steps > 0 { 1 } else { CHUNK };
    for subject in subjects.iter().filter(|subject| subject.capabilities().edits) {
        let Some(space) = subject.text_codes() else { continue };
        let kinds = kinds(subject.loaded().styles()?.num_ws(), setting);
        let mut tallies: Vec<Tally> = kinds.iter().map(|_| Tally::default()).collect();
        let (mut done, all) = (0, places.len() * (1 + kinds.len()));
        let mut count = |edited: usize| {
            done += edited;
            progress(&format!("editing with {}", subject.name), done, all);
        };
        for chunk in places.chunks(together) {
            let originals = invert(space, scorer, chunk, setting)?;
            count(chunk.len());
            for (kind, tally) in kinds.iter().zip(&mut tallies) {
                tally.edit(space, kind, scorer, &originals, perceptual, setting)?;
                count(chunk.len());
            }
        }
        for (kind, tally) in kinds.iter().zip(tallies) {
            let name = format!("{}, {}", subject.name, kind.name);
            rows.push(Row::new(name, tally.numbers(scorer, &places)?));
        }
    }
    let GuidanceSettings { strength, preserve, steps, .. } = setting.editing;
    let refined = setting.refined();
    let tuned = match setting.tuning.steps {
        0 => String::new(),
        steps => format!("generators tuned to each image in {steps} steps; "),
    };
    Ok(Table {
        title: "Edits".into(),
        note: format!(
            "{} captioned images of `{}`, each edited towards the first caption of an image of \
             another class; {refined}{tuned}strength {strength}, λ {preserve}; mean rank of the \
             requested caption and of the image's own, among the candidates of \"Images from captions\"; \
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
    let codes = setting.invert(space, images.clone())?;
    let tuned = match &setting.tuning {
        TuneSettings { steps: 0, .. } => None,
        settings => Some(space.tuned(images.clone(), codes.clone(), settings, &mut |_| true)?),
    };
    Ok(Originals { places, images, codes, tuned })
}

/// The edits of one kind so far.
#[derive(Default)]
struct Tally {
    /// Feature vectors of the edited images.
    features: Vec<Cloud>,
    /// Sums of the perceptual distance and the squared error to the original, and of the perceptual
    /// distance to the inversion.
    sums: [f64; 3],
    /// Edits that ran out of steps; `None` for the control.
    short: Option<usize>,
}

impl Tally {
    /// Edits some images.
    fn edit(
        &mut self,
        space: &dyn TextCodes,
        kind: &EditKind,
        scorer: &CaptionScorer,
        originals: &Originals,
        perceptual: &Perceptual,
        setting: &EvaluationContext,
    ) -> Result<()> {
        let Originals { places, images: real, codes, tuned } = originals;
        let space = tuned.as_deref().unwrap_or(space);
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
                *self.short.get_or_insert(0) += guided.short();
                picture::as_saved(space.render(guided.codes))
            }
        };
        let total = |t: Tensor<1>| to_vec(t).iter().map(|&v| f64::from(v)).sum::<f64>();
        self.sums[0] += total(perceptual.distances(real.clone(), edited.clone()));
        self.sums[1] += total(image::mse(real.clone(), edited.clone()));
        self.sums[2] += total(perceptual.distances(inverted, edited.clone()));
        self.features.push(scorer.embed(edited)?);
        Ok(())
    }

    /// The row of the table, after the images at `places`.
    fn numbers(self, scorer: &CaptionScorer, places: &[usize]) -> Result<Vec<(&'static str, f64)>> {
        let dim = self.features.first().map_or(1, Cloud::dim);
        let features = self.features.iter().flat_map(|cloud| cloud.values().to_vec()).collect();
        let [asked, own] = scorer.ranks_of_edits(&Cloud::new(features, dim)?, places)?;
        let n = places.len() as f64;
        let mut numbers = vec![
            ("asked_rank", asked),
            ("own_rank", own),
            ("perceptual", self.sums[0] / n),
            ("mse", self.sums[1] / n),
            ("from_inversion", self.sums[2] / n),
        ];
        numbers.extend(self.short.map(|short| ("arrived", 1.0 - short as f64 / n)));
        Ok(numbers)
    }
}
