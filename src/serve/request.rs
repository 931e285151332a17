//! Requests of the page and their validation.

use std::ops::RangeInclusive;

use image::RgbImage;
use serde::Deserialize;

use crate::error::{Error, Result};
use crate::language::PromptTokenizer;
use crate::studio::{Candidates, Seeds};
use crate::systems::guidance::GuidanceSettings;
use crate::systems::requests::{Vary, check_layers};

/// Largest number of images in a grid.
pub const MAX_IMAGES: usize = 64;
/// Largest number of candidates.
pub const MAX_CANDIDATES: usize = 256;
/// Largest number of optimisation steps.
const MAX_STEPS: usize = 2000;
/// Largest number of characters in a prompt.
const MAX_CHARACTERS: usize = 4000;
/// Strengths of a strip. Strength 1 is missing because it needs more than the default steps.
pub const STRIP: [f64; 5] = [0.0, 0.2, 0.4, 0.6, 0.8];

/// A request for neighbours of a seed.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VaryRequest {
    /// The seed, as a string because JavaScript rounds large numbers.
    pub of: String,
    /// Distance from the seed, 0 to 1.
    pub by: f64,
}

/// A request to draw images for a prompt.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DrawRequest {
    /// The prompt.
    pub text: String,
    /// List of seeds, such as `0-15,40`.
    pub seeds: String,
    /// Draw the seeds as neighbours of another one.
    #[serde(default)]
    pub vary: Option<VaryRequest>,
    /// Draw this many candidates and return those nearest to the prompt, as many as `seeds`.
    #[serde(default)]
    pub candidates: Option<usize>,
    /// Strength of the guidance, 0 to 1.
    pub strength: f64,
    /// Truncation ψ.
    pub truncation: f64,
    /// Largest number of optimisation steps.
    pub steps: usize,
    /// Whether to return images at the strengths [`STRIP`] as well.
    #[serde(default)]
    pub strip: bool,
}

/// The latent code of an image in the grid.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CodeInput {
    /// Index of the image in the grid, for the command line.
    pub row: usize,
    /// The code: `w_dim` or `num_ws · w_dim` numbers.
    pub values: Vec<f32>,
}

/// The image to edit.
#[derive(Debug)]
pub enum EditInput {
    /// An uploaded image, cropped and resized to the model's resolution.
    Image(RgbImage),
    /// The latent code of a generated image.
    Code(CodeBatch),
}

/// Latent codes of the same size.
#[derive(Debug, PartialEq)]
pub struct CodeBatch {
    /// All numbers of all codes.
    pub values: Vec<f32>,
    /// Number of codes, of vectors per code, and of numbers per vector.
    pub shape: [usize; 3],
}

impl CodeBatch {
    /// Checks codes of a model whose codes have one of `sizes`, `[vectors, numbers per vector]`.
    ///
    /// # Errors
    /// If a code has another size than the model's or the first code's, or a number is not finite.
    pub fn of(codes: &[Vec<f32>], sizes: &[[usize; 2]]) -> Result<Self> {
        let length = codes.first().map_or(0, Vec::len);
        let size = sizes.iter().find(|[vectors, dim]| vectors * dim == length);
        if let Some(&[vectors, dim]) = size
            && codes.iter().all(|code| code.len() == length)
            && codes.iter().flatten().all(|v| v.is_finite())
        {
            return Ok(Self { values: codes.concat(), shape: [codes.len(), vectors, dim] });
        }
        let known: Vec<String> =
            sizes.iter().map(|[vectors, dim]| (vectors * dim).to_string()).collect();
        let other = codes.iter().map(Vec::len).find(|found| *found != length).unwrap_or(length);
        Err(Error::user(format!("the latent code has {other} numbers"))
            .hint(format!("this model needs {} finite numbers", known.join(" or "))))
    }
}

/// A request to edit an image, by either `text` or `from` and `to`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EditRequest {
    /// File name of the image, for the command line only; it is never opened.
    pub name: String,
    /// Latent code of an image in the grid, in place of an upload.
    #[serde(default)]
    pub code: Option<CodeInput>,
    /// Prompt for the whole image.
    #[serde(default)]
    pub text: Option<String>,
    /// Text that describes the image as it is.
    #[serde(default)]
    pub from: Option<String>,
    /// Text that describes the image after the change.
    #[serde(default)]
    pub to: Option<String>,
    /// Strength of the guidance, 0 to 1.
    pub strength: f64,
    /// Weight λ of the loss that preserves the original.
    pub preserve: f64,
    /// Largest number of optimisation steps.
    pub steps: usize,
    /// Steps of projection that refine the inversion of an uploaded image first; the model's default
    /// if absent.
    #[serde(default)]
    pub project: Option<usize>,
    /// First and last layer that may change; all if absent.
    #[serde(default)]
    pub layers: Option<(usize, usize)>,
    /// Whether to return images at the strengths [`STRIP`] as well.
    #[serde(default)]
    pub strip: bool,
}

/// The settings of an animation.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FilmRequest {
    /// Number of frames from each code to the next.
    pub each: usize,
    /// Format of the file.
    pub format: FilmFormat,
    /// Number by which the sides of the images are multiplied.
    pub enlarge: usize,
}

/// A format of animations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FilmFormat {
    Gif,
    Webp,
}

/// A validated request.
pub enum Work {
    /// Draw images.
    Draw {
        request: DrawRequest,
        seeds: Vec<u64>,
        /// The number of images to keep, if not all.
        keep: Option<usize>,
        vary: Option<Vary>,
        settings: GuidanceSettings,
    },
    /// Edit an image.
    Edit { request: EditRequest, input: EditInput, settings: GuidanceSettings },
    /// Open the model of this index.
    Open(usize),
    /// Compute directions in the latent space, this many.
    Directions(usize),
    /// Compute the codes of texts.
    Texts(Vec<String>),
    /// Render codes, and an animation through them.
    Render { codes: CodeBatch, film: Option<FilmRequest> },
    /// Do nothing; the tests of the queue use it.
    #[cfg(test)]
    Nothing,
}

fn check_steps(flag: &str, steps: usize) -> Result<()> {
    if steps <= MAX_STEPS {
        return Ok(());
    }
    Err(Error::user(format!("{flag} {steps}: the page allows at most {MAX_STEPS} steps"))
        .hint("use fewer steps; the command line has no such limit"))
}

/// Checks a prompt and returns a warning about words that the model does not know.
pub fn check_prompt(
    tokenizer: &dyn PromptTokenizer,
    flag: &str,
    text: &str,
) -> Result<Option<String>> {
    if text.chars().count() > MAX_CHARACTERS {
        return Err(Error::user(format!(
            "{flag}: the prompt is longer than {MAX_CHARACTERS} characters"
        ))
        .hint("shorten it; the model reads only the first few dozen words"));
    }
    Ok(tokenizer.check_prompt(flag, text)?.warning())
}

impl DrawRequest {
    /// Validates the request; returns the work and a warning about unknown words of the prompt.
    /// `ranks` tells whether the model ranks candidates.
    ///
    /// # Errors
    /// If a number is out of range or the model knows no word of the prompt.
    pub fn check(
        self,
        tokenizer: &dyn PromptTokenizer,
        ranks: bool,
    ) -> Result<(Work, Option<String>)> {
        let seeds: Seeds = self.seeds.parse().map_err(|reason| {
            Error::user(format!("--seeds: {reason}")).hint("write seeds as in 0-15,40")
        })?;
        let shown = seeds.distinct();
        if shown.len() > MAX_IMAGES {
            return Err(Error::user(format!(
                "--seeds: {} images, but the page generates at most {MAX_IMAGES}",
                shown.len()
            ))
            .hint("use fewer seeds; the command line has no such limit"));
        }
        let (seeds, keep) = match self.candidates {
            None => (shown, None),
            Some(_) if !ranks => {
                return Err(
                    Error::user("this model cannot rank candidates").hint("leave out `candidates`")
                );
            }
            Some(count) if count > MAX_CANDIDATES => {
                return Err(Error::user(format!(
                    "--candidates {count}: the page allows at most {MAX_CANDIDATES}"
                ))
                .hint("use fewer candidates; the command line has no such limit"));
            }
            Some(count) => {
                let (seeds, keep) = seeds.candidates(Candidates { count, keep: None })?;
                (seeds, Some(keep))
            }
        };
        let vary = match &self.vary {
            None => None,
            Some(VaryRequest { of, by }) => {
                let of = of.parse().map_err(|_| {
                    Error::user(format!("--vary {of}: not a seed")).hint("use one whole number")
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
        let warning = check_prompt(tokenizer, "--text", &self.text)?;
        Ok((Work::Draw { request: self, seeds, keep, vary, settings }, warning))
    }
}

impl EditRequest {
    /// Validates the request; returns the work and a warning about unknown words of the prompts.
    ///
    /// # Errors
    /// As [`DrawRequest::check`], or if it does not have either `text` or `from` and `to`.
    pub fn check(
        self,
        input: EditInput,
        tokenizer: &dyn PromptTokenizer,
        num_ws: usize,
    ) -> Result<(Work, Option<String>)> {
        self.range().map_or(Ok(()), |range| check_layers(&range, num_ws))?;
        check_steps("--steps", self.steps)?;
        check_steps("--project", self.project.unwrap_or(0))?;
        let settings = GuidanceSettings {
            strength: self.strength,
            preserve: self.preserve,
            steps: self.steps,
            ..Default::default()
        };
        settings.check()?;
        let warnings = match (&self.text, &self.from, &self.to) {
            (Some(text), None, None) => vec![check_prompt(tokenizer, "--text", text)?],
            (None, Some(from), Some(to)) => {
                vec![check_prompt(tokenizer, "--from", from)?, check_prompt(tokenizer, "--to", to)?]
            }
            _ => {
                return Err(Error::user("an edit needs either --text or --from and --to")
                    .hint("describe the edited image"));
            }
        };
        let warnings: Vec<String> = warnings.into_iter().flatten().collect();
        let warning = (!warnings.is_empty()).then(|| warnings.join("; "));
        Ok((Work::Edit { request: self, input, settings }, warning))
    }

    /// Steps of projection before the edit with a model of the default `refinement`. The image of a
    /// code is exact.
    pub fn refinement(&self, refinement: usize) -> usize {
        match self.code {
            Some(_) => 0,
            None => self.project.unwrap_or(refinement),
        }
    }

    /// The layers that may change; `None` is all of them.
    pub fn range(&self) -> Option<RangeInclusive<usize>> {
        self.layers.map(|(first, last)| first..=last)
    }
}
