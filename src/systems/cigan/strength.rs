//! The default strength of a model, chosen by measurement once its text encoder is trained.
//!
//! With a larger strength, images show the text better, become more alike and look less real. How
//! fast depends on the model, so one number does not suit all. The default is the smallest strength
//! at which another text changes an image by half the mean distance between two samples. Below it,
//! images for different texts look alike. If images for one caption stay about as diverse as samples
//! at larger strengths, the default is the largest such strength.

use burn::tensor::Tensor;

use super::loaded::LoadedCiGan;
use crate::data::{Archive, Split, spread};
use crate::error::Result;
use crate::language::captions::evaluable;
use crate::metrics::diversity::diversity;
use crate::nn::contrast::squared_distances;
use crate::nn::params::to_vec;
use crate::systems::guidance::{GuidanceSettings, MIN_DIVERSITY};
use crate::systems::retrieval::flat;
use crate::systems::{LatentSpace, Loaded, TextCodes};
use crate::train::{Context, Event};

/// The strengths that are compared, the smallest first.
const STRENGTHS: [f64; 6] = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6];
/// Number of held-out captions to generate images from.
const CAPTIONS: usize = 16;
/// Fewest captions for a measurement.
const FEWEST: usize = 2;
/// Smallest effect of a text that counts as visible, relative to the mean distance between two samples.
const VISIBLE: f64 = 0.5;
/// Relative diversity from which images for a caption count as diverse as samples.
const UNCHANGED: f64 = 0.95;
/// Images for a caption. All captions have the same seeds, so that images can be compared by text.
const IMAGES: u64 = 10;

/// Measurements of images for held-out captions at one strength.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Measured {
    strength: f64,
    /// Mean rank of an image's caption among all captions, by the distance of their codes; 1 is best.
    rank: f64,
    /// Effect of the seed: the mean perceptual distance of two images for a caption, relative to that
    /// of the images that they start from.
    diversity: f64,
    /// Effect of the text: the mean perceptual distance of two images with the same seed and
    /// different captions, in the same unit.
    effect: f64,
}

impl Measured {
    /// The strength and its measurements in words, for this number of captions.
    fn describe(&self, captions: usize) -> String {
        let Self { strength, rank, diversity, effect } = self;
        format!(
            "{strength}: another caption changes an image by {:.0} % of the variety of samples, \
             another seed by {:.0} %; held-out captions rank {rank:.1} of {captions} on average",
            100.0 * effect,
            100.0 * diversity,
        )
    }
}

/// Measures the default strength of a model with held-out captions. `None` if it has no perceptual
/// features, or if a signal stopped the measurement.
///
/// # Errors
/// If the model cannot draw.
pub(super) fn default_strength(
    loaded: &LoadedCiGan,
    name: &str,
    captions: &[&str],
    context: &mut Context,
) -> Result<Option<f64>> {
    let Some(measured) = measure(loaded, captions, context)? else { return Ok(None) };
    for at in &measured {
        context.events.emit(&Event::Detail(format!("strength {}", at.describe(captions.len()))));
    }
    let chosen = choose(&measured);
    context.note(format!("{name}: default strength {}", chosen.describe(captions.len())));
    Ok(Some(chosen.strength))
}

/// Captions of held-out images for the measurement, evenly spread. `None` if there are too few.
pub(super) fn captions(archive: &Archive) -> Option<Vec<&str>> {
    let images = spread(&evaluable(archive, Split::Val), CAPTIONS);
    let of = |image: usize| archive.images()[image].captions[0].as_str();
    (images.len() >= FEWEST).then(|| images.into_iter().map(of).collect())
}

/// The smallest strength at which the effect of the text is at least [`VISIBLE`], or, if diversity
/// stays at or above [`UNCHANGED`] at the strengths that follow, the largest of these. If the effect
/// is never visible, the one that shows the texts best among those that keep enough diversity, or the
/// smallest.
fn choose(measured: &[Measured]) -> Measured {
    let visible = measured.iter().position(|at| at.effect >= VISIBLE).map(|first| {
        let beyond = measured[first + 1..].iter();
        beyond.take_while(|at| at.diversity >= UNCHANGED).last().unwrap_or(&measured[first])
    });
    let varied = measured.iter().filter(|at| at.diversity >= MIN_DIVERSITY);
    // Of equal ranks, the first: the smallest strength.
    let best = varied.min_by(|a, b| a.rank.total_cmp(&b.rank));
    *visible.or(best).unwrap_or(&measured[0])
}

/// Measures every strength. `None` if a signal stopped it.
fn measure(
    loaded: &LoadedCiGan,
    captions: &[&str],
    context: &mut Context,
) -> Result<Option<Vec<Measured>>> {
    // Models without D, or from before stage 2 measured the units of its features, have none.
    let Ok(Some(perceptual)) = Loaded::perceptual(loaded) else { return Ok(None) };
    let texts = loaded.texts(captions)?;
    let [_, layers, _] = texts.dims();
    let strongest = STRENGTHS.into_iter().fold(0.0, f64::max);
    let settings = GuidanceSettings { strength: strongest, ..Default::default() };
    // The first mark is the start.
    let marks: Vec<f64> = [0.0].into_iter().chain(STRENGTHS).collect();
    let mut ranks = vec![0.0; marks.len()];
    let mut varieties = vec![0.0; marks.len()];
    let mut effects = vec![0.0; marks.len()];
    let seeds: Vec<u64> = (0..IMAGES).collect();
    let start = TextCodes::starts(loaded, &seeds, layers, settings.truncation);
    // The images for the caption before.
    let mut before: Vec<Tensor<4>> = Vec::new();
    for caption in 0..captions.len() {
        if context.interrupt.requested().is_some() {
            return Ok(None);
        }
        context.progress("measuring the default strength", caption, captions.len());
        let text = texts.clone().narrow(0, caption, 1);
        let generation = loaded.generation(None, &settings, &marks);
        let guided = generation.run(text, start.clone(), |_| true)?;
        let render = |codes| LatentSpace::render(loaded, codes);
        let images: Vec<Tensor<4>> = guided.marked.into_iter().map(render).collect();
        for (at, images) in images.iter().enumerate() {
            ranks[at] += mean_rank(loaded.invert(images.clone()), &texts, caption);
            varieties[at] += diversity(&perceptual, images.clone())?;
            if let Some(before) = before.get(at) {
                let distances = perceptual.distances(before.clone(), images.clone());
                effects[at] += mean(&to_vec(distances));
            }
        }
        before = images;
    }
    context.progress("measuring the default strength", captions.len(), captions.len());
    let count = captions.len() as f64;
    let samples = varieties[0] / count;
    // Models whose samples are all alike have no diversity to lose.
    let relative = |value: f64, alike: f64| if samples > 0.0 { value / samples } else { alike };
    let at = |(index, &strength): (usize, &f64)| Measured {
        strength,
        rank: ranks[index + 1] / count,
        diversity: relative(varieties[index + 1] / count, 1.0),
        // Each caption is compared with the one before it.
        effect: relative(effects[index + 1] / (count - 1.0), 0.0),
    };
    Ok(Some(STRENGTHS.iter().enumerate().map(at).collect()))
}

fn mean(values: &[f32]) -> f64 {
    values.iter().map(|&value| f64::from(value)).sum::<f64>() / values.len() as f64
}

/// Mean rank of the text number `own` among all texts, over images with these codes.
fn mean_rank(codes: Tensor<3>, texts: &Tensor<3>, own: usize) -> f64 {
    let [images, ..] = codes.dims();
    let count = texts.dims()[0];
    let distances = to_vec(squared_distances(flat(codes), flat(texts.clone())));
    let rank = |row: &[f32]| 1 + row.iter().filter(|&&other| other < row[own]).count();
    let sum: usize = distances.chunks(count).map(rank).sum();
    sum as f64 / images as f64
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;

    #[test]
    fn the_first_strength_at_which_texts_show_wins() {
        let at = |strength, effect, diversity| Measured { strength, rank: 5.0, effect, diversity };
        let all = [at(0.1, 0.1, 0.9), at(0.2, 0.3, 0.8), at(0.3, 0.6, 0.6), at(0.4, 0.9, 0.4)];
        assert_eq!(choose(&all).strength, 0.3);
        assert_eq!(choose(&all[3..]).strength, 0.4);
        // A larger one costs nothing as long as images stay as varied as samples.
        let free = [at(0.1, 0.3, 1.0), at(0.2, 0.6, 1.0), at(0.3, 0.8, 0.96), at(0.4, 1.0, 0.9)];
        assert_eq!(choose(&free).strength, 0.3);
        let dip = [at(0.1, 0.5, 0.9), at(0.2, 0.6, 0.94), at(0.3, 0.8, 0.96)];
        assert_eq!(choose(&dip).strength, 0.1);
        // Where the seed has little effect, a small effect of the text is still not visible.
        assert_eq!(choose(&[at(0.1, 0.3, 0.1), at(0.2, 0.5, 0.1)]).strength, 0.2);
        assert_eq!(choose(&[at(0.1, 0.0, 0.0), at(0.2, 0.1, 0.0)]).strength, 0.1, "no effect");
    }

    #[test]
    fn without_a_visible_text_the_best_rank_wins_among_varied_strengths() {
        let at = |strength, rank, diversity| Measured { strength, rank, effect: 0.1, diversity };
        let all = [at(0.1, 7.0, 0.95), at(0.2, 5.0, 0.9), at(0.3, 5.0, 0.8), at(0.4, 2.0, 0.6)];
        assert_eq!(choose(&all).strength, 0.2);
        assert_eq!(choose(&all[3..]).strength, 0.4, "none is varied");
        assert_eq!(choose(&[at(0.1, 9.0, 0.7), at(0.2, 8.0, 0.7)]).strength, 0.2);
    }

    #[test]
    fn ranks_count_the_texts_that_are_nearer() {
        let device = Device::flex();
        let tensor =
            |values: &[f32], n: usize| Tensor::<1>::from_floats(values, &device).reshape([n, 1, 2]);
        let texts = tensor(&[0.0, 0.0, 1.0, 0.0, 5.0, 0.0], 3);
        let images = tensor(&[0.1, 0.0, 4.0, 0.0], 2);
        assert_eq!(mean_rank(images.clone(), &texts, 0), (1.0 + 3.0) / 2.0);
        assert_eq!(mean_rank(images, &texts, 2), (3.0 + 1.0) / 2.0);
    }
}
