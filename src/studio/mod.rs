//! Generating and editing images with a loaded model of any system. `generate`, `edit`, `serve` and
//! programs that use the library share this module.
//!
//! It returns latent codes and images. Its callers handle paths, flags and HTTP.

mod attributes;
mod codes;
mod describe;
mod explore;
mod film;
mod mixing;
mod restyling;
mod seeds;

pub use crate::systems::requests::{
    Attribute, Change, Draw, DrawStep, Drawn, EditSettings, EditSource, EditStart, EditStep,
    Edited, Vary,
};
pub use attributes::{AttributeEdit, SWEEP, WithAttributes};
pub use codes::{Latents, codes_file};
pub use describe::{Edits, describe_attributes, describe_code, describe_draw, describe_edit};
pub use explore::Direction;
pub use film::{Film, Space};
pub use mixing::{MixedGrid, mix};
pub use restyling::restyle;
pub use seeds::{Candidates, DEFAULT_SEEDS, Seeds};

use burn::tensor::{Device, Tensor};
use image::RgbImage;

use crate::error::Result;
use crate::language::{Prompt, PromptTokenizer};
use crate::model::{Model, READ_BY};
use crate::systems::ranking::{Judge, best};
use crate::systems::{self, Capabilities, Loaded, TextToImage};
use crate::tensorfile::TensorFile;

/// A loaded model that generates images from prompts.
///
/// ```no_run
/// use cigan::{Device, Model, Studio};
/// use cigan::studio::Draw;
///
/// # fn main() -> cigan::Result<()> {
/// let model = Model::open("models/birds64.safetensors")?;
/// let studio = Studio::open(&model, &Device::flex())?;
/// let settings = Default::default();
/// let draw = Draw::new("a small bird with a yellow belly", &[0, 1, 2, 3], &settings);
/// let drawn = studio.draw(&draw, |_| true)?;
/// let images = studio.images(&drawn.codes);
/// assert_eq!(images.len(), 4);
/// # Ok(())
/// # }
/// ```
pub struct Studio {
    loaded: Box<dyn Loaded>,
}

impl Studio {
    /// Loads a model that generates images from prompts.
    ///
    /// # Errors
    /// If the model is damaged or does not generate images from prompts.
    pub fn open(model: &Model, device: &Device) -> Result<Self> {
        Self::of(systems::open(model, device)?)
    }

    /// Draws with a loaded model.
    ///
    /// # Errors
    /// If the model does not draw images from prompts.
    pub fn of(loaded: Box<dyn Loaded>) -> Result<Self> {
        loaded.text_to_image()?;
        Ok(Self { loaded })
    }

    /// The model, whose other abilities [`Film`], [`mix`] and programs use.
    pub fn loaded(&self) -> &dyn Loaded {
        &*self.loaded
    }

    /// Capabilities of the model.
    pub fn capabilities(&self) -> Capabilities {
        self.loaded.capabilities()
    }

    /// Side of the images in pixels.
    pub fn resolution(&self) -> usize {
        self.loaded.resolution()
    }

    /// The tokenizer, which knows the model's vocabulary.
    pub fn tokenizer(&self) -> &dyn PromptTokenizer {
        self.text_to_image().tokenizer()
    }

    /// Shapes that the latent code of an image may have, as `[vectors, numbers per vector]`.
    pub fn code_sizes(&self) -> Vec<[usize; 2]> {
        self.text_to_image().code_sizes()
    }

    /// Reads the latents of a file; see [`Latents::of`]. Messages call the file `name`.
    ///
    /// # Errors
    /// If the model has no styles, or the file does not contain latents for it.
    pub fn latents(&self, name: &str, file: &TensorFile, device: &Device) -> Result<Latents> {
        Latents::of(name, file, self.loaded.styles()?, device)
    }

    /// A file of codes of the model, as [`codes_file`] writes it, which also states the commands that
    /// read it.
    pub fn codes_file(&self, codes: Tensor<3>) -> TensorFile {
        let commands = [
            self.check_edits().is_ok().then_some("edit"),
            self.loaded.styles().is_ok().then_some("sample"),
        ];
        let commands: Vec<&str> = commands.into_iter().flatten().collect();
        let mut file = codes_file(codes);
        file.metadata.insert(READ_BY.to_owned(), commands.join(" "));
        file.sealed()
    }

    /// Checks a prompt and finds the words that the model does not know. Messages call the prompt
    /// `flag`.
    ///
    /// # Errors
    /// If the prompt is empty or contains no word that the model knows.
    pub fn check(&self, flag: &str, prompt: &str) -> Result<Prompt> {
        let checked = self.tokenizer().check_prompt(flag, prompt)?;
        self.text_to_image().check_weights(prompt).map_err(|e| e.context(flag))?;
        Ok(checked)
    }

    /// Finds the latent codes of images for a prompt. Every step calls `observe`; drawing stops
    /// early if it returns false.
    ///
    /// # Errors
    /// If a setting is out of range or the optimisation diverges.
    pub fn draw(&self, draw: &Draw, mut observe: impl FnMut(&DrawStep) -> bool) -> Result<Drawn> {
        self.text_to_image().check_weights(draw.prompt)?;
        self.text_to_image().draw(draw, &mut observe)
    }

    /// Keeps the `keep` images that agree best with the prompt, according to another model; best
    /// first.
    ///
    /// # Errors
    /// If that model cannot read the prompt.
    pub fn ranked(&self, drawn: Drawn, prompt: &str, judge: Judge, keep: usize) -> Result<Drawn> {
        judge.check_prompt("--rank-by", prompt)?;
        best(drawn, prompt, keep, judge, |codes| self.text_to_image().render(codes))
    }

    /// Checks that the model can edit images.
    ///
    /// # Errors
    /// If it cannot; the message gives the reason.
    pub fn check_edits(&self) -> Result<()> {
        self.text_to_image().check_edits()
    }

    /// Edits images. Every step calls `observe`; editing stops early if it returns false.
    ///
    /// # Errors
    /// If the model does not edit, a setting is out of range, or the optimisation diverges.
    pub fn edit(
        &self,
        source: EditSource,
        change: Change<&str>,
        settings: &EditSettings,
        mut observe: impl FnMut(EditStep) -> bool,
    ) -> Result<Edited> {
        self.text_to_image().edit(source, change, settings, &mut observe)
    }

    /// Renders the images of codes `[N, layers, dim]`.
    pub fn images(&self, codes: &Tensor<3>) -> Vec<RgbImage> {
        self.text_to_image().pictures(codes)
    }

    fn text_to_image(&self) -> &dyn TextToImage {
        // Checked in `of`.
        self.loaded.text_to_image().expect("a model that generates images from prompts")
    }
}
