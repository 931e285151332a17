//! The abilities that a loaded model may have, one trait for each.
//!
//! A command asks the model for the ability that it needs. If the model does not have it, the error
//! from its system names the command that trains it.

use std::ops::RangeInclusive;

use burn::tensor::Tensor;
use image::RgbImage;

use super::guidance::{GuidanceSettings, Guided};
use super::requests::{
    Change, Draw, DrawStep, Drawn, EditSettings, EditSource, EditStart, EditStep, Edited,
    Illustrated, ProjectSettings, ProjectStart, ProjectStep, Truncation, TuneSettings, TuneStep,
};
use crate::device::IMAGES_AT_ONCE;
use crate::error::{Error, Result};
use crate::language::{Prompt, PromptTokenizer, WeightedPrompt};
use crate::model::Model;
use crate::picture;
use crate::train::evaluator::SampleNoise;

/// Draws images from prompts, and edits images if the system supports it.
pub trait TextToImage: Send + Sync {
    /// The tokenizer, which holds the model's vocabulary.
    fn tokenizer(&self) -> &dyn PromptTokenizer;

    /// Whether prompts may have weights; see [`WeightedPrompt`]. A system whose texts have a single code
    /// supports them.
    fn weights_words(&self) -> bool {
        false
    }

    /// Checks that the model supports weights if a prompt has some.
    ///
    /// # Errors
    /// If it does not, or if a weight is wrong.
    fn check_weights(&self, prompt: &str) -> Result<()> {
        match WeightedPrompt::parse(prompt)?.is_weighted() && !self.weights_words() {
            true => Err(Error::user("this model cannot weight or negate words")
                .hint("its texts have no single code; write the prompt without `(…:W)` and `not`")),
            false => Ok(()),
        }
    }

    /// The sizes `[vectors, vector length]` that an image's code may have.
    fn code_sizes(&self) -> Vec<[usize; 2]>;

    /// Finds the codes of images for a prompt. Every step calls `observe`; drawing stops early when
    /// it returns false.
    ///
    /// # Errors
    /// If a setting is out of range or the optimisation diverges.
    fn draw(&self, draw: &Draw, observe: &mut dyn FnMut(&DrawStep) -> bool) -> Result<Drawn>;

    /// Draws one image per caption, from the seeds `first`, `first + 1`, …
    ///
    /// # Errors
    /// If a caption cannot be read or the optimisation diverges.
    fn illustrate(
        &self,
        captions: &[&str],
        first: u64,
        settings: &GuidanceSettings,
    ) -> Result<Illustrated>;

    /// How well each of the images `[N, 3, res, res]` agrees with its caption, as far as the model
    /// itself can tell; a higher number is better. [`Draw::keep`] keeps images by the same measure.
    ///
    /// # Errors
    /// If the model cannot rank images, or if a caption cannot be read.
    fn agreement(&self, _images: Tensor<4>, _captions: &[&str]) -> Result<Vec<f32>> {
        Err(Error::user("this model cannot rank candidates")
            .hint("use a model of `cigan align-text`, or one with encoders of `cigan train-damsm`"))
    }

    /// Images `[N, 3, res, res]` of codes `[N, layers, dim]`.
    fn render(&self, codes: Tensor<3>) -> Tensor<4>;

    /// The pictures of codes `[N, layers, dim]`, drawn a batch at a time.
    fn pictures(&self, codes: &Tensor<3>) -> Vec<RgbImage> {
        let batches = codes.clone().split(IMAGES_AT_ONCE, 0).into_iter();
        batches.flat_map(|codes| picture::from_tensor(self.render(codes))).collect()
    }

    /// Checks that the model can edit images.
    ///
    /// # Errors
    /// If it cannot. The hint names a model that can.
    fn check_edits(&self) -> Result<()> {
        Err(Error::user("this model generates images from prompts, but cannot edit images")
            .hint("use a model of `cigan align-text`, which can edit images"))
    }

    /// Edits images. `observe` receives the progress; editing stops early when it returns false.
    ///
    /// # Errors
    /// If the system does not edit, a setting is out of range, or the optimisation diverges.
    fn edit(
        &self,
        _source: EditSource,
        _change: Change<&str>,
        _settings: &EditSettings,
        _observe: &mut dyn FnMut(EditStep) -> bool,
    ) -> Result<Edited> {
        self.check_edits()?;
        Err(Error::internal("this model claims to edit images but has no editor"))
    }
}

/// The codes of a style-based generator: z, and the styles that it is mapped to, one per layer.
///
/// Only systems with such a generator have them; `interpolate`, `mix` and `sample --latents` work
/// on them.
pub trait StyleSpace: Send + Sync {
    /// Length of z.
    fn z_dim(&self) -> usize;

    /// Length of a style.
    fn w_dim(&self) -> usize;

    /// Number of styles of an image, one for each layer.
    fn num_ws(&self) -> usize;

    /// Checks that z can be mapped without a prompt.
    ///
    /// # Errors
    /// If the model only draws from prompts.
    fn check_z(&self) -> Result<()> {
        Ok(())
    }

    /// z `[N, z_dim]` of image seeds.
    fn z(&self, seeds: &[u64]) -> Tensor<2>;

    /// Truncated styles `[N, num_ws, w_dim]` of z `[N, z_dim]`. Models with classes need a class.
    ///
    /// # Errors
    /// If the model only draws from prompts, or if it does not have the class.
    fn map(&self, z: Tensor<2>, class: Option<u32>, truncation: Truncation) -> Result<Tensor<3>>;

    /// Images `[N, 3, res, res]` of styles `[N, 1 or num_ws, w_dim]`, one seed each for the noise.
    fn render(&self, styles: Tensor<3>, noise: SampleNoise, seeds: &[u64]) -> Tensor<4>;
}

/// A latent space that images can be inverted into and drawn from.
pub trait LatentSpace: Send + Sync {
    /// Number of vectors in an inverted code: 1 in W, `num_ws` in W+.
    fn layers(&self) -> usize;

    /// Codes `[N, layers, dim]` of images `[N, 3, res, res]`, in one pass.
    fn invert(&self, images: Tensor<4>) -> Tensor<3>;

    /// Images `[N, 3, res, res]` of codes `[N, layers, dim]`.
    fn render(&self, codes: Tensor<3>) -> Tensor<4>;

    /// The mean code `[1, 1, dim]` of the model's samples.
    fn mean_code(&self) -> Tensor<3>;

    /// Codes `[N, dim]` of the model's samples, without truncation.
    fn sample_codes(&self, seeds: &[u64]) -> Tensor<2>;

    /// Mean distance between a code and the inversion of its image, over `count` random codes.
    fn cycle_error(&self, seed: u64, count: usize) -> f64;

    /// Checks that the model can project images and tune its generator to them.
    ///
    /// # Errors
    /// If it has no perceptual features, or no units for the distance between them.
    fn check_project(&self) -> Result<()>;

    /// Codes of images by optimisation. Every step calls `observe` with its images; projecting
    /// stops early when it returns false.
    ///
    /// # Errors
    /// If the objective is not finite, or the model has no perceptual features.
    fn project(
        &self,
        images: Tensor<4>,
        start: ProjectStart,
        settings: &ProjectSettings,
        observe: &mut dyn FnMut(&ProjectStep, &Tensor<4>) -> bool,
    ) -> Result<Tensor<3>>;

    /// Tunes the generator to reproduce images `[N, 3, res, res]` at codes `[N, layers, dim]`, and
    /// returns a copy of `model`, which this was opened from, with the tuned generator. Every step
    /// calls `observe`; tuning stops early when it returns false.
    ///
    /// # Errors
    /// If the objective is not finite, or the model has no perceptual features.
    fn tuned_model(
        &self,
        model: &Model,
        images: Tensor<4>,
        codes: Tensor<3>,
        settings: &TuneSettings,
        observe: &mut dyn FnMut(&TuneStep) -> bool,
    ) -> Result<Model>;
}

/// A latent space in which texts have codes as well.
pub trait TextCodes: LatentSpace {
    /// The codes `[N, layers, dim]` from which drawing starts, at truncation ψ.
    fn starts(&self, seeds: &[u64], layers: usize, psi: f64) -> Tensor<3>;

    /// Codes `[N, layers, dim]` of texts.
    ///
    /// # Errors
    /// If a text cannot be read.
    fn texts(&self, captions: &[&str]) -> Result<Tensor<3>>;

    /// Moves codes from `start` `[N, layers, dim]` towards codes of texts, either one for all
    /// (`[1, layers, dim]`) or one per code.
    ///
    /// # Errors
    /// If a setting is out of range or the optimisation diverges.
    fn pull(
        &self,
        start: Tensor<3>,
        text: Tensor<3>,
        settings: &GuidanceSettings,
    ) -> Result<Guided>;

    /// Edits images `[N, 3, res, res]`, whose codes are `[N, layers, dim]`, by the codes of texts, in
    /// some layers or, without `within`, in all.
    ///
    /// # Errors
    /// If a setting is out of range, the optimisation diverges, or the model has no perceptual
    /// features.
    fn edit_codes(
        &self,
        images: Tensor<4>,
        codes: Tensor<3>,
        change: &Change<Tensor<3>>,
        within: Option<RangeInclusive<usize>>,
        settings: &GuidanceSettings,
    ) -> Result<Guided>;

    /// A copy of the model whose generator is tuned to reproduce images `[N, 3, res, res]` at codes
    /// `[N, layers, dim]`. Every step calls `observe`; tuning stops early when it returns false.
    ///
    /// # Errors
    /// If the objective is not finite, or the model has no perceptual features.
    fn tuned(
        &self,
        images: Tensor<4>,
        codes: Tensor<3>,
        settings: &TuneSettings,
        observe: &mut dyn FnMut(&TuneStep) -> bool,
    ) -> Result<Box<dyn TextCodes>>;
}

/// Adds amounts of several attributes, which are texts, to images (CLIP2GAN, Wang et al. 2022). The code
/// of an image moves along one direction for each text, in one pass.
pub trait AttributeEditing: Send + Sync {
    /// Codes `[N, layers, dim]` of images `[N, 3, res, res]`. Without a start, the model chooses one.
    ///
    /// # Errors
    /// If the model does not have the encoder.
    fn start(&self, images: Tensor<4>, start: Option<EditStart>) -> Result<Tensor<3>>;

    /// The direction `[1, layers, dim]` of a text: the code of the text, minus that of the neutral one.
    ///
    /// # Errors
    /// If a text cannot be read.
    fn direction(&self, text: &str, neutral: Option<&str>) -> Result<Tensor<3>>;
}

/// Reads captions off images.
pub trait ImageDescriber: Send + Sync {
    /// A caption of each of the images `[N, 3, H, W]` in [-1, 1], of any size.
    fn describe(&self, images: Tensor<4>) -> Vec<String>;

    /// For each image, the mean logarithm of the probability of a token of its caption.
    ///
    /// # Errors
    /// If a caption cannot be read.
    fn log_likelihoods(&self, images: Tensor<4>, captions: &[&str]) -> Result<Vec<f64>>;

    /// Checks a prompt, which messages call `flag` and which may have weights.
    ///
    /// # Errors
    /// If the prompt cannot be read, or nothing of it is in the vocabulary.
    fn check_prompt(&self, flag: &str, prompt: &str) -> Result<Prompt>;

    /// How much more likely images `[N, 3, H, W]` make texts: for each text and image, the mean over
    /// its tokens of log p(token | image) − log p(token), `[texts, N]`. The second term is that of the
    /// same network without an image; without it, short texts of common words would always win.
    ///
    /// # Errors
    /// If a text cannot be read.
    fn information(&self, images: Tensor<4>, texts: &[&str]) -> Result<Tensor<2>>;
}

/// The noise and the texts that a generator draws images of.
pub trait NoiseSpace: Send + Sync {
    /// Size of the noise of an image.
    fn noise_size(&self) -> usize;

    /// Size of z, with which the noise begins. What follows only varies the condition of a text.
    fn z_size(&self) -> usize;

    /// Vectors `[N, size]` of texts.
    ///
    /// # Errors
    /// If a text cannot be read.
    fn read(&self, texts: &[&str]) -> Result<Tensor<2>>;

    /// The vector `[1, size]` of a prompt, which may have weights.
    ///
    /// # Errors
    /// If it cannot be read.
    fn read_prompt(&self, prompt: &str) -> Result<Tensor<2>>;

    /// The largest images of noise `[N, noise]` and vectors of texts `[N, size]`:
    /// `[N, 3, res, res]`.
    fn draw(&self, noise: Tensor<2>, texts: Tensor<2>) -> Tensor<4>;
}

/// Reads the style of images: all that a text does not say.
pub trait StyleReader: Send + Sync {
    /// The z `[N, z]` of images `[N, 3, H, W]` in [-1, 1], of any size.
    fn styles(&self, images: Tensor<4>) -> Tensor<2>;

    /// The space that the styles belong to.
    fn space(&self) -> &dyn NoiseSpace;
}
