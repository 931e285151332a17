//! Requests that explore the latent space: directions, codes of texts, images and animations of
//! codes.

use serde::Deserialize;

use super::opened::Known;
use super::request::{CodeBatch, FilmRequest, MAX_IMAGES, Work, check_prompt};
use crate::error::{Error, Result};
use crate::language::PromptTokenizer;

/// Largest number of directions and of texts in a request.
const MAX_DIRECTIONS: usize = 32;
const MAX_TEXTS: usize = 16;
/// Largest number of frames, and largest side of an animation in pixels.
const MAX_FRAMES: usize = 120;
const MAX_SIDE: usize = 1024;

/// A request for the directions along which images vary most.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DirectionsRequest {
    /// Number of directions.
    pub count: usize,
}

/// A request for the codes of texts; the difference of two is a direction.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TextsRequest {
    /// The texts.
    pub texts: Vec<String>,
}

/// A request for the images of latent codes, or for an animation through them.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RenderRequest {
    /// The codes, all of the same size.
    pub codes: Vec<Vec<f32>>,
    /// An animation from each code to the next and back to the first.
    #[serde(default)]
    pub film: Option<FilmRequest>,
}

/// A request that is checked and becomes work.
pub trait Exploration {
    /// Checks the request.
    ///
    /// # Errors
    /// If the model is unable to do what it asks for, or a number is out of range.
    fn check(self, known: &Known) -> Result<Work>;
}

impl Exploration for DirectionsRequest {
    fn check(self, known: &Known) -> Result<Work> {
        if let Some(reason) = &known.about.no_directions {
            return Err(Error::user(reason.clone()).hint("`no_directions` of /api/model"));
        }
        within("count", self.count, 1, MAX_DIRECTIONS)?;
        Ok(Work::Directions(self.count))
    }
}

impl TextsRequest {
    fn texts(self, tokenizer: &dyn PromptTokenizer) -> Result<Work> {
        within("number of texts", self.texts.len(), 1, MAX_TEXTS)?;
        for (index, text) in self.texts.iter().enumerate() {
            check_prompt(tokenizer, &format!("text {}", index + 1), text)?;
        }
        Ok(Work::Texts(self.texts))
    }
}

impl Exploration for TextsRequest {
    fn check(self, known: &Known) -> Result<Work> {
        if !known.about.text_codes {
            return Err(Error::user("the texts of this model have no latent codes")
                .hint("`text_codes` of /api/model shows whether they have"));
        }
        self.texts(&*known.tokenizer)
    }
}

impl RenderRequest {
    /// Checks the request for codes of these sizes, `[vectors, numbers per vector]`, and images of
    /// `resolution`.
    ///
    /// # Errors
    /// If there are too few or too many codes, or a number is out of range.
    pub fn check_for(self, sizes: &[[usize; 2]], resolution: usize) -> Result<Work> {
        within("number of codes", self.codes.len(), 1, MAX_IMAGES)?;
        let codes = CodeBatch::of(&self.codes, sizes)?;
        if let Some(film) = &self.film {
            within("number of codes of an animation", self.codes.len(), 2, MAX_IMAGES)?;
            within("each", film.each, 1, MAX_FRAMES / self.codes.len())?;
            within("enlarge", film.enlarge, 1, (MAX_SIDE / resolution.max(1)).max(1))?;
        }
        Ok(Work::Render { codes, film: self.film })
    }
}

impl Exploration for RenderRequest {
    fn check(self, known: &Known) -> Result<Work> {
        self.check_for(&known.sizes, known.about.resolution)
    }
}

/// Checks that a number lies in a range.
fn within(name: &str, found: usize, least: usize, most: usize) -> Result<()> {
    if (least..=most).contains(&found) {
        return Ok(());
    }
    Err(Error::user(format!("{name} {found}: not from {least} to {most}"))
        .hint(format!("use at least {least} and at most {most}")))
}
