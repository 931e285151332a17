//! What a page asks for, checked.

use std::ops::RangeInclusive;

use image::RgbImage;
use serde::Deserialize;

use crate::error::{Error, Result};
use crate::language::Tokenizer;
use crate::studio::Seeds;
use crate::systems::guidance::GuidanceSettings;
use crate::systems::requests::{Vary, check_layers};

/// Most pictures of a grid.
pub const MOST_PICTURES: usize = 64;
/// Most steps of an optimisation.
const MOST_STEPS: usize = 2000;
/// Longest text.
const MOST_LETTERS: usize = 4000;
/// Strengths of a strip. (All the way to the text takes more steps than the usual ones.)
pub const STRIP: [f64; 5] = [0.0, 0.2, 0.4, 0.6, 0.8];

/// Neighbours of a seed.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VaryRequest {
    /// The seed, in digits: JavaScript rounds larger numbers.
    pub of: String,
    /// How far away they are, 0 to 1.
    pub by: f64,
}

/// Pictures from a text.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DrawRequest {
    /// The text.
    pub text: String,
    /// Such as 0-15,40.
    pub seeds: String,
    /// Neighbours of another seed.
    #[serde(default)]
    pub vary: Option<VaryRequest>,
    /// How far to go, 0 to 1.
    pub strength: f64,
    /// ψ.
    pub truncation: f64,
    /// Most steps.
    pub steps: usize,
    /// Whether pictures at several strengths are wanted.
    #[serde(default)]
    pub strip: bool,
}

/// A picture of the grid.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CodeInput {
    /// Its place in the grid: for the command line.
    pub row: usize,
    /// w_dim numbers, or so many for every layer.
    pub values: Vec<f32>,
}

/// What a page sends to be edited.
#[derive(Debug)]
pub enum EditInput {
    /// A picture of the model's size.
    Picture(RgbImage),
    /// The code of a picture.
    Code {
        /// All its vectors.
        values: Vec<f32>,
        /// Vectors, and numbers of a vector.
        size: [usize; 2],
    },
}

/// A change of a picture. Either `text`, or `from` and `to`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EditRequest {
    /// What the picture is called on the page: for the command line alone, never opened.
    pub name: String,
    /// The code of a picture of the grid, in place of a picture.
    #[serde(default)]
    pub code: Option<CodeInput>,
    /// What it should become.
    #[serde(default)]
    pub text: Option<String>,
    /// What it is.
    #[serde(default)]
    pub from: Option<String>,
    /// What it should become instead.
    #[serde(default)]
    pub to: Option<String>,
    /// How far to go, 0 to 1.
    pub strength: f64,
    /// λ.
    pub preserve: f64,
    /// Most steps.
    pub steps: usize,
    /// Steps of projection first.
    #[serde(default)]
    pub project: usize,
    /// First and last layer that may change.
    #[serde(default)]
    pub layers: Option<(usize, usize)>,
    /// Whether pictures at several strengths are wanted.
    #[serde(default)]
    pub strip: bool,
}

/// What the worker does.
pub enum Work {
    /// Draws.
    Draw { request: DrawRequest, seeds: Vec<u64>, vary: Option<Vary>, settings: GuidanceSettings },
    /// Edits.
    Edit { request: EditRequest, input: EditInput, settings: GuidanceSettings },
    /// Nothing, which the tests of the queue do.
    #[cfg(test)]
    Nothing,
}

fn check_steps(flag: &str, steps: usize) -> Result<()> {
    if steps <= MOST_STEPS {
        return Ok(());
    }
    Err(Error::user(format!("{flag} {steps}: more than the page waits for"))
        .hint(format!("{MOST_STEPS} is the most here; the command line takes more")))
}

/// → what of a text is not understood.
fn read(tokenizer: &Tokenizer, flag: &str, text: &str) -> Result<Option<String>> {
    if text.chars().count() > MOST_LETTERS {
        return Err(Error::user(format!("{flag}: longer than {MOST_LETTERS} letters"))
            .hint("captions have some dozens of words; the rest would not be read"));
    }
    Ok(tokenizer.check_prompt(flag, text)?.warning())
}

impl DrawRequest {
    /// → the work, and what of the text is not understood.
    ///
    /// # Errors
    /// If a number is out of range or no word is known.
    pub fn check(self, tokenizer: &Tokenizer) -> Result<(Work, Option<String>)> {
        let seeds: Seeds =
            self.seeds.parse().map_err(|reason| Error::user(format!("--seeds: {reason}")))?;
        let seeds = seeds.distinct();
        if seeds.len() > MOST_PICTURES {
            return Err(Error::user(format!("--seeds: {} pictures", seeds.len())).hint(format!(
                "{MOST_PICTURES} is the most on a page; the command line takes more"
            )));
        }
        let vary = match &self.vary {
            None => None,
            Some(VaryRequest { of, by }) => {
                let of = of.parse().map_err(|_| {
                    Error::user(format!("--vary {of}: no seed")).hint("give one whole number")
                })?;
                Some(Vary { of, by: *by })
            }
        };
        vary.map_or(Ok(()), |vary| vary.check())?;
        check_steps("--steps", self.steps)?;
        let settings = GuidanceSettings {
            strength: self.strength,
            truncation: self.truncation,
            steps: self.steps,
            ..Default::default()
        };
        settings.check()?;
        let warning = read(tokenizer, "--text", &self.text)?;
        Ok((Work::Draw { request: self, seeds, vary, settings }, warning))
    }
}

impl EditRequest {
    /// → the work, and what of the texts is not understood.
    ///
    /// # Errors
    /// As of [`DrawRequest::check`], or if the texts do not go together.
    pub fn check(
        self,
        input: EditInput,
        tokenizer: &Tokenizer,
        num_ws: usize,
    ) -> Result<(Work, Option<String>)> {
        self.range().map_or(Ok(()), |range| check_layers(&range, num_ws))?;
        check_steps("--steps", self.steps)?;
        check_steps("--project", self.project)?;
        let settings = GuidanceSettings {
            strength: self.strength,
            preserve: self.preserve,
            steps: self.steps,
            ..Default::default()
        };
        settings.check()?;
        let warnings = match (&self.text, &self.from, &self.to) {
            (Some(text), None, None) => vec![read(tokenizer, "--text", text)?],
            (None, Some(from), Some(to)) => {
                vec![read(tokenizer, "--from", from)?, read(tokenizer, "--to", to)?]
            }
            _ => {
                return Err(Error::user("an edit takes --text, or --from and --to")
                    .hint("say what the picture should become"));
            }
        };
        let warnings: Vec<String> = warnings.into_iter().flatten().collect();
        let warning = (!warnings.is_empty()).then(|| warnings.join("; "));
        Ok((Work::Edit { request: self, input, settings }, warning))
    }

    /// Layers that may change.
    pub fn range(&self) -> Option<RangeInclusive<usize>> {
        self.layers.map(|(first, last)| first..=last)
    }
}
