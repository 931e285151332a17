//! Do edits say what was asked, and what do they cost the picture?

use burn::tensor::Tensor;

use super::features::CHUNK;
use super::text::Judge;
use super::{Row, Setting, Subject, Table};
use crate::error::Result;
use crate::metrics::image;
use crate::nn::params::to_vec;
use crate::picture;
use crate::systems::LatentSpace;
use crate::systems::guidance::GuidanceSettings;
use crate::systems::requests::Change;
use crate::vision::Perceptual;

/// Pictures that are edited: each takes as many steps as it takes.
const EDITED: usize = 64;

/// How pictures are changed.
#[derive(Clone, Copy)]
enum Way {
    /// Not at all: the inversion.
    Not,
    /// Towards the other caption.
    Text,
    /// Along the difference of the other caption and the picture's own.
    Difference,
}

/// Captioned pictures, each edited towards the caption of another: how the caption that was asked
/// for and the picture's own rank afterwards, and how far the picture is from the original. The
/// inversion, which nothing has changed yet, is the control.
///
/// # Errors
/// If a model has no encoder, or the optimisation diverges.
pub fn edits(
    subjects: &[Subject],
    judge: &Judge,
    perceptual: &Perceptual,
    setting: &Setting,
    mut progress: impl FnMut(&str, usize, usize),
) -> Result<Table> {
    let places = judge.some(EDITED);
    let mut rows = Vec::new();
    for subject in subjects {
        let Some(space) = subject.text_space() else { continue };
        for (way, name) in [
            (Way::Not, "inversion"),
            (Way::Text, "towards the text"),
            (Way::Difference, "from its own caption to the text"),
        ] {
            let row = row(space, way, judge, &places, perceptual, setting, |done| {
                progress(&format!("editing with {}", subject.name), done, places.len());
            })?;
            rows.push(Row::new(format!("{}, {name}", subject.name), row));
        }
    }
    let GuidanceSettings { strength, preserve, steps, .. } = setting.editing;
    Ok(Table {
        title: "Edits".into(),
        note: format!(
            "{} captioned pictures of `{}`, each edited towards the first caption of another class; \
             strength {strength}, λ {preserve}; mean rank of the caption that was asked for, and of \
             the picture's own, among the candidates of \"Pictures from captions\"; perceptual \
             distance ({}) and mean square error to the picture itself, and perceptual distance to \
             its inversion; edits are preserved by every model's own discriminator; arrived: share \
             that got as far within {steps} steps",
            places.len(),
            setting.split.name(),
            setting.measured_by,
        ),
        rows,
        charts: Vec::new(),
    })
}

fn row(
    space: &dyn LatentSpace,
    way: Way,
    judge: &Judge,
    places: &[usize],
    perceptual: &Perceptual,
    setting: &Setting,
    mut progress: impl FnMut(usize),
) -> Result<Vec<(&'static str, f64)>> {
    let total = |t: Tensor<1>| to_vec(t).iter().map(|&v| f64::from(v)).sum::<f64>();
    let (mut sums, mut pictures, mut done, mut short) = ([0.0; 3], Vec::new(), 0, None);
    for chunk in places.chunks(CHUNK) {
        let indices: Vec<usize> = chunk.iter().map(|&place| judge.index(place)).collect();
        let pixels = setting.archive.pixels(&indices)?;
        let real = picture::to_tensor(&pixels, setting.archive.resolution(), setting.device);
        let codes = space.invert(real.clone());
        let texts = |of: &dyn Fn(usize) -> usize| -> Result<Tensor<3>> {
            let captions: Vec<&str> = chunk.iter().map(|&p| judge.caption(of(p))).collect();
            space.texts(&captions)
        };
        let asked = texts(&|place| judge.other(place))?;
        let change = match way {
            Way::Not => None,
            Way::Text => Some(Change::To(asked)),
            Way::Difference => Some(Change::Between { from: texts(&|place| place)?, to: asked }),
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
    let [asked, own] = judge.ranks_of_edits(pictures, places)?;
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
