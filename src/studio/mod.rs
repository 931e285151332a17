//! A model that is ready to draw and to edit, whatever its system: what `generate`, `edit`, the page
//! of `serve` and programs that use the library share.
//!
//! It answers in codes and images and knows neither files nor flags nor HTTP.

mod codes;
mod describe;
mod seeds;

pub use crate::systems::requests::{
    Change, Draw, DrawStep, Drawn, EditSettings, EditSource, EditStep, Edited, Vary,
};
pub use codes::{Latents, codes_file};
pub use describe::{describe_draw, describe_edit};
pub use seeds::{Candidates, DEFAULT_SEEDS, Seeds};

use burn::tensor::{Device, Tensor};
use image::RgbImage;

use crate::error::Result;
use crate::language::{Prompt, Tokenizer};
use crate::model::Model;
use crate::picture;
use crate::systems::{self, Capabilities, Loaded, TextToImage};

/// Images on the device at once.
const CHUNK: usize = 32;

/// A loaded model that draws images of prompts.
///
/// ```no_run
/// use cigan::{Device, Model, Studio};
/// use cigan::studio::Draw;
///
/// # fn main() -> cigan::Result<()> {
/// let model = Model::open("models/birds32.safetensors")?;
/// let studio = Studio::open(&model, &Device::flex())?;
/// let draw = Draw {
///     prompt: "a small bird with a yellow belly",
///     seeds: &[0, 1, 2, 3],
///     vary: None,
///     settings: &Default::default(),
///     marks: &[],
///     keep: None,
/// };
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
    /// Loads a model that draws images of prompts.
    ///
    /// # Errors
    /// If the model is damaged or does not draw images of prompts.
    pub fn open(model: &Model, device: &Device) -> Result<Self> {
        let loaded = systems::open(model, device)?;
        loaded.text_to_image()?;
        Ok(Self { loaded })
    }

    /// What the model can do.
    pub fn capabilities(&self) -> Capabilities {
        self.loaded.capabilities()
    }

    /// Side of the images in pixels.
    pub fn resolution(&self) -> usize {
        self.loaded.resolution()
    }

    /// The words that the model knows.
    pub fn tokenizer(&self) -> &Tokenizer {
        self.text_to_image().tokenizer()
    }

    /// Sizes that a code of an image may have, as (vectors, numbers of a vector).
    pub fn code_sizes(&self) -> Vec<[usize; 2]> {
        self.text_to_image().code_sizes()
    }

    /// The one code tensor of a file, `w`, `ws` or `codes`; see [`Latents::of`].
    ///
    /// # Errors
    /// If the file does not hold codes of this model.
    pub fn latents(
        &self,
        name: &str,
        file: &crate::tensorfile::TensorFile,
        device: &Device,
    ) -> Result<Latents> {
        Latents::of(name, file, self.loaded.generator()?, device)
    }

    /// Whether the model understands a prompt, and which of its words it does not know. `flag` is
    /// what messages call the prompt.
    ///
    /// # Errors
    /// If the prompt has no word that the model knows.
    pub fn check(&self, flag: &str, prompt: &str) -> Result<Prompt> {
        self.tokenizer().check_prompt(flag, prompt)
    }

    /// Finds the codes of images of a prompt. `observe` sees every step; drawing stops early when
    /// it returns false.
    ///
    /// # Errors
    /// If a setting is out of range or the optimisation diverges.
    pub fn draw(&self, draw: &Draw, mut observe: impl FnMut(&DrawStep) -> bool) -> Result<Drawn> {
        self.text_to_image().draw(draw, &mut observe)
    }

    /// Whether the model edits images.
    ///
    /// # Errors
    /// If not; the message says why.
    pub fn check_edits(&self) -> Result<()> {
        self.text_to_image().check_edits()
    }

    /// Edits images. `observe` sees the progress; editing stops early when it returns false.
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

    /// Images of codes [N, layers, dim].
    pub fn images(&self, codes: &Tensor<3>) -> Vec<RgbImage> {
        let chunks = codes.clone().split(CHUNK, 0).into_iter();
        chunks.flat_map(|codes| picture::from_tensor(self.text_to_image().render(codes))).collect()
    }

    fn text_to_image(&self) -> &dyn TextToImage {
        // Checked in `open`.
        self.loaded.text_to_image().expect("a model that draws images of prompts")
    }
}
