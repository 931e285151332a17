//! The encoders of a model, ready for use.

use std::sync::Arc;

use burn::module::Module;
use burn::tensor::{Device, Tensor};

use super::image::{ImageTower, batch};
use super::section::{CLIP, CT, CV, LOGIT_SCALE, MERGES};
use super::settings::ClipNetwork;
use super::text::TextTower;
use crate::data::Archive;
use crate::error::{Error, Result};
use crate::language::byte_pairs::UNMERGED;
use crate::language::{BytePairTokenizer, Prompt};
use crate::model::Model;
use crate::nn::Init;
use crate::nn::contrast::unit;
use crate::systems::retrieval::CAPTIONS_AT_ONCE;
use crate::systems::{Capabilities, ImageSampler, ImageTextSimilarity, Loaded, TextToImage};

/// Largest side of images that CLIP judges badly, because it enlarges them so much that all of them
/// are blurred.
const SMALL: usize = 32;

/// The encoders of CLIP with their vocabulary.
#[derive(Debug, Clone)]
pub struct Clip {
    text: TextTower,
    tokenizer: BytePairTokenizer,
    /// Absent in models that were exported only to draw.
    image: Option<ImageTower>,
    /// Length of the vectors of images and texts.
    size: usize,
    /// Number of texts at once.
    batch: usize,
}

impl Clip {
    /// Loads the encoders of a model that contains them.
    ///
    /// # Errors
    /// If the model has none, or is damaged.
    pub fn load(model: &Model, device: &Device) -> Result<Self> {
        let network: ClipNetwork = model.settings(&CLIP)?;
        let damaged = |finding: &str| {
            Error::user(format!("{}: {finding}", model.name()))
                .hint("the file is damaged; import the weights again")
        };
        let merges = model.text(MERGES).ok_or_else(|| damaged("contains no vocabulary"))?;
        if merges.lines().count() != network.text.tokens - UNMERGED {
            return Err(damaged("its vocabulary is not that of its text encoder"));
        }
        let tokenizer = BytePairTokenizer::new(merges, network.text.context)
            .map_err(|e| e.context(model.name()))?;
        if model.tensor(LOGIT_SCALE).is_none_or(|scale| scale.shape != [1] || !scale.is_finite()) {
            return Err(damaged("`logit_scale` is not one number"));
        }
        let (size, act) = (network.size, network.activation);
        let init = &mut Init::zeros(device);
        let build = || TextTower::new(&network.text, size, act, init);
        let text = model.restore(CT, &TextTower::shapes(&network.text, size), build)?.valid();
        let image = match model.has_network(CV) {
            true => Some(ImageTower::load(model, &network, device)?),
            false => None,
        };
        let batch = batch(TextTower::largest(&network.text), CAPTIONS_AT_ONCE);
        Ok(Self { text, tokenizer, image, size, batch })
    }

    /// The vocabulary.
    pub fn tokenizer(&self) -> &BytePairTokenizer {
        &self.tokenizer
    }

    /// Length of the vectors of images and texts.
    pub fn size(&self) -> usize {
        self.size
    }

    /// Whether the model compares images with texts.
    pub fn has_images(&self) -> bool {
        self.image.is_some()
    }
}

impl ImageTextSimilarity for Clip {
    fn check_prompt(&self, flag: &str, prompt: &str) -> Result<Prompt> {
        self.tokenizer.check_prompt(flag, prompt)
    }

    fn images(&self, images: Tensor<4>) -> Tensor<2> {
        // Callers check `has_images` first.
        unit(self.image.as_ref().expect("an image encoder").forward(images))
    }

    fn texts(&self, captions: &[&str]) -> Result<Tensor<2>> {
        let part = |captions: &[&str]| Ok(self.text.forward(&self.tokenizer.batch(captions)?));
        Ok(unit(Tensor::cat(captions.chunks(self.batch).map(part).collect::<Result<_>>()?, 0)))
    }

    fn warning(&self, side: usize) -> Option<String> {
        let own = self.image.as_ref()?.side();
        (side <= SMALL && side < own).then(|| {
            format!(
                "CLIP judges images of {own}×{own} pixels. Images of {side}×{side} are enlarged, \
                 which makes them unlike the photographs that it knows, so its order may mean little"
            )
        })
    }
}

/// A loaded model of `import clip`.
pub(super) struct LoadedClip {
    clip: Clip,
    /// Side of the images that it reads.
    side: usize,
    name: String,
}

impl LoadedClip {
    pub fn open(model: &Model, device: &Device) -> Result<Self> {
        let clip = Clip::load(model, device)?;
        let Some(image) = &clip.image else {
            return Err(Error::user(format!("{}: contains no image encoder", model.name()))
                .hint("import the weights again"));
        };
        Ok(Self { side: image.side(), clip, name: model.name().to_owned() })
    }

    fn draws_nothing(&self) -> Error {
        Error::user(format!(
            "{}: cannot generate images: CLIP only encodes images and texts",
            self.name
        ))
        .hint("rank the images of another model with `cigan generate --rank-by MODEL`")
    }
}

impl Loaded for LoadedClip {
    fn capabilities(&self) -> Capabilities {
        Capabilities { sizes: vec![self.side], compares: true, ..Default::default() }
    }

    fn sampler<'a>(&'a self, _archive: &Arc<Archive>) -> Result<Box<dyn ImageSampler + 'a>> {
        Err(self.draws_nothing())
    }

    fn sampler_of_class<'a>(&'a self, _class: Option<u32>) -> Result<Box<dyn ImageSampler + 'a>> {
        Err(self.draws_nothing())
    }

    fn text_to_image(&self) -> Result<&dyn TextToImage> {
        Err(self.draws_nothing())
    }

    fn similarity(&self) -> Result<&dyn ImageTextSimilarity> {
        Ok(&self.clip)
    }
}
