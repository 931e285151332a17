//! Evaluates whether images show the colour that a prompt names.

use image::RgbImage;

use super::features::CHUNK;
use super::illustrate::illustrate;
use super::{EvaluationContext, Row, Subject, Table};
use crate::error::Result;
use crate::language::balance::most_named;
use crate::language::captions::evaluable;
use crate::metrics::colour::{Colour, prominence, ranks};
use crate::picture::from_tensor;
use crate::report::Metrics;

/// A number for each colour, in the order of [`Colour::ALL`].
type Shares = [f64; Colour::ALL.len()];

/// Wordings of the prompt. `{}` is the colour.
const PROMPTS: [&str; 2] = ["a {} bird", "this bird is {}"];
/// Images per prompt.
const IMAGES: usize = 32;
/// Fewest photographs that a colour needs in the control.
const FEWEST: usize = 3;

/// The table "Colours": for each colour word, whether that colour is more prominent in the images for
/// its prompt than in those for every other colour's prompt.
///
/// The controls are captioned photographs, grouped by the colour that most of their captions name,
/// and chance.
///
/// # Errors
/// Fails if a model does not generate images from text.
pub fn table(
    subjects: &[Subject],
    setting: &EvaluationContext,
    mut progress: impl FnMut(&str, usize, usize),
) -> Result<Table> {
    let mut rows = Vec::new();
    for subject in subjects {
        let mut wordings = Vec::new();
        let what = format!("colours of {}", subject.name);
        for (at, prompt) in PROMPTS.iter().enumerate() {
            let mut groups = Vec::new();
            for colour in Colour::ALL {
                let prompt = prompt.replace("{}", colour.name());
                groups.push((colour, mean(&pictures(subject, &prompt, setting)?)));
                let done = at * Colour::ALL.len() + groups.len();
                progress(&what, done, PROMPTS.len() * Colour::ALL.len());
            }
            wordings.push(groups);
        }
        rows.push(row(subject.name.clone(), &wordings));
    }
    let photographs = photographs(setting)?;
    if photographs.len() > 1 {
        rows.push(row("photographs".into(), std::slice::from_ref(&photographs)));
    }
    let chance = 1.0 / Colour::ALL.len() as f64;
    let mean_rank = (Colour::ALL.len() + 1) as f64 / 2.0;
    rows.push(Row::new("chance", [("own_colour_most", chance), ("mean_rank", mean_rank)]));
    Ok(Table {
        title: "Colours".into(),
        note: format!(
            "{IMAGES} images with the same seeds for each of {} colour words in {} wordings \
             ({}), {}; own_colour_most: share of the prompts whose colour is more \
             prominent in their images than in the images of any other prompt; mean_rank: rank of \
             that prominence among the {0} prompts, 1 is best; each colour: the same share for its \
             wordings. Prominence is the excess of the share of pixels with the colour near the \
             centre over the share near the border; the colour of a pixel is found by CIELAB \
             lightness, chroma and hue. Photographs: those of `{}`, grouped by the colour that most \
             of their captions name, at least {FEWEST} for each",
            Colour::ALL.len(),
            PROMPTS.len(),
            PROMPTS.join(", ").replace("{}", "…"),
            setting.drawn(subjects),
            setting.split.name(),
        ),
        rows,
        charts: Vec::new(),
    })
}

/// The images for a prompt.
fn pictures(subject: &Subject, prompt: &str, setting: &EvaluationContext) -> Result<Vec<RgbImage>> {
    let mut pictures = Vec::new();
    while pictures.len() < IMAGES {
        let count = CHUNK.min(IMAGES - pictures.len());
        let first = setting.seed + pictures.len() as u64;
        let prompts = vec![prompt; count];
        let drawn = illustrate(subject, &prompts, first, setting)?;
        pictures.extend(from_tensor(drawn.images));
    }
    Ok(pictures)
}

/// Captioned photographs of the reference split by the colour that their captions name, with the
/// mean prominence of colours in them.
fn photographs(setting: &EvaluationContext) -> Result<Vec<(Colour, Shares)>> {
    let mut named: Vec<(Colour, Vec<usize>)> =
        Colour::ALL.map(|colour| (colour, Vec::new())).to_vec();
    for index in evaluable(setting.archive, setting.split) {
        if let Some(colour) = main_colour(&setting.archive.images()[index].captions) {
            named[colour as usize].1.push(index);
        }
    }
    named
        .into_iter()
        .filter(|(_, indices)| indices.len() >= FEWEST)
        .map(|(colour, indices)| Ok((colour, mean(&setting.archive.pictures(&indices)?))))
        .collect()
}

/// The colour that most captions of an image name: at least half of them, and more than name any
/// other colour.
fn main_colour(captions: &[String]) -> Option<Colour> {
    let find = |found: &str| {
        let found = found.to_lowercase();
        let is = |colour: &Colour| {
            found == colour.name() || (*colour == Colour::Grey && found == "gray")
        };
        Colour::ALL.iter().position(is)
    };
    most_named(captions, Colour::ALL.len(), find)
        .filter(|&(_, count)| 2 * count >= captions.len())
        .map(|(colour, _)| Colour::ALL[colour])
}

/// Mean prominence of each colour in images.
fn mean(pictures: &[RgbImage]) -> Shares {
    let mut sums = [0.0; Colour::ALL.len()];
    for picture in pictures {
        for (sum, share) in sums.iter_mut().zip(prominence(picture)) {
            *sum += share / pictures.len() as f64;
        }
    }
    sums
}

/// The row of a model, from the groups of each wording.
fn row(name: String, wordings: &[Vec<(Colour, Shares)>]) -> Row {
    let ranked: Vec<(Colour, f64)> = wordings
        .iter()
        .flat_map(|groups| groups.iter().map(|(colour, _)| *colour).zip(ranks(groups)))
        .collect();
    let share = |of: &[&(Colour, f64)]| {
        of.iter().filter(|(_, rank)| *rank == 0.0).count() as f64 / of.len() as f64
    };
    let all: Vec<_> = ranked.iter().collect();
    let mut metrics = Metrics::new();
    metrics.set("own_colour_most", share(&all));
    let sum: f64 = ranked.iter().map(|(_, rank)| rank + 1.0).sum();
    metrics.set("mean_rank", sum / ranked.len() as f64);
    for colour in Colour::ALL {
        let own: Vec<_> = ranked.iter().filter(|(of, _)| *of == colour).collect();
        if !own.is_empty() {
            metrics.set(colour.name(), share(&own));
        }
    }
    Row { name, metrics }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn photographs_belong_to_the_colour_of_most_captions() {
        let of = |captions: &[&str]| {
            main_colour(&captions.iter().map(|&text| text.to_owned()).collect::<Vec<_>>())
        };
        assert_eq!(of(&["A Gray bird.", "a grey-winged bird"]), Some(Colour::Grey));
        assert_eq!(of(&["a bird with reddish wings"]), None);
        assert_eq!(of(&["a blue bird", "it has a white belly"]), None);
        assert_eq!(of(&["blue and white", "a blue bird", "a bird"]), Some(Colour::Blue));
        assert_eq!(of(&["a small bird", "a blue, chubby bird"]), Some(Colour::Blue));
        assert_eq!(of(&["a small bird", "a blue, chubby bird", "a bird"]), None);
        assert_eq!(of(&[]), None);
    }

    #[test]
    fn a_row_counts_wordings_by_colour() {
        let group = |colour: Colour, red: f64, blue: f64| {
            let mut prominence = [0.0; Colour::ALL.len()];
            (prominence[Colour::Red as usize], prominence[Colour::Blue as usize]) = (red, blue);
            (colour, prominence)
        };
        let good = vec![group(Colour::Red, 0.4, 0.1), group(Colour::Blue, 0.2, 0.3)];
        let bad = vec![group(Colour::Red, 0.1, 0.1), group(Colour::Blue, 0.2, 0.3)];
        let row = row("model".into(), &[good, bad]);
        let get = |name: &str| row.metrics.get(name);
        assert_eq!(get("own_colour_most"), Some(0.75));
        assert_eq!(get("mean_rank"), Some(1.25));
        assert_eq!((get("red"), get("blue"), get("grey")), (Some(0.5), Some(1.0), None));
    }
}
