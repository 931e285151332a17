//! From renders to pictures from texts, one row a stage.

use burn::tensor::Tensor;

use super::probe::Probe;
use super::prompts::{MeanCodes, Prompt, pairs_of_one, text_codes, triples};
use super::truth::{Heads, Tally, claims};
use crate::data::synth::Color;
use crate::error::Result;
use crate::evaluation::features::CHUNK;
use crate::evaluation::{Row, Setting, Subject, Table, quality};
use crate::picture;
use crate::systems::LatentSpace;
use crate::systems::requests::{ProjectSettings, ProjectStart};

/// Renders that the probe is judged on.
const RENDERS: usize = 1024;
/// Pictures that are projected: each takes a hundred steps.
const PROJECTED: usize = 64;
/// Samples whose colours are counted.
const SAMPLES: usize = 512;
/// Pictures of each prompt.
const SEEDS: usize = 4;

/// The probe on renders, on held-out pictures, on their inversions and on their projections.
///
/// # Errors
/// If a model has no encoder, or pictures cannot be read.
pub fn pictures(
    subjects: &[Subject],
    probe: &Probe,
    truth: &[Vec<usize>],
    setting: &Setting,
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
        judged(&indices, &mut Ok)?.row(format!("pictures of {}", setting.split.name())),
    ];
    let few = &indices[..PROJECTED.min(indices.len())];
    for subject in subjects.iter().filter(|subject| subject.capabilities().inverts) {
        let space = subject.latent_space()?;
        let settings = ProjectSettings::default();
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
        title: "Attributes of held-out pictures".into(),
        note: format!(
            "share that a probe trained on other renders reads rightly: {RENDERS} renders it never saw, {} pictures x of `{}`, their inversions, and projections of {} of them ({} steps from E(x)), which show what G can do; others: mean of the attributes that are no colour of these parts",
            indices.len(),
            setting.split.name(),
            few.len(),
            ProjectSettings::default().steps,
        ),
        rows,
        charts: Vec::new(),
    })
}

/// How many colours samples show of each part.
///
/// # Errors
/// If a text-conditional model cannot read its captions.
pub fn samples(subjects: &[Subject], probe: &Probe, setting: &Setting) -> Result<Table> {
    let heads = Heads::new();
    let mut rows = Vec::new();
    for subject in subjects {
        let mut counts = vec![[0usize; Color::ALL.len()]; heads.colors().len()];
        let sampler = subject.sampler()?;
        for images in quality::drawn(&*sampler, setting, SAMPLES) {
            for read in probe.read(images?) {
                counts.iter_mut().zip(read).for_each(|(counts, color)| counts[color] += 1);
            }
        }
        let mut row = Row::new(&*subject.name, []);
        for (head, counts) in heads.colors().zip(&counts) {
            row.metrics.set(heads.name(head), effective(counts));
        }
        rows.push(row);
    }
    Ok(Table {
        title: "Colours of samples".into(),
        note: format!(
            "effective number of colours (exp of the entropy) that the probe reads in {SAMPLES} samples, ψ {}: at most {}, which all data have; what is missing here is out of G's range",
            setting.truncation,
            Color::ALL.len()
        ),
        rows,
        charts: Vec::new(),
    })
}

/// exp of the entropy of counts: as many equally frequent kinds would be as uncertain.
fn effective(counts: &[usize]) -> f64 {
    let total = counts.iter().sum::<usize>() as f64;
    let shares = counts.iter().filter(|&&count| count > 0).map(|&count| count as f64 / total);
    (-shares.map(|p| p * p.ln()).sum::<f64>()).exp()
}

/// Pictures from prompts of one attribute and of three: from the text, from the mean codes of
/// pictures that show it in the place of the text's, and from seeds alone. A text-conditional model
/// draws them directly.
///
/// # Errors
/// If a model does not read captions.
pub fn prompts(
    subjects: &[Subject],
    probe: &Probe,
    truth: &[Vec<usize>],
    setting: &Setting,
    progress: &mut impl FnMut(&str, usize, usize),
) -> Result<Table> {
    let sets = [("one", pairs_of_one()), ("three", triples(setting.seed))];
    let strength = setting.guidance.strength;
    let mut rows = Vec::new();
    for subject in subjects {
        let Some(space) = subject.text_space() else {
            for (said, prompts) in &sets {
                let tally = drawn_directly(subject, probe, prompts, setting)?;
                rows.push(row(format!("{}, {said}: directly", subject.name), &tally));
            }
            continue;
        };
        let means = MeanCodes::of(space, truth, setting)?;
        for (at, (said, prompts)) in sets.iter().enumerate() {
            progress(&format!("drawing with {}", subject.name), at + 1, sets.len());
            let mut add = |way: String, tally: Tally| {
                rows.push(row(format!("{}, {said}: {way}", subject.name), &tally));
            };
            let judged = |codes: Vec<Tensor<3>>| judge(space, probe, prompts, codes);
            let text = text_codes(space, prompts)?;
            let mean = means.codes(prompts, setting);
            let guided = |to: &Tensor<3>| -> Result<Vec<Tensor<3>>> {
                each_seed(prompts.len(), setting)
                    .map(|seeds| {
                        let (to, guidance) = (to.clone(), &setting.guidance);
                        let (layers, psi) = (to.dims()[1], guidance.truncation);
                        space.pull(space.starts(&seeds, layers, psi), to, guidance)
                    })
                    .map(|guided| Ok(guided?.codes))
                    .collect()
            };
            add("G(mean code)".into(), judged(vec![mean.clone()]));
            add("G(T(text))".into(), judged(vec![text.clone()]));
            add(format!("mean code, strength {strength}"), judged(guided(&mean)?));
            add(format!("text, strength {strength}"), judged(guided(&text)?));
            let [_, layers, _] = text.dims();
            let psi = setting.guidance.truncation;
            let alone =
                each_seed(prompts.len(), setting).map(|seeds| space.starts(&seeds, layers, psi));
            add("no text".into(), judged(alone.collect()));
        }
    }
    rows.push(chance());
    Ok(Table {
        title: "Attributes of pictures from prompts".into(),
        note: format!(
            "share of attributes that the probe reads as the prompt says: {} prompts of one attribute and {} of three, {SEEDS} pictures each, ψ {}; complete: share of pictures with all attributes right, by chance 1/{} of those of one and 1/{} of those of three; mean code: the mean of E(x) over training pictures that show the attribute (of three: their shifts from the mean of all, added up), instead of T(text), less extreme than the codes of single pictures; no text: the seeds alone",
            sets[0].1.len(),
            sets[1].1.len(),
            setting.guidance.truncation,
            Color::ALL.len(),
            Color::ALL.len().pow(3),
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

/// What is right in the pictures that a text-conditional model draws, of the same seeds.
fn drawn_directly(
    subject: &Subject,
    probe: &Probe,
    prompts: &[Prompt],
    setting: &Setting,
) -> Result<Tally> {
    let texts: Vec<&str> = prompts.iter().map(|prompt| prompt.text.as_str()).collect();
    let mut tally = Tally::new();
    for seeds in each_seed(prompts.len(), setting) {
        let drawn = subject.text_to_image()?.illustrate(&texts, seeds[0], &setting.guidance)?;
        for (read, prompt) in probe.read(drawn.images).iter().zip(prompts) {
            tally.add(read, &prompt.claims);
        }
    }
    Ok(tally)
}

/// Image seeds of [`SEEDS`] pictures of each of `count` prompts.
fn each_seed(count: usize, setting: &Setting) -> impl Iterator<Item = Vec<u64>> {
    let (first, count) = (setting.seed, count as u64);
    (0..SEEDS as u64).map(move |turn| (0..count).map(|i| first + turn * count + i).collect())
}

/// What is right in pictures of codes [prompts, layers, w_dim].
fn judge(
    space: &dyn LatentSpace,
    probe: &Probe,
    prompts: &[Prompt],
    codes: Vec<Tensor<3>>,
) -> Tally {
    let mut tally = Tally::new();
    for codes in codes {
        for (read, prompt) in probe.read(space.render(codes)).iter().zip(prompts) {
            tally.add(read, &prompt.claims);
        }
    }
    tally
}

/// What guessing gives.
fn chance() -> Row {
    let heads = Heads::new();
    let spans = heads.spans();
    let guess = |head: usize| 1.0 / spans[head].len() as f64;
    let mut row = Row::new("chance", []);
    heads.colors().for_each(|head| row.metrics.set(heads.name(head), guess(head)));
    row.metrics.set("colours", 1.0 / Color::ALL.len() as f64);
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
