//! Attributes before and after edits: whether the requested one changes and the others stay.

use burn::tensor::Tensor;
use rand::Rng;

use super::probe::Probe;
use super::prompts::{Prompt, text_codes};
use super::truth::Heads;
use crate::data::synth::Colour;
use crate::draws;
use crate::error::Result;
use crate::evaluation::features::CHUNK;
use crate::evaluation::{EvaluationContext, Row, Subject, Table};
use crate::picture;
use crate::systems::TextCodes;
use crate::systems::requests::Change;

/// Inputs for the edit matrix of one model.
pub struct Edits<'a> {
    pub subject: &'a Subject,
    pub space: &'a dyn TextCodes,
    pub probe: &'a Probe,
    pub truth: &'a [Vec<usize>],
    pub setting: &'a EvaluationContext<'a>,
}

/// Counts over the edits of one part.
#[derive(Default)]
struct Outcome {
    edits: usize,
    /// Edits after which the part has the requested colour.
    asked: usize,
    /// For each attribute, edits after which the probe reads another value.
    changed: Vec<usize>,
}

impl Edits<'_> {
    /// The table "Edits by MODEL": edits `count` reference images for each part. Rows are the part
    /// whose colour the text changes, columns the part that the probe reads.
    ///
    /// # Errors
    /// Fails if the model has no text encoder, images cannot be read, or the optimisation diverges.
    pub fn matrix(
        &self,
        count: usize,
        progress: &mut impl FnMut(&str, usize, usize),
    ) -> Result<Table> {
        let heads = Heads::new();
        let indices = self.setting.archive.some_of(self.setting.split, count);
        let parts = heads.colours();
        let total = parts.len() * indices.len();
        let mut rows = Vec::new();
        let mut sums = [0.0; 2];
        for part in parts.clone() {
            let mut outcome = Outcome { changed: vec![0; heads.count()], ..Default::default() };
            for chunk in indices.chunks(CHUNK) {
                self.edit(part, chunk, &mut outcome)?;
                let done = part * indices.len() + outcome.edits;
                progress(&format!("editing with {}", self.subject.name), done, total);
            }
            let share = |count: usize| count as f64 / outcome.edits as f64;
            let mut row = Row::new(format!("{} asked", heads.name(part)), []);
            for read in parts.clone() {
                let cell = if read == part { outcome.asked } else { outcome.changed[read] };
                row.metrics.set(heads.name(read), share(cell));
            }
            let others = (0..heads.count()).filter(|&head| head != part);
            let changed: usize = others.map(|head| outcome.changed[head]).sum();
            let kept = 1.0 - share(changed) / (heads.count() - 1) as f64;
            for (name, value) in [("asked", share(outcome.asked)), ("kept", kept)] {
                row.metrics.set(name, value);
            }
            sums = [sums[0] + share(outcome.asked), sums[1] + kept];
            rows.push(row);
        }
        let [asked, kept] = sums.map(|sum| sum / parts.len() as f64);
        rows.push(Row::new("mean", [("asked", asked), ("kept", kept)]));
        rows.push(Row::new("chance", [("asked", 1.0 / Colour::ALL.len() as f64)]));
        Ok(Table {
            title: format!("Edits by {}", self.subject.name),
            note: format!(
                "{} images of `{}` for each part, edited from a text with its colour to a text with another colour; {}strength {}, λ {}; on the diagonal (and under `asked`) the share of edits after which the part has the requested colour, elsewhere the share after which the probe reads another colour than before the edit; kept: mean share of all other attributes that do not change",
                indices.len(),
                self.setting.split.name(),
                self.setting.refined(),
                self.setting.editing.strength,
                self.setting.editing.preserve,
            ),
            rows,
            charts: Vec::new(),
        })
    }

    /// Edits the images at `indices` to give part `part` another colour, and counts the results.
    fn edit(&self, part: usize, indices: &[usize], outcome: &mut Outcome) -> Result<()> {
        let EvaluationContext { archive, device, .. } = *self.setting;
        let images = picture::to_tensor(&archive.pixels(indices)?, archive.resolution(), device);
        let codes = self.setting.invert(self.space, images.clone())?;
        let asked: Vec<usize> = indices
            .iter()
            .map(|&index| {
                let purpose = format!("attributes.edit.{part}");
                let mut rng = draws::stream(self.setting.seed, &purpose, index as u64);
                let colours = Colour::ALL.len();
                (self.truth[index][part] + rng.random_range(1..colours)) % colours
            })
            .collect();
        let texts = |colours: &mut dyn Iterator<Item = usize>| -> Result<Tensor<3>> {
            let prompts: Vec<Prompt> =
                colours.map(|colour| Prompt::of(&[(part, colour)])).collect();
            text_codes(self.space, &prompts)
        };
        let change = Change::Between {
            from: texts(&mut indices.iter().map(|&index| self.truth[index][part]))?,
            to: texts(&mut asked.iter().copied())?,
        };
        let editing = &self.setting.editing;
        let guided = self.space.edit_codes(images, codes.clone(), &change, None, editing)?;
        let read = |codes| self.probe.read(self.space.render(codes));
        for ((before, after), asked) in read(codes).iter().zip(read(guided.codes)).zip(asked) {
            outcome.edits += 1;
            outcome.asked += usize::from(after[part] == asked);
            let pairs = before.iter().zip(&after);
            let changes = outcome.changed.iter_mut().zip(pairs);
            changes.for_each(|(count, (before, after))| *count += usize::from(before != after));
        }
        Ok(())
    }
}
