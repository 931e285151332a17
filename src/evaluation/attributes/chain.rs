//! Attribute accuracy stage by stage: renders, inversions, samples, images from prompts.

use burn::tensor::Tensor;

use super::probe::Probe;
use super::prompts::{
    MeanCodes, Prompt, single_attribute_prompts, text_codes, three_attribute_prompts,
};
use super::truth::{Heads, Tally, claims};
use crate::data::synth::Colour;
use crate::error::Result;
use crate::evaluation::features::CHUNK;
use crate::evaluation::illustrate::illustrate;
use crate::evaluation::{EvaluationContext, Row, Subject, Table, quality};
use crate::picture;
use crate::systems::TextCodes;
use crate::systems::requests::{ProjectSettings, ProjectStart};

/// Number of renders that the probe is tested on.
const RENDERS: usize = 1024;
/// Number of projected images; a projection takes many steps.
const PROJECTED: usize = 64;
/// Number of samples whose colours are counted.
const SAMPLES: usize = 512;
/// Number of images for each prompt.
const SEEDS: usize = 4;

/// The table "Attributes of held-out images": accuracy of the probe on renders, held-out images,
/// their inversions and their projections.
///
/// # Errors
/// Fails if a latent space is unavailable or images cannot be read.
pub fn held_out_images(
    subjects: &[Subject],
    probe: &Probe,
    truth: &[Vec<usize>],
    setting: &EvaluationContext,
    progress: &mut impl FnMut(&str, usize, usize),
) -> Result<Table> {
    let (archive, device) = (setting.archive, setting.device);
    let indices = archive.indices_of(setting.split);
    let judged = |indices: &[usize], see: &mut dyn FnMut(Tensor<4>) -> Result<Tensor<4>>| {
        let mut tally = Tally::new();
        for chunk in indices.chunks(CHUNK) {
            let real = picture::to_tensor(&archive.pixels(chunk)?, archive.resolution(), device);
            for (read, &index) in probe.read(see(real)?).iter().zip(chunk) {
                tally.add(read, &claims(&truth[index]));
            }
        }
        Result::Ok(tally)
    };
    let mut rows = vec![
        probe.held_out(RENDERS, archive.resolution(), device).row("fresh renders"),
        judged(&indices, &mut Ok)?.row(format!("images of {}", setting.split.name())),
    ];
    let few = &indices[..PROJECTED.min(indices.len())];
    for subject in subjects.iter().filter(|subject| subject.capabilities().inverts) {
        let space = subject.latent_space()?;
        let steps = ProjectSettings::default().steps;
        let settings = ProjectSettings { steps, ..setting.projection.clone() };
        let mut done = 0;
        let mut projected = |real: Tensor<4>| {
            done += real.dims()[0];
            progress(&format!("projecting with {}", subject.name), done, few.len());
            let codes = space.project(real, ProjectStart::Encoder, &settings, &mut |_, _| true)?;
            Ok(space.render(codes))
        };
        rows.push(judged(few, &mut projected)?.row(format!("{}, projected", subject.name)));
        let mut inverted = |real| Ok(space.render(space.invert(real)));
        rows.push(judged(&indices, &mut inverted)?.row(format!("{}, G(E(x))", subject.name)));
    }
    rows.push(chance());
    Ok(Table {
        title: "Attributes of held-out images".into(),
        note: format!(
            "accuracy of a probe trained on other renders: on {RENDERS} fresh renders, {} images x of `{}`, their inversions, and projections of {} of them ({} steps from E(x){}), which show what G can represent; others: mean over the attributes that are not colours of these parts",
            indices.len(),
            setting.split.name(),
            few.len(),
            ProjectSettings::default().steps,
            setting.projection.space.clause(),
        ),
        rows,
        charts: Vec::new(),
    })
}

/// The table "Colours of samples": the effective number of colours of each part.
///
/// # Errors
/// Fails if the samples of a model cannot be drawn.
pub fn samples(subjects: &[Subject], probe: &Probe, setting: &EvaluationContext) -> Result<Table> {
    let heads = Heads::new();
    let mut rows = Vec::new();
    for subject in subjects {
        let mut counts = vec![[0usize; Colour::ALL.len()]; heads.colours().len()];
        let sampler = subject.sampler()?;
        for images in quality::drawn(&*sampler, setting, SAMPLES) {
            for read in probe.read(images?) {
                counts.iter_mut().zip(read).for_each(|(counts, colour)| counts[colour] += 1);
            }
        }
        let mut row = Row::new(&*subject.name, []);
        for (head, counts) in heads.colours().zip(&counts) {
            row.metrics.set(heads.name(head), effective(counts));
        }
        rows.push(row);
    }
    Ok(Table {
        title: "Colours of samples".into(),
        note: format!(
            "effective number of colours (exp of the entropy) that the probe reads in {SAMPLES} samples, ψ {}; at most {}, as in the data; G cannot generate the missing colours",
            setting.truncation,
            Colour::ALL.len()
        ),
        rows,
        charts: Vec::new(),
    })
}

/// exp of the entropy of counts: the number of equally frequent values with the same entropy.
fn effective(counts: &[usize]) -> f64 {
    let total = counts.iter().sum::<usize>() as f64;
    let shares = counts.iter().filter(|&&count| count > 0).map(|&count| count as f64 / total);
    (-shares.map(|p| p * p.ln()).sum::<f64>()).exp()
}

/// The table "Attributes of images from prompts": prompts of one and of three attributes.
///
/// Images come from the text code, from the mean code of training images with the attributes, and
/// from seeds alone. A text-conditional model generates them directly.
///
/// # Errors
/// Fails if a model does not generate images from text.
pub fn prompts(
    subjects: &[Subject],
    probe: &Probe,
    truth: &[Vec<usize>],
    setting: &EvaluationContext,
    progress: &mut impl FnMut(&str, usize, usize),
) -> Result<Table> {
    let sets =
        [("one", single_attribute_prompts()), ("three", three_attribute_prompts(setting.seed))];
    let mut rows = Vec::new();
    for subject in subjects {
        let guidance = setting.guidance(subject);
        let (strength, psi) = (guidance.strength, guidance.truncation);
        let Some(space) = subject.text_codes() else {
            for (label, prompts) in &sets {
                let tally = from_prompts(subject, probe, prompts, setting)?;
                rows.push(row(format!("{}, {label}: directly", subject.name), &tally));
            }
            continue;
        };
        let means = MeanCodes::of(space, truth, setting)?;
        for (at, (label, prompts)) in sets.iter().enumerate() {
            progress(&format!("generating with {}", subject.name), at + 1, sets.len());
            let mut add = |way: String, tally: Tally| {
                rows.push(row(format!("{}, {label}: {way}", subject.name), &tally));
            };
            let judged = |codes: Vec<Tensor<3>>| judge(space, probe, prompts, codes);
            let text = text_codes(space, prompts)?;
            let mean = means.codes(prompts, setting);
            let guided = |to: &Tensor<3>| -> Result<Vec<Tensor<3>>> {
                each_seed(prompts.len(), setting)
                    .map(|seeds| {
                        let (to, layers) = (to.clone(), to.dims()[1]);
                        space.pull(space.starts(&seeds, layers, psi), to, &guidance)
                    })
                    .map(|guided| Ok(guided?.codes))
                    .collect()
            };
            add("G(mean code)".into(), judged(vec![mean.clone()]));
            add("G(T(text))".into(), judged(vec![text.clone()]));
            add(format!("mean code, strength {strength}"), judged(guided(&mean)?));
            let tally = from_prompts(subject, probe, prompts, setting)?;
            add(format!("text, strength {strength}"), tally);
            let [_, layers, _] = text.dims();
            let alone =
                each_seed(prompts.len(), setting).map(|seeds| space.starts(&seeds, layers, psi));
            add("no text".into(), judged(alone.collect()));
        }
    }
    rows.push(chance());
    Ok(Table {
        title: "Attributes of images from prompts".into(),
        note: format!(
            "share of the prompt's attributes that the probe reads in the images: {} prompts of one attribute and {} of three, {SEEDS} images each, {}{}; complete: share of images with all attributes correct, by chance 1/{} for one and 1/{} for three; mean code: instead of T(text), the mean of E(x) over training images with the attribute (for three: the sum of their offsets from the overall mean), which is less extreme than the codes of single images; no text: the seeds alone",
            sets[0].1.len(),
            sets[1].1.len(),
            setting.truncations(subjects),
            setting.best_of().map_or_else(String::new, |best| {
                format!("; images of the rows `text, strength` and `directly` are {best}")
            }),
            Colour::ALL.len(),
            Colour::ALL.len().pow(3),
        ),
        rows,
        charts: Vec::new(),
    })
}

fn row(name: String, tally: &Tally) -> Row {
    let mut row = tally.row(name);
    row.metrics.set("complete", tally.complete());
    row
}

/// Tally of the images that a model generates from the prompts, with the same seeds.
fn from_prompts(
    subject: &Subject,
    probe: &Probe,
    prompts: &[Prompt],
    setting: &EvaluationContext,
) -> Result<Tally> {
    let texts: Vec<&str> = prompts.iter().map(|prompt| prompt.text.as_str()).collect();
    let mut tally = Tally::new();
    for seeds in each_seed(prompts.len(), setting) {
        let drawn = illustrate(subject, &texts, seeds[0], setting)?;
        for (read, prompt) in probe.read(drawn.images).iter().zip(prompts) {
            tally.add(read, &prompt.claims);
        }
    }
    Ok(tally)
}

/// Image seeds for `count` prompts, once for each of the [`SEEDS`] images of a prompt.
fn each_seed(count: usize, setting: &EvaluationContext) -> impl Iterator<Item = Vec<u64>> {
    let (first, count) = (setting.seed, count as u64);
    (0..SEEDS as u64).map(move |turn| (0..count).map(|i| first + turn * count + i).collect())
}

/// Tally of the images of batches of codes `[prompts, layers, w_dim]`.
fn judge(space: &dyn TextCodes, probe: &Probe, prompts: &[Prompt], codes: Vec<Tensor<3>>) -> Tally {
    let mut tally = Tally::new();
    for codes in codes {
        for (read, prompt) in probe.read(space.render(codes)).iter().zip(prompts) {
            tally.add(read, &prompt.claims);
        }
    }
    tally
}

/// Row with the accuracy of guessing.
fn chance() -> Row {
    let heads = Heads::new();
    let spans = heads.spans();
    let guess = |head: usize| 1.0 / spans[head].len() as f64;
    let mut row = Row::new("chance", []);
    heads.colours().for_each(|head| row.metrics.set(heads.name(head), guess(head)));
    row.metrics.set("colours", 1.0 / Colour::ALL.len() as f64);
    row
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn effective_colours_of_known_counts() {
        assert!((effective(&[5, 5, 0, 5, 5]) - 4.0).abs() < 1e-9);
        assert!((effective(&[7, 0]) - 1.0).abs() < 1e-9);
    }

    #[test]
    fn chance_is_one_of_eight_colours() {
        let row = chance();
        assert_eq!(row.metrics.get("wing"), Some(0.125));
        assert_eq!(row.metrics.get("colours"), Some(0.125));
    }
}
